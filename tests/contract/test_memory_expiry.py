"""Fields and objects of a memory that expire: an object takes all that is below it along."""

from __future__ import annotations

from datetime import timedelta
from time import time
from typing import TYPE_CHECKING

import pytest

import shoal

if TYPE_CHECKING:
    from conftest import Backend

SOON = 0.02  # seconds


def test_an_expired_field_is_nowhere(backend: Backend, memory: shoal.MemoryObject) -> None:
    memory.set("a.goes", 1, ttl=SOON)
    memory.set("a.stays", 2)
    backend.outlive(memory, "a.goes")
    assert memory.get("a.goes") is None
    assert not memory.is_exist("a.goes")
    assert memory.get("a").get_field_names() == ["stays"]
    assert memory.get("a").get_fields() == {"stays": 2}
    assert len(memory.get("a")) == 1
    assert memory.to_dict() == {"a": {"stays": 2}}
    assert not memory.delete("a.goes")
    assert not memory.touch("a.goes", 1000)
    assert memory._get_encoded("a.goes") is None
    for call in (memory.__getitem__, memory.get_versioned, memory.metadata, memory.ttl, memory.view):
        with pytest.raises(shoal.KeyNotFound):
            call("a.goes")


def test_an_expired_object_takes_its_subtree_along(backend: Backend, memory: shoal.MemoryObject) -> None:
    memory.update({"a": {"b": {"c": {"d": 1}, "e": 2}, "f": 3}, "g": 4})
    memory.set("a.b.c.long", 5, ttl=1000)
    inner = memory.get("a.b.c")
    assert memory.touch("a.b", SOON)
    backend.outlive(memory, "a.b")
    for path in ("a.b", "a.b.c", "a.b.c.d", "a.b.e", "a.b.c.long"):
        assert memory.get(path) is None
        assert not memory.is_exist(path)
        assert not memory.delete(path)
        assert not memory.touch(path, 1000)
        assert memory._fields(path) == []
        for call in (memory.get_versioned, memory.metadata, memory.ttl):
            with pytest.raises(shoal.KeyNotFound):
                call(path)
    assert not inner.is_exist("")
    assert inner.get("d") is None
    assert inner.get_field_names() == []
    assert memory.to_dict() == {"a": {"f": 3}, "g": 4}


def test_an_object_made_to_expire(backend: Backend, memory: shoal.MemoryObject) -> None:
    handle = memory.new_object("a.b", ttl=SOON)
    handle.set("c.d", 1)
    backend.outlive(memory, "a.b")
    assert memory.get("a.b") is None
    handle.set("c.d", 2)  # made anew, on the way, and that never expires
    assert memory.to_dict() == {"a": {"b": {"c": {"d": 2}}}}
    assert memory.ttl("a.b") is None


def test_objects_made_for_what_has_expired_go_as_well(backend: Backend, store: shoal.Store) -> None:
    memory = store.memory()
    memory.new_object("asked").set("x.y", 1, ttl=SOON)
    memory.set("way.a.b", 1, ttl=SOON)
    memory.set("way.a.c.d", 2, ttl=SOON)
    memory.set("both.a.b", 1, ttl=SOON)
    memory.set("both.c", 2)
    memory.set("later.a.b", 1, ttl=SOON)
    memory.new_object("later.a")
    for path in ("asked.x.y", "way.a.b", "way.a.c.d", "both.a.b", "later.a.b"):
        backend.outlive(memory, path)
    assert store.stats().fields == 5  # counting sweeps
    assert memory.to_dict() == {"asked": {}, "both": {"c": 2}, "later": {"a": {}}}


def test_an_object_whose_fields_were_deleted_stays(memory: shoal.MemoryObject) -> None:
    memory.set("a.b.c", 1)
    memory.delete("a.b.c")
    assert memory.to_dict() == {"a": {"b": {}}}


def test_what_expired_with_its_object_does_not_come_back(backend: Backend, memory: shoal.MemoryObject) -> None:
    memory.update({"a": {"old": {"x": 1}, "older": 2}})
    memory.touch("a", SOON)
    backend.outlive(memory, "a")
    memory.new_object("a")
    assert memory.to_dict() == {"a": {}}
    memory.set("a.old.y", 3)
    assert memory.to_dict() == {"a": {"old": {"y": 3}}}


def test_an_expired_thing_is_in_nobodys_way(backend: Backend, memory: shoal.MemoryObject) -> None:
    memory.set("value", 1, ttl=SOON)
    memory.new_object("object", ttl=SOON).set("x", 1)
    backend.outlive(memory, "value")
    backend.outlive(memory, "object")
    memory.set("value.below", 2)
    memory.set("object", 3)
    assert memory.to_dict() == {"value": {"below": 2}, "object": 3}


def test_compare_and_set_and_incr_begin_anew(backend: Backend, memory: shoal.MemoryObject) -> None:
    version = memory.set("a.b", 5, ttl=SOON).version
    memory.set("a.n", 5, ttl=SOON)
    backend.outlive(memory, "a.b")
    backend.outlive(memory, "a.n")
    assert not memory.compare_and_set("a.b", 6, version)
    assert memory.compare_and_set("a.b", 6, 0)
    assert memory.get_versioned("a.b")[1] > version
    assert memory.incr("a.n") == 1
    assert memory.ttl("a.n") is None


