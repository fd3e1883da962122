"""A store lives until the last process that uses it is gone, however that went."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from processes import alive, descriptors, die, mappings, segment

import shoal

if TYPE_CHECKING:
    from processes import Crew

HOW_TO_END = {
    "return": "",
    "sys.exit": "import sys; sys.exit()",
    "exception": "import sys; sys.excepthook = lambda *_: None; raise ValueError",
    "close": "store.close()",
}


def use(line: Any, name: str, flag: str = "c") -> None:
    """Have the store open until told to end."""
    with shoal.open(name, flag, size="4MiB") as store:
        if not store.read_only:
            store[str(os.getpid())] = 1
        line.send("open")
        line.recv()


def use_and_die(line: Any, name: str, persist: bool = False) -> None:
    store = shoal.open(name, size="4MiB", persist=persist)
    store["key"] = "of the dead"
    line.send("open")
    die()


def left_by_the_dead(crew: Crew, name: str, **options: Any) -> None:
    child = crew.start(use_and_die, name, *options.values())
    assert child.recv() == "open"
    child.kill()


def test_the_last_user_removes_the_store(crew: Crew, name: str) -> None:
    users = [crew.start(use, name) for _ in range(3)]
    assert [user.recv() for user in users] == ["open"] * 3
    for user in users:
        assert alive(name) is True
        user.send("end")
        user.result()
    assert alive(name) is None
    assert not segment(name).exists()


def test_the_last_user_may_be_a_reader(crew: Crew, name: str) -> None:
    with shoal.open(name, size="4MiB") as store:
        store["key"] = 1
        readers = [crew.start(use, name, "r") for _ in range(2)]
        assert [reader.recv() for reader in readers] == ["open"] * 2
    for reader in readers:
        assert alive(name) is True
        with shoal.open(name, "w") as store:
            assert store["key"] == 1
        reader.send("end")
        reader.result()
    assert not segment(name).exists()


@pytest.mark.parametrize("ending", HOW_TO_END.values(), ids=HOW_TO_END)
def test_every_ordinary_end_of_a_program_counts(crew: Crew, name: str, ending: str) -> None:
    program = crew.program(f"import sys, shoal; store = shoal.open(sys.argv[1]); store['key'] = 1; {ending}", name)
    _, errors = program.communicate(timeout=60)
    assert errors == ""
    assert not segment(name).exists()


WITH_A_SERVANT = """
import sys
if sys.argv[2] == "first":
    import multiprocessing.util
import shoal
import multiprocessing

def serve(store, begun):
    store["key"] = "of the servant"
    begun.set()
    multiprocessing.Event().wait()

if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    store, begun = shoal.open(sys.argv[1]), context.Event()
    context.Process(target=serve, args=(store, begun), daemon=True).start()
    begun.wait()
"""
WITH_A_FORK = """
import sys
if sys.argv[2] == "first":
    import multiprocessing.util
import os
import shoal

store = shoal.open(sys.argv[1])
if os.fork():
    os.wait()
    store.close()
else:
    store["key"] = "of the child"
"""


@pytest.mark.parametrize("program", [WITH_A_SERVANT, WITH_A_FORK], ids=["servant", "fork"])
@pytest.mark.parametrize("multiprocessing", ["first", "later"])
def test_children_that_end_with_their_parent_count(crew: Crew, name: str, program: str, multiprocessing: str) -> None:
    """Whichever of the two was imported first, multiprocessing ends its children before their parent leaves the store."""
    crew.run(program, name, multiprocessing)
    assert not segment(name).exists()


OPENED_OFTEN = """
import multiprocessing.util, os, sys
import shoal

def finalizers_after(times):
    for _ in range(times):
        shoal.open(sys.argv[1]).close()
    return len(multiprocessing.util._finalizer_registry)

assert finalizers_after(1) == finalizers_after(5)
if pid := os.fork():
    assert os.waitpid(pid, 0)[1] == 0
else:
    assert finalizers_after(1) == finalizers_after(5)
