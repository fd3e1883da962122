"""Paths: names to text and back, and what is no path."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import shoal
from shoal.memory.path import MAX_NAMES, MAX_PATH_BYTES, check_names, escape, join, split

NAMES = st.text(st.one_of(st.sampled_from(".\\a"), st.characters(exclude_categories=["Cs"])), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("", ()),
        ("a", ("a",)),
        ("a.b.c", ("a", "b", "c")),
        (r"v1\.2", ("v1.2",)),
        (r"a\.b.c", ("a.b", "c")),
        (r"a.b\.c", ("a", "b.c")),
        (r"\.", (".",)),
        (r"\\", ("\\",)),
        (r"\\.\\", ("\\", "\\")),
        (r"\\\.", ("\\.",)),
        (r"\\\\", ("\\\\",)),
        (r"a\\b.c\.\.d", ("a\\b", "c..d")),
        (" . ", (" ", " ")),
        ("a/b.*\n.\0", ("a/b", "*\n", "\0")),
        ("имя.名", ("имя", "名")),
    ],
)
def test_split(path: str, names: tuple[str, ...]) -> None:
    assert split(path) == names
    assert split(path, ("top", "x.y")) == ("top", "x.y", *names)
    assert join(names) == path


@given(st.lists(NAMES, max_size=10))
@example(["\\"])
@example([".", "\\.", ".\\"])
def test_what_is_joined_is_split_into_the_same_names(names: list[str]) -> None:
    path = join(names)
    assert split(path) == tuple(names)
    assert [split(escape(name)) for name in names] == [(name,) for name in names]


@given(st.text(st.sampled_from("ab.\\"), max_size=12))
def test_a_text_is_the_path_of_its_names_or_no_path(path: str) -> None:
    # What is wrong with it shows when the good escapes are gone.
    bare = path.replace("\\\\", "x").replace("\\.", "x")
    if path and ("\\" in bare or "" in bare.split(".")):
        with pytest.raises(shoal.InvalidKey) as caught:
            split(path)
        assert caught.value.key == path
    else:
        assert join(split(path)) == path


@pytest.mark.parametrize("path", [".", "..", ".a", "a.", "a..b", r"a\..", r"\\..a"])
def test_empty_names(path: str) -> None:
    with pytest.raises(shoal.InvalidKey, match="empty") as caught:
        split(path)
    assert caught.value.key == path


@pytest.mark.parametrize("path", ["\\", "a\\", "a\\\\\\", r"\a", r"a\nb", r"\\\a", "\\\n", "a.\\"])
def test_other_escapes(path: str) -> None:
    with pytest.raises(shoal.InvalidKey, match="backslash") as caught:
        split(path)
    assert caught.value.key == path


@pytest.mark.parametrize("path", [None, 5, b"a", ("a",), ["a"], True, object()])
def test_other_types(path: object) -> None:
    with pytest.raises(shoal.KeyTypeError) as caught:
        split(path)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, shoal.InvalidKey)


@pytest.mark.parametrize("path", ["\ud800", "a.\udfff.b", "\ud83d\\.\ude00"])
def test_lone_surrogates(path: str) -> None:
    with pytest.raises(shoal.InvalidKey, match="surrogate"):
        split(path)
    with pytest.raises(shoal.InvalidKey, match="surrogate"):
        check_names((path,))


def test_the_depth_counts_from_the_root() -> None:
    deepest = ".".join(["a"] * MAX_NAMES)
    assert len(split(deepest)) == MAX_NAMES
    assert len(split("a", ("b",) * (MAX_NAMES - 1))) == MAX_NAMES
    for path, base in [(deepest + ".a", ()), (deepest, ("b",)), ("a", ("b",) * MAX_NAMES)]:
        with pytest.raises(shoal.InvalidKey) as caught:
            split(path, base)
        assert caught.value.limit == MAX_NAMES
    assert split("", ("b",) * MAX_NAMES) == ("b",) * MAX_NAMES


@pytest.mark.parametrize("letter", ["a", "я", "名", "😀", "."])
def test_the_length_counts_bytes_without_escapes(letter: str) -> None:
    size = len(letter.encode())
    longest = escape(letter * (MAX_PATH_BYTES // size)) + "b" * (MAX_PATH_BYTES % size)
    assert "".join(split(longest)).replace(letter, "") == "b" * (MAX_PATH_BYTES % size)
    for path, base in [(longest + "b", ()), (longest, ("b",)), ("a." + longest, ())]:
        with pytest.raises(shoal.InvalidKey) as caught:
            split(path, base)
        assert caught.value.limit == MAX_PATH_BYTES


def test_a_long_message_is_cut() -> None:
    with pytest.raises(shoal.InvalidKey) as caught:
        split("x" * 100_000)
    assert len(str(caught.value)) < 300


def test_what_counts_of_a_subclass_is_the_text() -> None:
    class Loud(str):
        __slots__ = ()

        def split(self, *_: object, **__: object) -> list[str]:  # type: ignore[override]
            return ["wrong"]

        def __str__(self) -> str:
            return "wrong"

    names = split(Loud("a.b"))
    assert names == ("a", "b")
    assert set(map(type, names)) == {str}
