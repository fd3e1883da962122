"""The globs of KAIREI's `list_keys`: the rules one by one, and all together against a matcher that tries everything."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shoal.adapters.kairei import PatternError
from shoal.adapters.kairei.patterns import Pattern

KEYS = [
    "user_1",
    "user_a",
    "user_12",
    "user_",
    "User_1",
    "a",
    "a/b",
    "a/b/c",
    "/",
    ".hidden",
    "[x]",
    "]x[",
    "a*",
    "b-c",
    "a\nb",
]


@pytest.mark.parametrize(
    ("pattern", "keys"),
    [
        ("*", KEYS),
        ("user_*", ["user_1", "user_a", "user_12", "user_"]),
        ("user_?", ["user_1", "user_a"]),
        ("user_[0-9]", ["user_1"]),
        ("user_[!0-9]", ["user_a"]),
        ("[uU]ser_1", ["user_1", "User_1"]),
        ("a*c", ["a/b/c"]),
        ("a?b", ["a/b", "a\nb"]),
        ("[[]x[]]", ["[x]"]),
        ("[]x[]*", ["[x]", "]x["]),
        ("[!]a]*", ["user_1", "user_a", "user_12", "user_", "User_1", "/", ".hidden", "[x]", "b-c"]),
        ("a[*]", ["a*"]),
        ("b[-x]c", ["b-c"]),
        ("b[x-]c", ["b-c"]),
        ("user_[9-0]", []),
        ("user_[!9-0]", ["user_1", "user_a"]),
        ("\\*", []),
        ("**", KEYS),
        ("**/b", ["a/b"]),
        ("**/*", KEYS),
        ("a/**", ["a/b", "a/b/c"]),
        ("a/**/c", ["a/b/c"]),
        ("a/**/b/**/c", ["a/b/c"]),
        ("**/**/c", ["a/b/c"]),
        ("nothing", []),
    ],
)
def test_rules(pattern: str, keys: list[str]) -> None:
    assert [key for key in KEYS if Pattern(pattern).match(key)] == keys


@pytest.mark.parametrize(
    ("pattern", "position", "problem"),
    [
        ("", None, "Pattern cannot be empty"),
        ("[", 0, "invalid range pattern"),
        ("a[]", 1, "invalid range pattern"),
        ("a[!]", 1, "invalid range pattern"),
        ("abc[def", 3, "invalid range pattern"),
        ("a/***", 4, "wildcards are either regular `*` or recursive `**`"),
        ("ab**", 1, "recursive wildcards must form a single path component"),
        ("**a", 2, "recursive wildcards must form a single path component"),
        ("a/**b", 4, "recursive wildcards must form a single path component"),
    ],
)
def test_what_is_malformed(pattern: str, position: int | None, problem: str) -> None:
    with pytest.raises(PatternError) as caught:
        Pattern(pattern)
    where = "" if position is None else f"Pattern syntax error near position {position}: "
    assert str(caught.value) == f"Pattern parsing error: {where}{problem}"


def slow(pattern: str, key: str) -> bool:
    """Try every way in which a pattern without classes can match."""
    if not pattern:
        return not key
    if pattern.startswith("**"):
        rest = pattern[3:]
        ends = [0, *(at + 1 for at, character in enumerate(key) if character == "/"), len(key)]
        return any(slow(rest, key[end:]) for end in ends)
    if pattern[0] == "*":
        return any(slow(pattern[1:], key[end:]) for end in range(len(key) + 1))
    return bool(key) and pattern[0] in ("?", key[0]) and slow(pattern[1:], key[1:])


COMPONENTS = st.one_of(st.just("**"), st.text("ab?*", max_size=3).map(lambda text: re.sub(r"\*+", "*", text)))


@given(st.lists(COMPONENTS, min_size=1, max_size=4).map("/".join), st.text("ab/", max_size=7))
def test_it_finds_what_trying_everything_finds(pattern: str, key: str) -> None:
    assume(pattern)
    assert Pattern(pattern).match(key) == slow(pattern, key)


def test_it_does_not_take_for_ever() -> None:
    """Trying everything would: there are more ways than there are atoms."""
    assert not Pattern("*a" * 40 + "/**/" + "*a/**/" * 20 + "b").match("a/" * 500)
