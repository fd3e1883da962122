"""Fields of a memory: set, get, what may lie where, and what is in the way."""

from __future__ import annotations

import json
import math
import pickle
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

import shoal
from shoal.memory.path import join, split

if TYPE_CHECKING:
    from conftest import Backend

FALSY = [None, False, 0, 0.0, "", b"", [], {}, (), set()]
VALUES = [
    *FALSY,
    *(True, 1, -(2**63), 2**200, 1.5, math.inf, "text", "\0", b"\0", [1, [2]], {"a": {"b": None}}, {1: 2}),
    *((1, "a"), {1, 2}, datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), "x" * 100_000, b"y" * 300_000, list(range(5000))),
]
SHORT = [repr(value)[:20] for value in VALUES]


def absolute(memory: shoal.MemoryObject, path: str) -> str:
    return join(split(path, memory._names))


@pytest.mark.parametrize("value", VALUES, ids=SHORT)
def test_a_value_comes_back_as_it_was(memory: shoal.MemoryObject, value: Any) -> None:
    memory.set("user.value", value)
    for found in (memory.get("user.value"), memory["user.value"], memory.get("user").get("value")):
        assert found == value
        assert type(found) is type(value)
    assert memory.get("user.value", "default") == value
    assert memory.is_exist("user.value")
    assert "user.value" in memory
    assert memory.to_dict() == {"user": {"value": value}}


def test_what_is_missing(memory: shoal.MemoryObject) -> None:
    memory.set("a.b", 1)
    for path in ("x", "a.x", "x.y.z", "a.b.c", "a.b.c.d", "A", "a.b "):
        assert memory.get(path) is None
        assert memory.get(path, "default") == "default"
        assert not memory.is_exist(path)
        assert path not in memory
        assert not memory.delete(path)
        assert not memory.touch(path, 5)
        assert memory._get_encoded(path) is None
        assert memory._fields(path) == []
        for call in (
            memory.__getitem__,
            memory.__delitem__,
            memory.get_versioned,
            memory.ttl,
            memory.metadata,
            memory.view,
        ):
            with pytest.raises(shoal.KeyNotFound) as caught:
                call(path)
            assert caught.value.key == absolute(memory, path)
            assert isinstance(caught.value, KeyError)
    assert memory.to_dict() == {"a": {"b": 1}}


def test_a_value_is_a_copy(memory: shoal.MemoryObject) -> None:
    value = {"list": [1]}
    memory.set("value", value)
    value["list"].append(2)
    found = memory.get("value")
    assert found == {"list": [1]}
    found["list"].append(3)
    assert memory.get("value") == {"list": [1]}


def test_objects_are_made_on_the_way(memory: shoal.MemoryObject) -> None:
    memory.set("a.b.c", 1)
    for path in ("a", "a.b"):
        assert memory.is_exist(path)
        found = memory.get(path)
        assert isinstance(found, shoal.MemoryObject)
        assert found.path == absolute(memory, path)
        assert memory.metadata(path).type == "object"
    memory.get("a.b").set("tmp", 2)
    memory.get("a").set("b.d.e", 3)
    assert memory.to_dict() == {"a": {"b": {"c": 1, "tmp": 2, "d": {"e": 3}}}}
    assert memory.get("a").get("b").get("tmp") == memory["a"]["b.tmp"] == memory["a.b"]["tmp"] == 2


def test_setting_again_replaces(memory: shoal.MemoryObject) -> None:
    for value in (1, "two", None, [3] * 10_000, 4):
        memory.set("a.b", value)
        assert memory.get("a.b") == value
    memory["a.b"] = 5
    assert memory["a.b"] == 5
    assert memory.to_dict() == {"a": {"b": 5}}


def test_a_dict_is_one_value(memory: shoal.MemoryObject) -> None:
    memory.set("user", {"name": "john"})
    assert memory.get("user") == {"name": "john"}
    assert memory.get("user.name") is None
    assert memory.metadata("user").type == "dict"
    with pytest.raises(shoal.PathConflict):
        memory.set("user.age", 13)


def test_siblings_stay_as_they_are(memory: shoal.MemoryObject) -> None:
    memory.update({"a": {"b": 1, "c": {"d": 2}}, "e": 3})
    versions = {path: memory.get_versioned(path)[1] for path in ("a.b", "a.c.d", "e")}
    memory.set("a.new", 4)
    memory.set("a.c.new.newer", 5)
    memory.delete("a.new")
    assert {path: memory.get_versioned(path)[1] for path in versions} == versions


# ---------------------------------------------------------------------- conflicts


def test_a_value_does_not_replace_an_object(memory: shoal.MemoryObject) -> None:
    memory.set("a.b.c", 1)
    for path in ("a", "a.b"):
        for write in (
            lambda path=path: memory.set(path, 2),
            lambda path=path: memory.__setitem__(path, 2),
            lambda path=path: memory.compare_and_set(path, 2, 0),
            lambda path=path: memory.incr(path),
            lambda path=path: memory.modify(path, pytest.fail),
            lambda path=path: memory.modify(path, pytest.fail, default=0),
            lambda path=path: memory.update({path.split(".")[0]: 2}),
        ):
            with pytest.raises(shoal.PathConflict) as caught:
                write()
            assert caught.value.key in (absolute(memory, path), absolute(memory, "a"))
            assert isinstance(caught.value, shoal.InvalidKey)
    assert memory.to_dict() == {"a": {"b": {"c": 1}}}


