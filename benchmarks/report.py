"""Figures as tables that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chart import readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.bench.contention import Contended

Figures = list[dict[str, Any]]


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown, all columns but the first aligned to the right."""
    lines = ["| " + " | ".join(headers) + " |", "|---|" + "---:|" * (len(headers) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def side_by_side(figures: Figures) -> str:
    """Rows of contenders, columns of work; in brackets, how many times the time of Shoal."""
    works = list(dict.fromkeys(figure["work"] for figure in figures))
    by = {(figure["contender"], figure["work"]): figure["median"] for figure in figures}
    rows = []
    for name in dict.fromkeys(figure["contender"] for figure in figures):
        cells = []
        for work in works:
            value, ours = by.get((name, work)), by.get(("shoal", work))
            cell = "-" if value is None else readable(value, "ns")
            cells.append(f"{cell} ({value / ours:.2g}x)" if value and ours and name != "shoal" else cell)
        rows.append([name, *cells])
    return table(["store", *works], rows)


def in_rows(figures: Figures, unit: str) -> str:
    """One figure in each row."""
    alone = len({figure["contender"] for figure in figures}) == 1
    rows = [
        [figure["work" if alone else "contender"], readable(figure["median"], unit) if unit == "ns" else _plain(figure)]
        for figure in figures
    ]
    return table(["", unit], rows)


def _plain(figure: dict[str, Any]) -> str:
    return f"{figure['median']:,.1f}"


def contended(figures: list[Contended]) -> str:
    """Rows of contenders in each mode: operations per second, percentiles of the slower process, wrong reads."""
    rows = []
    for figure in sorted(figures, key=lambda figure: (figure.mode, -figure.total)):
        worst = [
            readable(max(process[at] for process in figure.latency_ns), "ns") if figure.latency_ns else "-"
            for at in ("p50", "p99", "p99.9")
        ]
        apart = " + ".join(readable(rate, "/s") for rate in figure.per_second)
        rows.append([f"{figure.mode}: {figure.contender}", readable(figure.total, "/s"), apart, *worst, figure.wrong])
    return table(["", "all", "each", "p50", "p99", "p99.9", "wrong"], rows)
