"""Memory in arenas: `ArenaMemory`, and the names that processes have in the memory of runs."""

from __future__ import annotations

import re
from itertools import count

from . import _core
from .arena import KIND_BYTES, metadata_of
from .errors import KeyNotFound
from .memory.object import MemoryObject
from .memory.path import check_names, join, object_in_the_way, split, value_in_the_way

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from .arena import ArenaStore
    from .memory.path import Names
    from .records import Metadata

__all__ = ["ArenaMemory", "memory_of", "runs_of", "token_lives", "token_of"]

_TOKEN = re.compile(r"([0-9]{1,10})-([0-9]{1,10})", re.ASCII)
_REAP_EVERY = 256  # tokens: those who begin runs look after the dead

_asked = count(1)


class ArenaMemory(_core.Fields, MemoryObject):
    """An object of the memory of a namespace, or of the runs, in an arena; `ArenaStore.memory` makes them."""

    __slots__ = ()
    store: ArenaStore

    def _child(self, *names: str) -> ArenaMemory:
        return _handle(self.store, self.kind, check_names((*self._names, *names)))

    def _conflict(self, names: Names, status: str) -> None:
        """Raise for a status that is about what lies on a path."""
        if status == "IS_OBJECT":
            raise object_in_the_way(names)
        if status == "NOT_OBJECT":
            root = _handle(self.store, self.kind, ())
            for depth in range(1, len(names)):
                found = root._metadata(join(names[:depth]), 0)
                if found is not None and found[-1] is not None:
                    raise value_in_the_way(names[:depth])
            raise value_in_the_way(names)

    def metadata(self, path: str = "") -> Metadata:
        """Size, times, version and type of a field ("object" for an object). Raises `KeyNotFound`, also for the root."""
        found = self._metadata(path, KIND_BYTES)
        if found is None:
            key = join(split(path, self._names))
            raise KeyNotFound(f"there is nothing at {key!r}", key=key, name=self.store.name)
        return metadata_of(found)

    def _get_encoded(self, path: str) -> tuple[bytes, Metadata] | None:
        found = self._get_bytes(path)
        return None if found is None else (found[-1], metadata_of(found))

    __reduce__ = MemoryObject.__reduce__  # before the extension type's, which refuses


def _handle(store: ArenaStore, kind: str, names: Names) -> ArenaMemory:
    made = ArenaMemory.__new__(ArenaMemory)
    made._settle(store, kind, names)
    return made


def memory_of(store: ArenaStore, path: str) -> ArenaMemory:
    """The object at this path of the memory of the store's namespace. Raises `InvalidKey`."""
    return _handle(store, "short_term", split(path))


def runs_of(store: ArenaStore) -> ArenaMemory:
    """The root of the memory of runs."""
    return _handle(store, "sensory", ())


def token_of(store: ArenaStore) -> str:
    """The name of this process in the memory of runs; what is under it goes when the process leaves, or has died."""
    if next(_asked) % _REAP_EVERY == 0:
        store._reap()
    slot, generation = store._process()
    return f"{slot}-{generation}"


def token_lives(store: ArenaStore, token: str) -> bool:
    """Whether the process of that name still uses the arena. What a dead one left is removed."""
    match = _TOKEN.fullmatch(token)
    if match is None or max(int(match[1]), int(match[2])) >= 1 << 32:
        return False
    alive = store._process_lives(int(match[1]), int(match[2]))
    if not alive and not store.read_only:
        store._reap()
    return alive
