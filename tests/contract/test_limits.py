"""Full: max_keys, the store's size, and what eviction does about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import shoal

if TYPE_CHECKING:
    from conftest import Backend

MIB = 1 << 20


def test_max_keys(backend: Backend) -> None:
    store = backend.open(max_keys=3)
    store.update(a=1, b=2, c=3)
    for write in (
        lambda: store.set("d", 4),
        lambda: store.add("d", 4),
        lambda: store.incr("d"),
        lambda: store.swap("d", 4),
        lambda: store.compare_and_set("d", 4, 0),
        lambda: store.setdefault("d", 4),
    ):
        with pytest.raises(shoal.CapacityExceeded) as caught:
            write()
        assert caught.value.limit == 3
    assert dict(store) == {"a": 1, "b": 2, "c": 3}
    store["a"] = 10  # what is there can still be written
    assert store.add("a", 11) is False
    assert store.replace("d", 4) is False
    del store["b"]
    store["d"] = 4
    assert dict(store) == {"a": 10, "c": 3, "d": 4}


def test_expired_entries_do_not_count(backend: Backend) -> None:
    store = backend.open(max_keys=2)
    store.set("a", 1, ttl=0.01)
    store["b"] = 2
    backend.outlive(store, "a")
    store["c"] = 3
    assert dict(store) == {"b": 2, "c": 3}


def test_max_keys_is_the_namespaces_own(backend: Backend, store: shoal.Store) -> None:
    small = backend.namespace(store, "small", max_keys=1)
    small["a"] = 1
    store.update(a=1, b=2)
    with pytest.raises(shoal.CapacityExceeded, match="'small'"):
        small["b"] = 2


def test_sieve_makes_room_for_new_keys(backend: Backend) -> None:
    store = backend.open(max_keys=100, eviction="sieve")
    for n in range(1000):
        store[f"key {n}"] = n
        assert len(store) <= 100
        assert store[f"key {n}"] == n
    assert store.stats().evicted == 900
    assert all(key == f"key {value}" for key, value in store.items())


def test_sieve_keeps_what_is_read(backend: Backend) -> None:
    store = backend.open(max_keys=100, eviction="sieve")
    store["hot"] = "hot"
    for n in range(1000):
        store[f"key {n}"] = n
        assert store["hot"] == "hot"


def test_sieve_drops_what_was_not_read_first(backend: Backend) -> None:
    store = backend.open(max_keys=100, eviction="sieve")
    store.set_many({f"hot {n}": n for n in range(50)} | {f"cold {n}": n for n in range(50)})
    hot = [f"hot {n}" for n in range(50)]
    assert list(store.get_many(hot).values()) == list(range(50))
    for n in range(50):
        store[f"new {n}"] = n
    assert [key for key in hot if key not in store] == []


def test_overwriting_evicts_nobody(backend: Backend) -> None:
    store = backend.open(max_keys=10, eviction="sieve")
    store.set_many({f"key {n}": 0 for n in range(10)})
    for round_ in range(20):
        store.set_many({f"key {n}": round_ for n in range(10)})
    assert len(store) == 10
    assert store.stats().evicted == 0


def fill(store: shoal.Store, value: object) -> int:
    """Write new entries until there is no room; how many."""
    count = 0
    while True:
        try:
            store[f"fill {count}"] = value
        except shoal.CapacityExceeded as full:
            assert full.limit  # noqa: PT017 - which of the writes it is, is not known before
            return count
        count += 1


@pytest.mark.parametrize("size", [100, 5000, 200_000])
def test_a_full_store_keeps_all_and_deleting_makes_room(backend: Backend, size: int) -> None:
    store = backend.open(size=4 * MIB)
    value = b"x" * size
    count = fill(store, value)
    assert len(store) == count > 1
    assert all(store[f"fill {n}"] == value for n in range(count))
    for n in range(0, count, 2):
        del store[f"fill {n}"]
    again = 0
    for n in range(0, count, 2):
        try:
            store[f"fill {n}"] = value
        except shoal.CapacityExceeded:
            break
        again += 1
    assert again >= count // 4
    store.clear()
    assert fill(store, value) >= count * 3 // 4


def test_growing_a_value_in_a_full_store_leaves_the_old_one(backend: Backend) -> None:
    store = backend.open(size=4 * MIB)
    store["key"] = "old"
    fill(store, b"x" * 10_000)
    with pytest.raises(shoal.CapacityExceeded):
        store["key"] = b"y" * MIB
    assert store["key"] == "old"


def test_a_value_larger_than_the_store_evicts_nobody(backend: Backend) -> None:
    store = backend.open(size=2 * MIB, eviction="sieve")
    store.update(a=1, b=2)
    with pytest.raises(shoal.CapacityExceeded):
        store["huge"] = b"x" * (4 * MIB)
    assert dict(store) == {"a": 1, "b": 2}


def test_sieve_makes_room_in_a_full_store(backend: Backend) -> None:
    store = backend.open(size=4 * MIB, eviction="sieve")
    for n in range(2000):
        store[f"key {n}"] = bytes([n % 256]) * 10_000
        assert store[f"key {n}"] == bytes([n % 256]) * 10_000
    assert store.stats().evicted > 0
    assert len(store) > 50
    for key, value in store.items():
        assert value == bytes([int(key.split()[1]) % 256]) * 10_000


def test_the_capacity_is_told_and_an_existing_one_stands(backend: Backend) -> None:
    store = backend.open(size="4MiB")
    assert store.stats().capacity == 4 * MIB
    again = backend.open(size="8MiB")
    assert again.stats().capacity == 4 * MIB
