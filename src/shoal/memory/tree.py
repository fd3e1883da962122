"""The text of a tree: what is in a memory, for people to read.

    agent-7
    ├── user
    │   ├── age: 13
    │   └── name: 'john'
    └── v1.2: <array of 8,000,064 bytes>

Values of more than a few kilobytes are not read for it: their type and size say enough.
"""

from __future__ import annotations

from reprlib import Repr

from ..errors import InvalidValue, KeyNotFound
from ..options import MISSING
from .path import escape

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .object import MemoryObject

__all__ = ["lines", "render"]

_BRANCH, _LAST, _BAR, _GAP = "├── ", "└── ", "│   ", "    "
_READ = 4096  # bytes of a value that is read to be shown

_shortened = Repr()
_shortened.maxstring = _shortened.maxother = 60


def render(top: MemoryObject, max_depth: int | None = None) -> str:
    """A line for the object, and below it one for each field, sorted; `max_depth` levels of them, None = all."""
    return "\n".join(lines(top, max_depth))


def lines(top: MemoryObject, max_depth: int | None = None, *, types: bool = False) -> Iterator[str]:
    """The same, line by line; with `types` as ``age: int = 13``."""
    names = top._names
    yield from _object(top, _name(names[-1]) if names else ".", "", max_depth, types=types)


def _object(above: MemoryObject, line: str, indent: str, depth: int | None, *, types: bool) -> Iterator[str]:
    """Lines of an object, which begins with `line`, and of what is below it, which begins with `indent`."""
    fields = sorted(above._fields())
    if depth == 0 or not fields:
        yield f"{line} ({len(fields):,} field{'s' * (len(fields) != 1)})"
        return
    yield line
    for n, (name, is_object) in enumerate(fields, 1):
        branch, below = (_LAST, _GAP) if n == len(fields) else (_BRANCH, _BAR)
        start = f"{indent}{branch}{_name(name)}"
        if is_object:
            yield from _object(above._child(name), start, indent + below, depth and depth - 1, types=types)
        else:
            yield start + _value(above, name, types=types)


def _name(name: str) -> str:
    return name if name.isprintable() and name == name.strip() else repr(name)


def _value(above: MemoryObject, name: str, *, types: bool) -> str:
    try:
        meta = above.metadata(escape(name))
    except KeyNotFound:
        return ": (gone)"
    if meta.type == "object":  # since it was listed
        return " (an object now)"
    about = f"<{meta.type} of {meta.size:,} bytes>"
    if meta.size > _READ:
        return f": {about}"
    try:
        value = above.get(escape(name), MISSING)
    except InvalidValue:
        return f": {about}, which cannot be read here"
    shown = "(gone)" if value is MISSING else " ".join(_shortened.repr(value).split())  # on one line
    return f": {meta.type} = {shown}" if types else f": {shown}"
