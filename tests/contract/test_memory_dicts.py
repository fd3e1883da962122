"""Whole subtrees of a memory as nested dicts: to_dict, update, from_dict."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

import shoal

if TYPE_CHECKING:
    from collections.abc import Callable

NESTED = {"user": {"name": "john", "v1.2": {"a\\b": [1, {"x": None}]}, "none": None, "empty": {}}, "n": 0}


def versions(memory: shoal.MemoryObject) -> dict[str, int]:
    """Return the version of each value below, by its absolute path."""
    found: dict[str, int] = {}
    for name, is_object in memory._fields():
        child = memory._child(name)
        if is_object:
            found |= versions(child)
        else:
            found[child.path] = child.metadata().version
    return found


@pytest.mark.parametrize("mapping", [{}, NESTED, {"a": {"b": {"c": {"d": {}}}}}, {"a.b": {"c.d": 1}, "a": {"b": 2}}])
def test_round_trip(memory: shoal.MemoryObject, mapping: dict[str, Any]) -> None:
    memory.from_dict(mapping)
    assert memory.to_dict() == mapping
    assert memory.is_exist("")
    found = memory.to_dict()
    memory.delete()
    memory.update(found)
    assert memory.to_dict() == mapping


def test_to_dict_is_plain(memory: shoal.MemoryObject) -> None:
    memory.from_dict({"a": OrderedDict(b=defaultdict(int, c=1))})
    found = memory.to_dict()
    assert found == {"a": {"b": {"c": 1}}}
    assert {type(found), type(found["a"]), type(found["a"]["b"])} == {dict}
    found["a"]["b"]["c"] = 2
    assert memory.get("a.b.c") == 1


def test_a_dict_set_as_one_value_stays_one(memory: shoal.MemoryObject) -> None:
    memory.set("value", {"a": {"b": 1}})
    memory.update({"object": {"a": {"b": 1}}})
    assert memory.to_dict() == {"value": {"a": {"b": 1}}, "object": {"a": {"b": 1}}}
    assert sorted(memory._fields()) == [("object", True), ("value", False)]
    assert memory.get("object.a.b") == 1
    assert memory.get("value.a") is None


# ---------------------------------------------------------------------- update


def test_update_merges(memory: shoal.MemoryObject) -> None:
    memory.update({"user": {"name": "john", "address": {"city": "x"}}, "n": 1})
    before = versions(memory)
    memory.update({"user": {"age": 13, "address": {"street": "y"}}, "m": 2})
    assert memory.to_dict() == {
        "user": {"name": "john", "age": 13, "address": {"city": "x", "street": "y"}},
        "n": 1,
        "m": 2,
    }
    assert before.items() <= versions(memory).items()  # what was not named was not written
    memory.update({"user": {"name": "jack"}})
    assert memory.get("user.name") == "jack"
    assert memory.get("user.age") == 13


def test_what_update_takes(memory: shoal.MemoryObject) -> None:
    memory.update()
    memory.update({})
    memory.update({"a": 1}, b=2, c={"d": 3})
    memory.update([("e", 4), ("f", {"g": 5})])
    memory.update(MappingProxyType({"h": 6}), a=7)
    memory.update(self=8, path=9, overwrite=10)
    assert memory.to_dict() == {
        "a": 7,
        "b": 2,
        "c": {"d": 3},
        "e": 4,
        "f": {"g": 5},
        "h": 6,
        "self": 8,
        "path": 9,
        "overwrite": 10,
    }
    memory.update(copy=memory.get("c").to_dict())
    memory.new_object("f").update(memory.get("c"))
    assert memory.get("copy").to_dict() == {"d": 3}
    assert memory.get("f").to_dict() == {"g": 5, "d": 3}


def test_update_with_nothing_makes_nothing(store: shoal.Store) -> None:
    store.memory("a.b").update({})
    assert store.memory().to_dict() == {}


def test_an_empty_dict_is_an_object(memory: shoal.MemoryObject) -> None:
    memory.update({"a": {}, "b": {"c": {}}})
    assert memory.to_dict() == {"a": {}, "b": {"c": {}}}
    assert memory.ttl("a") is None
    assert isinstance(memory.get("b.c"), shoal.MemoryObject)
    memory.set("b.c.d", 1)
    memory.update({"b": {"c": {}}, "a": {}})
    assert memory.to_dict() == {"a": {}, "b": {"c": {"d": 1}}}


def test_names_are_no_paths(memory: shoal.MemoryObject) -> None:
    memory.update({"a.b": 1, "\\": {"c.": 2}}, **{"d.e": 3})
    assert memory.to_dict() == {"a.b": 1, "\\": {"c.": 2}, "d.e": 3}
    assert memory.get("a") is None


@pytest.mark.parametrize("write", ["update", "from_dict"])
@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"v": lambda: 1}, shoal.InvalidValue),
        ({"o": {"v": [1, lambda: 1]}}, shoal.InvalidValue),
        ({"o": {"": 1}}, shoal.InvalidKey),
        ({"": {}}, shoal.InvalidKey),
        ({"o": {"o": {"\ud800": 1}}}, shoal.InvalidKey),
        ({"o": {"x" * 70_000: {}}}, shoal.InvalidKey),
        ({"o": {1: 2}}, shoal.KeyTypeError),
        ({None: 1}, shoal.KeyTypeError),
        ({"o": {"x" * 40_000: {"y" * 40_000: 1}}}, shoal.InvalidKey),
    ],
)
@pytest.mark.parametrize("last", [True, False])
def test_a_bad_value_or_name_anywhere_changes_nothing(
    memory: shoal.MemoryObject, write: str, bad: dict[Any, Any], error: type[Exception], last: bool
) -> None:
    memory.update({"a": {"b": 1, "c": 2}, "x": {"y": {}}})
    before = versions(memory)
    good = {"a": {"b": 10, "new": 11}, "new": {"newer": 12}, "e": {}}
    mapping = {**good, "z": bad, **bad} if last else {**bad, "0": bad, **good}
    with pytest.raises(error):
        getattr(memory, write)(mapping)
    assert memory.to_dict() == {"a": {"b": 1, "c": 2}, "x": {"y": {}}}
    assert versions(memory) == before


@pytest.mark.parametrize(
    ("mapping", "path"),
    [
        ({"value": {"a": 1}}, "value"),
        ({"value": {}}, "value"),
        ({"o": {"value": {"a": {"b": 1}}}}, "o.value"),
        ({"o": 1}, "o"),
        ({"o": {"inner": 1}}, "o.inner"),
        ({"o": {"inner": None}}, "o.inner"),
    ],
)
def test_update_finds_a_conflict_before_it_writes(
    memory: shoal.MemoryObject, mapping: dict[str, Any], path: str
) -> None:
    there = {"value": 1, "o": {"value": 2, "inner": {}}}
    memory.update(there)
    before = versions(memory)
    for whole in ({"new": {"x": 1}, "o": {"new": 2}, **mapping}, {**mapping, "new": {"x": 1}, "z": {}}):
        with pytest.raises(shoal.PathConflict) as caught:
            memory.update(whole)
        assert caught.value.key == memory._child(*path.split(".")).path
    assert memory.to_dict() == there
    assert versions(memory) == before


def test_below_a_value_nothing_is_written(memory: shoal.MemoryObject) -> None:
    memory.set("a.b", 1)
    for place in (memory._child("a", "b"), memory._child("a", "b", "c")):
        for write in (place.update, place.from_dict):
            with pytest.raises(shoal.PathConflict) as caught:
                write({"x": 1, "y": {}})
            assert caught.value.key == memory._child("a", "b").path
    assert memory.to_dict() == {"a": {"b": 1}}


# ---------------------------------------------------------------------- from_dict


def test_from_dict_makes_exactly_this(memory: shoal.MemoryObject) -> None:
    memory.update({"a": {"b": 1, "c": {"d": 2}}, "e": 3, "f": {"g": 4}, "h": {"i": 5}, "j": 6})
    memory.from_dict({"a": {"b": 10, "c": 20}, "e": {"x": {}}, "f": {}, "j": {"k": {"l": 7}}})
    assert memory.to_dict() == {"a": {"b": 10, "c": 20}, "e": {"x": {}}, "f": {}, "j": {"k": {"l": 7}}}
    memory.from_dict({})
    assert memory.to_dict() == {}


def test_from_dict_leaves_what_is_around(memory: shoal.MemoryObject) -> None:
    memory.update({"a": {"b": {"c": 1}, "d": 2}, "e": 3})
    memory.get("a.b").from_dict({"x": 1})
    assert memory.to_dict() == {"a": {"b": {"x": 1}, "d": 2}, "e": 3}


def test_from_dict_makes_an_object(store: shoal.Store) -> None:
    store.memory("a.b").from_dict({})
    store.memory("a.c").from_dict({"x": 1})
    assert store.memory().to_dict() == {"a": {"b": {}, "c": {"x": 1}}}


def test_a_field_that_stays_is_never_away(memory: shoal.MemoryObject) -> None:
    """It is written over, not removed and made again: its creation time stays."""
    memory.update({"a": {"b": 1}, "c": 2})
    before = memory.metadata("a.b").created_at, memory.metadata("a").created_at
    memory.from_dict({"a": {"b": 2, "x": 3}})
    assert (memory.metadata("a.b").created_at, memory.metadata("a").created_at) == before
    assert memory.to_dict() == {"a": {"b": 2, "x": 3}}


@pytest.mark.parametrize("make", [dict, OrderedDict, MappingProxyType, lambda pairs: list(dict(pairs).items())])
def test_what_from_dict_takes(memory: shoal.MemoryObject, make: Callable[[dict[str, Any]], Any]) -> None:
    memory.set("old", 1)
    memory.from_dict(make({"a": 1, "b": {"c": 2}}))
    assert memory.to_dict() == {"a": 1, "b": {"c": 2}}


# ---------------------------------------------------------------------- clear


def test_clear(memory: shoal.MemoryObject) -> None:
    memory.update({"a": {"b": {"c": 1}, "d.e": 2}, "f": 3})
    memory.get("a").clear()
    assert memory.to_dict() == {"a": {}, "f": 3}
    memory._child("not there").clear()
    assert memory.to_dict() == {"a": {}, "f": 3}
    memory.clear()
    assert memory.to_dict() == {}
