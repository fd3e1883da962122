"""Atomic operations from four processes at once: nothing is lost, nothing happens twice."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from processes import problems

import shoal

if TYPE_CHECKING:
    from collections.abc import Callable

    from processes import Crew, Gun

PROCESSES = 4


def work(line: Any, gun: Gun, do: Callable[..., Any], *arguments: Any) -> Any:
    gun.wait()
    return do(*arguments)


def at_once(crew: Crew, store: Any, do: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Run `do(store, me, *arguments)` in four processes that begin together; what each returned."""
    gun = crew.gun()
    children = [crew.start(work, gun, do, store, me, *arguments) for me in range(PROCESSES)]
    gun.fire(PROCESSES)
    results = [child.result() for child in children]
    assert problems(store) == []
    return results


def increment(store: Any, me: int, times: int) -> list[int]:
    return [store.incr("count") for _ in range(times)]


def test_incr(crew: Crew, store: shoal.Store) -> None:
    given = at_once(crew, store, increment, 5000)
    assert sorted(number for numbers in given for number in numbers) == list(range(1, 5000 * PROCESSES + 1))
    assert all(numbers == sorted(numbers) for numbers in given)
    assert store["count"] == 5000 * PROCESSES


def up_and_down(store: Any, me: int, times: int) -> None:
    for number in range(times):
        store.incr("int", 3)
        store.decr("int", 2)
        store.incr("float", 0.5)
        store.incr(f"key {number % 50}", ttl=1000)


def test_incr_and_decr_of_ints_and_floats(crew: Crew, store: shoal.Store) -> None:
    at_once(crew, store, up_and_down, 1000)
    assert store["int"] == 1000 * PROCESSES
    assert store["float"] == 500.0 * PROCESSES
    assert all(store[f"key {number}"] == 20 * PROCESSES for number in range(50))


def add_all(store: Any, me: int, times: int) -> list[int]:
    return [number for number in range(times) if store.add(f"key {number}", me)]


def test_add(crew: Crew, store: shoal.Store) -> None:
    won = at_once(crew, store, add_all, 3000)
    assert sorted(number for numbers in won for number in numbers) == list(range(3000))
    assert all(store[f"key {number}"] == me for me, numbers in enumerate(won) for number in numbers)


def compare_and_set(store: Any, me: int, times: int) -> list[int]:
    won = []
    for number in range(times):
        while True:
            (value, version) = store.get_versioned("key") if "key" in store else (None, 0)
            if value is not None and value[0] > number:
                break
            if store.compare_and_set("key", [number + 1, me], version):
                won.append(number)
                break
    return won


def test_compare_and_set(crew: Crew, store: shoal.Store) -> None:
    won = at_once(crew, store, compare_and_set, 2000)
    assert sorted(number for numbers in won for number in numbers) == list(range(2000))


def append(store: Any, me: int, times: int) -> None:
    for number in range(times):
        store.modify("log", lambda log, number=number: [*log, (me, number)], default=[])


def test_modify(crew: Crew, store: shoal.Store) -> None:
    at_once(crew, store, append, 150)
    log = store["log"]
    assert sorted(log) == [(me, number) for me in range(PROCESSES) for number in range(150)]
    for me in range(PROCESSES):  # and each process's own come in its order
        assert [number for who, number in log if who == me] == list(range(150))


def pop_all(store: Any, me: int, call: str, keys: list[str]) -> list[Any]:
    if call == "pop":
        return [value for key in keys if (value := store.pop(key, None)) is not None]
    taken = []
    while True:
        try:
            taken.append(store.popitem()[1])
        except KeyError:
            return taken


@pytest.mark.parametrize(("call", "count"), [("pop", 3000), ("popitem", 300)])
def test_each_entry_is_taken_once(crew: Crew, store: shoal.Store, call: str, count: int) -> None:
    entries = {f"key {number}": number for number in range(count)}
    store.update(entries)
    taken = at_once(crew, store, pop_all, call, list(entries))
    assert sorted(number for numbers in taken for number in numbers) == list(range(count))
    assert len(store) == 0


def delete_all(store: Any, me: int, keys: list[str]) -> int:
    return int(store.delete_many(keys))


def test_each_entry_is_deleted_once(crew: Crew, store: shoal.Store) -> None:
    entries = {f"key {number}": "x" * number for number in range(3000)}
    store.update(entries)
    assert sum(at_once(crew, store, delete_all, list(entries))) == 3000


def set_defaults(store: Any, me: int, times: int) -> list[int]:
    return [store.setdefault(f"key {number}", me) for number in range(times)]


def test_setdefault(crew: Crew, store: shoal.Store) -> None:
    given = at_once(crew, store, set_defaults, 3000)
    assert given.count(given[0]) == PROCESSES
    assert given[0] == [store[f"key {number}"] for number in range(3000)]


def swap_all(store: Any, me: int, times: int) -> list[Any]:
    return [store.swap("key", (me, number)) for number in range(times)]


def test_swap(crew: Crew, store: shoal.Store) -> None:
    given = at_once(crew, store, swap_all, 2000)
    handed_on = [old for olds in given for old in olds] + [store["key"]]
    assert Counter(handed_on) == Counter([None, *((me, n) for me in range(PROCESSES) for n in range(2000))])


def fill_up(store: Any, me: int, times: int) -> int:
    made = 0
    for number in range(times):
        try:
            store[f"{me} {number}"] = number
            made += 1
        except shoal.CapacityExceeded:
            pass
        if number % 3 == 0:
            made -= store.delete(f"{me} {number // 2}")
    return made


@pytest.mark.parametrize("limit", [1, 100])
def test_max_keys_is_exact(crew: Crew, name: str, limit: int) -> None:
    with shoal.open(name, size="64MiB", max_keys=limit) as store:  # several shards
        assert sum(at_once(crew, store, fill_up, 1000)) == len(store) <= limit
        while len(store) < limit:
            store[f"more {len(store)}"] = 1
        with pytest.raises(shoal.CapacityExceeded) as caught:
            store["one too many"] = 1
        assert caught.value.limit == limit
        assert len(store) == len(list(store)) == limit


def make_keys(store: Any, me: int, times: int) -> int:
    most = 0
    for number in range(times):
        store[f"{me} {number}"] = number
        most = max(most, len(store))
    return most


@pytest.mark.parametrize("size", ["16MiB", "64MiB"])
def test_max_keys_with_eviction_is_exact(crew: Crew, name: str, size: str) -> None:
    with shoal.open(name, size=size, max_keys=50, eviction="sieve") as store:
        most = max(at_once(crew, store, make_keys, 1000))
        if store._shards == 1:  # over several, `len` adds up what it meets at several moments
            assert most == 50
        assert len(store) == len(list(store)) == 50


def come_and_go(store: Any, me: int, times: int) -> int:
    """Drop and make anew a namespace that the others write to."""
    written = 0
    with store.namespace("shared") as shared:
        for number in range(times):
            shared[f"{me} {number}"] = "x" * (number % 500)
            written += 1
            if number % 50 == me:
                store.drop_namespace("shared")
            if number % 50 == 10 + me:
                shared.clear()
    return written


def test_namespaces_are_dropped_while_others_write(crew: Crew, store: shoal.Store) -> None:
    store["key"] = "stays"
    assert at_once(crew, store, come_and_go, 1000) == [1000] * PROCESSES
    assert dict(store) == {"key": "stays"}
    store.drop_namespace("shared")
    assert store.namespaces() == ["default"]
    assert store.stats().entries == 1
