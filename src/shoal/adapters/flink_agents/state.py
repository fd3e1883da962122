"""Where a memory's fields are: `State`, and `MappingState`, which keeps them in a mapping that it was given.

Paths count from the root and are names joined by dots; "" is the root. A name may be empty or any text without dots.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from threading import RLock
from typing import TYPE_CHECKING, Any

from ...options import MISSING

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["OBJECT", "MappingState", "State", "is_no_object", "is_object"]

OBJECT = object()
"""What `State.get` gives for an object."""


def is_object(path: str) -> ValueError:
    """The error of who would put a value where an object is."""
    return ValueError(f"Cannot overwrite object field '{path}' with primitive.")


def is_no_object(path: str) -> ValueError:
    """The error of who would put an object where a value is."""
    return ValueError(f"Field '{path}' exists but is not object.")


class State(ABC):
    """Fields by their paths. A value on the way to a field makes room for an object, as in the original."""

    __slots__ = ()

    @abstractmethod
    def get(self, path: str) -> Any:
        """The value; `OBJECT`; `MISSING`."""

    @abstractmethod
    def exists(self, path: str) -> bool:
        """Whether there is a value or an object."""

    @abstractmethod
    def set(self, path: str, value: Any) -> None:
        """Write a value. Raises what `is_object` makes."""

    @abstractmethod
    def new_object(self, path: str, *, overwrite: bool) -> None:
        """See to it that there is an object; one that is there stays. Raises what `is_no_object` makes."""

    @abstractmethod
    def names(self, path: str) -> list[str]:
        """The names of an object's fields, sorted; none if there is no object."""


class _Object:
    """What stands for an object in a mapping."""

    __slots__ = ("names",)

    def __init__(self) -> None:
        self.names: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"<object: {', '.join(self.names)}>"


# One lock for all mappings: a dict has no place for a lock of its own, and nothing below it takes long.
_lock = RLock()


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may hold the old one, and is not in the child
    _lock = RLock()


os.register_at_fork(after_in_child=_renew_lock)


class MappingState(State):
    """Fields as entries of a mapping, by their paths; nothing is anywhere else, so who clears it clears the memory.

    Threads may share it. Processes that share a mapping (a shelf, say) would lose updates: a
    change is several entries.

    Args:
        mapping: Where they are.
    """

    __slots__ = ("_mapping",)

    def __init__(self, mapping: MutableMapping[str, Any]) -> None:
        self._mapping = mapping
        with _lock:
            if "" not in mapping:
                mapping[""] = _Object()

    def get(self, path: str) -> Any:
        found = self._mapping.get(path, MISSING)
        return OBJECT if isinstance(found, _Object) or (found is MISSING and not path) else found

    def exists(self, path: str) -> bool:
        return not path or path in self._mapping

    def set(self, path: str, value: Any) -> None:
        with _lock:
            if self.get(path) is OBJECT:
                raise is_object(path)
            self._make_way(path)
            self._mapping[path] = value

    def new_object(self, path: str, *, overwrite: bool) -> None:
        with _lock:
            found = self.get(path)
            if found is OBJECT:
                return
            if found is not MISSING and not overwrite:
                raise is_no_object(path)
            self._make_way(path)
            self._mapping[path] = _Object()

    def names(self, path: str) -> list[str]:
        with _lock:
            found = self._mapping.get(path)
            return sorted(found.names) if isinstance(found, _Object) else []

    def _make_way(self, path: str) -> None:
        """Make all above it objects that know of it."""
        names = path.split(".")
        for depth, name in enumerate(names):
            above = ".".join(names[:depth])
            found = self._mapping.get(above)
            if not isinstance(found, _Object):
                found = _Object()
            elif name in found.names:
                continue
            found.names[name] = None
            self._mapping[above] = found  # also if it was there: a mapping may have given us a copy
