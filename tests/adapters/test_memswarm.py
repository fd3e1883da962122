"""The memories of MemSwarm: what its documents promise, without what it loses."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import memswarm_work as work
import numpy as np
import pytest

import shoal
from shoal.adapters.memswarm import (
    AsyncSafeSharedMemory,
    HybridSharedMemory,
    InMemorySharedMemory,
    SharedMemoryBase,
    ThreadSafeSharedMemory,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Backend  # type: ignore[import-not-found]

KINDS = ["memory", "shm", "locked", "hybrid", "own"]


@pytest.fixture
def opened() -> Iterator[list[InMemorySharedMemory]]:
    made: list[InMemorySharedMemory] = []
    yield made
    for memory in made:
        memory.close()


@pytest.fixture(params=["memory", "shm"])
def swarm(request: pytest.FixtureRequest, opened: list[InMemorySharedMemory]) -> InMemorySharedMemory:
    """Return a memory in a store of each kind."""
    opened.append(InMemorySharedMemory(url="memory://" if request.param == "memory" else None))
    return opened[0]


@pytest.fixture(params=KINDS)
def memory(request: pytest.FixtureRequest, opened: list[InMemorySharedMemory]) -> SharedMemoryBase:
    """Return one of each class."""

    def new(url: str | None = "memory://") -> InMemorySharedMemory:
        opened.append(InMemorySharedMemory(url=url))
        return opened[-1]

    kinds = {
        "memory": new,
        "shm": lambda: new(None),
        "locked": lambda: ThreadSafeSharedMemory(work.DictMemory()),
        "hybrid": lambda: HybridSharedMemory(cache=new(), backend=new()),
        "own": lambda: HybridSharedMemory(work.DictMemory(), work.DictMemory()),
    }
    made: SharedMemoryBase = kinds[request.param]()
    return made


# ---------------------------------------------------------------------- as documented


def test_write_read_delete_clear(memory: SharedMemoryBase) -> None:
    memory.write("key1", "value1")
    assert memory.read("key1") == "value1"
    memory.write("key1", {"a": [1]})
    assert memory.read("key1") == {"a": [1]}
    assert memory.read("missing") is None
    memory.delete("missing")
    memory.write("key2", 2)
    assert memory.read() == memory.read("") == {"key1": {"a": [1]}, "key2": 2}
    memory.delete("key1")
    assert memory.read() == {"key2": 2}
    memory.clear()
    assert memory.read() == {}


def test_all_is_a_copy(memory: SharedMemoryBase) -> None:
    memory.write("key", 1)
    memory.read()["key"] = 2
    assert memory.read("key") == 1


def test_threads(memory: SharedMemoryBase) -> None:
    def write(me: int) -> None:
        for n in range(20):
            memory.write(f"{me}-{n}", n)
            assert memory.read(f"{me}-{n}") == n

    threads = [threading.Thread(target=write, args=(me,)) for me in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(memory.read()) == 160


def test_get_and_add(memory: SharedMemoryBase) -> None:
    assert memory.get("a", 7) == 7
    assert memory.add("a", 1)
    assert not memory.add("a", 2)
    assert memory.get("a", 7) == 1


def test_the_arguments_of_its_later_version(opened: list[InMemorySharedMemory]) -> None:
    opened.append(InMemorySharedMemory(True, True))
    opened[0].write("a", 1)
    assert opened[0].read("a") == 1


def test_it_keeps_to_itself() -> None:
    with shoal.open("memory://") as store:
        store["key"] = "of the program"
        store.namespace("n")["key"] = "too"
        first, second = InMemorySharedMemory(url=store), InMemorySharedMemory(url=store.namespace("n"))
        first.write("key", 1)
        second.write("key", 2)
        first.write_scope(1, context_id="c")
        first.clear()
        assert (store["key"], store.namespace("n")["key"], second.read()) == ("of the program", "too", {"key": 2})
        assert first.read() == first.read_context("c") == {}
        first.close()
        assert store["key"] == "of the program"  # a store that was given stays open


# ---------------------------------------------------------------------- hybrid


def test_hybrid_writes_both_and_reads_the_cache_first() -> None:
    cache, backend = work.DictMemory(), work.DictMemory()
    both = HybridSharedMemory(cache, backend)
    both.write("a", 1)
    assert cache.values == backend.values == {"a": 1}
    cache.values["a"] = "cached"
    assert both.read("a") == "cached"
    backend.values["b"] = 2
    assert both.read("b") == 2
    assert cache.values["b"] == 2
    both.delete("a")
    assert cache.values == backend.values == {"b": 2}
    both.clear()
    assert cache.values == backend.values == {}


def test_a_none_in_the_cache_is_no_miss() -> None:
    backend = work.DictMemory()
    with InMemorySharedMemory(url="memory://") as cache:
        both = HybridSharedMemory(cache, backend)
        cache.write("a", None)
        backend.values["a"] = "never asked"
        assert both.read("a") is None
        assert both.get("a", "missing") is None
        assert "read" not in backend.calls


def test_what_the_backend_refuses_is_not_cached() -> None:
    class Full(work.DictMemory):
        def write(self, key: str, value: Any) -> None:
            raise OSError("full")

    cache = work.DictMemory()
    with pytest.raises(OSError, match="full"):
        HybridSharedMemory(cache, Full()).write("a", 1)
    assert cache.values == {}


@pytest.mark.parametrize("change", ["write", "delete", "clear"])
def test_a_backend_that_fails_after_its_change_decides(change: str) -> None:
    class Late(work.DictMemory):
        def fail(self) -> None:
            assert both.read("a") in ("old", "new", None)  # a reader comes in between
            raise TimeoutError("the answer was lost")

        def write(self, key: str, value: Any) -> None:
            super().write(key, value)
            self.fail()

        def delete(self, key: str) -> None:
            super().delete(key)
            self.fail()

        def clear(self) -> None:
            super().clear()
            self.fail()

    backend = Late()
    backend.values["a"] = "old"
    both = HybridSharedMemory(work.DictMemory(), backend)
    assert both.read("a") == "old"  # so it is cached
    with pytest.raises(TimeoutError):
        getattr(both, change)(*{"write": ("a", "new"), "delete": ("a",), "clear": ()}[change])
    assert both.read("a") == ("new" if change == "write" else None)


def _write_and_die(both: HybridSharedMemory) -> None:
    class Dies(ThreadSafeSharedMemory):
        def write(self, key: str, value: Any) -> None:
            super().write(key, value)
            os.kill(os.getpid(), signal.SIGKILL)

    HybridSharedMemory(both.cache, Dies(both.backend)).write("a", "new")


def test_a_writer_that_is_killed_leaves_no_old_value_in_the_cache() -> None:
    with InMemorySharedMemory() as cache, InMemorySharedMemory() as backend:
        both = HybridSharedMemory(cache, backend)
        both.write("a", "old")
        child = multiprocessing.get_context("fork").Process(target=_write_and_die, args=(both,))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        assert both.read("a") == "new"


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (1, 1.0), ([1], [True]), ({"a": (0,)}, {"a": (False,)})], ids=str
)
def test_equal_values_of_different_types_are_not_the_same(one: Any, other: Any) -> None:
    class Slow(work.DictMemory):
        def write(self, key: str, value: Any) -> None:
            backend.values[key] = other  # another writer has come and gone
            super().write(key, value)

    backend = work.DictMemory()
    both = HybridSharedMemory(Slow(), backend)
    both.write("a", one)
    assert repr(both.read("a")) == repr(other)


@pytest.mark.parametrize("change", ["write", "delete", "clear"])
def test_a_reader_does_not_put_old_values_into_the_cache(change: str) -> None:
    cache, backend = work.DictMemory(), work.Meddling()
    both = HybridSharedMemory(cache, backend)
    backend.values["a"] = "old"
    other = HybridSharedMemory(cache, backend)
    backend.meddle = lambda: getattr(other, change)(*{"write": ("a", "new"), "delete": ("a",), "clear": ()}[change])
    assert both.read("a") == "old"  # it came before the change
    assert both.read("a") == ("new" if change == "write" else None)


def test_a_slow_writer_does_not_put_old_values_into_the_cache() -> None:
    class Slow(work.DictMemory):
        def write(self, key: str, value: Any) -> None:
            if value == "old":  # between its two writes, another one has come and gone
                HybridSharedMemory(self, backend).write(key, "new")
            super().write(key, value)

    cache, backend = Slow(), work.DictMemory()
    both = HybridSharedMemory(cache, backend)
    both.write("a", "old")
    assert backend.values == {"a": "new"}
    assert both.read("a") == "new"


def test_hybrid_of_arrays() -> None:
    with InMemorySharedMemory(url="memory://") as cache, InMemorySharedMemory(url="memory://") as backend:
        both = HybridSharedMemory(cache, backend)
        both.write("a", np.arange(3))
        assert cache.read("a").tolist() == both.read("a").tolist() == [0, 1, 2]


# ---------------------------------------------------------------------- similarity


def test_without_a_model_nothing_is_similar(swarm: InMemorySharedMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)  # as if not installed
    swarm.write("doc1", "This is about AI.")
    assert swarm.similarity_search("AI") == []


def test_similarity_search() -> None:
    asked: list[list[str]] = []

    def embed(texts: list[str]) -> list[list[float]]:
        asked.append(texts)
        return work.embed(texts)

    with InMemorySharedMemory(url="memory://", embed=embed) as memory:
        assert memory.similarity_search("AI") == []
        memory.write("doc1", "This is a document about AI.")
        memory.write("doc2", "AI that is learning.")
        memory.write("doc3", "Soup.")
        memory.write("number", 3)
        found = memory.similarity_search("Tell me about AI", top_k=2)
        assert [key for key, _ in found] == ["doc1", "doc2"]
        assert [score for _, score in found] == pytest.approx([1.0, 0.5**0.5])
        memory.write("doc3", "AI soup.")
        memory.delete("doc1")
        asked.clear()
        assert [key for key, _ in memory.similarity_search("AI")] == ["doc2", "doc3"]
        assert asked == [["AI soup."], ["AI"]]  # what has not changed is known
        both = HybridSharedMemory(memory, work.DictMemory())
        assert [key for key, _ in both.similarity_search("AI", 1)] == ["doc2"]


# ---------------------------------------------------------------------- scopes


def test_rows_by_agent_group_and_context(swarm: InMemorySharedMemory) -> None:
    keys = [
        swarm.write_scope("a1", {"agent_id": "ann", "group_id": "g"}, "c"),
        swarm.write_scope("b1", {"agent_id": "bob", "group_id": "g", "extra": 1}, "c"),
        swarm.write_scope("a2", {"agent_id": "ann"}, "c:2"),
        swarm.write_scope("n", None, "c"),
        swarm.write_scope("d"),
    ]
    assert [key.rpartition(":")[0] for key in keys] == ["c", "c", "c:2", "c", "default"]

    def values(**scope: str) -> list[Any]:
        return [row["value"] for row in swarm.read_scope(**scope).values()]

    assert values(agent_id="ann") == ["a1", "a2"]
    assert values(group_id="g") == ["a1", "b1"]
    assert values(agent_id="ann", group_id="g") == ["a1", "b1", "a2"]
    assert values(agent_id="ann", context_id="c") == ["a1"]
    assert values(context_id="c") == ["a1", "b1", "n"]
    assert values(agent_id="nobody") == values() == []
    assert list(swarm.read_context("c")) == [keys[0], keys[1], keys[3]]
    row = swarm.read_context("c")[keys[1]]
    assert row["value"] == "b1"
    assert {"agent_id": "bob", "group_id": "g", "extra": 1}.items() <= row["metadata"].items()
    assert row["metadata"]["timestamp"].endswith("+00:00")
    assert swarm.read() == {}
    swarm.delete(keys[0])
    assert values(agent_id="ann") == ["a2"]
    assert values(context_id="c") == ["b1", "n"]


@pytest.mark.parametrize("name", ["a/b", "*", "[x]", "ü:é", "", "%2F", "a\\"])
def test_any_name_is_one(swarm: InMemorySharedMemory, name: str) -> None:
    swarm.write_scope(0, {"agent_id": "other"}, "other")
    key = swarm.write_scope(1, {"agent_id": name, "group_id": name}, name)
    assert list(swarm.read_scope(agent_id=name)) == list(swarm.read_scope(group_id=name)) == [key]
    assert list(swarm.read_context(name)) == [key]
    swarm.delete(key)
    assert swarm.read_scope(agent_id=name) == {}


def test_rows_of_one_instant_are_all_there(swarm: InMemorySharedMemory) -> None:
    keys = [swarm.write_scope(n, {"agent_id": "ann"}, "c") for n in range(100)]
    assert [row["value"] for row in swarm.read_context("c").values()] == list(range(100))
    assert sorted(keys) == keys == list(swarm.read_context("c"))


def test_hybrid_merges_rows() -> None:
    with InMemorySharedMemory(url="memory://") as cache, InMemorySharedMemory(url="memory://") as backend:
        both = HybridSharedMemory(cache, backend)
        key = both.write_scope(1, {"agent_id": "ann"}, "c")
        other = cache.write_scope(2, {"agent_id": "ann"}, "c")
        assert {found: row["value"] for found, row in both.read_scope("ann").items()} == {key: 1, other: 2}
        assert list(HybridSharedMemory(work.DictMemory(), backend).read_context("c")) == [key]
    with pytest.raises(NotImplementedError, match="DictMemory"):
        work.DictMemory().write_scope(1)


# ---------------------------------------------------------------------- agents


def test_an_agent_has_its_part(swarm: InMemorySharedMemory) -> None:
    ann = swarm.agent("ann", "team", read=["shared/*"], write=["inbox/bob"])
    bob = swarm.agent("bob", "team")
    ann.write("ann/plan", 1)
    ann.write("team/goal", 2)
    ann.write("inbox/bob", 3)
    swarm.write("shared/news", 4)
    swarm.write("secret", 5)
    assert ann.read() == {"ann/plan": 1, "team/goal": 2, "shared/news": 4}
    assert bob.read() == {"team/goal": 2}
    for call in (lambda: bob.read("ann/plan"), lambda: ann.write("shared/news", 0), lambda: bob.delete("secret")):
        with pytest.raises(shoal.AccessDenied):
            call()
    ann.clear()
    assert swarm.read() == {"inbox/bob": 3, "shared/news": 4, "secret": 5}


def test_an_agent_finds_each_of_its_values_once(opened: list[InMemorySharedMemory]) -> None:
    swarm = InMemorySharedMemory(url="memory://", embed=work.embed)
    opened.append(swarm)
    ann = swarm.agent("ann", "team", read=["*/plan", "ann/p*", "b?b/*"], write=["*"])
    for key in ("ann/plan", "team/goal", "bob/note", "eve/plan", "eve/note"):
        swarm.write(key, f"AI for {key}")
    assert sorted(ann.read()) == ["ann/plan", "bob/note", "eve/plan", "team/goal"]
    assert [key for key, _ in ann.similarity_search("AI", 9)] == ["ann/plan", "bob/note", "eve/plan", "team/goal"]
    assert ann.read("bob/missing") is None
    ann.clear()
    assert list(swarm.read()) == ["eve/note"]


def test_an_agents_name_is_no_pattern(swarm: InMemorySharedMemory) -> None:
    swarm.write("other/plan", 1)
    odd = swarm.agent("*")
    odd.write("*/plan", 2)
    assert odd.read() == {"*/plan": 2}


def test_an_agents_rows(swarm: InMemorySharedMemory) -> None:
    ann, bob, eve = swarm.agent("ann", "team"), swarm.agent("bob", "team"), swarm.agent("eve")
    key = ann.write_scope("a", {"agent_id": "eve", "extra": 1}, "c")
    bob.write_scope("b", context_id="c")
    eve.write_scope("e", context_id="c")
    assert [row["value"] for row in ann.read_context("c").values()] == ["a", "b"]
    assert [row["value"] for row in eve.read_scope().values()] == ["e"]
    assert [row["value"] for row in ann.read_scope(agent_id="bob").values()] == ["b"]
    assert eve.read_scope(agent_id="ann") == eve.read_scope(group_id="team") == {}
    assert ann.read_context("c")[key]["metadata"]["agent_id"] == "ann"
    with pytest.raises(shoal.AccessDenied):
        bob.delete(key)
    ann.delete(key)
    ann.delete(key)  # gone, and quiet
    assert [row["value"] for row in bob.read_scope().values()] == ["b"]
    bob.clear()
    assert [row["value"] for row in swarm.read_context("c").values()] == ["e"]


def test_with_the_last_row_of_a_context_its_name_goes(backend: Backend) -> None:
    store = backend.open()
    with InMemorySharedMemory(url=store) as swarm:
        about = {"agent_id": "ann", "group_id": "team"}
        keys = [swarm.write_scope(number, about, f"context.{number % 2}") for number in range(4)]
        rows = backend.namespace(store, "memswarm/rows")
        held = rows.stats().fields
        for key in keys[:3]:
            swarm.delete(key)
        assert list(swarm.read_scope(agent_id="ann")) == list(swarm.read_scope(context_id="context.1")) == keys[3:]
        assert swarm.read_scope(context_id="context.0") == {}
        swarm.delete(keys[3])
        assert (held, rows.stats().fields) == (20, 0)  # counting sweeps
        assert rows.memory().get_field_names() == []
        swarm.write_scope(5, about, "context.0")
        assert [row["value"] for row in swarm.read_scope(agent_id="ann").values()] == [5]


def test_removing_a_row_reads_no_others() -> None:
    with shoal.open("memory://") as store, InMemorySharedMemory(url=store) as memory:
        ann = memory.agent("ann")
        reads = []
        for others in (1, 100):
            keys = [ann.write_scope(number, context_id="c") for number in range(others)]
            before = store.stats().hits
            ann.delete(keys[0])
            reads.append(store.stats().hits - before)
        assert reads[0] == reads[1] > 0


# ---------------------------------------------------------------------- coroutines


@pytest.mark.parametrize("kind", ["quick", "blocking"])
def test_coroutines(kind: str) -> None:
    async def use(memory: AsyncSafeSharedMemory) -> None:
        await asyncio.gather(*(memory.write(f"k{n}", n) for n in range(20)))
        assert await asyncio.gather(*(memory.read(f"k{n}") for n in range(20))) == list(range(20))
        assert (await memory.get("missing", 1), await memory.add("k1", 2)) == (1, False)
        await memory.delete("k0")
        assert len(await memory.read()) == 19
        if kind == "quick":
            key = await memory.write_scope(1, {"agent_id": "ann"}, "c")
            assert list(await memory.read_scope("ann")) == list(await memory.read_context("c")) == [key]
        assert await memory.similarity_search("x") == []
        await memory.clear()
        assert await memory.read() == {}

    with InMemorySharedMemory(url="memory://", embed=work.embed) as quick:
        memory = AsyncSafeSharedMemory(quick if kind == "quick" else work.DictMemory())
        for _ in range(2):  # in one event loop after the other
            asyncio.run(use(memory))


def test_a_slow_memory_does_not_stop_the_loop() -> None:
    go_on = threading.Event()

    class Slow(work.DictMemory):
        reading: Any

        def read(self, key: str | None = None) -> Any:
            self.reading()
            assert go_on.wait(60)
            return key

    async def use() -> Any:
        slow, reading, loop = Slow(), asyncio.Event(), asyncio.get_running_loop()
        slow.reading = lambda: loop.call_soon_threadsafe(reading.set)
        task = asyncio.create_task(AsyncSafeSharedMemory(slow).read("a"))
        await reading.wait()
        go_on.set()  # the loop runs while the memory reads
        return await task

    assert asyncio.run(use()) == "a"


# ---------------------------------------------------------------------- processes


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_share_a_memory_and_lose_nothing(method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    with InMemorySharedMemory(url=f"shm://test-memswarm-{os.getpid()}-{uuid4().hex[:8]}") as memory:
        processes = [context.Process(target=work.write_rows, args=(memory, me)) for me in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0] * 4
        rows = [row["value"] for row in memory.read_context("shared").values()]
        assert sorted(rows) == [[me, n] for me in range(4) for n in range(work.EACH)]
        for me in range(4):  # each one's in the order in which it wrote them
            mine = [row["value"] for row in memory.read_scope(agent_id=f"agent{me}").values()]
            assert mine == [[me, n] for n in range(work.EACH)]
        assert len(memory.read_scope(group_id="all")) == len(memory.read()) == 4 * work.EACH


def test_without_a_name_it_is_for_this_process_and_its_children() -> None:
    with InMemorySharedMemory() as memory:
        agent = memory.agent("0")
        process = multiprocessing.get_context("fork").Process(target=lambda: agent.write("0/from", "the child"))
        process.start()
        process.join(60)
        assert memory.read("0/from") == "the child"
