"""Let processes use one store in every way while they are killed at random instants, for as long as you like.

    python -m shoal.testing.soak --seconds 600 --seed 1 --processes 4 --kills 10000

What the store acknowledges is written down outside of it, and every process checks what it reads against that. Each ten seconds,
and at the end, all invariants of the arena are walked; in the end everything that was used must be free again. The first
invariant that is broken ends the run and is printed with the seed.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from dataclasses import dataclass
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING

import shoal

from .labour import COUNTERS, TIMEOUT, Books, Labourer, prepare
from .ledger import Broken
from .processes import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Figures", "main", "run"]

SIZE = "64MiB"
REPORT_EVERY = 10.0
_FILL = 0.7
"""Of the capacity: one value of that size must fit when everything is removed."""


@dataclass
class Figures:
    """What a run did."""

    seconds: float = 0
    operations: int = 0
    kills: int = 0
    stops: int = 0
    recoveries: int = 0
    checks: int = 0

    def __str__(self) -> str:
        return (
            f"{self.seconds:.0f} s: {self.operations} operations, {self.kills} kills, {self.stops} stops, "
            f"{self.recoveries} recoveries, {self.checks} walks over all invariants"
        )


class Soak:
    """One run."""

    def __init__(self, seed: int, processes: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - to be repeatable
        self._store = shoal.open(f"soak-{os.getpid()}-{seed}", "n", size=SIZE, timeout=TIMEOUT)
        self._books = Books(processes)
        self._workers: list[Worker] = []
        self._started = monotonic()
        self.figures = Figures()

    def run(self, seconds: float, kills: int | None, say: Callable[[str], None]) -> None:
        """Go on until the time is over, or so many were killed.

        Raises:
            Broken: An invariant does not hold.
        """
        prepare(self._store)
        self._workers = [self._start(place) for place in range(self._books.processes)]
        told = monotonic()
        while monotonic() - self._started < seconds and (kills is None or self.figures.kills < kills):
            sleep(self._chance.uniform(0.0005, 0.015))
            self._disturb()
            if monotonic() - told >= REPORT_EVERY:
                told = monotonic()
                self._verify()
                self._count()
                say(str(self.figures))
        for worker in self._workers:
            worker.kill()
        self._end()

    def _start(self, place: int) -> Worker:
        seed = self._chance.getrandbits(64)
        attaches = self._chance.random() < 0.3

        def work() -> None:
            store = shoal.open(self._store.name, "w", timeout=TIMEOUT) if attaches else self._store
            Labourer(store, self._books, place, random.Random(seed)).work()  # noqa: S311 - to be repeatable

        return Worker(work)

    def _disturb(self) -> None:
        """Kill one of them, and start another in its place; or stop it for a moment, and perhaps kill it then."""
        place = self._chance.randrange(len(self._workers))
        worker = self._workers[place]
        if worker.ended():
            raise Broken(f"process {worker.pid} ended with an error, which stands above")
        if self._chance.random() < 0.3:
            worker.stop()
            self.figures.stops += 1
            sleep(self._chance.uniform(0, 0.005))
            if self._chance.random() < 0.5:
                worker.go_on()
                return
        worker.kill()
        self.figures.kills += 1
        self._workers[place] = self._start(place)

    def _verify(self) -> None:
        problems = [text for severity, text in self._store.verify() if severity == "problem"]  # type: ignore[attr-defined]
        self.figures.checks += 1
        if problems:
            raise Broken(f"the arena is damaged: {problems}")

    def _count(self) -> None:
        self.figures.seconds = monotonic() - self._started
        self.figures.operations = sum(map(self._books.done.promised, range(self._books.processes)))
        self.figures.recoveries = self._store.stats().recoveries

    def _end(self) -> None:
        """Nobody is left but us: everything acknowledged is there, and everything else comes back."""
        self._verify()
        self._count()
        reader = Labourer(self._store, self._books, 0, self._chance)
        for _ in range(20 * self._books.keys.keys):
            reader.read()
            reader.view_array()
        for counter in range(COUNTERS):
            reader.check_count(counter)
        reader.enumerate()
        del reader
        self._store.clear()
        for name in self._store.namespaces():
            if name != "default":
                self._store.drop_namespace(name)
        self._store.memory().delete("")
        self._store.sweep()  # type: ignore[attr-defined]
        stats = self._store.stats()
        left = (stats.processes, stats.entries, stats.pinned)
        if left != (1, 0, 0):
            raise Broken(f"processes, entries and pinned bytes are {left} when all is over")
        self._store["everything"] = bytes(int(stats.capacity * _FILL))
        self._verify()

    def close(self) -> None:
        """End all processes and remove the store."""
        for worker in self._workers:
            worker.kill()
        self._store.close()
        self._books.close()


def run(seed: int, seconds: float, processes: int, say: Callable[[str], None], kills: int | None = None) -> Figures:
    """Run, and say each ten seconds how far it is.

    Raises:
        Broken: An invariant does not hold.
    """
    soak = Soak(seed, processes)
    try:
        soak.run(seconds, kills, say)
    finally:
        soak.close()
    return soak.figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; 1 if an invariant is broken."""
    summary = (__doc__ or "").strip().split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m shoal.testing.soak", description=summary)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--kills", type=int, help="end after so many, if that is sooner")
    given = parser.parse_args(arguments)
    say = partial(print, flush=True)
    try:
        figures = run(given.seed, given.seconds, given.processes, say, given.kills)
    except (Broken, shoal.ShoalError) as error:
        print(f"seed {given.seed}: {type(error).__name__}: {error}")
        return 1
    print(f"seed {given.seed}: nothing is broken. {figures}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