"""


def test_opening_often_leaves_nothing_behind_in_the_process(crew: Crew, name: str) -> None:
    crew.run(OPENED_OFTEN, name)


def test_a_store_that_persists_outlives_its_users(crew: Crew, name: str) -> None:
    with shoal.open(name, size="4MiB", persist=True) as store:
        store["key"] = 1
    assert alive(name) is False
    assert name not in shoal.gc()
    assert crew.run("import sys, shoal\nwith shoal.open(sys.argv[1]) as store: print(store['key'])", name) == "1"
    left_by_the_dead(crew, name)
    with shoal.open(name, "w") as store:
        assert store["key"] == "of the dead"
    shoal.destroy(name)
    assert alive(name) is None


def test_the_dead_do_not_count(crew: Crew, name: str) -> None:
    with shoal.open(name, size="4MiB") as store:
        left_by_the_dead(crew, name)
        assert store["key"] == "of the dead"
        assert store.stats().processes == 1
    assert not segment(name).exists()


def test_gc_removes_what_the_dead_left(crew: Crew, name: str) -> None:
    kept, used = crew.name("kept"), crew.name("used")
    left_by_the_dead(crew, name)
    left_by_the_dead(crew, kept, persist=True)
    with shoal.open(used, size="4MiB"):
        assert [alive(which) for which in (name, kept, used)] == [False, False, True]
        removed = shoal.gc()
        assert [which in removed for which in (name, kept, used)] == [True, False, False]
        assert [alive(which) for which in (name, kept, used)] == [None, False, True]
    shoal.destroy(kept)


@pytest.mark.parametrize("flag", ["c", "n"])
def test_the_next_user_after_the_dead_begins_anew(crew: Crew, name: str, flag: str) -> None:
    left_by_the_dead(crew, name)
    with shoal.open(name, flag, size="4MiB") as store:
        assert len(store) == 0
    assert not segment(name).exists()


@pytest.mark.parametrize("flag", ["w", "r"])
def test_what_the_dead_left_is_no_store_any_more(crew: Crew, name: str, flag: str) -> None:
    left_by_the_dead(crew, name)
    with pytest.raises(shoal.StoreNotFound):
        shoal.open(name, flag)
    shoal.gc()
    assert not segment(name).exists()


def use_beyond_the_end(line: Any, name: str) -> Any:
    with shoal.open(name, size="4MiB") as store:
        store["child"] = 1
        line.send("open")
        line.recv()
        store["child"] += 1
        store["large"] = b"x" * 100_000
        return dict(store)


def test_destroy_takes_the_name_and_leaves_the_users_their_memory(crew: Crew, name: str) -> None:
    child = crew.start(use_beyond_the_end, name)
    assert child.recv() == "open"
    shoal.destroy(name)
    assert not segment(name).exists()
    with pytest.raises(shoal.StoreNotFound):
        shoal.destroy(name)
    with shoal.open(name, size="4MiB") as successor:
        successor["key"] = "new"
        child.send("go on")
        assert child.result() == {"child": 2, "large": b"x" * 100_000}
        assert segment(name).exists()
        assert dict(successor) == {"key": "new"}


def test_a_listing_tells_what_there_is(crew: Crew, name: str) -> None:
    with shoal.open(name, size="8MiB", mode=0o640) as store:
        store["key"] = b"x" * 1_000_000
        (info,) = (info for info in shoal.list_arenas() if info.name == name)
        assert info.capacity == store.stats().capacity == 8 << 20
        assert 1_000_000 < info.committed < 4_000_000
        assert (info.uid, info.mode, info.persist, info.ready, info.alive) == (os.geteuid(), 0o640, False, True, True)


# ---------------------------------------------------------------------- forks


def fork_and_wait(line: Any, name: str, flag: str) -> None:
    """Open the store and fork; the grandchild has the handle and uses it only when told to."""
    store = shoal.open(name, flag)
    line.send("open")
    line.recv()
    if (grandchild := os.fork()) > 0:
        os.waitpid(grandchild, 0)
    try:
        line.send(os.getpid())  # the grandchild: it is past the fork
        line.recv()
        line.send(store["key"])
        line.recv()
    finally:
        os._exit(0)


def test_a_dead_parent_is_dead_whatever_its_children_inherited(crew: Crew, name: str) -> None:
    """A forked child has its parent's open files and mappings; they must not make the parent look alive."""
    parent = crew.start(fork_and_wait, name, "c")
    assert parent.recv() == "open"
    with shoal.open(name) as store:
        store["key"] = 1
        parent.send("fork")
        grandchild = crew.adopt(parent.recv())
        assert store.stats().processes == 2
        parent.kill()
        assert store.stats().processes == 1
        parent.send("read")
        assert parent.recv() == 1
        assert store.stats().processes == 2
        parent.send("end")
        grandchild.wait()
        assert store.stats().processes == 1


@pytest.mark.parametrize("flag", ["w", "r"])
def test_a_child_that_inherited_a_handle_keeps_the_store(crew: Crew, name: str, flag: str) -> None:
    """Even before it uses it."""
    with shoal.open(name, size="4MiB") as store:
        store["key"] = 1
        parent = crew.start(fork_and_wait, name, flag)
        assert parent.recv() == "open"
        parent.send("fork")
        grandchild = crew.adopt(parent.recv())
        parent.kill()
    assert alive(name) is True
    parent.send("read")
    assert parent.recv() == 1
    assert alive(name) is True
    parent.send("end")
    grandchild.wait()
    assert alive(name) is False
    assert name in shoal.gc()


