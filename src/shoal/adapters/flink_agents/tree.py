"""`TreeState`: a memory's fields as fields of a memory of a Shoal store, where all processes share them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import AccessDenied, KeyNotFound, PathConflict
from ...memory.object import MemoryObject
from ...memory.path import join, split
from ...options import MISSING
from .state import OBJECT, State, is_no_object, is_object

if TYPE_CHECKING:
    from .ttl import StateTtl

__all__ = ["TreeState"]

# Names that a memory of Shoal does not have are written with a NUL in front: "" as one NUL, one that begins with a NUL as
# itself after another. So this is nobody's name.
_PEG = "\0peg"
_PEG_SECONDS = 60.0  # a peg is pulled out at once, unless its process is killed
_AT_ONCE = 1e-9


class TreeState(State):
    """Fields of a memory of Shoal. Every change is one atomic operation there, or several that can be told apart from none.

    A *peg* is a field that nobody sees: setting it makes an object of whatever its place is, and leaves an object that is
    there as it is. So of two processes that turn one value into an object, neither undoes what the other put into it.

    Args:
        memory: The root.
        ttl: How long fields live; None: as long as the namespace says.
    """

    __slots__ = ("_depth", "_ended", "_memory", "_ttl")

    def __init__(self, memory: MemoryObject, ttl: StateTtl | None = None) -> None:
        self._memory = memory
        self._ttl = ttl
        self._depth = len(split(memory.path))
        self._ended = False

    def __reduce__(self) -> tuple[Any, ...]:
        return TreeState, (self._memory, self._ttl)

    # ------------------------------------------------------------------ reading

    def get(self, path: str) -> Any:
        place = _place(path)
        if self._ttl is not None and place:
            return self._get_living(place, self._ttl)
        found = self._memory.get(place, MISSING)
        return OBJECT if isinstance(found, MemoryObject) else found

    def exists(self, path: str) -> bool:
        if self._ttl is not None:
            return self.get(path) is not MISSING  # counts as reading, as in the original
        return not path or self._memory.is_exist(_place(path))

    def names(self, path: str) -> list[str]:
        found = self._memory.get(_place(path), MISSING) if path else self._memory
        if not isinstance(found, MemoryObject):
            return []
        names = (split(name)[0] for name in found.get_field_names())
        return sorted(_name(name) for name in names if name != _PEG)

    def _get_living(self, place: str, ttl: StateTtl) -> Any:
        try:
            found, version = self._memory.get_versioned(place)
            left = self._memory.ttl(place)
        except KeyNotFound:
            return MISSING
        try:
            return self._read(place, ttl, found, version, left)
        except AccessDenied:  # who may only read leaves everything its time
            return OBJECT if isinstance(found, MemoryObject) else found

    def _read(self, place: str, ttl: StateTtl, found: Any, version: int, left: float | None) -> Any:
        """What was found, after what reading it brings about."""
        if isinstance(found, MemoryObject):
            if ttl.on_read:
                self._memory.touch(f"{place}.{_PEG}", ttl.kept)
            return OBJECT
        if left is not None and left <= ttl.grace:
            # Expired: it is given to one reader, and gone for the others. Whoever writes meanwhile wins.
            gone = self._memory.compare_and_set(place, None, version, ttl=_AT_ONCE)
            return found if gone else self._get_living(place, ttl)
        if ttl.on_read and left is not None:  # None: somebody has set it to stay
            self._touch(place, ttl)
        return found

    def _touch(self, place: str, ttl: StateTtl) -> None:
        """Let a value live on. An object that took its place meanwhile must not expire with all that is in it."""
        self._memory.touch(place, ttl.kept)
        try:
            if self._memory.metadata(place).type == "object":
                self._memory.touch(place, None)
        except KeyNotFound:
            pass

    # ------------------------------------------------------------------ writing

    def end(self) -> None:
        """Refuse to write from now on: nobody would remove it."""
        self._ended = True

    def _check(self) -> None:
        if self._ended:
            raise RuntimeError("the context that this memory belongs to was closed")

    def set(self, path: str, value: Any) -> None:
        self._check()
        if not path:
            raise is_object(path)
        place = _place(path)
        pegged = ""
        while True:
            try:
                if self._ttl is None:
                    self._memory.set(place, value)
                else:
                    self._memory.set(place, value, ttl=self._ttl.kept)
                break
            except PathConflict as conflict:
                if self._type(place) == "object":
                    raise is_object(path) from None
                pegged = _above(place)
                self._peg(pegged, conflict)
        if pegged:
            self._memory.delete(_inside(pegged))

    def new_object(self, path: str, *, overwrite: bool) -> None:
        self._check()
        if not path:
            return
        place = _place(path)
        pegged = ""
        while True:
            try:
                self._make(place)
                break
            except PathConflict as conflict:
                if not overwrite and self._type(place) not in (None, "object"):
                    raise is_no_object(path) from None
                pegged = place if overwrite else _above(place)
                self._peg(pegged, conflict)
        if pegged and self._ttl is None:
            self._memory.delete(_inside(pegged))

    def _make(self, place: str) -> None:
        if self._ttl is None:
            self._memory.new_object(place, ttl=None)
        else:  # an object goes with the last of its fields, and this is one
            self._memory.set(_inside(place), None, ttl=self._ttl.kept)

    def _type(self, place: str) -> str | None:
        """The type of what is there now; None if there is nothing. A conflict's key is of another moment."""
        try:
            return self._memory.metadata(place).type
        except KeyNotFound:
            return None

    def _peg(self, place: str, conflict: PathConflict) -> None:
        """Make an object of this place, and of all above it in this memory."""
        if len(split(conflict.key)) <= self._depth:
            raise conflict  # the root of this memory is somebody else's value
        if place:  # else what was in the way has gone
            self._memory.set(_inside(place), None, overwrite=True, ttl=_PEG_SECONDS)


def _place(path: str) -> str:
    """The path in the memory of Shoal."""
    if not path:
        return ""
    if "\\" in path or "\0" in path or f".{path}.".find("..") >= 0:
        return join(f"\0{name}" if not name or name[0] == "\0" else name for name in path.split("."))
    return path


def _name(name: str) -> str:
    return name[1:] if name[0] == "\0" else name


def _above(place: str) -> str:
    return join(split(place)[:-1])


def _inside(place: str) -> str:
    return f"{place}.{_PEG}"
