"""`StateTtl`: how long short-term memory lives.

The same settings as the original's, under its names: ``short-term-memory.state-ttl.ms`` (0: for ever),
``….update-type`` and ``….visibility``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from ...errors import InvalidValue
from ...options import MISSING, parse_ttl
from .bases import ShortTermMemoryTtlUpdate, ShortTermMemoryTtlVisibility

__all__ = ["StateTtl"]

_PREFIX = "short-term-memory.state-ttl."


@dataclass(frozen=True)
class StateTtl:
    """How long a field lives, what makes it live longer, and whether it is read when it has expired.

    Each field lives by itself. What has expired and may still be read is given out once, by the first who reads it; if
    nobody does, it goes after as long a time again.
    """

    seconds: float
    update: ShortTermMemoryTtlUpdate = ShortTermMemoryTtlUpdate.ON_READ_AND_WRITE
    visibility: ShortTermMemoryTtlVisibility = ShortTermMemoryTtlVisibility.NEVER_RETURN_EXPIRED

    def __post_init__(self) -> None:
        seconds = parse_ttl(self.seconds)
        if not isinstance(seconds, float):
            raise InvalidValue(f"a StateTtl needs a number of seconds, not {self.seconds!r}")
        object.__setattr__(self, "seconds", seconds)
        object.__setattr__(self, "update", _member(ShortTermMemoryTtlUpdate, self.update))
        object.__setattr__(self, "visibility", _member(ShortTermMemoryTtlVisibility, self.visibility))

    @property
    def on_read(self) -> bool:
        """Whether reading makes a field live longer."""
        return self.update is ShortTermMemoryTtlUpdate.ON_READ_AND_WRITE

    @property
    def grace(self) -> float:
        """The seconds that a field stays after it has expired."""
        shown = self.visibility is ShortTermMemoryTtlVisibility.RETURN_EXPIRED_IF_NOT_CLEANED_UP
        return self.seconds if shown else 0.0

    @property
    def kept(self) -> float:
        """The seconds after which the store removes a field."""
        return self.seconds + self.grace

    @classmethod
    def of(cls, source: Any) -> StateTtl | None:
        """What was meant by it: seconds, a `StateTtl`, or a configuration; None, 0 and a configuration without: for ever.

        A configuration is a mapping with the original's names of options, or one of its configuration objects. ValueError
        if a setting is none.
        """
        if source is None or isinstance(source, cls):
            return source
        if not (hasattr(source, "get_str") or hasattr(source, "keys")):
            return cls(source) if source else None
        milliseconds = float(_setting(source, "ms", 0))
        if milliseconds <= 0:
            return None
        defaults = cls(milliseconds / 1000)
        return cls(
            milliseconds / 1000,
            _setting(source, "update-type", defaults.update),
            _setting(source, "visibility", defaults.visibility),
        )


def _setting(source: Any, name: str, default: Any) -> Any:
    read = source.get if hasattr(source, "keys") else source.get_str
    value = read(_PREFIX + name, MISSING)
    return default if value is MISSING or value is None else value


def _member(kind: Any, value: Any) -> Any:
    """The member of an enum that is meant: itself, its name, or what `str` made of it."""
    name = value.name if isinstance(value, Enum) else str(value).rpartition(".")[2]
    try:
        return kind[name]
    except KeyError:
        raise ValueError(f"{name!r} is none of {', '.join(kind.__members__)}") from None
