"""Values that show whether they are whole: each is made from a number and leads back to it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from .entry import NUMBERS

if TYPE_CHECKING:
    from typing import Any

__all__ = ["decode", "encode"]

_WORD = struct.Struct("<q")
_WORDS = (60, 3_000)
"""Of values in blocks: few sizes, so that each block is soon filled anew, and one that takes long to copy."""
_LARGE_WORDS = 4_600
"""Of a value that gets pages of its own."""


def encode(number: int) -> Any:
    """Return the value of a number: itself, text, a block of some size, or one with pages of its own."""
    shape = number % NUMBERS
    if shape == 0:
        return number
    if shape == 1:
        return f"{number}{'-' * (number // NUMBERS % 60)}"
    return _WORD.pack(number) * (_LARGE_WORDS if shape == 3 else _WORDS[number // NUMBERS % 2])


def decode(value: Any) -> int | None:
    """Return the number that a value was made of; None if nobody made such a value."""
    number = 0
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.rstrip("-").isdecimal():
        number = int(value.rstrip("-"))
    elif isinstance(value, bytes) and len(value) >= _WORD.size:
        (number,) = _WORD.unpack_from(value)
    return number if number > 0 and encode(number) == value else None
