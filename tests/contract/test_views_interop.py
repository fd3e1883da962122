"""Views and arrays to fill, handed to other libraries without a copy."""

from __future__ import annotations

import gc
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    import shoal

COUNT = 60_000
WHY = "an optional package, which is not installed"


def address(array: Any) -> int:
    return int(np.asarray(array).ctypes.data)


def churn(store: shoal.Store) -> None:
    """Use the memory of whatever is free."""
    for number in range(20):
        store[f"churn {number}"] = np.full(COUNT, float(number))


# ---------------------------------------------------------------- DLPack


def test_dlpack(store: shoal.Store) -> None:
    store["key"] = np.arange(COUNT)
    view = store.view("key")
    try:
        other = np.from_dlpack(view)
    except BufferError:
        pytest.skip("this numpy exports no read-only arrays through DLPack")
    assert address(other) == address(view)
    del view
    store.clear()
    gc.collect()
    churn(store)
    assert np.array_equal(other, np.arange(COUNT))
    assert not other.flags.writeable


def test_dlpack_into_an_array_to_fill(store: shoal.Store) -> None:
    with store.create_array("key", COUNT, "f8") as array:
        other = np.from_dlpack(array)
        assert address(other) == address(array)
        try:
            other[:] = 3
        except ValueError:
            pytest.skip("this numpy takes arrays read-only from DLPack")
    assert (store["key"] == 3).all()


# ---------------------------------------------------------------- PyTorch


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch", reason=WHY)


def tensor_of(torch: Any, array: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it cannot be written to, which torch has no word for
        return torch.from_numpy(array)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "u1", "?"])
def test_a_tensor_over_a_view(torch: Any, store: shoal.Store, dtype: str) -> None:
    array = (np.arange(COUNT) % 2).astype(dtype).reshape(200, -1)
    store["key"] = array
    view = store.view("key")
    tensor = tensor_of(torch, view)
    assert tensor.data_ptr() == address(view)
    assert tuple(tensor.shape) == array.shape
    part = tensor[7]
    del view, tensor
    store.clear()
    gc.collect()
    churn(store)
    assert np.array_equal(part.numpy(), array[7])


def test_a_tensor_into_an_array_to_fill(torch: Any, store: shoal.Store) -> None:
    with store.create_array("key", (100, 600), "f4") as array:
        tensor = tensor_of(torch, array)
        assert tensor.data_ptr() == address(array)
        tensor.normal_()
        tensor += 1
        expected = tensor.clone()
    assert np.array_equal(store["key"], expected.numpy())
    assert np.array_equal(array, expected.numpy())


# ---------------------------------------------------------------- Arrow


@pytest.fixture
def pa() -> Any:
    return pytest.importorskip("pyarrow", reason=WHY)


def test_an_arrow_buffer_over_a_view(pa: Any, store: shoal.Store) -> None:
    store["numbers"], store["bytes"] = np.arange(COUNT), b"abcdefgh" * COUNT
    views = store.view("numbers"), store.view("bytes")
    numbers, data = map(pa.py_buffer, views)
    assert numbers.address == address(views[0])
    assert data.address == address(views[1])
    assert not numbers.is_mutable
    assert not data.is_mutable
    array = pa.Array.from_buffers(pa.int64(), COUNT, [None, numbers])
    part = array.slice(1000, 10)
    del views, numbers, array
    store.clear()
    gc.collect()
    churn(store)
    assert part.to_pylist() == list(range(1000, 1010))
    assert part.to_numpy(zero_copy_only=True).tolist() == list(range(1000, 1010))
    assert data.to_pybytes() == b"abcdefgh" * COUNT


def test_an_arrow_array_is_stored_and_viewed(pa: Any, store: shoal.Store) -> None:
    array = pa.array(range(COUNT), pa.float32())
    store["key"] = array.to_numpy(zero_copy_only=True)
    again = pa.Array.from_buffers(pa.float32(), COUNT, [None, pa.py_buffer(store.view("key"))])
    assert again.equals(array)
    again.validate(full=True)


def test_an_arrow_file_lies_in_the_store(pa: Any, store: shoal.Store) -> None:
    """A whole table, written into memory that is to be shared, and read where it lies."""
    table = pa.table({"numbers": list(range(COUNT)), "words": [f"word {number % 100}" for number in range(COUNT)]})
    measure = pa.MockOutputStream()
    with pa.ipc.new_stream(measure, table.schema) as writer:
        writer.write_table(table)
    with store.create_array("key", measure.size(), "u1") as room:
        target = pa.FixedSizeBufferWriter(pa.py_buffer(room))
        with pa.ipc.new_stream(target, table.schema) as writer:
            writer.write_table(table)
    view = store.view("key")
    found = pa.ipc.open_stream(pa.py_buffer(view)).read_all()
    begin, end = address(view), address(view) + len(view)
    buffers = [buffer for chunk in found.column("words").chunks for buffer in chunk.buffers() if buffer is not None]
    assert buffers
    assert all(begin <= buffer.address < end for buffer in buffers)
    del view, room, target
    store.clear()
    gc.collect()
    churn(store)
    assert found.equals(table)
