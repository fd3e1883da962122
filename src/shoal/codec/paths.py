"""Where in a value the trouble is: a second, slow walk, taken only when encoding has failed.

Also the judge of depth: encoding nests the C stack, so what holds many objects inside one another is measured here,
without recursion, before it is encoded for good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import InvalidValue
from .containers import MAX_OBJECT_DEPTH
from .objects import state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["MAX_DEPTH", "find"]

MAX_DEPTH = 500
"""Containers inside one another that every reader takes."""

_PLAIN = frozenset({dict, list})
_LONGEST_PATH = 40  # steps that are shown in full
_LONGEST_KEY = 60

Step = tuple[str, Any]


def _children(value: Any) -> Iterator[Step] | None:
    """What `value` holds, each with its step; None for a leaf. InvalidValue if it cannot even be looked into."""
    kind = type(value)
    if kind is dict:
        return _entries(value)
    if kind is list or kind is tuple:
        return ((f"[{index}]", item) for index, item in enumerate(value))
    if kind is set or kind is frozenset:
        return ((f"{{{_short(item)}}}", item) for item in value)
    state = state_of(value)
    return None if state is None else ((_key_step(name), item) for name, item in state)


def _entries(value: dict[Any, Any]) -> Iterator[Step]:
    for key, item in value.items():
        if not (type(key) is str and _is_unicode(key)) and not _is_atom(key):
            yield f"{{key {_short(key)}}}", key
        yield _key_step(key), item


def _is_atom(value: Any) -> bool:
    return value is None or type(value) in (bool, int, float, bytes)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _short(value: Any) -> str:
    if not _is_atom(value) and type(value) not in (str, tuple):  # their __repr__ would tell little, or run user code
        return type(value).__qualname__
    try:
        text = ascii(value)
    except Exception:  # noqa: BLE001 - a tuple may hold anything
        text = "tuple"
    return text if len(text) <= _LONGEST_KEY else text[:_LONGEST_KEY] + "..."


def _key_step(key: Any) -> str:
    if type(key) is not str:
        return f"[{_short(key)}]"
    if key.isidentifier():
        return f".{key}"
    quoted = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'["{quoted}"]' if key.isprintable() else f"[{key!a}]"


def _join(steps: list[str]) -> str:
    if len(steps) > _LONGEST_PATH:
        steps = [*steps[: _LONGEST_PATH // 2], "...", *steps[-5:]]
    return "$" + "".join(steps)


def find(value: Any, probe: Callable[[Any], object] | None = None) -> tuple[str, Any, str] | None:
    """The first element of `value` that cannot be stored: its path, itself, and why. None if there is none.

    Args:
        value: What `encode` was given.
        probe: Encodes one leaf, or raises. Without it, only depth and self-containment are looked at.
    """
    steps: list[str] = []
    holders: list[Any] = []
    pending: list[Iterator[Step]] = [iter([("", value)])]
    above: set[int] = set()
    deepest: dict[int, int] = {}  # a container met again is walked again only if it lies deeper this time
    while pending:
        step = next(pending[-1], None)
        if step is None:
            pending.pop()
            if holders:
                above.discard(id(holders.pop()))
                steps.pop()
            continue
        name, item = step
        if id(item) in above:
            return _join([*steps, name]), item, "it contains itself"
        try:
            children = _children(item)
            if children is None and probe is not None:
                probe(item)
        except InvalidValue as error:
            return _join([*steps, name]), item, str(error)
        except Exception as error:  # noqa: BLE001 - so is all that a leaf's encoding calls
            return _join([*steps, name]), item, f"{type(error).__name__}: {error}"
        depth = len(pending)
        if children is None or deepest.get(id(item), 0) >= depth:
            continue
        if depth > MAX_DEPTH:
            return _join([*steps, name]), item, f"more than {MAX_DEPTH} containers inside one another"
        if depth > MAX_OBJECT_DEPTH and sum(type(holder) not in _PLAIN for holder in holders) >= MAX_OBJECT_DEPTH:
            return _join([*steps, name]), item, f"more than {MAX_OBJECT_DEPTH} objects inside one another"
        deepest[id(item)] = depth
        steps.append(name)
        holders.append(item)
        above.add(id(item))
        pending.append(children)
    return None