def test_the_conflict_names_what_is_in_the_way(memory: shoal.MemoryObject) -> None:
    memory.update({"object": {"inner": {}}, "value": 1, r"dotted.name": 2})
    for write, key in [
        (lambda: memory.set("object.inner", 1), "object.inner"),
        (lambda: memory.set("value.a.b.c", 1), "value"),
        (lambda: memory.new_object("value.a.b.c"), "value"),
        (lambda: memory.new_object("value"), "value"),
        (lambda: memory.set(r"dotted\.name.a", 1), r"dotted\.name"),
        (lambda: memory._child("value").set("a", 1), "value"),
    ]:
        with pytest.raises(shoal.PathConflict) as caught:
            write()
        assert caught.value.key == absolute(memory, key)
        assert pickle.loads(pickle.dumps(caught.value)).key == caught.value.key


def test_a_field_does_not_replace_a_value_above_it(memory: shoal.MemoryObject) -> None:
    memory.set("a.b", 1)
    for path in ("a.b.c", "a.b.c.d"):
        for write in (
            lambda path=path: memory.set(path, 2),
            lambda path=path: memory.compare_and_set(path, 2, 0),
            lambda path=path: memory.incr(path),
            lambda path=path: memory.modify(path, lambda _: 2, default=0),
            lambda path=path: memory.new_object(path),
            lambda: memory.update({"a": {"b": {"c": 2}}}),
        ):
            with pytest.raises(shoal.PathConflict) as caught:
                write()
            assert caught.value.key == absolute(memory, "a.b")
        with pytest.raises(shoal.KeyNotFound):
            memory.modify(path, lambda _: 2)
    assert memory.to_dict() == {"a": {"b": 1}}


def test_overwrite_puts_a_value_over_an_object(memory: shoal.MemoryObject) -> None:
    memory.update({"a": {"b": {"c": 1, "d": {"e": 2}}, "f": 3}})
    memory.set("a.b", "value", overwrite=True)
    assert memory.to_dict() == {"a": {"b": "value", "f": 3}}
    assert memory.get("a.b.d.e", "gone") == "gone"
    memory.set("a", None, overwrite=True)
    assert memory.to_dict() == {"a": None}


def test_overwrite_puts_an_object_over_a_value(memory: shoal.MemoryObject) -> None:
    memory.set("a", 1)
    memory.set("a.b.c", 2, overwrite=True)
    assert memory.to_dict() == {"a": {"b": {"c": 2}}}
    memory.set("a.b.c.d", 3, overwrite=True)
    assert memory.to_dict() == {"a": {"b": {"c": {"d": 3}}}}


def test_overwrite_of_the_same_kind_is_an_ordinary_set(memory: shoal.MemoryObject) -> None:
    memory.set("a.b", 1, overwrite=True)
    memory.set("a.c", 2, overwrite=True)
    memory.set("a.b", 3, overwrite=True)
    assert memory.to_dict() == {"a": {"b": 3, "c": 2}}


def test_what_was_under_an_object_does_not_come_back(memory: shoal.MemoryObject) -> None:
    memory.set("a.b.c", 1)
    memory.set("a", 0, overwrite=True)
    memory.set("a.x", 2, overwrite=True)
    assert memory.to_dict() == {"a": {"x": 2}}
    memory.delete("a")
    memory.set("a.b.y", 3)
    assert memory.to_dict() == {"a": {"b": {"y": 3}}}


def test_the_object_itself_takes_no_value(memory: shoal.MemoryObject) -> None:
    memory.set("a", 1)
    for write in (
        lambda: memory.set("", 1),
        lambda: memory.set("", 1, overwrite=True),
        lambda: memory.__setitem__("", 1),
        lambda: memory.compare_and_set("", 1, 0),
        lambda: memory.incr(""),
        lambda: memory.modify("", lambda value: value, default=0),
    ):
        with pytest.raises(shoal.PathConflict) as caught:
            write()
        assert caught.value.key == memory.path
    assert memory.to_dict() == {"a": 1}


@pytest.mark.parametrize("value", [lambda: 1, {"a": [1, lambda: 1]}, [memoryview(b"x")]], ids=["one", "dict", "list"])
def test_what_cannot_be_stored_changes_nothing(memory: shoal.MemoryObject, value: Any) -> None:
    memory.set("a.b", 1)
    version = memory.get_versioned("a.b")[1]
    for write in (
        lambda: memory.set("a.b", value),
        lambda: memory.set("new.b", value),
        lambda: memory.set("a", value, overwrite=True),
        lambda: memory.set("a.b.c", value, overwrite=True),
        lambda: memory.compare_and_set("a.b", value, version),
        lambda: memory.modify("a.b", lambda _: value),
    ):
        with pytest.raises(shoal.InvalidValue):
            write()
    assert memory.get_versioned("a.b") == (1, version)
    assert memory.to_dict() == {"a": {"b": 1}}


