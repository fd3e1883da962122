"""A process per contender, rounds interleaved, medians and spread, and how busy others kept the machine."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import contenders

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

# prepare(store, options) -> {work: run}, where run() returns the nanoseconds of one operation, measured over many
Prepare = Callable[[Any, dict[str, Any]], dict[str, Callable[[], float]]]


@dataclass(frozen=True)
class Figure:
    """One contender at one kind of work: nanoseconds per operation."""

    contender: str
    work: str
    median: float
    spread: float
    rounds: int
    samples: tuple[float, ...]

    def relative_to(self, other: Figure) -> float:
        """How many times its time: the median of the rounds' ratios, because a machine is not as fast in every round."""
        return statistics.median(ours / theirs for ours, theirs in zip(self.samples, other.samples, strict=True))


def _serve(pipe: Connection, contender: Callable[[], Any], prepare: Prepare, options: dict[str, Any]) -> None:
    store = contender()
    try:
        store.open(options["keys"])
        works = prepare(store, options)
    except ImportError as error:
        pipe.send(f"left out: {error}")
        return
    pipe.send(list(works))
    try:
        while (work := pipe.recv()) is not None:
            pipe.send(works[work]())
    finally:
        store.close()


def _busy(since: tuple[float, float] | None) -> tuple[tuple[float, float], float]:
    """Cores that were busy, with whatever, since the last call."""
    first = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    fields = [int(field) for field in first.split()[1:9]]
    busy = (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")
    now = time.monotonic()
    return (busy, now), 0.0 if since is None else (busy - since[0]) / (now - since[1])


def run(
    prepare: Prepare, options: dict[str, Any], rounds: int, stores: Mapping[str, Callable[[], Any]] = contenders.ALL
) -> tuple[list[Figure], list[str]]:
    """Measure every contender; the figures, and notes about what was left out and how busy the machine was.

    Contenders are classes, or other picklable functions, by name.
    """
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, tuple[Connection, Any, list[str]]] = {}
    notes = []
    for name, contender in stores.items():
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(there, contender, prepare, options))
        process.start()
        there.close()
        works = here.recv()
        if isinstance(works, str):
            notes.append(f"{name} {works}")
            process.join()
        else:
            pipes[name] = (here, process, works)
    samples: dict[tuple[str, str], list[float]] = {}
    since, _ = _busy(None)
    for _ in range(rounds):
        for work in dict.fromkeys(work for _, _, works in pipes.values() for work in works):
            for name, (pipe, _, works) in pipes.items():
                if work in works:
                    pipe.send(work)
                    samples.setdefault((name, work), []).append(pipe.recv())
    _, cores = _busy(since)
    notes.append(f"cores busy while measuring: {cores:.2f} of {os.cpu_count()} (one of them is ours)")
    for pipe, process, _ in pipes.values():
        pipe.send(None)
        process.join()
    figures = []
    for (name, work), values in samples.items():
        median = statistics.median(values)
        figures.append(Figure(name, work, median, (max(values) - min(values)) / median, len(values), tuple(values)))
    return figures, notes
