"""Benchmarks of Shoal beside other stores. See README.md in this folder."""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import sys
from pathlib import Path
from typing import Any

import growth
import harness
import memory
import points


def table(figures: list[harness.Figure]) -> str:
    """Rows of contenders, columns of work; in brackets, how many times as fast Shoal is."""
    works = list(dict.fromkeys(figure.work for figure in figures))
    by = {(figure.contender, figure.work): figure for figure in figures}
    lines = ["| store | " + " | ".join(works) + " |", "|---|" + "---:|" * len(works)]
    for name in dict.fromkeys(figure.contender for figure in figures):
        cells = []
        for work in works:
            ours = by["shoal", work].median
            cell = f"{by[name, work].median:,.0f} ns"
            cells.append(cell if name == "shoal" else f"{cell} ({by[name, work].median / ours:.2g}x)")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    """Measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "what", nargs="*", default=["points", "growth", "memory"], help="points, growth, memory (default: all)"
    )
    parser.add_argument("--keys", type=int, help="keys (default: 100,000; 5,000,000 for growth)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--part", action="append", choices=[part.name for part in memory.PARTS], help="of memory")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    result: dict[str, Any] = {"python": platform.python_version(), "machine": platform.machine()}
    if "points" in options.what:
        keys = options.keys or 100_000
        figures, notes = harness.run(points.prepare, {"keys": keys}, options.rounds)
        result["points"] = {"keys": keys, "figures": [dataclasses.asdict(figure) for figure in figures], "notes": notes}
        print(f"{keys:,} keys, str of 32; time per operation (in brackets: how many times Shoal's)\n")
        print(table(figures), *notes, sep="\n", end="\n\n")
    if "growth" in options.what:
        keys = options.keys or 5_000_000
        lines, per_entry = growth.run(keys)
        result["growth"] = {"lines": [dataclasses.asdict(line) for line in lines], "bytes_per_entry": per_entry}
        print(
            "growth of one store\n\n| keys | mean insert | slowest insert so far | inserts over 1 ms |\n|---:|---:|---:|---:|"
        )
        for line in lines:
            print(f"| {line.keys:,} | {line.mean_ns:,.0f} ns | {line.slowest_us:,.0f} us | {line.over_1_ms} |")
        print(f"\nbytes of shared memory per entry: {per_entry:.1f}")
    if "memory" in options.what:
        result["memory"], printed = memory.run(options.keys or 100_000, options.rounds, options.part or ())
        print(*printed, sep="\n")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
