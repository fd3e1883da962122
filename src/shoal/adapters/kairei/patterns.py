"""The globs of KAIREI's `list_keys`, which are those of Rust's crate ``glob``.

    *        any characters, also none, also "/"
    ?        exactly one character
    [abc]    one of these; [a-z] ranges by code point, and one that is reversed matches nothing
    [!abc]   one character that is none of these
    **       as a whole component between "/", or at either end: any number of components, also none
    /**      at the end: whatever follows

Nothing escapes; a special character is written as a class of its own, ``[*]``. A "]" right behind ``[`` or ``[!`` is a member of the
class, a "-" at its begin or end too. ``***``, and ``**`` beside anything but "/", are errors.

Matching takes time in proportion to pattern times key: the part behind each star is matched where it first fits and never moved again.
That is right behind ``**`` as well, for what it may begin with is all that follows a "/", and it ends in one itself if another ``**`` follows.
"""

from __future__ import annotations

import re
from functools import lru_cache

from .errors import PatternError

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from typing import NoReturn, TypeAlias

    Tokens: TypeAlias = list[tuple[str, str]]  # kind, and what it stands for

__all__ = ["Pattern"]

_LITERAL, _ONE, _STAR, _RECURSIVE = "literal", "one", "star", "recursive"


class Pattern:
    """A compiled pattern. Raises `PatternError` if it is malformed or empty."""

    __slots__ = ("_match", "prefix")

    prefix: str
    """What every key that matches starts with."""

    def __init__(self, pattern: str) -> None:
        if not isinstance(pattern, str):
            raise PatternError(f"Pattern must be a str, not {type(pattern).__name__}")
        if not pattern:
            raise PatternError("Pattern cannot be empty", pattern=pattern)
        self.prefix, expression = _compile(pattern)
        self._match = expression.fullmatch

    def match(self, key: str) -> bool:
        """Whether the whole key matches."""
        return self._match(key) is not None


@lru_cache(maxsize=256)
def _compile(pattern: str) -> tuple[str, re.Pattern[str]]:
    tokens = _tokens(pattern)
    prefix: list[str] = []
    for kind, text in tokens:
        if kind != _LITERAL:
            break
        prefix.append(text)

    # Parts of single characters, each with the star before it.
    parts: list[tuple[str, list[str]]] = [("", [])]
    for kind, text in tokens:
        if kind in (_STAR, _RECURSIVE):
            parts.append((kind, []))
        else:
            parts[-1][1].append(re.escape(text) if kind == _LITERAL else text)
    expressions = []
    for number, (star, characters) in enumerate(parts):
        part = "".join(characters)
        if not star:
            expressions.append(part)
        elif number < len(parts) - 1:
            # (?>...): once the part has found its first place, the expression never looks for another one.
            expressions.append(f"(?>.*?{part})" if star == _STAR else f"(?>(?:.*?/)??{part})")
        elif star == _STAR or not part:
            expressions.append(f".*{part}")
        else:
            expressions.append(f"(?:.*/)?{part}")
    return "".join(prefix), re.compile("".join(expressions), re.DOTALL)


def _tokens(pattern: str) -> Tokens:
    tokens: Tokens = []
    index = 0
    while index < len(pattern):
        character = pattern[index]
        if character == "*":
            kind, index = _stars(pattern, index)
            tokens.append((kind, ""))
        elif character == "[":
            expression, index = _class(pattern, index)
            tokens.append((_ONE, expression))
        else:
            tokens.append((_ONE, ".") if character == "?" else (_LITERAL, character))
            index += 1
    return tokens


def _stars(pattern: str, start: int) -> tuple[str, int]:
    """The kind of the stars that begin at `start`, and the index after what belongs to them."""
    end = start
    while pattern[end : end + 1] == "*":
        end += 1
    count = end - start
    if count == 1:
        return _STAR, end
    if count > 2:
        _malformed(pattern, start + 2, "wildcards are either regular `*` or recursive `**`")
    if start > 0 and pattern[start - 1] != "/":
        _malformed(pattern, start - 1, "recursive wildcards must form a single path component")
    if end < len(pattern) and pattern[end] != "/":
        _malformed(pattern, end, "recursive wildcards must form a single path component")
    return _RECURSIVE, end + 1  # with the "/" behind it, which no component needs to precede


def _class(pattern: str, start: int) -> tuple[str, int]:
    """The expression of the class that opens at `start`, and the index after its end."""
    negated = pattern[start + 1 : start + 2] == "!"
    first = start + 1 + negated
    end = pattern.find("]", first + 1)  # the first member may be a "]" itself
    if end < 0:
        _malformed(pattern, start, "invalid range pattern")
    members = pattern[first:end]
    ranges = []
    index = 0
    while index < len(members):
        if members[index + 1 : index + 2] == "-" and index + 2 < len(members):
            low, high = members[index], members[index + 2]
            index += 3
        else:
            low = high = members[index]
            index += 1
        if low <= high:
            ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    if not ranges:  # reversed ranges only: no character is among them
        return ("." if negated else "(?!)"), end + 1
    return f"[{'^' if negated else ''}{''.join(ranges)}]", end + 1


def _malformed(pattern: str, position: int, problem: str) -> NoReturn:
    raise PatternError(f"Pattern syntax error near position {position}: {problem}", pattern=pattern)
