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

Two questions about all keys that begin in one way, `Glob.covers` and `may_extend`, are answered from the pattern
alone. They are exact: keys are text without lone surrogates, so ``[\x00-\ud7ff\ue000-\U0010ffff]`` is a "?" there.
"""

from __future__ import annotations

from functools import lru_cache

from .errors import PatternError

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    import re
    from collections.abc import Sequence
    from typing import Any, NoReturn, TypeAlias

    Class: TypeAlias = tuple[bool, tuple[tuple[str, str], ...]]  # negated, ranges from character to character
    Ranges: TypeAlias = tuple[tuple[int, int], ...]  # of code points, rising, apart from each other

__all__ = ["Glob", "escape", "may_extend"]

# A pattern is a row of tokens: a literal character, a class of characters, or None for a star.
_ANY: Class = (True, ())
_SCALARS: Ranges = ((0, 0xD7FF), (0xE000, 0x10FFFF))  # what keys are made of


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

    def covers(self, start: str) -> bool:
        """Whether every key matches that starts like this and goes on."""
        return _covers(self.pattern, start)

    def __repr__(self) -> str:
        return f"Glob({self.pattern!r})"


def escape(key: str) -> str:
    """The pattern that this key alone matches."""
    return "".join(f"\\{character}" if character in "*?[\\" else character for character in key)


# ---------------------------------------------------------------------- from text to tokens to an expression


@lru_cache(maxsize=256)
def _compile(pattern: str) -> tuple[str, bool, re.Pattern[str]]:
    import re

    # The parts between the stars, each a list of one expression per character.
    parts: list[list[str]] = [[]]
    prefix: list[str] = []
    plain = True  # only literal characters so far
    for token in _tokens(pattern):
        if token is None:
            if parts[-1] or len(parts) == 1:  # two stars in a row are one
                parts.append([])
        elif isinstance(token, str):
            if plain:
                prefix.append(token)
            parts[-1].append(re.escape(token))
        else:
            parts[-1].append(_expression(token))
        plain = plain and isinstance(token, str)

    first, *rest = ("".join(part) for part in parts)
    if not rest:
        expression = first
    else:
        *middle, last = rest
        # (?>...): once a part has found its first place, the expression never looks for another one.
        expression = first + "".join(f"(?>.*?{part})" for part in middle) + ".*" + last
    is_prefix = len(parts) == 2 and not parts[1] and len(parts[0]) == len(prefix)
    return "".join(prefix), is_prefix, re.compile(expression, re.DOTALL)


def _expression(token: Class) -> str:
    import re

    negated, ranges = token
    if token == _ANY:
        return "."
    # re warns of "--", "[", "&&" and the like unless escaped; re.escape leaves none of them bare.
    inner = (re.escape(low) if low == high else f"{re.escape(low)}-{re.escape(high)}" for low, high in ranges)
    return f"[{'^' if negated else ''}{''.join(inner)}]"


def _tokens(pattern: str) -> list[str | Class | None]:
    tokens: list[str | Class | None] = []
    index = 0
    while index < len(pattern):
        start = index
        character = pattern[index]
        index += 1
        token: str | Class | None = character
        if character == "*":
            token = None
        elif character == "?":
            token = _ANY
        elif character == "[":
            token, index = _class(pattern, start)
        elif character == "\\":
            token, index = _escaped(pattern, start)
        tokens.append(token)
    return tokens


def _class(pattern: str, start: int) -> tuple[Class, int]:
    """The class that opens at `start`, and the index after its end."""
    index = start + 1
    negated = pattern[index : index + 1] == "!"
    index += negated
    ranges: list[tuple[str, str]] = []
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
        ranges.append((low, high))
    if not ranges:
        _malformed("empty class", pattern, start)
    return (negated, tuple(ranges)), index + 1


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


# ---------------------------------------------------------------------- the pattern as an automaton
#
# A state is how many tokens are done. At a star it may go on to the next token as well as stay for another character.


@lru_cache(maxsize=1024)
def may_extend(levels: tuple[tuple[str, ...], ...], start: str) -> bool:
    """Whether there can be a key that starts like this and goes on, and that a pattern of every level matches."""
    # One automaton per level walks over the same text: the sum of a level's globs, each with states of its own.
    rows: list[list[Ranges | None]] = []
    begun: list[list[int]] = []
    ends: list[set[int]] = []
    for level in levels:
        row: list[Ranges | None] = []
        states: list[int] = []
        end: set[int] = set()
        for pattern in level:
            tokens = _automaton(pattern)
            states += [len(row) + state for state in _after(tokens, start)]
            # The end of each is a token that nothing matches.
            row += [*tokens, ()]
            end.add(len(row) - 1)
        rows.append(row)
        begun.append(states)
        ends.append(end)
    return _reachable(rows, begun, ends)


def _reachable(rows: Sequence[list[Ranges | None]], begun: Sequence[list[int]], ends: Sequence[set[int]]) -> bool:
    """Whether some text, not empty, leads all automata to an end at once."""
    from itertools import product

    waiting = [(False, states) for states in product(*begun)]
    seen = set(waiting)
    while waiting:
        moved, states = waiting.pop()
        if moved and all(map(set.__contains__, ends, states)):
            return True
        tokens = [row[state] for row, state in zip(rows, states, strict=True)]
        after = []
        common = _SCALARS
        for place, token in enumerate(tokens):
            if token is None:
                after.append((moved, (*states[:place], states[place] + 1, *states[place + 1 :])))
            else:
                common = _intersection(common, token)
        if common:
            steps = zip(states, tokens, strict=True)
            after.append((True, tuple(state if token is None else state + 1 for state, token in steps)))
        waiting += [step for step in after if step not in seen]
        seen.update(after)
    return False


@lru_cache(maxsize=1024)
def _covers(pattern: str, start: str) -> bool:
    # From a state whose remaining tokens all take any character, `count` of them besides stars, every text matches that
    # has exactly `count` characters, or at least so many if there is a star.
    #
    # Nothing else can help to match every text: let the states be those after `start`, and of the stars that they stand at
    # keep the last, for what an earlier one matches it matches, too. All other states that matter then lie between it and
    # the next star, so all share what follows that; and if each of them has to pass a token that refuses some
    # character, they have one such token in common, and a text of that character alone, if long enough, gets past none.
    tokens = _automaton(pattern)
    counts: set[int] = set()
    least: int | None = None
    for state in _after(tokens, start):
        rest = [token for token in tokens[state:] if token is not None]
        if any(token != _SCALARS for token in rest):
            continue
        if len(rest) < len(tokens) - state:
            least = len(rest) if least is None else min(least, len(rest))
        else:
            counts.add(len(rest))
    return least is not None and counts.issuperset(range(1, least))


def _after(tokens: Sequence[Ranges | None], text: str) -> set[int]:
    """The states in which the text may have left the automaton."""
    states = _with_stars_passed(tokens, {0})
    for character in text:
        code = ord(character)
        states = {state if tokens[state] is None else state + 1 for state in states if _takes(tokens, state, code)}
        states = _with_stars_passed(tokens, states)
    return states


def _takes(tokens: Sequence[Ranges | None], state: int, code: int) -> bool:
    if state == len(tokens):
        return False
    token = tokens[state]
    return token is None or any(low <= code <= high for low, high in token)


def _with_stars_passed(tokens: Sequence[Ranges | None], states: set[int]) -> set[int]:
    passed = set(states)
    for state in states:
        after = state
        while after < len(tokens) and tokens[after] is None:
            after += 1
            passed.add(after)
    return passed


@lru_cache(maxsize=256)
def _automaton(pattern: str) -> tuple[Ranges | None, ...]:
    return tuple(None if token is None else _ranges(token) for token in _tokens(pattern))


def _ranges(token: str | Class) -> Ranges:
    """The characters that a token takes."""
    negated, given = (False, ((token, token),)) if isinstance(token, str) else token
    ranges: list[tuple[int, int]] = []
    at = 0  # behind what was taken so far, or refused if negated
    for low, high in sorted((ord(low), ord(high)) for low, high in given):
        if negated:
            if at < low:
                ranges.append((at, low - 1))
        elif at <= high:
            ranges.append((max(at, low), high))
        at = max(at, high + 1)
    if negated and at <= 0x10FFFF:
        ranges.append((at, 0x10FFFF))
    return _joined(_intersection(tuple(ranges), _SCALARS))


def _joined(ranges: Ranges) -> Ranges:
    """The same with neighbours made one, so that equal sets are equal."""
    joined: list[tuple[int, int]] = []
    for low, high in ranges:
        if joined and joined[-1][1] + 1 == low:
            joined[-1] = (joined[-1][0], high)
        else:
            joined.append((low, high))
    return tuple(joined)


def _intersection(one: Ranges, other: Ranges) -> Ranges:
    pairs = ((max(a, c), min(b, d)) for a, b in one for c, d in other)
    return tuple(sorted((low, high) for low, high in pairs if low <= high))
