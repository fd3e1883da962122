"""What a glob says of all keys that begin in one way: may one match, do all match? Compared with trying them."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.patterns import Glob, escape, may_extend

LETTERS = "abz"  # the patterns below tell a and b apart and treat all other characters alike
TOKENS = st.sampled_from(
    [
        *("*", "*", "?", "a", "b", "[ab]", "[!a]", "[!ab]", "[a-b]", "[!a-b]"),
        *(
            "[\0-\U0010ffff]",
            "[!\0-\U0010ffff]",
            "[\0-ab-\U0010ffff]",
            "[b-\U0010ffff\0-a]",
            "[\0-\ud7ff\ue000-\U0010ffff]",
        ),
    ]
)
STARTS = st.text(alphabet=LETTERS, max_size=3)


def patterns(most: int) -> st.SearchStrategy[str]:
    return st.lists(TOKENS, max_size=most).map("".join)


def longer(start: str, most: int) -> list[str]:
    """Return every key that starts like this and goes on for at most so many letters."""
    return [start + "".join(rest) for length in range(1, most + 1) for rest in product(LETTERS, repeat=length)]


@given(patterns(5), STARTS)
def test_covers_is_that_all_match(pattern: str, start: str) -> None:
    glob = Glob(pattern)
    assert glob.covers(start) == all(map(glob.match, longer(start, 6)))


@given(st.integers(0, 4), st.integers(0, 4), patterns(2), STARTS)
def test_covers_with_many_question_marks(before: int, after: int, middle: str, start: str) -> None:
    glob = Glob("?" * before + "*" + middle + "?" * after)
    assert glob.covers(start) == all(map(glob.match, longer(start, 6)))


@given(patterns(5), STARTS)
def test_may_extend_is_that_one_matches(pattern: str, start: str) -> None:
    glob = Glob(pattern)
    assert may_extend(((pattern,),), start) == any(map(glob.match, longer(start, 5)))


@given(st.lists(st.lists(patterns(3), max_size=2), min_size=2, max_size=2), STARTS)
def test_may_extend_asks_for_one_key_that_all_levels_take(levels: list[list[str]], start: str) -> None:
    globs = [[Glob(pattern) for pattern in level] for level in levels]
    found = any(all(any(glob.match(key) for glob in level) for level in globs) for key in longer(start, 6))
    assert may_extend(tuple(map(tuple, levels)), start) == found


@pytest.mark.parametrize(
    ("pattern", "start", "covered"),
    [
        ("*", "", True),
        ("a.*", "a.", True),
        ("a.?*", "a.", True),  # what goes on has a character more
        ("a.??*", "a.", False),
        ("a.*", "ab.", False),
        ("a*", "ab.", True),
        ("a.b*", "a.", False),
        ("a.*.c", "a.", False),
        ("*.notes.*", "x.notes.", True),
        ("*.notes.*", "x.", False),
        ("*.notes.*", "x.notes.y.", True),
        ("a?c.*", "abc.", True),
        ("[!x]*", "x.", False),
        ("[!x]*", "y.", True),
        (r"a\*.*", "a*.", True),
        (r"a\*.*", "ab.", False),
        ("*[!x]", "a.", False),
        ("", "", False),
    ],
)
def test_what_is_covered(pattern: str, start: str, covered: bool) -> None:
    assert Glob(pattern).covers(start) is covered


@pytest.mark.parametrize(
    ("levels", "start", "possible"),
    [
        ([["a.b.*"]], "a.", True),
        ([["a.b.*"]], "a.b.", True),
        ([["a.b"]], "a.b.", False),
        ([["a."]], "a.", False),  # nothing goes on
        ([["x", "a.b.c"]], "a.", True),
        ([["a.x*"], ["a.y*"]], "a.", False),
        ([["a.x*"], ["*y"]], "a.", True),
        ([["a.[0-5]"], ["a.[4-9]"]], "a.", True),
        ([["a.[0-4]"], ["a.[5-9]"]], "a.", False),
        ([["*a*"], ["*b*"], ["??"]], "", True),
        ([["*a*"], ["*b*"], ["?"]], "", False),
        ([[]], "", False),
        ([["*"], []], "", False),
    ],
)
def test_what_may_go_on(levels: list[list[str]], start: str, possible: bool) -> None:
    assert may_extend(tuple(map(tuple, levels)), start) is possible


@given(st.text(max_size=8), st.text(max_size=8))
def test_an_escaped_key_is_matched_by_itself_alone(key: str, other: str) -> None:
    glob = Glob(escape(key))
    assert glob.match(key)
    assert glob.match(other) == (key == other)
    assert glob.prefix == key


def test_long_paths_and_patterns_come_to_an_end() -> None:
    pattern, long = "*a?" * 20 + "*", "ab." * 3000
    assert Glob(pattern).covers(long)
    assert may_extend(((pattern,), ("*b" * 30,)), long)
    assert not Glob("*x" * 20).covers(long)
