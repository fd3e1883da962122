"""Shoal: a key-value store that many processes share through memory.

>>> import shoal
>>> with shoal.open("swarm") as store:
...     store["task"] = {"state": "running"}
...     store.incr("done")
1
"""

from __future__ import annotations

from ._version import __version__
from .backends import open
from .errors import (
    AccessDenied,
    CapacityExceeded,
    CorruptArena,
    IncompatibleArena,
    InvalidKey,
    InvalidValue,
    KeyNotFound,
    KeyTypeError,
    PathConflict,
    PatternError,
    ShoalError,
    StorageError,
    StoreBusy,
    StoreClosed,
    StoreNotFound,
)
from .store import Store

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from .arena import destroy, gc, list_arenas
    from .memory.object import MemoryObject
    from .memory.ref import MemoryRef
    from .memory.run import RunContext
    from .records import Metadata, NamespaceStats, Stats
else:
    from ._lazy import __dir__ as __dir__
    from ._lazy import __getattr__ as __getattr__

__all__ = [
    "AccessDenied",
    "CapacityExceeded",
    "CorruptArena",
    "IncompatibleArena",
    "InvalidKey",
    "InvalidValue",
    "KeyNotFound",
    "KeyTypeError",
    "MemoryObject",
    "MemoryRef",
    "Metadata",
    "NamespaceStats",
    "PathConflict",
    "PatternError",
    "RunContext",
    "ShoalError",
    "Stats",
    "StorageError",
    "Store",
    "StoreBusy",
    "StoreClosed",
    "StoreNotFound",
    "__version__",
    "destroy",
    "gc",
    "list_arenas",
    "open",
]
