"""diskcache: SQLite and files, in a folder of shared memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.bench.contender import PLAIN, allocated, remove
from shoal.bench.stores import InFolder

if TYPE_CHECKING:
    from collections.abc import Iterable


class DiskCache(InFolder):
    """It has a codec of its own."""

    name = "diskcache"
    package = "diskcache"
    modules = ("diskcache",)
    max_keys = 100_000
    kinds = PLAIN

    def open(self, keys: int, payload: int = 0) -> None:
        import diskcache  # noqa: F401 - before a folder is made for it

        super().open(keys, payload)

    def _bind(self) -> None:
        import diskcache

        self.cache = diskcache.Cache(
            str(self.path), eviction_policy="none", sqlite_synchronous=0, size_limit=1 << 40, timeout=30
        )
        cache = self.cache
        self.get, self.set, self.delete, self.contains = cache.get, cache.set, cache.delete, cache.__contains__
        self.incr = cache.incr

    def load(self, items: Iterable[tuple[str, Any]]) -> None:
        with self.cache.transact():
            super().load(items)

    def used(self) -> int:
        return allocated(self.path)

    def close(self) -> None:
        self.cache.close()
        if self.mine:
            remove(self.path)
