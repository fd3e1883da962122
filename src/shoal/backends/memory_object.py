"""`TreeMemory`: a memory of a ``memory://`` store, under the lock that guards the whole store."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..memory.path import join, object_in_the_way
from ..memory.ref import SENSORY
from ..options import DEFAULT, KEEP, ttl_to_ns
from .base import When
from .base_memory import EncodedMemory, Field, Put

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..memory.path import Names
    from ..options import Seconds
    from .memory import Arena, MemoryStore
    from .memory_tree import Node, Tree

__all__ = ["TreeMemory"]


class TreeMemory(EncodedMemory):
    """An object of a memory of such a store; `MemoryStore.memory` makes them."""

    __slots__ = ()
    _store: MemoryStore

    def _place(self) -> tuple[Any, ...]:
        store = self._store
        return store._place, None if self._kind == SENSORY else store.namespace_name, self._at

    @contextmanager
    def _reading(self) -> Iterator[tuple[Arena, Tree]]:
        with self._store._reading() as (arena, space):
            yield arena, arena.runs if self._kind == SENSORY else space.tree

    @contextmanager
    def _writing(self) -> Iterator[tuple[Arena, Tree, float | None]]:
        """The third is the seconds that a field lives if nothing is said."""
        with self._store._writing() as (arena, space):
            if self._kind == SENSORY:
                yield arena, arena.runs, None
            else:
                yield arena, space.tree, space.ttl

    def _read(self, names: Names, *, count: bool) -> Field | None:
        with self._reading() as (arena, tree):
            node = tree.find(names) if names else None
            if count:
                arena.hits += node is not None
                arena.misses += node is None
            if node is None:
                return None
            return Field(node.data, node.version, node.created, node.modified, *arena.until(node.deadline))

    def _write(
        self,
        names: Names,
        data: bytes,
        ttl: Seconds,
        *,
        overwrite: bool = False,
        when: When = When.ALWAYS,
        version: int = 0,
    ) -> Put | None:
        with self._writing() as (arena, tree, default):
            if when is not When.ALWAYS:
                node = tree.find(names)
                if node is not None and node.data is None:
                    raise object_in_the_way(names)
                if (0 if node is None else node.version) != version:
                    return None
            node, new = self._change(arena, tree, names, data, overwrite=overwrite)
            if new or ttl is not KEEP:
                self._live(arena, tree, node, ttl, default)
            return Put(node.version, arena.until(node.deadline)[1])

    def _make(self, names: Names, ttl: Seconds, *, overwrite: bool) -> None:
        with self._writing() as (arena, tree, default):
            node = tree.find(names)
            if overwrite and not names:
                self._empty(arena, tree)
            elif overwrite or node is None or node.data is not None:
                node, _ = self._change(arena, tree, names, None, overwrite=overwrite)
                self._live(arena, tree, node, ttl, default)
            else:
                node.made = False  # from now on it is asked for

    @staticmethod
    def _change(arena: Arena, tree: Tree, names: Names, data: bytes | None, *, overwrite: bool) -> tuple[Node, bool]:
        """Put it there; the node, and whether it is a new one."""
        change = tree.plan(names, data, overwrite=overwrite)
        if arena.capacity and change.grows > 0 and arena.used + change.grows > arena.capacity:
            raise arena.full(join(names), change.grows)
        arena.version += 1
        arena.sets += 1
        return tree.apply(change, data, arena.version, int(arena.wall() * 1e6)), bool(change.new)

    @staticmethod
    def _live(arena: Arena, tree: Tree, node: Node, ttl: Seconds, default: float | None) -> None:
        seconds = default if ttl is DEFAULT or ttl is KEEP else ttl
        tree.set_deadline(node, None if seconds is None else arena.now() + ttl_to_ns(seconds))

    def _remove(self, names: Names) -> bool:
        with self._writing() as (arena, tree, _):
            if not names:
                return self._empty(arena, tree)
            node = tree.find(names)
            if node is None:
                return False
            tree.detach(node)
            arena.deletes += 1
            return True

    @staticmethod
    def _empty(arena: Arena, tree: Tree) -> bool:
        nodes = list((tree.root.fields or {}).values())
        for node in nodes:
            tree.detach(node)
        arena.deletes += len(nodes)
        return bool(nodes)

    def _expire(self, names: Names, ttl: Seconds) -> bool:
        with self._writing() as (arena, tree, default):
            node = tree.find(names)
            if node is None or node is tree.root:
                return False
            if ttl is not KEEP:
                self._live(arena, tree, node, ttl, default)
            return True

    def _list(self, names: Names) -> list[tuple[str, bool]]:
        with self._reading() as (_, tree):
            node = tree.find(names)
            return [] if node is None else [(name, f.data is None) for name, f in (node.fields or {}).items()]
