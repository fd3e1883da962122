"""`Rows`: what agents have written to contexts, found by context, agent or group without looking at the rest.

They lie in a memory, where listing an object costs its fields and no others. A row is the field STAMP of the object
``c=CONTEXT``; empty fields of ``a=AGENT`` and ``g=GROUP``, at ``=CONTEXT.STAMP``, lead to it. What leads to a row is
written before it and removed after it: a row that is there is always found.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from threading import Lock
from time import time_ns
from typing import TYPE_CHECKING, Any

from ...memory.path import escape, split

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...store import Store
    from .base import Row

__all__ = ["DEFAULT_CONTEXT", "Rows", "is_row_key"]

DEFAULT_CONTEXT = "default"

_STAMP = re.compile(r"\d{20}-[0-9a-f]{12}")
_AT_ONCE = 1e-9  # a ttl: the field has expired before anybody can look at it
_last = 0
_lock = Lock()


def is_row_key(key: str) -> bool:
    """Whether a row may have this key."""
    _, separator, stamp = key.rpartition(":")
    return bool(separator and _STAMP.fullmatch(stamp))


def _stamp() -> str:
    """What no other row has, in the order of time: of the clock, and within a process strictly."""
    global _last  # noqa: PLW0603 - the process's clock
    with _lock:
        _last = max(time_ns(), _last + 1)
        return f"{_last:020d}-{secrets.token_hex(6)}"


class Rows:
    """Rows in the memory of a store.

    Args:
        store: A namespace that holds nothing else.
    """

    __slots__ = ("_memory", "_store")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._memory = store.memory()

    def write(self, value: Any, metadata: Mapping[str, Any] | None, context_id: str | None) -> str:
        """Append a row; its key."""
        context = DEFAULT_CONTEXT if context_id is None else context_id
        about = {"agent_id": None, "group_id": None, "timestamp": datetime.now(UTC).isoformat(), **(metadata or {})}
        stamp = _stamp()
        place = _context(context)
        for index in _indexes(about):
            self._memory.set(f"{index}.{_name('', context)}.{stamp}", None)
        self._memory.set(f"{place}.{stamp}", {"value": value, "metadata": about})
        return f"{context}:{stamp}"

    def find(self, agent_id: str | None, group_id: str | None, context_id: str | None) -> dict[str, Row]:
        """The rows that match, sorted by their keys."""
        if agent_id is None and group_id is None:
            found = set() if context_id is None else set(self._stamps(_context(context_id), context_id))
        else:
            indexes = _indexes({"agent_id": agent_id, "group_id": group_id})
            found = {each for index in indexes for each in self._indexed(index, context_id)}
        rows = {}
        for context, stamp in found:
            row = self._memory.get(f"{_context(context)}.{stamp}")
            if row is not None:  # else it was removed meanwhile
                rows[f"{context}:{stamp}"] = row
        return dict(sorted(rows.items()))

    def _indexed(self, index: str, context_id: str | None) -> Iterator[tuple[str, str]]:
        """Contexts and stamps of the rows that an index leads to."""
        contexts = [split(name)[0][1:] for name in self._names(index)] if context_id is None else [context_id]
        for context in contexts:
            yield from self._stamps(f"{index}.{_name('', context)}", context)

    def _stamps(self, place: str, context: str) -> Iterator[tuple[str, str]]:
        for stamp in self._names(place):
            yield context, stamp

    def _names(self, place: str) -> list[str]:
        found = self._memory.get(place)
        return [] if found is None else list(found.get_field_names())

    def get(self, key: str) -> Row | None:
        """One row by its key."""
        if not is_row_key(key):
            return None
        context, _, stamp = key.rpartition(":")
        row: Row | None = self._memory.get(f"{_context(context)}.{stamp}")
        return row

    def delete(self, key: str) -> None:
        """Remove a row, if there is one; with the last row of a context, or of an agent, its name goes."""
        row = self.get(key)
        if row is None:
            return
        context, _, stamp = key.rpartition(":")
        self._expire(f"{_context(context)}.{stamp}")
        for index in _indexes(row["metadata"]):
            self._expire(f"{index}.{_name('', context)}.{stamp}")

    def _expire(self, path: str) -> None:
        """Remove a field so that the objects above it go with the last one that they have: `delete` would leave them."""
        self._memory.touch(path, _AT_ONCE)

    def clear(self) -> None:
        """Remove all rows."""
        self._memory.clear()

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()


def _name(letter: str, name: str) -> str:
    """The name of an object, as a path; it is never empty."""
    if not isinstance(name, str):
        raise TypeError(f"the name of an agent, a group or a context is a str, not {type(name).__name__}")
    return escape(f"{letter}={name}")


def _context(context: str) -> str:
    return _name("c", context)


def _indexes(about: Mapping[str, Any]) -> Iterator[str]:
    """The objects of what leads to a row."""
    for letter, name in (("a", about["agent_id"]), ("g", about["group_id"])):
        if name is not None:
            yield _name(letter, name)
