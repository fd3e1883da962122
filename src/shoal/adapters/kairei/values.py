"""JSON values: which they are, and how many bytes they have as KAIREI's serializer writes them."""

from __future__ import annotations

import json
from math import isfinite

from .errors import InvalidValue

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

__all__ = ["check", "size"]

_LEAST, _MOST = -(2**63), 2**64 - 1  # of the whole numbers that are numbers there
_DEPTH = 500  # of lists and dicts in each other


def check(value: Any) -> None:
    """Raise `InvalidValue` unless the value is JSON: None, bool, int, float, str, and lists and dicts of these."""
    waiting = [(value, 0)]
    while waiting:
        found, depth = waiting.pop()
        kind = type(found)
        if kind is dict:
            if not all(type(key) is str for key in found):
                _refuse("a key of an object must be a str")
            waiting += [(inner, depth + 1) for inner in found.values()]
        elif kind is list:
            waiting += [(inner, depth + 1) for inner in found]
        elif kind is int:
            if not _LEAST <= found <= _MOST:
                _refuse(f"number out of range: {found if found.bit_length() < 1000 else 'a very large one'}")
        elif kind is float:
            if not isfinite(found):
                _refuse(f"a number must be finite, not {found}")
        elif found is not None and kind is not bool and kind is not str:
            _refuse(f"{kind.__name__} is no JSON type")
        if depth > _DEPTH:
            _refuse(f"lists and objects more than {_DEPTH} deep, or in a circle")


def size(value: Any) -> int:
    """The bytes of the value as compact JSON in UTF-8."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # Floats are all that Python writes otherwise.
    return len(text.encode()) + sum(len(_written(number)) - len(repr(number)) for number in _floats(value))


def _floats(value: Any) -> Iterator[float]:
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, float):
            yield found
        elif isinstance(found, dict):
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found


def _written(number: float) -> str:
    """A float as KAIREI's serializer writes it: 1e16 and 1e-7 for Python's 1e+16 and 1e-07, and 0.00001 for 1e-05."""
    digits, e, exponent = repr(number).partition("e")
    if not e:
        return digits
    if int(exponent) == -5:
        sign = "-" if digits[0] == "-" else ""
        return f"{sign}0.0000{digits.lstrip('-').replace('.', '')}"
    return f"{digits}e{int(exponent)}"


def _refuse(problem: str) -> NoReturn:
    raise InvalidValue(problem)
