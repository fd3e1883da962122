"""How fast a store is on this machine, beside what a program could use instead.

A small part of what benchmarks/ in the source tree measures, with the same harness: each store in a process of its own,
rounds of all stores by turns, medians.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from shoal._version import __version__

from .common import Commands, command
from .output import note, print_json, print_table
from .progress import progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.bench.contention import Contended
    from shoal.bench.harness import Figure

__all__ = ["register"]

_ROUNDS = 3
_MODES = ("100 % reads", "90 % reads")
_SHARE = 250
"""Into so many parts the time is cut: one is what one kind of work of one store may take in a round."""

_DETAILS = (
    "One process reads and writes, then two at once; a dict shares nothing and is there for comparison, stores of bytes "
    "get MessagePack values. Compare figures of one run only, on a machine that does nothing else."
)


def register(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands, "bench", _bench, "measure the store beside others, here and now", store=False, details=_DETAILS
    )
    parser.add_argument(
        "--seconds", type=_positive, default=15.0, metavar="N", help="how long to measure, about (default 15)"
    )
    parser.add_argument(
        "--only",
        metavar="NAMES",
        help="stores to measure, separated by commas: shoal,dict,lmdb,sqlite3,Manager().dict()",
    )
    parser.add_argument("--keys", type=_count, default=10_000, metavar="N", help="keys in each store (default 10000)")


def _positive(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not (seconds > 0 and math.isfinite(seconds)):
        raise argparse.ArgumentTypeError(f"not a number of seconds above 0: {text!r}")
    return seconds


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 100 <= int(text) <= 10_000_000:
        raise argparse.ArgumentTypeError(f"not a number from 100 to 10,000,000: {text!r}")
    return int(text)


def _bench(arguments: argparse.Namespace) -> int:
    from shoal.bench import contention, harness, points
    from shoal.bench.contender import codec
    from shoal.bench.stores import ALL

    only = arguments.only.split(",") if arguments.only else list(ALL)
    if unknown := sorted(set(only) - set(ALL)):
        note(f"no such store: {', '.join(unknown)}; there are {', '.join(ALL)}")
        return 2
    stores = {name: ALL[name] for name in only}
    share = arguments.seconds / _SHARE
    steps = {"one process": "str", "one process, dicts": "dict"}
    found: dict[str, list[Figure]] = {}
    notes: list[str] = []
    with progress("measuring", len(steps) + 1) as advance:
        for done, (title, kind) in enumerate(steps.items(), 1):
            options = {"keys": arguments.keys, "kind": kind, "seconds": share}
            found[title], said = harness.run(points.prepare, options, _ROUNDS, stores)
            notes += said
            advance(done)
        both, said = contention.run(stores, arguments.keys, _ROUNDS, share, _MODES)
        notes += said
        advance(len(steps) + 1)
    notes = list(dict.fromkeys(notes))
    if arguments.json:
        print_json(
            {
                "shoal": __version__,
                "python": platform.python_version(),
                "machine": platform.machine(),
                "cores": os.cpu_count(),
                "keys": arguments.keys,
                "codec": codec()[0],
                "one_process": [{"kind": steps[title], **asdict(figure)} for title in steps for figure in found[title]],
                "two_processes": [asdict(figure) for figure in both],
                "notes": notes,
            }
        )
        return 0
    print(f"{arguments.keys:,} keys of 12 characters, values of 32; time of one operation\n")
    _print_points(found["one process"])
    print("\nvalues that are dicts of five fields\n")
    _print_points(found["one process, dicts"])
    print("\ntwo processes at once; p99 is that of the slower one\n")
    _print_contention(both)
    print()
    for line in notes:
        note(line)
    return 0


def _print_points(figures: Sequence[Figure]) -> None:
    works = list(dict.fromkeys(figure.work for figure in figures))
    medians = {(figure.contender, figure.work): figure.median for figure in figures}
    rows = [
        [name, *(_time(medians.get((name, work))) for work in works)]
        for name in dict.fromkeys(figure.contender for figure in figures)
    ]
    print_table(["store", *works], rows, numbers=range(1, len(works) + 1))


def _print_contention(figures: Sequence[Contended]) -> None:
    names = dict.fromkeys(figure.contender for figure in figures)
    by: dict[tuple[str, str], Contended] = {(figure.contender, figure.mode): figure for figure in figures}
    headers = ["store", *(text for mode in _MODES for text in (f"{mode}, per second", "p99"))]
    rows: list[list[Any]] = []
    for name in names:
        row: list[Any] = [name]
        for mode in _MODES:
            figure = by.get((name, mode))
            if figure is None:
                row += ["-", "-"]
            else:
                row += [f"{figure.total:,.0f}", _time(max(process["p99"] for process in figure.latency_ns))]
        rows.append(row)
    print_table(headers, rows, numbers=range(1, len(headers)))


def _time(nanoseconds: float | None) -> str:
    if nanoseconds is None:
        return "-"
    return f"{nanoseconds:,.0f} ns" if nanoseconds < 10_000 else f"{nanoseconds / 1_000:,.0f} us"
