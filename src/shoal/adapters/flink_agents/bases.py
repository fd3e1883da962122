"""The classes that the adapter's own derive from: those of `flink-agents` where it is installed, else its stand-ins.

What derives from the installed package's classes passes its `isinstance` checks, and references of both sides are equal.
Parts of the package need pyflink as well; without that, these parts alone are stand-ins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .standalone import (
        MemoryObject,
        MemoryRef,
        MemoryType,
        RunnerContextBase,
        ShortTermMemoryTtlUpdate,
        ShortTermMemoryTtlVisibility,
        validate_memory_value,
    )
else:
    from . import standalone

    def _names(module: str, names: Iterable[str], missing: tuple[str, ...] = ("flink_agents",)) -> list[Any]:
        """The names of a module of the package; those that it does not have, or that cannot be imported, from here.

        What is missing must be the package, or one of `missing`: an installation that is broken in another way says so.
        """
        from importlib import import_module

        try:
            found = import_module(f"flink_agents.{module}")
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in missing:
                raise
            found = standalone
        return [getattr(found, name, None) or getattr(standalone, name, None) for name in names]

    MemoryObject, MemoryType, validate_memory_value = _names(
        "api.memory_object", ["MemoryObject", "MemoryType", "validate_memory_value"]
    )
    (MemoryRef,) = _names("api.memory_reference", ["MemoryRef"])
    ShortTermMemoryTtlUpdate, ShortTermMemoryTtlVisibility = _names(
        "api.core_options", ["ShortTermMemoryTtlUpdate", "ShortTermMemoryTtlVisibility"], ("flink_agents", "pyflink")
    )
    RunnerContextBase = _names("api.runner_context", ["RunnerContext"], ("flink_agents", "pyflink"))[0]
    if RunnerContextBase is None:
        RunnerContextBase = standalone.RunnerContextBase

__all__ = [
    "MemoryObject",
    "MemoryRef",
    "MemoryType",
    "RunnerContextBase",
    "ShortTermMemoryTtlUpdate",
    "ShortTermMemoryTtlVisibility",
    "validate_memory_value",
]
