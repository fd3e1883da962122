"""Tables of rows in a store: found by id, listed in the order in which they came, looked up by the values of some fields.

A table is a namespace. Each row is an entry of it, with its number: rows that others write are never in the way, and writing
one costs the same whatever the table holds. The namespace's memory holds the rest: the last number given, and for each value
of an indexed field an object whose fields are the keys of rows that may have it.

An index may name rows that are gone or have changed, so who reads through one looks at the rows themselves. It must not miss
one: a row is in its indexes before it is written, and whoever takes a key out of an index looks at the row again
afterwards, and puts it back if it belongs there by then (`Table._settle`).
"""

from __future__ import annotations

from ast import literal_eval
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import shoal
from shoal.errors import KeyNotFound
from shoal.memory.path import escape, split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shoal import MemoryObject, Store

    Place = tuple[str, Any]  # a field and a value of it

Row: TypeAlias = dict[str, Any]

__all__ = ["Entry", "Row", "Table", "key_of", "open_store"]

# A row that is removed becomes None, and then expires: the store compares before it writes, not before it removes.
_GRAVE = 0.001


def open_store(url: str | Store | None) -> Store:
    """The store of a URL, or the one given; None is a new one, for this process and those that it starts."""
    return url if isinstance(url, shoal.Store) else shoal.open(url)


def key_of(value: Any) -> str:
    """A key, or a name in a path, for any id: also for an empty one, and for what is no text."""
    return "=" + value if isinstance(value, str) else "~" + repr(value)


def _id_of(key: str) -> Any:
    return key[1:] if key[0] == "=" else literal_eval(key[1:])


class Entry(NamedTuple):
    """A row, and what it is known by."""

    number: int
    """Later ones have higher numbers; no two have the same, also if one has the id of another that is gone."""
    id: Any
    row: Row


class Table:
    """Rows of one kind, each a dict.

    Args:
        store: Any namespace of the store; the table gets one of its own, beside it.
        name: What the rows are.
        indexed: The fields by which rows are looked up.
    """

    def __init__(self, store: Store, name: str, indexed: Iterable[str] = ()) -> None:
        # A store over another namespace has tables of its own.
        of = "" if store.namespace_name == "default" else f"{store.namespace_name}/"
        self._entries = store.namespace(f"{of}agno.{name}")
        self._memory = self._entries.memory()
        self._indexed = tuple(indexed)

    def close(self) -> None:
        self._entries.close()

    # ------------------------------------------------------------------ reading

    def get(self, id: Any) -> Row | None:
        """The row, or None."""
        entry = self._entries.get(key_of(id))
        return None if entry is None else entry[1]

    def entry(self, id: Any) -> Entry | None:
        """The row with its number, or None."""
        entry = self._entries.get(key_of(id))
        return None if entry is None else Entry(entry[0], id, entry[1])

    def rows(self, **wanted: Any) -> list[Row]:
        """The rows whose fields are these, in the order in which they came; a field that is None is not asked for.

        With an indexed field among them this costs the rows that have its value, else all rows.
        """
        return [entry.row for entry in self.entries(**wanted)]

    def entries(self, **wanted: Any) -> list[Entry]:
        """The same, each row with its number and its id."""
        wanted = {field: value for field, value in wanted.items() if value is not None}
        found = [
            Entry(entry[0], _id_of(key), entry[1])
            for key, entry in self._candidates(wanted)
            if entry is not None and all(entry[1].get(field) == value for field, value in wanted.items())
        ]
        found.sort(key=lambda entry: entry.number)
        return found

    def _candidates(self, wanted: Row) -> Iterable[tuple[str, Any]]:
        for field in self._indexed:
            if field in wanted:
                return [(key, self._entries.get(key)) for key in self._keys_at(field, wanted[field])]
        return self._entries.items()

    def _keys_at(self, field: str, value: Any) -> list[str]:
        return [split(name)[0] for name in self._at((field, value)).get_field_names()]

    def versions(self, field: str, value: Any) -> list[tuple[str, int]]:
        """The keys of the rows that may have this value in an indexed field, each with the version of its last write."""
        found = []
        for key in self._keys_at(field, value):
            with suppress(KeyNotFound):
                found.append((key, self._entries.metadata(key).version))
        return found

    def versioned(self, key: str) -> tuple[Entry, int] | None:
        """The row of a key that `versions` gave, with its version; None if it is gone."""
        (number, row), version = self._versioned(key)
        return None if row is None else (Entry(number, _id_of(key), row), version)

    # ------------------------------------------------------------------ writing

    def put(self, id: Any, row: Row) -> Row:
        """Write the row, whatever was there; one that was there keeps its number."""
        return self.change(id, lambda _: row) or row

    def change(self, id: Any, fn: Callable[[Row | None], Row | None]) -> Row | None:
        """Replace the row (None: there is none) by `fn(row)`, atomically; None from `fn` leaves it as it is.

        `fn` is called again when somebody else was quicker. The result is what it returned last.
        """
        key = key_of(id)
        touched: set[Place] = set()
        while True:
            (number, old), version = self._versioned(key)
            new = fn(old)
            if new is None:
                break
            if old is None:
                number = int(self._memory.incr("number"))
            before, after = self._places(old), self._places(new)
            for place in after - before:
                self._at(place).set(escape(key), True, ttl=None)
            touched |= before ^ after
            if self._entries.compare_and_set(key, [number, new], version, ttl=None):
                break
        self._settle(key, touched)
        return new

    def remove(self, id: Any, condition: Callable[[Row], bool] | None = None) -> Entry | None:
        """Remove the row if the condition holds; what it was, with its number. Of several callers one gets it."""
        return self._remove(key_of(id), condition)

    def remove_all(self) -> None:
        """Remove every row that is there now."""
        for key in list(self._entries):
            self._remove(key)

    def _remove(self, key: str, condition: Callable[[Row], bool] | None = None) -> Entry | None:
        while True:
            (number, row), version = self._versioned(key)
            if row is None or (condition is not None and not condition(row)):
                return None
            if self._entries.compare_and_set(key, None, version, ttl=_GRAVE):
                break
        self._settle(key, self._places(row))
        return Entry(number, _id_of(key), row)

    def _versioned(self, key: str) -> tuple[tuple[int, Row | None], int]:
        try:
            entry, version = self._entries.get_versioned(key)
        except KeyNotFound:
            return (0, None), 0
        return ((0, None) if entry is None else (entry[0], entry[1])), version

    # ------------------------------------------------------------------ indexes

    def _places(self, row: Row | None) -> set[Place]:
        """Where the indexes have a row."""
        if row is None:
            return set()
        return {(field, row[field]) for field in self._indexed if row.get(field) is not None}

    def _at(self, place: Place) -> MemoryObject:
        # Directly below the root, so that different values are written under different locks.
        return self._entries.memory(escape(f"{place[0]}{key_of(place[1])}"))

    def _settle(self, key: str, places: Iterable[Place]) -> None:
        """Have these places of the indexes agree with the row.

        Whoever changes a place looks at the row again afterwards. So the last one to do so, of any number, leaves it right.
        """
        name = escape(key)
        for place in places:
            index = self._at(place)
            while True:
                belongs = self._belongs(key, place)
                if belongs == (index.get(name) is True):
                    break
                if belongs:
                    index.set(name, True, ttl=None)
                else:
                    # An object goes with the last of its fields that expires, but stays when that is deleted.
                    index.set(name, False, ttl=_GRAVE)

    def _belongs(self, key: str, place: Place) -> bool:
        entry = self._entries.get(key)
        return entry is not None and place in self._places(entry[1])
