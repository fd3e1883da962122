"""`memory://`: a store inside one process.

For tests, for programs that may run alone, and as the oracle that the arena is compared with: values are kept
encoded, so copies come out and errors are the same, and expiry, versions, limits and eviction follow the same rules.

``memory://`` is a private store each time; ``memory://name`` is shared by name within the process until the last
handle on it is closed (or for good, with ``persist=True``).

One lock guards a whole store. Whoever takes it first removes what has expired, so nothing below needs to think of
expired entries: `_Space.slots` has live ones only, and so has a `Tree`.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import WeakValueDictionary

from ..errors import AccessDenied, CapacityExceeded, InvalidValue, StoreClosed, StoreNotFound
from ..memory.path import split
from ..memory.ref import SENSORY, SHORT_TERM
from ..options import DEFAULT, KEEP, check_name, make_url, parse_eviction, parse_max_keys, parse_ttl, ttl_to_ns
from ..records import NamespaceStats, Stats
from .base import EncodedStore, Entry, When, Written
from .memory_object import TreeMemory
from .memory_tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..options import Default, Options, Seconds, Ttl

__all__ = ["Arena", "MemoryStore", "open_memory"]

_THIS_PROCESS = "local"  # the only one that can have the store


class _Slot:
    """One entry. `newer` and `older` link the entries of a namespace in the order of their insertion."""

    __slots__ = ("created", "data", "deadline", "key", "modified", "newer", "older", "size", "version", "visited")

    def __init__(self, key: str) -> None:
        self.key = key
        self.data = b""
        self.size = len(key.encode())  # of key and data
        self.version = 0
        self.created = self.modified = 0  # wall time, microseconds
        self.deadline: int | None = None  # monotonic, nanoseconds
        self.visited = False
        self.newer: _Slot | None = None
        self.older: _Slot | None = None


class _Space:
    """One namespace: its entries, when they expire, and in which order they go."""

    def __init__(self) -> None:
        self.ttl: float | None = None
        self.max_keys = 0
        self.eviction = "error"
        self.bytes = 0
        self.slots: dict[str, _Slot] = {}
        # (deadline, version, key); a tuple whose entry has another deadline by now is stale and means nothing.
        self.deadlines: list[tuple[int, int, str]] = []
        # SIEVE (Zhang et al., NSDI 2024): insertion at the newest end, one visited bit, and one hand that walks from
        # the oldest entry to newer ones, clears the bit where it is set and evicts where it is not.
        self.newest: _Slot | None = None
        self.oldest: _Slot | None = None
        self.hand: _Slot | None = None
        self.tree = Tree()

    def link(self, slot: _Slot) -> None:
        self.slots[slot.key] = slot
        slot.older = self.newest
        if self.newest is None:
            self.oldest = slot
        else:
            self.newest.newer = slot
        self.newest = slot

    def unlink(self, slot: _Slot) -> None:
        if self.hand is slot:
            self.hand = slot.newer
        if slot.newer is None:
            self.newest = slot.older
        else:
            slot.newer.older = slot.older
        if slot.older is None:
            self.oldest = slot.newer
        else:
            slot.older.newer = slot.newer
        slot.newer = slot.older = None
        del self.slots[slot.key]
        self.bytes -= slot.size

    def victim(self, spare: _Slot | None) -> _Slot:
        """The entry that SIEVE evicts next; never `spare`. There must be another one."""
        slot = self.hand
        while True:
            if slot is None:
                slot = self.oldest
                assert slot is not None
            if slot.visited:
                slot.visited = False
            elif slot is not spare:
                self.hand = slot
                return slot
            slot = slot.newer

    def set_deadline(self, slot: _Slot, deadline: int | None) -> None:
        slot.deadline = deadline
        if deadline is None:
            return
        if len(self.deadlines) > 2 * len(self.slots) + 64:
            self.deadlines = [(s.deadline, s.version, s.key) for s in self.slots.values() if s.deadline is not None]
            heapify(self.deadlines)
        else:
            heappush(self.deadlines, (deadline, slot.version, slot.key))

    def expire(self, now: int) -> int:
        """Remove what has expired; how many."""
        count = 0
        while self.deadlines and self.deadlines[0][0] <= now:
            deadline, _, key = heappop(self.deadlines)
            slot = self.slots.get(key)
            if slot is not None and slot.deadline == deadline:
                self.unlink(slot)
                count += 1
        return count


class Arena:
    """What all handles on one store share."""

    def __init__(self, name: str, capacity: int, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self.name = name
        self.capacity = capacity  # bytes; 0 = no limit
        self.monotonic = monotonic
        self.wall = wall
        self.lock = threading.Lock()
        self.spaces = {"default": _Space()}
        self.runs = Tree()
        self.place = object()  # equal to itself alone: names can be given again
        self.version = 0
        self.hits = self.misses = self.sets = self.deletes = self.expired = self.evicted = 0

    @property
    def used(self) -> int:
        return sum(space.bytes + space.tree.bytes for space in self.spaces.values()) + self.runs.bytes

    def now(self) -> int:
        return int(self.monotonic() * 1e9)

    def sweep(self) -> None:
        now = self.now()
        for space in self.spaces.values():
            self.expired += space.expire(now) + space.tree.expire(now)
        self.expired += self.runs.expire(now)

    def make_room(self, space: _Space, slot: _Slot | None, key: str, size: int) -> None:
        """See to it that an entry of `size` bytes fits in place of `slot`, or raise and change nothing."""
        old = 0 if slot is None else slot.size
        sieve = space.eviction == "sieve"
        if self.capacity and self.used - old + size > self.capacity:
            others = self.used - space.bytes
            if not sieve or others + size > self.capacity:
                raise self.full(key, size)
        if slot is None and space.max_keys and len(space.slots) >= space.max_keys:
            if not sieve:
                name = next(name for name, known in self.spaces.items() if known is space)
                text = f"no room for {key!r}: namespace {name!r} has its {space.max_keys:,} keys"
                raise CapacityExceeded(text, key=key, limit=space.max_keys)
            while len(space.slots) >= space.max_keys:
                self.evict(space, None)
        while self.capacity and self.used - old + size > self.capacity:
            self.evict(space, slot)

    def full(self, key: str, size: int) -> CapacityExceeded:
        return CapacityExceeded(
            f"no room for {key!r} ({size:,} bytes with its key): the store holds {self.used:,} of "
            f"{self.capacity:,} bytes",
            key=key,
            name=self.name,
            limit=self.capacity,
        )

    def until(self, deadline: int | None) -> tuple[float | None, int | None]:
        """The seconds left, and the end as wall time in microseconds."""
        if deadline is None:
            return None, None
        left = (deadline - self.now()) / 1e9
        return left, int((self.wall() + left) * 1e6)

    def evict(self, space: _Space, spare: _Slot | None) -> None:
        slot = space.victim(spare)
        space.unlink(slot)
        self.evicted += 1


_named: WeakValueDictionary[str, Arena] = WeakValueDictionary()
_persistent: dict[str, Arena] = {}
_registry_lock = threading.Lock()


def open_memory(options: Options) -> MemoryStore:
    """Open what a ``memory://`` URL asks for."""
    name = options.name
    with _registry_lock:
        arena = None if name is None or options.flag == "n" else _named.get(name)
        if arena is None:
            if not options.create:
                raise StoreNotFound(f"there is no store {make_url('memory', name or '')} in this process", name=name)
            arena = Arena(name or "", options.size or 0, time.monotonic, time.time)
            if name is not None:
                _persistent.pop(name, None)
                _named[name] = arena
        if name is not None and options.persist:
            _persistent[name] = arena
    allow_pickle = options.allow_pickle is not False  # nobody but this process can write here
    store = MemoryStore(arena, options.namespace, read_only=options.read_only, allow_pickle=allow_pickle)
    if options.read_only:
        store._must_exist()
    else:
        store._configure(options.ttl, options.max_keys, options.eviction)
    return store


