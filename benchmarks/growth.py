"""One store from a single key to millions: what an insert costs as it grows, and the slowest of all.

The slowest by the clock may have been stopped by the scheduler, so that others could run. By the thread's own CPU time,
which does not count what others did, it is the store's (and the kernel's that gives it pages).
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import shoal
from shoal.bench.points import VALUES

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 1_000
LONG = 1_000_000
"""Nanoseconds: what no insert should take."""


@dataclass(frozen=True)
class Growth:
    """Inserts up to `keys`: mean nanoseconds since the last line; of single ones the slowest so far and how many were long."""

    keys: int
    mean_ns: float = 0.0
    slowest_us: float = 0.0
    over_1_ms: int = 0
    slowest_cpu_us: float = 0.0
    over_1_ms_cpu: int = 0


def _chunks(keys: int) -> Iterator[tuple[int, list[str]]]:
    """The number of the last key, and keys."""
    for first in range(0, keys, CHUNK):
        last = min(first + CHUNK, keys)
        yield last, [f"key:{i:08d}" for i in range(first, last)]


def _marks(keys: int) -> list[int]:
    """Where a line is drawn: a thousand, ten thousand, ..., all."""
    marks, at = [], CHUNK
    while at < keys:
        marks.append(at)
        at *= 10
    return [*marks, keys]


def _mean(keys: int) -> tuple[list[Growth], float]:
    """The means, and bytes in use per entry at the end."""
    lines = []
    marks = iter(_marks(keys))
    mark, done, spent = next(marks), 0, 0
    with shoal.open(size=400 * keys + (64 << 20)) as store:
        put, value, clock = store.set, VALUES["str"], time.perf_counter_ns
        for last, some in _chunks(keys):
            began = clock()
            for key in some:
                put(key, value)
            spent += clock() - began
            if last == mark:
                lines.append(Growth(last, spent / (last - done)))
                mark, done, spent = next(marks, 0), last, 0
        return lines, store.stats().used / keys


def _single(keys: int, lines: list[Growth]) -> list[Growth]:
    """The same again, each insert measured by itself."""
    found = []
    waiting = iter(lines)
    line = next(waiting)
    slowest = over = slowest_cpu = over_cpu = 0
    with shoal.open(size=400 * keys + (64 << 20)) as store:
        put, value, clock, cpu = store.set, VALUES["str"], time.perf_counter_ns, time.thread_time_ns
        for last, some in _chunks(keys):
            ran = cpu()
            for key in some:
                before = clock()
                put(key, value)
                took = clock() - before
                run_before, ran = ran, cpu()
                slowest = max(slowest, took)
                slowest_cpu = max(slowest_cpu, ran - run_before)  # with what is around it, half a microsecond
                over += took > LONG
                over_cpu += ran - run_before > LONG
            if last == line.keys:
                found.append(
                    replace(
                        line,
                        slowest_us=slowest / 1e3,
                        over_1_ms=over,
                        slowest_cpu_us=slowest_cpu / 1e3,
                        over_1_ms_cpu=over_cpu,
                    )
                )
                line = next(waiting, line)
    return found


def run(keys: int) -> tuple[list[Growth], float]:
    """Insert `keys` entries. The second figure is the bytes of shared memory per entry at the end."""
    gc.disable()
    try:
        lines, per_entry = _mean(keys)
        return _single(keys, lines), per_entry
    finally:
        gc.enable()
