"""`SharedMemoryBase`: what every memory of MemSwarm can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Row", "SharedMemoryBase"]

Row: TypeAlias = dict[str, Any]
"""What `write_scope` has written: ``{"value": ..., "metadata": {...}}``."""


class SharedMemoryBase(ABC):
    """Keys and values that agents share. A subclass implements the four abstract methods; the rest has a default.

    `get` and `add` tell a stored None from nothing; their defaults, made of the four, cannot.
    """

    blocking: bool = True
    """Whether a call may take long or needs a lock, so that `AsyncSafeSharedMemory` makes it in a thread."""

    @abstractmethod
    def read(self, key: str | None = None) -> Any:
        """The value, or None; without a key (or with an empty one) a dict of all."""

    @abstractmethod
    def write(self, key: str, value: Any) -> None:
        """Write a value, whether there is one or not."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove a value, if there is one."""

    @abstractmethod
    def clear(self) -> None:
        """Remove everything."""

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or `default` if there is none."""
        value = self.read(key)
        return default if value is None else value

    def add(self, key: str, value: Any) -> bool:
        """Write a value only if there is none; whether it was written."""
        if self.read(key) is not None:
            return False
        self.write(key, value)
        return True

    def similarity_search(self, query: str, top_k: int = 5) -> list[Any]:
        """What is most like the query, best first; nothing where there is no model to tell."""
        return []

    def write_scope(self, value: Any, metadata: Mapping[str, Any] | None = None, context_id: str | None = None) -> str:
        """Append a row to a context; its key. Its metadata says whose it is: ``agent_id``, ``group_id``."""
        raise NotImplementedError(f"{type(self).__name__} has no scopes")

    def read_scope(
        self, agent_id: str | None = None, group_id: str | None = None, context_id: str | None = None
    ) -> dict[str, Row]:
        """The rows of an agent or of a group, of one context or of all; of a context alone, all of its rows."""
        raise NotImplementedError(f"{type(self).__name__} has no scopes")

    def read_context(self, context_id: str) -> dict[str, Row]:
        """All rows of a context by their keys, in the order in which they were written."""
        return self.read_scope(context_id=context_id)
