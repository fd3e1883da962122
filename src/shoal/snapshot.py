"""Snapshot files: the entries and the memory of one namespace or of a whole store, as they were.

The format is specified in docs/snapshot-format.md. A file is a header, records, and an end record that counts them and
sums up the whole file. Every number is little-endian.
"""

from __future__ import annotations

import os
import stat
import struct
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from struct import Struct
from time import time
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, NoReturn
from zlib import crc32

from .codec import has_pickle
from .errors import (
    AccessDenied,
    InvalidValue,
    KeyNotFound,
    PathConflict,
    ShoalError,
    StorageError,
    StoreClosed,
)
from .keys import check_key
from .memory.path import escape, split
from .options import MAX_TTL, check_name, parse_max_keys, parse_ttl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from typing import TypeAlias

    from .memory.object import MemoryObject
    from .memory.path import Names
    from .records import Metadata, NamespaceStats
    from .store import Store

    # "entry", "value" (of the memory) or "object"; its key or path; whether it expires.
    Admit: TypeAlias = Callable[[str, str, bool], None]

__all__ = ["dump", "load"]

_MAGIC = b"\x93SHOAL\r\n"  # not ASCII, and damaged by whoever translates line ends
_VERSION = 2
_OLDEST = 1  # had no memory; otherwise the same
_ALL = 1  # flag: the file has all namespaces of its store

_HEADER = Struct("<8sHH")  # magic, version, flags
_RECORD = Struct("<cQI")  # kind, bytes of the body, CRC-32 of kind, length and body
_SUMMED = Struct("<cQ")  # the part of _RECORD that its checksum covers
_NAMESPACE = Struct("<dQB")  # ttl in seconds (0 = never), max_keys, eviction; then the name
_ENTRY = Struct("<qqqQH")  # created, modified, expires (0 = never) in microseconds, version, bytes of key; key; value
_FIELD = Struct("<qqqQI")  # the same of a field of the memory, with its path; an object has no value
_END = Struct("<QI")  # number of records but those of namespaces, CRC-32 of all the bytes before this record

_EVICTION = ("error", "sieve")


# ---------------------------------------------------------------------- writing


def dump(
    store: Store,
    path: str | os.PathLike[str],
    *,
    all_namespaces: bool = False,
    settings: dict[str, NamespaceStats] | None = None,
) -> int:
    """Write a snapshot; the result is the number of entries. See `Store.dump`.

    `settings` are those of the namespaces, for a store that does not tell them itself.
    """
    if settings is None:
        settings = store.stats().namespaces
    names = store.namespaces() if all_namespaces else [store.namespace_name]
    with _replacing(os.fsdecode(path)) as file, ExitStack() as opened:
        out = _Writer(file)
        out.write(_HEADER.pack(_MAGIC, _VERSION, _ALL if all_namespaces else 0))
        for name in names:
            if name not in settings:  # made meanwhile
                continue
            space = store if name == store.namespace_name else opened.enter_context(store.namespace(name))
            out.record(b"N", _pack_namespace(name, settings[name]))
            for key in space:
                found = space._get_encoded(key)
                if found is not None:
                    out.thing(b"E", _ENTRY, key, *found)
            _dump_object(out, space.memory(), "")
        out.record(b"Z", _END.pack(out.things, out.checksum))
    return out.things - out.objects


def _dump_object(out: _Writer, memory: MemoryObject, path: str) -> None:
    """Write the fields of the object at `path`: each object before what lies in it. Paths are at most 64 names deep."""
    for name, is_object in memory._fields(path):
        below = f"{path}.{escape(name)}" if path else escape(name)
        if is_object:
            try:
                found = memory.metadata(below)
            except KeyNotFound:  # removed since it was listed
                continue
            if found.type == "object":  # and no value since
                out.thing(b"O", _FIELD, below, b"", found)
                out.objects += 1
                _dump_object(out, memory, below)
        else:
            encoded = memory._get_encoded(below)
            if encoded is not None:
                out.thing(b"F", _FIELD, below, *encoded)


class _Writer:
    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.checksum = 0
        self.things = 0  # entries, fields and objects
        self.objects = 0

    def write(self, data: bytes) -> None:
        self.checksum = crc32(data, self.checksum)
        self.file.write(data)

    def record(self, kind: bytes, *body: bytes) -> None:
        length = sum(map(len, body))
        checksum = crc32(_SUMMED.pack(kind, length))
        for part in body:
            checksum = crc32(part, checksum)
        self.write(_RECORD.pack(kind, length, checksum))
        for part in body:
            self.write(part)

    def thing(self, kind: bytes, head: Struct, place: str, data: bytes, meta: Metadata) -> None:
        encoded = place.encode()
        expires = 0 if meta.expires_at is None else _microseconds(meta.expires_at)
        times = _microseconds(meta.created_at), _microseconds(meta.modified_at), expires
        self.record(kind, head.pack(*times, meta.version, len(encoded)), encoded, data)
        self.things += 1


