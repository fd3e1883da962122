"""Handles on a memory: equality, text, pickling, closed and read-only; and what lies around the memory."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

import pytest

import shoal

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Backend


def test_what_a_handle_says_of_itself(backend: Backend, store: shoal.Store) -> None:
    other = backend.namespace(store, "other")
    handle = other.memory(r"a.v1\.2")
    assert handle.path == r"a.v1\.2"
    assert handle.namespace_name == "other"
    assert handle.kind == "short_term"
    assert handle.store == other
    assert handle.store.namespace_name == "other"
    assert handle.read_only is False
    assert handle._names == ("a", "v1.2")
    assert store.memory().path == ""
    runs = store._runs()
    assert runs.kind == "sensory"
    assert runs.path == ""


def test_handles_on_one_place_are_equal(backend: Backend, store: shoal.Store) -> None:
    store.memory().set("a.b", 1)
    second = backend.open()
    handles = [store.memory("a"), store.memory().get("a"), store.memory()._child("a"), second.memory("a")]
    assert len(set(handles)) == 1
    assert all(one == other for one in handles for other in handles)
    different = [
        store.memory(),
        store.memory("b"),
        store.memory("a.a"),
        store.memory(r"a\.a"),
        backend.namespace(store, "other").memory("a"),
        store._runs()._child("a"),
        backend.open("elsewhere").memory("a"),
    ]
    assert len({handles[0], *different}) == 8
    assert handles[0] != "a"
    assert handles[0] != {"b": 1}


def test_a_place_stays_the_same_when_what_is_there_changes(store: shoal.Store) -> None:
    handle = store.memory("a")
    before = hash(handle), handle
    handle.set("x", 1)
    store.memory().delete("a")
    store.memory().set("a", "value")
    assert (hash(handle), handle) == before
    store.close()
    assert (hash(handle), handle) == before


def test_repr(memory: shoal.MemoryObject) -> None:
    user = memory.new_object(r"v1\.2.user")
    assert "no fields" in repr(user)
    user.update(name="john", age=13)
    assert repr(user.path) in repr(user)
    assert "age, name" in repr(user)
    assert user.store.url in repr(user)
    user.update({f"field {n}": "x" * 1000 for n in range(1000)})
    assert len(repr(user)) < 400
    assert "994 more" in repr(user)
    user.store.close()
    assert "closed" in repr(user)


def test_render(memory: shoal.MemoryObject) -> None:
    tree = memory.new_object("tree")
    tree.update(
        {"user": {"name": "john", "tags": ["a"], "e": {}}, "v1.2": None, "line\nbreak": "a\nb", "z": "x" * 1000}
    )
    shown = tree.render()
    lines = shown.splitlines()
    assert lines[:-1] == [
        "tree",
        r"├── 'line\nbreak': 'a\nb'",
        "├── user",
        "│   ├── e (0 fields)",
        "│   ├── name: 'john'",
        "│   └── tags: ['a']",
        "├── v1.2: None",
    ]
    assert lines[-1].startswith("└── z: 'xxx")
    assert len(lines[-1]) < 80
    assert tree.render(max_depth=0) == "tree (4 fields)"
    assert tree.render(max_depth=1).splitlines()[2] == "├── user (3 fields)"
    tree["large"] = "x" * 10_000
    assert tree.render().splitlines()[1] == "├── large: <str of 10,003 bytes>"
    assert memory.render().splitlines()[1].endswith("tree")


def test_pickling(backend: Backend, store: shoal.Store, memory: shoal.MemoryObject) -> None:
    memory.set("a.b", 1)
    handle = memory.get("a")
    assert copy.copy(handle) == handle
    if backend.kind == "memory":
        with pytest.raises(TypeError, match="one process"):
            pickle.dumps(handle)
        return
    again = pickle.loads(pickle.dumps(handle))
    backend.keep(again.store)
    assert again == handle
    assert again.kind == handle.kind
    assert again.get("b") == 1


# ---------------------------------------------------------------------- what is around it


def test_keys_and_memory_do_not_see_each_other(store: shoal.Store) -> None:
    memory = store.memory()
    store.update({"a": 1, "a.b": 2, "k": 3})
    memory.update({"a": {"b": 4}, "m": 5})
    assert dict(store) == {"a": 1, "a.b": 2, "k": 3}
    assert len(store) == 3
    assert store.list_keys() == ["a", "a.b", "k"]
    assert "m" not in store
    assert store.get("m") is None
    assert memory.get("k") is None
    assert memory.to_dict() == {"a": {"b": 4}, "m": 5}
    memory.delete("a")
    assert store["a.b"] == 2
    assert store.delete("k")
    memory.set("a.b", 4)
    store.clear()
    assert len(store) == 0
    assert memory.to_dict() == {"a": {"b": 4}, "m": 5}
    memory.clear()
    assert memory.to_dict() == {}


def test_popitem_does_not_find_fields(store: shoal.Store) -> None:
    store.memory().set("a.b", 1)
    with pytest.raises(shoal.KeyNotFound):
        store.popitem()


def test_namespaces_have_memories_of_their_own(backend: Backend, store: shoal.Store) -> None:
    other = backend.namespace(store, "other")
    store.memory().set("a.b", 1)
    other.memory().set("a.b", 2)
    other.memory().set("c", 3)
    assert store.memory().to_dict() == {"a": {"b": 1}}
    assert other.memory().to_dict() == {"a": {"b": 2}, "c": 3}
    assert store.namespaces() == ["default", "other"]
    other.memory().delete()
    assert store.memory().to_dict() == {"a": {"b": 1}}


def test_memory_of_runs_is_apart_and_one_for_all_namespaces(backend: Backend, store: shoal.Store) -> None:
    other = backend.namespace(store, "other")
    token = store._process_token()
    assert store._run_lives(token)
    assert other._process_token() == token
    store._runs()._child(token, "run").set("a", 1)
    other._runs()._child(token, "run").set("b", 2)
    assert other._runs()._child(token, "run").to_dict() == {"a": 1, "b": 2}
    assert store.memory().to_dict() == {}
    assert store._runs()._fields(store.memory()._child(token).path) == [("run", True)]
    assert store.namespaces() == ["default", "other"]
    assert store._runs()._child(token).delete()
    assert other._runs()._child(token, "run").to_dict() == {}


def test_dropping_a_namespace_drops_its_memory(backend: Backend, store: shoal.Store) -> None:
    other = backend.namespace(store, "other")
    other.memory().update({"a": {"b": 1}, "c": 2})
    handle = other.memory("a")
    store.memory().set("a", 0)
    assert store.drop_namespace("other")
    assert handle.get("b") is None
    assert other.memory().to_dict() == {}
    again = backend.namespace(store, "other")
    assert again.memory().to_dict() == {}
    handle.set("x", 1)
    assert again.memory().to_dict() == {"a": {"x": 1}}
    assert store.memory().to_dict() == {"a": 0}


def test_fields_are_no_keys_to_the_limits(backend: Backend) -> None:
    for policy in ("error", "sieve"):
        store = backend.open(policy, max_keys=2, eviction=policy)
        memory = store.memory()
        memory.update({str(n): {"x": n} for n in range(50)})
        store.update(a=1, b=2)
        memory.set("more", 1)
        assert dict(store) == {"a": 1, "b": 2}
        if policy == "error":
            with pytest.raises(shoal.CapacityExceeded):
                store["c"] = 3
        else:
            for n in range(100):
                store[str(n)] = n
            assert len(store) == 2
        assert len(memory) == 51
        assert memory.get("7.x") == 7
        assert store.stats().namespaces["default"].entries == 2


def fill(memory: shoal.MemoryObject, value: object) -> int:
    """Set new fields, each in an object of its own, until there is no room; how many."""
    count = 0
    while True:
        try:
            memory.set(f"fill.n{count}.x", value)
        except shoal.CapacityExceeded as full:
            assert full.limit  # noqa: PT017 - which of the writes it is, is not known before
            return count
        count += 1


def test_a_full_store_takes_no_fields_and_loses_none(backend: Backend) -> None:
    store = backend.open(size="4MiB")
    memory = store.memory()
    memory.set("object.value", "old")
    count = fill(memory, b"x" * 20_000)
    assert count > 50
    assert len(memory["fill"]) == count  # no object was left on the way
    for write in (
        lambda: memory.set("object.value", b"y" * 5_000_000),
        lambda: memory.set("object", b"y" * 5_000_000, overwrite=True),
        lambda: memory.set("new.value", b"y" * 5_000_000),
        lambda: store.set("key", b"y" * 5_000_000),
    ):
        with pytest.raises(shoal.CapacityExceeded):
            write()
    assert memory.get("object.value") == "old"
    assert all(memory[f"fill.n{n}.x"] == b"x" * 20_000 for n in range(count))
    assert memory.delete("fill")
    memory.set("fill.again", b"x" * 1_000_000)
    store["key"] = b"x" * 500_000


READS: dict[str, Callable[[shoal.MemoryObject], object]] = {
    "get": lambda m: m.get("a.b"),
    "getitem": lambda m: m["a.b"],
    "get_versioned": lambda m: m.get_versioned("a.b"),
    "is_exist": lambda m: m.is_exist("a.b"),
    "in": lambda m: "a.b" in m,
    "ttl": lambda m: m.ttl("a.b"),
    "metadata": lambda m: m.metadata("a.b"),
    "view": lambda m: m.view("a.b"),
    "names": lambda m: m.get_field_names(),
    "fields": lambda m: m.get_fields(),
    "iter": list,
    "len": len,
    "to_dict": lambda m: m.to_dict(),
    "render": lambda m: m.render(),
    "get_encoded": lambda m: m._get_encoded("a.b"),
    "ref": lambda m: m.get(["a.b"]),
}
WRITES: dict[str, Callable[[shoal.MemoryObject], object]] = {
    "set": lambda m: m.set("a.b", 2),
    "set new": lambda m: m.set("c.d", 2),
    "overwrite": lambda m: m.set("a", 2, overwrite=True),
    "setitem": lambda m: m.__setitem__("a.b", 2),
    "new_object": lambda m: m.new_object("o"),
    "new_object there": lambda m: m.new_object("a"),
    "new_object over": lambda m: m.new_object("a", overwrite=True),
    "delete": lambda m: m.delete("a.b"),
    "delete missing": lambda m: m.delete("x"),
    "delete all": lambda m: m.delete(),
    "delitem": lambda m: m.__delitem__("a"),
    "compare_and_set": lambda m: m.compare_and_set("c", 2, 0),
    "incr": lambda m: m.incr("n"),
    "modify": lambda m: m.modify("a.b", str),
    "touch": lambda m: m.touch("a.b", 5),
    "update": lambda m: m.update(c=1),
    "from_dict": lambda m: m.from_dict({"c": 1}),
    "clear": lambda m: m.clear(),
    "create_array": lambda m: m.create_array("c", 1, "u1").__enter__(),
    "set_encoded": lambda m: m._set_encoded("c", b"\x01", None),
}


@pytest.mark.parametrize("call", [*READS.values(), *WRITES.values()], ids=[*READS, *WRITES])
def test_a_closed_store_says_so(memory: shoal.MemoryObject, call: Callable[[shoal.MemoryObject], object]) -> None:
    memory.set("a.b", "value")
    memory.store.close()
    with pytest.raises(shoal.StoreClosed):
        call(memory)
    with pytest.raises(shoal.StoreClosed):
        memory.store.memory("a").get("b")


@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES)
def test_read_only_does_not_write(
    backend: Backend, store: shoal.Store, call: Callable[[shoal.MemoryObject], object]
) -> None:
    expected = {"a": {"b": "value"}, "n": 1}
    store.memory().update(expected)
    reader = backend.open(flag="r").memory()
    assert reader.read_only
    with pytest.raises(shoal.AccessDenied):
        call(reader)
    assert store.memory().to_dict() == expected
    assert store.memory().ttl("a.b") is None


def test_read_only_reads(backend: Backend, store: shoal.Store) -> None:
    reader = backend.open(flag="r").memory()
    assert reader.to_dict() == {}
    assert reader.get("a.b") is None
    store.memory().update({"a": {"b": "value", "c": {}}})
    for read in READS.values():
        read(reader)
    assert reader.to_dict() == {"a": {"b": "value", "c": {}}}
    assert reader.get("a").read_only
    assert reader.get("a") == store.memory("a")
    store.memory().set("a.b", "new")
    assert reader["a.b"] == "new"
