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
