"""References: what they resolve to, how they travel, and what they say when they lead nowhere."""

from __future__ import annotations

import json
import pickle
import threading
import time
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import pytest

import shoal
from shoal import MemoryRef

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Backend


def test_set_returns_where_the_field_is(store: shoal.Store) -> None:
    memory = store.memory("agent")
    ref = memory.set("user.name", "john")
    _, version = memory.get_versioned("user.name")
    assert ref == MemoryRef("agent.user.name", "default", version, None, "short_term")
    assert version > 0
    again = memory.set("user.name", "ann")
    assert again.version > ref.version
    assert again._replace(version=ref.version) == ref


def test_the_expiry_is_in_it(store: shoal.Store) -> None:
    before = time.time()
    ref = store.memory().set("a", 1, ttl=1000)
    assert ref.expires is not None
    assert before + 999 < ref.expires < time.time() + 1001
    assert store.memory().set("b", 1).expires is None


def test_resolves_through_whatever_has_the_store(backend: Backend, store: shoal.Store) -> None:
    ref = store.memory("agent").set("user.name", {"first": "john"})
    other = backend.open()
    targets = [store, other, store.memory(), other.memory("agent.user"), store.memory("something.else")]
    with store.run() as ctx:
        for target in [*targets, ctx, ctx.short_term_memory, ctx.sensory_memory]:
            assert ref.resolve(target) == {"first": "john"}
            assert ref.resolve(target, strict=True) == {"first": "john"}
            if isinstance(target, shoal.MemoryObject):
                assert target.get(ref) == target[ref] == {"first": "john"}


def test_resolves_to_an_object(store: shoal.Store) -> None:
    memory = store.memory()
    memory.set("user.name", "john")
    user = MemoryRef("user").resolve(store)
    assert isinstance(user, shoal.MemoryObject)
    assert user.to_dict() == {"name": "john"}
    assert MemoryRef("").resolve(store) == memory


@pytest.mark.parametrize("target", [None, 5, "store", {}, object()])
def test_resolves_through_nothing_else(target: Any) -> None:
    for call in (MemoryRef("a").resolve, MemoryRef("a").view):
        with pytest.raises(shoal.InvalidValue, match=type(target).__name__):
            call(target)


def test_resolves_from_other_namespaces(backend: Backend, store: shoal.Store) -> None:
    beside = backend.namespace(store, "beside")
    ref = beside.memory().set("a.b", "beside")
    store.memory()["a.b"] = "default"
    assert ref.namespace == "beside"
    assert ref.resolve(store) == store.memory("x").get(ref) == "beside"
    assert ref._replace(namespace="default", version=0).resolve(beside) == "default"
    found = ref._replace(path="a", version=0).resolve(store)
    assert found.to_dict() == {"b": "beside"}
    assert found.namespace_name == "beside"


def test_a_namespace_that_is_not_there_is_not_made(backend: Backend, store: shoal.Store) -> None:
    beside = backend.namespace(store, "beside")
    ref = beside.memory().set("a", 1)
    store.drop_namespace("beside")
    with pytest.raises(shoal.KeyNotFound, match="'beside' is gone: its namespace was dropped"):
        ref.resolve(store)
    assert store.memory().get(ref, "missing") == "missing"
    assert store.namespaces() == ["default"]


# ------------------------------------------------ on the way


WIRES: dict[str, Callable[[Any], Any]] = {
    "itself": lambda ref: ref,
    "list": list,
    "tuple": tuple,
    "dict": lambda ref: ref._asdict(),
    "pickle": lambda ref: pickle.loads(pickle.dumps(ref)),
    "json": lambda ref: json.loads(json.dumps(ref)),
    "json text": json.dumps,
    "json of a dict": lambda ref: json.dumps(ref._asdict()),
    "msgpack": lambda ref: msgpack.unpackb(msgpack.packb(ref)),
}


@pytest.mark.parametrize("wire", WIRES)
def test_there_and_back(store: shoal.Store, wire: str) -> None:
    memory = store.memory(r"agent v1\.2")
    with store.run() as ctx:
        refs = [memory.set("a", 1), memory.set("ü.b", 2, ttl=100), ctx.sensory_memory.set("c", 3)]
        for number, ref in enumerate(refs, 1):
            back = MemoryRef.of(WIRES[wire](ref))
            assert type(back) is MemoryRef
            assert back == ref
            assert hash(back) == hash(ref)
            assert repr(back) == repr(ref)
            assert back.resolve(store, strict=True) == number
            if wire not in {"json text", "json of a dict"}:
                assert memory.get(WIRES[wire](ref)) == number