LATE = """
import os, sys
read, write = os.pipe()
os.register_at_fork(after_in_child=lambda: os.read(read, 1))  # before the import: it runs before Shoal's own
import shoal
store = shoal.open(sys.argv[1])
child = os.fork()
if child == 0:
    store = shoal.open(sys.argv[1], "w")
    store["child"] = 1
    print("child", dict(store))
    sys.exit()
store.close()
print("closed", flush=True)
os.write(write, b"!")
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_child_counts_from_the_fork_on(crew: Crew, name: str) -> None:
    """The parent closes the store before its child has had time to do anything."""
    assert crew.run(LATE, name) == "closed\nchild {'child': 1}"
    assert not segment(name).exists()


def test_children_that_leave_without_a_word(crew: Crew, name: str) -> None:
    """`os._exit` runs no handler: the kernel still tells that the process is gone."""
    with shoal.open(name, size="4MiB") as store:
        for number in range(5):
            if (pid := os.fork()) == 0:
                store[f"key {number}"] = number
                os._exit(0)
            os.waitpid(pid, 0)
        assert len(store) == 5
        assert store.stats().processes == 1
    assert not segment(name).exists()


def test_a_child_may_close_what_it_inherited(name: str) -> None:
    with shoal.open(name, size="4MiB") as store:
        store["key"] = 1
        for used in (False, True):
            if (pid := os.fork()) == 0:
                if used:
                    assert store["key"] == 1
                store.close()
                os._exit(0 if store.closed and mappings(name) == [] else 1)
            assert os.waitpid(pid, 0)[1] == 0
            assert store["key"] == 1
            assert segment(name).exists()


def test_a_child_of_a_child_of_a_child(name: str) -> None:
    with shoal.open(name, size="4MiB") as store:
        depth = 0
        while (pid := os.fork()) == 0:
            depth += 1
            store[f"depth {depth}"] = os.getpid()
            if depth == 5:
                os._exit(0)
        _, status = os.waitpid(pid, 0)
        if depth:
            os._exit(status != 0)
        assert status == 0
        assert len(store) == 5
        assert len(set(store.values())) == 5
    assert not segment(name).exists()


def test_programs_that_are_started_inherit_nothing(name: str) -> None:
    with shoal.open(name, size="4MiB") as store:
        store["key"] = 1
        look = "import os; print([f for f in os.listdir('/proc/self/fd') if 'shoal' in os.path.realpath('/proc/self/fd/' + f)])"
        done = subprocess.run([sys.executable, "-c", look], close_fds=False, capture_output=True, text=True, check=True)
        assert done.stdout == "[]\n"


# ---------------------------------------------------------------------- mappings and descriptors


def test_one_mapping_per_process_and_name(name: str) -> None:
    with shoal.open(name, size="4MiB") as store:
        assert mappings(name) == ["rw-s"]
        again = [shoal.open(name, flag) for flag in ("c", "w", "w")]
        again += [store.namespace("other"), shoal.open(name, namespace="third")]
        assert mappings(name) == ["rw-s"]
        readers = [shoal.open(name, "r") for _ in range(3)]
        assert sorted(mappings(name)) == ["r--s", "rw-s"]
        for handle in again + readers:
            handle.close()
        assert mappings(name) == ["rw-s"]
    assert mappings(name) == []


@pytest.mark.parametrize("flag", ["c", "n", "r"])
def test_opening_and_closing_leaks_nothing(crew: Crew, name: str, flag: str) -> None:
    keeper = crew.start(use, name)
    assert keeper.recv() == "open"
    before = descriptors()
    for _ in range(100):
        with shoal.open(name, flag, size="4MiB") as store:
            assert store.get("absent") is None
    assert descriptors() == before
    assert mappings(name) == []
    keeper.send("end")
    keeper.result()


def test_refused_openings_leak_nothing(name: str) -> None:
    before = descriptors()
    segment(name).write_bytes(b"x" * 10_000)
    for _ in range(50):
        with pytest.raises(shoal.IncompatibleArena):
            shoal.open(name)
        with pytest.raises(shoal.StoreNotFound):
            shoal.open(f"{name}-absent", "w")
    segment(name).unlink()
    assert descriptors() == before
    assert mappings(name) == []


def test_forked_children_leak_nothing(name: str) -> None:
    with shoal.open(name, size="4MiB") as store, shoal.open(name, "r") as reader:
        store["key"] = 1
        before = descriptors()
        if (pid := os.fork()) == 0:
            same = store["key"] == reader["key"] == 1 and descriptors() == before
            os._exit(0 if same and sorted(mappings(name)) == ["r--s", "rw-s"] else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert descriptors() == before
