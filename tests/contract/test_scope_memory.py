"""Scopes of memory: what shows, what may be set and removed. Every single call: test_scope_guard."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shoal
from shoal import MemoryObject, MemoryRef
from shoal.patterns import Glob

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Backend

CONTENT: dict[str, Any] = {
    "agent-7": {"notes": {"a": 1, "b": {"c": 2}}, "plan": "x"},
    "agent-8": {"notes": {"a": 3}},
    "board": {"topic": "fish", "v1.2": 4},
}


@pytest.fixture
def memory(store: shoal.Store) -> MemoryObject:
    """Return the whole memory, with what two agents and all have in it."""
    found = store.memory()
    found.update(CONTENT)
    return found


@pytest.fixture
def agent(store: shoal.Store, memory: MemoryObject) -> shoal.Store:
    """Return the scope of agent 7, who reads the board and a field of agent 8, too."""
    return store.scope(read=["agent-7.*", "board.*", "agent-8.notes.a"], write=["agent-7.*"])


# ------------------------------------------------------------------ reading


def test_it_shows_what_may_be_read_and_what_leads_there(store: shoal.Store, memory: MemoryObject) -> None:
    memory["agent-8.secret"] = memory["agent-8.other.secret"] = memory["top"] = 0
    root = store.scope(read=["agent-7.notes.*", "agent-8.notes.a", "board.topic"]).memory()
    assert root.to_dict() == {
        "agent-7": {"notes": {"a": 1, "b": {"c": 2}}},
        "agent-8": {"notes": {"a": 3}},
        "board": {"topic": "fish"},
    }
    assert root.get_field_names() == list(root) == root.keys() == ["agent-7", "agent-8", "board"]
    assert len(root["agent-8"]) == 1
    assert root.get_fields()["board"] == root["board"]
    assert root.get("agent-7.notes").to_dict() == CONTENT["agent-7"]["notes"]
    assert "secret" not in root.render()
    for path in ("agent-8.secret", "agent-8.other", "agent-7.plan", "agent-7.absent", "top", "absent"):
        for call in (root.get, root.__getitem__, root.is_exist, root.metadata, root.ttl, root.view, root.get_versioned):
            with pytest.raises(shoal.AccessDenied) as caught:
                call(path)
            assert caught.value.key == path


def test_what_is_found_is_scoped_as_well(agent: shoal.Store) -> None:
    root = agent.memory()
    found = [
        root["agent-8"],
        root.get("agent-8"),
        root.get("").get("agent-8"),
        root.get_versioned("agent-8")[0],
        root.get_fields()["agent-8"],
        dict(root.items())["agent-8"],
        agent.memory("agent-8"),
        agent.memory().get(MemoryRef("agent-8")),
        MemoryRef("agent-8").resolve(agent),
        root._child("agent-8"),
        root["agent-8.notes"].store.memory("agent-8"),
    ]
    for memory in found:
        assert memory.store is agent
        for call in (memory.delete, lambda memory=memory: memory["notes.b"], lambda memory=memory: memory.set("x", 1)):
            with pytest.raises(shoal.AccessDenied):
                call()
    made = root["agent-7"].new_object("made")
    with pytest.raises(shoal.AccessDenied):
        made.get(MemoryRef("agent-8.notes.b"))
    assert root.get("") is root
    assert root.get("agent-7.absent", root) is root


def test_an_object_shows_by_its_own_path_or_by_what_may_be_below(store: shoal.Store, memory: MemoryObject) -> None:
    alone = store.scope(read=["board"]).memory()
    assert alone.to_dict() == {"board": {}}
    below = store.scope(read=["board.*"]).memory()
    assert below["board"].to_dict() == CONTENT["board"]
    assert below.is_exist("board")
    assert "board" in below
    assert below.metadata("board").type == "object"
    assert below.ttl("board") is None
    contradiction = store.scope(read=["board.t*"]).scope(read=["board.v*"]).memory()
    assert contradiction.to_dict() == {}
    with pytest.raises(shoal.AccessDenied):
        contradiction["board"]


def test_a_value_where_only_what_is_below_may_be_read(store: shoal.Store, memory: MemoryObject) -> None:
    root = store.scope(read=["x.*"]).memory()
    assert root.get("x", "default") == "default"
    assert not root.is_exist("x")
    with pytest.raises(shoal.KeyNotFound):
        root["x"]
    memory["x"] = "secret"
    for call in (root.get, root.__getitem__, root.is_exist, root.metadata, root.ttl, root.get_versioned):
        with pytest.raises(shoal.AccessDenied):
            call("x")
    assert root.to_dict() == {}
    assert root.get("x.y", "default") == "default"  # below a value is nothing


def test_names_with_dots(store: shoal.Store, memory: MemoryObject) -> None:
    root = store.scope(read=[r"board.v1\\.2"]).memory()
    assert root.to_dict() == {"board": {"v1.2": 4}}
    assert root[r"board.v1\.2"] == 4
    with pytest.raises(shoal.AccessDenied):
        root["board.v1.2"]


def test_wrong_paths_are_wrong_first(agent: shoal.Store) -> None:
    root = agent.memory()
    for call in (root.get, root.delete, root.new_object, root.is_exist, lambda path: root.set(path, 1)):
        for path in ("a..b", ".a", "a.", "a\\b"):
            with pytest.raises(shoal.InvalidKey):
                call(path)
        with pytest.raises(shoal.KeyTypeError):
            call(5)


def test_what_may_not_be_read_has_a_repr(agent: shoal.Store) -> None:
    assert "agent-7" in repr(agent.memory())
    assert "a" in repr(agent.memory("agent-8.notes"))
    assert "may not be read" in repr(agent.memory("agent-9"))


# ------------------------------------------------------------------ writing


def test_parents_of_what_may_be_written_are_made(store: shoal.Store) -> None:
    root = store.scope(write=["a.b.c.d"]).memory()
    root["a.b.c.d"] = 1
    assert store.memory().to_dict() == {"a": {"b": {"c": {"d": 1}}}}
    for path in ("a", "a.b", "a.b.c", "a.b.x"):
        with pytest.raises(shoal.AccessDenied):
            root.set(path, 0, overwrite=True)
    with pytest.raises(shoal.PathConflict):
        store.scope(write=["a.b.c.d.e"]).memory().set("a.b.c.d.e", 0)
    other = store.scope(write=["x.y.*"]).memory()
    other.new_object("x")  # what setting x.y.z would make as well
    other.new_object("x.y")
    other.new_object("x.y.z")
    with pytest.raises(shoal.AccessDenied):
        other.new_object("x.z")
    assert store.memory("x").to_dict() == {"y": {"z": {}}}


def test_values_are_set_and_removed(store: shoal.Store, memory: MemoryObject, agent: shoal.Store) -> None:
    mine = agent.memory("agent-7")
    ref = mine.set("notes.a", 5)
    assert ref.path == "agent-7.notes.a"
    assert mine.incr("notes.a") == 6
    assert mine.modify("plan", str.upper) == "X"
    assert mine.compare_and_set("notes.a", 7, mine.get_versioned("notes.a")[1])
    assert mine.touch("notes.a", 1000)
    assert mine.delete("notes.b")
    with mine.create_array("array", 3, "u1") as array:
        array[:] = 7
    assert mine.view("array").tolist() == [7, 7, 7]
    assert memory["agent-7"].to_dict().keys() == {"notes", "plan", "array"}
    root = agent.memory()
    for call in (
        lambda: root.set("board.topic", "x"),
        lambda: root.incr("agent-8.notes.a"),
        lambda: root.delete("agent-8.notes.a"),
        lambda: root.touch("agent-8.notes.a", 1),
        lambda: root.delete("board"),
        lambda: root.delete("absent"),
        lambda: root.set("agent-7", "in place of all", overwrite=True),
        lambda: root.create_array("board.array", 3, "u1"),
    ):
        with pytest.raises(shoal.AccessDenied):
            call()
    assert memory["board"].to_dict() == CONTENT["board"]
    assert memory["agent-8"].to_dict() == CONTENT["agent-8"]


def test_to_remove_an_object_takes_the_right_to_all_that_can_be_below(store: shoal.Store) -> None:
    memory = store.memory()
    ways: dict[str, Callable[[MemoryObject], object]] = {
        "delete": lambda m: m.delete("a.b"),
        "delete itself": lambda m: m["a.b"].delete(),
        "del": lambda m: m.__delitem__("a.b"),
        "new": lambda m: m.new_object("a.b", overwrite=True),
        "touch": lambda m: m.touch("a.b", 1000),
        "clear": lambda m: m["a.b"].clear(),
        "from_dict": lambda m: m["a.b"].from_dict({"x": 1}),
        "new, expiring": lambda m: m.new_object("a.b", ttl=1000),
    }
    enough = [["*"], ["a.*"], ["a.b.*"], ["a.b*"], ["?.b.*"], ["x", "a.b.?*"], ["*b*"]]
    too_little = [["a.b"], ["a.b.c"], ["a.b.[!x]*"], ["a.b.*.*"], ["a.b.??*"], ["a.b", "a.b.c", "a.b.d"], ["*b.c*"]]
    for way, call in ways.items():
        for write in enough + too_little:
            memory.delete()  # an object that is there would keep its time to live
            memory.from_dict({"a": {"b": {"c": 1, "d": {"e": 2}}}})
            root = store.scope(read=["*"], write=write).memory()
            if write in enough:
                call(root)
                continue
            with pytest.raises(shoal.AccessDenied) as caught:
                call(root)
            assert caught.value.key == "a.b", (way, write)
            assert memory.to_dict() == {"a": {"b": {"c": 1, "d": {"e": 2}}}}
            assert memory.ttl("a.b") is None
    for write in (["?*"], ["*"], ["*", "x"]):
        memory.from_dict({"a": 1})
        store.scope(write=write).memory().delete()
        assert memory.to_dict() == {}
    memory["a"] = 1
    for write in (["a"], ["a*"], ["[!b]*"]):
        with pytest.raises(shoal.AccessDenied, match="the whole memory"):
            store.scope(write=write).memory().delete()
    assert memory.to_dict() == {"a": 1}


def test_to_put_a_value_in_place_of_an_object(store: shoal.Store) -> None:
    memory = store.memory()
    for write, allowed in ((["a.b*"], True), (["a.b", "a.b.*"], True), (["a.b.*"], False), (["a.b"], False)):
        memory.from_dict({"a": {"b": {"c": 1}}})
        root = store.scope(write=write).memory()
        if allowed:
            with pytest.raises(shoal.PathConflict):
                root.set("a.b", 1)
            root.set("a.b", 1, overwrite=True)
            assert memory.to_dict() == {"a": {"b": 1}}
        else:
            with pytest.raises(shoal.AccessDenied):
                root.set("a.b", 1, overwrite=True)
            assert memory.to_dict() == {"a": {"b": {"c": 1}}}


def test_to_put_an_object_in_place_of_a_value(store: shoal.Store) -> None:
    memory = store.memory()
    for write, allowed in ((["a*"], True), (["a", "a.b.c"], True), (["a.*"], False), (["a.b", "a.b.c"], False)):
        memory.from_dict({"a": "value"})
        root = store.scope(write=write).memory()
        with pytest.raises(shoal.PathConflict):
            root.set("a.b.c", 1)
        if allowed:
            root.set("a.b.c", 1, overwrite=True)
            assert memory.to_dict() == {"a": {"b": {"c": 1}}}
        else:
            with pytest.raises(shoal.AccessDenied) as caught:
                root.set("a.b.c", 1, overwrite=True)
            assert caught.value.key == "a"
            with pytest.raises(shoal.AccessDenied):
                root.new_object("a.b", overwrite=True)
            assert memory.to_dict() == {"a": "value"}
    below = store.scope(write=["a.*"]).memory()
    with pytest.raises(shoal.AccessDenied):
        below.delete("a")
    memory.from_dict({"a": {"b": 1}})
    assert below.delete("a")
    assert below.delete("a") is False


@pytest.mark.parametrize("place", ["a", "a.b", "a.b.c"])
def test_a_value_above_the_handle_stays(store: shoal.Store, place: str) -> None:
    memory = store.memory()
    memory.set("a", "value")
    handle = store.scope(write=["a.*"]).memory(place)
    for call in (
        lambda: handle.set("x", 1, overwrite=True),
        lambda: handle.new_object("x", overwrite=True),
        lambda: handle._set_encoded("x", b"\x01", None, overwrite=True),
        lambda: handle.new_object("", overwrite=True),
    ):
        with pytest.raises(shoal.AccessDenied) as caught:
            call()
        assert caught.value.key == "a"
        assert memory.to_dict() == {"a": "value"}
    store.scope(write=["a*"]).memory(place).set("x", 1, overwrite=True)
    assert memory.get(f"{place}.x") == 1


def test_update_checks_all_before_the_first_write(store: shoal.Store, memory: MemoryObject, agent: shoal.Store) -> None:
    root = agent.memory()
    for changes in (
        {"agent-7": {"new": 1}, "board": {"topic": "x"}},
        {"agent-7": {"new": {}}, "other": {}},
        {"agent-7": {"new": 1, "notes": "an object is there"}},
    ):
        with pytest.raises((shoal.AccessDenied, shoal.PathConflict)):
            root.update(changes)
        assert memory.to_dict() == CONTENT
    root.update({"agent-7": {"new": {"x": 1, "empty": {}}}})
    assert memory["agent-7.new"].to_dict() == {"x": 1, "empty": {}}
    blind = store.scope(write=["agent-7.*"]).memory("agent-7")
    blind.update(plan="y", notes={"a": 2})
    with pytest.raises(shoal.PathConflict):
        blind.update(notes=1)
    blind.from_dict({"only": 1})
    assert memory["agent-7"].to_dict() == {"only": 1}


def test_arrays_are_views(store: shoal.Store) -> None:
    store.memory()["a.array"] = np.arange(5)
    root = store.scope(read=["a.array"]).memory()
    assert root.view("a.array").tolist() == [0, 1, 2, 3, 4]
    assert not root.view("a.array").flags.writeable


# ------------------------------------------------------------------ the handle


def test_the_handle(store: shoal.Store, memory: MemoryObject, agent: shoal.Store) -> None:
    mine = agent.memory("agent-7")
    assert (mine.path, mine.kind, mine.namespace_name) == ("agent-7", "short_term", "default")
    assert mine == memory["agent-7"]
    assert hash(mine) == hash(memory["agent-7"])
    assert mine.store is agent
    assert not mine.read_only
    assert store.scope(read=["*"]).memory().read_only
    narrower = mine.store.scope(read=["agent-7.plan"]).memory("agent-7")
    assert narrower.to_dict() == {"plan": "x"}
    agent.close()
    with pytest.raises(shoal.StoreClosed):
        mine["plan"]
    assert memory["agent-7.plan"] == "x"


def test_it_arrives_scoped(backend: Backend, agent: shoal.Store) -> None:
    mine = agent.memory("agent-7")
    if backend.kind == "memory":
        with pytest.raises(shoal.InvalidValue, match="cannot be pickled"):
            pickle.dumps(mine)
        return
    arrived = pickle.loads(pickle.dumps(mine))
    assert arrived == mine
    assert arrived["notes.a"] == 1
    arrived["plan"] = "y"
    with pytest.raises(shoal.AccessDenied):
        arrived.store["key"]
    with pytest.raises(shoal.AccessDenied):
        arrived.get(MemoryRef("agent-8.notes.b"))
    arrived.store.close()


def test_keys_and_memory_obey_the_same_patterns(store: shoal.Store) -> None:
    store["a.b"] = "key"
    store.memory()["a.b"] = "field"
    scope = store.scope(read=["a.*"], write=["a.b"])
    assert (scope["a.b"], scope.memory()["a.b"]) == ("key", "field")
    assert scope.delete("a.b")
    assert scope.memory()["a.b"] == "field"


# ------------------------------------------------------------------ all of it, against the rules themselves

NAMES = st.sampled_from(["a", "b"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(".".join)
TREES = st.recursive(st.just(1), lambda below: st.dictionaries(NAMES, below, max_size=2), max_leaves=6)
GLOBS = st.lists(
    st.sampled_from(["*", "a*", "a.*", "*b", "*.b", "a.b", "?", "a.?", "a.?.*", "b.*", "[!a]*", "*a*", "a.a.a"]),
    max_size=2,
)


def allowed(levels: list[list[str]], path: str) -> bool:
    return all(any(Glob(pattern).match(path) for pattern in level) for level in levels)


def visible(tree: dict[str, Any], levels: list[list[str]], above: str = "") -> dict[str, Any]:
    """Return what may be read, but for objects in which nothing is."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            below = visible(value, levels, f"{above}{name}.")
            if below or allowed(levels, above + name):
                found[name] = below
        elif allowed(levels, above + name):
            found[name] = value
    return found


