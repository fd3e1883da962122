"""Runs of several processes: what a process that dies without leaving its runs has in them is cleared by the others."""

from __future__ import annotations

import os
import random
import signal
from typing import TYPE_CHECKING, Any

import actors
import pytest
from processes import PATIENCE, problems

import shoal

if TYPE_CHECKING:
    from processes import Crew

METHODS = ["fork", "spawn"]


def runs(store: shoal.Store) -> dict[str, Any]:
    """What all runs of all processes have, whether they live or not."""
    return store._runs().to_dict()


def has_ended(ref: shoal.MemoryRef, store: shoal.Store) -> None:
    with pytest.raises(shoal.KeyNotFound, match="its run has ended"):
        ref.resolve(store)
    with pytest.raises(shoal.KeyNotFound, match="its run has ended"):
        ref.view(store)
    assert store.memory().get(ref, "gone") == "gone"


@pytest.mark.parametrize("method", METHODS)
def test_a_reference_leads_into_the_run_of_another_process(crew: Crew, store: shoal.Store, method: str) -> None:
    child = crew.start(actors.run_until_told, store, "customer", method=method)
    *refs, shared = child.recv()
    for ref, size in zip(refs, actors.SIZES, strict=True):
        assert ref.resolve(store, strict=True) == "x" * size
    assert store.memory().get(refs[0]) == "x"
    with store.run("customer") as ctx:
        assert shared.resolve(ctx) == child.pid
        assert ctx.short_term_memory["runs"] == 1
        assert ctx.sensory_memory.to_dict() == {}
    child.send("end")
    assert child.result()
    for ref in refs:
        has_ended(ref, store)
    assert shared.resolve(store) == child.pid
    assert problems(store) == []


@pytest.mark.parametrize("method", METHODS)
def test_the_runs_of_a_killed_process_have_ended(crew: Crew, store: shoal.Store, method: str) -> None:
    store.memory("customer")["runs"] = 0
    store.memory("customer")["last"] = 0
    before = store.stats()
    child = crew.start(actors.run_until_told, store, "customer", method=method)
    *refs, shared = child.recv()
    assert refs[0].resolve(store) == "x"
    child.kill()
    for ref in refs:
        has_ended(ref, store)  # from its death on, cleared or not
    assert shared.resolve(store) == child.pid
    store.sweep()
    after = store.stats()
    assert after.entries == before.entries
    assert runs(store) == {}
    assert after.used <= before.used + 65_536
    assert store.memory("customer").to_dict() == {"runs": 1, "last": child.pid}
    assert problems(store) == []


def test_only_the_runs_of_the_dead_are_cleared(crew: Crew, store: shoal.Store) -> None:
    lives, dies = (crew.start(actors.run_until_told, store, "customer") for _ in range(2))
    living, dead = lives.recv()[:-1], dies.recv()[:-1]
    with store.run("customer") as ctx:
        own = ctx.sensory_memory.set("a", 1)
        dies.kill()
        store.sweep()
        store.stats()
        for ref, size in zip(living, actors.SIZES, strict=True):
            assert ref.resolve(store) == "x" * size
        assert own.resolve(store) == 1
        for ref in dead:
            has_ended(ref, store)
        assert len(runs(store)) == 2
    lives.send("end")
    lives.result()
    store.sweep()
    assert all(fields == {} for fields in runs(store).values())


def test_a_stopped_process_has_not_ended_its_runs(crew: Crew, store: shoal.Store) -> None:
    child = crew.start(actors.run_until_told, store, "customer")
    *refs, _ = child.recv()
    child.signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    store.sweep()
    assert refs[0].resolve(store) == "x"
    child.go_on()
    child.send("end")
    assert child.result()


def test_a_slot_that_is_used_again_is_another_process(crew: Crew, store: shoal.Store) -> None:
    """The next process gets what the dead one had: its place in the table, perhaps its pid; not its runs."""
    first = crew.start(actors.run_until_told, store, "customer")
    old = first.recv()[0]
    first.kill()
    for _ in range(3):
        child = crew.start(actors.run_until_told, store, "customer")
        new = child.recv()[0]
        assert new.path != old.path
        has_ended(old, store)
        assert new.resolve(store) == "x"
        child.kill()
        has_ended(new, store)
        old = new
    store.sweep()
    assert runs(store) == {}


ENDS = {
    "sys.exit": "import sys; sys.exit(3)",
    "an exception": "import sys; sys.excepthook = lambda *_: None; raise ValueError",
    "SIGINT": "import sys; sys.excepthook = lambda *_: None; import os, signal; os.kill(os.getpid(), signal.SIGINT)",
    "SIGTERM": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "os._exit": "import os; os._exit(3)",
    "SIGKILL": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
}