@contextmanager
def _replacing(path: str) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` when it is complete, and leaves no trace if it never is."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(f"cannot write the snapshot {path!r}: {error.strerror}", path=path) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        temporary.replace(target)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and not isinstance(error, ShoalError):
            raise StorageError(f"cannot write the snapshot {path!r}: {error.strerror}", path=path) from error
        raise
    # The new name itself reaches the disk with its directory; some file systems refuse that, and need not do it.
    with suppress(OSError):
        descriptor = os.open(target.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _pack_namespace(name: str, settings: NamespaceStats) -> bytes:
    eviction = _EVICTION.index(settings.eviction)
    return _NAMESPACE.pack(settings.ttl or 0.0, settings.max_keys, eviction) + name.encode()


def _microseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6)


# ---------------------------------------------------------------------- reading


class _Namespace(NamedTuple):
    name: str
    ttl: float | None
    max_keys: int
    eviction: str


class _Entry(NamedTuple):
    key: str
    data: bytes
    expires_us: int  # 0 = never


class _Field(NamedTuple):
    """A field of the memory; without data, an object."""

    path: str
    data: bytes
    expires_us: int


def load(
    store: Store,
    path: str | os.PathLike[str],
    *,
    replace: bool = False,
    allow_pickle: bool = False,
    admit: Admit | None = None,
) -> int:
    """Read a snapshot into the store; the result is the number of entries. See `Store.load`.

    `admit` is called for everything in the file before the first write, and raises what speaks against it.
    """
    if store.closed:
        raise StoreClosed(f"the store {store.url} is closed", name=store.name)
    if store.read_only:
        raise AccessDenied(f"the store {store.url} was opened read-only", name=store.name)
    reader = _Reader(os.fsdecode(path))
    with reader.opened() as file, ExitStack() as opened:
        names = reader.verify(file, allow_pickle=allow_pickle, admit=admit)
        target = store
        known = set(store.namespaces()) if reader.all_namespaces else {store.namespace_name}
        if replace:
            for name in names if reader.all_namespaces else [store.namespace_name]:
                if name in known:
                    with store.namespace(name) as space:
                        space.clear()
                        space.memory().delete()
        count = 0
        memory = _MemoryLoader(target)
        for record in reader.records(file):
            if isinstance(record, _Namespace):
                if reader.all_namespaces:
                    opened.close()
                    target = opened.enter_context(_open_namespace(store, record, known))
                memory = _MemoryLoader(target)
                continue
            left = None
            if record.expires_us:
                left = min(record.expires_us / 1e6 - time(), MAX_TTL)
            if isinstance(record, _Field):
                count += memory.load(record, left)
            elif left is None or left > 0:
                target._set_encoded(record.key, record.data, left)
                count += 1
    return count


class _MemoryLoader:
    """Puts the fields of one namespace where they were. What is in the way of one makes room; objects are merged."""

    def __init__(self, store: Store) -> None:
        self._memory = store.memory()
        self._gone = ""  # the object that has expired and whose fields are being left out; no object has this path

    def load(self, field: _Field, left: float | None) -> bool:
        """Write a field that has so many seconds left; whether it was a value, and written."""
        if self._gone and field.path.startswith(f"{self._gone}."):
            return False
        if left is not None and left <= 0:
            self._gone = self._gone if field.data else field.path
            return False
        if field.data:
            self._memory._set_encoded(field.path, field.data, left, overwrite=True)
            return True
        try:
            self._memory.new_object(field.path, ttl=left)
        except PathConflict:  # a value is there
            self._memory.new_object(field.path, overwrite=True, ttl=left)
        return False


def _open_namespace(store: Store, record: _Namespace, known: set[str]) -> Store:
    """The namespace of that name; a new one gets the settings that the file has for it."""
    if record.name in known:
        return store.namespace(record.name)
    return store.namespace(record.name, ttl=record.ttl, max_keys=record.max_keys, eviction=record.eviction)


class _Reader:
    """A snapshot file. Whatever is wrong with it is a `StorageError` with its path."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.size = 0
        self.all_namespaces = False

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        try:
            # Non-blocking: opening a FIFO must not wait for a writer before we can say that it is no file.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            raise StorageError(f"cannot read the snapshot {self.path!r}: {error}", path=self.path) from error
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            self._damaged("not a regular file")
        self.size = status.st_size
        with os.fdopen(descriptor, "rb") as file:
            yield file

    def verify(self, file: BinaryIO, *, allow_pickle: bool, admit: Admit | None = None) -> list[str]:
        """Check every byte of the file, and have all of it admitted; the result is the names of its namespaces."""
        names = []
        for record in self.records(file):
            if isinstance(record, _Namespace):
                names.append(record.name)
                continue
            if admit is not None:
                what = "entry" if isinstance(record, _Entry) else "value" if record.data else "object"
                admit(what, record[0], record.expires_us != 0)
            if record.data and not allow_pickle and self._has_pickle(record):
                place = record[0]
                raise StorageError(
                    f"the snapshot {self.path!r} has a pickle under {place!r}; reading it runs code that the "
                    "file's author chose, so loading it needs allow_pickle=True",
                    key=place,
                    path=self.path,
                )
        return names

    def records(self, file: BinaryIO) -> Iterator[_Namespace | _Entry | _Field]:
        """All records from the start of the file, each checked before it is handed out."""
        file.seek(0)
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size or not header.startswith(_MAGIC):
            self._damaged("not a snapshot file")
        _, version, flags = _HEADER.unpack(header)
        if not _OLDEST <= version <= _VERSION or flags & ~_ALL:
            self._damaged(f"format version {version} (flags {flags:#x}) is not known; this is version {_VERSION}")
        self.all_namespaces = bool(flags & _ALL)
        namespaces = 0
        objects: list[Names] = []  # those around the field that was read last, from the outermost on
        for start, kind, body in self._bodies(file, crc32(header)):
            if kind == b"N":
                namespaces += 1
                if namespaces > 1 and not self.all_namespaces:
                    self._damaged(f"damaged at byte {start}: more than one namespace")
                objects.clear()
                yield self._namespace(body, start)
            elif kind == b"E" and namespaces:
                yield self._entry(body, start)
            elif kind in (b"F", b"O") and namespaces and version > _OLDEST:
                yield self._field(body, start, objects, is_object=kind == b"O")
            else:
                self._damaged(f"damaged at byte {start}: record {kind!r} is out of place")

    def _bodies(self, file: BinaryIO, total: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Where each record starts, its kind and its body; `total` is the checksum of what comes before the first."""
        things = 0
        while True:
            start = file.tell()
            head = file.read(_RECORD.size)
            if len(head) < _RECORD.size:
                self._damaged(f"truncated at byte {start}")
            kind, length, checksum = _RECORD.unpack(head)
            if length > self.size - file.tell():  # before the read, which would ask for that much memory
                self._damaged(f"truncated, or damaged at byte {start}")
            body = file.read(length)
            if len(body) < length or crc32(body, crc32(_SUMMED.pack(kind, length))) != checksum:
                self._damaged(f"damaged at byte {start}")
            if kind == b"Z":
                if length != _END.size or _END.unpack(body) != (things, total) or file.read(1):
                    self._damaged(f"damaged at byte {start}: the end does not fit what comes before it")
                return
            total = crc32(body, crc32(head, total))
            things += kind != b"N"
            yield start, kind, body

    def _has_pickle(self, record: _Entry | _Field) -> bool:
        try:
            return has_pickle(record.data)
        except InvalidValue as error:
            self._damaged(f"the value of {record[0]!r} is not one MessagePack object: {error}")

    def _namespace(self, body: bytes, start: int) -> _Namespace:
        try:
            ttl, max_keys, eviction = _NAMESPACE.unpack_from(body)
            name = check_name(body[_NAMESPACE.size :].decode(), "namespace")
            if ttl:
                parse_ttl(ttl)
            return _Namespace(name, ttl or None, parse_max_keys(max_keys), _EVICTION[eviction])
        except (ValueError, TypeError, IndexError, struct.error) as error:
            self._damaged(f"damaged namespace at byte {start}: {error}")

    def _entry(self, body: bytes, start: int) -> _Entry:
        try:
            _, _, expires, _, length = _ENTRY.unpack_from(body)
            end = _ENTRY.size + length
            key = check_key(body[_ENTRY.size : end].decode())
        except (ValueError, struct.error) as error:
            self._damaged(f"damaged entry at byte {start}: {error}")
        if len(body) <= end:
            self._damaged(f"damaged entry at byte {start}: no value")
        return _Entry(key, body[end:], expires)

    def _field(self, body: bytes, start: int, objects: list[Names], *, is_object: bool) -> _Field:
        try:
            _, _, expires, _, length = _FIELD.unpack_from(body)
            end = _FIELD.size + length
            path = body[_FIELD.size : end].decode()
            names = split(path)
        except (ValueError, struct.error) as error:
            self._damaged(f"damaged field at byte {start}: {error}")
        if not names or len(body) < end or (len(body) == end) != is_object:
            self._damaged(f"damaged field at byte {start}: no path, or no value, or one too many")
        while objects and objects[-1] != names[:-1]:
            objects.pop()
        if len(names) > 1 and not objects:
            self._damaged(
                f"damaged at byte {start}: the object that the field {path!r} lies in does not come before it"
            )
        if is_object:
            objects.append(names)
        return _Field(path, body[end:], expires)

    def _damaged(self, problem: str) -> NoReturn:
        raise StorageError(f"cannot load the snapshot {self.path!r}: {problem}", path=self.path)
