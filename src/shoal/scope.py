"""`ScopedStore`: a store for one agent, who can only see and change what it was given.

Every call is checked against globs before it goes to the store beneath: what may not be done is `AccessDenied`, and
nothing has changed. What lists shows only what may be read, as if the rest was not there.

This guards against mistakes of agents that work together. It is no sandbox: Python code that wants to gets hold of
the store beneath, as any code of the same process can.

What holds for memory stands in `shoal.memory.scoped`.
"""

from __future__ import annotations

from weakref import WeakValueDictionary

from .errors import AccessDenied, KeyNotFound, StoreClosed
from .keys import check_key, check_keys
from .memory.path import split
from .memory.scoped import ScopedMemory, ScopedRuns
from .options import DEFAULT, MISSING
from .rights import Matching, Rights, matching
from .store import Store

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from typing import Any

    from .memory.object import MemoryObject
    from .memory.path import Names
    from .options import Default, Keep, Seconds, Ttl
    from .records import Metadata, Stats

__all__ = ["ScopedStore"]

_ABSENT = object()  # a default for pop() that no caller can have stored


class ScopedStore(Store):
    """The part of a store that one agent was given; `Store.scope` makes it.

    A scope is of one namespace: whatever is about others, about the arena as a whole or about settings for all is
    `AccessDenied`, `stats` included. What both tells and changes (`swap`, `pop`, `incr`, `compare_and_set`...) takes
    both rights. Closing a scope, or leaving its `with` block, closes the scope alone. Picklable if its store is; what
    arrives is a scope.

    Args:
        store: The store beneath. Shared, not owned.
        read: What may be read.
        write: What may be written.
    """

    __slots__ = (
        *("__weakref__", "_allow_pickle", "_begun", "_name", "_namespace", "_read", "_read_only", "_store"),
        *("_url", "_write"),
    )

    def __init__(self, store: Store, read: Matching, write: Matching) -> None:
        self._store: Store | None = store
        self._read = read
        self._write = write
        self._begun: WeakValueDictionary[Names, Rights] = WeakValueDictionary()  # the runs of this scope
        self._name = store.name
        self._namespace = store.namespace_name
        self._url = store.url
        self._allow_pickle = store.allow_pickle
        self._read_only = store.read_only or write.nothing
        self._open()

    # ------------------------------------------------------------------ the handle

    @property
    def closed(self) -> bool:
        return self._store is None or self._store.closed

    @property
    def name(self) -> str:
        return self._name

    @property
    def namespace_name(self) -> str:
        return self._namespace

    @property
    def url(self) -> str:
        """What `shoal.open` needs to reach the same namespace of the same store, without the limits of this scope."""
        return self._url

    @property
    def read_only(self) -> bool:
        """Whether nothing may be written, or the store beneath was opened read-only."""
        return self._read_only

    @property
    def allow_pickle(self) -> bool:
        return self._allow_pickle

    def close(self) -> None:
        """Let go of the store beneath; it stays open for others."""
        self._store = None

    def __repr__(self) -> str:
        state = " (closed)" if self.closed else ""
        return f"<{type(self).__name__} {self._url}: read {self._read}; write {self._write}{state}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._open(), self._read, self._write)

    def scope(self, *, read: Iterable[str] = (), write: Iterable[str] = ()) -> Store:
        """A narrower scope: it allows only what these patterns and this scope both allow."""
        narrower = self._read & matching("read", read), self._write & matching("write", write)
        return type(self)(self._open(), *narrower)

    def _open(self) -> Store:
        store = self._store
        if store is None or store.closed:
            raise StoreClosed(f"this scope of the store {self._url} is closed", name=self._name)
        return store

    def _to_read(self, key: str) -> Store:
        store = self._open()
        self._read.check(check_key(key))
        return store

    def _to_write(self, key: str) -> Store:
        store = self._open()
        self._write.check(check_key(key))
        return store

    def _to_change(self, key: str) -> Store:
        """For what tells as well as changes."""
        store = self._to_read(key)
        self._write.check(key)
        return store

    def _denied(self, what: str) -> AccessDenied:
        self._open()
        return AccessDenied(
            f"{what} reaches beyond what a scope is given; ask whoever has the store {self._url} itself",
            name=self._name,
        )

    # ------------------------------------------------------------------ reading

    def __getitem__(self, key: str) -> Any:
        return self._to_read(key)[key]

    def get(self, key: str, default: Any = None) -> Any:
        return self._to_read(key).get(key, default)

    def get_versioned(self, key: str) -> tuple[Any, int]:
        return self._to_read(key).get_versioned(key)

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        store = self._open()
        checked = check_keys(keys)
        for key in checked:
            self._read.check(key)
        return store.get_many(checked)

    def exists(self, key: str) -> bool:
        return self._to_read(key).exists(key)

    def ttl(self, key: str) -> float | None:
        return self._to_read(key).ttl(key)

    def metadata(self, key: str) -> Metadata:
        return self._to_read(key).metadata(key)

    def view(self, key: str) -> Any:
        return self._to_read(key).view(key)

    def _get_encoded(self, key: str) -> tuple[bytes, Metadata] | None:
        return self._to_read(key)._get_encoded(key)

    # ------------------------------------------------------------------ writing

    def set(self, key: str, value: Any, *, ttl: Ttl = DEFAULT) -> int:
        return self._to_write(key).set(key, value, ttl=ttl)

    def add(self, key: str, value: Any, *, ttl: Ttl = DEFAULT) -> bool:
        return self._to_write(key).add(key, value, ttl=ttl)

    def replace(self, key: str, value: Any, *, ttl: Ttl = DEFAULT) -> bool:
        return self._to_write(key).replace(key, value, ttl=ttl)

    def set_many(self, mapping: Mapping[str, Any], *, ttl: Ttl = DEFAULT) -> None:
        store = self._open()
        entries = dict(mapping.items())
        for key in entries:
            self._write.check(check_key(key))
        store.set_many(entries, ttl=ttl)

    def delete(self, key: str) -> bool:
        return self._to_write(key).delete(key)

    def delete_many(self, keys: Iterable[str]) -> int:
        store = self._open()
        checked = check_keys(keys)
        for key in checked:
            self._write.check(key)
        return store.delete_many(checked)

    def create_array(
        self, key: str, shape: int | tuple[int, ...], dtype: Any, *, ttl: Ttl = DEFAULT
    ) -> AbstractContextManager[Any]:
        return self._to_write(key).create_array(key, shape, dtype, ttl=ttl)

    def touch(self, key: str, ttl: Ttl) -> bool:
        return self._to_write(key).touch(key, ttl)

    def _set_encoded(self, key: str, data: bytes, ttl: Seconds) -> int:
        return self._to_write(key)._set_encoded(key, data, ttl)

    # ------------------------------------------------------------------ both

    def swap(self, key: str, value: Any, *, ttl: Ttl = DEFAULT) -> Any:
        return self._to_change(key).swap(key, value, ttl=ttl)

    def compare_and_set(self, key: str, value: Any, version: int, *, ttl: Ttl | Keep = DEFAULT) -> bool:
        return self._to_change(key).compare_and_set(key, value, version, ttl=ttl)

    def pop(self, key: str, default: Any = MISSING) -> Any:
        return self._to_change(key).pop(key, default)

    def incr(self, key: str, by: int | float = 1, *, initial: int | float = 0, ttl: Ttl = DEFAULT) -> int | float:
        return self._to_change(key).incr(key, by, initial=initial, ttl=ttl)

    def modify(self, key: str, fn: Callable[[Any], Any], default: Any = MISSING) -> Any:
        # Checked here as well as at each step, so that fn is not called in vain.
        return self._to_change(key).modify(key, fn, default)

    def setdefault(self, key: str, default: Any = None, *, ttl: Ttl = DEFAULT) -> Any:
        return self._to_change(key).setdefault(key, default, ttl=ttl)

    def popitem(self) -> tuple[str, Any]:
        """Remove some entry that may be read and written, and return it: no two callers get the same one.

        Raises:
            KeyNotFound: There is nothing that may be read.
            AccessDenied: There is, but none of it may be written.
        """
        stays: str | None = None
        seen = True
        while seen:
            seen = False
            for key in self._keys(""):
                if not self._write.allows(key):
                    stays = key
                    continue
                seen = True
                value = self._open().pop(key, _ABSENT)
                if value is not _ABSENT:
                    return key, value
        if stays is not None:
            raise self._write.denied(stays)
        raise KeyNotFound("the store is empty")

    # ------------------------------------------------------------------ all entries

    def __len__(self) -> int:
        store = self._open()
        return len(store) if self._read.everything else sum(1 for _ in self._keys(""))

    def _keys(self, prefix: str) -> Iterator[str]:
        store = self._open()
        allowed = self._read
        if allowed.everything:
            return store._keys(prefix)
        narrowed = allowed.narrow(prefix)
        return iter(()) if narrowed is None else filter(allowed.allows, store._keys(narrowed))

    def clear(self) -> None:
        """Remove every entry that may be written, so that none is left that may be read.

        If one would be left, it is `AccessDenied` and nothing is removed: a dict is empty after `clear`. To clear a part,
        narrow the scope to it: `scope.scope(read=mine, write=mine).clear()`.
        """
        store = self._open()
        if self._write.everything:
            store.clear()
            return
        doomed = []
        for key in store._keys(""):
            if self._write.allows(key):
                doomed.append(key)
            elif self._read.allows(key):
                raise AccessDenied(
                    f"clear() would leave {key!r}, which this scope may read but not write; it may write {self._write}. "
                    "To clear only that, narrow the scope: scope.scope(read=..., write=...).clear()",
                    key=key,
                )
        store.delete_many(doomed)

    def dump(self, path: str | os.PathLike[str], *, all_namespaces: bool = False) -> int:
        """Write what may be read to a snapshot file; the result is the number of entries."""
        if all_namespaces:
            raise self._denied("dump(all_namespaces=True)")
        from .snapshot import dump

        return dump(self, path, settings=self._open().stats().namespaces)

    def load(self, path: str | os.PathLike[str], *, replace: bool = False, allow_pickle: bool = False) -> int:
        """Write the entries of a snapshot file into the store; the result is their number.

        As `Store.load`. A file that has something that may not be written, or all namespaces, is `AccessDenied`, and so is
        `replace` to who may not write everything; nothing is loaded then.
        """
        from .snapshot import load

        self._open()
        if replace:
            self._write.check_all_below("")
        return load(self, path, replace=replace, allow_pickle=allow_pickle, admit=self._admit)

    def _admit(self, what: str, place: str, expires: bool) -> None:
        """Raise `AccessDenied` if this part of a snapshot may not be loaded. Fields make room for those of the file."""
        if what == "entry":
            self._write.check(place)
            return
        memory = ScopedMemory(self._open().memory(), self, Rights(self._read, self._write))
        if what == "value":
            memory._check_write(place)
            memory._check_replace(place)
        else:
            memory._check_make(place, expires=expires)
            if memory._type(split(place)) != "object":
                memory._check_replace(place)

    # ------------------------------------------------------------------ beyond the namespace

    def namespace(
        self,
        name: str,
        *,
        ttl: Ttl = DEFAULT,
        max_keys: int | Default = DEFAULT,
        eviction: str | Default = DEFAULT,
    ) -> Store:
        """Another handle of this scope, if it is asked for its own namespace and for no settings; else `AccessDenied`."""
        store = self._open()
        if name != self._namespace:
            raise self._denied(f"the namespace {name!r}")
        if not (ttl is DEFAULT and max_keys is DEFAULT and eviction is DEFAULT):
            raise self._denied(f"changing the settings of the namespace {name!r}")
        return type(self)(store, self._read, self._write)

    def namespaces(self) -> list[str]:
        """`AccessDenied`."""
        raise self._denied("namespaces()")

    def drop_namespace(self, name: str) -> bool:
        """`AccessDenied`."""
        raise self._denied(f"drop_namespace({name!r})")

    def stats(self) -> Stats:
        """`AccessDenied`: the figures are of the whole store, and there are none of a part."""
        raise self._denied("stats()")

    def destroy(self) -> None:
        """`AccessDenied`."""
        raise self._denied("destroy()")

    # ------------------------------------------------------------------ memory and runs

    def memory(self, path: str = "") -> MemoryObject:
        """The object at this path of the namespace's memory; nothing needs to be there yet. Raises `InvalidKey`.

        The handle takes no right, what is done with it does.
        """
        return ScopedMemory(self._open().memory(path), self, Rights(self._read, self._write))

    def _runs(self) -> MemoryObject:
        return ScopedRuns(self._open()._runs(), self)

    def _process_token(self) -> str:
        return self._open()._process_token()

    def _run_lives(self, token: str) -> bool:
        return self._open()._run_lives(token)

    def _unscoped(self) -> Store:
        return self._open()

    def _encode(self, value: Any) -> bytes:
        return self._open()._encode(value)
