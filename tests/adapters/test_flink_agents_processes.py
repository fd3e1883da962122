"""Memory of Flink Agents in several processes: nothing is lost, and nothing is left."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import flink_agents_work as work
import pytest

import shoal
from shoal.adapters.flink_agents import LocalMemoryObject, MemoryType, RunnerContext

if TYPE_CHECKING:
    from collections.abc import Iterator

PROCESSES = 4
PATIENCE = 60


@pytest.fixture
def store() -> Iterator[shoal.Store]:
    with shoal.open(f"test-flink-{os.getpid()}-{uuid4().hex[:8]}", "n", size="64MiB") as store:
        yield store


def at_once(method: str, target: Any, *arguments: Any, gate: bool = True) -> None:
    context: Any = multiprocessing.get_context(method)
    barrier = context.Barrier(PROCESSES)
    given = [(*arguments, me, barrier) if gate else arguments for me in range(PROCESSES)]
    processes = [context.Process(target=target, args=each) for each in given]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    assert [process.exitcode for process in processes] == [0] * PROCESSES


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_writers_of_one_object_lose_nothing(store: shoal.Store, method: str) -> None:
    at_once(method, work.write_fields, store.url)
    mem = LocalMemoryObject(MemoryType.SHORT_TERM, store)
    names = [f"again{me}" for me in range(PROCESSES)] + [f"by{me}" for me in range(PROCESSES)]
    for n in range(work.FIELDS):
        assert mem.get(f"shared.object{n}").get_field_names() == names
        assert mem.get(f"shared.object{n}.by1") == [1, n]


def test_those_who_make_objects_of_one_value_lose_nothing(store: shoal.Store) -> None:
    mem = LocalMemoryObject(MemoryType.SHORT_TERM, store)
    for n in range(work.FIELDS):
        mem.set(f"v{n}", "a value")
        mem.set(f"w{n}", "a value")
    at_once("fork", work.write_below_values, store.url)
    names = [f"by{me}" for me in range(PROCESSES)]
    assert [mem.get(f"v{n}.below").get_field_names() for n in range(work.FIELDS)] == [names] * work.FIELDS
    assert [mem.get(f"w{n}").get_field_names() for n in range(work.FIELDS)] == [names] * work.FIELDS
    assert [mem.get(f"v{n}").get_field_names() for n in range(work.FIELDS)] == [["below"]] * work.FIELDS


def test_runs_of_one_key_in_several_processes(store: shoal.Store) -> None:
    at_once("fork", work.count_runs, store.url, 30, gate=False)
    with RunnerContext(store, "customer") as ctx:
        seen = ctx.short_term_memory.get("seen")
        assert {int(name.split("-")[0]) for name in seen.get_field_names()} == set(range(30))
        assert ctx.sensory_memory.get_field_names() == []
        ctx.close()


def test_handles_and_references_go_to_other_processes(store: shoal.Store) -> None:
    with RunnerContext(store, "customer") as ctx:
        below = ctx.sensory_memory.new_object("a.b")
        ref = below.set("c", [1, 2])
        assert len(pickle.dumps(ref)) < 1000
        here, there = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=work.resolve, args=(below, ref, there))
        process.start()
        there.close()
        assert here.poll(PATIENCE)
        assert here.recv() == [1, 2]
        process.join(PATIENCE)
        assert process.exitcode == 0
        assert ctx.sensory_memory.get("a.b.answer") == "seen"
        ctx.close()


def test_a_killed_run_leaves_short_term_memory_alone(store: shoal.Store) -> None:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=work.run_and_hang, args=(store.url, there))
    process.start()
    there.close()
    assert here.poll(PATIENCE)
    assert here.recv() == "written"
    assert store.stats().fields >= 3
    process.kill()
    process.join()
    assert store.memory().to_dict() == {"customer": {"stays": 1}}
    assert store.stats().fields == 2  # the customer, and what stays


def test_a_child_has_sensory_memory_of_its_own_once_it_clears(store: shoal.Store) -> None:
    ctx = RunnerContext(store, "customer")
    ctx.sensory_memory.set("whose", "the parent's")
    here, there = multiprocessing.Pipe()

    def child() -> None:
        there.send(ctx.sensory_memory.get("whose"))
        with ctx:
            ctx.sensory_memory.set("whose", "the child's")
            ctx.short_term_memory.set("from", "the child")

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    there.close()
    assert here.poll(PATIENCE)
    assert here.recv() == "the parent's"
    process.join(PATIENCE)
    assert process.exitcode == 0
    assert ctx.sensory_memory.get_fields() == {"whose": "the parent's"}
    assert ctx.short_term_memory.get_fields() == {"from": "the child"}
    ctx.close()