def without_empty(tree: dict[str, Any], levels: list[list[str]], above: str = "") -> dict[str, Any]:
    found = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            below = without_empty(value, levels, f"{above}{name}.")
            if below or allowed(levels, above + name):
                found[name] = below
        else:
            found[name] = value
    return found


def leaves(tree: Any, above: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {above: tree}
    found = {}
    for name, value in tree.items():
        found.update(leaves(value, f"{above}.{name}" if above else name))
    return found


@given(st.dictionaries(NAMES, TREES, max_size=2), st.lists(GLOBS, min_size=1, max_size=2))
@settings(max_examples=150)
def test_listing_is_filtering(tree: dict[str, Any], levels: list[list[str]]) -> None:
    with shoal.open("memory://") as store:
        store.memory().from_dict(tree)
        scope = store
        for level in levels:
            scope = scope.scope(read=level)
        shown = scope.memory().to_dict()
        # An object may also show because something could be below it.
        assert without_empty(shown, levels) == visible(tree, levels)


@given(st.dictionaries(NAMES, TREES, max_size=2), GLOBS, PATHS, st.sampled_from(["delete", "set", "new", "replace"]))
@settings(max_examples=300)
def test_what_goes_may_be_written(tree: dict[str, Any], write: list[str], path: str, way: str) -> None:
    with shoal.open("memory://") as store:
        memory = store.memory()
        memory.from_dict(tree)
        before = memory.to_dict()
        root = store.scope(write=write).memory()
        try:
            if way == "delete":
                root.delete(path)
            elif way == "new":
                root.new_object(path, overwrite=True)
            else:
                root.set(path, 2, overwrite=way == "replace")
        except shoal.ShoalError:
            assert memory.to_dict() == before
        old, new = leaves(before), leaves(memory.to_dict())
        for changed in {place for place in old.keys() | new.keys() if old.get(place) != new.get(place)}:
            assert allowed([write], changed)
