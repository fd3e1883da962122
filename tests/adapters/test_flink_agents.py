"""Memory of Flink Agents over a mapping and over stores: what its users rely on, without the package."""

from __future__ import annotations

import enum
import pickle
import sys
import uuid
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest

import shoal
from shoal.adapters.flink_agents import (
    LocalMemoryObject,
    MemoryObject,
    MemoryRef,
    MemoryType,
    RunnerContext,
    install,
)
from shoal.adapters.flink_agents.standalone import MemoryRef as OwnRef
from shoal.adapters.flink_agents.standalone import MemoryType as OwnType
from shoal.adapters.flink_agents.standalone import validate_memory_value

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORT_TERM = MemoryType.SHORT_TERM


@pytest.fixture(params=["mapping", "memory", "shm", "part"])
def place(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return where a memory may lie: a dict, a store of each kind, a part of another memory."""
    if request.param == "mapping":
        yield {}
        return
    with shoal.open(None if request.param == "shm" else "memory://") as store:
        yield store.memory("some.where") if request.param == "part" else store


@pytest.fixture
def mem(place: Any) -> LocalMemoryObject:
    return LocalMemoryObject(SHORT_TERM, place)


# ---------------------------------------------------------------------- values and objects


def test_values_of_all_kinds(mem: LocalMemoryObject) -> None:
    values = {"int": 1, "float": 3.14, "str": "hello", "bool": True, "none": None, "list": ["a"], "dict": {"x": [1]}}
    mem.set("int", 1)
    assert mem.get_field_names() == ["int"]
    for name, value in values.items():
        mem.set(name, value)
    assert {name: mem.get(name) for name in values} == values
    assert type(mem.get("bool")) is bool
    assert mem.get_fields() == values
    assert mem.get_field_names() == sorted(values)


def test_missing_is_none_and_none_is_there(mem: LocalMemoryObject) -> None:
    mem.set("none", None)
    assert mem.get("none") is mem.get("missing") is mem.get("none.below") is None
    assert mem.is_exist("none")
    assert not mem.is_exist("missing")
    assert not mem.is_exist("none.below")


def test_nested_objects_share_their_memory(mem: LocalMemoryObject) -> None:
    mem.set("a.b.c", True)
    below = mem.get("a.b")
    assert isinstance(below, LocalMemoryObject)
    assert isinstance(below, MemoryObject)
    below.set("tmp", 10)
    assert mem.get("a.b.tmp") == 10
    assert mem.get("a.b").get_field_names() == ["c", "tmp"]
    assert mem.get("a").get("b").get("c") is True
    assert mem.get("a").get_fields() == {"b": "NestedObject"}
    assert below.get("").get("tmp") == 10


def test_the_root_is_always_there(mem: LocalMemoryObject) -> None:
    assert mem.is_exist("")
    assert mem.get("").get_field_names() == []
    assert mem.get_fields() == {}


def test_new_object_makes_those_above(mem: LocalMemoryObject) -> None:
    mem.new_object("x.y.z")
    assert mem.is_exist("x")
    assert mem.is_exist("x.y.z")
    assert mem.get_fields() == {"x": "NestedObject"}
    assert mem.get("x.y").get_fields() == {"z": "NestedObject"}
    assert mem.get("x.y.z").get_field_names() == []


@pytest.mark.parametrize("overwrite", [False, True])
def test_new_object_keeps_an_object_that_is_there(mem: LocalMemoryObject, overwrite: bool) -> None:
    mem.set("user.name", "john")
    user = mem.new_object("user", overwrite=overwrite)
    assert user.get_fields() == {"name": "john"}


def test_new_object_over_a_value(mem: LocalMemoryObject) -> None:
    mem.set("profile", "active")
    with pytest.raises(ValueError, match=r"Field 'profile' exists but is not object\."):
        mem.new_object("profile")
    assert mem.get("profile") == "active"
    mem.new_object("profile", overwrite=True).set("status", "ok")
    assert mem.get("profile.status") == "ok"
    assert mem.get("profile").get_field_names() == ["status"]


def test_a_value_over_an_object(mem: LocalMemoryObject) -> None:
    mem.new_object("a.obj")
    with pytest.raises(ValueError, match=r"Cannot overwrite object field 'a\.obj' with primitive\."):
        mem.get("a").set("obj", 123)
    with pytest.raises(ValueError, match="Cannot overwrite object field '' with primitive"):
        mem.set("", 1)
    assert mem.get("a.obj").get_fields() == {}
    mem.new_object("it's \\")
    with pytest.raises(ValueError, match=r"object field 'it's \\' with"):  # the path as it is, as in the original
        mem.set("it's \\", 1)


def test_a_value_on_the_way_becomes_an_object(mem: LocalMemoryObject) -> None:
    mem.set("a", 1)
    mem.set("a.b.c", 2)
    assert mem.get("a").get_fields() == {"b": "NestedObject"}
    mem.set("a.d", 1)
    mem.new_object("a.d.e.f")
    assert mem.get("a.d").get_fields() == {"e": "NestedObject"}
    assert mem.get("a.b.c") == 2


def test_a_prefix_is_a_place(place: Any) -> None:
    LocalMemoryObject(SHORT_TERM, place).set("a.b.c", 1)
    at = LocalMemoryObject(SHORT_TERM, place, "a.b")
    assert at.get("c") == 1
    assert at.set("d", 2).path == "a.b.d"
    assert LocalMemoryObject(SHORT_TERM, place, LocalMemoryObject.ROOT_KEY).get("a.b.d") == 2


def test_a_leaf_has_no_fields(place: Any) -> None:
    LocalMemoryObject(SHORT_TERM, place).set("a", 1)
    assert LocalMemoryObject(SHORT_TERM, place, "a").get_field_names() == []


@pytest.mark.parametrize("path", ["x..y", "x.", ".x", "..", "a\\b", "a\\.b", "\\", "\0", "\0peg.\0", "ü.é", " . "])
def test_any_text_is_a_path(mem: LocalMemoryObject, path: str) -> None:
    mem.set("x.z", 0)
    ref = mem.set(path, 1)
    assert ref.path == path
    assert mem.get(path) == mem.get(ref) == 1
    above, _, name = path.rpartition(".")
    assert name in (mem.get(above) if above else mem).get_field_names()
    assert mem.get("x.z") == 0


def test_a_path_is_text(mem: LocalMemoryObject) -> None:
    for call in (mem.get, mem.is_exist, mem.new_object):
        with pytest.raises(TypeError, match="int"):
            call(3)  # type: ignore[operator]


# ---------------------------------------------------------------------- references


def test_references_are_absolute(mem: LocalMemoryObject) -> None:
    below = mem.new_object("a.b")
    ref = below.set("c", 10)
    assert (ref.path, ref.memory_type) == ("a.b.c", SHORT_TERM)
    assert mem.get(ref) == below.get(ref) == 10
    assert below.get({"path": "a.b.c", "memory_type": "short_term"}) == 10
    assert mem.get(MemoryRef.create(SHORT_TERM, "a")).get("b.c") == 10
    assert below.get(MemoryRef.create(MemoryType.SENSORY, "a.b.c")) == 10
    assert mem.get(MemoryRef.create(SHORT_TERM, "this.does.not.exist")) is None


def test_references_are_values() -> None:
    assert MemoryRef(path="a.b") == MemoryRef(path="a.b") != MemoryRef(path="a.c")
    assert len({MemoryRef(path="a.b"), MemoryRef(path="a.b"), MemoryRef(path="a.c")}) == 2
    assert pickle.loads(pickle.dumps(MemoryRef(path="a"))) == MemoryRef(path="a")


@pytest.mark.parametrize("kind", list(OwnType))
def test_own_references_survive_json(kind: OwnType) -> None:
    ref = OwnRef.create(kind, "a.b")
    assert OwnRef.model_validate_json(ref.model_dump_json()) == ref
    assert OwnRef.model_validate(ref.model_dump()) == ref
    for wrong in ({}, {"path": 1}, "a"):
        with pytest.raises(ValueError, match="no MemoryRef"):
            OwnRef.model_validate(wrong)


# ---------------------------------------------------------------------- which values


class Text(str, Enum):  # noqa: UP042 - the kind of class that people have
    A = "a"


class Plain:
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain)

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    "value", [None, True, 0, -3, 3.14, "", "hello", [1, "a", [2, {"k": [4, None]}]], {"a": {"b": []}}]
)
def test_values_of_the_original_are_accepted(value: Any) -> None:
    validate_memory_value("p", value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (uuid.uuid4(), r"str\(value\)"),
        (uuid.uuid4(), "model_dump"),
        ((1, 2), r"list\(value\)"),
        ({1, 2}, r"list\(value\)"),
        (frozenset(), "'frozenset'"),
        (b"bytes", "'bytes'"),
        (Text.A, "not checkpoint-stable"),
        (Plain(), "not checkpoint-stable"),
        ({1: "v"}, "non-str key 1"),
        ([1, 2, {"bad": object()}], r"\[2\]\['bad'\]"),
    ],
)
def test_other_values_are_not(mem: LocalMemoryObject, value: Any, text: str) -> None:
    for check in (validate_memory_value, mem.set):
        with pytest.raises(TypeError, match=text):
            check("deep.path", value)
    assert not mem.is_exist("deep")


def test_an_object_is_no_value(mem: LocalMemoryObject, place: Any) -> None:
    for memory in (mem, LocalMemoryObject(SHORT_TERM, place, any_value=True)):
        with pytest.raises(TypeError, match="new_object"):
            memory.set("a", memory)


def test_any_value_as_an_option(place: Any) -> None:
    mem = LocalMemoryObject(SHORT_TERM, place, any_value=True)
    mem.new_object("a")
    for value in (b"bytes", {1, 2}, (1, 2), uuid.UUID(int=1), Plain(), {1: 2}):
        mem.get("a").set("value", value)
        assert mem.get("a.value") == value


# ---------------------------------------------------------------------- where it lies


def test_a_dict_holds_everything() -> None:
    given: dict[str, Any] = {}
    mem = LocalMemoryObject(SHORT_TERM, given)
    assert list(given) == [LocalMemoryObject.ROOT_KEY]
    mem.set("a.b", [1])
    user = mem.new_object("user")
    assert given["a.b"] is mem.get("a.b")
    assert LocalMemoryObject(SHORT_TERM, given).get("a.b") == [1]
    given.clear()
    assert mem.get_field_names() == []
    assert mem.is_exist("")
    assert mem.get("") is not None
    assert mem.get("a.b") is None
    user.set("name", "john")
    assert mem.get("user.name") == "john"
    assert mem.get_field_names() == ["user"]


def test_clearing_a_part_of_a_store() -> None:
    with shoal.open("memory://") as store:
        part = store.memory("part")
        mem = LocalMemoryObject(SHORT_TERM, part)
        mem.set("a.b", 1)
        store.memory().set("other", 2)
        part.clear()
        assert mem.get_field_names() == []
        mem.set("a.c", 3)
        assert store.memory().to_dict() == {"part": {"a": {"c": 3}}, "other": 2}


def test_somebody_elses_value_is_not_overwritten() -> None:
    with shoal.open("memory://") as store:
        store.memory().set("part", "a value")
        mem = LocalMemoryObject(SHORT_TERM, store.memory("part"))
        with pytest.raises(shoal.PathConflict):
            mem.set("a", 1)
        assert store.memory()["part"] == "a value"


def test_what_is_no_place() -> None:
    with pytest.raises(TypeError, match="list"):
        LocalMemoryObject(SHORT_TERM, [])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="do not expire"):
        LocalMemoryObject(SHORT_TERM, {}, ttl=1)


def test_a_url_and_nothing_are_places() -> None:
    mem = LocalMemoryObject(SHORT_TERM, "memory://")
    mem.set("a", 1)
    assert mem.get("a") == 1
    assert LocalMemoryObject(SHORT_TERM, None).get_field_names() == []


# ---------------------------------------------------------------------- contexts


def test_nothing_is_written_after_the_end(store: shoal.Store) -> None:
    """Nobody would remove it."""
    ctx = RunnerContext(store, "customer")
    kept = ctx.sensory_memory.new_object("draft")
    ctx.close()
    left = store.stats().fields
    for write in (
        lambda: kept.set("text", "Dear"),
        lambda: kept.new_object("parts"),
        lambda: ctx.sensory_memory.set("a", 1),
    ):
        with pytest.raises(RuntimeError, match="closed"):
            write()
    assert ctx.sensory_memory.get_field_names() == kept.get_field_names() == []
    assert store.stats().fields == left
    ctx.short_term_memory.set("stays", 1)  # is the store's, and so is what may be done with it


def test_a_run_has_sensory_memory_of_its_own(store: shoal.Store) -> None:
    with RunnerContext(store, "customer") as ctx:
        ref = ctx.sensory_memory.set("draft.text", "Dear")
        short = ctx.short_term_memory.set("user.name", "john")
        assert ref.resolve(ctx) == "Dear"
        assert short.resolve(ctx) == "john"
        assert (ref.memory_type, short.memory_type) == (MemoryType.SENSORY, SHORT_TERM)
        sensory = ctx.sensory_memory
        assert RunnerContext(store, "customer").sensory_memory.get_field_names() == []
    assert ctx.sensory_memory.get_field_names() == []
    assert ref.resolve(ctx) is None
    sensory.set("next", 1)  # a handle stays good
    assert ctx.sensory_memory.get("next") == 1
    with RunnerContext(store, "customer") as later, RunnerContext(store, "other") as other:
        assert short.resolve(later) == "john"
        assert short.resolve(other) is None
    assert store.memory("customer").to_dict() == {"user": {"name": "john"}}


def test_a_run_that_fails_is_cleared(store: shoal.Store) -> None:
    ctx = RunnerContext(store, "customer")

    def fail() -> None:
        with ctx:
            ctx.sensory_memory.set("a", 1)
            raise OSError("no")

    with pytest.raises(OSError, match="no"):
        fail()
    assert ctx.sensory_memory.get_field_names() == []


def test_closing_leaves_nothing_but_short_term_memory(store: shoal.Store) -> None:
    RunnerContext(store, "customer").close()
    with RunnerContext(store, "customer") as ctx:
        ctx.sensory_memory.set("a", 1)
    ctx.close()
    place_of_the_process = store.stats().fields
    ctx = RunnerContext(store, "customer")
    ctx.sensory_memory.set("a.b", 1)
    assert store.stats().fields > place_of_the_process
    ctx.close()
    ctx.close()
    assert store.stats().fields == place_of_the_process
    with pytest.raises(RuntimeError, match="ended"):
        ctx.clear_sensory_memory()


def test_keys_that_differ_have_memories_that_differ(store: shoal.Store) -> None:
    keys = [1, "1", 1.5, None, b"1", ("a", 1), "a.b", "", "\0", uuid.UUID(int=7), "é"]
    contexts = [RunnerContext(store, uuid.uuid4() if key is None else key) for key in keys]
    for number, ctx in enumerate(contexts):
        ctx.short_term_memory.set("number", number)
    assert [ctx.short_term_memory.get("number") for ctx in contexts] == list(range(len(keys)))
    with pytest.raises(TypeError, match="Plain"):
        RunnerContext(store, Plain())


def test_equal_texts_are_one_key(store: shoal.Store) -> None:
    class Color(str, enum.Enum):  # noqa: UP042 - `str` of a StrEnum's member is its value
        RED = "red"

    RunnerContext(store, Color.RED).short_term_memory.set("number", 1)
    assert RunnerContext(store, "red").short_term_memory.get("number") == 1


def test_the_rest_of_a_context() -> None:
    ctx = RunnerContext(config={"a": 1}, action_config={"b": 2})
    ctx.send_event("event")
    assert list(ctx.events) == ["event"]
    assert (ctx.config, ctx.action_config, ctx.get_action_config_value("b")) == ({"a": 1}, {"b": 2}, 2)
    assert ctx.durable_execute(divmod, 7, 2) == (3, 1)
    assert ctx.agent_metric_group is ctx.action_metric_group is None
    with pytest.raises(NotImplementedError):
        ctx.get_resource("model", "chat")
    with pytest.raises(NotImplementedError):
        _ = ctx.long_term_memory

    async def action() -> Any:
        return await ctx.durable_execute_async(divmod, 7, 2)

    coroutine = action()
    with pytest.raises(StopIteration) as stopped:  # as the original's runner drives it: without an event loop
        coroutine.send(None)
    assert stopped.value.value == (3, 1)
    ctx.close()


def test_its_runner_needs_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flink_agents", None)  # as if not installed
    monkeypatch.delitem(sys.modules, "flink_agents.runtime.local_runner", raising=False)
    with pytest.raises(ImportError, match=r'pip install "shoal\[flink-agents\]"'):
        install("memory://")
