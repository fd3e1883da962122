"""Namespaces: parts of one store that share nothing but the room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import shoal

if TYPE_CHECKING:
    from conftest import Backend


def test_the_same_key_in_two_namespaces(backend: Backend, store: shoal.Store) -> None:
    other = backend.namespace(store, "other")
    store["key"] = "default"
    other["key"] = "other"
    assert (store["key"], other["key"]) == ("default", "other")
    assert (len(store), len(other)) == (1, 1)
    del store["key"]
    assert "key" in other


def test_a_namespace_is_the_same_for_all_handles(backend: Backend, store: shoal.Store) -> None:
    backend.namespace(store, "other")["key"] = 1
    assert backend.namespace(store, "other")["key"] == 1
    assert backend.open(namespace="other")["key"] == 1


def test_clear_leaves_other_namespaces(backend: Backend, store: shoal.Store) -> None:
    other = backend.namespace(store, "other")
    store["key"] = other["key"] = 1
    other.clear()
    assert dict(other) == {}
    assert dict(store) == {"key": 1}


def test_listing_them(backend: Backend, store: shoal.Store) -> None:
    assert store.namespaces() == ["default"]
    backend.namespace(store, "b/2")
    backend.namespace(store, "ä")
    assert store.namespaces() == ["b/2", "default", "ä"]


def test_names(backend: Backend, store: shoal.Store) -> None:
    assert store.namespace_name == "default"
    other = backend.namespace(store, "other")
    assert other.namespace_name == "other"
    assert other.name == store.name
    back = backend.keep(shoal.open(other.url))
    other["key"] = 1
    assert back["key"] == 1
    odd = backend.namespace(store, "a&b=c/?#% ü")
    odd["key"] = 2
    assert backend.keep(shoal.open(odd.url))["key"] == 2


def test_a_namespace_of_a_namespace_handle_is_a_sibling(backend: Backend, store: shoal.Store) -> None:
    other = backend.namespace(store, "other")
    back = backend.namespace(other, "default")
    back["key"] = 1
    assert store["key"] == 1


def test_dropping(backend: Backend, store: shoal.Store) -> None:
    backend.namespace(store, "other")["key"] = 1
    store["key"] = 2
    assert store.drop_namespace("other") is True
    assert store.drop_namespace("other") is False
    assert store.namespaces() == ["default"]
    assert dict(backend.namespace(store, "other")) == {}
    assert dict(store) == {"key": 2}


def test_a_handle_on_a_dropped_namespace(backend: Backend, store: shoal.Store) -> None:
    other = backend.namespace(store, "other")
    other["key"] = 1
    store.drop_namespace("other")
    assert "key" not in other
    assert list(other) == []
    other["key"] = 2
    assert dict(backend.namespace(store, "other")) == {"key": 2}


def test_the_default_namespace_cannot_be_dropped(store: shoal.Store) -> None:
    store["key"] = 1
    with pytest.raises(shoal.InvalidValue):
        store.drop_namespace("default")
    assert store["key"] == 1


@pytest.mark.parametrize("name", ["", "a" * 201, "ü" * 101, "a\0b", "\ud800"])
def test_names_that_cannot_be(backend: Backend, store: shoal.Store, name: str) -> None:
    with pytest.raises(shoal.InvalidKey) as caught:
        store.namespace(name)
    assert caught.value.name == name
    with pytest.raises(ValueError):
        store.drop_namespace(name)
    with pytest.raises(ValueError):
        backend.open(namespace=name)
    assert store.namespaces() == ["default"]


def test_a_name_that_is_no_str(store: shoal.Store) -> None:
    with pytest.raises(TypeError):
        store.namespace(5)  # type: ignore[arg-type]


def test_settings_stand_until_they_are_given_again(backend: Backend, store: shoal.Store) -> None:
    backend.namespace(store, "other", ttl=100, max_keys=2, eviction="sieve")
    backend.namespace(store, "other")
    figures = store.stats().namespaces["other"]
    assert (figures.ttl, figures.max_keys, figures.eviction) == (100, 2, "sieve")
    backend.namespace(store, "other", max_keys=3, ttl=None)
    figures = store.stats().namespaces["other"]
    assert (figures.ttl, figures.max_keys, figures.eviction) == (None, 3, "sieve")


@pytest.mark.parametrize(
    "settings", [{"ttl": 0}, {"ttl": "1"}, {"max_keys": -1}, {"max_keys": True}, {"eviction": "lru"}], ids=str
)
def test_settings_that_cannot_be(store: shoal.Store, settings: dict[str, object]) -> None:
    with pytest.raises(shoal.InvalidValue):
        store.namespace("other", **settings)  # type: ignore[arg-type]


def test_figures_of_each(backend: Backend, store: shoal.Store) -> None:
    other = backend.namespace(store, "other")
    store.update(a=1, b=2)
    other["c"] = "x" * 100
    figures = store.stats().namespaces
    assert {name: one.entries for name, one in figures.items()} == {"default": 2, "other": 1}
    assert figures["other"].bytes > 100
    assert store.stats().entries == 3
