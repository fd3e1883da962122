"""Print how much of csrc/ the C tests ran: lines and branches of each file, from what gcov left of them.

    python tools/coverage.py FOLDER... [--missing] [--least PERCENT]

Each FOLDER has the objects of a build with --coverage, and the counts of its runs; counts of several are added up. A header's functions
are compiled into many objects: a branch is covered if one of them took it. With --missing each line that has a branch which nobody took
is shown. What OVERTAKEN lists is counted both ways.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "csrc"

OVERTAKEN = ROOT / "tests" / "c" / "overtaken.txt"  # file :: function :: part of the line :: why

Line = tuple[str, int]  # function, number: a function is compiled once for each object that has it
Counts = dict[Line, list[int]]  # how often the line ran, then how often each of its branches was taken


def objects(folder: Path) -> list[dict[str, Any]]:
    """Return what gcov says of each object: raises RuntimeError if there is none."""
    found = sorted(folder.rglob("*.gcda"))
    if not found:
        raise RuntimeError(f"no counts in {folder}: build with --coverage, and run it")
    command = ["gcov", "--json-format", "--branch-probabilities", "--stdout", *map(str, found)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)  # noqa: S603 - our own objects
    if done.returncode != 0:
        raise RuntimeError(f"gcov: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def gather(reports: list[dict[str, Any]]) -> dict[Path, Counts]:
    """Add up the counts of all objects, file by file."""
    files: dict[Path, Counts] = defaultdict(dict)
    for report in reports:
        for file in report["files"]:
            path = Path(report["current_working_directory"], file["file"]).resolve()
            if not path.is_relative_to(SOURCES):
                continue
            for line in file["lines"]:
                counts = [line["count"], *(branch["count"] for branch in line["branches"])]
                key = (line.get("function_name", ""), line["line_number"])
                before = files[path].setdefault(key, [0] * len(counts))
                if len(before) != len(counts):
                    raise RuntimeError(f"{path}:{key[1]}: compiled in two ways")
                files[path][key] = [a + b for a, b in zip(before, counts, strict=True)]
    return files


def show_overtaken(files: dict[Path, Counts]) -> int:
    """Print the branches that OVERTAKEN lists and nobody took; return how many."""
    rows = [row.split(" :: ") for row in OVERTAKEN.read_text().splitlines() if not row.startswith("#")]
    total = 0
    for path, counts in sorted(files.items()):
        source = path.read_text().splitlines()
        for (function, number), (_, *branches) in sorted(counts.items(), key=lambda item: item[0][1]):
            text = source[number - 1]
            why = [why for file, where, part, why in rows if (path.name, function) == (file, where) and part in text]
            if why and 0 in branches:
                print(f"  {branches.count(0)} of {path.name}:{number}: {function}: {why[0]}")
                total += branches.count(0)
    return total


def percent(part: int, whole: int) -> float:
    """Return the share; of nothing, all of it."""
    return 100 * part / whole if whole else 100.0


def show(name: str, counts: list[list[int]]) -> float:
    """Print one row; return the percentage of branches."""
    lines, ran = len(counts), sum(c[0] > 0 for c in counts)
    branches, taken = sum(len(c) - 1 for c in counts), sum(n > 0 for c in counts for n in c[1:])
    covered = percent(taken, branches)
    print(f"{name:<20} {ran:5} / {lines:5} {percent(ran, lines):6.1f} %   {taken:5} / {branches:5} {covered:6.1f} %")
    return covered


def show_missing(path: Path, counts: Counts) -> None:
    """Print the lines that did not run, or have a branch that nobody took."""
    source = path.read_text().splitlines()
    for (function, number), (ran, *branches) in sorted(counts.items(), key=lambda item: item[0][1]):
        if 0 in branches or not ran:
            taken = "".join("+" if n else "-" for n in branches) if ran else "never"
            print(f"  {path.name}:{number}: {function}: {taken}: {source[number - 1].strip()}")


def main() -> int:
    """Print the table; 1 if fewer branches were taken than asked for."""
    parser = argparse.ArgumentParser(description="Lines and branches of csrc/ that were run.")
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--missing", action="store_true", help="show the lines with a branch that nobody took")
    parser.add_argument("--least", type=float, default=0.0, metavar="PERCENT", help="fail with fewer branches taken")
    given = parser.parse_args()
    files = gather([report for folder in given.folders for report in objects(folder.resolve())])
    print(f"{'csrc/':<20} {'lines':>15} {'':>10} {'branches':>15}")
    for path, counts in sorted(files.items()):
        show(path.name, list(counts.values()))
        if given.missing:
            show_missing(path, counts)
    lines = [line for counts in files.values() for line in counts.values()]
    covered = show("total", lines)
    print("not taken, and taken only by who is overtaken between two particular loads:")
    left_out = show_overtaken(files)
    branches, taken = sum(len(c) - 1 for c in lines), sum(n > 0 for c in lines for n in c[1:])
    print(f"  {left_out} branches; without them {percent(taken, branches - left_out):.1f} %")
    if covered < given.least:
        print(f"branches: {covered:.1f} % is less than {given.least:g} %")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
