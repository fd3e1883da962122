"""What processes of these tests do: functions that a spawned child can import.

A *stripe* is a value that shows whether it is whole: its size follows from what it is made of, and all of it is the
same.
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

import shoal
import shoal.codec  # so that a forked child has it from the start and gets to work at once

SIZES = (1, 7, 100, 300, 1000, 5000, 40_000, 70_000, 200_000)

_shared: Any = None
"""The store of this process, for pools."""


def stripe(number: int) -> Any:
    """A value made of `number`: one of four kinds, one of nine sizes."""
    kind, size = number % 4, SIZES[number % len(SIZES)]
    if kind == 0:
        return chr(32 + number % 90) * size
    if kind == 1:
        return bytes([number % 250]) * size
    if kind == 2:
        return np.full(size // 8 + 1, number)
    return {"number": number, "copies": [number] * (size // 16 + 1), "text": f"{number} " * (size // 16 + 1)}


def whole(value: Any) -> bool:
    """Whether it is a stripe, and not of two."""
    if isinstance(value, str):
        return len(value) in SIZES and value == value[0] * len(value)
    if isinstance(value, bytes):
        return len(value) in SIZES and value == value[:1] * len(value)
    if isinstance(value, np.ndarray):
        number = int(value[0])
        return len(value) == SIZES[number % len(SIZES)] // 8 + 1 and bool((value == number).all())
    number = value["number"]
    count = SIZES[number % len(SIZES)] // 16 + 1
    return value == {"number": number, "copies": [number] * count, "text": f"{number} " * count}


def write_stripes(line: Any, store: Any, seed: int, keys: int, seconds: float) -> int:
    """Write stripes under a few keys; now and then remove one."""
    written, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        number = written * 7 + seed
        key = f"key {number % keys}"
        if written % 11 == 0:
            store.delete(key)
        else:
            store[key] = stripe(number)
        written += 1
    return written


def read_stripes(line: Any, store: Any, keys: int, seconds: float) -> tuple[int, int]:
    """Read what the writers write; how many values were there, and how many of them were torn."""
    seen = torn = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for number in range(keys):
            value = store.get(f"key {number}")
            if value is not None:
                seen += 1
                torn += not whole(value)
    return seen, torn


def greet(line: Any, store: Any) -> tuple[Any, int]:
    """Read what the parent wrote, answer it, and say who is here."""
    store[f"from {os.getpid()}"] = store["greeting"]
    return store["greeting"], os.getpid()


def read_greeting(line: Any, store: Any) -> tuple[Any, bool]:
    return store["greeting"], store.read_only


def make_anonymous(line: Any) -> None:
    """Make a store here and hand it to the parent."""
    with shoal.open(None, size="4MiB") as store:
        store["greeting"] = "from the child"
        line.send(store)
        assert line.recv() == "answered"
        assert store["answer"] == "from the parent"


def count_up(store: Any, key: str, times: int) -> int:
    """Add one so many times; for pools."""
    for _ in range(times):
        store.incr(key)
    return os.getpid()


def keep(store: Any) -> None:
    """Initialise a worker of a pool with the store."""
    global _shared  # noqa: PLW0603 - what an initializer is for
    _shared = store


def count_up_kept(key: str) -> int:
    """Add one in the store that the worker was initialised with."""
    return int(_shared.incr(key))


def run_until_told(line: Any, store: Any, key: str) -> bool:
    """Begin a run, fill its sensory memory, tell its references, and go on until told to end."""
    with store.run(key) as ctx:
        ctx.short_term_memory.incr("runs")
        refs = [ctx.sensory_memory.set(f"deep.er {size}.field", "x" * size) for size in SIZES]
        ctx.sensory_memory.new_object("empty")
        with ctx.sensory_memory.create_array("array", 10_000, "f8") as array:
            array[:] = 1
        line.send([*refs, ctx.short_term_memory.set("last", os.getpid())])
        line.recv()
    return not ctx.store.closed


def write_to_memory(line: Any, memory: Any) -> str:
    """Set a field of an object that another process handed here."""
    memory.set(f"from {os.getpid()}", os.getpid())
    return str(memory.path)


def churn_runs(line: Any, store: Any) -> None:
    """Begin and end runs for ever."""
    line.send("begun")
    while True:
        with store.run("churn") as ctx:
            ctx.sensory_memory.set("a.b.c", 1)
            ctx.sensory_memory["large"] = b"x" * 50_000
            with store.run() as inner:
                inner.sensory_memory["d"] = [1] * 100
            ctx.short_term_memory.incr("count")


# ---------------------------------------------------------------------- memory


def wait_for_all(line: Any) -> None:
    """Begin when the others do."""
    line.send("ready")
    assert line.recv() == "begin"


def set_own_fields(line: Any, me: int, memory: Any, times: int) -> None:
    """Set fields of an object that all use, and find them as they were written last, by every way to them."""
    wait_for_all(line)
    shared = memory._child("shared")
    for number in range(times):
        shared.set(f"last of {me}", number)
        shared[f"{number % 50} of {me}"] = number
        assert memory[f"shared.last of {me}"] == shared[f"last of {me}"] == number
        if number % 100 == 0:
            names = shared.get_field_names()
            assert {f"{old % 50} of {me}" for old in range(max(0, number - 49), number + 1)} < set(names)


def make_ways(line: Any, me: int, memory: Any, times: int) -> None:
    """Make the same objects as all others, by setting fields below them."""
    wait_for_all(line)
    for number in range(times):
        memory.set(f"way {number}.a.b.by {me}", me)
        memory.get(f"way {number}.a").set(f"by {me}", me)
        assert memory[f"way {number}.a.b.by {me}"] == me


def count_and_log(line: Any, me: int, memory: Any, times: int) -> list[int]:
    """Add to a field of all, and append to another."""
    wait_for_all(line)
    numbers = []
    for number in range(times):
        numbers.append(memory.incr("of.all.count"))
        if number % 10 == 0:
            memory.modify("of.all.log", lambda log, number=number: [*log, (me, number // 10)], default=[])
    return numbers


def set_below(line: Any, me: int, memory: Any) -> int:
    """Set fields below a parent that others take away: each is as it was written last, or gone."""
    wait_for_all(line)
    written = 0
    way = memory._child("parent", f"way {me}", "of")
    while not line.poll():
        number = written % 5
        try:
            way.set(f"field {number}", (me, written, stripe(written)))
        except shoal.PathConflict:  # a value is where the parent was
            memory.delete("parent")
            continue
        for handle, path in ((way, ""), (memory, f"parent.way {me}.of.")):
            found = handle.get(f"{path}field {number}")
            assert found is None or (found[:2] == (me, written) and whole(found[2]))
        assert set(way.get_field_names()) <= {f"field {number}" for number in range(5)}
        assert set(memory._child("parent", f"way {me}")) <= {"of"}
        written += 1
    return written


def take_away(line: Any, me: int, memory: Any, manners: list[str]) -> int:
    """Remove the parent of what others set, or put something else there."""
    wait_for_all(line)
    rounds = 0
    while not line.poll():
        manner = manners[(rounds + me) % len(manners)]
        if manner == "delete":
            memory.delete("parent")
        elif manner == "renew":
            memory.new_object("parent", overwrite=True)
        else:
            memory.set("parent", rounds, overwrite=True)
        rounds += 1
    return rounds


GROUP = {f"field {number}": number for number in range(40)}
NAMES = sorted(GROUP)


def build_groups(line: Any, memory: Any) -> int:
    """Fill a new group, tell all that it is whole, and remove the one before in one of many manners."""
    wait_for_all(line)
    before = memory["current"]
    while not line.poll():
        current = before + 1
        memory.update({f"groups {current % 3}": {f"{current}": {"in": GROUP}}})
        memory["current"] = current
        path, manner = f"groups {before % 3}.{before}", current % 6
        if before == 0:
            pass
        elif manner == 0:
            memory.delete(path)
        elif manner == 1:
            memory.new_object(f"{path}.in", overwrite=True)
        elif manner == 2:
            memory.set(f"{path}.in", "flat", overwrite=True)
        elif manner == 3:
            memory.delete(f"{path}.in")
        elif manner == 4:
            memory.touch(path, 1e-9)
        else:
            memory.delete(f"groups {before % 3}")
        if before:
            assert memory.get(f"{path}.in.field 7") is None
            memory.delete(path)
        before = current
    return int(before)


def look_at_groups(line: Any, memory: Any) -> tuple[int, int]:
    """Look at the group that is whole, and at one that has become another's past; how often it was whole, and gone."""
    wait_for_all(line)
    missed = whole_ones = 0
    handles: dict[int, Any] = {}
    while not line.poll():
        current = memory["current"]
        if current == 0:
            continue
        if current not in handles:
            handles = {old: handle for old, handle in handles.items() if old > current - 3}
            handles[current] = memory._child(f"groups {current % 3}", f"{current}", "in")
        for generation, handle in handles.items():
            path = f"groups {generation % 3}.{generation}.in.field"
            gone = generation <= missed
            for look in (
                lambda handle=handle: handle.get("field 3") == 3,
                lambda handle=handle: listed(handle),
                lambda path=path: memory.get(f"{path} 5") == 5,
                lambda handle=handle: handle.is_exist("field 7"),
                lambda path=path: memory.is_exist(f"{path} 9"),
            ):
                there = look()
                assert not (there and gone), f"{generation} is back"
                gone = not there
            if gone:
                missed = max(missed, generation)
            whole_ones += not gone
    return whole_ones, missed


def listed(handle: Any) -> bool:
    names = handle.get_field_names()
    assert names in ([], NAMES)
    return bool(names)


def look_at_groups_of(line: Any, name: str) -> tuple[int, int]:
    """The same through a read-only handle."""
    with shoal.open(name, "r") as store:
        return look_at_groups(line, store.memory())
