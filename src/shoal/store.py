"""`Store`: the one class that users know, whatever lies underneath.

A backend subclasses `Store` and implements the abstract methods (the *primitives*). Each primitive is atomic
on its own across every thread and process that shares the store; whatever can be built from them is built
here, once: views, comparison, merging, `modify`, the `*_many` calls, listing, snapshots.

Two primitives move encoded bytes instead of values, for snapshots and bulk writes: `_get_encoded` and
`_set_encoded`. A backend that stores bytes through Python gets all value-level primitives from
`shoal.backends.base.EncodedStore` and implements a handful of byte-level ones instead.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, MutableMapping, ValuesView

from .errors import InvalidValue, KeyNotFound
from .keys import check_key, check_keys
from .options import DEFAULT, KEEP, MISSING, parse_ttl
from .patterns import Glob

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Any, Self

    from .memory.object import MemoryObject
    from .memory.run import RunContext
    from .options import Default, Keep, Seconds, Ttl
    from .records import Metadata, Stats

__all__ = ["Store"]

_ABSENT = object()  # a default for pop() that no caller can have stored


class StoreItems(ItemsView[str, "Any"]):
    """Live and weakly consistent: an entry that goes away while the walk is on is left out."""

    __slots__ = ()
    _mapping: Store

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        get = self._mapping.get
        for key in self._mapping:
            value = get(key, MISSING)
            if value is not MISSING:
                yield key, value


class StoreValues(ValuesView["Any"]):
    """Live and weakly consistent, as `StoreItems`."""

    __slots__ = ()
    _mapping: Store

    def __iter__(self) -> Iterator[Any]:
        for _, value in StoreItems(self._mapping):
            yield value

    def __contains__(self, value: object) -> bool:
        return any(found == value for found in self)


class Store(MutableMapping[str, "Any"]):
    """A mapping from `str` to values that many threads and processes share.

    Values are copies: changing one that was read does not change the store; write it back, or use `modify`.
    Open one with `shoal.open`.

    Arguments named `ttl` are seconds (a number or a `datetime.timedelta`); None means that the entry never expires,
    leaving it out means the namespace's default.
    """

    __slots__ = ()

    # ------------------------------------------------------------------ primitives: one entry

    @abstractmethod
    def __getitem__(self, key: str) -> Any:
        """The value. Raises `KeyNotFound`."""

    @abstractmethod
    def get(self, key: str, default: Any = None) -> Any:
        """The value, or `default` if there is no entry."""

    @abstractmethod
    def get_versioned(self, key: str) -> tuple[Any, int]:
        """The value and the version it has, of one and the same moment. Raises `KeyNotFound`."""

    @abstractmethod
    def exists(self, key: str) -> bool:
        """Whether there is an entry."""

    @abstractmethod
    def set(self, key: str, value: Any, *, ttl: Ttl = DEFAULT) -> int:
        """Write the entry, whether there is one or not. The result is its new version."""

    @abstractmethod
    def add(self, key: str, value: Any, *, ttl: Ttl = DEFAULT) -> bool:
        """Write the entry only if it is absent. Of several callers at once, one gets True."""

    @abstractmethod
    def replace(self, key: str, value: Any, *, ttl: Ttl = DEFAULT) -> bool:
        """Write the entry only if it is there."""

    @abstractmethod
    def swap(self, key: str, value: Any, *, ttl: Ttl = DEFAULT) -> Any:
        """Write the entry; the result is the value that it replaced, or None."""

    @abstractmethod
    def compare_and_set(self, key: str, value: Any, version: int, *, ttl: Ttl | Keep = DEFAULT) -> bool:
        """Write the entry only if it still has this version; version 0 means that it must be absent.

        Besides the usual ttl, `shoal.options.KEEP` leaves an existing entry's expiry as it is.
        """

    @abstractmethod
    def delete(self, key: str) -> bool:
        """Remove the entry; whether there was one."""

    @abstractmethod
    def pop(self, key: str, default: Any = MISSING) -> Any:
        """Remove the entry and return its value: one caller gets it. Without a `default`, `KeyNotFound` if absent."""

    @abstractmethod
    def incr(self, key: str, by: int | float = 1, *, initial: int | float = 0, ttl: Ttl = DEFAULT) -> int | float:
        """Add to the number stored there, or to `initial` if there is none; the result is the new number.

        An int plus an int is an int; with a float it is a float. What is not a number, or leaves the range of 64-bit
        ints, is an `InvalidValue` and the entry stays. With `ttl` left out an existing entry keeps its expiry.
        """

    @abstractmethod
    def touch(self, key: str, ttl: Ttl) -> bool:
        """Give the entry a new time to live, from now; whether there was one. Neither value nor version change."""

    @abstractmethod
    def ttl(self, key: str) -> float | None:
        """The seconds left, or None if the entry never expires. Raises `KeyNotFound`."""

    @abstractmethod
    def metadata(self, key: str) -> Metadata:
        """Size, times, version and type of the entry, without reading its value. Raises `KeyNotFound`."""

    @abstractmethod
    def view(self, key: str) -> Any:
        """The value without a copy: a read-only `numpy.ndarray` of an array, a read-only `memoryview` of bytes or text.

        (Of text, its UTF-8.) It stays valid and as it is as long as it, or anything made from it, lives: whatever becomes
        of the entry, of the store, of this handle, and in forked children. As long as that, an arena has that much
        less room (`Stats.pinned`). Arrays of less than about 32 KiB, and bytes and text of less than 64 KiB, are copied, which is
        cheaper; so is what a read-only store gives. The data of an array begins at a multiple of 64; in an arena that of bytes and text, too.

        Raises:
            KeyNotFound: There is no entry.
            InvalidValue: The value has another type.
        """

    @abstractmethod
    def create_array(
        self, key: str, shape: int | tuple[int, ...], dtype: Any, *, ttl: Ttl = DEFAULT
    ) -> AbstractContextManager[Any]:
        """A context manager whose block gets a new array to fill, in the arena, and which writes the entry when it ends.

        The array is in C order, begins at a multiple of 64, and holds at first whatever was there (as `numpy.empty`). Nobody
        else sees it before the end of the block. Then it is the entry's value, replaces what was there, and is read-only;
        it stays valid like a `view`. (Slices made in the block stay writable: whoever writes to them changes what others
        read.) If the block raises, or the process dies, nothing is written and nothing stays. Children that are forked
        inside the block may fill parts of it; how they leave it does not count.

        Raises:
            InvalidValue: The dtype holds objects or cannot be stored in place, or the shape is none.
            CapacityExceeded: When the block begins or ends.
            StoreClosed: Also when the block ends, if the store was closed inside it.
        """

    @abstractmethod
    def _get_encoded(self, key: str) -> tuple[bytes, Metadata] | None:
        """The value's encoded bytes with the metadata of the same moment."""

    @abstractmethod
    def _set_encoded(self, key: str, data: bytes, ttl: Seconds) -> int:
        """As `set`, with a value that is encoded and a ttl that is parsed already."""

    # ------------------------------------------------------------------ primitives: the namespace and the store

    @abstractmethod
    def __len__(self) -> int:
        """How many entries the namespace has, without expired ones."""

    @abstractmethod
    def _keys(self, prefix: str) -> Iterator[str]:
        """The namespace's keys that start with `prefix`, in any order, weakly consistent."""

    @abstractmethod
    def clear(self) -> None:
        """Remove every entry of this namespace; other namespaces stay."""

    @abstractmethod
    def namespace(
        self,
        name: str,
        *,
        ttl: Ttl = DEFAULT,
        max_keys: int | Default = DEFAULT,
        eviction: str | Default = DEFAULT,
    ) -> Store:
        """A store over another namespace of the same arena, made now if it is new.

        A setting that is given is written to the namespace, for all who use it; one that is left out stays as it
        is (for a new namespace: entries never expire, any number of keys, eviction "error").
        """

    @abstractmethod
    def namespaces(self) -> list[str]:
        """The names of all namespaces, sorted; "default" is always among them."""

    @abstractmethod
    def drop_namespace(self, name: str) -> bool:
        """Remove a namespace with its entries; whether there was one. "default" can only be cleared."""

    @abstractmethod
    def memory(self, path: str = "") -> MemoryObject:
        """The object at this path of the namespace's memory; nothing needs to be there yet. Raises `InvalidKey`.

        Memory lies beside the keys: neither ever sees the other.
        """

    @abstractmethod
    def _runs(self) -> MemoryObject:
        """The root of the memory of runs, at (process token, run id): one for the whole store."""

    @abstractmethod
    def _process_token(self) -> str:
        """The name that this process has among all that ever use the store."""

    @abstractmethod
    def _run_lives(self, token: str) -> bool:
        """Whether the process of this token still uses the store."""

    @abstractmethod
    def stats(self) -> Stats:
        """What the store has done and holds, over all its processes."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the store. Closing twice is fine; any other use raises `StoreClosed`."""

    @abstractmethod
    def destroy(self) -> None:
        """Remove the whole store, now, and close this handle."""

    @property
    @abstractmethod
    def closed(self) -> bool:
        """Whether `close` was called on this handle."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The store's name."""

    @property
    @abstractmethod
    def namespace_name(self) -> str:
        """The name of the namespace that this handle reads and writes."""

    @property
    @abstractmethod
    def url(self) -> str:
        """What `shoal.open` needs to reach the same namespace of the same store."""

    @property
    @abstractmethod
    def read_only(self) -> bool:
        """Whether writing raises `AccessDenied`."""

    @property
    @abstractmethod
    def allow_pickle(self) -> bool:
        """Whether values that only pickle can express are written and read."""

    # ------------------------------------------------------------------ as a dict

    def __setitem__(self, key: str, value: Any) -> None:
        self.set(key, value)

    def __delitem__(self, key: str) -> None:
        if not self.delete(key):
            raise KeyNotFound(f"no such key: {key!r}", key=key)

    def __contains__(self, key: object) -> bool:
        return self.exists(key)  # type: ignore[arg-type]  # exists() names what is wrong with other types

    def __iter__(self) -> Iterator[str]:
        return self._keys("")

    def keys(self) -> KeysView[str]:
        """A live view of the keys."""
        return KeysView(self)

    def items(self) -> ItemsView[str, Any]:
        """A live view of the entries."""
        return StoreItems(self)

    def values(self) -> ValuesView[Any]:
        """A live view of the values."""
        return StoreValues(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return len(self) == len(other) and dict(self.items()) == dict(other.items())

    # Equal by content, so as unhashable as a dict.
    __hash__ = None  # type: ignore[assignment]

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        """A plain dict of both; the store stays as it is."""
        if not isinstance(other, Mapping):
            return NotImplemented
        return {**dict(self.items()), **dict(other.items())}

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(other, Mapping):
            return NotImplemented
        return {**dict(other.items()), **dict(self.items())}

    def __ior__(self, other: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> Self:
        self.update(other)
        return self

    def popitem(self) -> tuple[str, Any]:
        """Remove some entry and return it: no two callers get the same one. Raises `KeyNotFound` when empty."""
        seen = True
        while seen:
            seen = False
            for key in self._keys(""):
                seen = True
                value = self.pop(key, _ABSENT)
                if value is not _ABSENT:
                    return key, value
        raise KeyNotFound("the store is empty")

    def setdefault(self, key: str, default: Any = None, *, ttl: Ttl = DEFAULT) -> Any:
        """The value; if there is none, `default`, which is written first. Of several callers at once one writes."""
        while True:
            value = self.get(key, MISSING)
            if value is not MISSING:
                return value
            if self.add(key, default, ttl=ttl):
                return default

    def update(self, other: Any = (), /, **entries: Any) -> None:
        """Write the entries of a mapping, of pairs, and of keyword arguments, as `set_many` does."""
        merged = dict(other.items()) if isinstance(other, Mapping) else dict(other)
        merged.update(entries)
        self.set_many(merged)

    # ------------------------------------------------------------------ beyond a dict

    def modify(self, key: str, fn: Callable[[Any], Any], default: Any = MISSING) -> Any:
        """Replace the value by `fn(value)`, atomically; the result is the new value.

        `fn` is called again with the newer value when somebody else wrote meanwhile, so it must not have effects of its
        own. If it raises, nothing changes. An absent entry is an error without a `default`; with one, `fn(default)` is
        written. The entry keeps its expiry.
        """
        while True:
            try:
                value, version = self.get_versioned(key)
            except KeyNotFound:
                if default is MISSING:
                    raise
                value, version = default, 0
            changed = fn(value)
            if self.compare_and_set(key, changed, version, ttl=KEEP):
                return changed

    def decr(self, key: str, by: int | float = 1, *, initial: int | float = 0, ttl: Ttl = DEFAULT) -> int | float:
        """Subtract; otherwise as `incr`."""
        if isinstance(by, bool) or not isinstance(by, (int, float)):
            raise InvalidValue(f"decr needs a number to subtract, not {type(by).__name__}", key=key)
        return self.incr(key, -by, initial=initial, ttl=ttl)

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Those of the entries that are there."""
        found = {}
        for key in check_keys(keys):
            value = self.get(key, MISSING)
            if value is not MISSING:
                found[key] = value
        return found

    def set_many(self, mapping: Mapping[str, Any], *, ttl: Ttl = DEFAULT) -> None:
        """Write all entries, each atomically.

        A key or value that cannot be stored is found before the first write: then nothing changes.
        """
        seconds = parse_ttl(ttl)
        encoded = [(check_key(key), self._encode(value)) for key, value in mapping.items()]
        for key, data in encoded:
            self._set_encoded(key, data, seconds)

    def delete_many(self, keys: Iterable[str]) -> int:
        """Remove the entries; how many of them were there."""
        return sum(map(self.delete, check_keys(keys)))

    def list_keys(self, pattern: str = "*") -> list[str]:
        """The keys that match, sorted."""
        return sorted(self.scan(pattern))

    def scan(self, pattern: str = "*") -> Iterator[str]:
        """The keys that match, in any order, one after the other.

        `*` stands for any characters, `?` for one, `[abc]`, `[0-9]` and `[!x]` for one of a class; a backslash takes
        the next character as it is. `shoal.patterns` has the details.
        """
        # No generator: a malformed pattern is an error of this call, not of the first step.
        glob = Glob(pattern)
        keys = self._keys(glob.prefix)
        return keys if glob.is_prefix else filter(glob.match, keys)

    def run(self, key: str | None = None) -> RunContext:
        """One run of a workflow: a context manager, or a decorator, that gives it memory. See `RunContext`.

        `key` says what the run is about; runs of one key share short-term memory. None is a fresh key. Raises
        `InvalidKey`.
        """
        from .memory.run import RunContext

        return RunContext(self, key)

    def dump(self, path: str | os.PathLike[str], *, all_namespaces: bool = False) -> int:
        """Write this namespace with its memory, or all of them, to a snapshot file.

        The file appears under its name only when it is complete. What is written meanwhile may or may not be in it. The
        result is the number of entries and of values in the memory.
        """
        from .snapshot import dump

        return dump(self, path, all_namespaces=all_namespaces)

    def load(self, path: str | os.PathLike[str], *, replace: bool = False, allow_pickle: bool = False) -> int:
        """Write the entries and the memory of a snapshot file into the store; the result is their number, as in `dump`.

        The whole file is checked before the first write; a damaged one is a `StorageError`. What has expired since is
        left out. A file of one namespace is loaded into this one, a file of all into namespaces of the same names.

        Args:
            path: The file.
            replace: Remove what the namespaces held before, memory included.
            allow_pickle: Accept values that are pickles. Reading such a value runs code that the file's author
                chose, so ask for it only if you trust where the file comes from.
        """
        from .snapshot import load

        return load(self, path, replace=replace, allow_pickle=allow_pickle)

    def scope(self, *, read: Iterable[str] = (), write: Iterable[str] = ()) -> Store:
        """This namespace for one agent, who can only see and change what these globs match; see `shoal.scope`.

        They are compared with keys, and with paths of the memory as they count from its root (``agent-7.*`` is what lies
        below ``agent-7``). Left out means nothing: neither right implies the other. A scope of a scope allows what both
        allow. What may not be done is `AccessDenied`, and nothing has changed.

        Raises:
            PatternError: A pattern is malformed, or one `str` was given in place of several.
        """
        from .rights import matching
        from .scope import ScopedStore

        return ScopedStore(self, matching("read", read), matching("write", write))

    def _unscoped(self) -> Store:
        """The store beneath a scope: for what the store itself has to do, whoever asks."""
        return self

    # ------------------------------------------------------------------ the handle

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = " (closed)" if self.closed else " (read-only)" if self.read_only else ""
        return f"<{type(self).__name__} {self.url}{state}>"

    def _encode(self, value: Any) -> bytes:
        from .codec import encode

        return encode(value, allow_pickle=self.allow_pickle)
