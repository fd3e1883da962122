r"""Globs over keys.

    *        any characters, also none, also "/" and newlines
    ?        exactly one character
    [abc]    one of these; [a-z0-9] ranges by code point; a "-" that comes first or last is itself
    [!abc]   one character that is none of these
    \x       the character x itself, whatever it is, inside a class too

A pattern is compared with the whole key, and case matters. Everything else stands for itself: so do "]" outside
a class, and "^" and "[" inside one. A "]" ends the class wherever it stands, so a class that is to contain it
says ``[\]]``, and ``[]`` and ``[!]`` are errors rather than surprises.

Matching takes time in proportion to pattern times key, whatever the pattern: the part before each star is matched
where it first fits and never moved again, which is right because a star follows.
"""

from __future__ import annotations

from functools import lru_cache

from .errors import PatternError

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    import re
    from typing import Any, NoReturn

__all__ = ["Glob"]


class Glob:
    """A compiled pattern. Raises `PatternError`, with `pattern` and the `position` of what is wrong, if malformed."""

    __slots__ = ("_match", "is_prefix", "pattern", "prefix")

    pattern: str
    prefix: str
    """What every key that matches starts with, so that a backend needs to look at no other."""
    is_prefix: bool
    """Whether every key that starts with `prefix` matches."""

    def __init__(self, pattern: str) -> None:
        if not isinstance(pattern, str):
            raise PatternError(f"a pattern must be a str, not {type(pattern).__name__}", pattern=repr(pattern))
        self.pattern = pattern
        self.prefix, self.is_prefix, expression = _compile(pattern)
        self._match = expression.fullmatch

    def match(self, key: str) -> bool:
        """Whether the whole key matches."""
        return self._match(key) is not None

    def __repr__(self) -> str:
        return f"Glob({self.pattern!r})"


@lru_cache(maxsize=256)
def _compile(pattern: str) -> tuple[str, bool, re.Pattern[str]]:
    import re

    # The parts between the stars, each a list of one expression per character.
    parts: list[list[str]] = [[]]
    prefix: list[str] = []
    plain = True  # only literal characters so far
    index = 0
    while index < len(pattern):
        character = pattern[index]
        start = index
        index += 1
        if character == "*":
            plain = False
            if parts[-1] or len(parts) == 1:  # two stars in a row are one
                parts.append([])
            continue
        if character == "?":
            plain = False
            parts[-1].append(".")
            continue
        if character == "[":
            plain = False
            expression, index = _class(pattern, start)
            parts[-1].append(expression)
            continue
        if character == "\\":
            character, index = _escaped(pattern, start)
        if plain:
            prefix.append(character)
        parts[-1].append(re.escape(character))

    first, *rest = ("".join(part) for part in parts)
    if not rest:
        expression = first
    else:
        *middle, last = rest
        # (?>...): once a part has found its first place, the expression never looks for another one.
        expression = first + "".join(f"(?>.*?{part})" for part in middle) + ".*" + last
    is_prefix = len(parts) == 2 and not parts[1] and len(parts[0]) == len(prefix)
    return "".join(prefix), is_prefix, re.compile(expression, re.DOTALL)


def _class(pattern: str, start: int) -> tuple[str, int]:
    """The expression for the class that opens at `start`, and the index after its end."""
    import re

    index = start + 1
    negated = pattern[index : index + 1] == "!"
    index += negated
    ranges: list[str] = []
    while True:
        if index >= len(pattern):
            _malformed("unclosed [", pattern, start)
        if pattern[index] == "]":
            break
        at = index
        low, index = _member(pattern, index, start)
        high = low
        if pattern[index : index + 1] == "-" and pattern[index + 1 : index + 2] not in ("]", ""):
            high, index = _member(pattern, index + 1, start)
            if high < low:
                _malformed(f"reversed range {low}-{high}", pattern, at)
        ranges.append(re.escape(low) if low == high else f"{re.escape(low)}-{re.escape(high)}")
    if not ranges:
        _malformed("empty class", pattern, start)
    # re warns of "--", "[", "&&" and the like unless escaped; re.escape leaves none of them bare.
    return f"[{'^' if negated else ''}{''.join(ranges)}]", index + 1


def _member(pattern: str, index: int, start: int) -> tuple[str, int]:
    if pattern[index] != "\\":
        return pattern[index], index + 1
    if index + 1 >= len(pattern):
        _malformed("unclosed [", pattern, start)
    return pattern[index + 1], index + 2


def _escaped(pattern: str, start: int) -> tuple[str, int]:
    if start + 1 >= len(pattern):
        _malformed("backslash at the end", pattern, start)
    return pattern[start + 1], start + 2


def _malformed(problem: str, pattern: str, position: int) -> NoReturn:
    error: Any = PatternError(f"{problem} at index {position} of pattern {pattern!r}", pattern=pattern)
    error.position = position
    raise error
