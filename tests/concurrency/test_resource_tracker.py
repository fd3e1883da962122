"""Python's resource tracker neither removes a store that others use nor complains about it.

Each program runs in an interpreter of its own, so that its tracker is its own, too, and everything that it prints
at its end is seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from processes import segment

import shoal

if TYPE_CHECKING:
    from processes import Crew

USE = """
import sys, shoal
store = shoal.open(sys.argv[1])
store["program"] = store["test"] + 1
"""
CHILDREN = """
import multiprocessing, operator, sys, shoal
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[2])
    store = shoal.open(sys.argv[1])
    for key in ("program", "again"):
        child = context.Process(target=operator.setitem, args=(store, key, 2))
        child.start()
        child.join()
        assert child.exitcode == 0
    child = context.Process(target=shoal.open, args=(sys.argv[1],))
    child.start()
    child.join()
    assert child.exitcode == 0
    assert store["again"] == store["program"] == 2
"""
POOL = """
import multiprocessing, operator, sys, shoal
from concurrent.futures import ProcessPoolExecutor
if __name__ == "__main__":
    store = shoal.open(sys.argv[1])
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(sys.argv[2])) as pool:
        for number in range(10):
            pool.submit(operator.setitem, store, "program", 2).result()
"""
ITS_OWN = """
import multiprocessing, operator, sys, shoal
from multiprocessing.shared_memory import SharedMemory
if __name__ == "__main__":
    own = SharedMemory(create=True, size=1000)
    own.buf[:3] = b"own"
    store = shoal.open(sys.argv[1])
    child = multiprocessing.get_context(sys.argv[2]).Process(target=operator.setitem, args=(store, "program", 2))
    child.start()
    child.join()
    assert bytes(own.buf[:3]) == b"own"
    own.close()
    own.unlink()
"""
TERMINATED = """
import multiprocessing, sys, time, shoal
if __name__ == "__main__":
    store = shoal.open(sys.argv[1])
    child = multiprocessing.get_context(sys.argv[2]).Process(target=time.sleep, args=(1000,))
    child.start()
    store["program"] = 2
    child.terminate()
    child.join()
"""


@pytest.mark.parametrize("ending", ["", "store.close()", "import os; sys.stdout.flush(); os._exit(0)"])
def test_a_program_that_attaches_and_ends(crew: Crew, name: str, ending: str) -> None:
    with shoal.open(name, size="4MiB") as store:
        store["test"] = 1
        for _ in range(3):
            crew.run(USE + ending, name)
            assert segment(name).exists()
        assert dict(store) == {"test": 1, "program": 2}
        assert store.stats().processes == 1
    assert not segment(name).exists()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize(
    "program", [CHILDREN, POOL, ITS_OWN, TERMINATED], ids=["children", "pool", "own", "terminated"]
)
def test_a_program_with_children(crew: Crew, name: str, program: str, method: str) -> None:
    with shoal.open(name, size="4MiB") as store:
        crew.run(program, name, method)
        assert segment(name).exists()
        assert store["program"] == 2
        assert store.stats().processes == 1
    assert not segment(name).exists()


def test_a_program_on_its_own_leaves_nothing(crew: Crew, name: str) -> None:
    for method in ("fork", "spawn", "forkserver"):
        crew.run(CHILDREN, name, method)
        assert not segment(name).exists()


def test_the_tracker_does_not_even_start(crew: Crew, name: str) -> None:
    look = "from multiprocessing import resource_tracker as t; print(t._resource_tracker._fd)"
    with shoal.open(name, size="4MiB") as store:
        store["test"] = 1
        assert crew.run(USE + look, name) == "None"
