"""One entry at a time: reading, writing, conditions, versions, numbers."""

from __future__ import annotations

import math

import pytest

import shoal


def test_what_is_set_is_got(store: shoal.Store) -> None:
    store["key"] = {"name": "ann", "tags": ["a", "b"]}
    assert store["key"] == {"name": "ann", "tags": ["a", "b"]}
    assert store.get("key") == store["key"]


def test_values_are_copies(store: shoal.Store) -> None:
    value = [1, 2]
    store["key"] = value
    value.append(3)
    store["key"].append(4)
    assert store["key"] == [1, 2]


def test_missing_none_and_default_are_three_things(store: shoal.Store) -> None:
    store["none"] = None
    assert store.get("none", "default") is None
    assert store["none"] is None
    assert "none" in store
    assert store.get("missing", "default") == "default"
    assert store.get("missing") is None
    assert store.get("missing", default=5) == 5
    with pytest.raises(shoal.KeyNotFound) as caught:
        store["missing"]
    assert caught.value.key == "missing"


@pytest.mark.parametrize("call", ["__getitem__", "__delitem__", "pop", "get_versioned", "ttl", "metadata"])
def test_a_missing_key_is_a_key_error_that_names_it(store: shoal.Store, call: str) -> None:
    with pytest.raises(KeyError) as caught:
        getattr(store, call)("missing")
    assert isinstance(caught.value, shoal.KeyNotFound)
    assert caught.value.key == "missing"


def test_add_only_if_absent(store: shoal.Store) -> None:
    assert store.add("key", 1) is True
    assert store.add("key", 2) is False
    assert store["key"] == 1


def test_replace_only_if_there(store: shoal.Store) -> None:
    assert store.replace("key", 1) is False
    assert "key" not in store
    store["key"] = 1
    assert store.replace("key", 2) is True
    assert store["key"] == 2


def test_swap_returns_what_was_there(store: shoal.Store) -> None:
    assert store.swap("key", "first") is None
    assert store.swap("key", "second") == "first"
    assert store["key"] == "second"


def test_delete_and_exists(store: shoal.Store) -> None:
    assert store.exists("key") is False
    store["key"] = 1
    assert store.exists("key") is True
    assert store.delete("key") is True
    assert store.delete("key") is False
    assert store.exists("key") is False


def test_pop(store: shoal.Store) -> None:
    store["key"] = 1
    assert store.pop("key") == 1
    assert store.pop("key", None) is None
    assert store.pop("key", "default") == "default"


def test_pop_gives_a_stored_none_rather_than_the_default(store: shoal.Store) -> None:
    store["key"] = None
    assert store.pop("key", "default") is None


def test_every_write_makes_the_version_grow(store: shoal.Store) -> None:
    versions = [store.set("key", 0)]
    for write in (
        lambda: store.set("key", 1),
        lambda: store.replace("key", 2),
        lambda: store.swap("key", 3),
        lambda: store.incr("key"),
        lambda: store.modify("key", lambda value: value + 1),
        lambda: store.compare_and_set("key", 6, versions[-1]),
    ):
        write()
        versions.append(store.get_versioned("key")[1])
    assert store["key"] == 6
    assert versions[0] > 0
    assert versions == sorted(set(versions))


def test_versions_grow_across_deletion(store: shoal.Store) -> None:
    first = store.set("key", 1)
    del store["key"]
    assert store.set("key", 2) > first
    second = store.get_versioned("key")[1]
    store.clear()
    assert store.set("key", 3) > second


def test_reading_and_touching_leave_the_version(store: shoal.Store) -> None:
    version = store.set("key", 1)
    store.touch("key", 1000)
    assert store.get_versioned("key") == (1, version)


def test_compare_and_set(store: shoal.Store) -> None:
    version = store.set("key", "old")
    assert store.compare_and_set("key", "new", version) is True
    assert store.compare_and_set("key", "newer", version) is False
    assert store["key"] == "new"


def test_compare_and_set_version_0_means_absent(store: shoal.Store) -> None:
    assert store.compare_and_set("key", 1, 0) is True
    assert store.compare_and_set("key", 2, 0) is False
    assert store["key"] == 1


def test_compare_and_set_after_deletion_fails(store: shoal.Store) -> None:
    version = store.set("key", 1)
    del store["key"]
    assert store.compare_and_set("key", 2, version) is False
    store["key"] = 1
    assert store.compare_and_set("key", 2, version) is False


@pytest.mark.parametrize("version", [-1, 1.0, "1", None])
def test_compare_and_set_wants_a_version(store: shoal.Store, version: object) -> None:
    store["key"] = 1
    with pytest.raises(shoal.InvalidValue):
        store.compare_and_set("key", 2, version)  # type: ignore[arg-type]
    assert store["key"] == 1


def test_modify(store: shoal.Store) -> None:
    store["key"] = [1]
    assert store.modify("key", lambda value: [*value, 2]) == [1, 2]
    assert store["key"] == [1, 2]


def test_modify_of_an_absent_entry(store: shoal.Store) -> None:
    with pytest.raises(shoal.KeyNotFound):
        store.modify("key", lambda value: value)
    assert "key" not in store
    assert store.modify("key", lambda value: value + 1, default=0) == 1
    assert store.modify("other", lambda value: value, default=None) is None
    assert store["key"] == 1


def test_modify_is_repeated_when_somebody_else_wrote(store: shoal.Store) -> None:
    store["key"] = 1
    seen = []

    def add_ten(value: int) -> int:
        seen.append(value)
        if len(seen) == 1:
            store["key"] = 2  # behind the back of the first attempt
        return value + 10

    assert store.modify("key", add_ten) == 12
    assert seen == [1, 2]


