"""`Rows`: what agents have written to contexts, found by context, agent or group without looking at the rest.

A row is one entry, at ``c/CONTEXT/STAMP``; two empty entries lead to it, ``a/AGENT/CONTEXT/STAMP`` and
``g/GROUP/CONTEXT/STAMP``. The names in these are quoted, so that none is the beginning of another's key. What leads to a row
is written before it and removed after it: a row that is there is always found.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from threading import Lock
from time import time_ns
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...store import Store
    from .base import Row

__all__ = ["DEFAULT_CONTEXT", "Rows"]

DEFAULT_CONTEXT = "default"

_last = 0
_lock = Lock()


def _stamp() -> str:
    """What no other row has, in the order of time: of the clock, and within a process strictly."""
    global _last  # noqa: PLW0603 - the process's clock
    with _lock:
        _last = max(time_ns(), _last + 1)
        return f"{_last:020d}-{secrets.token_hex(6)}"


class Rows:
    """Rows in a store of their own.

    Args:
        store: A namespace that holds nothing else.
    """

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        self._store = store

    def write(self, value: Any, metadata: Mapping[str, Any] | None, context_id: str | None) -> str:
        """Append a row; its key."""
        context = DEFAULT_CONTEXT if context_id is None else context_id
        about = {"agent_id": None, "group_id": None, "timestamp": datetime.now(UTC).isoformat(), **(metadata or {})}
        place = f"{_quote(context)}/{_stamp()}"
        for index in _indexes(about):
            self._store.set(f"{index}{place}", None)
        self._store.set(f"c/{place}", {"value": value, "metadata": about})
        return _key(place, context)

    def find(self, agent_id: str | None, group_id: str | None, context_id: str | None) -> dict[str, Row]:
        """The rows that match, sorted by their keys."""
        context = "" if context_id is None else f"{_quote(context_id)}/"
        if agent_id is None and group_id is None:
            starts = [f"c/{context}"] if context else []
        else:
            starts = list(_indexes({"agent_id": agent_id, "group_id": group_id}))
            starts = [f"{start}{context}" for start in starts]
        places = {place for start in starts for place in self._places(start)}
        found = self._store.get_many(f"c/{place}" for place in places)
        rows = {_key(key[2:]): row for key, row in found.items()}
        return dict(sorted(rows.items()))

    def _places(self, start: str) -> Iterator[str]:
        for key in self._store.scan(f"{start}*"):  # what is quoted has no characters of globs
            yield "/".join(key.split("/")[-2:])

    def delete(self, key: str) -> None:
        """Remove a row, if there is one."""
        context, separator, stamp = key.rpartition(":")
        if not separator:
            return
        place = f"{_quote(context)}/{stamp}"
        row = self._store.pop(f"c/{place}", None)
        if row is not None:
            self._store.delete_many(f"{index}{place}" for index in _indexes(row["metadata"]))

    def clear(self) -> None:
        """Remove all rows."""
        self._store.clear()

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()


def _quote(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"the name of an agent, a group or a context is a str, not {type(name).__name__}")
    return quote(name, safe="")


def _indexes(about: Mapping[str, Any]) -> Iterator[str]:
    """What the keys that lead to a row begin with."""
    for letter, name in (("a", about["agent_id"]), ("g", about["group_id"])):
        if name is not None:
            yield f"{letter}/{_quote(name)}/"


def _key(place: str, context: str | None = None) -> str:
    from urllib.parse import unquote

    quoted, _, stamp = place.partition("/")
    return f"{unquote(quoted) if context is None else context}:{stamp}"
