"""Names of keys that need not be text: equal keys have one name, others have others, and the key comes back."""

from __future__ import annotations

import enum
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import shoal
from shoal.adapters._hashable_names import key_of, name_of

SIMPLE = st.one_of(
    st.text(),
    st.sampled_from(["", "\0", "\0i5", "a\0b", "5", "\ud800"]),
    st.integers(),
    st.booleans(),
    st.floats(allow_nan=False),
    st.binary(),
    st.none(),
)
# Not st.frozensets, which words for the record what it leaves out as a double, at a length that is an error.
KEYS = st.recursive(
    SIMPLE,
    lambda inner: st.tuples(inner) | st.tuples(inner, inner) | st.lists(inner, max_size=3).map(frozenset),
    max_leaves=20,
)


class Color(enum.Enum):
    RED = 1


@given(KEYS)
def test_the_key_comes_back(key: Any) -> None:
    assert key_of(name_of(key)) == key


@given(KEYS, KEYS)
def test_names_are_equal_where_keys_are(one: Any, other: Any) -> None:
    assert (name_of(one) == name_of(other)) == (one == other)


@given(KEYS)
def test_a_name_can_be_a_key_of_a_store(key: Any) -> None:
    name = name_of(key)
    assert name
    name.encode()


def test_text_is_its_own_name() -> None:
    assert [name_of(text) for text in ("image_cache", "ключ", "a.b|c")] == ["image_cache", "ключ", "a.b|c"]


@pytest.mark.parametrize("one", [1, 1.0, True])
def test_numbers_that_are_equal_are_one_key(one: float) -> None:
    assert name_of(one) == name_of(1)
    assert key_of(name_of(one)) == one


def test_text_that_is_twice_in_a_key() -> None:
    """Pickle tells one object that is there twice from two equal ones; names do not."""
    text = str(1000)
    assert name_of((text, text)) == name_of((text, str(1000)))
    for key in (uuid.UUID(int=5), Color.RED, complex(1, 2)):
        assert key_of(name_of((key, key))) == (key, key)


@pytest.mark.parametrize("key", [[], {}, ([],), bytearray()])
def test_what_is_not_hashable_is_no_key(key: Any) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        name_of(key)


def test_names_in_a_store() -> None:
    keys = ["a", "", 1, 2.5, None, b"x", ("a", 1), frozenset({1, 2})]
    with shoal.open("memory://names") as store:
        for number, key in enumerate(keys):
            store[name_of(key)] = number
        assert sorted((store[name], key_of(name)) for name in store) == list(enumerate(keys))
