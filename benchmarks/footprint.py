"""What a store takes: memory for an entry, time to import and to attach."""

from __future__ import annotations

import pickle
import statistics
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.bench.points import BULK, VALUES, key

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.bench.contender import Contender

PROBE = Path(__file__).with_name("probe.py")


def prepare_memory(store: Contender, options: dict[str, Any]) -> dict[str, Callable[[], float]]:
    """Bytes per entry: of pages in shared memory, of a server's memory, or of objects. Keys have 12 characters."""
    count = options["keys"]
    # Every key and value is an object of its own: a dict must not look small because they are one.
    for first in range(0, count, BULK):
        items = [(key(i), f"{VALUES['str'][:-8]}{i:08d}") for i in range(first, min(first + BULK, count))]
        store.load(items)
        del items
    return {"bytes per entry": lambda: store.used() / count}


def prepare_attach(store: Contender, options: dict[str, Any]) -> dict[str, Callable[[], float]]:
    """Time, in nanoseconds, that a fresh process takes."""
    store.load([(key(i), VALUES["str"]) for i in range(options["keys"])])
    works = {"import": lambda: _import(store.modules)} if store.modules else {}
    if store.shared:
        works["attach, first get"] = lambda: statistics.median(_attach(store) for _ in range(3))
    return works


def _import(modules: tuple[str, ...]) -> float:
    program = "from time import perf_counter_ns as t\nb = t()\n"
    program += "".join(f"import {module}\n" for module in modules) + "print(t() - b)"
    took = [
        float(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout) for _ in range(3)
    ]
    return statistics.median(took)


def _attach(store: Contender) -> float:
    sent = pickle.dumps((type(store), pickle.dumps(store.handle), key(7), VALUES["str"]))
    done = subprocess.run([sys.executable, str(PROBE)], input=sent, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode()[-200:])
    return float(done.stdout)
