"""Values that the binding encodes itself: the codec's bytes, of every type and size."""

from __future__ import annotations

import math
from datetime import timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import shoal
from shoal import codec
from shoal.arena import ArenaStore

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def store() -> Iterator[ArenaStore]:
    with shoal.open(None, size="256MiB") as opened:
        assert isinstance(opened, ArenaStore)
        yield opened


# ---------------------------------------------------------------------- values

INTS = [
    0,
    1,
    -1,
    -32,
    -33,
    *(s * (2**p) + d for p in (5, 7, 8, 15, 16, 31, 32, 62) for s in (1, -1) for d in (-1, 0, 1)),
]
SCALARS = [None, True, False, *INTS, 2**63 - 1, -(2**63), 0.0, -0.0, 1.5, math.inf, -math.inf, 1e308, 5e-324]
SIZES = [0, 1, 31, 32, 255, 256, 500, 507, 508, 509, 510, 511, 512, 513, 65_531, 65_535, 65_536, 65_537, 200_000]
TEXTS = ["é", "日本", "🐟", "a" * 600 + "é", "é" * 40_000, "\0", "x" * 100_000 + "\U0010ffff"]
OTHERS: list[Any] = [
    [1, "a", None],
    {"a": {"b": [1.5]}},
    (1, 2),
    {1, 2},
    2**64,
    -(2**70),
    2**63,
    bytearray(b"abc"),
    timedelta(1),
    np.float32(1.5),
    ["x" * 1000] * 100,
]


@pytest.mark.parametrize(
    "value", [*SCALARS, *TEXTS, *OTHERS], ids=lambda value: f"{type(value).__name__}:{value!r}"[:30]
)
def test_bytes_are_those_of_the_codec(store: ArenaStore, value: Any) -> None:
    store["k"] = value
    data, meta = store._get_encoded("k") or (b"", None)
    assert data == codec.encode(value)
    assert store._encode(value) == data
    assert meta is not None
    assert meta.size == len(data)
    got = store["k"]
    want = codec.decode(data)
    assert type(got) is type(want)
    assert got == want


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [str, bytes])
def test_text_and_bytes_of_every_size(store: ArenaStore, size: int, kind: type) -> None:
    value: Any = ("abcdefg" * size)[:size]
    value = value if kind is str else value.encode()
    version = store.set("k", value)
    assert store._encode(value) == codec.encode(value)
    got = store.get("k")
    assert type(got) is kind
    assert got == value
    assert store.get_versioned("k") == (value, version)
    assert store.swap("k", 1) == value
    store["k"] = value
    assert store.pop("k") == value


def test_nan_and_signed_zero(store: ArenaStore) -> None:
    store["k"] = math.nan
    assert math.isnan(store["k"])
    store["k"] = -0.0
    assert math.copysign(1, store["k"]) == -1


class Text(str):
    """A str, but not exactly."""

    __slots__ = ()


class Number(int):
    """An int, but not exactly."""

    __slots__ = ()


class Flag(IntEnum):
    """An int and an Enum."""

    ON = 1


@pytest.mark.parametrize("value", [Text("x"), Number(5), Flag.ON])
def test_subclasses_are_the_codecs(store: ArenaStore, value: Any) -> None:
    store["k"] = value
    assert store._encode(value) == codec.encode(value)
    assert type(store["k"]) is type(value)


@pytest.mark.parametrize("size", [1, 1000, 100_000])
def test_lone_surrogates_leave_the_old_value(store: ArenaStore, size: int) -> None:
    store["k"] = "old"
    with pytest.raises(shoal.InvalidValue):
        store["k"] = "x" * size + "\udc80"
    assert store["k"] == "old"


def test_what_only_pickle_can_say() -> None:
    with shoal.open(None, allow_pickle=False) as store, shoal.open(store.name) as trusting:
        assert trusting.allow_pickle
        with pytest.raises(shoal.InvalidValue):
            store["k"] = Unspeakable()
        trusting["k"] = Unspeakable()
        assert isinstance(trusting["k"], Unspeakable)
        with pytest.raises(shoal.InvalidValue):
            _ = store["k"]


class Unspeakable:
    """Only pickle knows how to write one."""


def test_a_wider_mode_does_not_trust_pickles() -> None:
    with shoal.open(None, mode=0o660) as store:
        assert not store.allow_pickle


# ---------------------------------------------------------------------- arrays

