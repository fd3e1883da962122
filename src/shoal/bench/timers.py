"""How long one call takes, in nanoseconds: the median of many short measurements.

A measurement takes less than a time slice, so that what else the machine does hits only some of them.
"""

from __future__ import annotations

import gc
import statistics
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["BATCH", "along", "each", "fitting", "percentile", "single"]

BATCH = 500
"""Calls that are measured at once, where one takes too little time."""


def percentile(ordered: Sequence[float], fraction: float) -> float:
    """The value that so many of all do not exceed; of none, nan. The values are in order."""
    if not ordered:
        return float("nan")
    return ordered[min(len(ordered) - 1, int(len(ordered) * fraction))]


def fitting(call: Callable[[], Any], budget: float, most: int, least: int = 50) -> int:
    """How many calls take so many seconds, judged by a few of them."""
    began = time.perf_counter()
    done = 0
    while done < 20 or (time.perf_counter() - began < budget / 20 and done < most):
        call()
        done += 1
        if time.perf_counter() - began > budget:
            break
    each_takes = (time.perf_counter() - began) / done
    return max(least, min(most, int(budget / each_takes)))


def along(call: Callable[..., Any], keys: Sequence[str], *value: Any) -> Callable[[], float]:
    """One call for each key, with a value or without. Nothing is unpacked where it is timed: that would cost as much."""
    batches = [keys[first : first + BATCH] for first in range(0, len(keys), BATCH)]
    if len(batches) > 1 and len(batches[-1]) < BATCH:
        del batches[-1]  # it would count as much as the others

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

    return _undisturbed(writing if value else reading)


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

    return _undisturbed(run)


def _undisturbed(run: Callable[[], float]) -> Callable[[], float]:
    def without_collector() -> float:
        gc.collect()
        gc.disable()
        try:
            return run()
        finally:
            gc.enable()

    return without_collector
