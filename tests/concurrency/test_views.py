"""Views and arrays to fill, where there are several processes: deaths, forks, and the ends of processes."""

from __future__ import annotations

import gc
import os
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from processes import alive, mappings, problems, segment

import shoal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processes import Crew

COUNT = 60_000
MANY = 5000


@pytest.fixture
def store(name: str) -> Iterator[shoal.Store]:
    with shoal.open(name, size="64MiB") as opened:
        yield opened
        gc.collect()
        opened.sweep()  # what children that were ended held
        assert opened.stats().pinned == 0
    assert not segment(name).exists()


def churn(store: Any) -> None:
    """Use the memory of whatever is free, and give it back."""
    for number in range(20):
        store[f"churn {number}"] = np.full(COUNT, float(number))
    for number in range(20):
        del store[f"churn {number}"]
    store.sweep()


def row(number: float) -> np.ndarray[Any, Any]:
    return np.full(COUNT, float(number))


# ---------------------------------------------------------------- deaths


def look_and_wait(line: Any, store: Any) -> None:
    views = [store.view("key") for _ in range(600)]
    line.send(float(views[-1][0]))
    line.recv()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_views_of_a_killed_process_are_reaped(crew: Crew, store: Any, method: str) -> None:
    store["key"] = row(1)
    child = crew.start(look_and_wait, store, method=method)
    assert child.recv() == 1
    pinned = store.stats().pinned
    assert pinned >= COUNT * 8
    store["key"] = row(2)
    used = store.stats().used
    child.kill()
    assert problems(store) == []
    store.sweep()
    assert store.stats().pinned == 0
    assert used - store.stats().used >= COUNT * 8
    assert problems(store) == []


def fill_and_wait(line: Any, store: Any) -> None:
    with store.create_array("key", COUNT, "f8") as array:
        array[:] = 2
        line.send("filled")
        line.recv()


def test_a_kill_inside_of_create_array_writes_nothing(crew: Crew, store: Any) -> None:
    store["key"] = row(1)
    store.sweep()
    used = store.stats().used
    child = crew.start(fill_and_wait, store)
    assert child.recv() == "filled"
    assert store.stats().used >= used + COUNT * 8
    child.kill()
    assert np.array_equal(store["key"], row(1))
    store.sweep()
    assert store.stats().used <= used
    assert problems(store) == []


# ---------------------------------------------------------------- forks


def test_a_forked_child_keeps_what_it_inherited(crew: Crew, store: Any) -> None:
    """The parent's views go, and the entry goes; nobody gets the memory before the child is done with it."""
    store["array"], store["bytes"] = row(1), b"abc" * COUNT
    held = {"array": store.view("array"), "bytes": store.view("bytes")[3:]}

    def look(line: Any) -> None:
        line.recv()
        line.send((bool((held["array"] == 1).all()), bytes(held["bytes"]) == b"abc" * (COUNT - 1)))
        line.recv()
        store["from the child"] = row(7)
        own = store.view("from the child")
        held.clear()
        gc.collect()
        churn(store)
        assert (own == 7).all()
        del own
        line.send(store.stats().pinned)
        line.recv()

    child = crew.start(look)
    held.clear()
    store.clear()
    gc.collect()
    churn(store)
    assert store.stats().pinned >= COUNT * 11
    child.send("look")
    assert child.recv() == (True, True)
    child.send("let go")
    assert child.recv() == 0
    assert np.array_equal(store["from the child"], row(7))
    assert problems(store) == []
    child.send("end")
    child.result()
    assert store.stats().processes == 1


def test_what_the_child_lets_go_of_stays_for_the_parent(crew: Crew, store: Any) -> None:
    store["key"] = row(1)
    held = [store.view("key") for _ in range(1000)]

    def let_go(line: Any) -> float:
        held.clear()
        gc.collect()
        del store["key"]
        churn(store)
        return 0.0

    crew.start(let_go).result()
    assert (held[0] == 1).all()
    assert (held[999] == 1).all()
    assert store.stats().pinned >= COUNT * 8
    held.clear()
    assert problems(store) == []


def test_grandchildren_keep_it_too(crew: Crew, store: Any) -> None:
    store["key"] = row(1)
    held = [store.view("key")]

    def fork_again(line: Any) -> None:
        if os.fork() == 0:
            line.recv()
            line.send((held[0] == 1).all())
            os._exit(0)
        held.clear()
        os._exit(0)

    child = crew.start(fork_again)
    child.process.join()
    held.clear()
    store.clear()
    churn(store)
    child.send("look")
    assert child.recv()


def test_a_view_of_a_closed_store_is_inherited(crew: Crew, name: str) -> None:
    store = shoal.open(name, size="64MiB")
    store["key"] = row(1)
    held = [store.view("key")]
    store.close()

    def look(line: Any) -> bool:
        line.recv()
        with shoal.open(name) as again:
            again.clear()
            churn(again)
            return bool((held[0] == 1).all())

    child = crew.start(look)
    held.clear()
    assert mappings(name) == []
    assert alive(name)
    child.send("look")
    assert child.result()
    assert not segment(name).exists()


