"""Memory from several processes at once: nothing is lost, half-visible or left behind, whoever is killed or stopped meanwhile."""

from __future__ import annotations

import hashlib
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import actors
import numpy as np
import pytest
from processes import Journal, problems, segment, stop_inside

import shoal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from processes import Child, Crew

METHODS = ["fork", "spawn"]
PROCESSES = 4
SHORT_AND_LONG = [1.0, pytest.param(20.0, marks=pytest.mark.stress)]
ROUNDS = [40, pytest.param(1500, marks=pytest.mark.stress)]
TIMEOUT = 5.0


@pytest.fixture
def memory(store: shoal.Store) -> Iterator[shoal.MemoryObject]:
    """Return the root of an empty memory, in an arena of one shard. In the end it must leave nothing behind when it is emptied."""
    root = store.memory()
    root["first"] = 1  # what a shard has for its top-level fields stays
    root.delete()
    before = store.stats()
    yield root
    assert problems(store) == []
    root.delete()
    assert root.to_dict() == {}
    store.sweep()
    after = store.stats()
    assert after.entries == before.entries
    assert after.used <= before.used + (2 << 20)
    assert problems(store) == []


def at_once(crew: Crew, method: str, do: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Run `do(line, me, *arguments)` in four processes that begin together; what each returned."""
    children = [crew.start(do, me, *arguments, method=method) for me in range(PROCESSES)]
    begin(*children)
    return [child.result() for child in children]


def begin(*children: Child) -> None:
    for child in children:
        assert child.recv() == "ready"
    for child in children:
        child.send("begin")


def let_run(child: Child, seconds: float) -> None:
    """It goes on for that long, or the test fails with what it failed with."""
    if not child.alive_after(seconds):
        child.result()
        raise AssertionError("it has ended by itself")


# ---------------------------------------------------------------------- writers of one object


@pytest.mark.parametrize("method", METHODS)
def test_different_fields_of_one_object(crew: Crew, memory: shoal.MemoryObject, method: str) -> None:
    """Each process finds in its own fields what it wrote last, and all fields are there in the end."""
    at_once(crew, method, actors.set_own_fields, memory, 1000)
    assert memory.to_dict() == {
        "shared": {
            **{f"last of {me}": 999 for me in range(PROCESSES)},
            **{f"{number % 50} of {me}": number for me in range(PROCESSES) for number in range(950, 1000)},
        }
    }


@pytest.mark.parametrize("method", METHODS)
def test_all_make_the_same_way(crew: Crew, memory: shoal.MemoryObject, method: str) -> None:
    """However many find that an object is missing, there is one in the end, with what all have put there."""
    at_once(crew, method, actors.make_ways, memory, 400)
    fields = {f"by {me}": me for me in range(PROCESSES)}
    assert memory.to_dict() == {f"way {number}": {"a": {"b": fields, **fields}} for number in range(400)}


@pytest.mark.parametrize("method", METHODS)
def test_incr_and_modify_of_one_field(crew: Crew, memory: shoal.MemoryObject, method: str) -> None:
    given = at_once(crew, method, actors.count_and_log, memory, 1000)
    assert sorted(number for numbers in given for number in numbers) == list(range(1, 1000 * PROCESSES + 1))
    assert memory["of.all.count"] == 1000 * PROCESSES
    log = memory["of.all.log"]
    assert sorted(log) == [(me, number) for me in range(PROCESSES) for number in range(100)]
    for me in range(PROCESSES):  # and each process's own come in its order
        assert [number for who, number in log if who == me] == list(range(100))


# ---------------------------------------------------------------------- setters against whoever takes the parent away


@pytest.mark.parametrize("seconds", SHORT_AND_LONG)
@pytest.mark.parametrize("method", METHODS)
def test_setters_below_a_parent_that_goes(crew: Crew, memory: shoal.MemoryObject, method: str, seconds: float) -> None:
    """A field is there as it was written last, with its whole way, or it is gone: that is what its writer finds at any time."""
    setters = [crew.start(actors.set_below, me, memory, method=method) for me in range(2)]
    upsetters = [
        crew.start(actors.take_away, me, memory, ["delete", "renew", "flatten"], method=method) for me in range(2)
    ]
    begin(*setters, *upsetters)
    let_run(setters[0], seconds)
    for child in [*upsetters, *setters]:
        child.send("end")
    assert min(child.result() for child in [*upsetters, *setters]) > 0
    # Nobody writes any more. What is there is one of the last that each setter wrote, and reachable from the top.
    left = memory.to_dict()
    assert left.keys() <= {"parent"}
    parent = left.get("parent", {})
    assert isinstance(parent, int) or parent.keys() <= {f"way {me}" for me in range(2)}
    if isinstance(parent, dict):
        for me, way in ((me, parent[f"way {me}"]) for me in range(2) if f"way {me}" in parent):
            assert way.keys() == {"of"}
            assert way["of"]
            assert way["of"].keys() <= {f"field {number}" for number in range(5)}
            assert all(value[0] == me and actors.whole(value[2]) for value in way["of"].values())


@pytest.mark.parametrize("seconds", SHORT_AND_LONG)
@pytest.mark.parametrize("method", METHODS)
def test_a_subtree_goes_at_one_instant(crew: Crew, memory: shoal.MemoryObject, method: str, seconds: float) -> None:
    """A group is told to all once it is whole, and then removed in one of many ways: who lists its fields gets all of them or
    none, and who has missed one of them never meets another. Also through a read-only handle."""
    memory["current"] = 0
    builder = crew.start(actors.build_groups, memory, method=method)
    readers = [crew.start(actors.look_at_groups, memory, method=method) for _ in range(2)]
    readers.append(crew.start(actors.look_at_groups_of, memory.store.name, method=method))
    begin(builder, *readers)
    let_run(builder, seconds)
    for child in [*readers, builder]:
        child.send("end")
    assert builder.result() > 10
    for reader in readers:
        whole, gone = reader.result()
        assert whole > 0
        assert gone > 0


# ---------------------------------------------------------------------- the killed


KEYS = 30


def set_and_note(line: Any, memory: Any, journal: Journal, first: int) -> None:
    line.send("begun")
    for number in range(first, first + 100_000):
        if number % 13 == 5:
            memory.new_object("churn", overwrite=True)
        memory.set(f"churn.{number % 5}.a.b", "x" * (number % 300))
        memory.set(f"kept {number % 3}.of.field {number % KEYS}", (number, actors.stripe(number)))
        journal.note(number)


def in_time(call: Callable[..., Any], *arguments: Any) -> Any:
    """Nobody may wait as long as for a process that lives."""
    started = time.monotonic()
    result = call(*arguments)
    assert time.monotonic() - started < TIMEOUT
    return result


@pytest.mark.parametrize("rounds", ROUNDS)
def test_acknowledged_fields_stay(crew: Crew, store: shoal.Store, memory: shoal.MemoryObject, rounds: int) -> None:
    chance = random.Random(rounds)
    journal = Journal()
    expected: dict[int, int] = {}
    for round_ in range(rounds):
        first = round_ * 1_000_000
        victim = crew.start(set_and_note, memory, journal, first)
        assert victim.recv() == "begun"
        let_run(victim, chance.uniform(0, 0.03))
        victim.kill()
        acknowledged = journal.read()
        last = acknowledged[-1] if acknowledged else first - 1
        assert acknowledged == list(range(first, last + 1))
        expected |= {number % KEYS: number for number in acknowledged}
        for key in range(KEYS):
            found = in_time(memory.get, f"kept {key % 3}.of.field {key}")
            number = found[0] if found else None
            # The one after the last may have been written without its note.
            assert number == expected.get(key) or (number == last + 1 and key == number % KEYS)
            if found:
                assert actors.whole(found[1])
                expected[key] = number
        for part in range(3):
            names = in_time(memory._child(f"kept {part}", "of").get_field_names)
            assert names == sorted(f"field {key}" for key in expected if key % 3 == part)
        in_time(memory.set, "of.the.survivor", round_)
        assert problems(store) == []
    assert len(expected) > KEYS // 2
    assert store.stats().processes == 1
    journal.close()


@pytest.mark.parametrize("rounds", ROUNDS)
def test_survivors_go_on(crew: Crew, store: shoal.Store, memory: shoal.MemoryObject, rounds: int) -> None:
    """Those who take subtrees away and build them are killed at random instants, and others take their places. What hangs at no
    object any more is freed all the same (the fixture looks), and what nobody touches stays as it is."""
    chance = random.Random(rounds)
    kept = {f"object {number}": {"x": "y" * number, "z": {"n": number}} for number in range(50)}
    memory.update(kept=kept)
    others: list[Child] = []
    for round_ in range(rounds):
        if round_ % 3 == 0:
            others.append(crew.start(actors.set_below, round_ % 2, memory))
        elif round_ % 3 == 1:
            others.append(crew.start(actors.take_away, round_, memory, ["delete", "renew", "flatten"]))
        else:
            memory.set(f"builders.{round_}.current", 0)
            others.append(crew.start(actors.build_groups, memory._child("builders", f"{round_}")))
        begin(others[-1])
        if len(others) > 3:
            let_run(others[0], chance.uniform(0, 0.02))
            others.pop(0).kill()
            memory.set("of.the.survivor", round_, overwrite=True)
            assert in_time(memory.get, "of.the.survivor") == round_
            assert in_time(memory.get, f"kept.object {round_ % 50}.z.n") == round_ % 50
            if round_ % 10 == 0:
                assert in_time(problems, store) == []
    for other in others:
        other.kill()
    assert problems(store) == []
    assert memory._child("kept").to_dict() == kept


# ---------------------------------------------------------------------- the stopped


FIELDS = {f"field {number}": f"value {number}" * 10 for number in range(100)}


def churn_memory(line: Any, store: Any) -> int:
    """Be inside the lock as much as possible, until told to end."""
    rounds = 0
    memory = store.memory("busy")
    line.send("begun")
    while not line.poll():
        memory.update({f"{number}": {"a": {"b": "x" * 100}} for number in range(300)})
        memory.delete()
        rounds += 1
    return rounds


def test_stopped_inside_the_lock(crew: Crew, name: str) -> None:
    """Writers get an error in time; readers go on, but for the few fields of the one bucket that was just being changed, perhaps."""
    timeout = 0.2
    with shoal.open(name, size="16MiB", timeout=timeout) as store, shoal.open(name, "r", timeout=timeout) as reader:
        memory = store.memory("all")
        memory.update(FIELDS)
        child = crew.start(churn_memory, store)
        assert child.recv() == "begun"
        listed = 0
        for _ in range(5):
            stop_inside(child, name)
            for write in (
                lambda: memory.set("field 0", 0),
                lambda: memory.set("new.way", 0),
                lambda: memory.delete("field 0"),
                lambda: memory.new_object("new"),
                lambda: memory.incr("count"),
            ):
                started = time.monotonic()
                with pytest.raises(shoal.StoreBusy) as caught:
                    write()
                assert timeout * 0.9 < time.monotonic() - started < 10
                assert (caught.value.limit, caught.value.name) == (timeout, name)
            read = {**read_all(store), **read_all(reader)}
            assert read.items() <= FIELDS.items()
            assert len(read) > len(FIELDS) * 0.8
            with suppress(shoal.StoreBusy):
                assert reader.memory("all").get_field_names() == sorted(FIELDS)
                listed += 1
            child.go_on()
            patiently(lambda: memory.set("field 0", FIELDS["field 0"]))
        child.send("end")
        assert child.result() > 0
        assert listed > 0
        assert memory.to_dict() == FIELDS
        assert problems(store) == []


def read_all(store: Any) -> dict[str, str]:
    found = {}
    with shoal.open(store.name, "r" if store.read_only else "w", timeout=0.02) as handle:
        memory = handle.memory("all")
        for field in FIELDS:
            with suppress(shoal.StoreBusy):
                found[field] = memory[field]
    return found


def patiently(call: Callable[[], object]) -> None:
    """The process that was stopped goes on, so that the call works sooner or later."""
    end = time.monotonic() + 30
    while True:
        try:
            call()
        except shoal.StoreBusy:
            assert time.monotonic() < end, "busy although nobody is stopped"
        else:
            return


# ---------------------------------------------------------------------- a read-only process


CONTENT: dict[str, Any] = {
    "text": "text",
    "large": b"x" * 300_000,
    "array": np.arange(50_000),
    "deep": {"er": {"number": 1, "dotted.name": 2}},
    "empty": {},
    **{f"field {number}": "x" * number for number in range(300)},
}


def read_memory(line: Any, name: str) -> None:
    """All that a reader can do."""
    with shoal.open(name, "r") as store:
        memory = store.memory("all")
        for _ in range(2):
            assert memory.read_only
            assert memory.get_field_names() == sorted(CONTENT)
            assert memory._child("deep", "er").get_field_names() == sorted(["number", r"dotted\.name"])
            found = memory.to_dict()
            assert (found.pop("array") == CONTENT["array"]).all()
            assert found == {key: value for key, value in CONTENT.items() if key != "array"}
            assert memory["deep.er.number"] == memory.get("deep")["er.number"] == 1
            assert memory.get("text.below", "none") == memory.get("none.none", "none") == "none"
            assert memory.metadata("deep").type == "object"
            assert memory.is_exist("deep.er")
            assert not memory.is_exist("deep.er.none")
            assert (memory.view("array") == CONTENT["array"]).all()
            assert "deep" in memory.render()
            assert store.memory("nothing.here").to_dict() == {}
        line.send("read")
        line.recv()


@pytest.mark.parametrize("method", METHODS)
def test_a_read_only_process_reads_and_lists(crew: Crew, name: str, method: str) -> None:
    with shoal.open(name, size="16MiB") as store:
        store.memory("all").from_dict(CONTENT)
        before = digest(name)
        reader = crew.start(read_memory, name, method=method)
        assert reader.recv() == "read"
        assert digest(name) == before
        reader.send("end")
        reader.result()
        assert digest(name) == before


def digest(name: str) -> str:
    with segment(name).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


WRITES: dict[str, Callable[[Any], object]] = {
    "set": lambda m: m.set("text", 2),
    "set a new way": lambda m: m.set("a.b.c", 2),
    "set over": lambda m: m.set("deep", 2, overwrite=True),
    "setitem": lambda m: m.__setitem__("text", 2),
    "new_object": lambda m: m.new_object("new"),
    "delete": lambda m: m.delete("deep"),
    "delete what is not there": lambda m: m.delete("none"),
    "delete all": lambda m: m.delete(),
    "delitem": lambda m: m.__delitem__("text"),
    "clear": lambda m: m.clear(),
    "update": lambda m: m.update(text=2),
    "from_dict": lambda m: m.from_dict({"text": 2}),
    "incr": lambda m: m.incr("deep.er.number"),
    "compare_and_set": lambda m: m.compare_and_set("text", 2, m.metadata("text").version),
    "modify": lambda m: m.modify("text", str.upper),
    "touch": lambda m: m.touch("text", 5),
    "create_array": lambda m: m.create_array("new", 10, "f8").__enter__(),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_every_write_of_a_reader_is_denied(name: str, write: Callable[[Any], object]) -> None:
    with shoal.open(name, size="16MiB") as store:
        store.memory("all").from_dict(CONTENT)
        with shoal.open(name, "r") as reader:
            before = digest(name)
            with pytest.raises(shoal.AccessDenied):
                write(reader.memory("all"))
            assert digest(name) == before
