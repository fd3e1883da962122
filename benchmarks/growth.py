"""One store from a single key to millions: what an insert costs as it grows, and the slowest of all."""

from __future__ import annotations

import time
from dataclasses import dataclass

import shoal
from shoal.bench.points import VALUES


@dataclass(frozen=True)
class Growth:
    """Inserts up to `keys`: mean nanoseconds since the last line, and the slowest single one so far, microseconds."""

    keys: int
    mean_ns: float
    slowest_us: float
    over_1_ms: int


def run(keys: int) -> tuple[list[Growth], float]:
    """Insert `keys` entries. The second figure is the bytes of shared memory per entry at the end."""
    lines = []
    clock = time.perf_counter_ns
    with shoal.open(size=400 * keys + (64 << 20)) as store:
        put, value = store.set, VALUES["str"]
        slowest = over = done = 0
        mark = 1_000
        began = clock()
        for i in range(keys):
            key = f"key:{i:08d}"
            before = clock()
            put(key, value)
            took = clock() - before
            slowest = max(slowest, took)
            over += took > 1_000_000
            if i + 1 in (mark, keys):
                now = clock()
                lines.append(Growth(i + 1, (now - began) / (i + 1 - done), slowest / 1e3, over))
                done, mark, began = i + 1, mark * 10, clock()
        used = store.stats().used
    return lines, used / keys
