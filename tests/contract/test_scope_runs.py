"""Runs and references of a scope: a run's own memory is free, all other is as the scope says."""

from __future__ import annotations

import gc
import pickle
from typing import TYPE_CHECKING

import pytest

import shoal
from shoal import MemoryRef

if TYPE_CHECKING:
    from conftest import Backend


@pytest.fixture
def agent(store: shoal.Store) -> shoal.Store:
    store.memory().update({"customer-1": {"name": "ann"}, "customer-2": {"name": "bob"}})
    return store.scope(read=["customer-1.*"], write=["customer-1.visits"])


def test_the_memory_of_its_own_run_is_free(store: shoal.Store) -> None:
    for scope in (store.scope(), store.scope(read=["x"]), store.scope().scope(read=["*"])):
        with scope.run() as ctx:
            own = ctx.sensory_memory
            own.set("draft.text", "abc")
            own.set("draft", 1, overwrite=True)
            own.update({"a": {"b": [1]}})
            assert own.to_dict() == {"draft": 1, "a": {"b": [1]}}
            assert own["a"].delete("b")
            assert own["a"].path.endswith(".a")
            assert own.delete("a")
            assert not own.read_only
            assert own.store is ctx.store is scope
            assert "draft" in repr(own)
            own.clear()
            own["left"] = 1
        assert own.to_dict() == {}
    assert store._runs().to_dict() in ({}, {store._process_token(): {}})


def test_short_term_memory_is_as_the_scope_says(store: shoal.Store, agent: shoal.Store) -> None:
    with agent.run("customer-1") as ctx:
        mine = ctx.short_term_memory
        assert mine["name"] == "ann"
        mine["visits"] = 1
        with pytest.raises(shoal.AccessDenied):
            mine["name"] = "eve"
    with agent.run("customer-2") as ctx:
        with pytest.raises(shoal.AccessDenied):
            ctx.short_term_memory.get("name")
        ctx.sensory_memory["x"] = 1
    assert store.memory("customer-1").to_dict() == {"name": "ann", "visits": 1}


def test_from_the_memory_of_a_run_nothing_else_is_reached(agent: shoal.Store, store: shoal.Store) -> None:
    with agent.run() as ctx, store.run() as other:
        ref = other.sensory_memory.set("x", 1)
        own = ctx.sensory_memory
        own["x"] = 2
        for memory in (own, own.new_object("y"), own["y"], ctx.short_term_memory, agent.memory("customer-1")):
            for denied in (ref, MemoryRef("customer-2.name"), MemoryRef(ref.path.rpartition(".")[0], kind="sensory")):
                with pytest.raises(shoal.AccessDenied):
                    memory.get(denied)
            assert memory.get(MemoryRef("customer-1.name")) == "ann"
        with pytest.raises(shoal.AccessDenied):
            own.store.memory()["customer-2"]


def test_references_obey_the_scope(store: shoal.Store, agent: shoal.Store, backend: Backend) -> None:
    memory = store.memory()
    ref = memory.set("customer-1.name", "ann")
    assert ref.resolve(agent) == ref.resolve(agent.memory("customer-1")) == "ann"
    assert ref.resolve(agent, strict=True) == "ann"
    with agent.run() as ctx:
        assert ref.resolve(ctx) == "ann"
        assert ref.resolve(ctx.sensory_memory) == "ann"
    assert bytes(ref.view(agent)) == b"ann"
    foreign = backend.namespace(store, "beside").memory().set("customer-1.name", "x")
    for denied in (memory.set("customer-2.name", "bob"), foreign):
        assert denied.resolve(store)
        for call in (denied.resolve, denied.view, lambda scope, ref=denied: ref.resolve(scope, strict=True)):
            with pytest.raises(shoal.AccessDenied):
                call(agent)
    memory.delete("customer-1.name")
    with pytest.raises(shoal.KeyNotFound, match="deleted"):
        ref.resolve(agent)


