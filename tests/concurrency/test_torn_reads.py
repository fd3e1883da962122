"""Two writers and two readers on the same few keys: every value that is read is one that was written, whole."""

from __future__ import annotations

import threading
from typing import Any

import actors
import pytest
from processes import Crew, problems

import shoal

KEYS = 12


@pytest.mark.parametrize("seconds", [2, pytest.param(20, marks=pytest.mark.stress)])
@pytest.mark.parametrize("flag", ["w", "r"])
def test_readers_see_whole_values(crew: Crew, name: str, seconds: float, flag: str) -> None:
    with shoal.open(name, size="64MiB") as store, shoal.open(name, flag) as reader:
        writers = [crew.start(actors.write_stripes, store, seed, KEYS, seconds) for seed in (1, 2)]
        readers = [crew.start(actors.read_stripes, reader, KEYS, seconds) for _ in range(2)]
        assert all(child.result() > 500 for child in writers)
        results = [child.result() for child in readers]
        assert all(seen > 500 for seen, _ in results)
        assert [torn for _, torn in results] == [0, 0]
        assert all(map(actors.whole, store.values()))
        assert problems(store) == []


def test_versions_and_values_belong_together(crew: Crew, store: shoal.Store) -> None:
    """A value's version is that of the write that made it, and listing and reading a few at once tear nothing."""
    store["key"] = stamp(store, 0)
    writers = [crew.start(write_stamps, store, 2000) for _ in range(2)]
    last, reads = 0, 0
    while any(writer.process.is_alive() for writer in writers) and reads < 100_000:
        value, version = store.get_versioned("key")
        assert version >= last
        assert value[0] * len(value) == value if isinstance(value, str) else True
        last, reads = version, reads + 1
    given = [version for writer in writers for version in writer.result()]
    assert len(set(given)) == len(given) == 4000
    assert store.get_versioned("key")[1] == max(given)


def stamp(store: Any, number: int) -> str:
    return chr(65 + number % 26) * (1 + number * 37 % 3000)


def write_stamps(line: Any, store: Any, times: int) -> list[int]:
    return [store.set("key", stamp(store, number)) for number in range(times)]


def grow(line: Any, store: Any, count: int) -> None:
    line.send("begun")
    for number in range(count):
        store[f"new {number}"] = number


@pytest.mark.parametrize("flag", ["w", "r"])
@pytest.mark.parametrize("count", [30_000, pytest.param(1_000_000, marks=pytest.mark.stress)])
def test_growing_hides_nothing(crew: Crew, name: str, flag: str, count: int) -> None:
    """While the table grows from a few entries on, those that stay are found by every read and every listing."""
    stay = {f"stays {number}": number for number in range(200)}
    with shoal.open(name, size=64 << 20 if count < 100_000 else 512 << 20) as store:
        store.update(stay)
        writer = crew.start(grow, store, count)
        assert writer.recv() == "begun"
        with shoal.open(name, flag) as reader:
            rounds = 0
            while writer.process.is_alive() or rounds == 0:
                for key, value in stay.items():
                    assert reader[key] == value
                assert reader.get_many(stay) == stay
                if rounds % 10 == 0:
                    listed = reader.list_keys("stays *")
                    assert len(listed) == len(set(listed)) == len(stay)
                rounds += 1
        writer.result()
        assert len(store) == count + len(stay)
        assert all(store[f"new {number}"] == number for number in range(0, count, 97))
        assert problems(store) == []


def test_eight_threads_on_one_handle(store: shoal.Store) -> None:
    barrier = threading.Barrier(8)
    errors: list[BaseException] = []

    def work(me: int) -> None:
        barrier.wait()
        try:
            for round_ in range(150):
                number = me * 1000 + round_
                store[f"key {number % KEYS}"] = actors.stripe(number)
                assert actors.whole(store.get(f"key {(number + 5) % KEYS}", b"\0"))
                store.incr("count")
                if round_ % 10 == 0:
                    assert len(store.list_keys("key *")) <= KEYS
                    store.pop(f"key {number % KEYS}", None)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(me,)) for me in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert store["count"] == 8 * 150
    assert problems(store) == []
