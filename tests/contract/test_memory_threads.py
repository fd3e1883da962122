"""Memory under several threads at once: nothing is lost, and subtrees go whole."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

import shoal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

THREADS = 8
TIMES = 100
ROUNDS = 60


@pytest.fixture(autouse=True)
def switch_often() -> Iterator[None]:
    """Let the interpreter change threads so often that a gap between two steps is hit."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(*work: Callable[[], Any]) -> list[Any]:
    """Call these in threads that start together; what each returned."""
    barrier = threading.Barrier(len(work))
    results: list[Any] = [None] * len(work)
    errors: list[BaseException] = []

    def run(number: int) -> None:
        barrier.wait()
        try:
            results[number] = work[number]()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def each(work: Callable[[int], Any], count: int = THREADS) -> list[Any]:
    """Call it in several threads, each with its number."""
    return together(*(lambda me=me: work(me) for me in range(count)))


def test_different_fields_of_one_object_are_never_lost(memory: shoal.MemoryObject) -> None:
    def write(me: int) -> None:
        for n in range(TIMES):
            memory.set(f"user.t{me}.f{n}", [me, n])
            memory.set(f"user.flat {me} {n}", n)

    each(write)
    expected: dict[str, Any] = {f"t{me}": {f"f{n}": [me, n] for n in range(TIMES)} for me in range(THREADS)}
    expected |= {f"flat {me} {n}": n for me in range(THREADS) for n in range(TIMES)}
    assert memory.get("user").to_dict() == expected


def test_objects_made_on_the_way_by_all_at_once_are_one(memory: shoal.MemoryObject) -> None:
    def write(me: int) -> None:
        for n in range(ROUNDS):
            memory.set(f"r{n}.a.b.{me}", me)

    each(write)
    whole = {"a": {"b": {str(me): me for me in range(THREADS)}}}
    assert memory.to_dict() == {f"r{n}": whole for n in range(ROUNDS)}


def test_updates_of_one_object_merge(memory: shoal.MemoryObject) -> None:
    each(lambda me: [memory.update({"o": {f"f{n}": {str(me): n}}}) for n in range(20)])
    assert memory.to_dict() == {"o": {f"f{n}": {str(me): n for me in range(THREADS)} for n in range(20)}}


def test_set_against_delete_leaves_the_whole_or_nothing(memory: shoal.MemoryObject) -> None:
    for n in range(ROUNDS * 3):
        deleted, _ = together(lambda: memory.delete("a"), lambda n=n: memory.set("a.b.c.d", n))
        expected = {} if deleted else {"a": {"b": {"c": {"d": n}}}}
        assert memory.to_dict() == expected
        memory.delete("a")


def test_what_is_set_after_a_delete_stays(memory: shoal.MemoryObject) -> None:
    """The fields that are left are those that were set last: no delete takes one and leaves an earlier one."""
    for _ in range(ROUNDS):
        deleted, _ = together(
            lambda: [memory.delete("a") for _ in range(3)],
            lambda: [memory.set(f"a.b.{n}", n) for n in range(9)],
        )
        left = memory.to_dict()
        if left:
            fields = left["a"]["b"]
            assert left == {"a": {"b": {str(n): n for n in range(9 - len(fields), 9)}}}
            assert (len(fields) == 9) == (not any(deleted))
            assert fields  # no object without what it was made for
        else:
            assert any(deleted)
        memory.delete("a")


