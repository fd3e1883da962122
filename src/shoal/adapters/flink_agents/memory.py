"""`LocalMemoryObject`: the original's class over a mapping, as there, or over a Shoal store."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, ClassVar

import shoal

from ...errors import InvalidValue
from ...memory.object import MemoryObject as ShoalMemory
from ...options import MISSING
from .bases import MemoryObject, MemoryRef, MemoryType, validate_memory_value
from .state import OBJECT, MappingState, State
from .tree import TreeState
from .ttl import StateTtl

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = ["LocalMemoryObject"]

_NESTED = "NestedObject"  # what get_fields shows for an object


class LocalMemoryObject(MemoryObject):
    """An object of named fields. Paths are relative to it: names joined by dots; "" is the object itself.

    Handles on one `store` show the same memory. Over a Shoal store that is so in all processes, each call is atomic, a
    value that is read is a copy, and a handle can be pickled if its store can be. Over a mapping a value is the very object
    that was set.

    Args:
        type: What its references say: sensory or short-term.
        store: Where the fields are: a mapping; a Shoal store or its URL (the memory of its namespace); or a memory object
            of Shoal (that part of a memory); or what another handle has.
        prefix: The path of this object.
        any_value: Whether any value is accepted that the store can keep, instead of what the original's checkpoints keep.
        ttl: How long fields live: seconds, a `StateTtl`, or a configuration. Not over a mapping.

    Raises:
        TypeError: `store` is none of these.
        ValueError: A ttl over a mapping, or one that is none.
    """

    ROOT_KEY: ClassVar[str] = ""

    _type: MemoryType
    _state: State
    _prefix: str
    _any_value: bool

    def __init__(
        self,
        type: MemoryType,
        store: MutableMapping[str, Any] | shoal.Store | ShoalMemory | State | str | None,
        prefix: str = ROOT_KEY,
        *,
        any_value: bool = False,
        ttl: StateTtl | float | timedelta | Any = None,
    ) -> None:
        super().__init__()
        self._type = type
        self._state = _state_of(store, StateTtl.of(ttl))
        self._prefix = prefix
        self._any_value = any_value

    def get(self, path_or_ref: str | MemoryRef | dict[str, Any]) -> Any:
        """The value; a `LocalMemoryObject` if it is an object; None if there is nothing.

        A `MemoryRef`, or the dict that JSON made of one, counts from the root, whatever this object is.
        """
        path = self._absolute(path_or_ref)
        found = self._state.get(path)
        if found is OBJECT:
            return self._handle(path)
        return None if found is MISSING else found

    def set(self, path: str, value: Any) -> MemoryRef:
        """Write a field, make the objects on the way to it, and return a reference. A dict is one value.

        Raises:
            ValueError: There is an object.
            TypeError: A value that is not accepted; nothing has changed.
        """
        if not self._any_value:
            validate_memory_value(path, value)
        elif isinstance(value, MemoryObject):
            raise TypeError(f"the value for {path!r} is a MemoryObject; make objects with new_object(...)")
        full = self._full(path)
        self._state.set(full, value)
        return MemoryRef.create(self._type, full)

    def new_object(self, path: str, *, overwrite: bool = False) -> LocalMemoryObject:
        """See to it that there is an object, and return it. One that is there stays as it is.

        Raises:
            ValueError: There is a value, and `overwrite` does not say that an object should take its place.
        """
        full = self._full(path)
        self._state.new_object(full, overwrite=overwrite)
        return self._handle(full)

    def is_exist(self, path: str) -> bool:
        """Whether there is a value, None included, or an object."""
        return self._state.exists(self._full(path))

    def get_field_names(self) -> list[str]:
        """The names of this object's fields, sorted; none if it is gone, or no object."""
        return self._state.names(self._prefix)

    def get_fields(self) -> dict[str, Any]:
        """This object's fields by their names; an object is shown as "NestedObject"."""
        fields = {}
        for name in self.get_field_names():
            found = self._state.get(f"{self._prefix}.{name}" if self._prefix else name)
            if found is not MISSING:  # else it went meanwhile
                fields[name] = _NESTED if found is OBJECT else found
        return fields

    def __repr__(self) -> str:
        return f"<LocalMemoryObject {self._prefix!r}: {', '.join(self.get_field_names()) or 'no fields'}>"

    def _handle(self, path: str) -> LocalMemoryObject:
        return LocalMemoryObject(self._type, self._state, path, any_value=self._any_value)

    def _full(self, path: str) -> str:
        if not isinstance(path, str):
            raise InvalidValue(f"a path must be a str, not {type(path).__name__}")
        return f"{self._prefix}.{path}" if path and self._prefix else path or self._prefix

    def _absolute(self, path: str | MemoryRef | dict[str, Any]) -> str:
        if isinstance(path, MemoryRef):
            return path.path
        if isinstance(path, dict) and isinstance(path.get("path"), str):
            return str(path["path"])
        return self._full(path)  # type: ignore[arg-type]  # it names what is wrong with other types


def _state_of(store: Any, ttl: StateTtl | None) -> State:
    if isinstance(store, State):
        return store
    if isinstance(store, str):
        store = shoal.open(store)
    if isinstance(store, shoal.Store):
        store = store.memory()
    if isinstance(store, ShoalMemory):
        return TreeState(store, ttl)
    if store is not None and not isinstance(store, MutableMapping):
        raise InvalidValue(f"memory lies in a mapping or in a Shoal store, not in {type(store).__name__}")
    if ttl is not None:
        raise ValueError("fields of a mapping do not expire: a ttl needs a Shoal store, for example 'memory://'")
    return MappingState({} if store is None else store)