class MemoryStore(EncodedStore):
    """A store inside this process; `shoal.open` makes them.

    Args:
        arena: What it shares with other handles; None makes a new private one.
        namespace: The namespace it reads and writes.
        read_only: Refuse to write.
        allow_pickle: Write and read values that only pickle can express.
        size: The most that a new private store may hold, in bytes of keys and encoded values; 0 = any amount.
        monotonic: The clock that entries expire by, in seconds.
        wall: The clock that metadata shows, in seconds since 1970.
    """

    __slots__ = ("__weakref__", "_allow_pickle", "_arena", "_name", "_namespace", "_place", "_read_only")

    def __init__(
        self,
        arena: Arena | None = None,
        namespace: str = "default",
        *,
        read_only: bool = False,
        allow_pickle: bool = True,
        size: int = 0,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._arena: Arena | None = arena or Arena("", size, monotonic, wall)
        self._name = self._arena.name
        self._place = self._arena.place
        self._namespace = namespace
        self._read_only = read_only
        self._allow_pickle = allow_pickle

    # ------------------------------------------------------------------ the handle

    @property
    def closed(self) -> bool:
        return self._arena is None

    @property
    def name(self) -> str:
        return self._name

    @property
    def namespace_name(self) -> str:
        return self._namespace

    @property
    def url(self) -> str:
        return make_url("memory", self._name, self._namespace)

    @property
    def read_only(self) -> bool:
        return self._read_only

    @property
    def allow_pickle(self) -> bool:
        return self._allow_pickle

    def close(self) -> None:
        self._arena = None

    def destroy(self) -> None:
        arena = self._open(write=True)
        with _registry_lock:
            if _named.get(self._name) is arena:
                del _named[self._name]
                _persistent.pop(self._name, None)
        self.close()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise InvalidValue(
            "a memory:// store lives in one process and cannot be pickled; open a shared one by name instead: "
            'shoal.open("name")'
        )

    def _open(self, *, write: bool = False) -> Arena:
        arena = self._arena
        if arena is None:
            raise StoreClosed(f"the store {self.url} is closed", name=self._name)
        if write and self._read_only:
            raise AccessDenied(f"the store {self.url} was opened read-only", name=self._name)
        return arena

    def _space_of(self, arena: Arena, *, create: bool = False) -> _Space | None:
        """The namespace. One that was dropped meanwhile is empty to readers, and made anew by the next writer."""
        space = arena.spaces.get(self._namespace)
        if space is None and create:
            space = arena.spaces[self._namespace] = _Space()
        return space

    @contextmanager
    def _reading(self) -> Iterator[tuple[Arena, _Space]]:
        arena = self._open()
        with arena.lock:
            arena.sweep()
            yield arena, self._space_of(arena) or _Space()

    @contextmanager
    def _writing(self) -> Iterator[tuple[Arena, _Space]]:
        arena = self._open(write=True)
        with arena.lock:
            arena.sweep()
            space = self._space_of(arena, create=True)
            assert space is not None
            yield arena, space

    # ------------------------------------------------------------------ entries

    def _read(self, key: str, *, count: bool) -> Entry | None:
        with self._reading() as (arena, space):
            slot = space.slots.get(key)
            if count and slot is None:
                arena.misses += 1
            if slot is None:
                return None
            if count:
                arena.hits += 1
                slot.visited = True
            return Entry(slot.data, slot.version, slot.created, slot.modified, *arena.until(slot.deadline))

    def _write(self, key: str, data: bytes, ttl: Seconds, when: When = When.ALWAYS, version: int = 0) -> Written | None:
        with self._writing() as (arena, space):
            slot = space.slots.get(key)
            old = None if slot is None else slot.data
            if (
                (when is When.ABSENT and slot is not None)
                or (when is When.PRESENT and slot is None)
                or (when is When.VERSION and (0 if slot is None else slot.version) != version)
            ):
                return None
            size = len(key.encode()) + len(data)
            arena.make_room(space, slot, key, size)
            arena.version += 1
            arena.sets += 1
            now = int(arena.wall() * 1e6)
            kept = slot is not None and ttl is KEEP
            if slot is None:
                slot = _Slot(key)
                slot.created = now
                space.link(slot)
            else:
                slot.visited = True
                space.bytes -= slot.size
            slot.data, slot.size, slot.version, slot.modified = data, size, arena.version, now
            space.bytes += size
            if not kept:
                seconds = space.ttl if ttl is DEFAULT or ttl is KEEP else ttl
                space.set_deadline(slot, None if seconds is None else arena.now() + ttl_to_ns(seconds))
            return Written(slot.version, old)

    def _remove(self, key: str) -> bytes | None:
        with self._writing() as (arena, space):
            slot = space.slots.get(key)
            if slot is None:
                return None
            space.unlink(slot)
            arena.deletes += 1
            return slot.data

    def _expire(self, key: str, ttl: Seconds) -> bool:
        with self._writing() as (arena, space):
            slot = space.slots.get(key)
            if slot is None:
                return False
            if ttl is not KEEP:
                seconds = space.ttl if ttl is DEFAULT else ttl
                space.set_deadline(slot, None if seconds is None else arena.now() + ttl_to_ns(seconds))
            return True

    # ------------------------------------------------------------------ memory

    def memory(self, path: str = "") -> TreeMemory:
        self._open()
        return TreeMemory(self, split(path), SHORT_TERM)

    def _runs(self) -> TreeMemory:
        self._open()
        return TreeMemory(self, (), SENSORY)

    def _process_token(self) -> str:
        return _THIS_PROCESS

    def _run_lives(self, token: str) -> bool:
        return token == _THIS_PROCESS

    # ------------------------------------------------------------------ namespaces

    def __len__(self) -> int:
        with self._reading() as (_, space):
            return len(space.slots)

    def _keys(self, prefix: str) -> Iterator[str]:
        with self._reading() as (_, space):
            return iter([key for key in space.slots if key.startswith(prefix)])

    def clear(self) -> None:
        with self._writing() as (arena, space):
            for slot in list(space.slots.values()):
                space.unlink(slot)
                arena.deletes += 1

    def namespace(
        self,
        name: str,
        *,
        ttl: Ttl = DEFAULT,
        max_keys: int | Default = DEFAULT,
        eviction: str | Default = DEFAULT,
    ) -> MemoryStore:
        check_name(name, "namespace")
        arena = self._open()
        store = MemoryStore(arena, name, read_only=self._read_only, allow_pickle=self._allow_pickle)
        if self._read_only and ttl is DEFAULT and max_keys is DEFAULT and eviction is DEFAULT:
            store._must_exist()
        else:
            store._configure(parse_ttl(ttl), max_keys, eviction)
        return store

    def _must_exist(self) -> None:
        """A reader makes no namespaces, so it should learn at once that one is missing."""
        if self._namespace not in self.namespaces():
            raise StoreNotFound(f"there is no namespace {self._namespace!r} in {self._name!r}", name=self._namespace)

    def _configure(self, ttl: Seconds, max_keys: int | Default, eviction: str | Default) -> None:
        settings: dict[str, Any] = {"ttl": ttl}
        if max_keys is not DEFAULT:
            settings["max_keys"] = parse_max_keys(max_keys)
        if eviction is not DEFAULT:
            settings["eviction"] = parse_eviction(eviction)
        if ttl is DEFAULT or ttl is KEEP:
            del settings["ttl"]
        with self._writing() as (_, space):
            for field, value in settings.items():
                setattr(space, field, value)

    def namespaces(self) -> list[str]:
        arena = self._open()
        with arena.lock:
            return sorted(arena.spaces)

    def drop_namespace(self, name: str) -> bool:
        check_name(name, "namespace")
        arena = self._open(write=True)
        if name == "default":
            raise InvalidValue('the namespace "default" cannot be dropped, only cleared', name=name)
        with arena.lock:
            arena.sweep()
            space = arena.spaces.pop(name, None)
            if space is not None:
                arena.deletes += len(space.slots)
            return space is not None

    def stats(self) -> Stats:
        with self._reading() as (arena, _):
            spaces = {
                name: NamespaceStats(
                    *(len(space.slots), space.bytes, space.max_keys, space.ttl, space.eviction),
                    *(space.tree.nodes, space.tree.bytes),
                )
                for name, space in sorted(arena.spaces.items())
            }
            return Stats(
                capacity=arena.capacity,
                used=arena.used,
                entries=sum(space.entries for space in spaces.values()),
                hits=arena.hits,
                misses=arena.misses,
                sets=arena.sets,
                deletes=arena.deletes,
                expired=arena.expired,
                evicted=arena.evicted,
                retries=0,
                lock_waits=0,
                recoveries=0,
                processes=1,
                fields=sum(space.fields for space in spaces.values()) + arena.runs.nodes,
                namespaces=spaces,
            )