@pytest.mark.parametrize("how", ["new_object", "overwrite"])
def test_replacing_an_object_against_setters(memory: shoal.MemoryObject, how: str) -> None:
    def replace() -> None:
        for _ in range(5):
            if how == "new_object":
                memory.new_object("a.b", overwrite=True)
            else:
                memory.set("a", None, overwrite=True)

    def write(me: int) -> None:
        for n in range(10):
            memory.set(f"a.b.c.{me} {n}", n, overwrite=True)

    for _ in range(ROUNDS // 2):
        together(replace, *(lambda me=me: write(me) for me in range(3)))
        left = memory.to_dict()["a"]
        fields = (left or {"b": {}})["b"].get("c", {})
        for me in range(3):
            mine = [n for n in range(10) if f"{me} {n}" in fields]
            assert mine == list(range(10 - len(mine), 10))
        assert set(fields) <= {f"{me} {n}" for me in range(3) for n in range(10)}
        memory.delete("a")


def test_a_reader_never_sees_half_of_a_subtree_that_went(memory: shoal.MemoryObject) -> None:
    """The object `a` has both fields or is not there at all, whichever way it came and went."""
    done, looked = threading.Event(), threading.Event()

    def turn() -> None:
        n = 0
        try:
            while n < TIMES * 2 or not looked.is_set():
                n += 1
                # The object appears with one store, and with it the value that says what is to be seen below it.
                memory.set("a.both", [n, n])
                memory.set("a.o.p", n)
                if n % 3 == 0:
                    memory.delete("a")
                elif n % 3 == 1:
                    memory.new_object("a", overwrite=True)
                else:
                    memory.set("a", n, overwrite=True)
                    memory.delete("a")
        finally:
            done.set()

    def watch() -> None:
        try:
            while not done.is_set():
                inner = memory.get("a.o")
                if inner is not None:
                    assert isinstance(inner, shoal.MemoryObject)
                    # Objects appear with the field that they were made for; they go with it as well.
                    assert inner.get_field_names() in (["p"], [])
                both = memory.get("a.both", [0, 0])
                assert both[0] == both[1]
                listed = Counter(name for name, _ in memory._fields("a"))
                assert set(listed) <= {"both", "o"}
                assert not listed or max(listed.values()) == 1
                assert "o" not in listed or "both" in listed
                looked.set()
        finally:
            looked.set()  # also if it failed: nobody is to wait for it

    together(turn, watch, watch)


def test_a_field_that_stays_is_listed_once_whatever_comes_and_goes(memory: shoal.MemoryObject) -> None:
    memory.update({"o": {f"stays {n}": n for n in range(20)}})
    done = threading.Event()

    def turn(me: int) -> None:
        try:
            for n in range(TIMES * 2):
                memory.set(f"o.comes {me} {n}", n)
                memory.set(f"o.stays {n % 20}", n)
                memory.delete(f"o.comes {me} {n - 5}")
        finally:
            done.set()

    def watch() -> None:
        while not done.is_set():
            listed = Counter(name for name, _ in memory._fields("o"))
            assert max(listed.values()) == 1
            assert all(f"stays {n}" in listed for n in range(20))

    together(lambda: turn(0), lambda: turn(1), watch)


def test_a_subtree_is_deleted_by_one(memory: shoal.MemoryObject) -> None:
    for n in range(ROUNDS):
        memory.set("a.b.c", n)
        assert Counter(each(lambda _: memory.delete("a"), 4)) == {True: 1, False: 3}
        assert memory.to_dict() == {}


def test_compare_and_set_below_missing_objects_has_one_winner(memory: shoal.MemoryObject) -> None:
    for n in range(ROUNDS):
        won = each(lambda me, n=n: memory.compare_and_set(f"r{n}.a.b", me, 0), 4)
        assert Counter(won) == {True: 1, False: 3}
        assert won[memory.get(f"r{n}.a.b")]


def test_no_increment_and_no_modification_is_lost(memory: shoal.MemoryObject) -> None:
    def work(me: int) -> None:
        for n in range(TIMES):
            memory.incr("a.count")
            memory.modify("a.log", lambda log, me=me: [*log, me], default=[])
            memory.set(f"a.{me}.{n}", n)  # neighbours come and go
            memory.delete(f"a.{me}")

    each(work, 4)
    assert memory.get("a.count") == 4 * TIMES
    assert Counter(memory.get("a.log")) == dict.fromkeys(range(4), TIMES)


def test_a_value_and_an_object_at_one_place(memory: shoal.MemoryObject) -> None:
    """One of the two comes first, and the other is told so."""

    def attempt(call: Callable[[], object]) -> bool:
        try:
            call()
        except shoal.PathConflict:
            return False
        return True

    for n in range(ROUNDS):
        won = together(
            lambda n=n: attempt(lambda: memory.set(f"p{n}", "value")),
            lambda n=n: attempt(lambda: memory.set(f"p{n}.a.b", "below")),
            lambda n=n: attempt(lambda: memory.new_object(f"p{n}")),
        )
        found = memory._child(f"p{n}").to_dict() or memory.get(f"p{n}")
        if won[0]:
            assert won == [True, False, False]
            assert found == "value"
        else:
            assert won == [False, True, True]
            assert found == {"a": {"b": "below"}}


def test_deleting_the_root_against_setters(store: shoal.Store) -> None:
    root = store.memory()
    for _ in range(ROUNDS // 2):
        together(
            lambda: [root.delete() for _ in range(3)],
            lambda: [root.set(f"x{n}.a", n) for n in range(10)],
            lambda: [root.set(f"y.a.{n}", n) for n in range(10)],
        )
        left = root.to_dict()
        assert all(fields == {"a": int(name[1:])} for name, fields in left.items() if name != "y")
        if "y" in left:
            fields = left["y"]["a"]
            assert fields == {str(n): n for n in range(10 - len(fields), 10)}
        root.delete()
        assert root.to_dict() == {}
