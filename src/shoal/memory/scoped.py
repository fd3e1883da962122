"""`ScopedMemory`: a memory for one agent, who can only see and change what it was given; see `shoal.scope`.

A value takes the right on its own path. An object shows itself if its path, or anything that can lie below it,
may be read; the objects on the way to a field that may be written are made without a right of their own. To remove
or replace an object takes the right to write all that can ever lie below it, whether it is there or not. (What is at a
path is looked at just before; who puts a value where an object was in between may see it removed.)

What a run begun through a scope has in its sensory memory is its own, whatever the scope allows. Other runs are
closed to it, also by reference, until they have ended: then there is nothing, and that may be known. A memory object
of a run that is sent to another process keeps its right on that run; a scope that is sent does not.
"""

from __future__ import annotations

from ..errors import AccessDenied
from ..options import DEFAULT, MISSING
from ..rights import Allowed, Matching, Rights, Within
from .object import MemoryObject
from .path import escape, join, split

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from typing import Any

    from ..options import Keep, Seconds, Ttl
    from ..records import Metadata
    from ..scope import ScopedStore
    from ..store import Store
    from .path import Names
    from .ref import MemoryRef

__all__ = ["ScopedMemory", "ScopedRuns"]


class ScopedMemory(MemoryObject):
    """The part of a memory that one agent was given; `ScopedStore.memory` makes it.

    Args:
        memory: The object beneath.
        scope: What it is reached through.
        rights: What may be read and written, by paths from the root of the memory.
    """

    __slots__ = ("_memory", "_path", "_read", "_rights", "_scope", "_write")

    def __init__(self, memory: MemoryObject, scope: ScopedStore, rights: Rights) -> None:
        self._memory = memory
        self._scope = scope
        self._rights = rights
        self._read = rights.read
        self._write = rights.write
        self._path = f"{memory.path}." if memory._names else ""

    # ------------------------------------------------------------------ the place

    @property
    def store(self) -> Store:
        """The scope."""
        return self._scope

    @property
    def kind(self) -> str:
        return self._memory.kind

    @property
    def read_only(self) -> bool:
        """Whether nothing may be written; the memory of its own run always may, unless the store is read-only."""
        return self._memory.read_only or (self.kind != "sensory" and self._scope.read_only)

    @property
    def _names(self) -> Names:
        return self._memory._names

    def _child(self, *names: str) -> MemoryObject:
        return ScopedMemory(self._memory._child(*names), self._scope, self._rights)

    def _scoped(self, found: Any) -> Any:
        """What was found, if it is an object, as part of this scope."""
        return self._child(*found._names[len(self._names) :]) if isinstance(found, MemoryObject) else found

    def _place(self) -> tuple[Any, ...]:
        return self._memory._place()

    def __repr__(self) -> str:
        try:
            return super().__repr__()
        except AccessDenied:
            return f"<MemoryObject {self.path!r} of {self._scope.url}: may not be read>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._memory, self._scope, self._rights)

    # ------------------------------------------------------------------ rights

    def _text(self, path: Any) -> str:
        """The whole path, as globs see it. `StoreClosed` if the scope is."""
        self._scope._open()
        split(path, self._names)  # raises what is wrong with it; there is one way to write a path
        if type(path) is not str:  # a subclass could be added otherwise
            path = str.__str__(path)
        return self._path + path if path else self._path[:-1]

    def _type(self, names: Names) -> str | None:
        # To decide what is allowed, and to tell a conflict from a field that may be written, takes no right.
        return self._memory._type(names)

    def _shows(self, text: str) -> bool:
        """Whether an object at this path may be seen. The root is always there."""
        return not text or self._read.allows(text) or self._read.allows_some_below(text)

    def _to_read(self, path: str) -> MemoryObject:
        """The object beneath, if what is at this path may be seen."""
        text = self._text(path)
        if not self._read.allows(text) and (
            not self._shows(text)
            or self._type(split(path)) not in (None, "object")  # a value takes more than an object
        ):
            raise self._read.denied(text)
        return self._memory

    def _to_change(self, path: str) -> MemoryObject:
        """The object beneath, for what tells as well as changes."""
        text = self._text(path)
        self._read.check(text)
        self._write.check(text)
        return self._memory

    def _check_write(self, path: str) -> None:
        text = self._text(path)
        if text:  # the root takes no value, as whoever tries will hear
            self._write.check(text)

    def _check_make(self, path: str, *, expires: bool) -> None:
        """Raise `AccessDenied` if there may be no object; one that expires takes along all that others put there."""
        text = self._text(path)
        if expires:
            self._write.check_all_below(text)
        elif not (self._write.allows(text) or self._write.allows_some_below(text)):
            raise self._write.denied(text)

    def _check_remove(self, path: str) -> None:
        """Raise `AccessDenied` if what is there, value or object, may not be removed."""
        allowed, text = self._write, self._text(path)
        value, tree = allowed.allows(text), allowed.allows_all_below(text)
        if not text:
            allowed.check_all_below(text)
        elif not value and not tree:
            raise allowed.denied(text)
        elif not value or not tree:
            kind = self._type(split(path))
            if kind == "object":
                allowed.check_all_below(text)
            elif kind is not None:
                allowed.check(text)

    def _check_replace(self, path: str) -> None:
        """As `_check_remove`; also of a value on the way, which makes room for an object."""
        self._check_remove(path)
        root, names = self._root(), split(path, self._names)
        for length in range(len(names) - 1, 0, -1):  # from the root on: the value may lie above this object
            text = join(names[:length])
            if not self._write.allows(text) and root._type(names[:length]) not in (None, "object"):
                raise self._write.denied(text)

    def _root(self) -> MemoryObject:
        store = self._memory.store
        return store._runs() if self.kind == "sensory" else store.memory()

    # ------------------------------------------------------------------ reading

    def get(self, path: str | MemoryRef, default: Any = None) -> Any:
        if not isinstance(path, str):
            return self._get_ref(path, default)
        text = self._text(path)
        if text == self._path[:-1]:
            return self
        if not self._shows(text):
            raise self._read.denied(text)
        found = self._memory.get(path, MISSING)
        if found is MISSING:
            return default
        if not isinstance(found, MemoryObject):
            self._read.check(text)
        return self._scoped(found)

    def get_versioned(self, path: str) -> tuple[Any, int]:
        value, version = self._to_read(path).get_versioned(path)
        if not isinstance(value, MemoryObject):
            self._read.check(self._text(path))
        return self._scoped(value), version

    def is_exist(self, path: str = "") -> bool:
        return self._to_read(path).is_exist(path)

    def ttl(self, path: str = "") -> float | None:
        return self._to_read(path).ttl(path)

    def metadata(self, path: str = "") -> Metadata:
        return self._to_read(path).metadata(path)

    def view(self, path: str) -> Any:
        return self._to_read(path).view(path)

    def _fields(self, path: str = "") -> list[tuple[str, bool]]:
        below = self._text(path)
        below = f"{below}." if below else ""
        return [
            (name, is_object)
            for name, is_object in self._to_read(path)._fields(path)
            if (self._shows if is_object else self._read.allows)(below + escape(name))
        ]

    def _get_encoded(self, path: str) -> tuple[bytes, Metadata] | None:
        return self._to_read(path)._get_encoded(path)

    # ------------------------------------------------------------------ writing

    def set(self, path: str, value: Any, *, overwrite: bool = False, ttl: Ttl = DEFAULT) -> MemoryRef:
        self._check_write(path)
        if overwrite:
            self._check_replace(path)
        return self._memory.set(path, value, overwrite=overwrite, ttl=ttl)

    def _set_encoded(self, path: str, data: bytes, ttl: Seconds, *, overwrite: bool = False) -> int:
        self._check_write(path)
        if overwrite:
            self._check_replace(path)
        return self._memory._set_encoded(path, data, ttl, overwrite=overwrite)

    def create_array(
        self, path: str, shape: int | tuple[int, ...], dtype: Any, *, ttl: Ttl = DEFAULT
    ) -> AbstractContextManager[Any]:
        self._check_write(path)
        return self._memory.create_array(path, shape, dtype, ttl=ttl)

    def new_object(self, path: str, overwrite: bool = False, *, ttl: Ttl = DEFAULT) -> MemoryObject:
        self._check_make(path, expires=ttl is not DEFAULT and ttl is not None)
        if overwrite:
            self._check_replace(path)
        made: MemoryObject = self._scoped(self._memory.new_object(path, overwrite, ttl=ttl))
        return made

    def delete(self, path: str = "") -> bool:
        self._check_remove(path)
        return self._memory.delete(path)

    def touch(self, path: str, ttl: Ttl) -> bool:
        self._check_remove(path)  # which is what it does when the time has come
        return self._memory.touch(path, ttl)

    def compare_and_set(self, path: str, value: Any, version: int, *, ttl: Ttl | Keep = DEFAULT) -> bool:
        return self._to_change(path).compare_and_set(path, value, version, ttl=ttl)

    def incr(self, path: str, by: int | float = 1, *, initial: int | float = 0, ttl: Ttl = DEFAULT) -> int | float:
        return self._to_change(path).incr(path, by, initial=initial, ttl=ttl)

    def modify(self, path: str, fn: Callable[[Any], Any], default: Any = MISSING) -> Any:
        # Checked here as well as at each step, so that fn is not called in vain.
        return self._to_change(path).modify(path, fn, default)

    # ------------------------------------------------------------------ whole subtrees

    def from_dict(self, mapping: Mapping[str, Any]) -> None:
        """As `MemoryObject.from_dict`; `AccessDenied` to who may not write all that can lie below."""
        self._write.check_all_below(self._text(""))
        self._memory.from_dict(mapping)

    def clear(self) -> None:
        """Remove all fields; `AccessDenied` to who may not write all that can lie below."""
        self._write.check_all_below(self._text(""))
        self._memory.clear()

    def _plan(self, mapping: Mapping[str, Any]) -> dict[Names, bytes | None]:
        plan = super()._plan(mapping)
        for names, data in plan.items():
            path = join(names)
            if data is None:
                self._check_make(path, expires=False)
            else:
                self._check_write(path)
        return plan


