"""Point operations, by kind of value and number of keys: random order, key objects other than the stored ones."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from .timers import BATCH, along, fitting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .contender import Contender

    Works = dict[str, Callable[[], float]]

__all__ = ["VALUES", "key", "prepare"]

VALUES: dict[str, Any] = {
    "str": "v" * 32,
    "int": 1234567890123,
    "dict": {"id": 12345, "name": "alice", "score": 3.25, "active": True, "tags": "a,b,c"},
    "bytes": bytes(range(256)) * 4,
}
"""By kind: 32 characters, 41 bits, five fields, 1 KB."""

MOST = 100_000
"""Calls in a round."""
BULK = 50_000
"""Entries that are loaded at once."""


def key(number: int) -> str:
    """The key with that number: 12 characters."""
    return f"key:{number:08d}"


def prepare(store: Contender, options: dict[str, Any]) -> Works:
    """Fill the store, and say what is measured on it.

    Options: `keys`; `kind` (of value, default "str"); `seconds` (that one work takes in a round, default 0.1).

    Raises:
        ValueError: The store does not give back what it was given.
    """
    count, kind, seconds = options["keys"], options.get("kind", "str"), options.get("seconds", 0.1)
    value = VALUES[kind]
    for first in range(0, count, BULK):
        store.load([(key(i), value) for i in range(first, min(first + BULK, count))])
    shuffled = random.Random(1).sample(range(count), min(count, MOST))  # noqa: S311 - the same in every run
    order = [key(i) for i in shuffled]
    found = store.get(order[0])
    if found != value:
        raise ValueError(f"{store.name} gives back {found!r:.80}")
    few = order[: fitting(lambda: store.get(order[0]), seconds, len(order))]
    fewer = order[: fitting(lambda: store.set(order[0], value), seconds, len(order))]
    works = {"get": along(store.get, few), "set, overwrite": along(store.set, fewer, value)}
    if kind == "str":
        absent = [f"miss:{i:07d}" for i in range(len(few))]
        works["get, absent"] = along(store.get, absent)
        works["contains"] = along(store.contains, few)
        # A tenth of the keys at most, so that the store stays as large as it is said to be.
        some = max(50, min(len(fewer), count // 10))
        fresh = [f"new:{i:08d}" for i in range(some // BATCH * BATCH or some)]  # all of which are timed
        works["set, new"], works["delete"] = _coming_and_going(store, fresh, value)
    return works


def _coming_and_going(
    store: Contender, fresh: Sequence[str], value: Any
) -> tuple[Callable[[], float], Callable[[], float]]:
    adding, removing = along(store.set, fresh, value), along(store.delete, fresh)

    def add() -> float:
        took = adding()
        for name in fresh:
            store.delete(name)
        return took

    def remove() -> float:
        for name in fresh:
            store.set(name, value)
        return removing()

    return add, remove
