"""Scopes of keys: what globs allow, what listing shows, narrowing, handles. Every single call: test_scope_guard."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import shoal
from shoal.patterns import Glob

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Backend

ENTRIES = {"mine:1": 1, "mine:2": "two", "shared:1": [3], "theirs:1": 4}


@pytest.fixture
def agent(store: shoal.Store) -> shoal.Store:
    """Return the scope of an agent with keys of its own and shared ones that it may read."""
    store.update(ENTRIES)
    return store.scope(read=["mine:*", "shared:*"], write=["mine:*"])


def test_it_sees_what_it_may_read(agent: shoal.Store) -> None:
    seen = {"mine:1": 1, "mine:2": "two", "shared:1": [3]}
    assert agent == seen
    assert len(agent) == 3
    assert sorted(agent) == agent.list_keys() == sorted(seen)
    assert dict(agent.items()) == dict(agent) == agent | {} == seen
    assert agent.list_keys("*:1") == ["mine:1", "shared:1"]
    assert agent.list_keys("mine:*") == ["mine:1", "mine:2"]
    assert agent.list_keys("m*") == ["mine:1", "mine:2"]
    assert agent.list_keys("their*") == []
    assert agent.get_many(["mine:1", "shared:1", "mine:absent"]) == {"mine:1": 1, "shared:1": [3]}
    with pytest.raises(shoal.AccessDenied) as caught:
        agent["theirs:1"]
    assert caught.value.key == "theirs:1"
    assert "'mine:*', 'shared:*'" in str(caught.value)
    with pytest.raises(PermissionError):
        agent.get("theirs:absent")  # it may not know that either


def test_it_changes_what_it_may_write(store: shoal.Store, agent: shoal.Store) -> None:
    agent["mine:3"] = 3
    assert agent.pop("mine:1") == 1
    assert agent.incr("mine:3") == 4
    assert agent.modify("mine:3", lambda old: old + 1) == 5
    assert agent.setdefault("mine:4", 4) == 4
    agent.update({"mine:5": 5})
    assert store.list_keys("mine:*") == ["mine:2", "mine:3", "mine:4", "mine:5"]
    with pytest.raises(shoal.AccessDenied) as caught:
        agent["shared:1"] = 0
    assert caught.value.key == "shared:1"
    assert "may not write 'shared:1'; it may write 'mine:*'" in str(caught.value)
    assert store["shared:1"] == [3]


def test_of_several_keys_all_are_checked_before_the_first_is_touched(store: shoal.Store, agent: shoal.Store) -> None:
    for call in (
        lambda: agent.set_many({"mine:1": 0, "mine:9": 0, "shared:1": 0}),
        lambda: agent.update({"mine:1": 0, "theirs:1": 0}),
        lambda: agent.delete_many(["mine:1", "mine:2", "shared:1"]),
        lambda: agent.get_many(iter(["mine:1", "theirs:1"])),
    ):
        with pytest.raises(shoal.AccessDenied):
            call()
    assert dict(store) == ENTRIES


def test_to_write_is_not_to_read(store: shoal.Store) -> None:
    outbox = store.scope(write=["outbox:*"])
    outbox["outbox:1"] = "sent"
    assert outbox.add("outbox:1", "again") is False
    assert outbox.touch("outbox:1", 1000) is True
    assert len(outbox) == 0
    with pytest.raises(shoal.AccessDenied):
        outbox["outbox:1"]
    with pytest.raises(shoal.AccessDenied):
        outbox.swap("outbox:1", "other")
    assert outbox.delete("outbox:1") is True
    assert len(store) == 0


def test_wrong_keys_are_wrong_first(agent: shoal.Store) -> None:
    for call in (agent.get, agent.delete, agent.pop, agent.exists):
        with pytest.raises(shoal.InvalidKey):
            call("")
        with pytest.raises(shoal.KeyTypeError):
            call(5)  # type: ignore[arg-type]
    with pytest.raises(shoal.KeyTypeError):
        agent.get_many("mine:1")
    with pytest.raises(shoal.KeyNotFound):
        agent["mine:absent"]


def test_popitem_takes_what_may_be_taken(store: shoal.Store, agent: shoal.Store) -> None:
    assert dict([agent.popitem(), agent.popitem()]) == {"mine:1": 1, "mine:2": "two"}
    with pytest.raises(shoal.AccessDenied) as caught:
        agent.popitem()
    assert caught.value.key == "shared:1"
    store.delete("shared:1")
    with pytest.raises(shoal.KeyNotFound):
        agent.popitem()
    assert dict(store) == {"theirs:1": 4}


def test_clear_leaves_nothing_that_shows_or_does_nothing(store: shoal.Store, agent: shoal.Store) -> None:
    with pytest.raises(shoal.AccessDenied) as caught:
        agent.clear()
    assert caught.value.key == "shared:1"
    assert dict(store) == ENTRIES
    agent.scope(read=["mine:*"], write=["mine:*"]).clear()
    assert dict(store) == {"shared:1": [3], "theirs:1": 4}
    store.scope(write=["theirs:*"]).clear()  # what it may write, seen or not
    assert dict(store) == {"shared:1": [3]}
    store.scope(write=["*"]).clear()
    assert len(store) == 0


def test_a_scope_of_everything_is_of_one_namespace(backend: Backend, store: shoal.Store) -> None:
    store.update(ENTRIES)
    beside = backend.namespace(store, "beside")
    beside["key"] = 1
    scope = store.scope(read=["*"], write=["*"])
    assert scope == ENTRIES
    for call in (
        lambda: scope.namespace("beside"),
        lambda: scope.namespace("default", ttl=5),
        lambda: scope.namespace("default", max_keys=5),
        lambda: scope.namespace("default", eviction="sieve"),
        scope.namespaces,
        lambda: scope.drop_namespace("beside"),
        scope.stats,
        scope.destroy,
    ):
        with pytest.raises(shoal.AccessDenied):
            call()
    same = scope.namespace("default")
    assert same == ENTRIES
    assert isinstance(same, type(scope))
    scope.clear()
    assert len(store) == 0
    assert dict(beside) == {"key": 1}
    of_beside = beside.scope(read=["k*"])
    assert (of_beside.namespace_name, dict(of_beside)) == ("beside", {"key": 1})


# ------------------------------------------------------------------ narrowing


def test_a_scope_of_a_scope_only_narrows(store: shoal.Store, agent: shoal.Store) -> None:
    wider = agent.scope(read=["*"], write=["*"])
    assert wider == agent
    with pytest.raises(shoal.AccessDenied):
        wider["shared:1"] = 0
    narrower = agent.scope(read=["*:1"])
    assert narrower.list_keys() == ["mine:1", "shared:1"]
    for key in ("mine:2", "theirs:1"):  # in one of the two only
        with pytest.raises(shoal.AccessDenied):
            narrower.get(key)
    with pytest.raises(shoal.AccessDenied, match="and of that only"):
        narrower.get("mine:2")
    assert narrower.read_only
    nothing = narrower.scope(read=["theirs:*"])
    assert len(nothing) == 0
    assert store["theirs:1"] == 4


GLOBS = st.lists(st.sampled_from(["*", "a*", "*b", "?", "[ab]?", "ab", "b*a", "[!a]*"]), max_size=2)
KEYS = ["a", "b", "ab", "ba", "aab", "bba", "c"]


@given(st.lists(st.tuples(GLOBS, GLOBS), min_size=1, max_size=3))
@settings(max_examples=60)
def test_it_allows_what_each_level_allows(levels: list[tuple[list[str], list[str]]]) -> None:
    with shoal.open("memory://") as store:
        scope = store
        for read, write in levels:
            scope = scope.scope(read=read, write=write)

        def allowed(key: str, which: int) -> bool:
            return all(any(Glob(pattern).match(key) for pattern in level[which]) for level in levels)

        store.update(dict.fromkeys(KEYS, 1))
        assert scope.list_keys() == sorted(key for key in KEYS if allowed(key, 0))
        assert len(scope) == len(scope.list_keys())
        assert scope.list_keys("b*") == sorted(key for key in KEYS if allowed(key, 0) and key.startswith("b"))
        for key in KEYS:
            for which, call in ((0, scope.get), (1, scope.delete)):
                try:
                    call(key)
                except shoal.AccessDenied:
                    assert not allowed(key, which)
                else:
                    assert allowed(key, which)
        assert sorted(store) == sorted(key for key in KEYS if not allowed(key, 1))


def test_many_levels_alike_are_one(store: shoal.Store) -> None:
    store["a"] = 1
    scope = store
    for _ in range(500):
        scope = scope.scope(read=["a*", "b"], write=["*"])
    assert scope["a"] == 1
    assert repr(scope).count("a*") == 1


# ------------------------------------------------------------------ patterns


@pytest.mark.parametrize("wrong", ["a*", "", b"a", None, 5, ["["], ["a", 5], [["a"]], {"a": "\\"}.values()])
@pytest.mark.parametrize("which", ["read", "write"])
def test_patterns_are_a_list_of_globs(store: shoal.Store, which: str, wrong: Any) -> None:
    for target in (store, store.scope(read=["*"])):
        with pytest.raises(shoal.PatternError):
            target.scope(**{which: wrong})


def test_patterns_are_taken_at_once(store: shoal.Store) -> None:
    store["a"] = 1
    patterns = ["a"]
    scope = store.scope(read=patterns)
    patterns.append("b")
    with pytest.raises(shoal.AccessDenied):
        scope.get("b")
    assert store.scope(read=(pattern for pattern in ["a"])).get("a") == 1
    with pytest.raises(TypeError):
        store.scope(["a"])  # type: ignore[misc]  # read or write is to be said


# ------------------------------------------------------------------ the handle


def test_the_handle(store: shoal.Store, agent: shoal.Store) -> None:
    assert (agent.name, agent.url, agent.namespace_name) == (store.name, store.url, store.namespace_name)
    assert agent.allow_pickle == store.allow_pickle
    assert not agent.read_only
    assert store.scope(read=["*"]).read_only
    assert "read 'mine:*', 'shared:*'; write 'mine:*'" in repr(agent)
    assert "read everything; write nothing" in repr(store.scope(read=["*"]))
    with agent as same:
        assert same is agent
    assert agent.closed
    assert not store.closed
    assert (agent.name, agent.url, agent.read_only) == (store.name, store.url, False)
    assert "closed" in repr(agent)
    agent.close()
    assert store["mine:1"] == 1
    with pytest.raises(shoal.StoreClosed):
        agent.scope()
    store.close()
    with pytest.raises(shoal.StoreClosed):
        store.scope()


def test_closing_the_store_closes_its_scopes(store: shoal.Store, agent: shoal.Store) -> None:
    inner = agent.scope(read=["*"])
    agent.close()
    assert inner["mine:1"] == 1  # only the store counts
    store.close()
    assert inner.closed


def test_of_a_read_only_store_nothing_may_be_written(backend: Backend, store: shoal.Store) -> None:
    store["a"] = 1
    scope = backend.open(flag="r").scope(read=["*"], write=["*"])
    assert scope.read_only
    assert scope["a"] == 1
    with pytest.raises(shoal.AccessDenied):
        scope["a"] = 2


def test_values_are_as_in_the_store(store: shoal.Store) -> None:
    store.scope(write=["a"]).set("a", {"n": (1, 2)}, ttl=1000)
    scope = store.scope(read=["a"])
    assert scope["a"] == {"n": (1, 2)}
    assert scope.metadata("a").version == store.get_versioned("a")[1]
    assert 990 < (scope.ttl("a") or 0) <= 1000
    with pytest.raises(shoal.InvalidValue):
        store.scope(write=["a"])["a"] = lambda: 0


def test_it_arrives_as_a_scope(backend: Backend, store: shoal.Store) -> None:
    store.update(ENTRIES)
    scope = store.scope(read=["mine:*", "theirs:*"], write=["mine:*"]).scope(read=["*:1"], write=["*"])
    if backend.kind == "memory":
        with pytest.raises(shoal.InvalidValue, match="cannot be pickled"):
            pickle.dumps(scope)
        return
    arrived = pickle.loads(pickle.dumps(scope))
    assert arrived == {"mine:1": 1, "theirs:1": 4}
    assert repr(arrived) == repr(scope)
    arrived["mine:3"] = 3
    assert store["mine:3"] == 3
    for call in (lambda: arrived["mine:2"], lambda: arrived.delete("theirs:1"), arrived.namespaces):
        with pytest.raises(shoal.AccessDenied) as caught:
            call()
    assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args
    arrived.close()
    assert store["mine:1"] == 1
    scope.close()
    with pytest.raises(shoal.StoreClosed):
        pickle.dumps(scope)


def test_in_a_child_it_is_a_scope(backend: Backend, store: shoal.Store) -> None:
    if backend.kind == "memory":
        return
    store.update(ENTRIES)
    scope = store.scope(read=["mine:*"], write=["mine:2"])
    program = f"""
