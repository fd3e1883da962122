"""Stores in shared memory: what ``shm://`` URLs and bare names open.

An arena is one segment of shared memory; the processes that open its name share it. This process maps it once,
however many handles it has. An arena without a name of its own gets one that nobody guesses, so that handles on it
can be sent to the processes that this one starts.
"""

from __future__ import annotations

import os
from functools import cache, partial
from itertools import chain

from . import _core
from .errors import InvalidValue, KeyNotFound, StoreClosed
from .options import DEFAULT, Options, check_name, make_url, parse_eviction, parse_max_keys, parse_ttl
from .store import Store

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from typing import Any

    from .memory.object import MemoryObject
    from .options import Default, Ttl
    from .records import ArenaInfo, Metadata, Repaired, Stats

__all__ = ["DEFAULT_SIZE", "ArenaStore", "destroy", "gc", "list_arenas", "open_arena", "repair"]

DEFAULT_SIZE = 1 << 30
"""The cap of an arena if nothing is said, in bytes. Memory is used only as entries need it."""

_FIGURES = (
    *("capacity", "used", "hits", "misses", "sets", "deletes", "expired", "evicted", "retries"),
    *("lock_waits", "recoveries", "processes"),
)
KIND_BYTES = 16  # how much of an encoded value names its type


class ArenaStore(_core.ArenaStore, Store):
    """A store in shared memory; `shoal.open` makes them.

    Picklable: what arrives in another process is a handle on the same namespace of the same arena, with the same
    options. Handles that a process inherits by a fork go on working in the child.

    Args:
        options: What to open.
    """

    __slots__ = ()

    def __init__(self, options: Options) -> None:
        self._attach(
            options.name or f"anon-{os.getpid()}-{os.urandom(8).hex()}",
            options.flag,
            size=DEFAULT_SIZE if options.size is None else options.size,
            persist=options.persist,
            mode=options.mode,
            timeout=options.timeout,
            allow_pickle=options.allow_pickle,
            namespace=options.namespace,
            ttl=options.ttl,
            max_keys=options.max_keys,
            eviction=options.eviction,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        if self.closed:
            raise StoreClosed(f"the store {self.url} is closed: it cannot be sent to another process", name=self.name)
        options = Options(
            location=self.name,
            flag="r" if self.read_only else "w",
            namespace=self.namespace_name,
            # Whoever may attach at all has been let in by the mode already; accept another user's arena again.
            mode=self._mode,
            timeout=self._timeout,
            allow_pickle=self.allow_pickle,
        )
        return type(self), (options,)

    @property
    def url(self) -> str:
        """What `shoal.open` needs to reach the same namespace of the same arena."""
        return make_url("shm", self.name, self.namespace_name)

    def _keys(self, prefix: str) -> Iterator[str]:
        # A shard at a time, each as it is at one instant.
        return chain.from_iterable(map(partial(self._shard_keys, prefix), range(self._shards)))

    def metadata(self, key: str) -> Metadata:
        """Size, times, version and type of the entry. Raises `KeyNotFound`."""
        found = self._metadata(key, KIND_BYTES)
        if found is None:
            raise KeyNotFound(f"no such key: {key!r}", key=key, name=self.name)
        return metadata_of(found)

    def _get_encoded(self, key: str) -> tuple[bytes, Metadata] | None:
        found = self._get_bytes(key)
        return None if found is None else (found[-1], metadata_of(found))

    def namespace(
        self,
        name: str,
        *,
        ttl: Ttl = DEFAULT,
        max_keys: int | Default = DEFAULT,
        eviction: str | Default = DEFAULT,
    ) -> ArenaStore:
        """A store over another namespace of the same arena, made now if it is new.

        A setting that is given is written to the namespace, for all who use it; one that is left out stays as it
        is (for a new namespace: entries never expire, any number of keys, eviction "error").
        """
        other = type(self).__new__(type(self))
        other._share(
            self,
            check_name(name, "namespace"),
            ttl=parse_ttl(ttl),
            max_keys=DEFAULT if max_keys is DEFAULT else parse_max_keys(max_keys),
            eviction=DEFAULT if eviction is DEFAULT else parse_eviction(eviction),
        )
        return other

    def drop_namespace(self, name: str) -> bool:
        """Remove a namespace with its entries; whether there was one. "default" can only be cleared."""
        if check_name(name, "namespace") == "default":
            raise InvalidValue('the namespace "default" cannot be dropped, only cleared', name=name)
        return self._drop(name)

    def memory(self, path: str = "") -> MemoryObject:
        """The object at this path of the namespace's memory; nothing needs to be there yet. Raises `InvalidKey`."""
        from .arena_memory import memory_of

        return memory_of(self, path)

    def _runs(self) -> MemoryObject:
        from .arena_memory import runs_of

        return runs_of(self)

    def _process_token(self) -> str:
        from .arena_memory import token_of

        return token_of(self)

    def _run_lives(self, token: str) -> bool:
        from .arena_memory import token_lives

        return token_lives(self, token)

    def stats(self) -> Stats:
        """What the arena has done and holds, over all its processes. Removes what dead ones left first."""
        from .records import NamespaceStats, Stats

        if not self.read_only:
            self._reap()
        spaces = {name: NamespaceStats(*usage) for name, usage in self._usage()}
        figures = self._stats()
        return Stats(
            entries=sum(space.entries for space in spaces.values()),
            fields=sum(space.fields for space in spaces.values()) + self._run_fields(),
            namespaces=spaces,
            pinned=figures["pinned_bytes"],
            **{name: figures[name] for name in _FIGURES},
        )

    def destroy(self) -> None:
        """Remove the arena's name now, and close this handle. Others go on with the memory they have."""
        self._unlink()
        self.close()


_core.add_contains(ArenaStore)


def metadata_of(found: tuple[int, int, int, int | None, int, bytes | None]) -> Metadata:
    """What `_core` says of an entry, as a record; first bytes of None are an object's."""
    record, utc, kind = _makers()
    size, created, modified, expires, version, data = found
    return record(
        size=size,
        created_at=utc(created),
        modified_at=utc(modified),
        expires_at=None if expires is None else utc(expires),
        version=version,
        type="object" if data is None else kind(data[:KIND_BYTES]),
    )


@cache
def _makers() -> tuple[type[Metadata], Callable[[int], datetime], Callable[[bytes], str]]:
    """What makes a record. Imported once, and not before: the statements alone take longer than the rest of it."""
    from .codec import kind
    from .records import Metadata, utc

    return Metadata, utc, kind


def open_arena(options: Options) -> ArenaStore:
    """Open what a ``shm://`` URL or a bare name asks for.

    Settings of the namespace (ttl, max_keys, eviction) that are not `DEFAULT` are written to it, whether it is
    new or not; the others stay as they are.
    """
    return ArenaStore(options)


def list_arenas() -> list[ArenaInfo]:
    """The arenas of this machine, sorted by name; also those that nobody uses any more."""
    from .records import ArenaInfo

    return sorted((ArenaInfo(*found) for found in _core.list_arenas()), key=lambda info: info.name)


def gc() -> list[str]:
    """Remove the arenas that dead processes left behind and that should not persist; their names."""
    return [info.name for info in list_arenas() if not info.alive and not info.persist and _core.collect(info.name)]


def destroy(name: str) -> None:
    """Remove an arena's name now; processes that use it go on with the memory they have. `StoreNotFound`."""
    _core.destroy(check_name(name))


def repair(name: str, *, timeout: float = 5.0) -> Repaired:
    """Put what is whole of a damaged arena that nobody uses into a new one, which takes its name and persists.

    Anything raised leaves the arena as it was: `StoreBusy` if a process uses it, `CorruptArena` if its header is damaged, without
    which no key can be told to be right, `CapacityExceeded` if there is no room for a second arena of its size, `StoreNotFound`,
    `AccessDenied`, `IncompatibleArena`.
    """
    from .records import Repaired

    return Repaired(*_core.repair(check_name(name), timeout))
