"""The chart that README shows: bars on logarithmic axes, as SVG, from the JSON of a run. Nothing but text is needed.

python benchmarks/chart.py results.json docs/benchmark.svg
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

ROW, LEFT, WIDTH, RIGHT = 18, 130, 300, 90
GAP = 40
OURS, OTHERS, ALONE = "#0b7285", "#adb5bd", "#dee2e6"
ALONE_NAMES = {"dict", "dict + msgpack"}
"""Stores of one process, in a fainter colour: they are no alternative where processes share."""

STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#212529}.title{font-weight:600}.note{fill:#868e96;font-size:11px}"
    "@media(prefers-color-scheme:dark){text{fill:#dee2e6}}"
)


@dataclass(frozen=True)
class Panel:
    """One group of bars: a value for each store; the best is the first."""

    title: str
    values: dict[str, float]
    unit: str
    lower_is_better: bool = True

    def ordered(self) -> list[tuple[str, float]]:
        """From best to worst."""
        return sorted(self.values.items(), key=lambda pair: pair[1], reverse=not self.lower_is_better)


def readable(value: float, unit: str) -> str:
    """A value as a person says it: 240 ns, 1.3 us, 12 M/s."""
    if unit == "ns":
        for name, size in (("s", 1e9), ("ms", 1e6), ("\N{MICRO SIGN}s", 1e3)):
            if value >= 0.9995 * size:  # what is rounded to it, too
                return f"{value / size:.3g} {name}"
        return f"{value:.3g} ns"
    for name, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {name}{unit}"
    return f"{value:.3g} {unit}".strip()


def panels(results: dict[str, Any]) -> list[Panel]:
    """What of the results is drawn."""
    found = []
    for part in results.get("points", []):
        if part["kind"] != "str" or part["keys"] != 10_000:
            continue
        for work in ("get", "set, overwrite"):
            values = {figure["contender"]: figure["median"] for figure in part["figures"] if figure["work"] == work}
            found.append(Panel(f"{work}: one process, 10,000 keys, text of 32", values, "ns"))
    for mode in ("100 % reads", "90 % reads"):
        contended = results.get("contention", {}).get("figures", [])
        values = {figure["contender"]: sum(figure["per_second"]) for figure in contended if figure["mode"] == mode}
        if values:
            found.append(Panel(f"two processes, {mode}, operations per second", values, "/s", lower_is_better=False))
    return [panel for panel in found if panel.values]


def svg(drawn: list[Panel], caption: str) -> str:
    """The chart: two panels beside each other."""
    columns = [drawn[0::2], drawn[1::2]]
    parts: list[str] = []
    bottom = 0
    for column, some in enumerate(columns):
        x, y = column * (LEFT + WIDTH + RIGHT + GAP), 20
        for panel in some:
            parts += _bars(panel, x, y)
            y += ROW * len(panel.values) + 50
        bottom = max(bottom, y)
    width = 2 * (LEFT + WIDTH + RIGHT) + GAP
    parts.append(f'<text class="note" x="0" y="{bottom}">{escape(caption)}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom + 10}" role="img">'
    return "\n".join([head, f"<style>{STYLE}</style>", *parts, "</svg>"]) + "\n"


def _bars(panel: Panel, x: int, y: int) -> list[str]:
    title = f"{panel.title} ({'shorter' if panel.lower_is_better else 'longer'} is better)"
    lines = [f'<text class="title" x="{x}" y="{y}">{escape(title)}</text>']
    low, high = min(panel.values.values()), max(panel.values.values())
    floor = low / 2  # the shortest bar can be seen
    for i, (name, value) in enumerate(panel.ordered()):
        top = y + 8 + i * ROW
        length = WIDTH * math.log(value / floor) / math.log(high / floor)
        colour = OURS if name == "shoal" else ALONE if name in ALONE_NAMES else OTHERS
        lines += [
            f'<text x="{x + LEFT - 8}" y="{top + 12}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{x + LEFT}" y="{top}" width="{length:.1f}" height="{ROW - 4}" rx="2" fill="{colour}"/>',
            f'<text x="{x + LEFT + length + 6:.1f}" y="{top + 12}">{escape(readable(value, panel.unit))}</text>',
        ]
    return lines


def draw(results: dict[str, Any], path: Path) -> None:
    """Write the chart of a run, if there is something to draw."""
    drawn = panels(results)
    if not drawn:
        return
    where = results["environment"]
    caption = (
        f"Logarithmic axes. {where['processor']}, {where['cores']} cores, Python {where['python']}, {where['date']}"
    )
    path.write_text(svg(drawn, caption), encoding="utf-8")


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
