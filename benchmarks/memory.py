"""Memory beside the store that it lies in, arrays beside numpy's own copying, references beside a queue.

Several parts, each with contenders of its own, if only one; what some should show are goals, most of which compare one
work with another round by round.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from arrays import IN_TURN, ByReference, BySetting, Passing, Roomy, copying, passing, views
from contenders import Shoal

from shoal.bench import harness
from shoal.bench.timers import along, each

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Works = dict[str, Callable[[], float]]

VALUE = "john"


@dataclass(frozen=True)
class Goal:
    """What a part should show: a figure, or how one relates to another; at most `limit`, or at least."""

    what: str
    figure: tuple[str, str]  # contender, work
    relative_to: tuple[str, str] | None
    limit: float
    at_least: bool = False

    def reached(self, by: dict[tuple[str, str], harness.Figure]) -> tuple[float, bool]:
        """The value and whether it is good enough. Rates are compared by `at_least`: the inverse of times."""
        figure = by[self.figure]
        value = figure.median if self.relative_to is None else figure.relative_to(by[self.relative_to])
        return (1 / value, 1 / value >= self.limit) if self.at_least else (value, value <= self.limit)


@dataclass(frozen=True)
class Part:
    """One table."""

    name: str
    title: str
    stores: dict[str, Callable[[], Any]]
    prepare: harness.Prepare
    goals: tuple[Goal, ...] = ()
    rounds: int = 1  # times those asked for


# ---------------------------------------------------------------------- fields beside keys


def fields(shoal: Shoal, options: dict[str, Any]) -> Works:
    """The same value as a key and as a field: one of them again and again, and many in random order."""
    store, m = shoal.store, shoal.store.memory()
    store.set("user.name", VALUE)
    m.set("user.name", VALUE)
    order = np.random.default_rng(1).permutation(options["keys"]).tolist()
    paths = [f"agent-{i}.user.name" for i in order]
    for path in paths:
        store.set(path, VALUE)
        m.set(path, VALUE)
    paths = paths[:50_000]
    many, one = f"{options['keys']:,} paths", ["user.name"] * 50_000
    return {
        "store.get": along(store.get, one),
        "m.get": along(m.get, one),
        "store.set": along(store.set, one, VALUE),
        "m.set": along(m.set, one, VALUE),
        f"store.get, {many}": along(store.get, paths),
        f"m.get, {many}": along(m.get, paths),
        f"store.set, {many}": along(store.set, paths, VALUE),
        f"m.set, {many}": along(m.set, paths, VALUE),
    }


# ---------------------------------------------------------------------- as a memory grows


class Grown(Shoal):
    """A store whose memory has one object with so many fields."""

    others = 0

    def open(self, keys: int, payload: int = 0) -> None:
        super().open(max(keys, 3 * self.others), payload)
        m = self.store.memory("big")
        for i in range(self.others):
            m.set(f"field-{i:07d}", VALUE)


class Grown10(Grown):
    """Ten."""

    others = 10


class Grown10000(Grown):
    """Ten thousand."""

    others = 10_000


class Grown1000000(Grown):
    """A million."""

    others = 1_000_000


def growth(grown: Grown, options: dict[str, Any]) -> Works:  # noqa: ARG001 - as every prepare
    """New fields in the object that has them all, and the fields of a small object in it."""
    m = grown.store.memory("big")
    small = m.new_object("small")
    for i in range(10):
        small.set(f"field-{i}", VALUE)
    near = [f"near.way.to.field-{i}" for i in range(10_000)]
    far = [f"far.way-{i}.field" for i in range(10_000)]

    def set_new(paths: list[str]) -> Callable[[], float]:
        timed = along(m.set, paths, VALUE)

        def run() -> float:
            m.delete(paths[0].split(".")[0])
            return timed()

        return run

    return {
        "set, new field": set_new(near),
        "set, new object and field": set_new(far),
        "get": along(m.get, near),
        "list an object of 10": each(small.get_field_names, times=5_000),
    }


# ---------------------------------------------------------------------- runs


def runs(shoal: Shoal, options: dict[str, Any]) -> Works:  # noqa: ARG001 - as every prepare
    """A run that does nothing, and one that uses both its memories."""
    begin = shoal.store.run

    def empty() -> None:
        with begin("customer-42"):
            pass

    def used() -> None:
        with begin("customer-42") as run:
            run.sensory_memory.set("draft", VALUE)
            run.short_term_memory.incr("visits")

    return {"empty": each(empty, times=5_000), "a field in each memory": each(used, times=5_000)}


# ---------------------------------------------------------------------- all of it

SHOAL, ROOMY = {"shoal": Shoal}, {"shoal": Roomy}
QUEUE, REFERENCE = "multiprocessing.Queue", "MemoryRef + view"

PARTS = (
    Part(
        "fields",
        "A value of 4 characters as a key and as a field, `user.name`",
        SHOAL,
        fields,
        (
            Goal("m.get / store.get", ("shoal", "m.get"), ("shoal", "store.get"), 1.6),
            Goal("m.set / store.set", ("shoal", "m.set"), ("shoal", "store.set"), 2.0),
        ),
    ),
    Part(
        "growth",
        "In a memory, one object of which has so many other fields",
        {"10": Grown10, "10,000": Grown10000, "1,000,000": Grown1000000},
        growth,
    ),
    Part("runs", "Runs, begin to end", SHOAL, runs),
    Part(
        "views",
        "Views of arrays, taken and dropped",
        ROOMY,
        views,
        tuple(
            Goal(f"view of {size}, ns", ("shoal", f"view {size}"), None, 3_000) for size in ("8 KB", "8 MB", "256 MB")
        ),
    ),
    Part(
        "copying",
        "8 MB, copied",
        ROOMY,
        copying,
        (
            Goal("rate of get / copyto", ("shoal", "get"), ("shoal", "numpy.copyto"), 0.85, at_least=True),
            Goal("rate of set / copyto", ("shoal", "set"), ("shoal", "numpy.copyto"), 0.75, at_least=True),
            Goal("rate of set / copyto to two in turn", ("shoal", "set"), ("shoal", IN_TURN), 0.75, at_least=True),
        ),
        rounds=3,
    ),
    Part(
        "passing",
        "An array of 64 MB to another process, and one number back",
        {QUEUE: Passing, REFERENCE: ByReference, "set + MemoryRef + view": BySetting},
        passing,
        (Goal("by reference, times as fast", (REFERENCE, "64 MB"), (QUEUE, "64 MB"), 500, at_least=True),),
    ),
)


def run(keys: int, rounds: int, names: Sequence[str] = ()) -> tuple[dict[str, Any], list[str]]:
    """Measure all parts, or those of these names; what JSON should hold, and lines to print."""
    result: dict[str, Any] = {}
    lines = []
    goals = ["| goal | limit | measured | |", "|---|---:|---:|---|"]
    for part in PARTS:
        if names and part.name not in names:
            continue
        figures, notes = harness.run(part.prepare, {"keys": keys}, rounds * part.rounds, part.stores)
        by = {(figure.contender, figure.work): figure for figure in figures}
        lines += [f"{part.title}\n", *table(figures), *notes, ""]
        values = {}
        for goal in part.goals:
            value, good = goal.reached(by)
            values[goal.what] = {"limit": goal.limit, "value": value, "reached": good}
            bound = f"{'at least' if goal.at_least else 'at most'} {goal.limit:,}"
            goals.append(f"| {goal.what} | {bound} | {value:,.3g} | {'' if good else 'missed'} |")
        result[part.name] = {"figures": [asdict(figure) for figure in figures], "notes": notes, "goals": values}
    return result, [*lines, *goals]


def table(figures: list[harness.Figure]) -> list[str]:
    """A row for each work, columns for contenders: the median, and its spread."""
    names = list(dict.fromkeys(figure.contender for figure in figures))
    by = {(figure.contender, figure.work): figure for figure in figures}
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for work in dict.fromkeys(figure.work for figure in figures):
        found = [by[name, work] for name in names]
        cells = [f"{figure.median:,.0f} ns (spread {figure.spread:.0%})" for figure in found]
        lines.append(f"| {work} | " + " | ".join(cells) + " |")
    return lines
