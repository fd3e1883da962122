"""What the adapter stands on where `flink-agents` is not installed: the same names, the same rules.

Nothing here needs a package beyond the standard library.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import Any

__all__ = [
    "MemoryObject",
    "MemoryRef",
    "MemoryType",
    "RunnerContextBase",
    "ShortTermMemoryTtlUpdate",
    "ShortTermMemoryTtlVisibility",
    "validate_memory_value",
]

_SCALARS = (bool, int, float, str)


class MemoryType(Enum):
    """Which memory."""

    SENSORY = "sensory"
    SHORT_TERM = "short_term"


class ShortTermMemoryTtlUpdate(Enum):
    """What makes a field live longer."""

    ON_CREATE_AND_WRITE = "ON_CREATE_AND_WRITE"
    ON_READ_AND_WRITE = "ON_READ_AND_WRITE"


class ShortTermMemoryTtlVisibility(Enum):
    """Whether what has expired is still read."""

    NEVER_RETURN_EXPIRED = "NEVER_RETURN_EXPIRED"
    RETURN_EXPIRED_IF_NOT_CLEANED_UP = "RETURN_EXPIRED_IF_NOT_CLEANED_UP"


class MemoryObject(ABC):
    """An object of named fields, each a value or an object again."""

    @abstractmethod
    def get(self, path_or_ref: str | MemoryRef) -> Any:
        """The value, a `MemoryObject` if it is an object, None if there is nothing."""

    @abstractmethod
    def set(self, path: str, value: Any) -> MemoryRef:
        """Write a field, and make the objects on the way."""

    @abstractmethod
    def new_object(self, path: str, *, overwrite: bool = False) -> MemoryObject:
        """See to it that there is an object, and return it."""

    @abstractmethod
    def is_exist(self, path: str) -> bool:
        """Whether there is a value or an object."""

    @abstractmethod
    def get_field_names(self) -> list[str]:
        """The names of this object's fields."""

    @abstractmethod
    def get_fields(self) -> dict[str, Any]:
        """This object's fields by their names."""


@dataclass(frozen=True, kw_only=True)
class MemoryRef:
    """Where a field is, from the root of its memory on: small, hashable, comparable, JSON-friendly."""

    memory_type: MemoryType = MemoryType.SHORT_TERM
    path: str

    @staticmethod
    def create(memory_type: MemoryType, path: str) -> MemoryRef:
        """A reference to this path."""
        return MemoryRef(memory_type=memory_type, path=path)

    def resolve(self, ctx: Any) -> Any:
        """What is there now, in the memory of a context. RuntimeError: a type that is no `MemoryType`."""
        if self.memory_type == MemoryType.SENSORY:
            return ctx.sensory_memory.get(self)
        if self.memory_type == MemoryType.SHORT_TERM:
            return ctx.short_term_memory.get(self)
        raise RuntimeError(f"Unknown memory type: {self.memory_type}")

    def model_dump(self, *, mode: str = "python") -> dict[str, Any]:
        """A dict of the fields; with mode "json" of plain text."""
        return {"memory_type": self.memory_type.value if mode == "json" else self.memory_type, "path": self.path}

    def model_dump_json(self) -> str:
        """JSON text."""
        return json.dumps(self.model_dump(mode="json"))

    @classmethod
    def model_validate(cls, source: Any) -> MemoryRef:
        """A reference of what `model_dump` gave. ValueError if it is none."""
        if isinstance(source, cls):
            return source
        if not isinstance(source, dict) or not isinstance(source.get("path"), str):
            raise ValueError(f"this is no MemoryRef: {source!r}")  # noqa: TRY004 - as pydantic does
        return cls(memory_type=MemoryType(source.get("memory_type", MemoryType.SHORT_TERM)), path=source["path"])

    @classmethod
    def model_validate_json(cls, text: str | bytes) -> MemoryRef:
        """A reference of what `model_dump_json` gave. ValueError if it is none."""
        return cls.model_validate(json.loads(text))


class RunnerContextBase:
    """The base of contexts: nothing, here."""


def validate_memory_value(path: str, value: Any) -> None:
    """Accept None, bool, int, float, str, lists, and dicts with str keys, of exactly these types, all the way down.

    Only these survive a checkpoint of the original. Raises TypeError, which names the place, the type and a way out.
    """
    _validate(value, f"value at memory path {path!r}")


def _validate(value: Any, place: str) -> None:
    if value is None or type(value) in _SCALARS:
        return
    if type(value) is list:
        for number, item in enumerate(value):
            _validate(item, f"{place}[{number}]")
    elif type(value) is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise TypeError(
                    f"{place} has a non-str key {key!r} ({type(key).__name__}); dicts in memory have str keys: "
                    "{str(k): v for k, v in value.items()}"
                )
            _validate(item, f"{place}[{key!r}]")
    elif isinstance(value, MemoryObject):
        raise TypeError(f"{place} is a MemoryObject; make objects with new_object(...), not with set()")
    else:
        raise TypeError(
            f"{place} has type {type(value).__name__!r}, which is not checkpoint-stable: values are made of None, bool, "
            "int, float, str, list, and dict with str keys. Store what it can be made of again, for example str(value) for a "
            "UUID, value.model_dump(mode='json') for a pydantic model, list(value) for a tuple or set"
        )
