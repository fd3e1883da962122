"""`MemoryObject`: a handle on an object of a memory, and through it on the fields below.

A backend subclasses it and implements the abstract methods. Each of these is atomic on its own across every thread and
process that shares the store; what can be built from them is built here, once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from ..errors import InvalidValue, KeyNotFound, KeyTypeError
from ..options import DEFAULT, KEEP, MISSING
from .path import check_names, escape, join, object_in_the_way, split, value_in_the_way

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable, ItemsView, Iterable, Iterator, ValuesView
    from contextlib import AbstractContextManager
    from typing import Any

    from ..options import Keep, Seconds, Ttl
    from ..records import Metadata
    from ..store import Store
    from .path import Names
    from .ref import MemoryRef

__all__ = ["MemoryObject"]

_SHOWN_FIELDS = 8  # in a repr


class MemoryObject(ABC):
    """A place in a memory: fields that are values, or objects with fields of their own.

    Paths are relative to this object: names joined by dots (`shoal.memory.path` has the details), "" for the object itself.
    A handle is cheap and nothing needs to be at its place; objects are made when a field is set below them. Each field
    is an entry of its own, so those who write different fields of one object never undo each other's work.

    Arguments named `ttl` are seconds (a number or a `datetime.timedelta`); None means that the field never expires,
    leaving it out means the namespace's default. An object that expires takes all that is below it along. Objects made on the
    way to a field, or of a dict, do not expire by themselves; some time after the last of its fields has expired, such an
    object goes, unless `new_object` has asked for it meanwhile.

    A path that is malformed is `InvalidKey`, one that is not a str is `KeyTypeError`.
    """

    __slots__ = ()

    _no_value = "a MemoryObject is no value: store its to_dict(), or a MemoryRef"

    # ------------------------------------------------------------------ the place

    @property
    @abstractmethod
    def store(self) -> Store:
        """The store that this was made from: shared, not owned."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """Which memory: "short_term", that of a namespace, or "sensory", that of a run."""

    @property
    @abstractmethod
    def _names(self) -> Names:
        """The names that lead here from the root, as they are."""

    @abstractmethod
    def _child(self, *names: str) -> MemoryObject:
        """A handle further down; the names as they are, not as a path. Raises `InvalidKey`."""

    @property
    def path(self) -> str:
        """Where this is, from the root of the memory on; "" is the root."""
        return join(self._names)

    @property
    def namespace_name(self) -> str:
        """The name of the namespace that this handle reads and writes."""
        return self.store.namespace_name

    @property
    def read_only(self) -> bool:
        """Whether writing raises `AccessDenied`."""
        return self.store.read_only

    # ------------------------------------------------------------------ primitives: reading

    @abstractmethod
    def get(self, path: str | MemoryRef, default: Any = None) -> Any:
        """The value there; a `MemoryObject` if it is an object; `default` if there is nothing, also below a value.

        Of a `MemoryRef` (or what JSON made of one: a list, tuple or dict) the path counts from the root of the memory
        that it was made in. `get("")` is this object itself.
        """

    @abstractmethod
    def get_versioned(self, path: str) -> tuple[Any, int]:
        """What `get` gives and the version it has, of one and the same moment. Raises `KeyNotFound`."""

    @abstractmethod
    def is_exist(self, path: str = "") -> bool:
        """Whether there is a value or an object. The root is always there."""

    @abstractmethod
    def ttl(self, path: str = "") -> float | None:
        """The seconds left, or None if this field does not expire by itself. Raises `KeyNotFound`."""

    @abstractmethod
    def metadata(self, path: str = "") -> Metadata:
        """Size, times, version and type of a field ("object" for an object). Raises `KeyNotFound`, also for the root."""

    @abstractmethod
    def view(self, path: str) -> Any:
        """A read-only `numpy.ndarray` (arrays) or `memoryview` (bytes, str) of the value, without a copy.

        It stays as it is as long as it lives, whatever happens to the field.

        Raises:
            KeyNotFound: There is nothing.
            InvalidValue: The value has another type, or it is an object.
        """

    @abstractmethod
    def _fields(self, path: str = "") -> list[tuple[str, bool]]:
        """The names (as they are) of the fields of the object there, each with whether it is an object; in any order.

        Nothing if there is no object.
        """

    @abstractmethod
    def _get_encoded(self, path: str) -> tuple[bytes, Metadata] | None:
        """The value's encoded bytes with the metadata of the same moment; None if there is no value."""

    # ------------------------------------------------------------------ primitives: writing

    @abstractmethod
    def set(self, path: str, value: Any, *, overwrite: bool = False, ttl: Ttl = DEFAULT) -> MemoryRef:
        """Write a field, and make the objects on the way to it, all at once. A dict is one value; see `update`.

        Raises:
            PathConflict: An object is there, or a value is on the way. With `overwrite` they make room instead: a subtree
                goes at once. For "" always: this is an object.
            InvalidValue: The value cannot be stored; a `MemoryObject` never can. Nothing has changed.
        """

    @abstractmethod
    def new_object(self, path: str, overwrite: bool = False, *, ttl: Ttl = DEFAULT) -> MemoryObject:
        """See to it that there is an object, and return it. One that is there stays as it is.

        With `overwrite` it is a new, empty one whatever was there. Raises `PathConflict` without, if a value is
        there or on the way.
        """

    @abstractmethod
    def delete(self, path: str = "") -> bool:
        """Remove a value, or an object with all that is below it, at once; whether there was one.

        "" is this object itself; of the root, all that is in it (there the objects go one after the other).
        """

    @abstractmethod
    def compare_and_set(self, path: str, value: Any, version: int, *, ttl: Ttl | Keep = DEFAULT) -> bool:
        """Write the value only if it still has this version; version 0 means that nothing must be there.

        `shoal.options.KEEP` leaves an existing field's expiry as it is. Raises as `set` without `overwrite`.
        """

    @abstractmethod
    def incr(self, path: str, by: int | float = 1, *, initial: int | float = 0, ttl: Ttl = DEFAULT) -> int | float:
        """Add to the number there, or to `initial` if there is none, as `Store.incr`. Raises `PathConflict` as `set`."""

    @abstractmethod
    def touch(self, path: str, ttl: Ttl) -> bool:
        """Give a field a new time to live, from now; whether there was one. The root takes none.

        Neither value nor version change.
        """

    @abstractmethod
    def create_array(
        self, path: str, shape: int | tuple[int, ...], dtype: Any, *, ttl: Ttl = DEFAULT
    ) -> AbstractContextManager[Any]:
        """A context manager whose block gets a new array to fill, which is set when it ends. See `Store.create_array`.

        Raises `PathConflict` as `set` without `overwrite`, at the latest when the block ends.
        """

    @abstractmethod
    def _set_encoded(self, path: str, data: bytes, ttl: Seconds, *, overwrite: bool = False) -> int:
        """As `set`, with a value that is encoded and a ttl that is parsed already. The result is the version."""

    # ------------------------------------------------------------------ references

    def _get_ref(self, ref: Any, default: Any) -> Any:
        """What `get` does with a path that is not text."""
        from .ref import MemoryRef

        try:
            found = MemoryRef.of(ref)
        except InvalidValue as error:
            raise KeyTypeError(
                f"a path must be a str or a MemoryRef, not {type(ref).__name__}: {error}", key=ref
            ) from None
        memory = found._memory(self.store)
        return default if memory is None else memory.get(found.path, default)

    # ------------------------------------------------------------------ as a mapping

    def __getitem__(self, path: str | MemoryRef) -> Any:
        value = self.get(path, MISSING)
        if value is MISSING:
            key = join(split(path, self._names)) if isinstance(path, str) else path
            raise KeyNotFound(f"there is nothing at {key!r}", key=key)
        return value

    def __setitem__(self, path: str, value: Any) -> None:
        self.set(path, value)

    def __delitem__(self, path: str) -> None:
        if not self.delete(path):
            key = join(split(path, self._names))
            raise KeyNotFound(f"there is nothing at {key!r}", key=key)

    def __contains__(self, path: object) -> bool:
        return self.is_exist(path)  # type: ignore[arg-type]  # it names what is wrong with other types

    def __iter__(self) -> Iterator[str]:
        return iter(self.get_field_names())

    def __len__(self) -> int:
        return len(self._fields())

    def __bool__(self) -> bool:
        return True  # a handle is always something, whatever is at its place

    def get_field_names(self) -> list[str]:
        """The names of this object's fields, sorted, each as a path: one with a dot is escaped."""
        return sorted(escape(name) for name, _ in self._fields())

    def get_fields(self) -> dict[str, Any]:
        """This object's fields by their names as `get_field_names` has them: values, and objects as `MemoryObject`."""
        found = {}
        for name in self.get_field_names():
            value = self.get(name, MISSING)
            if value is not MISSING:  # else it went meanwhile
                found[name] = value
        return found

    def keys(self) -> list[str]:
        """As `get_field_names`."""
        return self.get_field_names()

    def values(self) -> ValuesView[Any]:
        """The values of `get_fields`."""
        return self.get_fields().values()

    def items(self) -> ItemsView[str, Any]:
        """The items of `get_fields`."""
        return self.get_fields().items()

    # ------------------------------------------------------------------ whole subtrees

    def to_dict(self) -> dict[str, Any]:
        """All that is below, as plain dicts within dicts; names are as they are, an empty object is {}.

        Fields are read one after the other: what others write meanwhile may or may not be in it.
        """
        found = {}
        for name, is_object in sorted(self._fields()):
            value = self._child(name) if is_object else self.get(escape(name), MISSING)
            if isinstance(value, MemoryObject):
                value = value.to_dict()
            if value is not MISSING:
                found[name] = value
        return found

    def update(
        self, other: Mapping[str, Any] | Iterable[tuple[str, Any]] | MemoryObject = (), /, **fields: Any
    ) -> None:
        """Set fields by a mapping, pairs, another object, and keyword arguments; dicts in it are objects, and merged.

        Names are as they are, not paths: what `to_dict` gave. All is encoded, and checked against what is
        there, before the first write; then the fields are set one after the other, with the namespace's default ttl.

        Raises:
            PathConflict: A value is where a dict would go, or an object where a value would go. Nothing has changed
                (unless that came there meanwhile).
            InvalidKey: A name or the depth is not allowed. Nothing has changed.
            InvalidValue: A value cannot be stored. Nothing has changed.
        """
        plan = self._plan(_merged(other, fields))
        new: set[Names] = set()  # objects that are not there: neither is anything below them
        for names, data in plan.items():
            found = None if names[:-1] in new else self._type(names)
            if data is None and found is None:
                new.add(names)
            elif data is None and found != "object":
                raise value_in_the_way((*self._names, *names))
            elif data is not None and found == "object":
                raise object_in_the_way((*self._names, *names))
        empty = _empty(plan)
        for names, data in plan.items():
            if data is not None:
                self._set_encoded(join(names), data, DEFAULT)
            elif names in empty:
                self.new_object(join(names), ttl=None)

    def from_dict(self, mapping: Mapping[str, Any]) -> None:
        """Make the fields of this object exactly these; dicts in it are objects. The opposite of `to_dict`.

        All is encoded before the first write; then fields are set, and after that others removed, one after the other.

        Raises:
            PathConflict: A value is at the place of this object, or above it.
            InvalidKey: A name or the depth is not allowed. Nothing has changed.
            InvalidValue: A value cannot be stored. Nothing has changed.
        """
        plan = self._plan(_merged(mapping, {}))
        if self._names:
            self.new_object("", ttl=None)
        empty = _empty(plan)
        for names, data in plan.items():
            if data is not None:
                self._set_encoded(join(names), data, DEFAULT, overwrite=True)
            elif names in empty and self._type(names) != "object":
                self.new_object(join(names), overwrite=True, ttl=None)
        for above in [(), *(names for names, data in plan.items() if data is None)]:
            for name, _ in self._fields(join(above)):
                if (*above, name) not in plan:
                    self.delete(join((*above, name)))

    def clear(self) -> None:
        """Remove all fields, one after the other. The object itself stays."""
        for name, _ in self._fields():
            self.delete(escape(name))

    def modify(self, path: str, fn: Callable[[Any], Any], default: Any = MISSING) -> Any:
        """Replace a value by `fn(value)`, atomically; the result is the new value. Otherwise as `Store.modify`.

        Raises:
            KeyNotFound: There is nothing, and no `default`.
            PathConflict: It is an object, or below a value.
        """
        while True:
            try:
                value, version = self.get_versioned(path)
            except KeyNotFound:
                if default is MISSING:
                    raise
                value, version = default, 0
            if isinstance(value, MemoryObject):
                raise object_in_the_way(value._names)
            changed = fn(value)
            if self.compare_and_set(path, changed, version, ttl=KEEP):
                return changed

    def _plan(self, mapping: Mapping[str, Any]) -> dict[Names, bytes | None]:
        """What is to be set, by names: encoded values, None for objects; an object comes before its fields."""
        plan: dict[Names, bytes | None] = {}
        waiting: list[tuple[Names, Mapping[str, Any]]] = [((), mapping)]
        while waiting:
            above, fields = waiting.pop()
            for name, value in fields.items():
                if not isinstance(name, str):
                    raise KeyTypeError(f"the name of a field must be a str, not {type(name).__name__}", key=name)
                names = (*above, str.__str__(name))
                check_names((*self._names, *names))
                if isinstance(value, dict):
                    plan[names] = None
                    waiting.append((names, value))
                else:
                    plan[names] = self.store._encode(value)
        return plan

    def _type(self, names: Names) -> str | None:
        """The type of what is there; None if there is nothing."""
        try:
            return self.metadata(join(names)).type
        except KeyNotFound:
            return None

    # ------------------------------------------------------------------ for people

    def render(self, max_depth: int | None = None) -> str:
        """The tree of fields as text: a line for each, with its value in short."""
        from .tree import render

        return render(self, max_depth)

    def __repr__(self) -> str:
        place = f"{self.path!r} of {self.store.url}"
        if self.store.closed:
            return f"<MemoryObject {place} (closed)>"
        names = self.get_field_names()
        shown = ", ".join(names[:_SHOWN_FIELDS]) or "no fields"
        more = f", and {len(names) - _SHOWN_FIELDS} more" if len(names) > _SHOWN_FIELDS else ""
        return f"<MemoryObject {place}: {shown}{more}>"

    # ------------------------------------------------------------------ the handle

    def _place(self) -> tuple[Any, ...]:
        """What two handles on the same place have in common; hashable, and good for a closed store as well."""
        return self.store.url, self.kind, self._names

    def __eq__(self, other: object) -> bool:
        return self._place() == other._place() if isinstance(other, MemoryObject) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._place())

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.store, self.kind, self._names)


def _rebuild(store: Store, kind: str, names: Names) -> MemoryObject:
    root = store._runs() if kind == "sensory" else store.memory()
    return root._child(*names)


def _merged(other: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(other, MemoryObject):
        other = other.to_dict()
    return {**(other if isinstance(other, Mapping) else dict(other)), **fields}


def _empty(plan: dict[Names, bytes | None]) -> set[Names]:
    """The objects of a plan that have no fields: those that setting the fields does not make."""
    return {names for names, data in plan.items() if data is None} - {names[:-1] for names in plan}
