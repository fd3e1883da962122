"""Check that whatever processes do to the keys of one store at once could have been done one after the other.

    python -m shoal.testing.linearizability --seconds 60 --seed 1 --processes 4

Rounds: processes call everything that concerns one key, on few keys and with times to live of milliseconds, while the table
grows beside them; now and then one is stopped for a moment, or killed and replaced. The recorded history is then checked. What
has no linearization is printed with the seed of its round.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from dataclasses import dataclass, field
from functools import partial
from time import monotonic, monotonic_ns, sleep
from typing import TYPE_CHECKING, Any

import shoal

from .history import KEEP, NEVER, Call, Log, Name, Operation, Outcome, Result
from .linearizable import by_key, check, explain
from .processes import Worker
from .values import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Figures", "main", "record", "run"]

KEYS = 3
"""So many are in use at once..."""
GENERATION_NS = 40_000_000
"""...for so long; then come others."""
CAPACITY = 60_000
"""Calls of one process in one round."""
ROUND = 0.8
SIZE = "16MiB"  # one shard, so that all contend for one lock

_WEIGHTS = {
    Name.GET: 20,
    Name.EXISTS: 6,
    Name.GET_VERSIONED: 12,
    Name.TTL: 5,
    Name.SET: 12,
    Name.ADD: 8,
    Name.REPLACE: 6,
    Name.SWAP: 6,
    Name.COMPARE_AND_SET: 14,
    Name.DELETE: 6,
    Name.POP: 5,
    Name.TOUCH: 8,
    Name.INCR: 12,
}
_READS = (Name.GET, Name.EXISTS, Name.GET_VERSIONED, Name.TTL)
_TTLS = (NEVER, NEVER, NEVER, 300_000, 1_000_000, 3_000_000, 10_000_000)


@dataclass
class Figures:
    """What a run did and found."""

    operations: int = 0
    histories: int = 0
    kills: int = 0
    stops: int = 0
    undecided: int = 0
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.operations} operations on {self.histories} keys, {self.stops} stops, {self.kills} kills, "
            f"{self.undecided} undecided, {len(self.violations)} violations"
        )


# ---------------------------------------------------------------------- what the processes do


def _found(value: Any, version: int = 0) -> Outcome:
    number = decode(value)
    return Outcome(Result.TORN) if number is None else Outcome(Result.DONE, number, version)


def _found_or_absent(value: Any) -> Outcome:
    return Outcome(Result.ABSENT) if value is None else _found(value)


def _said(answer: bool) -> Outcome:
    return Outcome(Result.TRUE if answer else Result.FALSE)


def _left(seconds: float | None) -> Outcome:
    return Outcome(Result.DONE, NEVER if seconds is None else round(seconds * 1e9))


def _perform(store: shoal.Store, key: str, call: Call, value: Any, ttl: float | None) -> Outcome:
    """Make the call."""
    name = call.name
    if name == Name.GET:
        return _found_or_absent(store.get(key))
    if name == Name.EXISTS:
        return _said(store.exists(key))
    if name == Name.GET_VERSIONED:
        return _found(*store.get_versioned(key))
    if name == Name.TTL:
        return _left(store.ttl(key))
    if name == Name.SET:
        return Outcome(Result.DONE, 0, store.set(key, value, ttl=ttl))
    if name == Name.SWAP:
        return _found_or_absent(store.swap(key, value, ttl=ttl))
    if name == Name.POP:
        return _found(store.pop(key))
    if name == Name.INCR:
        number = store.incr(key, value) if call.ttl == KEEP else store.incr(key, value, ttl=ttl)
        return Outcome(Result.DONE, int(number))
    return _said(_decide(store, key, call, value, ttl))


def _decide(store: shoal.Store, key: str, call: Call, value: Any, ttl: float | None) -> bool:
    """Make a call whose answer is yes or no."""
    if call.name == Name.ADD:
        return store.add(key, value, ttl=ttl)
    if call.name == Name.REPLACE:
        return store.replace(key, value, ttl=ttl)
    if call.name == Name.COMPARE_AND_SET:
        return store.compare_and_set(key, value, call.version, ttl=ttl)
    if call.name == Name.DELETE:
        return store.delete(key)
    return store.touch(key, ttl)


def _answer(store: shoal.Store, key: str, call: Call, value: Any, ttl: float | None) -> Outcome:
    """Make the call; what it answered, or with which error."""
    try:
        return _perform(store, key, call, value, ttl)
    except shoal.KeyNotFound:
        return Outcome(Result.ABSENT)
    except shoal.InvalidValue:
        return Outcome(Result.REFUSED)
    except shoal.StoreBusy:
        return Outcome(Result.UNKNOWN)


class Actor:
    """One process: calls chosen by chance, and other keys beside them that make the table grow and shrink."""

    def __init__(self, store: shoal.Store, log: Log, chance: random.Random, started: int) -> None:
        self._store, self._log, self._chance, self._started = store, log, chance, started
        self._names: Sequence[Name] = _READS if store.read_only else tuple(_WEIGHTS)
        self._weights = [_WEIGHTS[name] for name in self._names]
        self._versions: dict[int, int] = {}
        self._number = 0

    def work(self, until: int) -> None:
        """Call, until that instant or the log is full."""
        while not self._log.full and monotonic_ns() < until:
            for name in self._chance.choices(self._names, self._weights, k=16):
                if not self._log.full:
                    self._call(name)
            if not self._store.read_only:
                self._disturb()

    def _call(self, name: Name) -> None:
        generation = (monotonic_ns() - self._started) // GENERATION_NS
        key = int(generation) * KEYS + self._chance.randrange(KEYS)
        call = Call(name, key, self._value(name), self._versions.get(key, 0), self._ttl(name))
        value = call.value if name == Name.INCR else encode(call.value)
        ttl = None if call.ttl in {NEVER, KEEP} else call.ttl / 1e9
        text = f"key {key}"
        self._log.begin(call)
        outcome = _answer(self._store, text, call, value, ttl)
        self._log.end(outcome)
        if outcome.version:
            self._versions[key] = outcome.version
        elif outcome.result == Result.ABSENT:
            self._versions.pop(key, None)

    def _value(self, name: Name) -> int:
        """Return a number that nobody else writes; most stand for numbers, few for what needs pages of its own."""
        if name == Name.INCR:
            return 4 * self._chance.randrange(1, 4)
        self._number += 1
        shape = self._chance.choices((0, 1, 2, 3), (12, 4, 6, 1))[0]
        return (self._log.process << 40) + (self._number << 2) + shape

    def _ttl(self, name: Name) -> int:
        if name in {Name.SET, Name.ADD, Name.REPLACE, Name.SWAP, Name.COMPARE_AND_SET, Name.TOUCH}:
            return self._chance.choice(_TTLS)
        return KEEP if name == Name.INCR and self._chance.random() < 0.7 else NEVER

    def _disturb(self) -> None:
        """Change keys of no history: bucket splits, chains, blocks that move from key to key."""
        number = self._chance.randrange(4_000)
        try:
            if self._chance.random() < 0.6:
                self._store.set(f"other {number}", encode(number * 4 + self._chance.randrange(3)))
            else:
                self._store.delete(f"other {number}")
        except shoal.StoreBusy:
            pass


# ---------------------------------------------------------------------- rounds


class Round:
    """One round's processes and their logs."""

    def __init__(self, store: shoal.Store, chance: random.Random) -> None:
        self._store, self._chance = store, chance
        self._started = monotonic_ns()
        self._workers: list[tuple[Worker, Log, bool]] = []
        self._history: list[Operation] = []
        self._processes = 0
        self.kills = self.stops = 0

    def record(self, seconds: float, processes: int, *, disturbed: bool) -> list[Operation]:
        """Let so many processes work for so long; what they did."""
        until = self._started + int(seconds * 1e9)
        try:
            for number in range(processes):
                # Two can only read, if enough others write: those who may not lock read in another way.
                self._start(until, read_only=number in {2, 5})
            while disturbed and monotonic_ns() < until:
                sleep(self._chance.uniform(0.0005, 0.004))
                self._disturb(until)
            for worker, log, _ in self._workers:
                self._finish(worker, log, worker.wait())
        finally:
            for worker, log, _ in self._workers:
                worker.kill()
                log.close()
        return self._history

    def _start(self, until: int, *, read_only: bool) -> None:
        self._processes += 1
        log = Log(self._processes, CAPACITY)
        seed = self._chance.getrandbits(64)

        def work() -> None:
            store = shoal.open(self._store.name, "r", timeout=60) if read_only else self._store
            Actor(store, log, random.Random(seed), self._started).work(until)  # noqa: S311 - to be repeatable

        self._workers.append((Worker(work), log, read_only))

    def _disturb(self, until: int) -> None:
        """Stop one of them for a moment, or kill it and start another."""
        place = self._chance.randrange(len(self._workers))
        worker, log, read_only = self._workers[place]
        if self._chance.random() < 0.95:
            worker.stop()
            self.stops += 1
            sleep(self._chance.uniform(0, 0.004))
            worker.go_on()
        elif not worker.ended():
            self._finish(worker, log, worker.kill())
            log.close()
            del self._workers[place]
            self._start(until, read_only=read_only)
            self.kills += 1

    def _finish(self, worker: Worker, log: Log, dead_by: int) -> None:
        if worker.failed:
            raise RuntimeError("a process ended with an error")
        self._history += log.operations(dead_by)