def test_setting_below_leaves_the_expiry_of_what_is_above(memory: shoal.MemoryObject) -> None:
    memory.new_object("a", ttl=1000)
    memory.set("a.b.c", 1)
    memory.set("a.b.c", 2, ttl=5)
    memory.delete("a.b.c")
    assert 900 < memory.ttl("a") <= 1000  # type: ignore[operator]
    assert memory.ttl("a.b") is None


def test_objects_on_the_way_do_not_expire(memory: shoal.MemoryObject) -> None:
    memory.set("a.b.c", 1, ttl=1000)
    assert memory.ttl("a") is None
    assert memory.ttl("a.b") is None
    assert memory.ttl("a.b.c") > 900  # type: ignore[operator]


@pytest.mark.parametrize("ttl", [1000, 1000.0, timedelta(seconds=1000)])
def test_every_way_to_say_how_long(memory: shoal.MemoryObject, ttl: float) -> None:
    memory.set("set", 1, ttl=ttl)
    memory.new_object("new_object", ttl=ttl)
    memory.incr("incr", ttl=ttl)
    memory.compare_and_set("compare_and_set", 1, 0, ttl=ttl)
    memory.set("touch", 1)
    memory.touch("touch", ttl)
    with memory.create_array("create_array", 1, "u1", ttl=ttl):
        pass
    for name in memory:
        left = memory.ttl(name)
        assert left is not None
        assert 900 < left <= 1000
        expires = memory.metadata(name).expires_at
        assert expires is not None
        assert expires.timestamp() == pytest.approx(time() + 1000, abs=60)
    assert len(memory) == 6


def test_writing_again_sets_the_expiry_anew(memory: shoal.MemoryObject) -> None:
    memory.set("a.b", 1, ttl=1000)
    memory.set("a.b", 2)
    assert memory.ttl("a.b") is None
    memory.set("a.b", 3, ttl=1000)
    assert memory.ttl("a.b") > 900  # type: ignore[operator]
    assert memory.touch("a.b", None)
    assert memory.ttl("a.b") is None
    assert memory.get("a.b") == 3


def test_a_longer_life_replaces_a_shorter_one(backend: Backend, memory: shoal.MemoryObject) -> None:
    memory.set("touched", 1, ttl=SOON)
    memory.set("set", 1, ttl=SOON)
    memory.new_object("object", ttl=SOON).set("x", 1)
    memory.set("goes", 1, ttl=SOON)
    memory.touch("touched", 1000)
    memory.set("set", 2)
    memory.touch("object", None)
    backend.outlive(memory, "goes")
    assert memory.to_dict() == {"touched": 1, "set": 2, "object": {"x": 1}}


def test_a_reference_says_when_it_expires(memory: shoal.MemoryObject) -> None:
    assert memory.set("a", 1).expires is None
    ref = memory.set("a", 1, ttl=1000)
    assert ref.expires == pytest.approx(time() + 1000, abs=60)
    assert memory.compare_and_set("a", 2, ref.version, ttl=1000)


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), "5", True, 1e12])
def test_what_is_no_ttl(memory: shoal.MemoryObject, ttl: object) -> None:
    memory.set("a", 1)
    for write in (
        lambda: memory.set("a", 2, ttl=ttl),  # type: ignore[arg-type]
        lambda: memory.set("b.c", 2, ttl=ttl),  # type: ignore[arg-type]
        lambda: memory.new_object("o", ttl=ttl),  # type: ignore[arg-type]
        lambda: memory.incr("a", ttl=ttl),  # type: ignore[arg-type]
        lambda: memory.compare_and_set("b", 2, 0, ttl=ttl),  # type: ignore[arg-type]
        lambda: memory.touch("a", ttl),  # type: ignore[arg-type]
    ):
        with pytest.raises(shoal.InvalidValue):
            write()
    assert memory.to_dict() == {"a": 1}
    assert memory.ttl("a") is None


# ---------------------------------------------------------------------- the namespace's default


def test_the_namespaces_default(backend: Backend, store: shoal.Store) -> None:
    memory = backend.namespace(store, "fading", ttl=1000).memory()
    memory.set("a.set", 1)
    memory.incr("a.incr")
    memory.new_object("a.object")
    memory.compare_and_set("a.cas", 1, 0)
    memory.modify("a.modify", lambda value: value, default=1)
    memory.update({"a": {"update": 1}})
    with memory.create_array("a.array", 1, "u1"):
        pass
    for name in memory.get("a"):
        assert memory.ttl(f"a.{name}") > 900, name  # type: ignore[operator]
    memory.update({"dict": {"empty": {}}})
    memory._child("from").from_dict({"empty": {}})
    for path in ("a", "dict", "dict.empty", "from", "from.empty"):  # made on the way, or of dicts
        assert memory.ttl(path) is None, path
    ref = memory.set("a.set", 2)
    assert ref.expires == pytest.approx(time() + 1000, abs=60)
    memory.set("a.set", 3, ttl=None)
    assert memory.ttl("a.set") is None
    store.memory().set("a", 1)
    assert store.memory().ttl("a") is None


def test_memory_of_runs_has_no_default(backend: Backend, store: shoal.Store) -> None:
    runs = backend.namespace(store, "fading", ttl=1000)._runs()._child(store._process_token(), "run")
    runs.set("a", 1)
    assert runs.ttl("a") is None


def test_an_object_expires_by_the_default(backend: Backend, store: shoal.Store) -> None:
    memory = backend.namespace(store, "fading", ttl=SOON).memory()
    memory.new_object("a").set("b", 1, ttl=None)
    memory.set("c", 2)
    for path in ("a", "c"):
        backend.outlive(memory, path)
    assert memory.to_dict() == {}
