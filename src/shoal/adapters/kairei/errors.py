"""The six errors of KAIREI's shared memory, with their texts. Each is Shoal's error of that name as well.

SharedMemoryError    (ShoalError)
├── KeyNotFound      Key not found: …
├── InvalidKey       Invalid key: …
├── InvalidValue     Invalid value: …
├── StorageError     Storage error: …
├── AccessDenied     Access denied: …
└── PatternError     Pattern parsing error: …
"""

from __future__ import annotations

from contextlib import contextmanager

from ... import errors as shoal_errors

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, ClassVar

__all__ = [
    "AccessDenied",
    "InvalidKey",
    "InvalidValue",
    "KeyNotFound",
    "PatternError",
    "SharedMemoryError",
    "StorageError",
    "translated",
]


class SharedMemoryError(shoal_errors.ShoalError):
    """Root of the six. `detail` is what stands behind the colon."""

    _prefix: ClassVar[str] = "Shared memory error"
    detail: str

    def __init__(self, detail: str = "", **about: Any) -> None:
        super().__init__(f"{self._prefix}: {detail}", **about)
        self.detail = detail

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.detail, self.__dict__)


def _rebuild(cls: type[SharedMemoryError], detail: str, data: dict[str, Any]) -> SharedMemoryError:
    error = cls(detail)
    error.__dict__.update(data)
    return error


class KeyNotFound(SharedMemoryError, shoal_errors.KeyNotFound):
    """No value under that key, or it has expired."""

    _prefix = "Key not found"


class InvalidKey(SharedMemoryError, shoal_errors.InvalidKey):
    """A key that cannot be stored."""

    _prefix = "Invalid key"


class InvalidValue(SharedMemoryError, shoal_errors.InvalidValue):
    """A value that is not JSON."""

    _prefix = "Invalid value"


class StorageError(SharedMemoryError, shoal_errors.StorageError):
    """The store is full, or it failed."""

    _prefix = "Storage error"


class AccessDenied(SharedMemoryError, shoal_errors.AccessDenied):
    """The store is another user's, or read-only."""

    _prefix = "Access denied"


class PatternError(SharedMemoryError, shoal_errors.PatternError):
    """A malformed pattern."""

    _prefix = "Pattern parsing error"


_TRANSLATIONS: tuple[tuple[type[shoal_errors.ShoalError], type[SharedMemoryError]], ...] = (
    (shoal_errors.InvalidKey, InvalidKey),
    (shoal_errors.InvalidValue, InvalidValue),
    (shoal_errors.AccessDenied, AccessDenied),
    (shoal_errors.ShoalError, StorageError),
)


@contextmanager
def translated(key: str | None = None) -> Iterator[None]:
    """Turn what a store raises in this block into the error of that name here."""
    try:
        yield
    except SharedMemoryError:
        raise
    except shoal_errors.KeyNotFound as error:
        raise KeyNotFound(str(key), key=key) from error
    except shoal_errors.ShoalError as error:
        kind = next(ours for theirs, ours in _TRANSLATIONS if isinstance(error, theirs))
        raise kind(str(error), key=key, limit=error.limit, name=error.name) from error
