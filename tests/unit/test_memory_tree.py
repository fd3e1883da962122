"""What is special about the memory of a memory:// store: its clock, its exact sizes, that it keeps no traces."""

from __future__ import annotations

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
    memory = store.memory()
    assert memory.set("a.b", 1, ttl=2).expires == 102
    memory.new_object("o", ttl=2).set("p.q", 1, ttl=5)
    clock.now += 1.5
    assert memory.ttl("a.b") == memory.ttl("o") == 0.5
    assert memory.to_dict() == {"a": {"b": 1}, "o": {"p": {"q": 1}}}
    clock.now += 0.5
    assert memory.to_dict() == {}
    assert store.stats().expired == 2  # not counting what went along


def test_touching_again_and_again_keeps_no_trace() -> None:
    store = MemoryStore()
    memory = store.memory()
    memory.set("a.b", 1)
    for n in range(10_000):
        memory.touch("a.b", 1000 + n)
        memory.set(f"gone {n}", 1, ttl=1000)
        memory.delete(f"gone {n}")
    assert store._arena is not None
    assert len(store._arena.spaces["default"].tree.deadlines) < 200
    assert memory.ttl("a.b") > 10_000  # type: ignore[operator]


def test_sizes_are_exact() -> None:
    store = MemoryStore()
    memory = store.memory()
    memory.set("user.name", "john")  # 4 + 4 bytes of names, 5 of the value
    assert store.stats().used == 13
    memory.set("user.name", "jo")
    assert store.stats().used == 11
    memory.set("user.имя", None)
    assert store.stats().used == 11 + 6 + 1
    store["key"] = 1
    store._runs().set("run.x", 1)
    assert store.stats().used == 18 + 4 + 5
    memory.set("user", 1, overwrite=True)
    assert store.stats().used == 5 + 4 + 5
    memory.set("user.x", 1, overwrite=True)
    memory.delete()
    store._runs().delete("run")
    assert store.stats().used == 4
    assert store.stats().namespaces["default"].bytes == 4  # of keys


def test_the_size_of_the_store_is_the_limit() -> None:
    store = MemoryStore(size=20)
    memory = store.memory()
    memory.set("abc.def", "12345678")  # 15 bytes
    for write in (
        lambda: memory.set("abc.ghijk", 1),
        lambda: memory.set("abcde.f", None),
        lambda: memory.new_object("abcdef"),
        lambda: memory.set("abc.def", "1" * 14),
        lambda: store._runs().set("abcde", 1),
        lambda: store.set("abcde", 1),
    ):
        with pytest.raises(shoal.CapacityExceeded) as caught:
            write()
        assert caught.value.limit == 20
    assert memory.to_dict() == {"abc": {"def": "12345678"}}
    memory.set("abc", "x" * 15, overwrite=True)  # in place of what goes
    assert store.stats().used == 19
    memory.set("abc.d", "x" * 14, overwrite=True)
    assert store.stats().used == 19
    memory.delete("abc.d")
    memory.set("abc.def", "x" * 13)


def test_keys_are_evicted_for_keys_and_never_for_fields() -> None:
    store = MemoryStore(size=30)
    store.namespace("default", eviction="sieve").close()
    memory = store.memory()
    memory.set("a", "x" * 8)  # 10 bytes
    for n in range(10):
        store[str(n)] = "x" * 8
    assert sorted(store) == ["8", "9"]
    assert memory.to_dict() == {"a": "x" * 8}
    with pytest.raises(shoal.CapacityExceeded):
        memory.set("b", 1)
    with pytest.raises(shoal.CapacityExceeded):
        store["big"] = "x" * 20
    assert sorted(store) == ["8", "9"]


def test_a_store_is_alone_in_its_process() -> None:
    first, second = MemoryStore(), MemoryStore()
    assert first.memory("a") != second.memory("a")
    token = first._process_token()
    assert first._run_lives(token)
    assert not first._run_lives(token + "x")
