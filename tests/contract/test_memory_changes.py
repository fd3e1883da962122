"""Changes of single fields: versions, compare_and_set, modify, incr, metadata, arrays."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import shoal
from shoal.options import KEEP

# ---------------------------------------------------------------------- versions


def test_versions_grow(memory: shoal.MemoryObject) -> None:
    seen = 0
    for write in (
        lambda: memory.set("a.b", 1),
        lambda: memory.set("a.b", 1),
        lambda: memory.incr("a.b"),
        lambda: memory.modify("a.b", lambda old: old + 1),
        lambda: memory.compare_and_set("a.b", 5, memory.get_versioned("a.b")[1]),
        lambda: memory.set("a.b", 6, overwrite=True),
        lambda: memory.delete("a.b") and memory.set("a.b", 7),  # not even when it was away
        lambda: memory.delete("a") and memory.set("a.b", 8),
        lambda: memory.new_object("a", overwrite=True).set("b", 9),
    ):
        write()
        value, version = memory.get_versioned("a.b")
        assert value == memory.get("a.b")
        assert version > seen
        assert memory.metadata("a.b").version == version
        seen = version


def test_reading_and_touching_leave_the_version(memory: shoal.MemoryObject) -> None:
    version = memory.set("a.b", 1).version
    memory.get("a.b")
    memory.touch("a.b", 1000)
    memory.touch("a", 1000)
    memory.set("a.c", 2)
    assert memory.get_versioned("a.b") == (1, version)


def test_an_object_has_a_version(memory: shoal.MemoryObject) -> None:
    memory.set("a.b.c", 1)
    found, version = memory.get_versioned("a.b")
    assert found == memory.get("a.b")
    assert version == memory.metadata("a.b").version > 0
    memory.set("a.b.d", 2)
    assert memory.get_versioned("a.b") == (found, version)


def test_compare_and_set(memory: shoal.MemoryObject) -> None:
    version = memory.set("a.b", 1).version
    assert not memory.compare_and_set("a.b", 2, version + 1)
    assert not memory.compare_and_set("a.b", 2, version - 1) or version == 1
    assert not memory.compare_and_set("a.b", 2, 0)
    assert memory.get_versioned("a.b") == (1, version)
    assert memory.compare_and_set("a.b", 2, version)
    assert not memory.compare_and_set("a.b", 3, version)
    assert memory.get("a.b") == 2


def test_compare_and_set_with_nothing_there(memory: shoal.MemoryObject) -> None:
    assert not memory.compare_and_set("x.y.z", 1, 5)
    assert memory.to_dict() == {}  # no objects were made on the way
    assert memory.compare_and_set("x.y.z", 1, 0)
    assert not memory.compare_and_set("x.y.z", 2, 0)
    assert memory.to_dict() == {"x": {"y": {"z": 1}}}
    version = memory.get_versioned("x.y.z")[1]
    memory.delete("x")
    assert not memory.compare_and_set("x.y.z", 3, version)
    assert memory.to_dict() == {}


def test_the_version_of_an_object_lets_no_value_in(memory: shoal.MemoryObject) -> None:
    memory.set("a.b", 1)
    with pytest.raises(shoal.PathConflict):
        memory.compare_and_set("a", 2, memory.metadata("a").version)
    assert memory.to_dict() == {"a": {"b": 1}}


@pytest.mark.parametrize("version", [-1, 1.0, None, "1", True])
def test_what_is_no_version(memory: shoal.MemoryObject, version: object) -> None:
    memory.set("a", 1)
    with pytest.raises(shoal.InvalidValue):
        memory.compare_and_set("a", 2, version)  # type: ignore[arg-type]
    assert memory.get("a") == 1


def test_modify(memory: shoal.MemoryObject) -> None:
    memory.set("a.b", [1], ttl=1000)
    assert memory.modify("a.b", lambda value: [*value, 2]) == [1, 2]
    assert memory.get("a.b") == [1, 2]
    assert memory.ttl("a.b") > 900  # type: ignore[operator]
    with pytest.raises(shoal.KeyNotFound):
        memory.modify("a.c", lambda value: value)
    assert memory.modify("x.y", lambda value: value + 1, default=0) == 1
    assert memory.modify("x.n", lambda value: value, default=None) is None
    with pytest.raises(ZeroDivisionError):
        memory.modify("x.y", lambda value: value / 0)
    assert memory.to_dict() == {"a": {"b": [1, 2]}, "x": {"y": 1, "n": None}}


def test_modify_sees_what_others_wrote(memory: shoal.MemoryObject) -> None:
    memory.set("a.b", 1)
    calls = []

    def change(value: int) -> int:
        calls.append(value)
        if len(calls) == 1:
            memory.set("a.b", 10)
        elif len(calls) == 2:
            memory.delete("a")
            memory.set("a.b", 20)
        return value + 1

    assert memory.modify("a.b", change) == 21
    assert calls == [1, 10, 20]
    assert memory.get("a.b") == 21


# ---------------------------------------------------------------------- incr


def test_incr(memory: shoal.MemoryObject) -> None:
    assert memory.incr("a.n") == 1
    assert memory.incr("a.n", 5) == 6
    assert memory.incr("a.n", -10) == -4
    assert memory.incr("a.m", initial=10) == 11
    assert memory.incr("a.f", 0.5) == 0.5
    assert memory.incr("a.n", 0.5) == -3.5
    assert memory.to_dict() == {"a": {"n": -3.5, "m": 11, "f": 0.5}}
    assert type(memory.get("a.m")) is int


def test_incr_keeps_or_sets_the_expiry(memory: shoal.MemoryObject) -> None:
    memory.set("n", 1, ttl=1000)
    memory.incr("n")
    assert memory.ttl("n") > 900  # type: ignore[operator]
    memory.incr("n", ttl=None)
    assert memory.ttl("n") is None
    memory.incr("m", ttl=1000)
    assert memory.ttl("m") > 900  # type: ignore[operator]


@pytest.mark.parametrize("value", ["1", None, True, [1], 2**70])
def test_incr_of_what_is_no_number(memory: shoal.MemoryObject, value: object) -> None:
    version = memory.set("a.b", value).version
    with pytest.raises(shoal.InvalidValue):
        memory.incr("a.b")
    assert memory.get_versioned("a.b") == (value, version)


@pytest.mark.parametrize("by", ["1", None, True, [1], 2**63])
def test_incr_by_what_is_no_number(memory: shoal.MemoryObject, by: object) -> None:
    memory.set("a", 1)
    with pytest.raises(shoal.InvalidValue):
        memory.incr("a", by)  # type: ignore[arg-type]
    with pytest.raises(shoal.InvalidValue):
        memory.incr("new", 1, initial=by)  # type: ignore[arg-type]
    assert memory.to_dict() == {"a": 1}


def test_incr_stays_in_range(memory: shoal.MemoryObject) -> None:
    memory.set("n", 2**63 - 1)
    with pytest.raises(shoal.InvalidValue):
        memory.incr("n")
    assert memory.get("n") == 2**63 - 1
    memory.set("f", 1e308)
    assert memory.incr("f", 1e308) == math.inf


# ---------------------------------------------------------------------- metadata


def test_metadata(memory: shoal.MemoryObject) -> None:
    start = datetime.now(UTC) - timedelta(seconds=1)
    ref = memory.set("a.b", "text")
    meta = memory.metadata("a.b")
    assert meta.type == "str"
    assert meta.size == 5
    assert meta.version == ref.version
    assert meta.expires_at is None
    assert start < meta.created_at <= meta.modified_at < datetime.now(UTC) + timedelta(seconds=1)
    memory.set("a.b", [1, 2])
    again = memory.metadata("a.b")
    assert again.type == "list"
    assert again.created_at == meta.created_at
    assert again.modified_at >= meta.modified_at
    assert memory.get("a").metadata("b") == again


@pytest.mark.parametrize(
    ("value", "kind"), [(None, "none"), (1, "int"), (1.5, "float"), (b"", "bytes"), ({}, "dict"), ((), "tuple")]
)
def test_metadata_names_the_type(memory: shoal.MemoryObject, value: object, kind: str) -> None:
    memory.set("value", value)
    assert memory.metadata("value").type == kind


def test_metadata_of_an_object(memory: shoal.MemoryObject) -> None:
    memory.set("a.b", 1)
    for meta in (memory.metadata("a"), memory.get("a").metadata("")):
        assert meta.type == "object"
        assert meta.expires_at is None
        assert meta.version > 0
        assert meta.created_at <= datetime.now(UTC) + timedelta(seconds=1)


def test_the_root_is_no_entry(store: shoal.Store) -> None:
    root = store.memory()
    root.set("a", 1)
    for call in (root.metadata, root.ttl):
        with pytest.raises(shoal.KeyNotFound):
            call("")
    assert not root.touch("", 5)
    assert root.to_dict() == {"a": 1}


# ---------------------------------------------------------------------- arrays and views


def test_arrays(memory: shoal.MemoryObject) -> None:
    array = np.arange(12.0).reshape(3, 4)
    memory.set("a.b", array)
    found = memory.get("a.b")
    np.testing.assert_array_equal(found, array)
    found[0, 0] = 100  # a copy
    np.testing.assert_array_equal(memory.get("a.b"), array)
    assert memory.metadata("a.b").type == "array"


@pytest.mark.parametrize("array", [np.arange(1000), np.zeros((3, 0)), np.array(5), np.asfortranarray(np.eye(3)), None])
def test_view_of_an_array(memory: shoal.MemoryObject, array: np.ndarray | None) -> None:
    if array is None:
        array = np.arange(300_000, dtype="<u4")
    memory.set("a.b", array)
    view = memory.view("a.b")
    assert type(view) is np.ndarray
    assert view.dtype == array.dtype
    np.testing.assert_array_equal(view, array)
    assert not view.flags.writeable
    memory.set("a.b", array * 0 - 1)
    memory.delete("a")
    np.testing.assert_array_equal(view, array)


@pytest.mark.parametrize("value", [b"", b"bytes", b"x" * 100_000, "", "text", "имя", "y" * 100_000])
def test_view_of_bytes_and_text(memory: shoal.MemoryObject, value: bytes | str) -> None:
    memory.set("a.b", value)
    view = memory.view("a.b")
    assert type(view) is memoryview
    assert view.readonly
    assert view.tobytes() == (value if isinstance(value, bytes) else value.encode())
    memory.set("a.b", 0)
    assert view.tobytes() == (value if isinstance(value, bytes) else value.encode())


@pytest.mark.parametrize("value", [None, 1, [1], {"a": 1}, (b"x",)])
def test_no_view_of_other_types(memory: shoal.MemoryObject, value: object) -> None:
    memory.set("a.b", value)
    for path in ("a.b", "a"):
        with pytest.raises(shoal.InvalidValue):
            memory.view(path)


def test_create_array(memory: shoal.MemoryObject) -> None:
    with memory.create_array("a.b", (2, 3), "f4", ttl=1000) as array:
        assert array.shape == (2, 3)
        assert array.dtype == np.float32
        assert not memory.is_exist("a")  # nothing to be seen before it is done
        array[:] = [[1, 2, 3], [4, 5, 6]]
    np.testing.assert_array_equal(memory.get("a.b"), [[1, 2, 3], [4, 5, 6]])
    assert memory.get("a.b").dtype == np.float32
    assert memory.ttl("a.b") > 900  # type: ignore[operator]
    with memory.create_array("a.b", 2, int) as array:
        array[:] = 7
    assert memory.get("a.b").tolist() == [7, 7]
    assert memory.ttl("a.b") is None


def test_an_exception_in_the_block_publishes_nothing(memory: shoal.MemoryObject) -> None:
    with pytest.raises(ZeroDivisionError), memory.create_array("a.b", 1000, "u1") as array:
        array[:] = 1 / 0
    assert memory.to_dict() == {}
    memory.set("a.b", "old")
    with pytest.raises(ZeroDivisionError), memory.create_array("a.b", 1000, "u1") as array:
        array[:] = 1 / 0
    assert memory.to_dict() == {"a": {"b": "old"}}


def test_create_array_over_an_object(memory: shoal.MemoryObject) -> None:
    memory.set("a.b", 1)
    for path in ("a", "a.b.c"):
        with pytest.raises(shoal.PathConflict), memory.create_array(path, 2, "u1"):
            pass
    assert memory.to_dict() == {"a": {"b": 1}}


def test_an_array_of_objects_is_none(memory: shoal.MemoryObject) -> None:
    with pytest.raises(shoal.InvalidValue), memory.create_array("a", 2, object):
        pass
    assert memory.to_dict() == {}


def test_keep_leaves_the_expiry(memory: shoal.MemoryObject) -> None:
    version = memory.set("a", 1, ttl=1000).version
    assert memory.compare_and_set("a", 2, version, ttl=KEEP)
    assert memory.ttl("a") > 900  # type: ignore[operator]
    assert memory.compare_and_set("a", 3, memory.get_versioned("a")[1])
    assert memory.ttl("a") is None