def test_children_may_fill_parts(crew: Crew, store: Any) -> None:
    """They share the memory; how they leave the block does not count, whatever it was."""
    made: Any = store.create_array("key", (4, COUNT), "f8")

    def fill(line: Any, part: int) -> None:
        array[part] = part
        made.__exit__(None, None, None)
        line.send("left")
        line.recv()

    with made as array:
        children = [crew.start(fill, part) for part in range(4)]
        for child in children:
            assert child.recv() == "left"
        assert "key" not in store
    found = store["key"]
    assert all((found[part] == part).all() for part in range(4))
    for child in children:
        child.send("end")
        child.result()


def test_a_child_still_fills_what_the_parent_has_given_up(crew: Crew, store: Any) -> None:
    """It writes to memory that is nobody else's."""

    def fill(line: Any) -> None:
        line.recv()
        for number in range(100):
            held[0][:] = number
        line.send("filled")
        line.recv()

    held = []
    with pytest.raises(KeyError), store.create_array("key", COUNT, "f8") as array:  # noqa: PT012 - the block is what is tested
        held.append(array)
        child = crew.start(fill)
        raise KeyError
    held.clear()
    del array
    gc.collect()
    child.send("fill")
    values = {f"{number}": row(-number) for number in range(40)}
    store.update(values)
    assert child.recv() == "filled"
    assert all(np.array_equal(store[key], value) for key, value in values.items())
    child.send("end")
    child.result()


# ---------------------------------------------------------------- many


def test_thousands_of_views_of_large_values(crew: Crew, name: str) -> None:
    """As a data loader has them; in a forked child as well."""
    with shoal.open(name, size="512MiB") as store:
        for number in range(MANY):
            store[f"{number}"] = np.full(5000, float(number))
        views = [store.view(f"{number}") for number in range(MANY)]
        assert store.stats().pinned >= MANY * 40_000
        store.clear()

        def check(line: Any) -> bool:
            return all(view[0] == view[4999] == number for number, view in enumerate(views))

        child = crew.start(check)
        assert check(None)
        del views[::2]
        assert child.result()
        assert problems(store) == []
        assert store.stats().pinned <= MANY * 41_000 // 2
        views.clear()
        assert store.stats().pinned == 0
        store.sweep()
    assert not segment(name).exists()


# ---------------------------------------------------------------- ends

EXIT = """
import sys, threading, atexit
import numpy as np
@atexit.register
def look():
    print((view == 1).all(), float(part.sum()), bytes(data[:3]))
import shoal
store = shoal.open(sys.argv[1], size="64MiB")
store["array"], store["bytes"] = np.ones(60_000), b"abc" * 60_000
view, data = store.view("array"), store.view("bytes")
part = view[:10]
store.close() if sys.argv[2] == "closed" else None
made = store.create_array("key", 60_000, "f8") if sys.argv[2] == "filling" else None
array = made.__enter__() if made else None
def work():
    with made as array:
        begun.set()
        while True:
            array[:] = 5
"""


@pytest.mark.parametrize("state", ["open", "closed", "filling"])
@pytest.mark.parametrize("alone", [True, False])
def test_a_process_may_end_with_views(crew: Crew, name: str, state: str, alone: bool) -> None:
    """Quietly. What runs at its very end still sees them, and the last user's end removes the store."""
    if alone:
        assert crew.run(EXIT, name, state) == "True 10.0 b'abc'"
        assert not segment(name).exists()
        return
    with shoal.open(name, size="64MiB") as store:
        assert crew.run(EXIT, name, state) == "True 10.0 b'abc'"
        assert store.stats().processes == 1
        store.sweep()
        assert store.stats().pinned == 0
        assert problems(store) == []
        assert "key" not in store
    assert not segment(name).exists()


def test_the_end_of_a_child_with_views(crew: Crew, store: Any) -> None:
    """Also where multiprocessing ends the process, without atexit."""
    store["key"] = row(1)

    def hold(line: Any) -> None:
        globals()["_held"] = store.view("key")

    crew.start(hold).result()
    assert store.stats().pinned == 0


def test_reopening_while_a_view_holds_the_mapping(name: str) -> None:
    store = shoal.open(name, size="64MiB")
    store["key"] = row(1)
    view = store.view("key")
    store.close()
    assert len(mappings(name)) == 1
    with shoal.open(name) as again:
        assert np.array_equal(again["key"], row(1))
        assert len(mappings(name)) == 2
        again["key"] = row(2)
        churn(again)
        assert (view == 1).all()
        newer = again.view("key")
    del view
    assert (newer == 2).all()
    assert len(mappings(name)) == 1
    assert segment(name).exists()
    del newer
    assert mappings(name) == []
    assert not segment(name).exists()


def test_other_processes_are_not_held_up(crew: Crew, store: Any) -> None:
    """A process that is stopped with views delays nobody, and keeps its bytes."""
    store["key"] = row(1)
    child = crew.start(look_and_wait, store)
    assert child.recv() == 1
    child.signal(signal.SIGSTOP)
    for number in range(50):
        store["key"] = row(number)
    churn(store)
    assert store.stats().pinned >= COUNT * 8
    child.go_on()
    child.send("end")
    child.result()