def test_what_others_make_of_numbers() -> None:
    assert repr(MemoryRef.of('["a", "n", 3, 1700000000, "short_term"]').expires) == "1700000000.0"
    assert MemoryRef.of({"path": "a"}) == MemoryRef.of(["a"]) == MemoryRef("a")


class Text(str):
    __slots__ = ()


def test_a_ref_is_of_plain_types() -> None:
    ref = MemoryRef.of((Text("a"), Text("n"), 1, None, Text("sensory")))
    assert [type(part) for part in ref] == [str, str, int, type(None), str]


@pytest.mark.parametrize(
    "source",
    [
        *(None, 5, b"a", [], (), {}, "", "a", "5", "{", '{"x": 1}', "[" * 100_000, object(), {"path": "a", "x": 1}),
        *(["a"] * 6, [5], [None], ["a..b"], ["\udc80"], [".".join("x" * 65)], ["a", ""], ["a", 5], ["a", "n", -1]),
        *(["a", "n", 1.5], ["a", "n", True], ["a", "n", "1"], ["a", "n", 1, "x"], ["a", "n", 1, True]),
        *(["a", "n", 1, float("nan")], ["a", "n", 1, float("inf")], ["a", "n", 1, 10**400]),
        *(["a", "n", 1, None, "long_term"], ["a", "n", 1, None, None], ["a", "n", 1, None, ["sensory"]]),
    ],
    ids=lambda source: repr(source)[:40],
)
def test_what_is_no_ref(store: shoal.Store, source: Any) -> None:
    with pytest.raises(shoal.InvalidValue):
        MemoryRef.of(source)
    if not isinstance(source, str):
        with pytest.raises(shoal.KeyTypeError):
            store.memory().get(source)


def test_its_size_does_not_grow_with_the_value(store: shoal.Store) -> None:
    memory = store.memory()
    small = memory.set("a", 1)
    large = memory.set("a", "x" * 3_000_000)
    for wire in (pickle.dumps, json.dumps, msgpack.packb):
        assert abs(len(wire(large)) - len(wire(small))) <= 8  # the version is another
        assert len(wire(large)) < 100


def test_a_ref_is_a_value(store: shoal.Store) -> None:
    ref = store.memory().set("user.name", "john", ttl=1000)
    store["ref"] = ref
    store["inside"] = {"refs": [ref, (ref, {ref})]}
    store.memory()["ref"] = ref
    for found in (store["ref"], store["inside"]["refs"][0], store["inside"]["refs"][1][0], store.memory()["ref"]):
        assert type(found) is MemoryRef
        assert found == ref
        assert found.resolve(store) == "john"
    assert store.metadata("ref").type == "ref"


@pytest.mark.parametrize("fields", [(5,), ("a..b",), ("a", "n", -1), ("a", "n", 1, "soon"), ("a", "n", 1, None, "?")])
def test_a_malformed_ref_is_no_value(store: shoal.Store, fields: Any) -> None:
    with pytest.raises(shoal.InvalidValue) as caught:
        store["ref"] = [MemoryRef(*fields)]
    assert caught.value.path == "$[0]"
    assert "ref" not in store


# ------------------------------------------------ leading nowhere


def test_deleted(store: shoal.Store) -> None:
    memory = store.memory("agent")
    ref = memory.set("user.name", "john")
    memory.delete("user")
    for strict in (False, True):
        with pytest.raises(
            shoal.KeyNotFound, match=r"'agent\.user\.name'.*'default' is gone: it was deleted"
        ) as caught:
            ref.resolve(store, strict=strict)
        assert (caught.value.key, caught.value.name) == ("agent.user.name", store.name)
        assert type(caught.value) is shoal.KeyNotFound
    assert memory.get(ref) is None
    assert memory.get(ref, 5) == 5
    with pytest.raises(shoal.KeyNotFound):
        memory[ref]


def test_below_a_value(store: shoal.Store) -> None:
    memory = store.memory()
    ref = memory.set("a.b", 1)
    memory.set("a", 2, overwrite=True)
    with pytest.raises(shoal.KeyNotFound, match="it was deleted"):
        ref.resolve(store)


