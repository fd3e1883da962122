"""What the processes of `test_flink_agents` do. In a module of its own, so that spawned ones find it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import shoal
from shoal.adapters.flink_agents import LocalMemoryObject, MemoryRef, MemoryType, RunnerContext

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

FIELDS = 60


def write_fields(url: str, me: int, gate: Any) -> None:
    """Write fields of objects that the others write to as well."""
    with shoal.open(url) as store:
        memory = LocalMemoryObject(MemoryType.SHORT_TERM, store)
        gate.wait(60)
        for n in range(FIELDS):
            memory.set(f"shared.object{n}.by{me}", [me, n])
            memory.new_object(f"shared.object{n}").set(f"again{me}", n)


def write_below_values(url: str, me: int, gate: Any) -> None:
    """Write below what is a value: all turn the same values into objects at once."""
    with shoal.open(url) as store:
        memory = LocalMemoryObject(MemoryType.SHORT_TERM, store)
        for n in range(FIELDS):
            gate.wait(60)
            memory.set(f"v{n}.below.by{me}", me)
            memory.new_object(f"w{n}", overwrite=True).set(f"by{me}", me)


def resolve(memory: LocalMemoryObject, ref: MemoryRef, line: Connection) -> None:
    """Read through a handle and a reference that came from another process, and write an answer."""
    line.send(memory.get(ref))
    memory.set("answer", "seen")


def run_and_hang(url: str, line: Connection) -> None:
    """Begin a run and never end it."""
    with RunnerContext(url, "customer") as ctx:
        ctx.short_term_memory.set("stays", 1)
        ctx.sensory_memory.set("draft", "half")
        line.send("written")
        line.recv()  # this never comes


def count_runs(url: str, runs: int) -> None:
    """Runs of one key, each with a field of its own."""
    with shoal.open(url) as store:
        for n in range(runs):
            with RunnerContext(store, "customer") as ctx:
                assert ctx.sensory_memory.get_field_names() == []
                ctx.sensory_memory.set("mine", n)
                ctx.short_term_memory.new_object("seen").set(f"{ctx.sensory_memory.get('mine')}-{id(ctx)}", n)
                assert ctx.sensory_memory.get_fields() == {"mine": n}