import pickle, sys
sys.path[:] = {sys.path!r}
import shoal
scope = pickle.load(sys.stdin.buffer)
scope["mine:2"] = sorted(scope)
for call in (lambda: scope["theirs:1"], lambda: scope.set("mine:1", 0)):
    try:
        call()
    except shoal.AccessDenied as error:
        print(error.key)
"""
    child = subprocess.run([sys.executable, "-c", program], input=pickle.dumps(scope), capture_output=True, check=True)
    assert child.stdout.decode().split() == ["theirs:1", "mine:1"]
    assert dict(store) == {**ENTRIES, "mine:2": ["mine:1", "mine:2"]}


# ------------------------------------------------------------------ snapshots


def test_a_snapshot_has_what_may_be_read(
    backend: Backend, store: shoal.Store, agent: shoal.Store, tmp_path: Path
) -> None:
    store.memory().update({"mine:": {"a": 1}, "theirs": {"b": 2}})
    scope = store.scope(read=["mine:*"])
    assert scope.dump(tmp_path / "part") == 3
    other = backend.open("other")
    assert other.load(tmp_path / "part") == 3
    assert other == {"mine:1": 1, "mine:2": "two"}
    assert other.memory().to_dict() == {"mine:": {"a": 1}}


def test_loading_takes_the_right_to_write_all_of_the_file(store: shoal.Store, tmp_path: Path) -> None:
    store.update(ENTRIES)
    memory = store.memory()
    memory.update({"mine:": {"a": 1, "empty": {}}, "theirs": {"b": 2}})
    content = memory.to_dict()
    path = tmp_path / "file"
    store.dump(path)
    store.clear()
    memory.clear()
    for rights in (["mine:*", "shared:*", "theirs:*"], ["mine:*", "shared:*", "theirs.*"], ["*[!2]"]):
        with pytest.raises(shoal.AccessDenied):
            store.scope(read=["*"], write=rights).load(path)
        assert (dict(store), memory.to_dict()) == ({}, {})
    fitting = store.scope(write=["mine:*", "shared:*", "theirs*"])
    assert fitting.load(path) == 6
    assert (dict(store), memory.to_dict()) == (ENTRIES, content)
    store["new"] = memory["new"] = 1
    with pytest.raises(shoal.AccessDenied):
        fitting.load(path, replace=True)
    assert store["new"] == memory["new"] == 1
    store.scope(write=["*"]).load(path, replace=True)
    assert (dict(store), memory.to_dict()) == (ENTRIES, content)


def test_loading_does_not_remove_what_may_not_be_removed(store: shoal.Store, tmp_path: Path) -> None:
    path = tmp_path / "file"
    memory = store.memory()
    memory.update({"a": {"b": 1}})
    store.dump(path)
    memory.clear()
    memory["a"] = "a value on the way"
    scope = store.scope(write=["a.*"])
    with pytest.raises(shoal.AccessDenied):
        scope.load(path)
    memory.clear()
    memory["a.b.c"] = "an object in the place of a value"
    with pytest.raises(shoal.AccessDenied):
        store.scope(write=["a.b"]).load(path)
    assert memory.to_dict() == {"a": {"b": {"c": "an object in the place of a value"}}}
    assert scope.load(path) == 1
    assert memory.to_dict() == {"a": {"b": 1}}


def test_what_cannot_be_loaded_whole_is_not_begun(store: shoal.Store, tmp_path: Path) -> None:
    path = tmp_path / "file"
    memory = store.memory()
    store["a.key"] = memory["a.b"] = 1
    store.dump(path)
    store["a.key"] = memory["c"] = 2
    scope = store.scope(write=["a.*"])
    with pytest.raises(shoal.AccessDenied):
        scope.load(path, replace=True)  # it may not remove c
    assert (dict(store), memory.to_dict()) == ({"a.key": 2}, {"a": {"b": 1}, "c": 2})
    memory.from_dict({"a": 3})
    with pytest.raises(shoal.AccessDenied):
        scope.load(path)  # nor may a make room for a.b
    assert (dict(store), memory.to_dict()) == ({"a.key": 2}, {"a": 3})
    memory.from_dict({"a": {"b": {"c": 4}}})
    with pytest.raises(shoal.AccessDenied):
        store.scope(write=["a.key", "a.b"]).load(path)  # nor an object for a value
    assert (dict(store), memory.to_dict()) == ({"a.key": 2}, {"a": {"b": {"c": 4}}})
