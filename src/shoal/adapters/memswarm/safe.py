"""`ThreadSafeSharedMemory` and `AsyncSafeSharedMemory`: for memories that are not safe by themselves, and for coroutines."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

from .base import SharedMemoryBase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .base import Row

__all__ = ["AsyncSafeSharedMemory", "ThreadSafeSharedMemory"]


class ThreadSafeSharedMemory(SharedMemoryBase):
    """A memory of which one thread at a time makes a call. `InMemorySharedMemory` needs none of it.

    Args:
        memory: The memory.
    """

    def __init__(self, memory: SharedMemoryBase) -> None:
        self.memory = memory
        self._lock = Lock()

    def read(self, key: str | None = None) -> Any:
        with self._lock:
            return self.memory.read(key)

    def write(self, key: str, value: Any) -> None:
        with self._lock:
            self.memory.write(key, value)

    def delete(self, key: str) -> None:
        with self._lock:
            self.memory.delete(key)

    def clear(self) -> None:
        with self._lock:
            self.memory.clear()

    def get(self, key: str, default: Any = None) -> Any:
        with self._lock:
            return self.memory.get(key, default)

    def add(self, key: str, value: Any) -> bool:
        with self._lock:
            return self.memory.add(key, value)

    def similarity_search(self, query: str, top_k: int = 5) -> list[Any]:
        with self._lock:
            return self.memory.similarity_search(query, top_k)

    def write_scope(self, value: Any, metadata: Mapping[str, Any] | None = None, context_id: str | None = None) -> str:
        with self._lock:
            return self.memory.write_scope(value, metadata, context_id)

    def read_scope(
        self, agent_id: str | None = None, group_id: str | None = None, context_id: str | None = None
    ) -> dict[str, Row]:
        with self._lock:
            return self.memory.read_scope(agent_id, group_id, context_id)


class AsyncSafeSharedMemory:
    """A memory's calls as coroutines, which never keep the event loop waiting.

    A call that may take long is made in a thread, one at a time. Those of `InMemorySharedMemory` are made at once.

    Args:
        memory: The memory.
    """

    def __init__(self, memory: SharedMemoryBase) -> None:
        self.memory = memory
        self._one_at_a_time = Lock()  # no asyncio.Lock: several event loops may use it

    async def read(self, key: str | None = None) -> Any:
        """As of the memory."""
        return await self._call(self.memory.read, key)

    async def write(self, key: str, value: Any) -> None:
        """As of the memory."""
        await self._call(self.memory.write, key, value)

    async def delete(self, key: str) -> None:
        """As of the memory."""
        await self._call(self.memory.delete, key)

    async def clear(self) -> None:
        """As of the memory."""
        await self._call(self.memory.clear)

    async def get(self, key: str, default: Any = None) -> Any:
        """As of the memory."""
        return await self._call(self.memory.get, key, default)

    async def add(self, key: str, value: Any) -> bool:
        """As of the memory."""
        return bool(await self._call(self.memory.add, key, value))

    async def similarity_search(self, query: str, top_k: int = 5) -> list[Any]:
        """As of the memory, in a thread: a model takes its time."""
        found: list[Any] = await self._in_thread(self.memory.similarity_search, query, top_k)
        return found

    async def write_scope(
        self, value: Any, metadata: Mapping[str, Any] | None = None, context_id: str | None = None
    ) -> str:
        """As of the memory."""
        return str(await self._call(self.memory.write_scope, value, metadata, context_id))

    async def read_scope(
        self, agent_id: str | None = None, group_id: str | None = None, context_id: str | None = None
    ) -> dict[str, Row]:
        """As of the memory."""
        rows: dict[str, Row] = await self._call(self.memory.read_scope, agent_id, group_id, context_id)
        return rows

    async def read_context(self, context_id: str) -> dict[str, Row]:
        """As of the memory."""
        rows: dict[str, Row] = await self._call(self.memory.read_context, context_id)
        return rows

    async def _call(self, method: Callable[..., Any], *arguments: Any) -> Any:
        if self.memory.blocking:
            return await self._in_thread(method, *arguments)
        return method(*arguments)

    async def _in_thread(self, method: Callable[..., Any], *arguments: Any) -> Any:
        import asyncio

        return await asyncio.to_thread(self._locked, method, *arguments)

    def _locked(self, method: Callable[..., Any], *arguments: Any) -> Any:
        with self._one_at_a_time:
            return method(*arguments)
