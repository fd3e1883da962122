"""`EncodedMemory`: everything of `MemoryObject` that a backend which keeps bytes needs not write itself.

Such a backend implements six hooks over encoded values (`_read`, `_write`, `_make`, `_remove`, `_expire`, `_list`), each of
them atomic. Names have been checked and ttls parsed when a hook is called; names count from the root.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

from ..codec import decode
from ..codec import kind as kind_of
from ..errors import AccessDenied, InvalidValue, KeyNotFound
from ..memory.object import MemoryObject
from ..memory.path import check_names, itself_in_the_way, join, object_in_the_way, split
from ..memory.ref import MemoryRef
from ..options import DEFAULT, KEEP, parse_ttl
from ..records import Metadata, utc
from ..views import PrivateDraft, view_of
from .base import When, check_number, check_version, sum_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Self

    from ..memory.path import Names
    from ..options import Keep, Seconds, Ttl
    from ..store import Store

__all__ = ["EncodedMemory", "Field", "Put"]

_KIND_BYTES = 16  # how much of an encoded value names its type


class Field(NamedTuple):
    """One field at one moment."""

    data: bytes | None
    """None: an object."""
    version: int
    created_us: int
    modified_us: int
    left: float | None
    """Seconds until it expires by itself; None: never."""
    expires_us: int | None
    """The same as wall time."""


class Put(NamedTuple):
    """A write that took place."""

    version: int
    expires_us: int | None
    """Wall time; None: never."""


class EncodedMemory(MemoryObject):
    """A `MemoryObject` over a backend that keeps bytes.

    Args:
        store: What it was made from.
        names: The names that lead here from the root.
        kind: "short_term" or "sensory".
    """

    __slots__ = ("_at", "_kind", "_store")

    def __init__(self, store: Store, names: Names, kind: str) -> None:
        self._store = store
        self._at = names
        self._kind = kind

    # ------------------------------------------------------------------ hooks

    @abstractmethod
    def _read(self, names: Names, *, count: bool) -> Field | None:
        """What is there. `count`: it is a hit or a miss in the statistics."""

    @abstractmethod
    def _write(
        self,
        names: Names,
        data: bytes,
        ttl: Seconds,
        *,
        overwrite: bool = False,
        when: When = When.ALWAYS,
        version: int = 0,
    ) -> Put | None:
        """Write a value, and what is missing above it. None: the condition did not hold. Raises `PathConflict`.

        Over an object `PathConflict` comes before the condition.
        """

    @abstractmethod
    def _make(self, names: Names, ttl: Seconds, *, overwrite: bool) -> None:
        """Make an object, and what is missing above it. Raises `PathConflict`."""

    @abstractmethod
    def _remove(self, names: Names) -> bool:
        """Remove what is there, of the root all that is in it; whether there was something."""

    @abstractmethod
    def _expire(self, names: Names, ttl: Seconds) -> bool:
        """Give what is there a new time to live; whether there is something, and it is not the root."""

    @abstractmethod
    def _list(self, names: Names) -> list[tuple[str, bool]]:
        """The names of the fields of an object there, each with whether it is an object itself."""

    # ------------------------------------------------------------------ the place

    @property
    def store(self) -> Store:
        return self._store

    @property
    def kind(self) -> str:
        return self._kind

    @property
    def _names(self) -> Names:
        return self._at

    def _child(self, *names: str) -> Self:
        return self._handle(check_names((*self._at, *names)))

    def _handle(self, names: Names) -> Self:
        return type(self)(self._store, names, self._kind)

    # ------------------------------------------------------------------ reading

    def get(self, path: str | MemoryRef, default: Any = None) -> Any:
        if not isinstance(path, str):
            return self._get_ref(path, default)
        names = split(path, self._at)
        if names == self._at:
            return self
        field = self._read(names, count=True)
        return default if field is None else self._content(names, field)

    def get_versioned(self, path: str) -> tuple[Any, int]:
        names, field = self._stat(path, count=True)
        return self._content(names, field), field.version

    def is_exist(self, path: str = "") -> bool:
        names = split(path, self._at)
        return self._read(names, count=False) is not None or not names

    def ttl(self, path: str = "") -> float | None:
        return self._stat(path)[1].left

    def metadata(self, path: str = "") -> Metadata:
        return _metadata(self._stat(path)[1])

    def view(self, path: str) -> Any:
        names, field = self._stat(path, count=True)
        if field.data is None:
            raise InvalidValue(f"{join(names)!r} is an object: there is no view of it", key=join(names))
        return view_of(join(names), field.data, allow_pickle=self._store.allow_pickle)

    def _fields(self, path: str = "") -> list[tuple[str, bool]]:
        return self._list(split(path, self._at))

    def _get_encoded(self, path: str) -> tuple[bytes, Metadata] | None:
        field = self._read(split(path, self._at), count=False)
        return None if field is None or field.data is None else (field.data, _metadata(field))

    def _stat(self, path: str, *, count: bool = False) -> tuple[Names, Field]:
        names = split(path, self._at)
        field = self._read(names, count=count)
        if field is None:
            key = join(names)
            raise KeyNotFound(f"there is nothing at {key!r}" if names else "the root of a memory is no entry", key=key)
        return names, field

    def _content(self, names: Names, field: Field) -> Any:
        return self._handle(names) if field.data is None else self._decode(field.data)

    # ------------------------------------------------------------------ writing

    def set(self, path: str, value: Any, *, overwrite: bool = False, ttl: Ttl = DEFAULT) -> MemoryRef:
        names = self._field(path)
        put = self._write(names, self._encode(value), parse_ttl(ttl), overwrite=overwrite)
        assert put is not None  # there was no condition
        expires = None if put.expires_us is None else put.expires_us / 1e6
        return MemoryRef(join(names), self.namespace_name, put.version, expires, self._kind)

    def new_object(self, path: str, overwrite: bool = False, *, ttl: Ttl = DEFAULT) -> MemoryObject:
        names = split(path, self._at)
        self._make(names, parse_ttl(ttl), overwrite=overwrite)
        return self if names == self._at else self._handle(names)

    def delete(self, path: str = "") -> bool:
        return self._remove(split(path, self._at))

    def compare_and_set(self, path: str, value: Any, version: int, *, ttl: Ttl | Keep = DEFAULT) -> bool:
        names = self._field(path)
        check_version(version, join(names))
        return self._write(names, self._encode(value), parse_ttl(ttl), when=When.VERSION, version=version) is not None

    def incr(self, path: str, by: int | float = 1, *, initial: int | float = 0, ttl: Ttl = DEFAULT) -> int | float:
        names = self._field(path)
        key = join(names)
        by = check_number(by, "by", key)
        initial = check_number(initial, "initial", key)
        seconds = KEEP if ttl is DEFAULT else parse_ttl(ttl)
        while True:
            field = self._read(names, count=False)
            if field is not None and field.data is None:
                raise object_in_the_way(names)
            new = sum_of(initial if field is None or field.data is None else self._decode(field.data), by, key)
            version = 0 if field is None else field.version
            if self._write(names, self._encode(new), seconds, when=When.VERSION, version=version):
                return new

    def touch(self, path: str, ttl: Ttl) -> bool:
        return self._expire(split(path, self._at), parse_ttl(ttl))

    def create_array(
        self, path: str, shape: int | tuple[int, ...], dtype: Any, *, ttl: Ttl = DEFAULT
    ) -> AbstractContextManager[Any]:
        names, seconds = self._field(path), parse_ttl(ttl)
        there = self._read(names, count=False)  # what can be known is told before the work
        if there is not None and there.data is None:
            raise object_in_the_way(names)
        if self.read_only:
            raise AccessDenied(f"the store {self._store.url} was opened read-only", name=self._store.name)
        return PrivateDraft(shape, dtype, lambda array: self._set_encoded(path, self._encode(array), seconds))

    def _set_encoded(self, path: str, data: bytes, ttl: Seconds, *, overwrite: bool = False) -> int:
        put = self._write(self._field(path), data, ttl, overwrite=overwrite)
        assert put is not None  # there was no condition
        return put.version

    def _field(self, path: str) -> Names:
        """The names of a path that may have a value."""
        names = split(path, self._at)
        if names == self._at:
            raise itself_in_the_way(names)
        return names

    # ------------------------------------------------------------------ values

    def _encode(self, value: Any) -> bytes:
        return self._store._encode(value)

    def _decode(self, data: bytes) -> Any:
        return decode(data, allow_pickle=self._store.allow_pickle)


def _metadata(field: Field) -> Metadata:
    return Metadata(
        size=len(field.data or b""),
        created_at=utc(field.created_us),
        modified_at=utc(field.modified_us),
        expires_at=None if field.expires_us is None else utc(field.expires_us),
        version=field.version,
        type="object" if field.data is None else kind_of(field.data[:_KIND_BYTES]),
    )
