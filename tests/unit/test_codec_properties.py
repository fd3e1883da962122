"""Round trips of values that nobody thought of."""

from __future__ import annotations

import string
import typing
from datetime import UTC, timedelta, timezone
from zoneinfo import ZoneInfo

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from shoal.codec import decode, encode, has_pickle, kind
from shoal.errors import InvalidValue

OFFSETS = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).filter(
    lambda it: not it or abs(it).total_seconds() >= 1
)
FIXED_ZONES = st.one_of(st.none(), st.just(UTC), st.builds(timezone, OFFSETS))
NAMED_ZONES = st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"]).map(ZoneInfo)
ZONES = st.one_of(FIXED_ZONES, NAMED_ZONES, st.builds(timezone, OFFSETS, st.text(max_size=5)))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)

PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXT, st.binary(max_size=40))
HASHABLE = st.one_of(
    PLAIN,
    st.complex_numbers(allow_nan=False),
    st.datetimes(timezones=ZONES, allow_imaginary=False),
    st.dates(),
    st.times(timezones=FIXED_ZONES),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
)
LEAVES = HASHABLE | st.binary(max_size=40).map(bytearray)


def holders(inner: st.SearchStrategy[typing.Any]) -> st.SearchStrategy[typing.Any]:
    keys = st.recursive(HASHABLE, lambda keys: st.tuples(keys, keys) | st.frozensets(keys, max_size=3), max_leaves=4)
    return st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.dictionaries(TEXT, inner, max_size=5),
        st.dictionaries(keys, inner, max_size=5),
        st.sets(keys, max_size=5),
    )


VALUES = st.recursive(LEAVES, holders, max_leaves=25)
PLAIN_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), TEXT, st.binary(max_size=40)),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=25,
)


def alike(one: typing.Any, other: typing.Any) -> bool:
    """Equal, and of equal types all the way down."""
    if type(one) is not type(other):
        return False
    if type(one) is dict:
        return len(one) == len(other) and all(
            alike(*keys) and alike(one[keys[0]], other[keys[1]]) for keys in zip(one, other, strict=True)
        )
    if type(one) in (list, tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    if type(one) in (set, frozenset):
        return bool(one == other) and {type(item) for item in one} == {type(item) for item in other}
    return repr(one) == repr(other)


@given(VALUES)
@settings(max_examples=400, deadline=None)
def test_values_come_back_alike(value: typing.Any) -> None:
    data = encode(value, allow_pickle=False)
    assert alike(decode(data, allow_pickle=False), value)
    assert not has_pickle(data)
    assert kind(data[:6]) not in ("unknown", "ext", "pickle")


@given(PLAIN_VALUES)
@settings(max_examples=200, deadline=None)
def test_plain_values_are_plain_messagepack(value: typing.Any) -> None:
    assert encode(value) == msgpack.packb(value)


@given(
    npst.arrays(npst.array_dtypes() | npst.scalar_dtypes(), npst.array_shapes(min_dims=0, max_dims=4, max_side=4)),
    st.data(),
)
@settings(max_examples=200, deadline=None)
def test_arrays_come_back_alike(array: typing.Any, data: st.DataObject) -> None:
    if array.ndim and data.draw(st.booleans()):
        array = data.draw(st.sampled_from([array.T, array[::-1], array[..., ::2], np.asfortranarray(array)]))
    for back in (decode(encode(array)), decode(encode([array]))[0]):
        assert (back.dtype, back.shape) == (array.dtype, array.shape)
        assert back.tobytes() == array.tobytes()


@given(st.binary(max_size=60))
@settings(max_examples=500, deadline=None)
def test_any_bytes_are_a_value_or_an_invalid_value(data: bytes) -> None:
    kind(data)
    try:
        value = decode(data, allow_pickle=False)
    except InvalidValue:
        return
    encode(value)


@given(st.integers(-128, 127), st.binary(max_size=40))
@settings(max_examples=500, deadline=None)
def test_any_extension_object_is_a_value_or_an_invalid_value(code: int, payload: bytes) -> None:
    data = b"\xc7%c%c%b" % (len(payload), code & 0xFF, payload)
    try:
        decode(data, allow_pickle=False)
    except InvalidValue:
        return


@given(st.text(string.printable, max_size=20))
@settings(max_examples=200, deadline=None)
def test_paths_lead_to_the_offender(key: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        encode({key: [lambda: 0]})
    path = caught.value.path
    assert path is not None
    assert path.startswith("$")
    assert path.endswith("[0]")
