"""Globs, compared with CPython's fnmatch where the two mean the same, and with the letter of the rules elsewhere."""

from __future__ import annotations

import pickle
import time
import warnings
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import PatternError
from shoal.patterns import Glob


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*", ["", "a", "a/b\nc"], []),
        ("", [""], ["a"]),
        ("abc", ["abc"], ["ab", "abcd", "ABC", "xabc", "abc\n"]),
        ("a*", ["a", "ab", "a/b"], ["ba", ""]),
        ("*a", ["a", "ba", "aa"], ["ab", ""]),
        ("*a*", ["a", "xay"], ["", "xy"]),
        ("a**b", ["ab", "axxb"], ["a", "abx"]),
        ("a*b*c", ["abc", "axbxc", "abbcc"], ["ab", "acb"]),
        ("?", ["a", "/", "\n", "🐟"], ["", "ab"]),
        ("a?c*", ["abc", "abcd"], ["ac", "abd"]),
        ("*??", ["ab", "abc"], ["a", ""]),
        ("[abc]", ["a", "c"], ["d", "", "ab"]),
        ("[a-c0-9]x", ["ax", "bx", "5x"], ["dx", "-x"]),
        ("[!a-c]", ["d", "!", "\n"], ["a", "b", "c", ""]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[-a]", ["a", "-"], ["b"]),
        ("[a-c-e]", ["a", "c", "-", "e"], ["d"]),
        ("[!-]", ["a"], ["-"]),
        ("[^a]", ["^", "a"], ["b"]),
        ("[a^]", ["^", "a"], ["b"]),
        ("[a!]", ["!", "a"], ["b"]),
        ("[[]", ["["], ["]"]),
        ("[[a&&b||c~~d]", ["[", "&", "|", "~", "a", "d"], ["e"]),
        (r"[\]]", ["]"], ["\\", "["]),
        (r"[\]-a]", ["]", "^", "_", "`", "a"], ["b", "-"]),
        (r"[\!a]", ["!", "a"], ["b", "\\"]),
        (r"[\\]", ["\\"], ["/"]),
        (r"[a\-c]", ["a", "-", "c"], ["b"]),
        ("a]", ["a]"], ["a"]),
        (r"\*", ["*"], ["a", "\\*"]),
        (r"\?\[\]\\", ["?[]\\"], ["a[]\\"]),
        (r"\a", ["a"], ["\\a"]),
        ("a.b+(c)$^{1}|d", ["a.b+(c)$^{1}|d"], ["aXb+(c)$^{1}|d"]),
        (r"\d", ["d"], ["1"]),
    ],
)
def test_what_matches(pattern: str, matching: list[str], others: list[str]) -> None:
    glob = Glob(pattern)
    assert [key for key in matching if not glob.match(key)] == []
    assert [key for key in others if glob.match(key)] == []


@pytest.mark.parametrize(
    ("pattern", "position", "problem"),
    [
        ("[", 0, "unclosed"),
        ("ab[cd", 2, "unclosed"),
        ("a[!", 1, "unclosed"),
        ("a[b-", 1, "unclosed"),
        ("[\\", 0, "unclosed"),
        ("[\\]", 0, "unclosed"),
        ("x[]", 1, "empty"),
        ("[]abc]", 0, "empty"),
        ("[!]", 0, "empty"),
        ("a\\", 1, "backslash"),
        ("*?\\", 2, "backslash"),
        ("a[xz-a]", 3, "reversed"),
        ("[9-0]", 1, "reversed"),
    ],
)
def test_what_is_malformed(pattern: str, position: int, problem: str) -> None:
    with pytest.raises(PatternError, match=problem) as caught:
        Glob(pattern)
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.pattern, error.position) == (pattern, position)
    assert str(position) in str(error)


@pytest.mark.parametrize("pattern", [None, 5, b"*", ["*"]])
def test_a_pattern_is_a_str(pattern: object) -> None:
    with pytest.raises(PatternError):
        Glob(pattern)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "prefix", "is_prefix"),
    [
        ("*", "", True),
        ("abc*", "abc", True),
        (r"a\*b*", "a*b", True),
        ("abc**", "abc", True),
        ("abc", "abc", False),
        ("abc?", "abc", False),
        ("abc?*", "abc", False),
        ("a[b]c*", "a", False),
        ("a*b", "a", False),
        ("a*b*", "a", False),
        ("*a", "", False),
        ("", "", False),
    ],
)
def test_the_prefix_that_narrows_a_listing(pattern: str, prefix: str, is_prefix: bool) -> None:
    glob = Glob(pattern)
    assert (glob.prefix, glob.is_prefix) == (prefix, is_prefix)


@pytest.mark.parametrize(
    ("pattern", "key"),
    [
        ("*a" * 30, "a" * 20_000 + "b"),
        ("*a" * 30 + "*", "b" * 20_000),
        ("a*" * 30 + "b", "a" * 20_000),
        ("*[ab]?" * 30 + "c", "ab" * 10_000),
        ("*" * 1000 + "b", "a" * 20_000),
    ],
)
def test_no_pattern_takes_for_ever(pattern: str, key: str) -> None:
    started = time.process_time()
    assert not Glob(pattern).match(key)
    assert time.process_time() - started < 2


LETTERS = st.text(alphabet="ab-", max_size=12)
PARTS = st.one_of(
    st.sampled_from(["*", "?", "a", "b", "-", "[ab]", "[!a]", "[a-b]", "[b-]", "**"]),
)


@given(pattern=st.lists(PARTS, max_size=10).map("".join), key=LETTERS)
def test_it_agrees_with_fnmatch(pattern: str, key: str) -> None:
    glob = Glob(pattern)
    assert glob.match(key) == fnmatchcase(key, pattern)
    if glob.match(key):
        assert key.startswith(glob.prefix)
    if glob.is_prefix:
        assert glob.match(key) == key.startswith(glob.prefix)


@given(st.text(), st.text())
def test_an_escaped_key_matches_itself_alone(key: str, other: str) -> None:
    glob = Glob("".join(f"\\{character}" for character in key))
    assert glob.match(key)
    assert glob.match(other) == (key == other)
    assert glob.prefix == key


@given(st.text(alphabet="a*?[]!-\\&|~^", max_size=12))
def test_every_pattern_compiles_or_is_a_pattern_error(pattern: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # re warns of classes that it will read otherwise one day
        try:
            Glob(pattern)
        except PatternError as error:
            position: int = vars(error)["position"]
            assert 0 <= position < len(pattern)
