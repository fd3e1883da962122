"""`MemoryRef`: a small value that says where a field of a memory is.

A tuple of texts and numbers, so pickle, JSON and MessagePack take it as it is; what JSON makes of it, `MemoryRef.of` makes a
reference again. In a store it has an extension code of its own (docs/format.md).
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import InvalidKey, InvalidValue, KeyNotFound
from ..options import MISSING, check_name
from .path import join, split

if TYPE_CHECKING:
    from ..store import Store
    from .object import MemoryObject
    from .run import RunContext

__all__ = ["KINDS", "SENSORY", "SHORT_TERM", "MemoryRef"]

SHORT_TERM = "short_term"
SENSORY = "sensory"
KINDS = (SHORT_TERM, SENSORY)
"""The memory of a namespace, and that of a run."""


class MemoryRef(NamedTuple):
    """Where a field is; its size does not depend on the value's. Hashable, comparable, picklable."""

    path: str
    """From the root of the memory on."""
    namespace: str = "default"
    version: int = 0
    """The version that was written; 0: no certain one."""
    expires: float | None = None
    """When the field expires, in seconds since 1970, as known when this was made; None: never."""
    kind: str = SHORT_TERM
    """"short_term", or "sensory": of a run."""

    @classmethod
    def of(cls, source: Any) -> MemoryRef:
        """The reference that this is: itself, a list or tuple of its fields, a dict of them, or JSON text of these.

        Raises:
            InvalidValue: It is none of these.
        """
        fields = _parse(source) if isinstance(source, str) else source
        if isinstance(fields, dict):
            if not {"path"} <= fields.keys() <= set(cls._fields):
                raise InvalidValue(
                    f"a MemoryRef has the fields {', '.join(cls._fields)}; this has others: {_shown(source)}"
                )
            ref = cls(**fields)
        elif isinstance(fields, (list, tuple)) and 1 <= len(fields) <= len(cls._fields):
            ref = cls(*fields)
        else:
            raise InvalidValue(f"this is no MemoryRef: {_shown(source)}")
        problem = _problem(ref)
        if problem:
            raise InvalidValue(f"this is no MemoryRef, {problem}: {_shown(source)}")
        path, namespace, version, expires, kind = ref
        # JSON may have made an int of a float; and a subclass of str is no plain text to whoever passes it on.
        plain = map(str.__str__, (path, namespace, kind))
        return cls(next(plain), next(plain), version, None if expires is None else float(expires), next(plain))

    # ------------------------------------------------------------------ what it refers to

    def resolve(self, target: Store | MemoryObject | RunContext, *, strict: bool = False) -> Any:
        """The value that is there now; a `MemoryObject` if it is an object.

        Args:
            target: A store, or what has one: a memory object, a run. The namespace may be another one.
            strict: Only what has the version of this reference.

        Raises:
            KeyNotFound: It is gone; the message says whether it has expired, its run has ended, it was deleted or, with
                `strict`, overwritten.
            InvalidValue: A target of another type; or `strict`, and this reference has no version.
        """
        store = _store_of(target)
        memory = self._open(store, strict=strict)
        try:
            found = memory.get_versioned(self.path) if strict else (memory.get(self.path, MISSING), self.version)
        except KeyNotFound:
            found = MISSING, 0
        value, version = found
        if value is MISSING:
            raise self._gone(store)
        self._check(version, store)
        return value

    def view(self, target: Store | MemoryObject | RunContext, *, strict: bool = False) -> Any:
        """As `resolve`, but a read-only view of an array, bytes or text without a copy: see `MemoryObject.view`.

        Raises:
            KeyNotFound: As `resolve`.
            InvalidValue: As `resolve`; or it is a value of another type, or an object.
        """
        store = _store_of(target)
        memory = self._open(store, strict=strict)
        try:
            view = memory.view(self.path)
            # Versions grow and never come back: what has this one after the view was taken had it then as well.
            version = memory.metadata(self.path).version if strict else self.version
        except KeyNotFound:
            raise self._gone(store) from None
        self._check(version, store)
        return view

    def _memory(self, store: Store) -> MemoryObject | None:
        """The memory that the path begins in; None if that is gone as a whole, with its namespace or its run's process."""
        if self.kind == SENSORY:
            process = split(self.path)[:1]
            return store._runs() if process and store._run_lives(*process) else None
        if self.namespace == store.namespace_name:
            return store.memory()
        if self.namespace not in store.namespaces():  # asking for its store would make it
            return None
        return store.namespace(self.namespace).memory()

    def _open(self, store: Store, *, strict: bool) -> MemoryObject:
        if strict and not self.version:
            raise InvalidValue(f"this reference has no version to be strict about: {self.path!r}", key=self.path)
        memory = self._memory(store)
        if memory is None:
            raise self._gone(store)
        return memory

    def _check(self, version: int, store: Store) -> None:
        if version != self.version:
            raise self._error(f"was overwritten: it has version {version}, the reference {self.version}", store)

    def _gone(self, store: Store) -> KeyNotFound:
        """The error of who finds nothing."""
        memory = self._memory(store)
        if self.kind == SENSORY and (memory is None or not memory.is_exist(join(split(self.path)[:2]))):
            return self._error("is gone: its run has ended", store)
        if self.expires is not None and self.expires <= time():
            return self._error("is gone: it has expired", store)
        if memory is None:
            return self._error("is gone: its namespace was dropped", store)
        return self._error("is gone: it was deleted", store)

    def _error(self, what: str, store: Store) -> KeyNotFound:
        place = "the memory of a run" if self.kind == SENSORY else f"the memory of namespace {self.namespace!r}"
        return KeyNotFound(f"{self.path!r} in {place} {what}", key=self.path, name=store.name)


def _store_of(target: Any) -> Store:
    from ..store import Store

    store = target if isinstance(target, Store) else getattr(target, "store", None)
    if not isinstance(store, Store):
        raise InvalidValue(
            f"a MemoryRef resolves through a store, a memory object or a run, not {type(target).__name__}"
        )
    return store


def _parse(text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidValue(f"this is no MemoryRef in JSON: {_shown(text)}") from None


def _problem(ref: MemoryRef) -> str:
    try:
        split(ref.path)
        check_name(ref.namespace, "namespace")
    except InvalidKey as error:
        return str(error)
    if type(ref.version) is not int or ref.version < 0:
        return "its version must be an int of 0 or more"
    if ref.expires is not None and (type(ref.expires) not in (int, float) or not abs(ref.expires) < 1e18):
        return "its expiry must be a number of seconds or None"
    return "" if ref.kind in KINDS else 'its kind must be "short_term" or "sensory"'


def _shown(source: Any) -> str:
    from reprlib import repr as shortened

    return shortened(source)
