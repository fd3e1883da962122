"""Nothing gets past a scope: whatever a store or a memory object can be asked for has its place in a table here.

Who adds a call to `Store` or `MemoryObject` adds it to the table, too, and so sees to it that a scope knows it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

import shoal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Backend

# What tells nothing of the content and changes nothing of it. The reasons:
HARMLESS_OF_STORE = {
    *("name", "url", "namespace_name", "closed", "read_only", "allow_pickle"),  # about the handle
    *("close", "scope", "__enter__", "__exit__", "__repr__"),  # the handle itself
    *("_process_token", "_run_lives", "_unscoped", "_encode"),  # for what lies below; nothing of the content
    *("memory", "run", "_runs"),  # handles, guarded in their turn: see the table of memory
}
HARMLESS_OF_MEMORY = {
    *("path", "namespace_name", "kind", "read_only", "_names", "_place", "__hash__", "__eq__", "__bool__"),  # the place
    *("store", "__reduce__"),  # the scope; tests of scopes and of sending them
    "_child",  # a handle, guarded as this one
    "_no_value",  # a text
    "_type",  # what kind of thing there is, to decide what is allowed
    "_plan",  # encodes
}
DENIED = "AccessDenied"


def finds_nothing(store: shoal.Store) -> bool:
    try:
        store.popitem()
    except shoal.KeyNotFound:
        return True
    return False


def write_array(target: shoal.Store | shoal.MemoryObject) -> None:
    with target.create_array("new", 2, "u1"):
        pass


# Each call on a store of {"secret": 1, "text": "x"}, and what it gives in a scope that allows nothing.
STORE: dict[str, tuple[Callable[[shoal.Store], Any], Any]] = {
    "__getitem__": (lambda s: s["secret"], DENIED),
    "__contains__": (lambda s: "secret" in s, DENIED),
    "get": (lambda s: s.get("secret"), DENIED),
    "get_versioned": (lambda s: s.get_versioned("secret"), DENIED),
    "get_many": (lambda s: s.get_many(["secret"]), DENIED),
    "exists": (lambda s: s.exists("secret"), DENIED),
    "ttl": (lambda s: s.ttl("secret"), DENIED),
    "metadata": (lambda s: s.metadata("secret"), DENIED),
    "view": (lambda s: s.view("text"), DENIED),
    "_get_encoded": (lambda s: s._get_encoded("secret"), DENIED),
    "__setitem__": (lambda s: s.__setitem__("secret", 2), DENIED),
    "__delitem__": (lambda s: s.__delitem__("secret"), DENIED),
    "set": (lambda s: s.set("new", 2), DENIED),
    "add": (lambda s: s.add("new", 2), DENIED),
    "replace": (lambda s: s.replace("secret", 2), DENIED),
    "swap": (lambda s: s.swap("secret", 2), DENIED),
    "compare_and_set": (lambda s: s.compare_and_set("new", 2, 0), DENIED),
    "delete": (lambda s: s.delete("secret"), DENIED),
    "delete_many": (lambda s: s.delete_many(["secret"]), DENIED),
    "pop": (lambda s: s.pop("secret"), DENIED),
    "setdefault": (lambda s: s.setdefault("secret", 2), DENIED),
    "set_many": (lambda s: s.set_many({"new": 2}), DENIED),
    "update": (lambda s: s.update(new=2), DENIED),
    "__ior__": (lambda s: s.__ior__({"new": 2}), DENIED),
    "modify": (lambda s: s.modify("secret", lambda old: old + 1), DENIED),
    "incr": (lambda s: s.incr("secret"), DENIED),
    "decr": (lambda s: s.decr("secret"), DENIED),
    "create_array": (write_array, DENIED),
    "touch": (lambda s: s.touch("secret", 5), DENIED),
    "_set_encoded": (lambda s: s._set_encoded("new", b"\1", None), DENIED),
    "namespace": (lambda s: s.namespace("other"), DENIED),
    "namespaces": (lambda s: s.namespaces(), DENIED),
    "drop_namespace": (lambda s: s.drop_namespace("other"), DENIED),
    "stats": (lambda s: s.stats(), DENIED),
    "destroy": (lambda s: s.destroy(), DENIED),
    # What lists finds nothing; what takes all finds all that it could take gone already.
    "__len__": (len, 0),
    "__iter__": (list, []),
    "__eq__": (lambda s: s == {}, True),
    "__or__": (lambda s: s | {}, {}),
    "__ror__": (lambda s: {} | s, {}),
    "keys": (lambda s: list(s.keys()), []),
    "values": (lambda s: list(s.values()), []),
    "items": (lambda s: list(s.items()), []),
    "list_keys": (lambda s: s.list_keys(), []),
    "scan": (lambda s: list(s.scan("s*")), []),
    "_keys": (lambda s: list(s._keys("")), []),
    "popitem": (finds_nothing, True),
    "clear": (lambda s: s.clear(), None),
}


# The same of a memory of {"secret": 1, "text": "x", "object": {"field": 1}}.
MEMORY: dict[str, tuple[Callable[[shoal.MemoryObject], Any], Any]] = {
    "get": (lambda m: m.get("secret"), DENIED),
    "get of an object": (lambda m: m.get("object"), DENIED),
    "get of what is absent": (lambda m: m.get("absent"), DENIED),
    "_get_ref": (lambda m: m.get(shoal.MemoryRef("object.field")), DENIED),
    "get_versioned": (lambda m: m.get_versioned("secret"), DENIED),
    "__getitem__": (lambda m: m["secret"], DENIED),
    "__contains__": (lambda m: "object" in m, DENIED),
    "is_exist": (lambda m: m.is_exist("secret"), DENIED),
    "ttl": (lambda m: m.ttl("secret"), DENIED),
    "metadata": (lambda m: m.metadata("object"), DENIED),
    "view": (lambda m: m.view("text"), DENIED),
    "_get_encoded": (lambda m: m._get_encoded("secret"), DENIED),
    "set": (lambda m: m.set("new", 2), DENIED),
    "set and overwrite": (lambda m: m.set("object", 2, overwrite=True), DENIED),
    "__setitem__": (lambda m: m.__setitem__("object.new", 2), DENIED),
    "__delitem__": (lambda m: m.__delitem__("secret"), DENIED),
    "new_object": (lambda m: m.new_object("new"), DENIED),
    "new_object and overwrite": (lambda m: m.new_object("object", overwrite=True), DENIED),
    "delete": (lambda m: m.delete("object"), DENIED),
    "delete itself": (lambda m: m.delete(), DENIED),
    "compare_and_set": (lambda m: m.compare_and_set("new", 2, 0), DENIED),
    "incr": (lambda m: m.incr("secret"), DENIED),
    "modify": (lambda m: m.modify("secret", lambda old: old + 1), DENIED),
    "touch": (lambda m: m.touch("secret", 5), DENIED),
    "create_array": (write_array, DENIED),
    "_set_encoded": (lambda m: m._set_encoded("new", b"\1", None), DENIED),
    "update": (lambda m: m.update(new=2), DENIED),
    "from_dict": (lambda m: m.from_dict({}), DENIED),
    "clear": (lambda m: m.clear(), DENIED),
    "__len__": (len, 0),
    "__iter__": (list, []),
    "_fields": (lambda m: m._fields(), []),
    "_fields of an object": (lambda m: m._fields("object"), DENIED),
    "get_field_names": (lambda m: m.get_field_names(), []),
    "get_fields": (lambda m: m.get_fields(), {}),
    "keys": (lambda m: m.keys(), []),
    "values": (lambda m: list(m.values()), []),
    "items": (lambda m: list(m.items()), []),
    "to_dict": (lambda m: m.to_dict(), {}),
    "render": (lambda m: "secret" in m.render() or "object" in m.render(), False),
    "__repr__": (lambda m: "secret" in repr(m) or "object:" in repr(m), False),
}

# What every class has, and what the ABCs bring along.
OF_PYTHON = {
    *("__abstractmethods__", "__class__", "__class_getitem__", "__doc__", "__init_subclass__", "__module__"),
    *("__firstlineno__", "__static_attributes__", "__annotate__", "__annotations__"),
    *("__orig_bases__", "__slots__", "__subclasshook__", "_abc_impl", "_MutableMapping__marker"),
}


def calls_of(kind: type) -> set[str]:
    """Return the names of all that can be asked of a class, but for what every object has."""
    return {name for name in dir(kind) if getattr(kind, name) is not getattr(object, name, None)} - OF_PYTHON


def listed(table: dict[str, Any]) -> set[str]:
    return {name.split()[0] for name in table}


def test_every_call_of_a_store_is_in_the_table() -> None:
    by_files = {"dump", "load"}  # tests of their own below
    unhashable = {"__hash__"}  # is None
    assert listed(STORE) | HARMLESS_OF_STORE | by_files | unhashable == calls_of(shoal.Store)
    assert not listed(STORE) & HARMLESS_OF_STORE


def test_every_call_of_a_memory_object_is_in_the_table() -> None:
    assert listed(MEMORY) | HARMLESS_OF_MEMORY == calls_of(shoal.MemoryObject)
    assert not listed(MEMORY) & HARMLESS_OF_MEMORY


@pytest.mark.parametrize("name", STORE)
def test_a_scope_without_rights(backend: Backend, store: shoal.Store, name: str) -> None:
    content = {"secret": 1, "text": "x"}
    store.update(content)
    backend.namespace(store, "other")["key"] = 1
    scope = store.scope()
    call, expected = STORE[name]
    if expected is DENIED:
        with pytest.raises(shoal.AccessDenied):
            call(scope)
    else:
        assert call(scope) == expected
    assert dict(store) == content
    assert store.ttl("secret") is None
    assert store.namespaces() == ["default", "other"]


# What tells as well as changes takes both rights; what only changes, or only tells, takes no other.
WRITING = {
    *("set", "__setitem__", "__delitem__", "add", "replace", "delete", "delete_many", "set_many", "update", "__ior__"),
    *("touch", "create_array", "_set_encoded"),
}
BOTH = {"swap", "compare_and_set", "pop", "setdefault", "modify", "incr", "decr"}
READING = {name for name, (_, expected) in STORE.items() if expected is DENIED} - WRITING - BOTH
ARENA = {"namespace", "namespaces", "drop_namespace", "stats", "destroy"}


@pytest.mark.parametrize("name", sorted(WRITING | BOTH | READING))
def test_which_right_a_call_takes(store: shoal.Store, name: str) -> None:
    call, _ = STORE[name]
    missing = {
        "read": {"write": ["*"]},
        "write": {"read": ["*"]},
        "none": {"read": ["*"], "write": ["*"]},
    }
    denied = set()
    for right, given in missing.items():
        store.update(secret=1, text="x")
        with suppress(shoal.KeyNotFound):
            store.delete("new")
        try:
            call(store.scope(**given))
        except shoal.AccessDenied:
            denied.add(right)
    rights = {"read": READING, "write": WRITING}
    expected = {right for right, names in rights.items() if name in names or name in BOTH}
    assert denied == ({"read", "write", "none"} if name in ARENA else expected)


def fill(memory: shoal.MemoryObject) -> dict[str, Any]:
    content: dict[str, Any] = {"secret": 1, "text": "x", "object": {"field": 1}}
    memory.from_dict(content)
    return content


@pytest.mark.parametrize("name", MEMORY)
def test_the_memory_of_a_scope_without_rights(store: shoal.Store, name: str) -> None:
    memory = store.memory()
    content = fill(memory)
    call, expected = MEMORY[name]
    if expected is DENIED:
        with pytest.raises(shoal.AccessDenied):
            call(store.scope().memory())
    else:
        assert call(store.scope().memory()) == expected
    assert memory.to_dict() == content
    assert memory.ttl("secret") is None


WRITING_MEMORY = {
    *("set", "set and overwrite", "__setitem__", "__delitem__", "new_object", "new_object and overwrite", "delete"),
    *("delete itself", "touch", "create_array", "_set_encoded", "update", "from_dict", "clear"),
}
CHANGING_MEMORY = {"compare_and_set", "incr", "modify"}


@pytest.mark.parametrize("name", [name for name, (_, expected) in MEMORY.items() if expected is DENIED])
def test_which_right_a_call_of_memory_takes(store: shoal.Store, name: str) -> None:
    call, _ = MEMORY[name]
    denied = set()
    given: dict[str, list[str]]
    for right, given in {"read": {"write": ["*"]}, "write": {"read": ["*"]}}.items():
        fill(store.memory())
        try:
            call(store.scope(**given).memory())
        except shoal.AccessDenied:
            denied.add(right)
    fill(store.memory())
    call(store.scope(read=["*"], write=["*"]).memory())
    if name in CHANGING_MEMORY:
        assert denied == {"read", "write"}
    else:
        assert denied == ({"write"} if name in WRITING_MEMORY else {"read"})


def test_snapshots_of_a_scope_without_rights(store: shoal.Store, tmp_path: Path) -> None:
    store["secret"] = 1
    fill(store.memory())
    store.dump(tmp_path / "whole")
    store.dump(tmp_path / "all", all_namespaces=True)
    scope = store.scope()
    assert scope.dump(tmp_path / "scoped") == 0
    with pytest.raises(shoal.AccessDenied):
        scope.dump(tmp_path / "scoped", all_namespaces=True)
    for path in ("whole", "all"):
        with pytest.raises(shoal.AccessDenied):
            scope.load(tmp_path / path)
    with pytest.raises(shoal.AccessDenied):
        scope.load(tmp_path / "scoped", replace=True)
    assert dict(store) == {"secret": 1}


@pytest.mark.parametrize("name", sorted({*STORE} - {"__or__", "__ror__", "__eq__"}))
def test_a_closed_scope_says_so(store: shoal.Store, name: str) -> None:
    store.update(secret=1, text="x")
    call, _ = STORE[name]
    scope = store.scope(read=["*"], write=["*"])
    scope.close()
    with pytest.raises(shoal.StoreClosed):
        call(scope)
    narrow = store.scope(read=["s*"], write=["s*"])
    store.close()
    assert narrow.closed
    with pytest.raises(shoal.StoreClosed):
        call(narrow)


@pytest.mark.parametrize("name", [name for name in MEMORY if name != "__repr__"])
def test_the_memory_of_a_closed_scope_says_so(store: shoal.Store, name: str) -> None:
    scope = store.scope(read=["*"], write=["*"])
    memory = scope.memory()
    scope.close()
    with pytest.raises(shoal.StoreClosed):
        MEMORY[name][0](memory)
    assert "closed" in repr(memory)
