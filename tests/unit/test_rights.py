"""What is allowed, by globs and within one place."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

import shoal
from shoal.rights import Allowed, Matching, Within, matching

PATHS = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=3).map(".".join)


@given(PATHS, PATHS)
def test_within_a_place_is_what_globs_would_say(place: str, path: str) -> None:
    within, globs = Within("read", place), Matching("read", ((place, f"{place}.*"),))
    for ask in (Allowed.allows, Allowed.allows_some_below, Allowed.allows_all_below):
        name = ask.__name__
        assert getattr(within, name)(path) == getattr(globs, name)(path), name
    assert within.allows_some_below("")
    assert not within.allows_all_below("")


@given(PATHS, PATHS)
def test_what_is_sent_arrives(place: str, path: str) -> None:
    for allowed in (Within("read", place), matching("read", [place, "b*"]) & matching("read", ["a*"])):
        arrived = pickle.loads(pickle.dumps(allowed))
        assert str(arrived) == str(allowed)
        assert arrived.allows(path) == allowed.allows(path)


@pytest.mark.parametrize(
    ("levels", "prefix", "narrowed"),
    [
        ([], "x", "x"),
        ([["ab*"]], "", "ab"),
        ([["ab*"]], "a", "ab"),
        ([["ab*"]], "abc", "abc"),
        ([["ab*"]], "b", None),
        ([["abc*", "abd"]], "", "ab"),
        ([["a*", "b*"]], "", ""),
        ([["a*"], ["ab*", "abc"]], "", "ab"),
        ([["a*"], ["b*"]], "", None),
        ([[]], "", None),
        ([["*"]], "x", "x"),
    ],
)
def test_only_keys_that_can_be_allowed_are_looked_at(
    levels: list[list[str]], prefix: str, narrowed: str | None
) -> None:
    assert Matching("read", tuple(map(tuple, levels))).narrow(prefix) == narrowed


def test_messages_name_what_is_asked_for_and_what_is_allowed() -> None:
    allowed = matching("read", ["a*", "b"]) & matching("read", ["*c"])
    with pytest.raises(shoal.AccessDenied) as caught:
        allowed.check("x")
    assert str(caught.value) == "this scope may not read 'x'; it may read 'a*', 'b' and of that only '*c'"
    assert caught.value.key == "x"
    assert str(matching("write", ["*"])) == "everything"
    assert str(matching("write", [])) == "nothing"
    assert str(matching("write", ["a"]) & matching("write", [])) == "nothing"
