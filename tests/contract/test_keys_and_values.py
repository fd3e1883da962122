"""What may be a key or a value, and what happens to what may not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

import shoal

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Backend

CALLS: dict[str, Callable[[shoal.Store, str], object]] = {
    "getitem": lambda s, k: s[k],
    "get": lambda s, k: s.get(k),
    "setitem": lambda s, k: s.__setitem__(k, 1),
    "set": lambda s, k: s.set(k, 1),
    "add": lambda s, k: s.add(k, 1),
    "replace": lambda s, k: s.replace(k, 1),
    "swap": lambda s, k: s.swap(k, 1),
    "delitem": lambda s, k: s.__delitem__(k),
    "delete": lambda s, k: s.delete(k),
    "pop": lambda s, k: s.pop(k, None),
    "in": lambda s, k: k in s,
    "exists": lambda s, k: s.exists(k),
    "get_versioned": lambda s, k: s.get_versioned(k),
    "compare_and_set": lambda s, k: s.compare_and_set(k, 1, 0),
    "setdefault": lambda s, k: s.setdefault(k, 1),
    "modify": lambda s, k: s.modify(k, lambda value: value, default=1),
    "incr": lambda s, k: s.incr(k),
    "touch": lambda s, k: s.touch(k, 1),
    "ttl": lambda s, k: s.ttl(k),
    "metadata": lambda s, k: s.metadata(k),
    "get_many": lambda s, k: s.get_many(["good", k]),
    "set_many": lambda s, k: s.set_many({"good": 2, k: 1}),
    "delete_many": lambda s, k: s.delete_many(["good", k]),
    "update": lambda s, k: s.update({"good": 2, k: 1}),
}
BAD: dict[str, object] = {
    "empty": "",
    "int": 5,
    "none": None,
    "bytes": b"key",
    "tuple": ("a",),
    "surrogate": "a\ud800",
    "long": "x" * 65_536,
    "long in UTF-8": "ü" * 32_768,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("key", BAD.values(), ids=BAD)
def test_keys_that_cannot_be(store: shoal.Store, call: Callable[[shoal.Store, str], object], key: str) -> None:
    store["good"] = 1
    with pytest.raises(shoal.InvalidKey) as caught:
        call(store, key)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, TypeError) == (not isinstance(key, str))
    assert caught.value.key == key
    assert dict(store) == {"good": 1}


@pytest.mark.parametrize(
    "key",
    ["a", " ", "\0", "a\0b", "a\nb", "ключ", "🐟", "x" * 65_535, "ü" * 32_767, "/", "..", "*", "\uffff", "\x7f\x80"],
    ids=lambda key: ascii(key)[:12],
)
def test_keys_of_every_kind(store: shoal.Store, key: str) -> None:
    store[key] = "value"
    assert store[key] == "value"
    assert list(store) == [key]
    assert key in store
    assert len(store) == 1
    del store[key]
    assert len(store) == 0


def test_keys_are_text_and_not_normalised(store: shoal.Store) -> None:
    store["é"] = "composed"
    store["e\u0301"] = "decomposed"
    store["a"] = 1
    store["A"] = 2
    assert len(store) == 4
    assert store["é"] == "composed"


def test_a_subclass_of_str_is_its_text(store: shoal.Store) -> None:
    class Name(str):
        __slots__ = ()

    store[Name("key")] = 1
    assert store["key"] == 1
    assert [type(key) for key in store] == [str]


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, 0, -1, 127, 128, -32, -33, 255, 256, 65_536, 2**63 - 1, -(2**63), 2**64 - 1, 2**100),
        *(0.0, -0.0, 1.5, float("inf"), sys.float_info.min),
        *("", "a", "ü" * 10, "🐟", "a\0b", "x" * 31, "x" * 32, "x" * 256, "x" * 65_536),
        *(b"", b"a", bytes(range(256)), b"x" * 65_536),
        *([], {}, [1, [2, [3]]], {"a": {"b": [None]}}, (1, (2, "x")), [(), {"k": ()}]),
    ],
    ids=lambda value: f"{type(value).__name__} {ascii(value)[:16]}",
)
def test_values_come_back_as_they_were(store: shoal.Store, value: object) -> None:
    store["key"] = value
    back = store["key"]
    assert back == value
    assert type(back) is type(value)
    assert repr(back) == repr(value)
    assert store.get_versioned("key")[0] == value
    assert store.swap("key", 0) == value
    store["key"] = value
    assert store.pop("key") == value


def test_large_values(store: shoal.Store) -> None:
    for size in (60_000, 64 << 10, (64 << 10) + 1, 1 << 20, 3_000_000):
        value = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        store["key"] = value
        assert store["key"] == value
        store["key"] = "ü" * size
        assert store["key"] == "ü" * size


def test_a_value_that_cannot_be_stored_leaves_the_old_one(backend: Backend) -> None:
    store = backend.open(allow_pickle=False)
    version = store.set("key", "old")
    wrong = {"a": [1, object()]}
    for write in (
        lambda: store.set("key", wrong),
        lambda: store.add("new", wrong),
        lambda: store.replace("key", wrong),
        lambda: store.swap("key", wrong),
        lambda: store.compare_and_set("key", wrong, version),
        lambda: store.modify("key", lambda _: wrong),
        lambda: store.setdefault("new", wrong),
        lambda: store.set_many({"key": 1, "new": wrong}),
    ):
        with pytest.raises(shoal.InvalidValue):
            write()
    assert store.get_versioned("key") == ("old", version)
    assert dict(store) == {"key": "old"}
