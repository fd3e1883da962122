"""Sensory and short-term memory of Flink Agents, over a Shoal store.

LocalMemoryObject   the memory object of its local runner; over a mapping, as there, or over a store
MemoryRef, MemoryType, MemoryObject, validate_memory_value
                    its own where `flink-agents` is installed, else the same here
RunnerContext       both memories of a key, for programs without a runner
StateTtl            how long short-term memory lives
install             gives the package's own local runner memory in a store
"""

from __future__ import annotations

from .bases import (
    MemoryObject,
    MemoryRef,
    MemoryType,
    ShortTermMemoryTtlUpdate,
    ShortTermMemoryTtlVisibility,
    validate_memory_value,
)
from .context import RunnerContext
from .local_runner import install, uninstall
from .memory import LocalMemoryObject
from .ttl import StateTtl

__all__ = [
    "LocalMemoryObject",
    "MemoryObject",
    "MemoryRef",
    "MemoryType",
    "RunnerContext",
    "ShortTermMemoryTtlUpdate",
    "ShortTermMemoryTtlVisibility",
    "StateTtl",
    "install",
    "uninstall",
    "validate_memory_value",
]
