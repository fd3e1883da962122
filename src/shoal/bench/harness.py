"""A process per contender, rounds interleaved, medians and spread, and how busy others kept the machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .contender import LeftOut, opened
from .quiet import Rounds

__all__ = ["Figure", "Prepare", "run", "started"]

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


def started(target: Callable[..., None], *arguments: Any) -> tuple[Connection, Any]:
    """Start a fresh process with the other end of a pipe as its first argument; our end, and the process."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=target, args=(there, *arguments))
    process.start()
    there.close()
    return here, process


def _serve(pipe: Connection, contender: Callable[[], Any], prepare: Prepare, options: dict[str, Any]) -> None:
    try:
        store = opened(contender, options["keys"], options.get("payload", 0))
    except LeftOut as error:
        pipe.send(str(error))
        return
    try:
        try:
            works = prepare(store, options)
        except Exception as error:  # noqa: BLE001 - whatever another store raises is a result, not our end
            pipe.send(f"failed: {type(error).__name__}: {error}")
            return
        pipe.send(list(works))
        while (work := pipe.recv()) is not None:
            try:
                pipe.send(works[work]())
            except Exception as error:  # noqa: BLE001 - as above
                pipe.send(f"failed at {work}: {type(error).__name__}: {error}")
    finally:
        store.close()


def _answer(pipe: Connection) -> Any:
    """What the other process says; that it ended, if it did."""
    try:
        return pipe.recv()
    except EOFError:
        return "failed: its process has ended"


def run(
    prepare: Prepare,
    options: dict[str, Any],
    rounds: int,
    stores: Mapping[str, Callable[[], Any]],
    patience: float = 0.0,
) -> tuple[list[Figure], list[str]]:
    """Measure every contender; the figures, and notes about what was left out and how busy the machine was.

    Contenders are classes, or other picklable functions, by name. So many seconds of `patience` may go to rounds that are
    made again, because others were busy.
    """
    pipes: dict[str, tuple[Connection, Any, list[str]]] = {}
    notes = []
    for name, contender in stores.items():
        here, process = started(_serve, contender, prepare, options)
        works = _answer(here)
        if isinstance(works, str):
            notes.append(f"{name} {works}")
            process.join()
        else:
            pipes[name] = (here, process, works)
    samples: dict[tuple[str, str], list[float]] = {}
    quiet = Rounds(rounds, patience)
    for _ in quiet:
        for work in dict.fromkeys(work for _, _, works in pipes.values() for work in works):
            for name, (pipe, _, works) in pipes.items():
                if work in works:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.send(work)
                    taken = _answer(pipe)
                    if isinstance(taken, str):
                        notes.append(f"{name} {taken}")
                        works.remove(work)
                        samples.pop((name, work), None)
                    else:
                        samples.setdefault((name, work), []).append(taken)
    notes.append(quiet.note())
    for pipe, process, _ in pipes.values():
        with contextlib.suppress(BrokenPipeError):
            pipe.send(None)
        process.join()
    figures = []
    for (name, work), all_values in samples.items():
        values = quiet.among(all_values)
        median = statistics.median(values)
        figures.append(
            Figure(
                name, work, median, (max(values) - min(values)) / median if median else 0.0, len(values), tuple(values)
            )
        )
    return figures, notes
