"""Two processes at one store, and one alone beside them: zipfian keys, so that both often want the same ones.

What is measured comes in separate passes: operations per second, then the time of single operations, then whether what
is read was ever written.
"""

from __future__ import annotations

import contextlib
import gc
import random
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .contender import LeftOut, opened
from .harness import started
from .points import BULK, VALUES, key
from .quiet import Rounds
from .timers import percentile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from multiprocessing.connection import Connection

    from .contender import Contender

__all__ = ["MODES", "Contended", "run", "zipf"]

MODES: dict[str, tuple[str, ...]] = {
    "one reads": ("read",),
    "100 % reads": ("read", "read"),
    "90 % reads": ("mixed", "mixed"),
    "one writes, one reads": ("write", "read"),
    "incr of one key": ("incr", "incr"),
}
"""What each process does."""

THETA = 0.99
DRAWN = 1 << 15
"""Keys that are drawn beforehand, for a process to go round and round."""
HOT = [f"hot:{i:08d}" for i in range(4)]
SIZES = (32, 24)
COUNTER = "count"
LEAD = 0.01
"""Seconds from an order until the two begin, which takes longer than passing it on."""
FRACTIONS = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}


@dataclass(frozen=True)
class Contended:
    """One contender in one mode; each list has a figure per process."""

    contender: str
    mode: str
    keys: int
    per_second: list[float]
    """Operations."""
    latency_ns: list[dict[str, float]]
    """Percentiles of single operations, with what reading the clock takes."""
    wrong: str = ""
    """What was found to be wrong, if it was looked for and found."""

    @property
    def total(self) -> float:
        """Operations per second of all processes."""
        return sum(self.per_second)


def zipf(keys: int, count: int, seed: int, theta: float = THETA) -> list[int]:
    """Draw numbers below `keys`: the n-th most frequent as often as 1 / n ** theta, scattered, the same ones always."""
    import numpy as np

    shares = np.cumsum(1.0 / np.arange(1, keys + 1) ** theta)
    ranks = np.searchsorted(shares, np.random.default_rng(seed).random(count) * shares[-1])
    numbers: list[int] = np.random.default_rng(7).permutation(keys)[ranks].tolist()
    return numbers


# ---------------------------------------------------------------------- the two processes


def _work(pipe: Connection, contender: type[Contender], handle: Any, keys: int, seed: int) -> None:
    """One of the two: attach, then do as told until told no more."""
    store = contender()
    try:
        store.attach(handle)
        names = [key(number) for number in zipf(keys, DRAWN, seed)]
        store.get(names[0])
        pipe.send(None)
        gc.disable()
        with contextlib.suppress(EOFError):
            while (order := pipe.recv()) is not None:
                pipe.send(_obey(store, names, order))
    except Exception as error:  # noqa: BLE001 - whatever another store raises is a result
        pipe.send(f"{type(error).__name__}: {error}")
    finally:
        store.close()


def _obey(
    store: Contender, names: list[str], order: tuple[str, float, float, bool]
) -> tuple[int, float, dict[str, float], int]:
    """Begin at `start`; operations, the seconds they took, percentiles of single ones if timed, and wrong reads."""
    task, start, seconds, timed = order
    took: list[int] = []
    chunk = _TIMED[task](names, store, took.append) if timed else _TASKS[task](names, store)
    done = wrong = 0
    size = 16
    while time.monotonic() < start:
        pass
    began = now = time.monotonic()
    while now < began + seconds:
        at = done % (DRAWN - 1024)
        wrong += chunk(at, at + size)
        done += size
        before, now = now, time.monotonic()
        if now - before < 200e-6 and size < 1024:
            size *= 2
    took.sort()
    return done, now - began, {name: percentile(took, at) for name, at in FRACTIONS.items()}, wrong


def _read(names: list[str], store: Contender) -> Callable[[int, int], int]:
    get = store.get

    def chunk(at: int, to: int) -> int:
        for name in names[at:to]:
            get(name)
        return 0

    return chunk


def _write(names: list[str], store: Contender) -> Callable[[int, int], int]:
    put, value = store.set, VALUES["str"]

    def chunk(at: int, to: int) -> int:
        for name in names[at:to]:
            put(name, value)
        return 0

    return chunk


def _a_tenth_writes(names: list[str]) -> list[tuple[bool, str]]:
    drawn = random.Random(len(names))  # noqa: S311 - the same in every run
    return [(drawn.random() < 0.1, name) for name in names]


