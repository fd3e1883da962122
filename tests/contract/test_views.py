"""Values in place: `view`, `create_array`."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import shoal

if TYPE_CHECKING:
    from conftest import Backend

SMALL, LARGE = 100, 60_000  # elements: copied, and in place where there is a place
DTYPES = [
    "f8",
    "i4",
    "u1",
    ">i2",
    "?",
    "c16",
    "f2",
    "M8[us]",
    "m8[s]",
    "U5",
    "S3",
    "V7",
    "f4,i8",
    [("a", "i2", (3,)), ("b", "U2")],
]


def filled(count: int, dtype: Any = None) -> np.ndarray[Any, Any]:
    """An array of which each element tells its place; of a given dtype each byte, as far as that allows any byte."""
    if dtype is None:
        return np.arange(count, dtype="f8") + 0.5
    dtype = np.dtype(dtype)
    pattern = np.arange(count * dtype.itemsize, dtype=np.uint8)
    if dtype.kind == "U" or (dtype.names and "U" in str(dtype)):
        return np.zeros(count, dtype)
    if dtype.kind == "b":
        pattern %= 2
    return pattern.view(dtype)


def bytes_of(array: Any) -> bytes:
    return bytes(array.tobytes("A"))


# ---------------------------------------------------------------- what a view is


@pytest.mark.parametrize("count", [SMALL, LARGE])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_view_of_an_array_is_that_array(store: shoal.Store, dtype: Any, count: int) -> None:
    array = filled(count, dtype)
    store["key"] = array
    view = store.view("key")
    assert type(view) is np.ndarray
    assert view.dtype == array.dtype
    assert view.shape == array.shape
    assert bytes_of(view) == bytes_of(array)
    assert view.ctypes.data % 64 == 0
    assert not view.flags.writeable


@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 5), (3, 4), (200, 300), (1, 60_000, 1), (20, 30, 100)], ids=str)
@pytest.mark.parametrize("order", ["C", "F"])
def test_shapes_and_orders(store: shoal.Store, shape: tuple[int, ...], order: Any) -> None:
    array = np.arange(np.prod(shape, dtype=int), dtype="f8").reshape(shape).copy(order)
    store["key"] = array
    view = store.view("key")
    assert view.shape == shape
    assert view.flags.c_contiguous == array.flags.c_contiguous
    assert view.flags.f_contiguous == array.flags.f_contiguous
    assert np.array_equal(view, array)
    assert view.ctypes.data % 64 == 0 or not view.size
    assert not view.flags.writeable


def test_a_view_cannot_be_written_to(store: shoal.Store) -> None:
    for count in (SMALL, LARGE):
        store["key"] = filled(count)
        view = store.view("key")
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            view.flags.writeable = True
        with pytest.raises(ValueError, match="WRITEABLE"):
            view[:5].setflags(write=True)
        assert memoryview(view).readonly
        assert not np.frombuffer(view, np.uint8).flags.writeable
        assert not np.asarray(view).flags.writeable
        with pytest.raises(TypeError):
            view.data[0] = 1
        assert np.array_equal(store["key"], filled(count))
        copied = view.copy()
        copied[0] = 1


@pytest.mark.parametrize("size", [0, 1, 31, 32, 255, 256, 5000, 32_600, 32_700, 40_000, 65_535, 65_536, 300_000])
def test_views_of_bytes_and_text(backend: Backend, store: shoal.Store, size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    store["bytes"] = data
    store["ascii"] = "x" * size
    store["text"] = "ä" * (size // 2)
    for key, expected in [("bytes", data), ("ascii", b"x" * size), ("text", "ä".encode() * (size // 2))]:
        view = store.view(key)
        assert type(view) is memoryview
        assert (view.readonly, view.format, view.ndim, view.contiguous) == (True, "B", 1, True)
        assert np.frombuffer(view, np.uint8).ctypes.data % 64 == 0 or backend.kind == "memory" or not size
        assert bytes(view) == expected
        assert len(view) == len(expected)
        with pytest.raises(TypeError):
            view[:] = expected
    assert str(store.view("text"), "utf-8") == "ä" * (size // 2)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, "none"),
        (True, "bool"),
        (1, "int"),
        (1.5, "float"),
        ([1], "list"),
        ({"a": 1}, "dict"),
        ((1,), "tuple"),
        ([0] * 50_000, "list"),
        (bytearray(b"x"), "bytearray"),
        (np.float64(1), "scalar"),
    ],
)
def test_other_values_have_no_views(store: shoal.Store, value: Any, name: str) -> None:
    store["key"] = value
    with pytest.raises(shoal.InvalidValue, match=name) as caught:
        store.view("key")
    assert caught.value.key == "key"
    assert store.stats().pinned == 0


def test_errors(store: shoal.Store) -> None:
    with pytest.raises(shoal.KeyNotFound) as caught:
        store.view("absent")
    assert caught.value.key == "absent"
    with pytest.raises(shoal.KeyTypeError):
        store.view(1)  # type: ignore[arg-type]
    with pytest.raises(shoal.InvalidKey):
        store.view("")
    store.close()
    with pytest.raises(shoal.StoreClosed):
        store.view("key")


def test_an_expired_entry_has_no_view(backend: Backend, store: shoal.Store) -> None:
    store.set("key", filled(LARGE), ttl=0.02)
    view = store.view("key")
    backend.outlive(store, "key")
    with pytest.raises(shoal.KeyNotFound):
        store.view("key")
    assert np.array_equal(view, filled(LARGE))


def test_views_count_as_reads(store: shoal.Store) -> None:
    store["small"], store["large"] = filled(SMALL), filled(LARGE)
    store.view("small")
    store.view("large")
    with pytest.raises(shoal.KeyNotFound):
        store.view("absent")
    assert (store.stats().hits, store.stats().misses) == (2, 1)


def test_a_view_spares_an_entry_from_eviction(backend: Backend) -> None:
    store = backend.open(max_keys=3, eviction="sieve")
    for key in "abc":
        store[key] = filled(LARGE)
    kept = store.view("a")
    store["d"] = 1
    assert "a" in store
    assert np.array_equal(kept, filled(LARGE))


def test_views_through_a_read_only_store(backend: Backend, store: shoal.Store) -> None:
    store["array"], store["bytes"], store["small"] = filled(LARGE), b"x" * 500_000, filled(SMALL)
    with backend.open(flag="r") as reader:
        views = reader.view("array"), reader.view("bytes"), reader.view("small")
        with pytest.raises(shoal.KeyNotFound):
            reader.view("absent")
    store.clear()
    assert np.array_equal(views[0], filled(LARGE))
    assert bytes(views[1]) == b"x" * 500_000
    assert np.array_equal(views[2], filled(SMALL))
    assert views[0].ctypes.data % 64 == 0
    assert not views[0].flags.writeable
    assert views[1].readonly


# ---------------------------------------------------------------- how long it stays


def churn(store: shoal.Store) -> None:
    """Use the memory of whatever is free."""
    for number in range(30):
        store[f"churn {number}"] = np.full(LARGE, number)
    for number in range(30):
        del store[f"churn {number}"]


def overwrite(store: shoal.Store) -> None:
    store["array"] = store["bytes"] = np.zeros(LARGE)


def delete(store: shoal.Store) -> None:
    del store["array"], store["bytes"]


def drop(store: shoal.Store) -> None:
    store.drop_namespace(store.namespace_name)


@pytest.mark.parametrize("change", [overwrite, delete, shoal.Store.clear, drop], ids=lambda change: change.__name__)
def test_a_view_outlives_what_becomes_of_the_entry(backend: Backend, change: Any) -> None:
    store = backend.namespace(backend.open(), "other")
    store["array"], store["bytes"] = filled(LARGE), b"abc" * LARGE
    array, data = store.view("array"), store.view("bytes")
    change(store)
    churn(store)
    assert np.array_equal(array, filled(LARGE))
    assert bytes(data) == b"abc" * LARGE


DERIVED: dict[str, Any] = {
    "slice": lambda view: view[10:20],
    "strided": lambda view: view[::7],
    "reshaped": lambda view: view.reshape(2, -1).T,
    "other dtype": lambda view: view.view(np.uint8),
    "frombuffer": lambda view: np.frombuffer(view, np.int32),
    "memoryview": memoryview,
    "cast": lambda view: memoryview(view).cast("B")[5:50],
    "asarray": np.asarray,
}


@pytest.mark.parametrize("derive", DERIVED.values(), ids=DERIVED)
def test_whatever_is_made_from_a_view_keeps_it(store: shoal.Store, derive: Any) -> None:
    array = filled(LARGE)
    store["key"] = array
    expected = np.asarray(derive(array)).tobytes()
    derived = derive(store.view("key"))
    del store["key"]
    gc.collect()
    churn(store)
    assert np.asarray(derived).tobytes() == expected


def test_slices_of_memoryviews_keep_it(store: shoal.Store) -> None:
    store["key"] = bytes(range(256)) * 1000
    made = [store.view("key")[256:512], store.view("key").cast("I"), np.frombuffer(store.view("key"), np.uint8)]
    del store["key"]
    gc.collect()
    churn(store)
    assert bytes(made[0]) == bytes(range(256))
    assert made[1].tobytes() == bytes(range(256)) * 1000
    assert made[2].tobytes() == bytes(range(256)) * 1000


def test_a_view_outlives_its_store(backend: Backend) -> None:
    store = backend.open()
    store["array"], store["bytes"], store["small"] = filled(LARGE), b"abc" * LARGE, filled(SMALL)
    views = store.view("array"), store.view("bytes"), store.view("small")
    store.close()
    gc.collect()
    assert np.array_equal(views[0], filled(LARGE))
    assert bytes(views[1]) == b"abc" * LARGE
    assert np.array_equal(views[2], filled(SMALL))
    del views


def test_a_view_outlives_the_destruction_of_its_store(backend: Backend) -> None:
    store = backend.open()
    store["array"] = filled(LARGE)
    view = store.view("array")
    store.destroy()
    assert np.array_equal(view, filled(LARGE))
    again = backend.open()
    assert "array" not in again
    again["array"] = np.zeros(LARGE)
    assert np.array_equal(view, filled(LARGE))


def test_views_from_many_threads(store: shoal.Store) -> None:
    """Each sees one whole version; views end in other threads than they began in."""
    store["key"] = np.zeros(LARGE)
    torn: list[Any] = []
    kept: list[Any] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            view = store.view("key")
            if not (view == view[0]).all():
                torn.append(view)
            kept.append(view)
            if len(kept) > 50:
                kept.pop(0)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(300):
        store["key"] = np.full(LARGE, number)
    stop.set()
    for thread in threads:
        thread.join()
    assert not torn
    kept.clear()
    assert store.stats().pinned == 0


# ---------------------------------------------------------------- arrays to fill


@pytest.mark.parametrize("count", [0, SMALL, 4000, 8200, LARGE])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_is_filled_is_the_entry(store: shoal.Store, dtype: Any, count: int) -> None:
    with store.create_array("key", count, dtype) as array:
        assert type(array) is np.ndarray
        assert array.dtype == np.dtype(dtype)
        assert array.shape == (count,)
        assert array.flags.writeable
        assert array.flags.c_contiguous
        assert array.ctypes.data % 64 == 0 or not count
        assert "key" not in store
        array[...] = filled(count, dtype)
    assert not array.flags.writeable
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True
    assert bytes_of(array) == bytes_of(filled(count, dtype))
    found = store["key"]
    assert found.dtype == np.dtype(dtype)
    assert bytes_of(found) == bytes_of(filled(count, dtype))
    assert bytes_of(store.view("key")) == bytes_of(found)
    store["key"] = 1
    churn(store)
    assert bytes_of(array) == bytes_of(filled(count, dtype))


@pytest.mark.parametrize(
    "shape", [(), 7, (0,), (0, 5), (3, 4), [200, 300], (1, 60_000, 1), np.int64(5), (np.int64(5), 2)], ids=str
)
def test_shapes_as_numpy_takes_them(store: shoal.Store, shape: Any) -> None:
    with store.create_array("key", shape, "i4") as array:
        assert array.shape == np.empty(shape, "i4").shape
        array.fill(3)
    assert np.array_equal(store["key"], np.full(shape, 3, "i4"))


def test_dtypes_as_numpy_takes_them(store: shoal.Store) -> None:
    for dtype in (float, np.int16, "U", "S", "(2,3)f4", np.dtype("f8"), None):
        with store.create_array("key", (4, 5), dtype) as array:
            expected = np.empty((4, 5), dtype)
            assert array.shape == expected.shape
            assert array.dtype == expected.dtype
            array.fill(0)
        assert store["key"].dtype == expected.dtype


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        (5, object),
        (5, [("a", "f8"), ("b", object)]),
        (5, "no such type"),
        (-1, "f8"),
        ((3, -1), "f8"),
        ("5", "f8"),
        ((2.5,), "f8"),
        (None, "f8"),
        ((1,) * 70, "f8"),
        (1 << 40, "f8"),
        ((1 << 40, 1 << 40), "f8"),
        ((0, 1 << 62, 8), "f8"),
    ],
    ids=str,
)
def test_what_cannot_be_made_says_so_at_once(store: shoal.Store, shape: Any, dtype: Any) -> None:
    used = store.stats().used
    with pytest.raises(shoal.InvalidValue):
        store.create_array("key", shape, dtype)
    assert store.stats().used == used
    assert "key" not in store


def test_other_errors_come_at_once(backend: Backend, store: shoal.Store) -> None:
    with pytest.raises(shoal.InvalidKey):
        store.create_array("", 5, "f8")
    with pytest.raises(shoal.KeyTypeError):
        store.create_array(5, 5, "f8")  # type: ignore[arg-type]
    with pytest.raises((TypeError, ValueError)):
        store.create_array("key", 5, "f8", ttl="soon")
    with backend.open(flag="r") as reader, pytest.raises(shoal.AccessDenied):
        reader.create_array("key", 5, "f8")
    store.close()
    with pytest.raises(shoal.StoreClosed):
        store.create_array("key", 5, "f8")


@pytest.mark.parametrize("count", [SMALL, LARGE])
def test_an_exception_writes_nothing_and_leaves_nothing(store: shoal.Store, count: int) -> None:
    store["key"] = "old"
    version = store.metadata("key").version
    with store.create_array("warm up", LARGE, "f8"):
        pass
    del store["warm up"]
    used = store.stats().used
    for error in (KeyError, KeyboardInterrupt, GeneratorExit):
        with pytest.raises(error), store.create_array("key", count, "f8") as array:  # noqa: PT012 - the block is what is tested
            array[:] = 5
            raise error
        array[:] = 6  # it is nobody's, but it is there
        assert store["key"] == "old"
        assert store.metadata("key").version == version
        del array
    gc.collect()
    assert store.stats().pinned == 0
    assert store.stats().used == used


def test_one_block_each(store: shoal.Store) -> None:
    made = store.create_array("key", LARGE, "f8")
    with pytest.raises(RuntimeError):
        made.__exit__(None, None, None)
    with made as array:
        array[:] = 1
        with pytest.raises(RuntimeError):
            made.__enter__()
    with pytest.raises(RuntimeError):
        made.__exit__(None, None, None)
    with pytest.raises(RuntimeError), made:
        pass
    unused = store.create_array("other", LARGE, "f8")
    del unused
    assert list(store) == ["key"]


def test_the_ttl_begins_at_the_end_of_the_block(backend: Backend) -> None:
    store = backend.open(ttl=1000)
    for count in (SMALL, LARGE):
        with store.create_array("default", count, "f8"):
            pass
        with store.create_array("never", count, "f8", ttl=None):
            pass
        with store.create_array("soon", count, "f8", ttl=0.05):
            pass
        left = store.ttl("default")
        assert left is not None
        assert 900 < left <= 1000
        assert store.ttl("never") is None
        backend.outlive(store, "soon")
        assert "soon" not in store


def test_it_replaces_as_a_set_does(store: shoal.Store) -> None:
    for count in (SMALL, LARGE):
        store["key"] = np.zeros(LARGE)
        before = store.metadata("key")
        view = store.view("key")
        made: Any = store.create_array("key", count, "f8")
        with made as array:
            array[:] = 1
            assert np.array_equal(store["key"], np.zeros(LARGE))
        after = store.metadata("key")
        assert made.version == after.version > before.version
        assert after.created_at == before.created_at
        assert after.type == "array"
        assert np.array_equal(view, np.zeros(LARGE))
        store.clear()


def test_closing_the_store_inside_the_block(backend: Backend) -> None:
    for count in (SMALL, LARGE):
        store = backend.open()
        with pytest.raises(shoal.StoreClosed), store.create_array("key", count, "f8") as array:  # noqa: PT012 - as above
            store.close()
            array[:] = 5
        assert array.sum() == 5 * count
        del array


def test_dropping_the_namespace_inside_the_block(backend: Backend) -> None:
    """It is made anew, as by any other write; 20 times, so that its keys lie elsewhere at least once."""
    base = backend.open(size="64MiB")
    for _ in range(20):
        store = backend.namespace(base, "other")
        with store.create_array("key", LARGE, "f8") as array:
            array[:] = filled(LARGE)
            base.drop_namespace("other")
        assert np.array_equal(store["key"], filled(LARGE))
        assert np.array_equal(array, filled(LARGE))
        store.clear()
    del array
    assert base.stats().pinned == 0


def test_a_full_store_takes_no_array(backend: Backend) -> None:
    store = backend.open(size="4MiB")
    with pytest.raises(shoal.CapacityExceeded), store.create_array("key", 5 << 20, "u1") as array:
        array[:1] = 1
    assert "key" not in store
    limited = backend.namespace(store, "limited", max_keys=1)
    with pytest.raises(shoal.CapacityExceeded), limited.create_array("key", LARGE, "u1") as array:
        limited["other"] = 1
    del array
    assert list(limited) == ["other"]
    assert store.stats().pinned == 0


# ---------------------------------------------------------------- in memory


def test_fields_of_memory_in_place(store: shoal.Store) -> None:
    """By paths, all of it is as by keys."""
    memory = store.memory("agent")
    with memory.create_array("state.weights", LARGE, "f8") as array:
        array[:] = filled(LARGE)
        assert not memory.is_exist("state")
    assert not array.flags.writeable
    memory.set("state.text", "x" * 100_000)
    memory.set("state.small", filled(SMALL))
    view, text, small = memory.view("state.weights"), memory["state"].view("text"), memory.view("state.small")
    assert np.array_equal(memory["state.weights"], filled(LARGE))
    memory.delete("state")
    churn(store)
    assert np.array_equal(view, filled(LARGE))
    assert np.array_equal(array, filled(LARGE))
    assert bytes(text) == b"x" * 100_000
    assert np.array_equal(small, filled(SMALL))
    assert not view.flags.writeable


def test_what_has_no_view_in_memory(store: shoal.Store) -> None:
    memory = store.memory("agent")
    memory.set("object.value", 1)
    with pytest.raises(shoal.KeyNotFound):
        memory.view("absent")
    with pytest.raises(shoal.KeyNotFound):
        memory.view("object.value.below")
    for path in ("object", "object.value"):
        with pytest.raises(shoal.InvalidValue):
            memory.view(path)


@pytest.mark.parametrize("count", [SMALL, LARGE])
def test_conflicts_of_arrays_in_memory(store: shoal.Store, count: int) -> None:
    memory = store.memory("agent")
    memory.set("object.value", 1)
    with pytest.raises(shoal.PathConflict):
        memory.create_array("object", count, "f8")
    with pytest.raises(shoal.PathConflict):
        memory.create_array("", count, "f8")
    with pytest.raises(shoal.PathConflict), memory.create_array("object.value.below", count, "f8"):
        pass
    with pytest.raises(shoal.PathConflict), memory.create_array("later", count, "f8"):
        memory.set("later.field", 1)
    assert memory.to_dict() == {"object": {"value": 1}, "later": {"field": 1}}
    gc.collect()
    assert store.stats().pinned == 0