def record(seed: int, seconds: float, processes: int, figures: Figures, *, disturbed: bool = True) -> list[Operation]:
    """Record one round's history on a store of its own, and count what was done.

    Raises:
        RuntimeError: A process ended with an error, or the store is damaged.
    """
    chance = random.Random(seed)  # noqa: S311 - to be repeatable
    with shoal.open(f"linearizability-{os.getpid()}-{seed}", "n", size=SIZE, timeout=60) as store:
        round_ = Round(store, chance)
        history = round_.record(seconds, processes, disturbed=disturbed)
        damage = [text for severity, text in store.verify() if severity == "problem"]  # type: ignore[attr-defined]
        if damage:
            raise RuntimeError(f"seed {seed}: {damage}")
    figures.operations += len(history)
    figures.kills += round_.kills
    figures.stops += round_.stops
    return history


def run(seed: int, seconds: float, processes: int, say: Callable[[str], None], *, first: bool = False) -> Figures:
    """Record and check rounds for so long, or until the first violation."""
    end = monotonic() + seconds
    told = monotonic()
    figures = Figures()
    while monotonic() < end and not (first and figures.violations):
        history = record(seed, min(ROUND, seconds / 3), processes, figures)
        for key, operations in by_key(history).items():
            verdict = check(operations)
            figures.histories += 1
            figures.undecided += verdict.linearizable is None
            if verdict.linearizable is False:
                figures.violations.append(f"seed {seed}, key {key}: {explain(operations, verdict)}")
                say(figures.violations[-1])
        seed += 1
        if monotonic() - told >= 10:
            told = monotonic()
            say(str(figures))
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; 1 if something has no linearization."""
    parser = argparse.ArgumentParser(
        prog="python -m shoal.testing.linearizability", description=(__doc__ or "").strip().split("\n")[0]
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--first", action="store_true", help="end with the first violation")
    given = parser.parse_args(arguments)
    say = partial(print, flush=True)
    figures = run(given.seed, given.seconds, given.processes, say, first=given.first)
    print(f"from seed {given.seed}: {figures}")
    return 1 if figures.violations else 0


if __name__ == "__main__":
    sys.exit(main())
