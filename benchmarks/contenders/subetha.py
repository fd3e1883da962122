"""subetha-ipc: a table of slots of fixed size in a mapped file."""

from __future__ import annotations

from typing import Any

from shoal.bench.contender import Contender, allocated, codec, remove, scratch

KEY, VALUE = 13, 35


class Subetha(Contender):
    """Keys and values are padded bytes, together 48 at most: only str and int fit.

    Counters are separate objects with names, not keys: they are left out.
    """

    name = "subetha HashMap"
    package = "subetha-ipc"
    modules = ("subetha", "msgspec.msgpack")
    kinds = frozenset({"str", "int"})
    max_value = VALUE - 1
    counts = False

    def open(self, keys: int, payload: int = 0) -> None:
        import subetha

        self.path, self.mine, self.slots = scratch(), True, 2 * keys + 64
        self._bind(subetha.HashMap(str(self.path / "map"), self.slots, KEY, VALUE))

    @property
    def handle(self) -> Any:
        return self.path, self.slots

    def attach(self, handle: Any) -> None:
        import subetha

        self.path, self.slots = handle
        self.mine = False
        self._bind(subetha.HashMap.open(str(self.path / "map"), self.slots, KEY, VALUE))

    def _bind(self, table: Any) -> None:
        _, encode, decode = codec()
        find, insert, remove_key = table.get, table.insert, table.remove

        # The last byte of a value is its length.
        def get(key: str) -> Any:
            data = find(key.encode().ljust(KEY))
            return None if data is None else decode(data[: data[-1]])

        def put(key: str, value: Any) -> None:
            data = encode(value)
            insert(key.encode().ljust(KEY), data.ljust(VALUE - 1) + bytes((len(data),)))

        self.get, self.set = get, put
        self.delete = lambda key: remove_key(key.encode().ljust(KEY))
        self.contains = lambda key: key.encode().ljust(KEY) in table

    def used(self) -> int:
        return allocated(self.path)

    def close(self) -> None:
        if self.mine:
            remove(self.path)
