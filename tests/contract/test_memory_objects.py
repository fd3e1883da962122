"""Objects of a memory: made, listed, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import shoal
from shoal.memory.path import join, split

if TYPE_CHECKING:
    from conftest import Backend


# ---------------------------------------------------------------------- new_object


def test_new_object_is_an_empty_object(memory: shoal.MemoryObject) -> None:
    user = memory.new_object("a.user")
    assert isinstance(user, shoal.MemoryObject)
    assert user == memory.get("a.user")
    assert user.path == join(split("a.user", memory._names))
    assert user.is_exist("")
    assert user.get_field_names() == []
    assert user.to_dict() == {}
    assert memory.to_dict() == {"a": {"user": {}}}
    user.set("age", 13)
    assert memory["a.user.age"] == 13


def test_an_existing_object_stays_as_it_is(memory: shoal.MemoryObject) -> None:
    memory.set("user.name", "john")
    memory.touch("user", 1000)
    version = memory.get_versioned("user.name")[1]
    meta = memory.metadata("user")
    again = memory.new_object("user", ttl=5)
    assert again == memory.get("user")
    assert memory.get_versioned("user.name") == ("john", version)
    assert memory.metadata("user").version == meta.version
    assert memory.ttl("user") > 900  # type: ignore[operator]


def test_overwrite_makes_an_object_new(memory: shoal.MemoryObject) -> None:
    memory.update({"user": {"name": "john", "address": {"city": "x"}}, "other": 1})
    version = memory.metadata("user").version
    user = memory.new_object("user", overwrite=True)
    assert user.to_dict() == {}
    assert memory.to_dict() == {"user": {}, "other": 1}
    assert memory.metadata("user").version > version
    assert memory.get("user.address.city") is None
    user.set("address.street", "y")
    assert memory.get("user.address").to_dict() == {"street": "y"}


def test_over_a_value(memory: shoal.MemoryObject) -> None:
    memory.set("a.b", 1)
    for path in ("a.b", "a.b.c"):
        with pytest.raises(shoal.PathConflict):
            memory.new_object(path)
    assert memory.to_dict() == {"a": {"b": 1}}
    assert memory.new_object("a.b.c", overwrite=True).to_dict() == {}
    assert memory.to_dict() == {"a": {"b": {"c": {}}}}
    memory.set("a.d", 1)
    assert memory.new_object("a.d", overwrite=True).to_dict() == {}
    assert memory.to_dict() == {"a": {"b": {"c": {}}, "d": {}}}


def test_overwrite_leaves_objects_on_the_way(memory: shoal.MemoryObject) -> None:
    memory.set("a.b.c", 1)
    memory.set("a.d", 2)
    memory.new_object("a.b.e", overwrite=True)
    assert memory.to_dict() == {"a": {"b": {"c": 1, "e": {}}, "d": 2}}


def test_new_object_of_the_place_itself(store: shoal.Store) -> None:
    handle = store.memory("a.b")
    assert not handle.is_exist("")
    assert handle.new_object("") == handle
    assert handle.is_exist("")
    assert store.memory().to_dict() == {"a": {"b": {}}}
    handle.set("c", 1)
    handle.new_object("")
    assert handle.to_dict() == {"c": 1}
    handle.new_object("", overwrite=True)
    assert handle.to_dict() == {}
    assert store.memory().new_object("") == store.memory()
    assert store.memory().to_dict() == {"a": {"b": {}}}


# ---------------------------------------------------------------------- delete, exists


def test_delete(memory: shoal.MemoryObject) -> None:
    memory.update({"a": {"b": {"c": 1, "d": 2}, "e": 3}, "f": 4})
    assert memory.delete("a.b.c")
    assert not memory.delete("a.b.c")
    assert memory.to_dict() == {"a": {"b": {"d": 2}, "e": 3}, "f": 4}
    assert memory.delete("a.b")
    assert not memory.is_exist("a.b.d")
    assert memory.to_dict() == {"a": {"e": 3}, "f": 4}
    del memory["a"]
    assert memory.to_dict() == {"f": 4}
    with pytest.raises(shoal.KeyNotFound):
        del memory["a"]


def test_the_last_field_leaves_an_empty_object(memory: shoal.MemoryObject) -> None:
    memory.set("a.b", 1)
    assert memory.delete("a.b")
    assert memory.is_exist("a")
    assert memory.to_dict() == {"a": {}}


def test_an_object_deletes_itself(memory: shoal.MemoryObject) -> None:
    memory.update({"a": {"b": {"c": 1}}, "d": 2})
    handle = memory.get("a")
    assert handle.delete()
    assert not handle.is_exist("")
    assert not handle.delete("")
    assert handle.to_dict() == {}
    assert memory.to_dict() == {"d": 2}
    handle.set("x.y", 3)  # the handle goes on: it is a place
    assert memory.to_dict() == {"a": {"x": {"y": 3}}, "d": 2}


def test_deleting_the_root_deletes_all(store: shoal.Store) -> None:
    root = store.memory()
    assert not root.delete()
    root.update({f"n{n}": {"a": {"b": n}} for n in range(50)})
    root["value"] = 1
    assert root.delete()
    assert root.to_dict() == {}
    assert root.is_exist("")
    assert not root.delete("")
    root.set("a", 1)
    assert root.to_dict() == {"a": 1}


def test_deleting_a_large_subtree(memory: shoal.MemoryObject) -> None:
    memory.update({"a": {f"n{n}": {str(m): "x" * 50 for m in range(20)} for n in range(100)}, "b": 1})
    assert memory.delete("a")
    assert memory.to_dict() == {"b": 1}
    memory.set("a.n5.new", 1)
    assert memory.to_dict() == {"a": {"n5": {"new": 1}}, "b": 1}


def test_deleted_memory_is_used_again(backend: Backend) -> None:
    store = backend.open(size="4MiB")
    memory = store.memory()
    for round_ in range(40):  # 20 MB through 4 MiB
        memory.update({"a": {f"n{n}": {"x": b"y" * 5000} for n in range(100)}})
        assert len(memory["a"]) == 100
        how = round_ % 4
        if how == 0:
            memory.delete("a")
        elif how == 1:
            memory.new_object("a", overwrite=True)
        elif how == 2:
            memory.set("a", 0, overwrite=True)
            memory.delete("a")
        else:
            memory.clear()


def test_is_exist(memory: shoal.MemoryObject, store: shoal.Store) -> None:
    memory.set("a.b", None)
    assert memory.is_exist("a")
    assert memory.is_exist("a.b")
    assert not memory.is_exist("a.b.c")
    assert not memory.is_exist("b")
    assert memory.get("a").is_exist("b")
    assert memory.get("a").is_exist("")
    assert memory.is_exist("")
    assert store.memory().is_exist("")
    assert not store.memory("nowhere").is_exist("")


# ---------------------------------------------------------------------- listing


def test_get_of_nothing_is_the_object_itself(store: shoal.Store) -> None:
    for handle in (store.memory(), store.memory("not.there")):
        assert handle.get("") == handle
        assert handle.get("", "default") == handle
        assert handle[""] == handle


def test_names_are_sorted_and_good_as_paths(memory: shoal.MemoryObject) -> None:
    names = ["b", "a", "Z", "ä", "a.b", "a-b", "a/b", "\\", "10", "9", ""]
    for n, name in enumerate(names[:-1]):
        memory._child("o").set(join([name]), n)
    handle = memory.get("o")
    listed = handle.get_field_names()
    assert listed == sorted(listed)
    assert sorted(split(name)[0] for name in listed) == sorted(names[:-1])
    assert {name: handle[name] for name in listed} == handle.get_fields()
    assert list(handle) == list(handle.keys()) == listed
    assert len(handle) == len(names) - 1
    assert dict(handle.items()) == handle.get_fields()
    assert list(handle.values()) == list(handle.get_fields().values())


def test_fields_are_values_and_objects(memory: shoal.MemoryObject) -> None:
    memory.update({"a": {"b": 1, "c": {"d": 2}, "e": {}, "f": None, "g": {}}})
    memory.set("a.dict", {"x": 1})
    fields = memory.get("a").get_fields()
    assert list(fields) == ["b", "c", "dict", "e", "f", "g"]
    assert fields == {
        "b": 1,
        "c": memory.get("a.c"),
        "dict": {"x": 1},
        "e": memory.get("a.e"),
        "f": None,
        "g": memory.get("a.g"),
    }
    assert fields["c"].to_dict() == {"d": 2}
    assert sorted(memory._fields("a")) == [
        ("b", False),
        ("c", True),
        ("dict", False),
        ("e", True),
        ("f", False),
        ("g", True),
    ]


def test_what_is_no_object_has_no_fields(store: shoal.Store, memory: shoal.MemoryObject) -> None:
    memory.set("value", {"a": 1})
    for handle in (memory._child("value"), memory._child("value", "a"), store.memory("not.there")):
        assert handle.get_field_names() == []
        assert handle.get_fields() == {}
        assert handle.to_dict() == {}
        assert len(handle) == 0
        assert list(handle) == []


def test_many_fields(memory: shoal.MemoryObject) -> None:
    memory.update({"a": {str(n): n for n in range(3000)}, "b": {"c": 1}})
    assert len(memory.get("a")) == 3000
    assert memory.get("a").get_field_names() == sorted(map(str, range(3000)))
    for n in range(0, 3000, 2):
        memory.delete(f"a.{n}")
    assert memory.get("a").to_dict() == {str(n): n for n in range(1, 3000, 2)}


def test_many_top_level_fields(store: shoal.Store) -> None:
    root = store.memory()
    expected = {str(n): {"x": n} for n in range(500)}
    root.update(expected)
    assert len(root) == 500
    assert root.to_dict() == expected


def test_a_handle_is_true(memory: shoal.MemoryObject) -> None:
    assert memory.new_object("empty")
    assert memory._child("not there")
