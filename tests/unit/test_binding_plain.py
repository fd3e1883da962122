"""Lists and dicts that the binding writes and reads itself: the same bytes and the same values as the codec's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import shoal
from shoal import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LEAVES = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.integers(-(2**70), 2**70), st.floats(), st.binary(max_size=300)),
    *(st.text(max_size=60), st.text(st.characters(categories=["Cs", "Ll"]), max_size=3)),
    *(st.tuples(st.integers()), st.sets(st.integers(), max_size=2)),  # the codec's
)
KEYS = st.one_of(st.text(max_size=3), st.text(max_size=45), st.integers())
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=20), st.dictionaries(KEYS, inner, max_size=20)),
    max_leaves=40,
)
HEADS = st.sampled_from([b"\x81\xa1a", b"\x92", b"\x93\x01", b"\xdc\x00\x02", b"\xde\x00\x01\xa1x", b"\x82\xd9\x03abc"])


@pytest.fixture
def store() -> Iterator[Any]:
    pytest.importorskip("shoal._core", reason="the extension module is not built")
    with shoal.open(f"plain-{uuid4().hex}", size="64MiB") as opened:
        yield opened


def same(a: Any, b: Any) -> bool:
    """Equal, and of the same types throughout; dicts in the same order."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(map(same, a.values(), b.values()))
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b) or repr(a) == repr(b)


def refusal_of(call: Callable[[], object]) -> str | None:
    """Say why the value was refused, if it was."""
    try:
        call()
    except shoal.InvalidValue as refused:
        return str(refused)
    return None


def check(store: Any, value: Any) -> None:
    data = codec.encode(value)
    assert store._encode(value) == data
    store["key"] = value
    assert same(store["key"], codec.decode(data))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.one_of(st.lists(VALUES, max_size=5), st.dictionaries(KEYS, VALUES, max_size=5)))
def test_any_container_is_what_the_codec_makes_of_it(store: Any, value: Any) -> None:
    refusal = refusal_of(lambda: codec.encode(value))
    if refusal is None:
        check(store, value)
    else:
        assert refusal_of(lambda: store.set("key", value)) == refusal


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(head=HEADS, rest=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_as_the_codec_does(store: Any, head: bytes, rest: bytes) -> None:
    store._set_encoded("key", head + rest, None)
    refusal = refusal_of(lambda: codec.decode(head + rest))
    if refusal is None:
        assert same(store["key"], codec.decode(head + rest))
    else:
        assert refusal_of(lambda: store["key"]) == refusal


@pytest.mark.parametrize("depth", [1, 23, 24, 25, 26, 100])
@pytest.mark.parametrize("mapping", [False, True])
def test_nesting(store: Any, depth: int, *, mapping: bool) -> None:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value} if mapping else [value]
    check(store, value)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 255, 256, 65_535, 65_536])
def test_counts(store: Any, count: int) -> None:
    check(store, list(range(count)))
    check(store, {str(n): n for n in range(count)})


@pytest.mark.parametrize("size", [0, 31, 32, 40, 41, 255, 256, 513, 65_535, 65_536])
@pytest.mark.parametrize("character", ["a", "é", "я", "🐟"])
def test_texts_and_names(store: Any, size: int, character: str) -> None:
    check(store, [character * size, (character * size).encode()])
    check(store, {character * size: size, "": 0})


def test_names_that_resemble_each_other(store: Any) -> None:
    names = [
        f"{a}{middle}{b}" for a in ("prefix--", "prefix-") for middle in ("", "x", "y") for b in ("--suffix", "-suffix")
    ]
    check(store, [{name: n} for n, name in enumerate(names * 3)])


def test_a_container_that_holds_itself_is_refused(store: Any) -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(shoal.InvalidValue):
        store["key"] = loop
    assert "key" not in store


def test_subclasses_stay_what_they_are(store: Any) -> None:
    class Names(dict):  # type: ignore[type-arg]
        pass

    with pytest.raises(shoal.InvalidValue):
        store["key"] = [Names(a=1)]  # of a function: pickle cannot find it
    check(store, [True, 1, 1.0, {"a": False}])
