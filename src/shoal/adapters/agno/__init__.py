"""Agno's stores that live in memory, shared by processes: `InMemoryStorage` of Agno 1, `InMemoryDb` of Agno 2 and 3.

The import is what changes:

    from shoal.adapters.agno import InMemoryStorage  # was: agno.storage.in_memory
    from shoal.adapters.agno import InMemoryDb  # was: agno.db.in_memory

Without a `url` a store is private to its object and the processes that get it; with one, `InMemoryDb("shm://swarm")`, all that
name it share it. A name that the installed Agno has no base for is an `ImportError` when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .aio import AsyncInMemoryDb
    from .db import InMemoryDb
    from .storage import InMemoryStorage

__all__ = ["AsyncInMemoryDb", "InMemoryDb", "InMemoryStorage"]

# Where each is, what it stands on, and which Agno has that.
_PLACES = {
    "AsyncInMemoryDb": ("aio", "agno.db.base", "2.1 or later"),
    "InMemoryDb": ("db", "agno.db.base", "2.0 or later"),
    "InMemoryStorage": ("storage", "agno.storage.base", "1.x"),
}


def __getattr__(name: str) -> Any:
    from importlib import import_module
    from importlib.util import find_spec

    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place, base, versions = _PLACES[name]
    try:
        import_module(base)
    except ModuleNotFoundError as error:
        if find_spec("agno") is None:
            raise ImportError(f'{name} needs Agno: pip install "shoal[agno]"', name="agno") from None
        if error.name is None or not base.startswith(error.name):
            raise  # something that Agno itself needs
        raise ImportError(f"{name} is of Agno {versions}, and another is installed", name=base) from None
    value = getattr(import_module(f".{place}", __name__), name)
    globals()[name] = value
    return value
