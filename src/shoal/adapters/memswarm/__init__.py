"""The memories of MemSwarm, over a Shoal store.

SharedMemoryBase        what every memory can do; for memories of your own
InMemorySharedMemory    a memory in a store: of threads, processes, other programs
AgentMemory             the part of it that one agent has
HybridSharedMemory      a cache in front of another memory
ThreadSafeSharedMemory  one thread at a time
AsyncSafeSharedMemory   as coroutines
"""

from __future__ import annotations

from .base import SharedMemoryBase
from .hybrid import HybridSharedMemory
from .in_memory import AgentMemory, InMemorySharedMemory
from .safe import AsyncSafeSharedMemory, ThreadSafeSharedMemory

__all__ = [
    "AgentMemory",
    "AsyncSafeSharedMemory",
    "HybridSharedMemory",
    "InMemorySharedMemory",
    "SharedMemoryBase",
    "ThreadSafeSharedMemory",
]