def test_modify_of_what_goes_away_meanwhile(store: shoal.Store) -> None:
    store["key"] = 1

    def remove(value: int) -> int:
        store.delete("key")
        return value

    with pytest.raises(shoal.KeyNotFound):
        store.modify("key", remove)
    assert "key" not in store


def test_modify_that_raises_changes_nothing(store: shoal.Store) -> None:
    version = store.set("key", 1)

    def fail(_: int) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.modify("key", fail)
    assert store.get_versioned("key") == (1, version)


def test_incr_and_decr(store: shoal.Store) -> None:
    assert store.incr("count") == 1
    assert store.incr("count", 10) == 11
    assert store.decr("count") == 10
    assert store.decr("count", 15) == -5
    assert store["count"] == -5
    assert store.incr("other", initial=100) == 101
    assert store.decr("third", 2, initial=10) == 8


def test_incr_of_floats(store: shoal.Store) -> None:
    store["count"] = 1
    result = store.incr("count", 0.5)
    assert (result, type(result)) == (1.5, float)
    result = store.incr("count", 1)
    assert (result, type(result)) == (2.5, float)
    result = store.incr("other", 1)
    assert (result, type(result)) == (1, int)
    assert store.incr("third", initial=0.25) == 1.25
    assert math.isinf(store.incr("huge", 1e308, initial=1e308))


def test_incr_works_on_what_set_wrote_and_set_reads_what_incr_wrote(store: shoal.Store) -> None:
    for start in (0, -1, 127, 128, -33, 2**31, -(2**31), 2**62, 1.5):
        store["count"] = start
        assert store.incr("count", 1) == start + 1
        assert store["count"] == start + 1


@pytest.mark.parametrize("value", ["1", None, True, [1], b"1", 2**63, 2**64 - 1, 2**70, {"n": 1}])
def test_incr_of_no_number_leaves_the_value(store: shoal.Store, value: object) -> None:
    version = store.set("key", value)
    with pytest.raises(shoal.InvalidValue) as caught:
        store.incr("key")
    assert caught.value.key == "key"
    assert store.get_versioned("key") == (value, version)


@pytest.mark.parametrize(("start", "by"), [(2**63 - 1, 1), (-(2**63), -1), (2**62, 2**62)])
def test_incr_out_of_range_leaves_the_value(store: shoal.Store, start: int, by: int) -> None:
    store["key"] = start
    with pytest.raises(shoal.InvalidValue):
        store.incr("key", by)
    assert store["key"] == start


def test_incr_reaches_the_ends_of_the_range(store: shoal.Store) -> None:
    assert store.incr("high", 1, initial=2**63 - 2) == 2**63 - 1
    assert store.incr("low", -1, initial=-(2**63) + 1) == -(2**63)


@pytest.mark.parametrize("by", ["1", None, True, [], 2**64, 1j])
def test_incr_by_no_number(store: shoal.Store, by: object) -> None:
    store["key"] = 1
    for call in (store.incr, store.decr):
        with pytest.raises(shoal.InvalidValue):
            call("key", by)  # type: ignore[arg-type]
    assert store["key"] == 1


def test_get_many_set_many_delete_many(store: shoal.Store) -> None:
    store.set_many({"a": 1, "b": None, "c": [3]})
    assert store.get_many(["a", "b", "x", "a"]) == {"a": 1, "b": None}
    assert store.get_many([]) == {}
    assert store.delete_many(["a", "x", "c"]) == 2
    assert dict(store) == {"b": None}


def test_several_keys_are_not_one_str(store: shoal.Store) -> None:
    store.update(a=1, b=2)
    for call in (store.get_many, store.delete_many):
        with pytest.raises(TypeError):
            call("ab")
    assert len(store) == 2


@pytest.mark.parametrize(
    "bad", [{"a": 2, "": 3}, {"a": 2, 3: 4}, {"a": 2, "b": lambda: None}], ids=["empty", "int", "value"]
)
def test_set_many_writes_all_or_nothing_of_what_it_can_check(store: shoal.Store, bad: dict[str, object]) -> None:
    store["a"] = 1
    for call in (store.set_many, store.update):
        with pytest.raises(shoal.ShoalError):
            call(bad)
    assert dict(store) == {"a": 1}


def test_metadata(store: shoal.Store) -> None:
    version = store.set("key", "hello")
    meta = store.metadata("key")
    assert (meta.size, meta.version, meta.type, meta.expires_at) == (6, version, "str", None)
    assert meta.created_at.utcoffset() is not None
    assert meta.created_at.utcoffset().total_seconds() == 0
    assert meta.created_at <= meta.modified_at
    with pytest.raises(AttributeError):
        meta.size = 7  # type: ignore[misc]


def test_metadata_keeps_the_creation_and_moves_the_modification(store: shoal.Store) -> None:
    store.set("key", 1)
    before = store.metadata("key")
    store.set("key", 2)
    after = store.metadata("key")
    assert after.created_at == before.created_at
    assert after.modified_at >= before.modified_at
    assert after.version > before.version


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "none"),
        (True, "bool"),
        (1, "int"),
        (1.5, "float"),
        ("a", "str"),
        (b"a", "bytes"),
        ([], "list"),
        ({}, "dict"),
    ],
)
def test_metadata_names_the_type(store: shoal.Store, value: object, kind: str) -> None:
    store["key"] = value
    assert store.metadata("key").type == kind
