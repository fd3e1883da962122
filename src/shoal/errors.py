"""The exceptions of Shoal.

    ShoalError
    ├── KeyNotFound      (KeyError)         no such key, or it has expired
    ├── InvalidKey       (ValueError)       a key that cannot be stored
    │   ├── KeyTypeError (TypeError)        a key that is not a str
    │   └── PathConflict                    a value where the path needs an object, or the other way round
    ├── InvalidValue     (TypeError)        a value that cannot be stored or read
    ├── PatternError     (ValueError)       a malformed glob
    ├── AccessDenied     (PermissionError)  another user's store, a read-only one, or what a scope does not allow
    └── StorageError     (OSError)          the store itself
        ├── CapacityExceeded                full: the arena, the file system, max_keys, a table
        ├── CorruptArena                    the arena contradicts itself
        ├── IncompatibleArena               no arena, or one of another layout
        ├── StoreBusy                       a live process held a lock past the timeout
        ├── StoreClosed                     used after close()
        └── StoreNotFound                   no store of that name

Each error carries what it is about as attributes (``key``, ``path``, ``limit``, ``pattern``, ``name``;
None where it does not apply) and survives pickling with them.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "AccessDenied",
    "CapacityExceeded",
    "CorruptArena",
    "IncompatibleArena",
    "InvalidKey",
    "InvalidValue",
    "KeyNotFound",
    "KeyTypeError",
    "PathConflict",
    "PatternError",
    "ShoalError",
    "StorageError",
    "StoreBusy",
    "StoreClosed",
    "StoreNotFound",
]


def _rebuild(cls: type[ShoalError], args: tuple[Any, ...], data: dict[str, Any]) -> ShoalError:
    error = cls(*args)
    error.__dict__.update(data)
    return error


class ShoalError(Exception):
    """Root of all errors that Shoal raises.

    Args:
        message: What happened and what to do about it.
        key: The key it is about.
        path: Where inside a value (``"$.a[3]"``), or the file.
        limit: The limit that was met: bytes, keys or seconds, as the message says.
        pattern: The glob it is about.
        name: The store or namespace it is about.
    """

    key: Any = None
    path: str | None = None
    limit: int | float | None = None
    pattern: str | None = None
    name: str | None = None

    def __init__(
        self,
        message: str = "",
        *,
        key: Any = None,
        path: str | None = None,
        limit: int | float | None = None,
        pattern: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(message)
        about = {"key": key, "path": path, "limit": limit, "pattern": pattern, "name": name}
        self.__dict__.update({field: value for field, value in about.items() if value is not None})

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


class KeyNotFound(ShoalError, KeyError):
    """No entry of that key, or it has expired."""


class InvalidKey(ShoalError, ValueError):
    """A key that is empty, longer than 65,535 bytes of UTF-8, or has lone surrogates."""


class KeyTypeError(InvalidKey, TypeError):
    """A key that is not a ``str``."""


class PathConflict(InvalidKey):
    """A value where the path needs an object, or an object where a value would go; ``key`` is the path of that."""


class InvalidValue(ShoalError, TypeError):
    """A value that cannot be encoded, decoded, or used for this operation."""


class PatternError(ShoalError, ValueError):
    """A malformed glob pattern."""


class AccessDenied(ShoalError, PermissionError):
    """The store belongs to another user, is read-only, or is a scope that does not allow this."""


class StorageError(ShoalError, OSError):
    """The store itself failed."""


class CapacityExceeded(StorageError):
    """Full. Nothing was changed; ``limit`` is the limit that was met."""


class CorruptArena(StorageError):
    """The arena contradicts itself."""


class IncompatibleArena(StorageError):
    """The segment is no arena, or one of another layout."""


class StoreBusy(StorageError):
    """A live process held a lock for longer than the timeout (``limit``, seconds)."""


class StoreClosed(StorageError):
    """The handle was used after ``close()``."""


class StoreNotFound(StorageError):
    """There is no store of that name."""
