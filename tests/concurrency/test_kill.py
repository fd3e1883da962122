"""Processes are killed at random instants: what they had acknowledged is there, and nobody waits for them."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING, Any

import actors
import pytest
from processes import Journal, problems, segment

import shoal

if TYPE_CHECKING:
    from processes import Crew

KEYS = 40
TIMEOUT = 5.0


def write_and_note(line: Any, store: Any, journal: Journal, first: int) -> None:
    line.send("begun")
    for number in range(first, first + 100_000):
        store[f"key {number % KEYS}"] = (number, actors.stripe(number))
        journal.note(number)


def in_time(call: Any, *arguments: Any) -> Any:
    """Nobody may wait as long as for a process that lives."""
    started = time.monotonic()
    result = call(*arguments)
    assert time.monotonic() - started < TIMEOUT
    return result


@pytest.mark.parametrize("rounds", [60, pytest.param(3000, marks=pytest.mark.stress)])
def test_acknowledged_writes_stay(crew: Crew, name: str, rounds: int) -> None:
    chance = random.Random(rounds)
    journal = Journal()
    expected: dict[str, int] = {}
    with shoal.open(name, size="64MiB", timeout=TIMEOUT) as store:
        for round_ in range(rounds):
            first = round_ * 1_000_000
            victim = crew.start(write_and_note, store, journal, first)
            assert victim.recv() == "begun"
            assert victim.alive_after(chance.uniform(0, 0.02))
            victim.kill()
            acknowledged = journal.read()
            last = acknowledged[-1] if acknowledged else first - 1
            assert acknowledged == list(range(first, last + 1))
            expected |= {f"key {number % KEYS}": number for number in acknowledged}
            for key in (f"key {number}" for number in range(KEYS)):
                found = in_time(store.get, key)
                number = found[0] if found else None
                # The one after the last may have been written without its note.
                assert number == expected.get(key) or (number == last + 1 and key == f"key {number % KEYS}")
                if found:
                    assert actors.whole(found[1])
                    expected[key] = number
            in_time(store.set, f"key {chance.randrange(KEYS)} of the survivor", "x" * chance.randrange(50_000))
            assert problems(store) == []
        assert len(expected) == KEYS
        assert store.stats().processes == 1
        store.clear()
        store.sweep()
        assert store.stats().entries == 0
        assert problems(store) == []
    journal.close()
    assert not segment(name).exists()


def churn(line: Any, store: Any, seed: int) -> None:
    """All that takes locks: writes of every size, deletes, clears, counts, expiry, namespaces with a limit."""
    chance = random.Random(seed)
    line.send("begun")
    with store.namespace("limited", max_keys=100, eviction="sieve") as limited:
        while True:
            batch = {f"{seed} {number}": "x" * chance.randrange(3000) for number in range(200)}
            store.update(batch)
            store["large"] = bytes(chance.randrange(100_000))
            store.set("timed", actors.stripe(seed), ttl=chance.choice([0.001, 100]))
            limited.update({f"{number}": "y" * chance.randrange(300) for number in range(150)})
            store.incr("count")
            _ = store.get("large"), store.pop(f"{seed} 7", None), len(limited)
            if chance.random() < 0.3:
                store.drop_namespace(f"namespace {seed}")
                store.namespace(f"namespace {seed}").close()
            store.delete_many(list(batch)[:100])
            store.clear()


@pytest.mark.parametrize("rounds", [80, pytest.param(3000, marks=pytest.mark.stress)])
def test_survivors_go_on(crew: Crew, name: str, rounds: int) -> None:
    """Two are at work, one is killed, and another takes its place; the locks that they die with are recovered."""
    chance = random.Random(rounds)
    with shoal.open(name, size="16MiB", timeout=TIMEOUT) as store, store.namespace("kept") as kept:
        entries = {f"key {number}": "x" * number for number in range(300)}
        kept.update(entries)
        others = [crew.start(churn, store, seed) for seed in range(2)]
        for round_ in range(rounds):
            assert others[0].recv() == "begun"
            assert others[0].alive_after(chance.uniform(0, 0.02))
            others.pop(0).kill()
            in_time(store.set, "survivor", round_)
            in_time(kept.set, "large", b"x" * 50_000)
            in_time(kept.incr, "count")
            assert in_time(kept.get, f"key {round_ % 300}") == "x" * (round_ % 300)
            others.append(crew.start(churn, store, round_ + 2))
            if round_ % 10 == 0:
                assert in_time(problems, store) == []
        for other in others:
            other.kill()
        assert problems(store) == []
        assert dict(kept) == {**entries, "large": b"x" * 50_000, "count": rounds}
        assert store.stats().processes == 1
        # All that the dead held comes back: the arena can be filled as an empty one.
        store.clear()
        store.drop_namespace("limited")
        store.sweep()
        used = store.stats().used
        assert store.stats().recoveries > 0
    with shoal.open(name, size="16MiB") as fresh, fresh.namespace("kept") as kept:
        kept.update(entries)
        kept["large"] = b"x" * 50_000
        assert used < fresh.stats().used + (6 << 20)


def read_along(line: Any, name: str, keys: int) -> int:
    """Read through the deaths of writers: through a read-only handle, which can recover nothing."""
    seen = 0
    with shoal.open(name, "r", timeout=TIMEOUT) as store:
        line.send("begun")
        while not line.poll():
            for number in range(keys):
                value = store.get(f"key {number}")
                assert value is None or actors.whole(value[1])
                seen += value is not None
            len(store.list_keys())
    return seen


def test_readers_go_on(crew: Crew, name: str) -> None:
    chance = random.Random(3)
    with shoal.open(name, size="16MiB", timeout=TIMEOUT) as store:
        reader = crew.start(read_along, name, KEYS, method="fork")
        assert reader.recv() == "begun"
        for round_ in range(40):
            journal = Journal()
            victim = crew.start(write_and_note, store, journal, round_ * 1_000_000)
            assert victim.recv() == "begun"
            assert victim.alive_after(chance.uniform(0, 0.01))
            victim.kill()
            journal.close()
        reader.send("end")
        assert reader.result() > 100
        assert problems(store) == []


def fork_and_churn(line: Any, name: str) -> None:
    store = shoal.open(name, size="16MiB")
    line.send("open")
    line.recv()
    if os.fork() == 0:
        line.send(os.getpid())
        while True:
            signal.pause()
    line.recv()
    churn(line, store, 1)


def test_a_killed_parent_with_a_living_child_blocks_nobody(crew: Crew, name: str) -> None:
    """The child has what the parent had open. A lock that the parent died with is free all the same."""
    chance = random.Random(4)
    recoveries = 0
    for _ in range(20):
        parent = crew.start(fork_and_churn, name)
        assert parent.recv() == "open"
        with shoal.open(name, timeout=TIMEOUT) as store:
            parent.send("fork")
            child = crew.adopt(parent.recv())
            parent.send("go on")
            assert parent.recv() == "begun"
            assert parent.alive_after(chance.uniform(0.001, 0.02))
            parent.kill()
            for number in range(300):
                in_time(store.set, f"key {number}", number)
            recoveries += store.stats().recoveries
            assert problems(store) == []
            child.kill()
    assert recoveries > 0