def test_a_memory_object_is_no_value(memory: shoal.MemoryObject) -> None:
    memory.set("a.b", 1)
    for write in (
        lambda: memory.set("c", memory.get("a")),
        lambda: memory.set("a", memory, overwrite=True),
        lambda: memory.compare_and_set("c", memory, 0),
        lambda: memory.update(c=memory.get("a")),
        lambda: memory.update({"x": 1, "c": {"d": memory.get("a")}}),
        lambda: memory.from_dict({"x": 1, "c": memory.get("a")}),
    ):
        with pytest.raises(shoal.InvalidValue, match="MemoryObject"):
            write()
    assert memory.to_dict() == {"a": {"b": 1}}


# ---------------------------------------------------------------------- references


def test_set_gives_a_reference(memory: shoal.MemoryObject) -> None:
    ref = memory.set(r"user.v1\.2", "john")
    assert isinstance(ref, shoal.MemoryRef)
    assert ref.path == absolute(memory, r"user.v1\.2")
    assert ref.namespace == memory.namespace_name == "default"
    assert ref.version == memory.get_versioned(r"user.v1\.2")[1] > 0
    assert ref.expires is None
    assert ref.kind == memory.kind
    again = memory.set(r"user.v1\.2", "jack")
    assert again.version > ref.version
    assert again._replace(version=ref.version) == ref


def test_a_reference_leads_to_the_field_from_everywhere(store: shoal.Store, memory: shoal.MemoryObject) -> None:
    ref = memory.set("user.name", "john")
    memory.set("other.name", "jack")
    for place in (memory, memory.get("user"), memory.get("other"), store.memory(), store.memory("no.where")):
        assert place.get(ref) == "john"
        assert place[ref] == "john"
    memory.set("user.name", "jim")
    assert memory.get(ref) == "jim"  # a version does not pin it here
    memory.delete("user")
    assert memory.get(ref) is None
    assert memory.get(ref, "default") == "default"
    with pytest.raises(shoal.KeyNotFound):
        memory[ref]


def test_a_reference_is_one_after_other_formats(memory: shoal.MemoryObject) -> None:
    ref = memory.set("user.name", "john", ttl=1000)
    assert hash(ref) == hash(pickle.loads(pickle.dumps(ref)))
    for travelled in (
        pickle.loads(pickle.dumps(ref)),
        json.loads(json.dumps(ref)),
        json.loads(json.dumps(ref._asdict())),
        msgpack.unpackb(msgpack.packb(ref)),
        msgpack.unpackb(msgpack.packb(ref), use_list=False),
        [ref.path, ref.namespace, 0, None, ref.kind],
    ):
        assert memory.get(travelled) == "john"
        assert memory[travelled] == "john"


def test_a_reference_to_an_object(memory: shoal.MemoryObject) -> None:
    memory.set("a.b.c", 1)
    found = memory.get(shoal.MemoryRef(absolute(memory, "a.b"), kind=memory.kind))
    assert isinstance(found, shoal.MemoryObject)
    assert found == memory.get("a.b")
    assert found.get("c") == 1


@pytest.mark.parametrize(
    "path", [5, None, b"a", [], [1], ["a", 2], ["a", "default", -1], ["a", "default", 0, None, "other"], {"p": "a"}, {}]
)
def test_what_is_neither_path_nor_reference(memory: shoal.MemoryObject, path: Any) -> None:
    for call in (memory.get, memory.__getitem__):
        with pytest.raises(shoal.KeyTypeError):
            call(path)


def test_a_reference_into_another_namespace(backend: Backend, store: shoal.Store) -> None:
    other = backend.namespace(store, "other")
    ref = other.memory("x").set("a", 1)
    store.memory("x").set("a", 2)
    assert ref.namespace == "other"
    assert store.memory().get(ref) == 1
    assert store.memory("x").get(ref._replace(namespace="default")) == 2
    assert store.memory().get(ref._replace(namespace="missing"), "default") == "default"
    assert store.namespaces() == ["default", "other"]  # looking does not make one


# ---------------------------------------------------------------------- encoded


def test_encoded_values_move(memory: shoal.MemoryObject) -> None:
    memory.set("a.b", {"x": [1, None]})
    found = memory._get_encoded("a.b")
    assert found is not None
    data, meta = found
    assert meta == memory.metadata("a.b")
    assert msgpack.unpackb(data) == {"x": [1, None]}
    version = memory._set_encoded("c.d.e", data, None)
    assert memory.get_versioned("c.d.e") == ({"x": [1, None]}, version)
    assert memory.ttl("c.d.e") is None
    with pytest.raises(shoal.PathConflict):
        memory._set_encoded("a", data, None)
    memory._set_encoded("a", data, 1000, overwrite=True)
    assert memory.get("a") == {"x": [1, None]}
    assert memory.ttl("a") == pytest.approx(1000, abs=60)
    assert memory._get_encoded("c.d") is None
