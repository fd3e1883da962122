"""The life of handles and of the mappings under them: closing, pickling, forking, the end of a process."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import operator
import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import shoal
from shoal import _core
from shoal.arena import ArenaStore

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def store() -> Iterator[ArenaStore]:
    with shoal.open(None, size="256MiB") as opened:
        assert isinstance(opened, ArenaStore)
        yield opened


@pytest.fixture
def name() -> Iterator[str]:
    chosen = f"test-{os.getpid()}-{os.urandom(4).hex()}"
    yield chosen
    if chosen in names():
        shoal.destroy(chosen)


def names() -> set[str]:
    return {info.name for info in shoal.list_arenas()}


def run(program: str, *arguments: str) -> str:
    """The output of a program in an interpreter of its own."""
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


# ---------------------------------------------------------------------- handles and mappings


def mapped(name: str) -> int:
    return sum(f"/shoal.{name}" in line for line in Path("/proc/self/maps").read_text().splitlines())


def test_one_mapping_per_process(name: str) -> None:
    first = shoal.open(name)
    once = mapped(name)
    assert once >= 1
    others = [shoal.open(name), shoal.open(name, "w"), first.namespace("a"), pickle.loads(pickle.dumps(first))]
    assert mapped(name) == once
    first.close()
    for other in others:
        other["k"] = 1
        other.close()
    assert mapped(name) == 0
    assert name not in names()


def test_a_dropped_handle_closes_itself(name: str) -> None:
    store = shoal.open(name)
    store["k"] = 1
    del store
    gc.collect()
    assert name not in names()


def test_a_name_that_was_taken_over(name: str) -> None:
    first = shoal.open(name)
    first["k"] = "first"
    shoal.destroy(name)
    second = shoal.open(name)
    assert "k" not in second
    second["k"] = "second"
    assert first["k"] == "first"
    third = shoal.open(name, "n")
    assert len(third) == 0
    for store in (first, second):
        store.close()
    assert name in names()
    third.close()
    assert name not in names()


def test_persistence_can_be_asked_for_later(name: str) -> None:
    with shoal.open(name) as store:
        store["k"] = 1
        shoal.open(name, persist=True).close()
    with shoal.open(name, "w") as store:
        assert store["k"] == 1
    shoal.destroy(name)


def test_a_reader_asks_for_no_persistence(name: str) -> None:
    with shoal.open(name) as store:
        store["k"] = 1
        for _ in range(2):
            with shoal.open(name, "r", persist=True) as reader:
                assert reader["k"] == 1
    assert name not in names()


def test_use_after_close(store: ArenaStore) -> None:
    other = store.namespace("other")
    other.close()
    other.close()
    assert other.closed
    assert not store.closed
    assert "closed" in repr(other)
    calls = (
        lambda: other["k"],
        lambda: other.get("k"),
        lambda: other.set("k", 1),
        lambda: "k" in other,
        lambda: len(other),
        lambda: iter(other),
        lambda: other.delete("k"),
        lambda: other.incr("k"),
        other.stats,
        other.namespaces,
        lambda: other.namespace("x"),
        lambda: other.drop_namespace("x"),
        other.clear,
        other.verify,
        other.sweep,
        other.destroy,
        lambda: pickle.dumps(other),
    )
    for call in calls:
        with pytest.raises(shoal.StoreClosed) as caught:
            call()
        assert caught.value.name == other.name


def test_an_iterator_outlives_its_handle_without_harm(name: str) -> None:
    store = shoal.open(name)
    store.update({str(i): i for i in range(1000)})
    keys = iter(store)
    next(keys)
    store.close()
    with pytest.raises(shoal.StoreClosed):
        list(keys)


def test_close_while_other_threads_are_inside_calls() -> None:
    for _ in range(10):
        store = shoal.open(None, size="256MiB")
        value = np.ones(1_000_000)
        store["k"] = value
        barrier = threading.Barrier(5)
        outcomes: list[Any] = []

        def work(store: Any = store, barrier: Any = barrier, outcomes: Any = outcomes, value: Any = value) -> None:
            barrier.wait()
            try:
                while True:
                    assert store["k"][-1] == 1
                    store["k"] = value
                    len(store)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
                outcomes.append(type(error))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        barrier.wait()
        _ = store["k"]
        store.close()
        assert mapped(store.name) == 0  # close() waited for them
        for thread in threads:
            thread.join()
        assert outcomes == [shoal.StoreClosed] * 4
        assert store.name not in names()


def test_the_last_of_several_handles_closes_the_arena_under_load(name: str) -> None:
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait()
        for i in range(50):
            with shoal.open(name) as store:
                store[f"{i}"] = "x" * 1000
                assert store.get(f"{i}", "x" * 1000) == "x" * 1000

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert name not in names()


def test_pickling_carries_the_options(name: str) -> None:
    with shoal.open(name, namespace="a", timeout=2.5, allow_pickle=False) as store:
        store["k"] = 1
        for other in (pickle.loads(pickle.dumps(store)), copy.copy(store), copy.deepcopy(store)):
            assert type(other) is ArenaStore
            assert (other.url, other.allow_pickle, other._timeout) == (store.url, False, 2.5)
            assert other["k"] == 1
            other.close()
        sent = pickle.dumps(store)
    with pytest.raises(shoal.StoreNotFound):
        pickle.loads(sent)


def test_pickling_a_reader(name: str) -> None:
    with shoal.open(name) as store, shoal.open(name, "r") as reader:
        store["k"] = 1
        with pickle.loads(pickle.dumps(reader)) as other:
            assert other.read_only
            assert other["k"] == 1


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_handles_arrive_in_children(store: ArenaStore, method: str) -> None:
    store["k"] = "from the parent"
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(operator.getitem, (store, "k")) == "from the parent"
        pool.apply(operator.setitem, (store, "answer", 42))
        pool.close()
        pool.join()
    assert store["answer"] == 42
    assert store.stats().processes == 1


def test_inherited_handles_work_and_the_child_closes_them() -> None:
    program = """if True:
        import multiprocessing, shoal
        def work(store, pipe):
            store["child"] = 1
            pipe.send("attached")
            pipe.recv()
            assert store["parent"] == 2
        context = multiprocessing.get_context("fork")
        store = shoal.open(None)
        ours, theirs = context.Pipe()
        child = context.Process(target=work, args=(store, theirs))
        child.start()
        ours.recv()
        store["parent"] = 2
        name = store.name
        store.close()
        assert name in {info.name for info in shoal.list_arenas()}
        ours.send("go on")
        child.join()
        assert child.exitcode == 0
        print(name in {info.name for info in shoal.list_arenas()})
    """
    assert run(program) == "False"


@pytest.mark.parametrize("flag", ["c", "n"])
def test_the_end_of_a_process_closes_what_it_left_open(name: str, flag: str) -> None:
    program = """if True:
        import sys, shoal
        named, anonymous = shoal.open(sys.argv[1], sys.argv[2]), shoal.open(None)
        named["k"] = anonymous["k"] = 1
        print(anonymous.name)
    """
    assert names().isdisjoint({run(program, name, flag), name})


def test_a_killed_process_leaves_what_gc_removes(name: str) -> None:
    program = "import os, sys, signal, shoal; store = shoal.open(sys.argv[1]); os.kill(os.getpid(), signal.SIGKILL)"
    killed = subprocess.run([sys.executable, "-c", program, name], check=False)
    assert killed.returncode == -signal.SIGKILL
    (info,) = (info for info in shoal.list_arenas() if info.name == name)
    assert not info.alive
    assert _core.collect(name)  # what shoal.gc() does to each; other programs' arenas are not ours to remove
    assert not _core.collect(name)
    assert name not in names()


def test_plain_use_does_not_load_numpy_or_multiprocessing() -> None:
    program = """if True:
        import sys, shoal
        with shoal.open(None) as store:
            store["a"] = "x"; store["b"] = [1, {"c": 2.5}]; store["d"] = b"x" * 100_000
            store.incr("n"); store.metadata("a"); store.stats(); list(store.items()); store.pop("b")
        print([name for name in ("numpy", "multiprocessing") if name in sys.modules])
    """
    assert run(program) == "[]"


def test_numpy_is_loaded_by_the_first_array_that_is_read(store: ArenaStore) -> None:
    store["k"] = np.arange(3)
    program = """if True:
        import sys, shoal
        with shoal.open(sys.argv[1], "w") as store:
            assert "numpy" not in sys.modules
            print(store["k"].tolist())
    """
    assert run(program, store.name) == "[0, 1, 2]"


def test_signals_reach_a_main_thread_that_is_busy_with_calls() -> None:
    program = """if True:
        import signal, shoal
        class Stop(Exception): pass
        def handler(*_): raise Stop
        signal.signal(signal.SIGALRM, handler)
        with shoal.open(None) as store:
            store["k"] = b"x" * 10_000_000
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            try:
                while True:
                    store["k"]
            except Stop:
                pass
            print(len(store["k"]))
    """
    assert run(program) == "10000000"


def test_verify_and_sweep(store: ArenaStore) -> None:
    store.update({str(i): "x" * i for i in range(500)})
    store["large"] = np.zeros(100_000)
    assert [text for level, text in store.verify() if level == "problem"] == []
    store.clear()
    store.sweep()
    assert [text for level, text in store.verify() if level == "problem"] == []


def test_stats(store: ArenaStore) -> None:
    store["k"] = "x"
    _ = store["k"]
    store.get("absent")
    store.delete("k")
    stats = store.stats()
    assert (stats.sets, stats.hits, stats.misses, stats.deletes, stats.entries, stats.processes) == (1, 1, 1, 1, 0, 1)
    assert stats.capacity >= 256 << 20


@pytest.mark.parametrize("size", [1, 512, 513, 10_000, 60_000, 100_000, 1_000_000])
def test_a_get_counts_once_and_a_look_never(store: ArenaStore, size: int) -> None:
    store["k"] = "x" * size
    before = store.stats()
    assert len(store["k"]) == size
    assert store.get("absent") is None
    after = store.stats()
    assert (after.hits - before.hits, after.misses - before.misses) == (1, 1)
    assert "k" in store
    assert "absent" not in store
    assert store.metadata("k").size > size
    assert store.ttl("k") is None
    assert store._get_encoded("absent") is None
    found = store._get_encoded("k")
    assert found is not None
    assert len(found[0]) == found[1].size
    assert store.stats() == after


@pytest.mark.parametrize("call", ["is_exist", "delete", "_fields", "get", "ttl", "new_object"])
def test_a_memory_that_no_store_made_is_closed(call: str) -> None:
    run(
        f"""
import shoal
from shoal.arena_memory import ArenaMemory
try:
    ArenaMemory().{call}({"'a'" if call == "get" else "''"})
except shoal.StoreClosed:
    pass
else:
    raise SystemExit("it answered")
"""
    )


def test_a_reference_has_the_hash_of_its_fields(store: ArenaStore) -> None:
    ref = store.memory("a").set("b", 1)
    assert hash(ref) == hash(tuple(ref)) == hash(type(ref)(*ref))