def test_references_to_the_memory_of_runs(store: shoal.Store, agent: shoal.Store) -> None:
    with agent.run() as ctx, agent.run() as second, store.run() as other:
        ref = ctx.sensory_memory.set("x.y", "mine")
        assert ref.kind == "sensory"
        for target in (agent, ctx, second, ctx.sensory_memory, ctx.short_term_memory, store, other):
            assert ref.resolve(target) == "mine"
            assert ref.resolve(target, strict=True) == "mine"
        assert bytes(ref.view(agent)) == b"mine"
        found = MemoryRef(ref.path.rpartition(".")[0], kind="sensory").resolve(agent)
        assert isinstance(found, shoal.MemoryObject)
        found["z"] = 1
        assert found.to_dict() == {"y": "mine", "z": 1}
        # Of other runs nothing, whoever began them: that the patterns allow everything is no matter.
        everything = store.scope(read=["*"], write=["*"])
        for scope in (everything, agent.scope(read=["*"]), store.scope()):
            for call in (ref.resolve, ref.view, lambda scope: scope.memory().get(ref)):
                with pytest.raises(shoal.AccessDenied):
                    call(scope)
        unscoped = other.sensory_memory.set("x", 1)
        with pytest.raises(shoal.AccessDenied):
            unscoped.resolve(agent)
    for target in (agent, everything, store):
        with pytest.raises(shoal.KeyNotFound, match="its run has ended"):
            ref.resolve(target)
        assert target.memory().get(ref, "default") == "default"
        with pytest.raises(shoal.KeyNotFound, match="its run has ended"):
            unscoped.resolve(target)


def test_the_root_of_all_runs_shows_nothing(store: shoal.Store, agent: shoal.Store) -> None:
    with store.run() as other, agent.run() as ctx:
        other.sensory_memory["x"] = 1
        ctx.sensory_memory["x"] = 2
        runs = agent._runs()
        assert runs.to_dict() == {}
        assert len(runs) == 0
        for path in (store._process_token(), other.sensory_memory.path, other.sensory_memory.path + ".x"):
            for call in (runs.get, runs.delete, runs.metadata, runs._fields, lambda path: runs.set(path, 1)):
                with pytest.raises(shoal.AccessDenied):
                    call(path)
        with pytest.raises(shoal.AccessDenied):
            runs._child(store._process_token()).delete()
        for call in (runs.delete, runs.clear):
            with pytest.raises(shoal.AccessDenied):
                call()
        assert other.sensory_memory.to_dict() == {"x": 1}
        other.sensory_memory.delete()
        assert runs.get(other.sensory_memory.path + ".x") is None
        for call in (runs.new_object, lambda path: runs.set(path, 1), lambda path: runs.set(path + ".x", 1)):
            with pytest.raises(shoal.AccessDenied):
                call(other.sensory_memory.path)


def test_a_scope_keeps_nothing_of_runs_that_have_ended(agent: shoal.Store) -> None:
    for _ in range(50):
        with agent.run() as ctx:
            ctx.sensory_memory["x"] = 1
    del ctx
    gc.collect()
    assert len(agent._begun) == 0  # type: ignore[attr-defined]


def test_as_a_decorator(agent: shoal.Store) -> None:
    @agent.run("customer-1")
    def step(ctx: shoal.RunContext, number: int) -> tuple[int, str]:
        ctx.sensory_memory["number"] = number
        return ctx.sensory_memory.incr("number"), ctx.short_term_memory["name"]

    assert step(1) == (2, "ann")
    assert step(5) == (6, "ann")


def test_a_run_in_a_scope_of_a_read_only_store(backend: Backend, agent: shoal.Store) -> None:
    assert agent.scope(read=["*"]).read_only
    with agent.scope(read=["*"]).run() as ctx:
        ctx.sensory_memory["x"] = 1
    with pytest.raises(shoal.AccessDenied), backend.open(flag="r").scope(write=["*"]).run():
        pass


def test_what_a_run_left_behind_is_cleared(store: shoal.Store, agent: shoal.Store) -> None:
    kept = []
    with agent.run() as ctx:
        kept.append(ctx.sensory_memory)
    kept[0]["late"] = 1  # by a thread that outlives the run, say
    for _ in range(2048):
        with agent.run():
            pass
    assert store._runs().get(kept[0].path) is None


def test_memory_of_a_run_is_sent_with_its_right(backend: Backend, agent: shoal.Store) -> None:
    if backend.kind == "memory":
        return
    with agent.run() as ctx:
        ref = ctx.sensory_memory.set("x", 1)
        arrived, scope = pickle.loads(pickle.dumps((ctx.sensory_memory, agent)))
        assert arrived["x"] == 1
        arrived["y"] = 2
        assert ctx.sensory_memory["y"] == 2
        with pytest.raises(shoal.AccessDenied):
            ref.resolve(scope)
        with pytest.raises(shoal.AccessDenied):
            arrived.get(MemoryRef("customer-2.name"))
        scope.close()
