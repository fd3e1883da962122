"""How long one call takes, in nanoseconds: the median of many short measurements.

A measurement takes less than a time slice, so that what else the machine does hits only some of them.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BATCH = 500
"""Calls that are measured at once, where one takes too little time."""


def along(call: Callable[..., Any], keys: Sequence[str], *value: Any) -> Callable[[], float]:
    """One call for each key, with a value or without. Nothing is unpacked where it is timed: that would cost as much."""
    batches = [keys[first : first + BATCH] for first in range(0, len(keys), BATCH)]

    def reading() -> float:
        took = []
        for batch in batches:
            began = time.perf_counter_ns()
            for key in batch:
                call(key)
            took.append((time.perf_counter_ns() - began) / len(batch))
        return statistics.median(took)

    def writing() -> float:
        took = []
        what = value[0]
        for batch in batches:
            began = time.perf_counter_ns()
            for key in batch:
                call(key, what)
            took.append((time.perf_counter_ns() - began) / len(batch))
        return statistics.median(took)

    return writing if value else reading


def each(call: Callable[[], Any], times: int) -> Callable[[], float]:
    """The same call again and again."""
    return along(lambda _: call(), [""] * times)


def single(call: Callable[..., Any], *arguments: Any, times: int) -> Callable[[], float]:
    """A call that takes long enough to be measured alone."""

    def run() -> float:
        took = []
        for _ in range(times):
            began = time.perf_counter_ns()
            call(*arguments)
            took.append(time.perf_counter_ns() - began)
        return statistics.median(took)

    return run
