"""The fields of one memory of a ``memory://`` store: nodes in nodes.

Nothing here locks, and nothing looks at the time: whoever calls holds the store's lock and has had expired fields
removed.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from ..memory.path import object_in_the_way, value_in_the_way

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..memory.path import Names

__all__ = ["Change", "Node", "Tree"]


class Node:
    """A field: a value (`data`), or an object (`fields`)."""

    __slots__ = ("created", "data", "deadline", "fields", "made", "modified", "name", "parent", "version")

    def __init__(self, name: str, data: bytes | None = None) -> None:
        self.name = name
        self.data = data
        self.fields: dict[str, Node] | None = {} if data is None else None
        self.parent: Node | None = None  # None: the root, or no longer in the tree
        self.version = 0
        self.created = self.modified = 0  # wall time, microseconds
        self.deadline: int | None = None  # monotonic, nanoseconds
        self.made = False  # on the way to a field: it goes with the last of its fields that expires

    @property
    def size(self) -> int:
        """Bytes of its name and its value, not of what is below it."""
        return len(self.name.encode()) + len(self.data or b"")

    def walk(self) -> Iterator[Node]:
        """Itself, and all that is below it."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += (node.fields or {}).values()


class Change(NamedTuple):
    """What a write is about to do, found out before anything changes."""

    above: Node
    """The deepest object that is there and stays."""
    new: Names
    """The names below it that are to be made; none if `old` only gets another value."""
    old: Node | None
    """What is there now and changes or goes."""
    grows: int
    """By how many bytes."""


class Tree:
    """A memory."""

    def __init__(self) -> None:
        self.root = Node("")
        self.bytes = 0
        self.nodes = 0
        # (deadline, number, node); one whose node has another deadline by now, or has gone, means nothing.
        self.deadlines: list[tuple[int, int, Node]] = []
        self._numbers = count()

    def find(self, names: Names) -> Node | None:
        """What is there."""
        node: Node | None = self.root
        for name in names:
            if node is None or node.fields is None:
                return None
            node = node.fields.get(name)
        return node

    def plan(self, names: Names, data: bytes | None, *, overwrite: bool) -> Change:
        """What has to be done to put this value, or with None an empty object, there.

        A value over a value replaces it, an object over an object a new one. Raises `PathConflict`.
        """
        above = self.root
        last = len(names) - 1
        for depth, name in enumerate(names):
            assert above.fields is not None
            child = above.fields.get(name)
            if child is None:
                return self._new(above, names[depth:], None, data)
            if child.fields is None and (depth < last or data is None):
                if not overwrite:
                    raise value_in_the_way(names[: depth + 1])
                return self._new(above, names[depth:], child, data)
            if depth == last and child.fields is not None:
                if not overwrite:
                    raise object_in_the_way(names)
                return self._new(above, names[depth:], child, data)
            if depth == last:
                return Change(above, (), child, len(data or b"") - len(child.data or b""))
            above = child
        raise object_in_the_way(names)  # the root

    def _new(self, above: Node, names: Names, old: Node | None, data: bytes | None) -> Change:
        grows = sum(len(name.encode()) for name in names) + len(data or b"")
        return Change(above, names, old, grows - (sum(node.size for node in old.walk()) if old else 0))

    def apply(self, change: Change, data: bytes | None, version: int, now: int) -> Node:
        """Do it; the node that has the value or is the new object."""
        if not change.new:
            assert change.old is not None
            node = change.old
            self.bytes += change.grows
            node.data = data
        else:
            if change.old is not None:
                self.detach(change.old)
            node = change.above
            for place, name in enumerate(change.new, 1):
                last = place == len(change.new)
                node = self._attach(node, Node(name, data if last else None), version, now)
                node.made = not last
        node.version, node.modified = version, now
        return node

    def _attach(self, above: Node, node: Node, version: int, now: int) -> Node:
        assert above.fields is not None
        above.fields[node.name] = node
        node.parent = above
        node.version = version
        node.created = node.modified = now
        self.bytes += node.size
        self.nodes += 1
        return node

    def detach(self, node: Node) -> None:
        """Remove it with all that is below it."""
        assert node.parent is not None
        assert node.parent.fields is not None
        del node.parent.fields[node.name]
        for gone in node.walk():
            gone.parent = None
            self.bytes -= gone.size
            self.nodes -= 1

    def set_deadline(self, node: Node, deadline: int | None) -> None:
        """Have it expire then."""
        node.deadline = deadline
        if deadline is None:
            return
        heappush(self.deadlines, (deadline, next(self._numbers), node))
        if len(self.deadlines) > 2 * self.nodes + 64:
            live = {id(node): node for _, _, node in self.deadlines if node.parent is not None}.values()
            self.deadlines = [(n.deadline, next(self._numbers), n) for n in live if n.deadline is not None]
            heapify(self.deadlines)

    def expire(self, now: int) -> int:
        """Remove what has expired; how many fields did so by themselves."""
        expired = 0
        while self.deadlines and self.deadlines[0][0] <= now:
            deadline, _, node = heappop(self.deadlines)
            above = node.parent
            if above is not None and node.deadline == deadline:
                self.detach(node)
                expired += 1
                while above.made and not above.fields:
                    gone, above = above, above.parent
                    assert above is not None  # the root is not made
                    self.detach(gone)
        return expired
