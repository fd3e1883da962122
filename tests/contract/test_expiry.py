"""Entries that expire: exactly when they should, and then they are nowhere."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

import shoal

if TYPE_CHECKING:
    from conftest import Backend

SOON = 0.02  # seconds


def test_an_expired_entry_is_nowhere(backend: Backend, store: shoal.Store) -> None:
    store["stays"] = 1
    store.set("goes", 2, ttl=SOON)
    backend.outlive(store, "goes")
    assert "goes" not in store
    assert not store.exists("goes")
    assert store.get("goes") is None
    assert len(store) == 1
    assert list(store) == ["stays"]
    assert list(store.items()) == [("stays", 1)]
    assert store.list_keys() == ["stays"]
    assert store.get_many(["goes"]) == {}
    assert not store.delete("goes")
    assert not store.replace("goes", 3)
    assert not store.touch("goes", 100)
    assert store.pop("goes", None) is None
    assert store == {"stays": 1}
    with pytest.raises(shoal.KeyNotFound):
        store.metadata("goes")


def test_it_is_there_until_then(store: shoal.Store) -> None:
    store.set("key", 1, ttl=1000)
    left = store.ttl("key")
    assert left is not None
    assert 990 < left <= 1000
    assert store["key"] == 1


def test_add_and_compare_and_set_take_the_place_of_an_expired_entry(backend: Backend, store: shoal.Store) -> None:
    version = store.set("key", 1, ttl=SOON)
    store.set("other", 1, ttl=SOON)
    backend.outlive(store, "key")
    backend.outlive(store, "other")
    assert not store.compare_and_set("other", 2, version)
    assert store.add("key", 2)
    assert store.compare_and_set("other", 2, 0)
    assert store.ttl("key") is None
    assert store.get_versioned("key")[1] > version


@pytest.mark.parametrize("ttl", [1000, 1000.0, timedelta(seconds=1000)])
def test_times_are_numbers_or_timedeltas(store: shoal.Store, ttl: float) -> None:
    store.set("set", 1, ttl=ttl)
    store.add("add", 1, ttl=ttl)
    store.swap("swap", 1, ttl=ttl)
    store.compare_and_set("compared", 1, 0, ttl=ttl)
    store.incr("count", ttl=ttl)
    store.setdefault("setdefault", 1, ttl=ttl)
    store.set_many({"many": 1}, ttl=ttl)
    store["touched"] = store["replaced"] = 1
    store.touch("touched", ttl)
    store.replace("replaced", 2, ttl=ttl)
    for key in store:
        assert 990 < store.ttl(key) <= 1000  # type: ignore[operator]


def test_none_and_infinity_mean_never(store: shoal.Store) -> None:
    store.set("none", 1, ttl=None)
    store.set("infinity", 1, ttl=math.inf)
    assert store.ttl("none") is None
    assert store.ttl("infinity") is None


def test_a_short_ttl_is_not_none(backend: Backend, store: shoal.Store) -> None:
    store.set("key", 1, ttl=1e-12)
    backend.outlive(store, "key")
    assert "key" not in store


@pytest.mark.parametrize("ttl", [0, -1, -0.5, math.nan, "10", True, b"1", [], timedelta(0), 1e18])
def test_a_wrong_ttl_changes_nothing(store: shoal.Store, ttl: object) -> None:
    store["key"] = 1
    for write in (
        lambda: store.set("key", 2, ttl=ttl),  # type: ignore[arg-type]
        lambda: store.add("new", 2, ttl=ttl),  # type: ignore[arg-type]
        lambda: store.replace("key", 2, ttl=ttl),  # type: ignore[arg-type]
        lambda: store.swap("key", 2, ttl=ttl),  # type: ignore[arg-type]
        lambda: store.incr("key", ttl=ttl),  # type: ignore[arg-type]
        lambda: store.touch("key", ttl),  # type: ignore[arg-type]
        lambda: store.set_many({"key": 2}, ttl=ttl),  # type: ignore[arg-type]
    ):
        with pytest.raises(shoal.InvalidValue):
            write()
    assert dict(store) == {"key": 1}
    assert store.ttl("key") is None


def test_touch(store: shoal.Store) -> None:
    assert store.touch("key", 10) is False
    store["key"] = 1
    assert store.touch("key", 1000) is True
    assert store.ttl("key") > 990  # type: ignore[operator]
    assert store.touch("key", None) is True
    assert store.ttl("key") is None


def test_touch_can_shorten(backend: Backend, store: shoal.Store) -> None:
    store.set("key", 1, ttl=1000)
    store.touch("key", SOON)
    backend.outlive(store, "key")
    assert "key" not in store


def test_writing_again_sets_the_expiry_anew(store: shoal.Store) -> None:
    store.set("key", 1, ttl=1000)
    store["key"] = 2
    assert store.ttl("key") is None


def test_incr_and_modify_keep_the_expiry(store: shoal.Store) -> None:
    store.set("key", 1, ttl=1000)
    store.incr("key")
    store.modify("key", lambda value: value + 1)
    assert store["key"] == 3
    assert 990 < store.ttl("key") <= 1000  # type: ignore[operator]
    store.incr("key", ttl=None)
    assert store.ttl("key") is None


def test_metadata_tells_when(store: shoal.Store) -> None:
    store.set("key", 1, ttl=1000)
    expires = store.metadata("key").expires_at
    assert expires is not None
    assert abs(expires - datetime.now(UTC) - timedelta(seconds=1000)) < timedelta(seconds=10)


def test_the_namespace_has_a_default(backend: Backend) -> None:
    store = backend.open("fading", ttl=1000)
    store["key"] = 1
    store.incr("count")
    store.modify("new", lambda value: value, default=1)
    for key in store:
        assert store.ttl(key) > 990  # type: ignore[operator]
    store.set("key", 2, ttl=None)
    assert store.ttl("key") is None


def test_the_default_works_on_new_writes_only(backend: Backend, store: shoal.Store) -> None:
    store["before"] = 1
    again = backend.namespace(store, "default", ttl=1000)
    assert store.ttl("before") is None
    store["after"] = 1
    assert store.ttl("after") > 990  # type: ignore[operator]
    assert again.ttl("after") > 990  # type: ignore[operator]
