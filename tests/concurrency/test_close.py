"""Closing while others are at work: threads inside calls, and processes with handles of their own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import actors
import pytest
from processes import busy_inside, mappings, segment, stop_inside

import shoal

if TYPE_CHECKING:
    from processes import Crew


def hammer(store: Any, barrier: threading.Barrier, ends: list[type[BaseException]]) -> None:
    """Use the store in every way until it is closed."""
    barrier.wait()
    try:
        for number in range(1_000_000):
            store[f"key {number % 20}"] = actors.stripe(number)
            assert actors.whole(store.get(f"key {number % 7}", b"\0"))
            store.incr("count")
            store.list_keys()
            store.pop(f"key {number % 13}", None)
            with store.namespace("other") as other:
                other.update(a=1, b=2)
                other.clear()
    except BaseException as error:  # noqa: BLE001 - handed to the test
        ends.append(type(error))


@pytest.mark.parametrize("rounds", [10, pytest.param(300, marks=pytest.mark.stress)])
def test_closing_under_threads(crew: Crew, name: str, rounds: int) -> None:
    for _ in range(rounds):
        store = shoal.open(name, size="16MiB")
        barrier, ends = threading.Barrier(5), []
        threads = [threading.Thread(target=hammer, args=(store, barrier, ends)) for _ in range(4)]
        for thread in threads:
            thread.start()
        barrier.wait()
        while store.get("count", 0) < 20:
            pass
        store.close()
        for thread in threads:
            thread.join()
        assert ends == [shoal.StoreClosed] * 4
        assert mappings(name) == []
        assert not segment(name).exists()


def use_for_a_while(line: Any, store: Any, times: int) -> None:
    for number in range(times):
        store[f"key {number % 20}"] = number
        if number % 50 == 0:
            with shoal.open(store.name, "w") as again:
                again.incr("count")


def test_one_process_closes_while_others_go_on(crew: Crew, name: str) -> None:
    store = shoal.open(name, size="16MiB")
    children = [crew.start(use_for_a_while, store, 2000) for _ in range(3)]
    while store.get("count", 0) < 10:
        pass
    store.close()
    for child in children:
        child.result()
    assert not segment(name).exists()


def test_closing_while_a_thread_waits_for_a_stopped_process(crew: Crew, name: str) -> None:
    """The thread's call ends with an error, the close after it; the store lives on in the process that was stopped."""
    store = shoal.open(name, size="16MiB", timeout=0.5)
    child = crew.start(busy_inside, store)
    assert child.recv() == "begun"
    ends: list[Any] = []

    def wait() -> None:
        try:
            store["key"] = 1
        except shoal.StorageError as error:
            ends.append(type(error))

    stop_inside(child, name)
    thread = threading.Thread(target=wait)
    thread.start()
    store.close()
    thread.join()
    assert ends[0] in (shoal.StoreBusy, shoal.StoreClosed)
    assert mappings(name) == []
    child.go_on()
    child.send("end")
    child.result()
    assert not segment(name).exists()


def test_use_after_close_in_a_child(crew: Crew, name: str) -> None:
    """A handle that was closed before the fork is closed in the child; one that was not is open."""
    with shoal.open(name, size="4MiB") as store:
        store["key"] = 1
        closed = shoal.open(name)
        closed.close()
        assert crew.start(try_both, closed, store).result() == (shoal.StoreClosed, 1)


def try_both(line: Any, closed: Any, store: Any) -> Any:
    try:
        return closed["key"], store["key"]
    except shoal.StoreClosed as error:
        return type(error), store["key"]
