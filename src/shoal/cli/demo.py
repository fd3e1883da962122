"""The demo: run `examples/index_stdlib.py` and say what the store did.

The example is the demo's source and comes with the package as `shoal.examples.index_stdlib`; this module adds the
options, the progress bar and the report.
"""

from __future__ import annotations

import argparse
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shoal

from .common import Commands, command, size
from .output import human_size, note, print_json, print_table
from .progress import progress, track

if TYPE_CHECKING:
    from shoal.records import Stats

__all__ = ["register"]

_SIZE = 256 << 20  # bytes; a cap, of which only what is used costs memory

_DETAILS = (
    "The workers index Python source files into one store, another process answers questions from it, and the result "
    "is compared with that of a single process. The source is examples/index_stdlib.py."
)


def register(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands, "demo", _demo, "watch a pool of processes work in one store", store=False, details=_DETAILS
    )
    parser.add_argument("--workers", type=_positive, default=4, metavar="N", help="how many processes (default 4)")
    parser.add_argument("--path", type=Path, metavar="DIR", help="index this directory, not Python's standard library")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="shuffles the order in which files are claimed"
    )
    parser.add_argument("--kill", action="store_true", help="kill a worker (SIGKILL) when half of the work is done")
    parser.add_argument("--limit", type=_positive, metavar="N", help="index at most this many files")
    parser.add_argument("--size", type=size, metavar="SIZE", help="capacity of the store, such as 1GiB")


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"not a number above 0: {text!r}")
    return int(text)


def _demo(arguments: argparse.Namespace) -> int:
    from shoal.examples import index_stdlib as example

    root = (arguments.path or Path(sysconfig.get_path("stdlib"))).resolve(strict=True)
    paths = example.find_files(root)[: arguments.limit]
    if not paths:
        note(f"no Python files in {root}")
        return 1
    if not arguments.json:
        print(f"{arguments.workers} workers index {len(paths):,} files of {root}")
    # What an index takes is about one and a half times the size of the source.
    sources = sum((root / path).stat().st_size for path in paths)
    with shoal.open(size=arguments.size or max(_SIZE, 4 * sources)) as store:
        started = time.perf_counter()
        with progress("indexing", len(paths)) as advance:
            try:
                report = example.build(
                    store, root, paths, advance, workers=arguments.workers, seed=arguments.seed, kill=arguments.kill
                )
            except RuntimeError as error:  # a worker failed; it has told why
                note(str(error))
                return 3
        seconds = time.perf_counter() - started
        stats = store.stats()
        answers = example.ask_elsewhere(store)
        started = time.perf_counter()
        expected = example.alone(root, track("checking", paths))
        alone_seconds = time.perf_counter() - started
        differences = example.differences(example.Index(store), expected)
    if answers != example.answer(expected):
        differences.append("answers: the other process's are not those from a single process")
    result = {
        "files": len(paths),
        "path": str(root),
        "workers": arguments.workers,
        "seed": arguments.seed,
        "kill": arguments.kill,
        "seconds": round(seconds, 3),
        "single_process_seconds": round(alone_seconds, 3),
        "store": _summarize(stats, seconds, report["processes"]),
        "pool": report,
        "answers": answers,
        "differences": differences,
        "identical": not differences,
    }
    if arguments.json:
        print_json(result)
    else:
        _print(result)
    return 1 if differences else 0


def _summarize(stats: Stats, seconds: float, processes: int) -> dict[str, Any]:
    reads = stats.hits + stats.misses
    operations = reads + stats.sets + stats.deletes
    return {
        "operations": operations,
        "operations_per_second": round(operations / seconds),
        "reads": reads,
        "writes": stats.sets,
        "deletes": stats.deletes,
        "hit_ratio": round(stats.hits / reads, 4) if reads else None,
        "entries": stats.entries,
        "memory": stats.used,
        "processes": processes,
        "retries": stats.retries,
        "lock_waits": stats.lock_waits,
        "expired": stats.expired,
        "evicted": stats.evicted,
        "recoveries": stats.recoveries,
    }


def _print(result: dict[str, Any]) -> None:
    print("\nAnother process answers from the store:")
    for question, reply in result["answers"].items():
        print(f"  {question}:")
        for line in _lines(reply):
            print(f"    {line}")

    print("\nWhat the store did:")
    store = result["store"]
    rows = [(name.replace("_", " "), _shown(name, value)) for name, value in store.items()]
    print_table(("what", "value"), rows, numbers=(1,))

    pool = result["pool"]
    print(f"\n{result['workers']} workers took {result['seconds']:.1f} s, one process without the store ", end="")
    print(f"{result['single_process_seconds']:.1f} s.")
    for name in pool["killed"]:
        print(f"{name} was killed; another process took its place.")
    if pool["abandoned"]:
        print(f"What it had claimed but not finished was claimed again: {', '.join(pool['abandoned'])}.")
    if pool["recounted"]:
        print(f"What it had half counted was put right: {', '.join(pool['recounted'])}.")
    if result["kill"] and not pool["killed"]:
        print("The workers were done before one could be killed.")
    if result["identical"]:
        print(f"The result of {result['workers']} workers is identical to that of one process.")
    else:
        print("The results DIFFER from those of one process:")
        for line in result["differences"]:
            print(f"  {line}")


def _lines(reply: Any) -> list[str]:
    if isinstance(reply, dict):
        return [f"{name}: {_joined(found)}" for name, found in reply.items()]
    return [_joined(reply)]


def _joined(found: Any) -> str:
    if not isinstance(found, list):
        return str(found)
    return ", ".join(f"{item[0]} ({item[1]})" if isinstance(item, tuple | list) else str(item) for item in found)


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name == "memory":
        return human_size(value)
    return f"{value:.1%}" if name == "hit_ratio" else f"{value:,}"
