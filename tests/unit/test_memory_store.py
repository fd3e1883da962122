"""What is special about memory://: its clock, its exact sizes, the order in which SIEVE evicts."""

from __future__ import annotations

import subprocess
import sys

import pytest

import shoal
from shoal.backends.memory import MemoryStore


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_expiry_is_exact() -> None:
    clock = Clock()
    store = MemoryStore(monotonic=clock, wall=clock)
    store.set("key", 1, ttl=2)
    clock.now += 1.5
    assert store.ttl("key") == 0.5
    assert store["key"] == 1
    clock.now += 0.5
    assert "key" not in store
    assert store.stats().expired == 1


def test_touching_again_and_again_keeps_no_trace() -> None:
    store = MemoryStore()
    store["key"] = 1
    for n in range(10_000):
        store.touch("key", 1000 + n)
    assert store._arena is not None
    assert len(store._arena.spaces["default"].deadlines) < 200
    assert store.ttl("key") > 10_000  # type: ignore[operator]


def test_sieve_evicts_in_its_order() -> None:
    store = MemoryStore()
    store.namespace("default", max_keys=3, eviction="sieve").close()
    store.update(a=1, b=2, c=3)
    assert store["a"] == 1  # visited
    store["d"] = 4  # the hand spares a, clears its bit, evicts b, and stays at c
    assert sorted(store) == ["a", "c", "d"]
    store["e"] = 5
    assert sorted(store) == ["a", "d", "e"]
    store["f"] = 6  # the hand has reached d; a, though oldest, is behind it
    assert sorted(store) == ["a", "e", "f"]
    assert store.get("e") == 5
    assert store.get("f") == 6
    store["g"] = 7  # clears e and f, turns round, and finds a
    assert sorted(store) == ["e", "f", "g"]


def test_existing_without_being_read_is_no_visit() -> None:
    store = MemoryStore()
    store.namespace("default", max_keys=2, eviction="sieve").close()
    store.update(a=1, b=2)
    assert store.exists("a")
    store.metadata("a")
    store.ttl("a")
    store["c"] = 3
    assert sorted(store) == ["b", "c"]


def test_the_size_counts_keys_and_encoded_values() -> None:
    store = MemoryStore(size=20)
    store["key"] = "123456"  # 3 + 1 + 6
    assert store.stats().used == 10
    store["abc"] = "123456"
    with pytest.raises(shoal.CapacityExceeded) as caught:
        store["d"] = None
    assert (caught.value.limit, caught.value.key) == (20, "d")
    store["abc"] = "12345"
    with pytest.raises(shoal.CapacityExceeded):
        store["key"] = "12345678"
    assert dict(store) == {"key": "123456", "abc": "12345"}


def test_eviction_for_room_spares_what_is_written() -> None:
    store = MemoryStore(size=30)
    store.namespace("default", eviction="sieve").close()
    store.update(a="1" * 8, b="1" * 8, c="1" * 8)
    store["a"] = "2" * 18
    assert dict(store) == {"a": "2" * 18, "c": "1" * 8}
    with pytest.raises(shoal.CapacityExceeded):
        store["a"] = "3" * 30
    assert dict(store) == {"a": "2" * 18, "c": "1" * 8}


def test_each_unnamed_store_is_private() -> None:
    with shoal.open("memory://") as one, shoal.open("memory://") as other:
        one["key"] = 1
        assert "key" not in other
        assert one.url == "memory://"


def test_a_named_store_goes_with_its_last_handle_even_if_nobody_closes_it() -> None:
    store = shoal.open("memory://forgotten")
    store["key"] = 1
    del store
    with shoal.open("memory://forgotten") as again:
        assert "key" not in again


def test_memory_stores_need_no_extension_and_arenas_say_that_they_do() -> None:
    program = """
import sys
sys.modules["shoal._core"] = None  # as if it were not built
import shoal
with shoal.open("memory://") as store:
    store["key"] = 1
    assert store["key"] == 1
for call in (lambda: shoal.open("name"), lambda: shoal.list_arenas):
    try:
        call()
    except ImportError as error:
        assert "memory://" in str(error), error
    else:
        raise SystemExit("no ImportError")
"""
    subprocess.run([sys.executable, "-c", program], check=True)
