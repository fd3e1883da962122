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

# Branches that are taken only by somebody whom another process overtakes between two particular loads or calls: a test would have to stop
# it right there. The stresses, the models and the histories run them; whether one of their runs did is chance. File, function, what the
# line says, and who has to come in between.
OVERTAKEN = (
    ("lock.c", "lock_wait", "if (cas_acquire(&lock->word, &seen, a->lock_word))", "another waiter takes the lock that was just seen free"),
    ("lock.c", "lock_wait", "a->lock_word | LOCK_WAITERS)) {", "another waiter takes the dead owner's lock over"),
    ("lock.c", "lock_wait", "a->lock_word | LOCK_WAITERS))", "another waiter takes the lock that was just seen free"),
    ("lock.c", "lock_wait", "!cas_relaxed(&lock->word, &seen, seen | LOCK_WAITERS)", "the owner lets go before it is told of a waiter"),
    ("lock.c", "lock_wait", "return seen == 0 && cas_acquire", "the owner lets go in the instant of the deadline"),
    ("listing.c", "keys_of_table", "load_relaxed(&sh->lock.word) == word", "somebody recovers while a reader looks beside a dead owner"),
    ("listing.c", "count_shard", "if (due || before != 0 ||", "a writer takes the lock between two loads of it"),
    ("listing.c", "search_fields", "status != SHOAL_OK && status != SHOAL_MISS", "a writer changes the object after its fields were read"),
    ("listing.c", "search_fields", "os_mono_ns() >= deadline", "the object is replaced while its fields are read, until the deadline"),
    ("listing.c", "search_fields", "a->hook && a->hook", "the object is replaced while its fields are read"),
    ("namespace.c", "is_wanted", "return load_relaxed(&r->uid) == *uid", "the namespace is dropped while its name is read"),
    ("namespace.c", "shoal_namespace_list", "load_relaxed(&r->uid) != ns.uid", "the namespace is dropped while its name is read"),
    ("read.c", "look", "load_acquire(&sh->nbuckets) != n", "a split ends between the look and this load"),
    ("read.c", "look", "unlikely(next != NULL) && moved(head, before)", "a writer changes the chain between two of its links"),
    ("read.c", "look", "unlikely(in != head) && moved(head, before)", "a writer changes the chain between two of its links"),
    ("read.c", "look_patiently", "abandoned && load_relaxed(&lock->word) != word", "somebody recovers while a reader looks beside a dead owner"),
    ("arena.c", "try_open", "o->flag == 'n' && ready && !*replaced", "another opener puts a foreign arena where one was just replaced"),
    ("arena.c", "try_open", "errno == EEXIST", "another opener makes the segment that was just missing"),
    ("arena.c", "shoal_open", "status == AGAIN && os_mono_ns() >= deadline", "others replace the segment each time, until the deadline"),
    ("arena.c", "inspect", "lstat(path, &st) != 0", "the segment goes between two looks at its name"),
    ("repair.c", "copy_bytes", "got == 0", "the file is cut while it is copied"),
)

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


def is_overtaken(path: Path, function: str, text: str) -> bool:
    """Tell whether OVERTAKEN lists the line."""
    return any(path.name == file and function == where and part in text for file, where, part, _ in OVERTAKEN)


def show_overtaken(files: dict[Path, Counts]) -> int:
    """Print the branches that OVERTAKEN lists and nobody took; return how many."""
    total = 0
    for path, counts in sorted(files.items()):
        source = path.read_text().splitlines()
        for (function, number), (_, *branches) in sorted(counts.items(), key=lambda item: item[0][1]):
            text = source[number - 1].strip()
            if 0 in branches and is_overtaken(path, function, text):
                why = next(w for file, where, part, w in OVERTAKEN if path.name == file and function == where and part in text)
                print(f"  {branches.count(0)} of {path.name}:{number}: {function}: {why}")
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
    branches = sum(len(c) - 1 for c in lines)
    print(f"  {left_out} branches; without them {percent(sum(n > 0 for c in lines for n in c[1:]), branches - left_out):.1f} %")
    if covered < given.least:
        print(f"branches: {covered:.1f} % is less than {given.least:g} %")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
