"""Memory: objects of named fields inside a store, each field an entry of its own.

path    the names that lead to a field, as text and back
ref     `MemoryRef`, a small value that says where a field is
object  `MemoryObject`, a handle on an object and its fields
tree    the text of a tree of fields, for people
run     `RunContext`, a run of a workflow with memory of its own
scoped  `ScopedMemory`, the part of a memory that one agent was given
"""

from __future__ import annotations

__all__: list[str] = []
