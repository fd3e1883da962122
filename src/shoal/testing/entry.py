"""What one entry may do: the sequential specification that concurrent histories are held against.

Expiry makes an outcome depend on time. An operation takes effect at one instant between its begin and its end, and instants do
not go back; an entry is there before its deadline and not from then on. A deadline is known to an interval only (the writer
read the clock somewhere within its call), and each answer narrows it.

So is a version: most writes do not tell theirs, only that it is greater than all that the key had before.
"""

from __future__ import annotations

from typing import NamedTuple

from .history import KEEP, NEVER, Name, Operation, Result

__all__ = ["INITIAL", "NUMBERS", "SLACK", "Entry", "step"]

SLACK = 2_000
"""Nanoseconds by which times may be off that were floating-point seconds in between."""
NUMBERS = 4
"""Values that are multiples of this are stored as numbers, which alone `incr` accepts."""


class Entry(NamedTuple):
    """What is known of an entry: where `value` is None there is none.

    `version` is the last one that is known; unless `exact`, the entry has a greater one. The deadline lies within
    `earliest` and `latest`. `now`: the operation that led here took effect then at the earliest.
    """

    value: int | None
    version: int
    exact: bool
    earliest: int
    latest: int
    now: int


INITIAL = Entry(None, 0, exact=True, earliest=NEVER, latest=NEVER, now=0)


def step(entry: Entry, operation: Operation) -> list[Entry]:
    """Everything that the entry may have become if this operation took effect next; nothing: it cannot have.

    An operation without an answer may have had any.
    """
    now = max(entry.now, operation.begin)
    found: list[Entry] = []
    if now > operation.end:
        return found
    if entry.value is None:
        return _apply(entry._replace(now=now), operation)
    if now < entry.latest:
        found = _apply(entry._replace(now=now, earliest=max(now, entry.earliest)), operation)
    if entry.earliest <= operation.end:
        gone = entry._replace(value=None, earliest=NEVER, latest=NEVER, now=max(now, entry.earliest))
        found += _apply(gone, operation)
    return found


def _apply(entry: Entry, operation: Operation) -> list[Entry]:
    """`step`, when it is settled whether the entry has expired."""
    name = operation.call.name
    if name <= Name.TTL:
        return _read(entry, operation)
    if name in {Name.DELETE, Name.POP, Name.TOUCH}:
        return _change(entry, operation)
    return _write(entry, operation)


def _read(entry: Entry, operation: Operation) -> list[Entry]:
    name, (result, got, version) = operation.call.name, operation.outcome
    if entry.value is None:
        return [entry] if result == (Result.FALSE if name == Name.EXISTS else Result.ABSENT) else []
    if name == Name.EXISTS:
        return [entry] if result == Result.TRUE else []
    if result != Result.DONE:
        return []
    if name == Name.TTL:
        if got == NEVER:
            return [entry] if entry.latest == NEVER else []
        earliest = max(entry.earliest, operation.begin + got - SLACK)
        latest = min(entry.latest, operation.end + got + SLACK)
        return [entry._replace(earliest=earliest, latest=latest)] if earliest <= latest else []
    if got != entry.value:
        return []
    return _with_version(entry, version) if name == Name.GET_VERSIONED else [entry]


def _with_version(entry: Entry, version: int) -> list[Entry]:
    """The entry, if it can have this version."""
    if entry.exact:
        return [entry] if version == entry.version else []
    return [entry._replace(version=version, exact=True)] if version > entry.version else []


def _change(entry: Entry, operation: Operation) -> list[Entry]:
    """What writes no value: delete, pop, touch."""
    name, (result, got, _) = operation.call.name, operation.outcome
    if entry.value is None:
        missing = Result.ABSENT if name == Name.POP else Result.FALSE
        return [entry] if result in {missing, Result.UNKNOWN} else []
    done = Result.DONE if name == Name.POP else Result.TRUE
    if result not in {done, Result.UNKNOWN} or (name == Name.POP and result == done and got != entry.value):
        return []
    if name == Name.TOUCH:
        earliest, latest = _deadline(entry, operation)
        return [entry._replace(earliest=earliest, latest=latest)]
    return [entry._replace(value=None, earliest=NEVER, latest=NEVER)]


def _write(entry: Entry, operation: Operation) -> list[Entry]:
    call, (result, got, version) = operation.call, operation.outcome
    unknown = result == Result.UNKNOWN
    if call.name == Name.SET:
        return _written(entry, operation, call.value, version) if unknown or result == Result.DONE else []
    if call.name == Name.SWAP:
        same = (
            (result, got) == (Result.ABSENT, 0) if entry.value is None else (result, got) == (Result.DONE, entry.value)
        )
        return _written(entry, operation, call.value) if unknown or same else []
    if call.name == Name.INCR:
        if entry.value is not None and entry.value % NUMBERS:
            return [entry] if unknown or result == Result.REFUSED else []
        total = (entry.value or 0) + call.value
        return _written(entry, operation, total) if unknown or (result, got) == (Result.DONE, total) else []
    found: list[Entry] = []
    if call.name == Name.COMPARE_AND_SET:
        if call.version == 0:
            matching, other = ([entry], []) if entry.value is None else ([], [entry])
        else:
            matching = _with_version(entry, call.version) if entry.value is not None else []
            other = [entry] if entry.value is None or not entry.exact or entry.version != call.version else []
    else:
        fits = (entry.value is None) == (call.name == Name.ADD)
        matching, other = ([entry], []) if fits else ([], [entry])
    if unknown or result == Result.TRUE:
        for before in matching:
            found += _written(before, operation, call.value)
    if unknown or result == Result.FALSE:
        found += other
    return found


def _written(entry: Entry, operation: Operation, value: int, version: int = 0) -> list[Entry]:
    """The entry with a new value; a version of 0 is not known."""
    if version and version <= entry.version:
        return []
    earliest, latest = _deadline(entry, operation)
    return [Entry(value, version or entry.version, bool(version), earliest, latest, entry.now)]


def _deadline(entry: Entry, operation: Operation) -> tuple[int, int]:
    ttl = operation.call.ttl
    if ttl == KEEP and entry.value is not None:
        return entry.earliest, entry.latest
    if ttl in {KEEP, NEVER}:
        return NEVER, NEVER
    return operation.begin + ttl - SLACK, operation.end + ttl + SLACK