def test_expired(backend: Backend, store: shoal.Store) -> None:
    memory = store.memory()
    ref = memory.set("a", 1, ttl=0.05)
    stays = memory.set("b", 1, ttl=0.05)
    memory.touch("b", 1000)
    while memory.is_exist("a"):
        threading.Event().wait(memory.ttl("a") if memory.is_exist("a") else 0)
    while time.time() <= (ref.expires or 0):  # the clocks of the store and of the wall may differ a little
        threading.Event().wait(0.001)
    with pytest.raises(shoal.KeyNotFound, match=r"'a' in the memory of namespace 'default' is gone: it has expired"):
        ref.resolve(store)
    assert stays.resolve(store) == 1  # what the reference knows may be out of date


def test_overwritten(store: shoal.Store) -> None:
    memory = store.memory()
    ref = memory.set("a", 1)
    newer = memory.set("a", 2)
    assert ref.resolve(store) == newer.resolve(store, strict=True) == 2
    with pytest.raises(shoal.KeyNotFound, match=rf"was overwritten.*version {newer.version}.*{ref.version}"):
        ref.resolve(store, strict=True)
    memory.delete("a")
    memory.set("a", 1)  # the same value again is another one
    with pytest.raises(shoal.KeyNotFound, match="was overwritten"):
        ref.resolve(store, strict=True)
    memory.new_object("a", overwrite=True)
    with pytest.raises(shoal.KeyNotFound, match="was overwritten"):
        ref.resolve(store, strict=True)
    assert isinstance(ref.resolve(store), shoal.MemoryObject)


def test_strict_needs_a_version(store: shoal.Store) -> None:
    store.memory()["a"] = b"x"
    for call in (MemoryRef("a").resolve, MemoryRef("a").view):
        with pytest.raises(shoal.InvalidValue, match="version"):
            call(store, strict=True)
    assert MemoryRef("a").resolve(store) == b"x"


def test_of_a_run(store: shoal.Store) -> None:
    with store.run() as ctx:
        ref = ctx.sensory_memory.set("draft.text", "x")
        other = ctx.sensory_memory.set("stays", "y")
        assert ref.resolve(store) == "x"
        ctx.sensory_memory.delete("draft")
        with pytest.raises(shoal.KeyNotFound, match="in the memory of a run is gone: it was deleted"):
            ref.resolve(ctx)
        assert other.resolve(ctx) == "y"
    for gone in (ref, other):
        with pytest.raises(shoal.KeyNotFound, match="is gone: its run has ended"):
            gone.resolve(ctx)
        assert store.memory().get(gone, "missing") == "missing"


@pytest.mark.parametrize("path", ["", "a", "a.b", "no-process.no-run.field"])
def test_of_a_process_that_never_was(store: shoal.Store, path: str) -> None:
    ref = MemoryRef(path, kind="sensory")
    with pytest.raises(shoal.KeyNotFound, match="its run has ended"):
        ref.resolve(store)
    assert store.memory().get(ref, "missing") == "missing"


def test_of_a_process_that_is_gone_and_not_cleared_yet(store: shoal.Store) -> None:
    ref = store._runs()._child("no-process", "run").set("a", b"left behind")
    for call in (ref.resolve, ref.view):
        with pytest.raises(shoal.KeyNotFound, match="its run has ended"):
            call(store)
    assert store.memory().get(ref, "missing") == "missing"


# ------------------------------------------------ views


def test_view(store: shoal.Store) -> None:
    memory = store.memory("agent")
    ref = memory.set("array", np.arange(5000))
    view = ref.view(store, strict=True)
    assert not view.flags.writeable
    memory["array"] = np.zeros(3)
    assert (view == np.arange(5000)).all()
    assert ref.view(memory).shape == (3,)
    with pytest.raises(shoal.KeyNotFound, match="was overwritten"):
        ref.view(store, strict=True)
    memory.delete("array")
    for strict in (False, True):
        with pytest.raises(shoal.KeyNotFound, match="it was deleted"):
            ref.view(store, strict=strict)


def test_view_of_what_has_none(store: shoal.Store) -> None:
    memory = store.memory()
    for path in ("value", "object"):
        memory.set(f"{path}.field" if path == "object" else path, [1])
        with pytest.raises(shoal.InvalidValue):
            MemoryRef(path).view(store)
