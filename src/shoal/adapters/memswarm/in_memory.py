"""`InMemorySharedMemory`: a memory in a Shoal store, and `AgentMemory`, the part of it that one agent has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import shoal

from ...errors import AccessDenied
from .base import SharedMemoryBase
from .rows import Rows, is_row_key
from .similarity import Similarity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from .base import Row
    from .similarity import Embed

__all__ = ["AgentMemory", "InMemorySharedMemory"]

_NAMESPACE = "memswarm"


class _StoreMemory(SharedMemoryBase):
    """Keys and values that are entries of a store; each call is atomic there, for threads and processes."""

    blocking = False

    def __init__(self, store: shoal.Store, embed: Embed | None) -> None:
        self._entries = store
        self._similarity = Similarity(embed)

    def read(self, key: str | None = None) -> Any:
        return self._entries.get(key) if key else dict(self._entries.items())

    def write(self, key: str, value: Any) -> None:
        self._entries.set(key, value)

    def delete(self, key: str) -> None:
        self._entries.delete(key)

    def clear(self) -> None:
        self._entries.clear()

    def get(self, key: str, default: Any = None) -> Any:
        return self._entries.get(key, default)

    def add(self, key: str, value: Any) -> bool:
        return self._entries.add(key, value)

    def similarity_search(self, query: str, top_k: int = 5) -> list[tuple[str, float]]:
        """The keys of the texts that are most like the query, each with its score from -1 to 1, best first.

        Nothing if there is neither `embed` nor the package sentence-transformers.
        """
        return self._similarity.search(self._entries, self._keys(), query, top_k)

    def _keys(self) -> Iterable[str]:
        return self._entries


class InMemorySharedMemory(_StoreMemory):
    """Keys and values, and rows of contexts, that agents share: threads of this process, its children, other programs.

    A key of several agents holds the last value that was written. A value that is read is a copy. Picklable, if its
    store is; what arrives in another process is the same memory.

    Args:
        thread_safe: For compatibility; it always is.
        async_safe: For compatibility; it always is, and no call waits for long.
        url: A Shoal store or its URL; the memory has namespaces of its own there. None is an arena for this process and
            those that it starts.
        embed: What makes a vector of each text of a list, for `similarity_search`. None is a model of
            sentence-transformers, if that is installed.
    """

    def __init__(
        self,
        thread_safe: bool = True,
        async_safe: bool = False,
        *,
        url: shoal.Store | str | None = None,
        embed: Embed | None = None,
    ) -> None:
        store = url if isinstance(url, shoal.Store) else shoal.open(url)
        self._opened = None if store is url else store
        self._store = store
        self._embed = embed
        own = _NAMESPACE if store.namespace_name == "default" else f"{store.namespace_name}/{_NAMESPACE}"
        super().__init__(store.namespace(own), embed)
        self._rows = Rows(store.namespace(f"{own}/rows"))

    def delete(self, key: str) -> None:
        """Remove a value, or a row by its key, if there is one."""
        super().delete(key)
        self._rows.delete(key)

    def clear(self) -> None:
        """Remove all values and rows of this memory, and nothing else of the store."""
        super().clear()
        self._rows.clear()

    # ------------------------------------------------------------------ rows

    def write_scope(self, value: Any, metadata: Mapping[str, Any] | None = None, context_id: str | None = None) -> str:
        """Append a row to a context; its key.

        Args:
            value: Any value.
            metadata: ``agent_id`` and ``group_id`` say whose it is; ``timestamp`` is now, if it is left out. The rest is kept.
            context_id: The context; None is "default".
        """
        return self._rows.write(value, metadata, context_id)

    def read_scope(
        self, agent_id: str | None = None, group_id: str | None = None, context_id: str | None = None
    ) -> dict[str, Row]:
        return self._rows.find(agent_id, group_id, context_id)

    # ------------------------------------------------------------------ agents

    def agent(
        self, agent_id: str, group_id: str | None = None, *, read: Iterable[str] = (), write: Iterable[str] = ()
    ) -> AgentMemory:
        """The memory as one agent has it.

        It reads and writes the keys that begin with its name and a slash, and those of its group, and rows of its own. Rows of
        others in its group it reads.

        Args:
            agent_id: Its name.
            group_id: The name of its group.
            read: Globs of more keys that it may read.
            write: Globs of more keys that it may write.
        """
        return AgentMemory(self, agent_id, group_id, tuple(read), tuple(write))

    # ------------------------------------------------------------------ the handle

    def close(self) -> None:
        """Let go of the store; one that was opened by its URL is closed."""
        self._entries.close()
        self._rows.close()
        if self._opened is not None:
            self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._store, self._embed)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._entries.url}>"


def _rebuild(store: shoal.Store, embed: Embed | None) -> InMemorySharedMemory:
    return InMemorySharedMemory(url=store, embed=embed)


class AgentMemory(_StoreMemory):
    """The part of a memory that one agent has; `InMemorySharedMemory.agent` makes it.

    What it may not read or write is `shoal.errors.AccessDenied`, and what lists leaves it out. It guards against mistakes, not
    against malice.
    """

    def __init__(
        self,
        memory: InMemorySharedMemory,
        agent_id: str,
        group_id: str | None,
        read: tuple[str, ...],
        write: tuple[str, ...],
    ) -> None:
        own = [f"{_literally(name)}/*" for name in (agent_id, group_id) if name is not None]
        super().__init__(memory._entries.scope(read=[*own, *read], write=[*own, *write]), memory._embed)
        self._readable = (*own, *read)
        self._memory = memory
        self._given = (agent_id, group_id, read, write)
        self.agent_id = agent_id
        self.group_id = group_id

    def read(self, key: str | None = None) -> Any:
        """A value that it may read, or None; without a key a dict of all of these."""
        return self._entries.get(key) if key else self._entries.get_many(self._keys())

    def clear(self) -> None:
        """Remove all values that it may read and write, and its own rows."""
        for key in self._keys():
            try:
                self._entries.delete(key)
            except AccessDenied:
                continue
        for key in self._memory.read_scope(agent_id=self.agent_id):
            self._memory._rows.delete(key)

    def delete(self, key: str) -> None:
        """Remove a value, or a row of its own by its key, if there is one."""
        row = self._memory._rows.get(key)
        if row is not None and row["metadata"]["agent_id"] == self.agent_id:
            self._memory._rows.delete(key)
            return
        try:
            super().delete(key)
        except AccessDenied:
            if row is not None or not is_row_key(key):  # else a row that is gone, maybe its own
                raise

    def write_scope(self, value: Any, metadata: Mapping[str, Any] | None = None, context_id: str | None = None) -> str:
        """Append a row to a context, in the name of this agent and its group; its key."""
        signed = {**(metadata or {}), "agent_id": self.agent_id, "group_id": self.group_id}
        return self._memory.write_scope(value, signed, context_id)

    def read_scope(
        self, agent_id: str | None = None, group_id: str | None = None, context_id: str | None = None
    ) -> dict[str, Row]:
        """Of the rows that it may read, those of an agent or of a group; of nobody in particular, all."""
        rows = self._memory.read_scope(self.agent_id, self.group_id, context_id)
        if agent_id is None and group_id is None:
            return rows
        wanted = {("agent_id", agent_id), ("group_id", group_id)} - {("agent_id", None), ("group_id", None)}
        return {key: row for key, row in rows.items() if wanted & row["metadata"].items()}

    def _keys(self) -> Iterable[str]:
        # Pattern by pattern, so that keys of others are passed by where they begin otherwise.
        return {key for pattern in self._readable for key in self._entries.scan(pattern)}

    def __reduce__(self) -> tuple[Any, ...]:
        return AgentMemory, (self._memory, *self._given)

    def __repr__(self) -> str:
        return f"<AgentMemory of {self.agent_id!r} in {self._entries.url}>"


def _literally(name: str) -> str:
    return re.sub(r"([*?\[\]\\])", r"\\\1", name)
