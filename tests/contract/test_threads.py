"""Atomic operations under several threads at once."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import shoal

THREADS = 4
TIMES = 300


@pytest.fixture(autouse=True)
def switch_often() -> Iterator[None]:
    """Let the interpreter change threads so often that a gap between two steps is hit."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(work: Callable[[int], object]) -> list[object]:
    """Run `work` in several threads that start together; what each returned."""
    barrier = threading.Barrier(THREADS)
    results: list[object] = [None] * THREADS
    errors: list[BaseException] = []

    def run(number: int) -> None:
        barrier.wait()
        try:
            results[number] = work(number)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def test_no_increment_is_lost(store: shoal.Store) -> None:
    at_once(lambda _: [store.incr("count") for _ in range(TIMES)])
    assert store["count"] == THREADS * TIMES


def test_every_increment_gives_another_number(store: shoal.Store) -> None:
    given = at_once(lambda _: [store.incr("count") for _ in range(TIMES)])
    assert sorted(n for numbers in given for n in numbers) == list(range(1, THREADS * TIMES + 1))  # type: ignore[attr-defined]


def test_no_modification_is_lost(store: shoal.Store) -> None:
    store["log"] = []
    at_once(lambda me: [store.modify("log", lambda log, n=n: [*log, [me, n]]) for n in range(50)])
    log = store["log"]
    assert sorted(log) == [[me, n] for me in range(THREADS) for n in range(50)]
    for me in range(THREADS):  # and each thread's own come in its order
        assert [n for who, n in log if who == me] == list(range(50))


def test_modify_with_a_default_starts_once(store: shoal.Store) -> None:
    at_once(lambda _: [store.modify(f"key {n}", lambda old: old + 1, default=0) for n in range(100)])
    assert dict(store) == {f"key {n}": THREADS for n in range(100)}


def test_add_has_one_winner(store: shoal.Store) -> None:
    won = at_once(lambda me: [n for n in range(TIMES) if store.add(f"key {n}", me)])
    assert sorted(n for numbers in won for n in numbers) == list(range(TIMES))  # type: ignore[attr-defined]
    for me, numbers in enumerate(won):
        assert all(store[f"key {n}"] == me for n in numbers)  # type: ignore[attr-defined]


def test_setdefault_gives_all_the_same(store: shoal.Store) -> None:
    given = at_once(lambda me: [store.setdefault(f"key {n}", me) for n in range(TIMES)])
    assert all(numbers == given[0] for numbers in given)


def test_compare_and_set_has_one_winner(store: shoal.Store) -> None:
    for _ in range(50):
        version = store.set("key", None)
        won = at_once(lambda me, version=version: store.compare_and_set("key", me, version))
        assert Counter(won) == {True: 1, False: THREADS - 1}
        assert won[store["key"]]


def test_swaps_form_a_chain(store: shoal.Store) -> None:
    given = at_once(lambda me: [store.swap("key", (me, n)) for n in range(TIMES)])
    handed_on = [old for olds in given for old in olds] + [store["key"]]  # type: ignore[attr-defined]
    assert Counter(handed_on) == Counter([None, *((me, n) for me in range(THREADS) for n in range(TIMES))])


@pytest.mark.parametrize("call", ["pop", "popitem"])
def test_each_entry_is_popped_once(store: shoal.Store, call: str) -> None:
    entries = {f"key {n}": n for n in range(TIMES)}
    store.update(entries)

    def take(_: int) -> list[object]:
        if call == "pop":
            return [value for key in entries if (value := store.pop(key, None)) is not None]
        taken: list[object] = []
        while True:
            try:
                taken.append(store.popitem()[1])
            except KeyError:
                return taken

    taken = at_once(take)
    assert sorted(n for numbers in taken for n in numbers) == list(range(TIMES))  # type: ignore[attr-defined]
    assert len(store) == 0


def test_a_reader_sees_whole_values(store: shoal.Store) -> None:
    store["key"] = [0] * 100

    def work(me: int) -> None:
        for n in range(TIMES):
            if me % 2:
                store["key"] = [me * TIMES + n] * (50 + n)
            else:
                assert len(set(store["key"])) == 1

    at_once(work)


def test_an_entry_that_stays_is_in_every_listing_once(store: shoal.Store) -> None:
    stays = {f"stays {n}" for n in range(50)}
    store.update(dict.fromkeys(stays, 0))

    def work(me: int) -> None:
        for n in range(40):
            if me % 2:
                store.set_many({f"comes {me} {n} {i}": i for i in range(10)})
                store.delete_many([f"comes {me} {n - 1} {i}" for i in range(10)])
            else:
                keys = list(store)
                assert len(keys) == len(set(keys))
                assert stays <= set(keys)

    at_once(work)
