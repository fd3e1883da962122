"""`EncodedStore`: everything of `Store` that a backend which keeps bytes needs not write itself.

Such a backend implements five hooks over encoded values (`_read`, `_write`, `_remove`, `_expire`, `_keys`), each of
them atomic, and what `Store` asks about namespaces and the handle. Keys and ttls have been checked when a hook is
called. A backend that can do better than the generic way (one round trip for `incr`, say) overrides it.
"""

from __future__ import annotations

from abc import abstractmethod
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from ..codec import decode, encode, kind
from ..errors import AccessDenied, InvalidValue, KeyNotFound
from ..keys import check_key
from ..options import DEFAULT, KEEP, MISSING, parse_ttl
from ..records import Metadata, utc
from ..store import Store
from ..views import PrivateDraft, view_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ..options import Keep, Seconds, Ttl

__all__ = ["EncodedStore", "Entry", "When", "Written", "check_number", "check_version", "sum_of"]

_KIND_BYTES = 16  # how much of an encoded value names its type
_INT64 = 1 << 63


class When(Enum):
    """The condition of a write."""

    ALWAYS = "always"
    ABSENT = "absent"
    PRESENT = "present"
    VERSION = "version"


class Entry(NamedTuple):
    """One entry at one moment."""

    data: bytes
    version: int
    created_us: int
    modified_us: int
    left: float | None
    """Seconds until it expires; None: never."""
    expires_us: int | None
    """The same as wall time."""


class Written(NamedTuple):
    """A write that took place."""

    version: int
    old: bytes | None


class EncodedStore(Store):
    """A `Store` over a backend that keeps bytes."""

    __slots__ = ()

    # ------------------------------------------------------------------ hooks

    @abstractmethod
    def _read(self, key: str, *, count: bool) -> Entry | None:
        """The entry. `count`: it is a hit or a miss in the statistics, and a use in the eyes of eviction."""

    @abstractmethod
    def _write(self, key: str, data: bytes, ttl: Seconds, when: When = When.ALWAYS, version: int = 0) -> Written | None:
        """Write if the condition holds. Version 0 means that the entry must be absent. None: it did not hold."""

    @abstractmethod
    def _remove(self, key: str) -> bytes | None:
        """Remove the entry; its data if there was one."""

    @abstractmethod
    def _expire(self, key: str, ttl: Seconds) -> bool:
        """Give the entry a new time to live; whether there is one."""

    # ------------------------------------------------------------------ reading

    def __getitem__(self, key: str) -> Any:
        entry = self._read(check_key(key), count=True)
        if entry is None:
            raise _not_found(key)
        return self._decode(entry.data)

    def get(self, key: str, default: Any = None) -> Any:
        entry = self._read(check_key(key), count=True)
        return default if entry is None else self._decode(entry.data)

    def get_versioned(self, key: str) -> tuple[Any, int]:
        entry = self._read(check_key(key), count=True)
        if entry is None:
            raise _not_found(key)
        return self._decode(entry.data), entry.version

    def exists(self, key: str) -> bool:
        return self._read(check_key(key), count=False) is not None

    def ttl(self, key: str) -> float | None:
        return self._stat(key).left

    def metadata(self, key: str) -> Metadata:
        return _metadata(self._stat(key))

    def view(self, key: str) -> Any:
        entry = self._read(check_key(key), count=True)
        if entry is None:
            raise _not_found(key)
        return view_of(key, entry.data, allow_pickle=self.allow_pickle)

    def _get_encoded(self, key: str) -> tuple[bytes, Metadata] | None:
        entry = self._read(check_key(key), count=False)
        return None if entry is None else (entry.data, _metadata(entry))

    def _stat(self, key: str) -> Entry:
        entry = self._read(check_key(key), count=False)
        if entry is None:
            raise _not_found(key)
        return entry

    # ------------------------------------------------------------------ writing

    def set(self, key: str, value: Any, *, ttl: Ttl = DEFAULT) -> int:
        return self._set_encoded(check_key(key), self._encode(value), parse_ttl(ttl))

    def _set_encoded(self, key: str, data: bytes, ttl: Seconds) -> int:
        written = self._write(check_key(key), data, ttl)
        assert written is not None  # there was no condition
        return written.version

    def add(self, key: str, value: Any, *, ttl: Ttl = DEFAULT) -> bool:
        return self._write(check_key(key), self._encode(value), parse_ttl(ttl), When.ABSENT) is not None

    def replace(self, key: str, value: Any, *, ttl: Ttl = DEFAULT) -> bool:
        return self._write(check_key(key), self._encode(value), parse_ttl(ttl), When.PRESENT) is not None

    def swap(self, key: str, value: Any, *, ttl: Ttl = DEFAULT) -> Any:
        written = self._write(check_key(key), self._encode(value), parse_ttl(ttl))
        return None if written is None or written.old is None else self._decode(written.old)

    def compare_and_set(self, key: str, value: Any, version: int, *, ttl: Ttl | Keep = DEFAULT) -> bool:
        check_version(version, key)
        seconds = parse_ttl(ttl)
        return self._write(check_key(key), self._encode(value), seconds, When.VERSION, version) is not None

    def delete(self, key: str) -> bool:
        return self._remove(check_key(key)) is not None

    def pop(self, key: str, default: Any = MISSING) -> Any:
        data = self._remove(check_key(key))
        if data is not None:
            return self._decode(data)
        if default is MISSING:
            raise _not_found(key)
        return default

    def touch(self, key: str, ttl: Ttl) -> bool:
        return self._expire(check_key(key), parse_ttl(ttl))

    def incr(self, key: str, by: int | float = 1, *, initial: int | float = 0, ttl: Ttl = DEFAULT) -> int | float:
        check_key(key)
        by = check_number(by, "by", key)
        initial = check_number(initial, "initial", key)
        seconds = KEEP if ttl is DEFAULT else parse_ttl(ttl)
        while True:
            entry = self._read(key, count=False)
            new = sum_of(initial if entry is None else self._decode(entry.data), by, key)
            if self._write(key, self._encode(new), seconds, When.VERSION, entry.version if entry else 0):
                return new

    def create_array(
        self, key: str, shape: int | tuple[int, ...], dtype: Any, *, ttl: Ttl = DEFAULT
    ) -> AbstractContextManager[Any]:
        seconds = parse_ttl(ttl)
        self.exists(key)  # a bad key, and a closed store, are errors of this call
        if self.read_only:
            raise AccessDenied(f"the store {self.url} was opened read-only", name=self.name)
        return PrivateDraft(shape, dtype, lambda array: self._set_encoded(key, self._encode(array), seconds))

    # ------------------------------------------------------------------ values

    def _encode(self, value: Any) -> bytes:
        return encode(value, allow_pickle=self.allow_pickle)

    def _decode(self, data: bytes) -> Any:
        return decode(data, allow_pickle=self.allow_pickle)


