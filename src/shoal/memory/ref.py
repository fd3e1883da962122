"""`MemoryRef`: a small value that says where a field of a memory is.

A tuple of texts and numbers, so pickle, JSON and MessagePack take it as it is; what JSON makes of it, `MemoryRef.of` makes a
reference again.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..errors import InvalidKey, InvalidValue
from ..options import check_name
from .path import split

__all__ = ["KINDS", "SENSORY", "SHORT_TERM", "MemoryRef"]

SHORT_TERM = "short_term"
SENSORY = "sensory"
KINDS = (SHORT_TERM, SENSORY)
"""The memory of a namespace, and that of a run."""


class MemoryRef(NamedTuple):
    """Where a field is; its size does not depend on the value's. Hashable, comparable, picklable."""

    path: str
    """From the root of the memory on."""
    namespace: str = "default"
    version: int = 0
    """The version that was written; 0: no certain one."""
    expires: float | None = None
    """When the field expires, in seconds since 1970, as known when this was made; None: never."""
    kind: str = SHORT_TERM
    """"short_term", or "sensory": of a run."""

    @classmethod
    def of(cls, source: Any) -> MemoryRef:
        """The reference that this is: itself, a list or tuple of its fields, a dict of them, or JSON text of these.

        Raises:
            InvalidValue: It is none of these.
        """
        fields = _parse(source) if isinstance(source, str) else source
        if isinstance(fields, dict):
            if not {"path"} <= fields.keys() <= set(cls._fields):
                raise InvalidValue(
                    f"a MemoryRef has the fields {', '.join(cls._fields)}; this has others: {_shown(source)}"
                )
            ref = cls(**fields)
        elif isinstance(fields, (list, tuple)) and 1 <= len(fields) <= len(cls._fields):
            ref = cls(*fields)
        else:
            raise InvalidValue(f"this is no MemoryRef: {_shown(source)}")
        problem = _problem(ref)
        if problem:
            raise InvalidValue(f"this is no MemoryRef, {problem}: {_shown(source)}")
        return ref


def _parse(text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidValue(f"this is no MemoryRef in JSON: {_shown(text)}") from None


def _problem(ref: MemoryRef) -> str:
    try:
        split(ref.path)
        check_name(ref.namespace, "namespace")
    except InvalidKey as error:
        return str(error)
    if type(ref.version) is not int or ref.version < 0:
        return "its version must be an int of 0 or more"
    if ref.expires is not None and (type(ref.expires) not in (int, float) or not abs(ref.expires) < 1e18):
        return "its expiry must be a number of seconds or None"
    return "" if ref.kind in KINDS else 'its kind must be "short_term" or "sensory"'


def _shown(source: Any) -> str:
    from reprlib import repr as shortened

    return shortened(source)