def _mixed(names: list[str], store: Contender) -> Callable[[int, int], int]:
    get, put, value, mixed = store.get, store.set, VALUES["str"], _a_tenth_writes(names)

    def chunk(at: int, to: int) -> int:
        for writes, name in mixed[at:to]:
            if writes:
                put(name, value)
            else:
                get(name)
        return 0

    return chunk


def _count(names: list[str], store: Contender) -> Callable[[int, int], int]:
    incr: Any = store.incr

    def chunk(at: int, to: int) -> int:
        for _ in range(at, to):
            incr(COUNTER)
        return 0

    return chunk


def _scribble(names: list[str], store: Contender) -> Callable[[int, int], int]:
    """Write texts of one letter, again and again another one, of two lengths."""
    put = store.set
    texts = [letter * size for letter in "abcdefgh" for size in SIZES]

    def chunk(at: int, to: int) -> int:
        for i in range(at, to):
            put(HOT[i % len(HOT)], texts[i // len(HOT) % len(texts)])
        return 0

    return chunk


def _proofread(names: list[str], store: Contender) -> Callable[[int, int], int]:
    """Read them, and count what nobody wrote."""
    get = store.get

    def chunk(at: int, to: int) -> int:
        wrong = 0
        for i in range(at, to):
            text = get(HOT[i % len(HOT)])
            if not isinstance(text, str) or len(text) not in SIZES or text != text[0] * len(text):
                wrong += 1
        return wrong

    return chunk


# The same with a clock around each call. It is read in the loop itself: in a function of its own, calls would lie so far apart
# that the two processes met less often.


def _timed_read(names: list[str], store: Contender, note: Callable[[int], None]) -> Callable[[int, int], int]:
    return _timed_calls(names, store.get, note)


def _timed_nothing(names: list[str], store: Contender, note: Callable[[int], None]) -> Callable[[int, int], int]:
    """A get of a dict that is empty: what is measured then is the clock."""
    nothing: dict[str, Any] = {}
    return _timed_calls(names, nothing.get, note)


def _timed_calls(names: list[str], get: Callable[[str], Any], note: Callable[[int], None]) -> Callable[[int, int], int]:
    clock = time.perf_counter_ns

    def chunk(at: int, to: int) -> int:
        for name in names[at:to]:
            before = clock()
            get(name)
            note(clock() - before)
        return 0

    return chunk


def _timed_write(names: list[str], store: Contender, note: Callable[[int], None]) -> Callable[[int, int], int]:
    clock, put, value = time.perf_counter_ns, store.set, VALUES["str"]

    def chunk(at: int, to: int) -> int:
        for name in names[at:to]:
            before = clock()
            put(name, value)
            note(clock() - before)
        return 0

    return chunk


def _timed_mixed(names: list[str], store: Contender, note: Callable[[int], None]) -> Callable[[int, int], int]:
    clock, get, put, value = time.perf_counter_ns, store.get, store.set, VALUES["str"]
    mixed = _a_tenth_writes(names)

    def chunk(at: int, to: int) -> int:
        for writes, name in mixed[at:to]:
            before = clock()
            if writes:
                put(name, value)
            else:
                get(name)
            note(clock() - before)
        return 0

    return chunk


_TASKS = {
    "read": _read,
    "write": _write,
    "mixed": _mixed,
    "incr": _count,
    "scribble": _scribble,
    "proofread": _proofread,
}
_TIMED = {"read": _timed_read, "write": _timed_write, "mixed": _timed_mixed, "nothing": _timed_nothing}


# ---------------------------------------------------------------------- the process that owns the store


def _own(pipe: Connection, contender: type[Contender], keys: int) -> None:
    """Make the store, start the two, pass orders on to them, and answers back."""
    try:
        store = opened(contender, keys)
    except LeftOut as error:
        pipe.send(str(error))
        return
    workers = []
    try:
        for first in range(0, keys, BULK):
            store.load([(key(i), VALUES["str"]) for i in range(first, min(first + BULK, keys))])
        store.load([(name, "a" * SIZES[0]) for name in HOT])
        workers += [started(_work, contender, store.handle, keys, seed) for seed in (1, 2)]
        problems = [problem for here, _ in workers if (problem := here.recv()) is not None]
        pipe.send(f"failed: {problems[0]}" if problems else None)
        counted = 0
        while not problems and (order := pipe.recv()) is not None:
            tasks, seconds, timed = order
            start = time.monotonic() + LEAD
            at_work = [here for here, _ in workers[: len(tasks)]]
            for here, task in zip(at_work, tasks, strict=True):
                here.send((task, start, seconds, timed))
            answers = [here.recv() for here in at_work]
            if tasks[0] == "incr":
                counted += sum(answer[0] for answer in answers if not isinstance(answer, str))
                answers.append((counted, store.count(COUNTER)))
            pipe.send(answers)
    except Exception as error:  # noqa: BLE001 - whatever another store raises is a result
        pipe.send(f"failed: {type(error).__name__}: {error}")
    finally:
        for here, process in workers:
            with contextlib.suppress(BrokenPipeError):
                here.send(None)
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join()
        store.close()


# ---------------------------------------------------------------------- the measurement


def run(
    stores: Mapping[str, type[Contender]],
    keys: int,
    rounds: int,
    seconds: float = 0.15,
    modes: Sequence[str] = tuple(MODES),
    *,
    patience: float = 0.0,
) -> tuple[list[Contended], list[str]]:
    """Measure every contender that two processes can share; the figures, and notes about what was left out."""
    owners: dict[str, tuple[Connection, Any, int]] = {}
    notes = []
    for name, contender in stores.items():
        if not contender.shared:
            continue
        count = min(keys, contender.max_keys)
        here, process = started(_own, contender, count)
        problem = _ask(here)
        if isinstance(problem, str):
            notes.append(f"{name} {problem}")
            process.join()
        else:
            owners[name] = (here, process, count)
    found: dict[tuple[str, str], list[Any]] = {}
    quiet = Rounds(rounds, patience)
    for _ in quiet:
        for mode in modes:
            for name in list(owners):
                if mode == "90 % reads" and not stores[name].many_writers:
                    continue
                if mode == "incr of one key" and not stores[name].counts:
                    continue
                answers = [
                    _ask(owners[name][0], (MODES[mode], seconds, timed))
                    for timed in ([False] if MODES[mode][0] == "incr" else [False, True])
                ]
                problem = next((part for answer in answers for part in _parts(answer) if isinstance(part, str)), None)
                if problem:
                    notes.append(f"{name}, {mode}: {problem}")
                    _dismiss(*owners.pop(name)[:2])
                else:
                    found.setdefault((name, mode), []).append(answers)
    notes.append(quiet.note())
    notes += _clock([owner[0] for owner in owners.values()][:1], seconds)
    wrong = {name: _check(owner[0], seconds) for name, owner in owners.items() if "one writes, one reads" in modes}
    for pipe, process, _ in owners.values():
        _dismiss(pipe, process)
    figures = [
        _summary(name, mode, min(keys, stores[name].max_keys), quiet.among(answers), wrong.get(name, ""))
        for (name, mode), answers in found.items()
    ]
    return figures, notes


def _parts(answer: Any) -> list[Any]:
    return [answer] if isinstance(answer, str) else list(answer)


def _ask(pipe: Connection, *order: Any) -> Any:
    try:
        if order:
            pipe.send(order[0])
        return pipe.recv()
    except (EOFError, BrokenPipeError):
        return "failed: its process has ended"


def _dismiss(pipe: Connection, process: Any) -> None:
    with contextlib.suppress(BrokenPipeError):
        pipe.send(None)
    process.join()


def _clock(pipes: Sequence[Connection], seconds: float) -> list[str]:
    """What of each latency is the clock's, as a note."""
    notes = []
    for pipe in pipes:
        answer = _ask(pipe, (("nothing", "nothing"), seconds, True))
        if not any(isinstance(part, str) for part in _parts(answer)):
            worst = ", ".join(f"{at} {max(part[2][at] for part in answer):,.0f} ns" for at in FRACTIONS)
            notes.append(f"in every latency is the clock; with nothing but a get of an empty dict: {worst}")
    return notes


def _check(pipe: Connection, seconds: float) -> str:
    answer = _ask(pipe, (("scribble", "proofread"), 2 * seconds, False))
    for part in _parts(answer):
        if isinstance(part, str):
            return part
    reads, _, _, wrong = answer[1]
    return f"{wrong:,} of {reads:,} reads are of what nobody wrote" if wrong else ""


def _summary(name: str, mode: str, keys: int, rounds: list[Any], wrong: str) -> Contended:
    processes = range(len(MODES[mode]))
    per_second = [statistics.median(answers[0][i][0] / answers[0][i][1] for answers in rounds) for i in processes]
    latency: list[dict[str, float]] = []
    if len(rounds[0]) > 1:
        latency = [
            {at: statistics.median(answers[1][i][2][at] for answers in rounds) for at in FRACTIONS} for i in processes
        ]
    if mode == "incr of one key":
        counted, really = rounds[-1][0][2]
        wrong = "" if counted == really else f"{counted:,} increments made {really:,}"
    elif mode != "one writes, one reads":
        wrong = ""
    return Contended(name, mode, keys, per_second, latency, wrong)
