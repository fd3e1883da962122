"""What the processes of `test_memswarm` do. In a module of its own, so that spawned ones find it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.adapters.memswarm import InMemorySharedMemory, SharedMemoryBase

if TYPE_CHECKING:
    from collections.abc import Callable

EACH = 50


class DictMemory(SharedMemoryBase):
    """A memory of somebody else: the four methods, and values in a dict."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.calls: list[str] = []

    def read(self, key: str | None = None) -> Any:
        self.calls.append("read")
        return self.values.get(key) if key else dict(self.values)

    def write(self, key: str, value: Any) -> None:
        self.calls.append("write")
        self.values[key] = value

    def delete(self, key: str) -> None:
        self.values.pop(key, None)

    def clear(self) -> None:
        self.values.clear()


class Meddling(DictMemory):
    """A backend to which something happens right after a read."""

    def __init__(self) -> None:
        super().__init__()
        self.meddle: Callable[[], None] | None = None

    def get(self, key: str, default: Any = None) -> Any:
        found = self.values.get(key, default)
        meddle, self.meddle = self.meddle, None
        if meddle:
            meddle()
        return found


def embed(texts: list[str]) -> list[list[float]]:
    """How often a text has each of some words."""
    words = ("ai", "learning", "soup")
    return [[float(text.lower().count(word)) for word in words] for text in texts]


def write_rows(memory: InMemorySharedMemory, me: int) -> None:
    """Rows of one context and keys of one's own."""
    for n in range(EACH):
        memory.write_scope([me, n], {"agent_id": f"agent{me}", "group_id": "all"}, "shared")
        memory.write(f"{me}/{n}", n)
