"""Two writers, one row: what each has changed since it read, without undoing what the other did meanwhile.

Whoever writes a session writes all of it, also what it merely read some time ago. So a session remembers how it was when
it was last read or written, and only what is different from that goes into the store.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .records import Row

__all__ = ["merged", "remember", "remembered"]

_ATTRIBUTE = "_shoal_read"
_ABSENT: Any = object()


def merged(base: Row, mine: Row, theirs: Row) -> Row:
    """Theirs, with what I have changed or removed since `base`; dicts are merged key by key, anything else is one value."""
    result = {}
    for key in [*theirs, *(key for key in mine if key not in theirs)]:
        was, is_mine, is_theirs = (side.get(key, _ABSENT) for side in (base, mine, theirs))
        if isinstance(is_mine, dict) and isinstance(is_theirs, dict):
            value: Any = merged(was if isinstance(was, dict) else {}, is_mine, is_theirs)
        elif is_mine is _ABSENT:
            value = is_theirs if was is _ABSENT else _ABSENT
        else:
            value = is_theirs if is_mine == was else is_mine
        if value is not _ABSENT:
            result[key] = value
    return result


def remember(session: Any, number: int, row: Row, run_ids: list[Any]) -> None:
    """Have a session know what it was read, or written, as."""
    setattr(session, _ATTRIBUTE, (number, deepcopy(row), frozenset(run_ids)))


def remembered(session: Any, number: int) -> tuple[Row, frozenset[Any]] | None:
    """What the session was, and the runs it had; None if it was not read from the row of this number."""
    known = getattr(session, _ATTRIBUTE, None)
    return known[1:] if known is not None and known[0] == number else None