class ScopedRuns(ScopedMemory):
    """The root of the memory of runs: closed, but for runs that the scope has begun and as long as they last.

    Args:
        memory: The root beneath.
        scope: What it is reached through.
    """

    __slots__ = ()

    def __init__(self, memory: MemoryObject, scope: ScopedStore) -> None:
        super().__init__(memory, scope, Rights(_Runs("read", scope, memory), _Runs("write", scope, None)))

    def __reduce__(self) -> tuple[Any, ...]:
        return _runs_of, (self._scope,)

    def _child(self, *names: str) -> MemoryObject:
        begun = self._scope._begun
        rights = begun.get(names[:2])
        if len(names) == 2 and rights is None:  # so a run begins
            rights = begun[names] = _within(join(names))
        return ScopedMemory(self._memory._child(*names), self._scope, rights or _nothing())


class _Runs(Allowed):
    """What lies in the memory of the runs that a scope has begun.

    Args:
        verb: What may be done with it.
        scope: The scope.
        memory: The memory of all runs, if there may be asked for runs that have nothing there, too.
    """

    __slots__ = ("_memory", "_scope")

    def __init__(self, verb: str, scope: ScopedStore, memory: MemoryObject | None) -> None:
        super().__init__(verb)
        self._scope = scope
        self._memory = memory

    def allows(self, text: str) -> bool:
        run = split(text)[:2]
        return run in self._scope._begun or (self._memory is not None and not self._memory.is_exist(join(run)))

    def allows_some_below(self, path: str) -> bool:
        return self.allows(path)

    def allows_all_below(self, path: str) -> bool:
        return self.allows(path)

    def __str__(self) -> str:
        return "the memory of the runs that were begun through it"


def _runs_of(scope: Store) -> MemoryObject:
    return scope._runs()


def _within(path: str) -> Rights:
    return Rights(Within("read", path), Within("write", path))


def _nothing() -> Rights:
    return Rights(Matching("read", ((),)), Matching("write", ((),)))
