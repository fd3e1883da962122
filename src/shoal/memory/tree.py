"""The text of a tree: what is in a memory, for people to read.

agent-7
├── user
│   ├── age: 13
│   └── name: 'john'
└── v1.2: <ndarray>
"""

from __future__ import annotations

from reprlib import Repr

from ..options import MISSING
from .path import escape

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .object import MemoryObject

__all__ = ["render"]

_BRANCH, _LAST, _BAR, _GAP = "├── ", "└── ", "│   ", "    "

_shortened = Repr()
_shortened.maxstring = _shortened.maxother = 60


def render(top: MemoryObject, max_depth: int | None = None) -> str:
    """A line for the object, and below it one for each field, sorted; `max_depth` levels of them, None = all."""
    names = top._names
    return "\n".join([_name(names[-1]) if names else ".", *_lines(top, "", max_depth)])


def _lines(above: MemoryObject, indent: str, depth: int | None) -> Iterator[str]:
    if depth == 0:
        return
    fields = sorted(above._fields())
    for n, (name, is_object) in enumerate(fields, 1):
        branch, below = (_LAST, _GAP) if n == len(fields) else (_BRANCH, _BAR)
        if is_object:
            yield f"{indent}{branch}{_name(name)}"
            yield from _lines(above._child(name), indent + below, None if depth is None else depth - 1)
            continue
        value = above.get(escape(name), MISSING)
        shown = "(gone)" if value is MISSING else _value(value)
        yield f"{indent}{branch}{_name(name)}: {shown}"


def _name(name: str) -> str:
    return name if name.isprintable() and name == name.strip() else repr(name)


def _value(value: object) -> str:
    if type(value).__name__ == "ndarray":
        return f"<ndarray {value.dtype} {value.shape}>"  # type: ignore[attr-defined]
    return " ".join(_shortened.repr(value).split())  # on one line
