"""Names of the package that are imported when they are first asked for (PEP 562).

`import shoal` should cost little: the arena's functions need the extension module, the records need dataclasses and
datetime, which take longer to import than all the rest together, and not every program uses memory.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from typing import Any

__all__: list[str] = []

_MODULES = {
    "MemoryObject": "memory.object",
    "MemoryRef": "memory.ref",
    "Metadata": "records",
    "NamespaceStats": "records",
    "RunContext": "memory.run",
    "Stats": "records",
}
_ARENA = frozenset({"destroy", "gc", "list_arenas"})


def __getattr__(name: str) -> Any:
    package = sys.modules[__package__]
    if name in _ARENA:
        from .backends import from_arena

        value = from_arena(name)
    elif name in _MODULES:
        from importlib import import_module

        value = getattr(import_module(f".{_MODULES[name]}", __package__), name)
    else:
        raise AttributeError(f"module {package.__name__!r} has no attribute {name!r}", name=name, obj=package)
    setattr(package, name, value)
    return value


def __dir__() -> list[str]:
    package = vars(sys.modules[__package__])
    return sorted({*package, *package["__all__"]})
