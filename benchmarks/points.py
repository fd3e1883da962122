"""Point operations on a store of many keys: random order, key objects other than the stored ones."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VALUE = "v" * 32


def _each(call: Callable[..., Any], keys: Sequence[str], *rest: Any) -> Callable[[], float]:
    def run() -> float:
        began = time.perf_counter_ns()
        if rest:
            for key in keys:
                call(key, *rest)
        else:
            for key in keys:
                call(key)
        return (time.perf_counter_ns() - began) / len(keys)

    return run


def prepare(store: Any, options: dict[str, Any]) -> dict[str, Callable[[], float]]:
    """Fill the store, and say what is measured on it."""
    count = options["keys"]
    few = getattr(store, "slow", False)
    for i in range(count):
        store.set(f"key:{i:08d}", VALUE)
    order = [f"key:{i:08d}" for i in random.Random(1).sample(range(count), min(count, 3_000 if few else 100_000))]
    absent = [f"miss:{i:07d}" for i in range(len(order))]
    found = store.get(order[0])
    if found not in (VALUE, VALUE.encode()):
        raise ValueError(f"wrong value {found!r}")
    return {
        "get": _each(store.get, order),
        "get, absent": _each(store.get, absent),
        "contains": _each(store.contains, order),
        "set, overwrite": _each(store.set, order, VALUE),
    }
