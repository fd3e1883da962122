"""Short-term memory of Flink Agents that expires: what makes it live longer, and who still sees it.

Time is the store's own; a test waits until the store says that something has happened.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

import shoal
from shoal.adapters.flink_agents import (
    LocalMemoryObject,
    MemoryType,
    RunnerContext,
    ShortTermMemoryTtlUpdate,
    ShortTermMemoryTtlVisibility,
    StateTtl,
)

if TYPE_CHECKING:
    from collections.abc import Callable
from shoal.adapters.flink_agents.tree import TreeState
from shoal.options import MISSING

WRITE = ShortTermMemoryTtlUpdate.ON_CREATE_AND_WRITE
READ = ShortTermMemoryTtlUpdate.ON_READ_AND_WRITE
NEVER = ShortTermMemoryTtlVisibility.NEVER_RETURN_EXPIRED
EXPIRED = ShortTermMemoryTtlVisibility.RETURN_EXPIRED_IF_NOT_CLEANED_UP
LONG = 3600.0
SHORT = 0.03


def memory(store: shoal.Store, *settings: Any) -> LocalMemoryObject:
    return LocalMemoryObject(MemoryType.SHORT_TERM, store, ttl=StateTtl(*settings))


def outlive(store: shoal.Store, path: str, left: float = 0.0) -> None:
    """Wait until a field has no more than `left` seconds, or has gone."""
    while True:
        try:
            now = store.memory().ttl(path)
        except shoal.KeyNotFound:
            return
        assert now is not None
        if now <= left:
            return
        threading.Event().wait(now - left)


@pytest.mark.parametrize("update", [WRITE, READ])
def test_a_field_expires(store: shoal.Store, update: ShortTermMemoryTtlUpdate) -> None:
    mem = memory(store, SHORT, update)
    ref = mem.set("a.b", 1)
    outlive(store, "a.b")
    assert mem.get("a.b") is None
    assert mem.get(ref) is None
    assert not mem.is_exist("a.b")
    mem.set("a.b", 2)
    assert mem.get("a.b") == 2 or mem.get("a.b") is None


def test_reading_counts_only_if_it_should(store: shoal.Store) -> None:
    for update in (WRITE, READ):
        for look in ("get", "is_exist", "get_fields"):
            store.memory().clear()
            mem = memory(store, LONG, update)
            mem.set("a", 1)
            store.memory().touch("a", LONG / 2)
            _ = mem.get_fields() if look == "get_fields" else getattr(mem, look)("a")
            left = store.memory().ttl("a")
            assert left is not None
            assert (left > LONG / 2) is (update is READ), (update, look)


@pytest.mark.parametrize("update", [WRITE, READ])
def test_writing_always_counts(store: shoal.Store, update: ShortTermMemoryTtlUpdate) -> None:
    mem = memory(store, LONG, update)
    mem.set("a", 1)
    store.memory().touch("a", LONG / 2)
    mem.set("a", 2)
    assert (store.memory().ttl("a") or 0) > LONG / 2


def test_each_field_lives_by_itself(store: shoal.Store) -> None:
    mem = memory(store, SHORT)
    mem.set("a.short", 1)
    memory(store, LONG).set("a.long", 2)
    outlive(store, "a.short")
    assert mem.get("a").get_fields() == {"long": 2}
    assert store.memory().ttl("a") is None  # nothing takes the object's other fields along


def test_what_has_expired_is_seen_once_if_it_may_be(store: shoal.Store) -> None:
    mem = memory(store, LONG, READ, EXPIRED)
    mem.set("a.b", 1)
    assert (store.memory().ttl("a.b") or 0) > LONG  # it stays for a while after it has expired
    store.memory().touch("a.b", LONG / 2)  # now it has expired, half of that while ago
    assert mem.get("a.b") == 1
    assert mem.get("a.b") is None
    assert not mem.is_exist("a.b")
    mem.set("a.b", 2)
    assert mem.get("a.b") == mem.get("a.b") == 2
    assert (store.memory().ttl("a.b") or 0) > LONG


def test_what_has_expired_is_cleaned_up_in_the_end(store: shoal.Store) -> None:
    mem = memory(store, SHORT, WRITE, EXPIRED)
    mem.set("a", 1)
    outlive(store, "a")
    assert mem.get("a") is None


class Between:
    """A memory in which something happens between two steps of a read."""

    def __init__(self, memory: shoal.MemoryObject, happens: Callable[[], Any]) -> None:
        self._memory = memory
        self._happens = happens

    def ttl(self, path: str) -> float | None:
        left = self._memory.ttl(path)
        self._happens()
        return left

    def __getattr__(self, name: str) -> Any:
        return getattr(self._memory, name)


def expired_read(store: shoal.Store, happens: Callable[[], Any]) -> Any:
    """What a reader of an expired field sees if something happens meanwhile."""
    memory(store, LONG, READ, EXPIRED).set("a", "expired")
    store.memory().touch("a", LONG / 2)
    between: Any = Between(store.memory(), happens)
    return TreeState(between, StateTtl(LONG, READ, EXPIRED)).get("a")


def test_one_reader_sees_what_has_expired(store: shoal.Store) -> None:
    seen: list[Any] = []
    other = memory(store, LONG, READ, EXPIRED)
    assert expired_read(store, lambda: seen.append(other.get("a"))) is MISSING
    assert seen[0] == "expired"


def test_what_is_written_meanwhile_stays(store: shoal.Store) -> None:
    writer = memory(store, LONG, READ, EXPIRED)
    assert expired_read(store, lambda: writer.set("a", "new")) == "new"
    assert writer.get("a") == "new"


def test_objects_go_with_their_last_field(store: shoal.Store) -> None:
    mem = memory(store, SHORT, WRITE)
    mem.new_object("empty.object")
    assert mem.get("empty").get_fields() == {"object": "NestedObject"}
    assert mem.get("empty.object").get_field_names() == []
    mem.get("empty").set("field", 1)
    outlive(store, "empty.object.\0peg")
    outlive(store, "empty.field")
    assert store.stats().fields == 0  # counting removes what has expired
    assert not mem.is_exist("empty")
    store.memory().set("other", 1)
    with pytest.raises(ValueError, match="exists but is not object"):
        memory(store, LONG).new_object("other")
    memory(store, LONG).new_object("other", overwrite=True).set("a", 1)
    assert mem.get("other").get_fields() == {"a": 1}


def test_reading_an_object_lets_it_live(store: shoal.Store) -> None:
    mem = memory(store, LONG)
    mem.new_object("a")
    store.memory().touch("a.\0peg", LONG / 2)
    assert mem.get("a") is not None
    assert (store.memory().ttl("a.\0peg") or 0) > LONG / 2


def test_what_was_set_to_stay_stays(store: shoal.Store) -> None:
    store.memory().set("a", 1)
    assert memory(store, LONG).get("a") == 1
    assert store.memory().ttl("a") is None


def test_who_may_only_read_leaves_everything_its_time(store: shoal.Store) -> None:
    memory(store, LONG, WRITE).set("a.b", 1)
    before = store.memory().ttl("a.b") or 0.0
    mem = memory(store.scope(read=["*"], write=[]), 2 * LONG, READ)
    assert (mem.get("a.b"), mem.get("a").get_fields(), mem.is_exist("a")) == (1, {"b": 1}, True)
    assert 0 < (store.memory().ttl("a.b") or 0.0) <= before
    shown = memory(store.scope(read=["*"], write=[]), 2 * LONG, WRITE, EXPIRED)
    assert [shown.get("a.b"), shown.get("a.b")] == [1, 1]  # it has expired, by this reader's settings


def test_a_read_only_store_is_read() -> None:
    name = f"test-{uuid4().hex}"
    with shoal.open(name) as store, shoal.open(name, flag="r") as reading:
        memory(store, LONG).set("a.b", 1)
        assert memory(reading, LONG).get("a").get_fields() == {"b": 1}


def test_sensory_memory_does_not_expire(store: shoal.Store) -> None:
    with RunnerContext(store, "key", ttl=LONG) as ctx:
        ctx.sensory_memory.set("a", 1)
        ctx.short_term_memory.set("a", 1)
        assert store.memory().ttl("key.a") is not None
        assert ctx.sensory_memory.get_fields() == {"a": 1}


class Configuration:
    """One as the package has them: any value by its name, as text."""

    def __init__(self, **values: Any) -> None:
        self.values = {f"short-term-memory.state-ttl.{name.replace('_', '-')}": value for name, value in values.items()}

    def get_str(self, key: str, default: Any = None) -> Any:
        return str(self.values[key]) if key in self.values else default


@pytest.mark.parametrize("kind", ["mapping", "configuration"])
def test_settings_have_their_names(kind: str) -> None:
    def of(**values: Any) -> StateTtl | None:
        configuration = Configuration(**values)
        return StateTtl.of(configuration.values if kind == "mapping" else configuration)

    assert of() is of(ms=0) is of(ms=-1) is None
    assert of(ms=1500) == StateTtl(1.5, READ, NEVER)
    assert of(ms="50", update_type=WRITE, visibility="RETURN_EXPIRED_IF_NOT_CLEANED_UP") == StateTtl(
        0.05, WRITE, EXPIRED
    )
    with pytest.raises(ValueError, match="SOMETIMES"):
        of(ms=1, update_type="SOMETIMES")


def test_settings_of_other_kinds() -> None:
    assert StateTtl.of(None) is StateTtl.of(0) is None
    assert StateTtl.of(2) == StateTtl.of(timedelta(seconds=2)) == StateTtl.of(StateTtl(2.0)) == StateTtl(2.0)
    for wrong in (-1, "soon", float("inf")):
        with pytest.raises(TypeError):
            StateTtl.of(wrong)
