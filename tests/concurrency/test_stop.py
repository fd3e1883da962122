"""A process is stopped, perhaps inside a lock: others get an error in time or go on; readers are not disturbed."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from processes import busy_inside, problems, stop, stop_inside

import shoal

if TYPE_CHECKING:
    from processes import Crew

TIMEOUT = 0.2
ENTRIES = {f"key {number}": f"value {number}" * 10 for number in range(100)}


def test_stopped_inside_the_lock(crew: Crew, name: str) -> None:
    with shoal.open(name, size="16MiB", timeout=TIMEOUT) as store, shoal.open(name, "r") as reader:
        store.update(ENTRIES)
        child = crew.start(busy_inside, store)
        assert child.recv() == "begun"
        for _ in range(3):
            stop_inside(child, name)
            started = time.monotonic()
            with pytest.raises(shoal.StoreBusy) as caught:
                store["key 0"] = 0
            assert TIMEOUT * 0.9 < time.monotonic() - started < 10
            assert (caught.value.limit, caught.value.name) == (TIMEOUT, name)
            read = {**read_all(store), **read_all(reader)}
            assert read.items() <= ENTRIES.items()
            assert len(read) > len(ENTRIES) * 0.8
            child.go_on()
            assert patiently(store.set, "key 0", ENTRIES["key 0"])
        child.send("end")
        assert child.result() > 0
        assert dict(store) == ENTRIES
        assert problems(store) == []


def read_all(store: Any) -> dict[str, str]:
    """Reading goes on, but for the few entries of the one bucket that was just being changed, perhaps."""
    found = {}
    with shoal.open(store.name, "r" if store.read_only else "w", timeout=0.02) as handle:
        for key in ENTRIES:
            with suppress(shoal.StoreBusy):
                found[key] = handle[key]
    return found


def patiently(call: Any, *arguments: Any) -> Any:
    """The process that was stopped goes on, so that the call works sooner or later."""
    end = time.monotonic() + 30
    while True:
        try:
            return call(*arguments)
        except shoal.StoreBusy:
            assert time.monotonic() < end, "busy although nobody is stopped"


def test_a_waiting_call_goes_on_with_the_owner_of_the_lock(crew: Crew, name: str) -> None:
    """A timeout that is long enough is never met, whatever the others do."""
    with shoal.open(name, size="16MiB", timeout=60) as store:
        child, waiter = crew.start(busy_inside, store), crew.start(write_once, store)
        assert child.recv() == waiter.recv() == "begun"
        stop_inside(child, name)
        waiter.send("write")
        assert waiter.recv() == "about to wait"
        assert waiter.alive_after(0.3)
        child.go_on()
        assert waiter.result() == 1
        child.send("end")
        child.result()


def write_once(line: Any, store: Any) -> int:
    line.send("begun")
    line.recv()
    line.send("about to wait")
    store["written"] = 1
    return int(store["written"])


def test_killed_while_stopped(crew: Crew, name: str) -> None:
    """A process that is stopped inside the lock and then killed is dead like any other."""
    with shoal.open(name, size="16MiB", timeout=TIMEOUT) as store:
        store.update(ENTRIES)
        for round_ in range(10):
            child = crew.start(busy_inside, store)
            assert child.recv() == "begun"
            stop_inside(child, name)
            child.kill()
            store["key 0"] = ENTRIES["key 0"]
            assert dict(store) == ENTRIES
            assert store.stats().recoveries > round_
            assert problems(store) == []


def open_and_close(line: Any, name: str) -> None:
    line.send("begun")
    while not line.poll():
        shoal.open(name, size="4MiB").close()


def open_once(line: Any, name: str) -> None:
    started = time.monotonic()
    try:
        store = shoal.open(name, timeout=0.05, size="4MiB")
    except shoal.StoreBusy:
        assert time.monotonic() - started < 10
        line.send("busy")
        return
    line.send("open")
    store["key"] = 1


def test_stopped_while_it_opens(crew: Crew, name: str) -> None:
    """Others open the name, or are told that somebody is in the way; and once it goes on, so do they."""
    chance = random.Random(8)
    child = crew.start(open_and_close, name)
    assert child.recv() == "begun"
    for _ in range(40):
        assert child.alive_after(chance.uniform(0, 0.002))
        stop(child)
        opener = crew.start(open_once, name)
        assert opener.recv() in {"open", "busy"}
        child.go_on()
        opener.result()
    child.send("end")
    child.result()
