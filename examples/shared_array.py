"""Workers search one large array together. It is in memory once, however many they are.

    python examples/shared_array.py [--mb 1024] [--workers 4]

The array holds a vector of 256 numbers a row, as documents have them. It is made where it will stay, in shared memory; each
worker takes a view of it, looks for the rows nearest to some queries in one block after the other, and reports how
much memory it has for itself alone.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import shoal

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

COLUMNS = 256
BLOCK = 4096  # rows that a worker takes at a time: 4 MB
MB = 1 << 20
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - where shared memory is, nothing that we write ourselves


def room() -> int:
    """Return the bytes that may be used without harm: of shared memory, and of memory at all."""
    disk = os.statvfs(SHARED_MEMORY)
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    memory = int(lines["MemAvailable"].split()[0]) * 1024
    return min(disk.f_bavail * disk.f_frsize * 9 // 10, memory // 2)


def private_memory() -> int:
    """Return the bytes of memory that this process shares with no other."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    return int(lines["RssAnon"].split()[0]) * 1024


def fill(array: np.ndarray) -> None:
    """Write numbers between -1 and 1: the same in every run."""
    for number, block in enumerate(blocks(array)):
        np.random.default_rng(number).random(out=block, dtype=np.float32)
        np.multiply(block, 2, out=block)
        np.subtract(block, 1, out=block)


def blocks(array: np.ndarray) -> list[np.ndarray]:
    """Return the parts that are handed out, each a view."""
    return [array[first : first + BLOCK] for first in range(0, len(array), BLOCK)]


def work(store: shoal.Store, queries: np.ndarray, pipe: Connection) -> None:
    """Search the blocks that are free, until there are none. The store came as an argument: a store can be pickled."""
    queries @ queries.T  # what numpy needs to calculate at all is not what we want to see
    before = private_memory()
    parts = blocks(store.view("vectors"))  # no copy
    pipe.send("ready")
    pipe.recv()  # until all are
    done = 0
    best = [(-np.inf, -1)] * len(queries)
    while (number := int(store.incr("blocks taken")) - 1) < len(parts):  # of all workers, one gets each number
        likeness = queries @ parts[number].T
        rows = likeness.argmax(axis=1)
        found = zip(likeness.max(axis=1).tolist(), (number * BLOCK + rows).tolist(), strict=True)
        best = [max(pair) for pair in zip(best, found, strict=True)]
        done += 1
    pipe.send({"best": best, "blocks": done, "private": private_memory(), "grown": private_memory() - before})
    pipe.poll(None)  # hold the view until the other end is closed


def search(store: shoal.Store, queries: np.ndarray, workers: int) -> list[dict[str, Any]]:
    """Let the workers search; their reports."""
    context = multiprocessing.get_context("spawn")  # fresh interpreters, which have nothing in common but the store
    pool = []
    for _ in range(workers):
        here, there = context.Pipe()
        process = context.Process(target=work, args=(store, queries, there), daemon=True)
        process.start()
        there.close()
        pool.append((process, here))
    for _, pipe in pool:
        pipe.recv()  # EOFError if the worker has died
    for _, pipe in pool:
        pipe.send("go")
    reports = [pipe.recv() for _, pipe in pool]
    print(f"pinned by all views together: {store.stats().pinned / MB:,.1f} MB")
    for process, pipe in pool:
        pipe.close()
        process.join()
    return reports


def positive(text: str) -> int:
    """Parse a number of at least 1."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def main() -> None:
    """Make the array, have it searched, and check what was found and what it took."""
    parser = argparse.ArgumentParser(description="Workers search one large array together.")
    parser.add_argument("--mb", type=positive, help="size of the array (default: 1024, or what fits)")
    parser.add_argument("--workers", type=positive, default=4)
    options = parser.parse_args()
    mb = options.mb or min(1024, room() // MB)
    if mb < (options.mb or 1024):
        print(f"this machine has room for {mb:,} MB of the 1,024 that would be used otherwise")
    rows = mb * MB // (4 * COLUMNS)
    wanted = [rows * n // 8 + n for n in range(8)]  # from all over the array
    with shoal.open(size=mb * MB + 32 * MB) as store:
        try:
            with store.create_array("vectors", (rows, COLUMNS), np.float32) as array:  # in place: no copy either
                fill(array)
        except shoal.ShoalError as error:
            sys.exit(f"{error}: give a smaller --mb")
        queries = array[wanted] + np.float32(0.01)
        print(f"one array of {array.nbytes / MB:,.1f} MB; we ourselves have {private_memory() / MB:.1f} MB")
        reports = search(store, queries, options.workers)
        for number, report in enumerate(reports, 1):
            private, grown = report["private"] / MB, report["grown"] / MB
            print(f"worker {number}: {report['blocks']} blocks; {private:.1f} MB private, {grown:.1f} since the view")
        found = [max(answers)[1] for answers in zip(*(report["best"] for report in reports), strict=True)]
        if found != wanted:
            sys.exit(f"looked for the rows {wanted}, found {found}")
        if max(report["grown"] for report in reports) > max(array.nbytes // 4, 16 * MB):
            sys.exit("a worker has a copy")
    print(f"checked: {len(reports)} workers found all {len(wanted)} rows, and none has a copy of the array")


if __name__ == "__main__":  # spawned processes import this file
    main()
