"""The paths whose cost is counted: each is prepared, and then run a given number of times.

As a program it runs all of them under a counter that starts anew whenever `os.getppid` is called: nothing else here
calls it, and it costs the counted code nothing.
"""

from __future__ import annotations

import gc
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal import Store

FEW, MANY = 200, 1_200
"""How often each path is run. In the difference, the start of the loop and the counting itself cancel out."""

MOST = 2 * (FEW + MANY)
STORED = 1_000
BULK = 10
"""Keys in one call, where there are many."""
LARGE = bytes(64 << 10)

CALIBRATION = "(dict.get)"
"""Not ours: it tells whether the interpreter is the one that the stored figures are from."""

TEXT = "v" * 32
FIELDS = {"id": 12345, "name": "alice", "score": 3.25, "active": True, "tags": "a,b,c"}


@dataclass(frozen=True)
class Path:
    """One path: what is called, with which keys, and the value if it writes one."""

    name: str
    call: Callable[..., Any]
    keys: list[Any]
    value: tuple[Any, ...] = ()
    rarer: int = 1
    """A tenth as often, say, where one takes long."""

    def run(self, times: int) -> None:
        """Call it for the next so many keys."""
        call, times = self.call, times // self.rarer
        keys = self.keys[:times]
        del self.keys[:times]
        if self.value:
            (value,) = self.value
            for key in keys:
                call(key, value)
        else:
            for key in keys:
                call(key)


def names(start: str, of: int = MOST) -> list[str]:
    """Keys for one path, as many as its runs take, of so many different ones: other objects than were stored."""
    different = [f"{start}:{i:07d}" for i in range(of)]
    return (different * (MOST // of + 1))[:MOST]


def paths(store: Store) -> list[Path]:
    """All paths, on a store that is prepared for them."""
    import numpy as np

    memory = store.memory("agent")
    for i in range(STORED):
        store.set(f"text:{i:07d}", TEXT)
        store.set(f"number:{i:07d}", 1234567890123)
        store.set(f"fields:{i:07d}", FIELDS)
        store.set(f"count:{i:07d}", 0)
        memory.set(f"user.name-{i:07d}", TEXT)
    store.set("array", np.arange(1_000.0))
    store.set("large", LARGE)
    small = store.namespace("small")
    many = [f"text:{i:07d}" for i in range(BULK)]
    entries = dict.fromkeys(many, TEXT)
    small.set_many(entries)
    fields = [f"user.name-{i % STORED:07d}" for i in range(MOST)]
    known = dict.fromkeys(names("text", STORED), 0)
    return [
        Path(CALIBRATION, known.get, names("text", STORED)),
        Path("get str", store.get, names("text", STORED)),
        Path("get int", store.get, names("number", STORED)),
        Path("get dict of 5", store.get, names("fields", STORED)),
        Path("get, absent", store.get, names("miss", STORED)),
        Path("contains", store.__contains__, names("text", STORED)),
        Path("store[key]", store.__getitem__, names("text", STORED)),
        Path("set str, overwrite", store.set, names("text", STORED), (TEXT,)),
        Path("set int, overwrite", store.set, names("number", STORED), (1234567890123,)),
        Path("set dict of 5, overwrite", store.set, names("fields", STORED), (FIELDS,)),
        Path("set str, new key", store.set, names("new"), (TEXT,)),
        Path("delete", store.delete, names("new")),
        Path("incr", store.incr, names("count", STORED)),
        Path("memory.get", memory.get, list(fields)),
        Path("memory.set", memory.set, list(fields), (TEXT,)),
        Path("view", store.view, ["array"] * MOST),
        Path("get bytes of 64 KB", store.get, ["large"] * MOST, rarer=20),
        Path("set bytes of 64 KB", store.set, ["large"] * MOST, (LARGE,), rarer=20),
        Path("get_many of 10", store.get_many, [many] * MOST, rarer=4),
        Path("set_many of 10", store.set_many, [entries] * MOST, rarer=4),
        Path("list_keys of 10", type(small).list_keys, [small] * MOST, rarer=4),
    ]


def main() -> None:
    """Run all paths: each twice to warm up, then few times, then many."""
    import shoal

    mark = os.getppid
    with shoal.open(size=64 << 20) as store:
        todo = paths(store)
        gc.collect()
        gc.disable()
        for path in todo:
            path.run(FEW)
            path.run(MANY)
            mark()
            path.run(FEW)
            mark()
            path.run(MANY)
            mark()
        print(json.dumps({path.name: (MANY - FEW) // path.rarer for path in todo}))


if __name__ == "__main__":
    main()
