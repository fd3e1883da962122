"""Point operations on a store of many keys: random order, key objects other than the stored ones."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from timers import along

if TYPE_CHECKING:
    from collections.abc import Callable

VALUE = "v" * 32


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
        "get": along(store.get, order),
        "get, absent": along(store.get, absent),
        "contains": along(store.contains, order),
        "set, overwrite": along(store.set, order, VALUE),
    }