@pytest.mark.parametrize("how", ENDS)
def test_however_a_program_ends_its_runs_do(crew: Crew, store: shoal.Store, how: str) -> None:
    text = (
        "import json, shoal, sys\n"
        "with shoal.open(sys.argv[1]) as store, store.run('customer') as ctx:\n"
        "    print(json.dumps(ctx.sensory_memory.set('a.b', 1)), flush=True)\n"
        "    sys.stdin.readline()\n"
        f"    {ENDS[how]}\n"
    )
    program = crew.program(text, store.name)
    assert program.stdout is not None
    ref = shoal.MemoryRef.of(program.stdout.readline())
    assert ref.resolve(store) == 1
    program.communicate("end\n", timeout=PATIENCE)
    assert program.returncode != 0
    has_ended(ref, store)
    store.sweep()
    assert runs(store) == {}


@pytest.mark.parametrize("method", METHODS)
def test_other_processes_take_part_in_a_run(crew: Crew, store: shoal.Store, method: str) -> None:
    with store.run("customer") as ctx:
        children = [crew.start(actors.write_to_memory, ctx.sensory_memory, method=method) for _ in range(2)]
        assert {child.result() for child in children} == {ctx.sensory_memory.path}
        store.sweep()  # their end is not that of the run
        assert ctx.sensory_memory.to_dict() == {f"from {child.pid}": child.pid for child in children}
    assert all(fields == {} for fields in runs(store).values())


def test_a_forked_child_ends_its_own_runs_only(crew: Crew, store: shoal.Store) -> None:
    run = store.run("customer")
    with run as ctx:
        sensory = ctx.sensory_memory
        sensory["a"] = 1
        child = os.fork()
        if child == 0:
            code = 1
            try:
                assert run.sensory_memory["a"] == 1
                run.sensory_memory["of the child"] = 1
                run.__exit__(None, None, None)
                assert sensory["a"] == 1
                with store.run("customer") as own:
                    assert own.sensory_memory.to_dict() == {}
                    assert own.sensory_memory.path.split(".")[0] != sensory.path.split(".")[0]
                    own.sensory_memory["b"] = 1
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        store.sweep()
        assert sensory.to_dict() == {"a": 1, "of the child": 1}
    assert all(fields == {} for fields in runs(store).values())


@pytest.mark.parametrize("rounds", [30, pytest.param(1000, marks=pytest.mark.stress)])
def test_processes_that_are_killed_in_the_middle_of_runs_leave_nothing(
    crew: Crew, store: shoal.Store, rounds: int
) -> None:
    chance = random.Random(rounds)
    store.memory("churn")["count"] = 0
    with store.run("churn") as ctx:
        ctx.sensory_memory["a"] = 1  # from its first run on, a process adds nothing
    before = store.stats()
    others = [crew.start(actors.churn_runs, store) for _ in range(2)]
    for _ in range(rounds):
        assert others[0].recv() == "begun"
        assert others[0].alive_after(chance.uniform(0, 0.02))
        others.pop(0).kill()
        with store.run("churn") as ctx:
            ctx.sensory_memory["a"] = 1
        others.append(crew.start(actors.churn_runs, store))
    for other in others:
        other.kill()
    store.sweep()
    after = store.stats()
    assert all(fields == {} for fields in runs(store).values())
    assert len(runs(store)) <= 1  # this process's own
    assert after.entries == before.entries
    assert after.used <= before.used + (4 << 20)
    assert problems(store) == []


def test_a_run_of_a_read_only_process_is_refused(crew: Crew, store: shoal.Store) -> None:
    text = (
        "import shoal, sys\n"
        "store = shoal.open(sys.argv[1], 'r')\n"
        "try:\n"
        "    store.run('k').__enter__()\n"
        "except shoal.AccessDenied:\n"
        "    print('refused')\n"
    )
    assert crew.run(text, store.name) == "refused"


def test_a_reader_resolves_references_and_learns_that_runs_have_ended(crew: Crew, store: shoal.Store) -> None:
    child = crew.start(actors.run_until_told, store, "customer")
    *refs, _ = child.recv()
    with shoal.open(store.name, "r") as reader:
        for ref, size in zip(refs, actors.SIZES, strict=True):
            assert ref.resolve(reader, strict=True) == "x" * size
        child.kill()
        for ref in refs:
            has_ended(ref, reader)