FIELDS = np.dtype([("a", "<i4"), ("b", "<f8", (2,)), ("c", "S3")])
ARRAYS = {
    "vector": np.arange(10, dtype="f4"),
    "matrix": np.arange(12, dtype="i8").reshape(3, 4),
    "fortran": np.asfortranarray(np.arange(12, dtype="i8").reshape(3, 4)),
    "cube-fortran": np.arange(24.0).reshape(2, 3, 4).T,
    "strided": np.arange(20)[::2],
    "reversed": np.arange(20)[::-1],
    "transposed-part": np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    "zero-d": np.array(3.5),
    "zero-d-date": np.array("2024-01-02", "M8[D]"),
    "empty": np.zeros(0),
    "empty-cube": np.zeros((3, 0, 2), "i2"),
    "empty-fortran": np.zeros((3, 0), "i2", order="F"),
    "big-endian": np.arange(5, dtype=">i4"),
    "bool": np.array([True, False]),
    "complex": np.array([1 + 2j, 3]),
    "half": np.array([1, 2], "f2"),
    "bytes": np.array([b"ab", b"c"]),
    "text": np.array(["ab", "ç"]),
    "raw": np.array([b"abc"], "V3"),
    "structured": np.array([(1, (2.0, 3.0), b"xyz"), (4, (5.0, 6.0), b"")], FIELDS),
    "structured-part": np.zeros((4, 4), FIELDS)[::2, ::2],
    "aligned": np.zeros(3, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    "dates": np.array(["2024-01-01", "NaT"], "M8[ns]"),
    "spans": np.array([1, 2], "m8[s]"),
    "read-only": np.frombuffer(b"abcdefgh", "u1"),
    "just-small": np.zeros(384, "u1"),
    "just-medium": np.zeros(449, "u1"),
    "medium": np.arange(5000.0),
    "at-the-threshold": np.zeros((64 << 10) - 64, "u1"),
    "above-the-threshold": np.zeros((64 << 10) - 63, "u1"),
    "large": np.arange(100_000.0),
    "large-fortran": np.asfortranarray(np.arange(100_000.0).reshape(100, 1000)),
    "large-strided": np.arange(100_000.0)[::2],
    "many-dimensions": np.zeros((1,) * 32),
    "many-fields": np.zeros(3, [(f"field_{i}", "<f4") for i in range(300)]),
    "large-many-fields": np.zeros(300, [(f"field_{i}", "<f4") for i in range(300)]),
}


@pytest.mark.parametrize("label", ARRAYS)
def test_arrays(store: ArenaStore, label: str) -> None:
    array = ARRAYS[label]
    for _ in range(2):  # with cold and with warm caches of dtypes
        store["k"] = array
        got = store["k"]
        assert type(got) is np.ndarray
        assert got.dtype == array.dtype
        assert got.dtype.byteorder == array.dtype.byteorder
        assert got.shape == array.shape
        assert got.tobytes() == array.tobytes()
        assert got.flags.owndata
        assert got.flags.writeable
        assert got.flags.c_contiguous or array.flags.f_contiguous
        if array.flags.f_contiguous:
            assert got.flags.f_contiguous
        assert store._encode(array) == codec.encode(array)
        assert (store._get_encoded("k") or [b""])[0] == codec.encode(array)
        assert store.metadata("k").type == "array"


def test_arrays_that_are_no_plain_ndarray(store: ArenaStore) -> None:
    for value in (np.ma.masked_array([1, 2], [0, 1]), np.rec.array([(1, 2.0)]), np.int16(5)):
        assert store._encode(value) == codec.encode(value)


def test_object_arrays_are_refused(store: ArenaStore) -> None:
    store["k"] = "old"
    with pytest.raises(shoal.InvalidValue):
        store["k"] = np.array([object()])
    with pytest.raises(shoal.InvalidValue):
        store["k"] = np.zeros(2, [("a", "O")])
    assert store["k"] == "old"


def test_values_are_copies(store: ArenaStore) -> None:
    array = np.zeros(4)
    store["k"] = array
    array[0] = 1
    got = store["k"]
    got[1] = 2
    assert store["k"].tolist() == [0, 0, 0, 0]


def damaged_arrays() -> dict[str, bytes]:
    good = bytearray(codec.encode(np.arange(6, dtype="<i4").reshape(2, 3)))
    changes = {
        "order": (6, b"X"),
        "ndim": (7, b"\xff"),
        "length": (8, b"\xff\xff"),
        "offset": (10, b"\x41"),
        "far": (10, b"\xc0\xff"),
    }
    changes |= {"shape": (12, b"\xff" * 8), "zero": (12, bytes(8)), "dtype": (28, b"O|8"), "nonsense": (28, b"zzz")}
    found = {}
    for label, (at, text) in changes.items():
        bad = bytearray(good)
        bad[at : at + len(text)] = text
        found[label] = bytes(bad)
    found["short"] = bytes(good[:-1])
    found["head only"] = bytes(good[:8])
    return found


@pytest.mark.parametrize("label", damaged_arrays())
def test_damaged_arrays_are_errors(store: ArenaStore, label: str) -> None:
    store._set_encoded("k", damaged_arrays()[label], None)
    with pytest.raises(shoal.InvalidValue):
        store.get("k")


@pytest.mark.parametrize(
    "data", [b"\xa5ab", b"\xd9\x05ab", b"\xa2\xff\xfe", b"\xc1", b"\xc4\x09a", b"\xcd\x01", b"\x01\x02", b""]
)
def test_damaged_values_are_errors(store: ArenaStore, data: bytes) -> None:
    store._set_encoded("k", data, None)
    with pytest.raises(shoal.InvalidValue):
        store.get("k")


def test_damaged_long_text_is_an_error(store: ArenaStore) -> None:
    for size in (1000, 100_000):
        store._set_encoded("k", b"\xdb" + size.to_bytes(4, "big") + b"\xff" * size, None)
        with pytest.raises(shoal.InvalidValue):
            store.get("k")


def test_a_record_dtype_stays_one_although_it_equals_a_plain_structured_one(store: shoal.Store) -> None:
    fields = [("a", "<i4"), ("b", "<f8")]
    plain, record = np.zeros(2, np.dtype(fields)), np.zeros(2, np.dtype((np.record, fields)))
    for first, second in ((plain, record), (record, plain)):
        store["first"], store["second"] = first, second
        assert store["first"].dtype.type is first.dtype.type
        assert store["second"].dtype.type is second.dtype.type
