"""Runs: memory of their own that ends with them, and memory that the runs of one key share."""

from __future__ import annotations

import asyncio
import os
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest

import shoal
from shoal.memory.path import escape

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from conftest import Backend
    from shoal import RunContext


def leftovers(store: shoal.Store) -> dict[str, Any]:
    """What all runs of this process have in the store."""
    found = store._runs().get(store._process_token())
    return {} if found is None else found.to_dict()


def test_sensory_memory_is_there_in_the_run_and_gone_after_it(store: shoal.Store) -> None:
    before = store.stats().entries
    with store.run("customer-42") as ctx:
        ref = ctx.sensory_memory.set("draft.text", "x" * 1000)
        ctx.sensory_memory.new_object("empty")
        assert ctx.sensory_memory["draft.text"] == "x" * 1000
        assert ref.kind == ctx.sensory_memory.kind == "sensory"
        assert ref.resolve(ctx) == "x" * 1000
    assert store.stats().entries == before
    assert leftovers(store) == {}
    with pytest.raises(shoal.KeyNotFound, match=r"draft\.text.*its run has ended"):
        ref.resolve(store)


def test_short_term_memory_is_that_of_the_key(store: shoal.Store) -> None:
    with store.run("customer.42") as ctx:
        assert ctx.key == "customer.42"
        assert ctx.short_term_memory == store.memory(escape("customer.42"))
        ref = ctx.short_term_memory.set("visits", 1)
        assert ref.kind == "short_term"
    with store.run("customer.42") as ctx:
        assert ctx.short_term_memory.incr("visits") == 2
    with store.run("customer") as ctx:
        assert ctx.short_term_memory.to_dict() == {}
    assert store.memory().to_dict() == {"customer.42": {"visits": 2}}
    assert len(store) == 0


def test_a_run_without_a_key_has_a_fresh_one(store: shoal.Store) -> None:
    with store.run() as one, store.run() as other:
        assert len({one.key, other.key}) == 2
        assert (len(one.key), one.key.isalnum()) == (32, True)
        one.short_term_memory["a"] = 1
        assert "a" not in other.short_term_memory


@pytest.mark.parametrize("key", ["", "a\udc80", "x" * 65_536, 5, b"a"], ids=["empty", "lone", "long", "int", "bytes"])
def test_keys_that_cannot_be(store: shoal.Store, key: Any) -> None:
    with pytest.raises(shoal.InvalidKey) as caught:
        store.run(key)
    assert isinstance(caught.value, shoal.KeyTypeError) == (not isinstance(key, str))


def test_an_exception_ends_the_run_and_goes_on(store: shoal.Store) -> None:
    def fail() -> None:
        with store.run("k") as ctx:
            ctx.sensory_memory["a"] = 1
            ctx.short_term_memory["b"] = 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert leftovers(store) == {}
    assert store.memory().to_dict() == {"k": {"b": 2}}


def test_two_runs_of_one_key_share_short_term_memory_only(store: shoal.Store) -> None:
    with store.run("k") as one:
        one.sensory_memory["a"] = "one"
        one.short_term_memory["a"] = "shared"
        with store.run("k") as other:
            assert other.id != one.id
            assert other.sensory_memory.to_dict() == {}
            assert other.short_term_memory["a"] == "shared"
            other.sensory_memory["a"] = "other"
            assert one.sensory_memory["a"] == "one"
        assert one.sensory_memory.to_dict() == {"a": "one"}
    assert leftovers(store) == {}


def test_runs_of_several_namespaces(backend: Backend, store: shoal.Store) -> None:
    beside = backend.namespace(store, "beside")
    with store.run("k") as one, beside.run("k") as other:
        one.short_term_memory["a"] = one.sensory_memory["a"] = 1
        other.short_term_memory["a"] = other.sensory_memory["a"] = 2
        assert one.short_term_memory["a"] == one.sensory_memory["a"] == 1
        assert (one.store.namespace_name, other.store.namespace_name) == ("default", "beside")
        # A reference to sensory memory leads there from every namespace.
        assert other.sensory_memory.set("b", "x").resolve(store) == "x"
    assert beside.memory().to_dict() == {"k": {"a": 2}}
    assert leftovers(store) == leftovers(beside) == {}


def test_a_run_is_entered_once(store: shoal.Store) -> None:
    run = store.run("k")
    with pytest.raises(RuntimeError, match="has not begun"):
        _ = run.sensory_memory
    with run as ctx:
        assert ctx is run
        run.sensory_memory["a"] = 1
        with pytest.raises(RuntimeError, match="entered before"), run:
            pass
        assert run.sensory_memory["a"] == 1  # the run that goes on lost nothing
    with pytest.raises(RuntimeError, match="has ended"):
        _ = run.sensory_memory
    with pytest.raises(RuntimeError, match="entered before"), run:
        pass
    assert run.short_term_memory.to_dict() == {}
    assert run.key in repr(run)