def _not_found(key: str) -> KeyNotFound:
    return KeyNotFound(f"no such key: {key!r}", key=key)


def _metadata(entry: Entry) -> Metadata:
    return Metadata(
        size=len(entry.data),
        created_at=utc(entry.created_us),
        modified_at=utc(entry.modified_us),
        expires_at=None if entry.expires_us is None else utc(entry.expires_us),
        version=entry.version,
        type=kind(entry.data[:_KIND_BYTES]),
    )


def check_version(version: Any, key: str) -> None:
    """Raise `InvalidValue` if it cannot be one."""
    if type(version) is not int or version < 0:
        raise InvalidValue(f"a version is an int of 0 or more, not {version!r}", key=key)


def sum_of(old: Any, by: int | float, key: str) -> int | float:
    """What `incr` makes of the value that is there. Raises `InvalidValue`."""
    if type(old) is not int and type(old) is not float:
        raise InvalidValue(f"the value of {key!r} is no number but {type(old).__name__}", key=key)
    new = old + by
    if isinstance(new, int) and not -_INT64 <= new < _INT64:
        raise InvalidValue(f"{key!r} would leave the range of 64-bit integers", key=key)
    return new


def check_number(number: Any, what: str, key: str) -> int | float:
    """The number that an argument of `incr` is. Raises `InvalidValue`."""
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise InvalidValue(f"{what} must be an int or a float, not {type(number).__name__}", key=key)
    if isinstance(number, float):
        return float(number)
    if not -_INT64 <= number < _INT64:
        raise InvalidValue(f"{what} leaves the range of 64-bit integers: {number}", key=key)
    return int(number)
