"""`HybridSharedMemory`: a cache in front of a memory that is slower, or that lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...options import MISSING
from .base import SharedMemoryBase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .base import Row

__all__ = ["HybridSharedMemory"]


class HybridSharedMemory(SharedMemoryBase):
    """Reads from the cache what is there, the rest from the backend; writes to both.

    The backend is written first: what it refuses is not in the cache either. Whoever puts a value into the cache looks
    whether the backend still has it, so of several who change a key at once through the same cache and backend none leaves an old
    value in the cache. While the backend is written the cache has nothing: whoever fails or dies then leaves it to the backend to
    say what became of it.

    Args:
        cache: Asked first.
        backend: What counts.
    """

    def __init__(self, cache: SharedMemoryBase, backend: SharedMemoryBase) -> None:
        self.cache = cache
        self.backend = backend
        self.blocking = cache.blocking or backend.blocking

    def read(self, key: str | None = None) -> Any:
        if key:
            return self.get(key)
        everything = self.backend.read()
        return {**everything, **self.cache.read()} if isinstance(everything, dict) else everything

    def get(self, key: str, default: Any = None) -> Any:
        value = self.cache.get(key, MISSING)
        if value is not MISSING:
            return value
        value = self.backend.get(key, MISSING)
        if value is MISSING:
            return default
        if self.cache.add(key, value):
            self._settle(key, value)
        return value

    def add(self, key: str, value: Any) -> bool:
        if not self.backend.add(key, value):
            return False
        self.cache.write(key, value)
        self._settle(key, value)
        return True

    def write(self, key: str, value: Any) -> None:
        self.cache.delete(key)
        try:
            self.backend.write(key, value)
        except BaseException:
            self.cache.delete(key)  # a reader may have put it there; and a backend that raises may have written
            raise
        self.cache.write(key, value)
        self._settle(key, value)

    def delete(self, key: str) -> None:
        self.cache.delete(key)
        try:
            self.backend.delete(key)
        finally:
            self.cache.delete(key)

    def clear(self) -> None:
        self.cache.clear()
        try:
            self.backend.clear()
        finally:
            self.cache.clear()

    def similarity_search(self, query: str, top_k: int = 5) -> list[Any]:
        """What the backend finds, or if that cannot tell, the cache."""
        return self.backend.similarity_search(query, top_k) or self.cache.similarity_search(query, top_k)

    def write_scope(self, value: Any, metadata: Mapping[str, Any] | None = None, context_id: str | None = None) -> str:
        """Append a row to the backend; its key."""
        return self.backend.write_scope(value, metadata, context_id)

    def read_scope(
        self, agent_id: str | None = None, group_id: str | None = None, context_id: str | None = None
    ) -> dict[str, Row]:
        """The rows of both; of one key, that of the cache."""
        rows = self.backend.read_scope(agent_id, group_id, context_id)
        try:
            cached = self.cache.read_scope(agent_id, group_id, context_id)
        except NotImplementedError:
            return rows
        return dict(sorted({**rows, **cached}.items()))

    def _settle(self, key: str, value: Any) -> None:
        """Take a value out of the cache that the backend does not have (any more): who reads it next asks the backend.

        A change of the backend is either seen here, or its own writing of the cache is still to come.
        """
        if not _same(self.backend.get(key, MISSING), value):
            self.cache.delete(key)


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if type(one) is not type(other):  # True == 1 == 1.0
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    try:
        return bool(one == other)
    except ValueError:  # arrays
        from ...codec import encode

        return encode(one, allow_pickle=True) == encode(other, allow_pickle=True)
