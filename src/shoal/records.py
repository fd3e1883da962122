"""What a store tells about its entries and itself. Frozen; built afresh by each call."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

__all__ = ["ArenaInfo", "Metadata", "NamespaceStats", "Repaired", "Stats", "utc"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc(microseconds: int) -> datetime:
    """The moment this many microseconds after 1970 began."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return _EPOCH + timedelta(0, seconds, rest)  # which takes it apart itself more slowly


@dataclass(frozen=True, slots=True)
class Metadata:
    """An entry without its value. Times are aware, in UTC."""

    size: int
    """Bytes of the encoded value."""
    created_at: datetime
    modified_at: datetime
    expires_at: datetime | None
    """None: never."""
    version: int
    """Grows with each write of the entry."""
    type: str
    """What kind of value it is: "int", "str", "list", "array"..."""


@dataclass(frozen=True, slots=True)
class NamespaceStats:
    """What one namespace holds, and its settings."""

    entries: int
    """Without expired ones."""
    bytes: int
    """Of keys and encoded values."""
    max_keys: int
    """0: no limit."""
    ttl: float | None
    """Seconds that an entry lives if nothing else is said; None: it never expires."""
    eviction: str
    fields: int = 0
    """Of its memory, objects included."""
    field_bytes: int = 0
    """Of their names and encoded values."""


@dataclass(frozen=True, slots=True)
class Stats:
    """What a whole store holds, and what all its processes have done with it."""

    capacity: int
    """The cap in bytes; 0: none."""
    used: int
    """Bytes in use."""
    entries: int
    """In all namespaces."""
    hits: int
    misses: int
    """Reads; what a read-only handle read is in its own figures alone."""
    sets: int
    deletes: int
    expired: int
    evicted: int
    retries: int
    """Reads that had to be repeated because somebody wrote meanwhile."""
    lock_waits: int
    recoveries: int
    """Repairs after the death of a process that was writing."""
    processes: int
    """Attached now; those that only read do not count."""
    fields: int = 0
    """In the memory of all namespaces and of all runs, objects included."""
    pinned: int = 0
    """Bytes that views and reads under way keep where they are, of all processes."""
    namespaces: dict[str, NamespaceStats] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ArenaInfo:
    """An arena of this machine, as it looks from outside."""

    name: str
    capacity: int
    """The cap in bytes."""
    committed: int
    """Bytes of memory that it occupies now."""
    uid: int
    """The user it belongs to."""
    mode: int
    """Its permission bits."""
    persist: bool
    """Stays when its last user is gone."""
    ready: bool
    """False: half-made, damaged, or laid out by another version of Shoal."""
    alive: bool
    """Some process uses it."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """What became of a damaged arena."""

    namespaces: int
    kept: int
    """Entries, fields of memories included."""
    dropped: int
    """Entries that were found and are not whole."""
    lines: list[str]
    """One for each thing that is lost, also for what cannot even be found."""
