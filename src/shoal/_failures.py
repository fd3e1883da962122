"""The one place where a status of the C core becomes an exception."""

from __future__ import annotations

import os

from .errors import (
    AccessDenied,
    CapacityExceeded,
    CorruptArena,
    IncompatibleArena,
    InvalidValue,
    KeyNotFound,
    PathConflict,
    StorageError,
    StoreBusy,
    StoreNotFound,
)

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from typing import Any

__all__ = ["DIRECTORY", "FAILURES", "failure"]

DIRECTORY = "/dev/shm"  # noqa: S108 - where segments lie, not a place for files of ours
"""Where segments lie on Linux."""


class _Failure:
    __slots__ = ("kind", "limit", "message")

    def __init__(self, kind: type[Exception], message: str, limit: str | None = None) -> None:
        self.kind = kind
        self.message = message
        self.limit = limit  # which of the facts is the exception's limit


FAILURES: dict[str, _Failure] = {
    "MISS": _Failure(KeyNotFound, "no such key: {key!r}"),
    "EXISTS": _Failure(StorageError, "the key is there already: {key!r}"),
    "CONFLICT": _Failure(StorageError, "the entry has another version: {key!r}"),
    "IS_OBJECT": _Failure(PathConflict, "an object is at {key!r}, where a value would go"),
    "NOT_OBJECT": _Failure(PathConflict, "a value is on the way to {key!r}, or there, where an object is needed"),
    "STALE": _Failure(StorageError, "a namespace of {name!r} is dropped again and again while it is used"),
    "BUSY": _Failure(
        StoreBusy,
        "a live process held a lock of {name!r} for more than {timeout:g} s. Is one stopped (SIGSTOP, a debugger)? "
        "Let it go on, end it, or open the store with a longer timeout=",
        "timeout",
    ),
    "INTERRUPTED": _Failure(StoreBusy, "the wait for a lock of {name!r} was interrupted", "timeout"),
    "FULL_ARENA": _Failure(
        CapacityExceeded,
        "no room for {size:,} bytes in {name!r}, whose capacity is {capacity:,} bytes. Delete entries or fields, let "
        'eviction="sieve" remove keys that nobody reads, or make the store anew with a larger size=',
        "capacity",
    ),
    "FULL_SYSTEM": _Failure(
        CapacityExceeded,
        "no room for {size:,} bytes of {name!r}: {directory} ({system:,} bytes) is full, or the memory limit of "
        "this container is met. Delete entries, or give it more room (in Docker: run with --shm-size)",
        "system",
    ),
    "FULL_KEYS": _Failure(
        CapacityExceeded,
        "namespace {namespace!r} of {name!r} has its max_keys={max_keys:,} entries. Delete some, raise max_keys=, "
        'or use eviction="sieve"',
        "max_keys",
    ),
    "FULL_NAMESPACES": _Failure(CapacityExceeded, "{name!r} has as many namespaces as it can; drop some"),
    "FULL_PROCESSES": _Failure(CapacityExceeded, "as many processes as possible use {name!r}; end some"),
    "FULL_PINS": _Failure(CapacityExceeded, "this process holds as many views of {name!r} as it can; drop some"),
    "NOT_NUMBER": _Failure(InvalidValue, "the value of {key!r} is not a number"),
    "OVERFLOW": _Failure(InvalidValue, "the sum leaves the range of 64-bit ints: {key!r}"),
    "READ_ONLY": _Failure(AccessDenied, "{name!r} is open for reading only"),
    "NOT_FOUND": _Failure(StoreNotFound, "there is no store {name!r}"),
    "DENIED": _Failure(
        AccessDenied,
        "{name!r} belongs to another user, or its mode forbids it{cause}. Asking for a mode= wider than 0o600 "
        "accepts a store that another user shares",
    ),
    "FOREIGN": _Failure(
        IncompatibleArena,
        "the segment of {name!r} is no arena, or one that another version of Shoal laid out{cause}. "
        "Use another name, or remove it with shoal.destroy()",
    ),
    "CORRUPT": _Failure(
        CorruptArena,
        "{name!r} contradicts itself{cause}. `shoal doctor` tells more, `shoal doctor --repair` saves what is whole",
    ),
    "INVALID": _Failure(InvalidValue, "out of range for {name!r}{cause}"),
    "NO_MEMORY": _Failure(MemoryError, "out of memory"),
    "OS": _Failure(StorageError, "a system call for {name!r} failed{cause}"),
}


def failure(status: str, *, key: Any = None, name: str | None = None, **facts: Any) -> Exception:
    """Make the exception for a status.

    Args:
        status: Its name, without the prefix "SHOAL_".
        key: The key it is about.
        name: The store it is about.
        facts: What the message tells: timeout (seconds), size and capacity (bytes), max_keys, namespace, cause, and
            the errno of the system call that failed.
    """
    known = FAILURES.get(status)
    if known is None:
        return StorageError(f"the core answered {status} for {name!r}", key=key, name=name)
    facts = {"timeout": 0.0, "size": 0, "capacity": 0, "max_keys": 0, "namespace": "", "cause": "", **facts}
    if known.limit == "system":
        facts.update(directory=DIRECTORY, system=_size_of(DIRECTORY))
    text = known.message.format(key=key, name=name, **facts)
    if not issubclass(known.kind, (StorageError, KeyNotFound, InvalidValue, AccessDenied, PathConflict)):
        return known.kind(text)
    error = known.kind(text, key=key, name=name, limit=facts[known.limit] if known.limit else None)
    if isinstance(error, OSError) and facts.get("errno"):
        error.errno = facts["errno"]
    return error


def _size_of(directory: str) -> int:
    try:
        system = os.statvfs(directory)
    except OSError:
        return 0
    return system.f_frsize * system.f_blocks