def test_of_threads_that_enter_at_once_one_does(store: shoal.Store) -> None:
    for _ in range(20):
        run = store.run("k")
        start, outcomes = threading.Barrier(4), []

        def enter(run: RunContext = run, start: threading.Barrier = start, outcomes: list[str] = outcomes) -> None:
            start.wait()
            try:
                run.__enter__()
            except RuntimeError:
                outcomes.append("refused")
            else:
                outcomes.append("entered")

        threads = [threading.Thread(target=enter) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["entered", "refused", "refused", "refused"]
        run.__exit__(None, None, None)


def test_async_with(store: shoal.Store) -> None:
    async def one(number: int, rendezvous: asyncio.Barrier) -> Any:
        async with store.run("k") as ctx:
            ref = ctx.sensory_memory.set("number", number)
            await rendezvous.wait()
            assert ctx.sensory_memory["number"] == number
            ctx.short_term_memory.incr("done")
            return ref

    async def everyone() -> list[Any]:
        rendezvous = asyncio.Barrier(10)
        return await asyncio.gather(*(one(number, rendezvous) for number in range(10)))

    refs = asyncio.run(everyone())
    assert leftovers(store) == {}
    assert store.memory("k").to_dict() == {"done": 10}
    for ref in refs:
        with pytest.raises(shoal.KeyNotFound, match="its run has ended"):
            ref.resolve(store)


def test_async_with_ends_when_it_is_cancelled(store: shoal.Store) -> None:
    async def wait_for_ever(begun: asyncio.Event) -> None:
        async with store.run("k") as ctx:
            ctx.sensory_memory["a"] = 1
            begun.set()
            await asyncio.Event().wait()

    async def cancel() -> None:
        begun = asyncio.Event()
        task = asyncio.create_task(wait_for_ever(begun))
        await begun.wait()
        assert len(leftovers(store)) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert leftovers(store) == {}


def test_as_a_decorator(store: shoal.Store) -> None:
    seen = []

    @store.run("customer")
    def step(ctx: RunContext, text: str, *, times: int = 1) -> str:
        """Do a step."""
        seen.append(ctx.id)
        assert ctx.sensory_memory.to_dict() == {}
        ctx.sensory_memory["text"] = text
        ctx.short_term_memory.incr("steps")
        return step("b", times=times - 1) + text if times else ""

    assert step("a", times=3) == "bba"
    assert (step.__name__, step.__doc__) == ("step", "Do a step.")
    assert len(set(seen)) == 4
    assert store.memory("customer")["steps"] == 4
    assert leftovers(store) == {}


def test_a_decorator_without_a_key_gives_each_call_a_fresh_one(store: shoal.Store) -> None:
    @store.run()
    def key(ctx: RunContext) -> str:
        return ctx.key

    assert key() != key()


def test_a_decorator_of_an_async_function(store: shoal.Store) -> None:
    @store.run("customer")
    async def step(ctx: RunContext, number: int) -> int:
        ctx.sensory_memory["number"] = number
        await asyncio.sleep(0)
        if number == 3:
            raise ValueError(number)
        return int(ctx.sensory_memory["number"])

    async def everyone() -> list[Any]:
        return await asyncio.gather(*map(step, range(5)), return_exceptions=True)

    assert asyncio.iscoroutinefunction(step)
    results = asyncio.run(everyone())
    assert [*results[:3], results[4]] == [0, 1, 2, 4]
    assert isinstance(results[3], ValueError)
    assert leftovers(store) == {}


def test_a_decorated_generator_runs_until_it_is_done(store: shoal.Store) -> None:
    @store.run("customer")
    def steps(ctx: RunContext, count: int) -> Iterator[int]:
        for _ in range(count):
            yield ctx.sensory_memory.incr("number")  # type: ignore[misc]

    assert list(steps(3)) == [1, 2, 3]
    halfway = steps(3)
    assert next(halfway) == 1
    assert len(leftovers(store)) == 1
    halfway.close()  # type: ignore[attr-defined]
    assert leftovers(store) == {}


def test_a_decorated_async_generator_runs_until_it_is_done(store: shoal.Store) -> None:
    closed = []

    @store.run("customer")
    async def steps(ctx: RunContext, count: int) -> AsyncIterator[int]:
        try:
            for _ in range(count):
                yield ctx.sensory_memory.incr("number")  # type: ignore[misc]
        finally:
            closed.append(ctx.sensory_memory["number"])

    async def take() -> list[int]:
        halfway = steps(3)
        assert await anext(halfway) == 1
        assert len(leftovers(store)) == 1
        await halfway.aclose()  # type: ignore[attr-defined]
        return [number async for number in steps(3)]

    assert asyncio.run(take()) == [1, 2, 3]
    assert closed == [1, 3]
    assert leftovers(store) == {}


def test_what_is_no_function_is_not_decorated(store: shoal.Store) -> None:
    with pytest.raises(shoal.InvalidValue, match="int"):
        store.run("k")(5)  # type: ignore[arg-type]


def test_threads_share_a_run(store: shoal.Store) -> None:
    with store.run("k") as ctx:

        def work(number: int) -> None:
            ctx.sensory_memory[f"thread.{number}"] = number
            for _ in range(50):
                ctx.sensory_memory.incr("count")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ctx.sensory_memory.to_dict() == {"thread": {str(n): n for n in range(4)}, "count": 200}
    assert leftovers(store) == {}


def test_a_run_writes_nothing_by_itself(store: shoal.Store) -> None:
    before = store.stats()
    for _ in range(10):
        with store.run("k"), store.run():
            pass
    after = store.stats()
    assert (after.entries, after.sets, after.deletes, after.used) == (
        before.entries,
        before.sets,
        before.deletes,
        before.used,
    )


def test_many_runs_leave_nothing(store: shoal.Store) -> None:
    def one(number: int) -> None:
        with store.run("k") as ctx:
            ctx.sensory_memory.set("a.b.c", number)
            ctx.sensory_memory["d"] = "x" * 100

    one(0)  # from the first run on nothing is added
    before = store.stats()
    for number in range(10_000):
        one(number)
    after = store.stats()
    assert after.entries == before.entries
    assert after.used <= before.used + 65_536
    assert leftovers(store) == {}


def test_what_is_written_to_a_run_that_has_ended_is_cleared_in_time(store: shoal.Store) -> None:
    with store.run("k") as ctx:
        sensory = ctx.sensory_memory
    with store.run("other") as going:
        going.sensory_memory["a"] = 1
        sensory["late"] = 1  # as a thread does that nobody waited for
        for _ in range(2000):
            with store.run("k"):
                pass
        assert "late" not in sensory
        assert going.sensory_memory["a"] == 1
    assert leftovers(store) == {}


def test_a_forked_child_that_leaves_the_block_ends_nothing(store: shoal.Store) -> None:
    run = store.run("k")
    with run as ctx:
        sensory = ctx.sensory_memory
        sensory["a"] = 1
        child = os.fork()
        if child == 0:
            code = 1
            try:
                assert run.sensory_memory["a"] == 1
                run.__exit__(None, None, None)
                assert sensory["a"] == 1
                with store.run("k") as own:
                    assert own.sensory_memory.to_dict() == {}
                    own.sensory_memory["b"] = 1
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert sensory.to_dict() == {"a": 1}
    assert leftovers(store) == {}


def test_a_store_that_is_closed_in_the_block(backend: Backend, store: shoal.Store) -> None:
    keeps = backend.open()
    with store.run("k") as ctx:
        ctx.sensory_memory["a"] = 1
        store.close()
    with pytest.raises(shoal.StoreClosed):
        store.run("k")
    for _ in range(2000):
        with keeps.run("k"):
            pass
    assert leftovers(keeps) == {}


def test_a_read_only_store_has_no_runs(backend: Backend, store: shoal.Store) -> None:
    store.memory("k")["a"] = 1
    reader = backend.open(flag="r")
    with pytest.raises(shoal.AccessDenied), reader.run("k"):
        pass


def test_a_run_is_not_pickled_but_its_memory_is(backend: Backend, store: shoal.Store) -> None:
    with store.run("k") as ctx:
        with pytest.raises(shoal.InvalidValue, match="MemoryRef"):
            pickle.dumps(ctx)
        if backend.kind == "arena":
            memory = pickle.loads(pickle.dumps(ctx.sensory_memory))
            memory["a"] = 1
            assert ctx.sensory_memory["a"] == 1
            memory.store.close()


def test_sensory_memory_is_no_part_of_the_namespace(store: shoal.Store) -> None:
    with store.run("k") as ctx:
        ctx.sensory_memory["a"] = 1
        assert store.memory().to_dict() == {}
        assert (len(store), list(store), store.namespaces()) == (0, [], ["default"])
        store.clear()
        store.memory().delete()
        assert ctx.sensory_memory["a"] == 1
