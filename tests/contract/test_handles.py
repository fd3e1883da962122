"""Opening and closing, flags, read-only handles, names."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

import pytest

import shoal

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Backend

READS: dict[str, Callable[[shoal.Store], object]] = {
    "getitem": lambda s: s["key"],
    "get": lambda s: s.get("key"),
    "in": lambda s: "key" in s,
    "exists": lambda s: s.exists("key"),
    "len": len,
    "iter": list,
    "items": lambda s: list(s.items()),
    "get_versioned": lambda s: s.get_versioned("key"),
    "get_many": lambda s: s.get_many(["key"]),
    "ttl": lambda s: s.ttl("key"),
    "metadata": lambda s: s.metadata("key"),
    "list_keys": lambda s: s.list_keys(),
    "scan": lambda s: list(s.scan("k*")),
    "namespaces": lambda s: s.namespaces(),
    "stats": lambda s: s.stats(),
    "equal": lambda s: s == {"key": 1},
}
WRITES: dict[str, Callable[[shoal.Store], object]] = {
    "setitem": lambda s: s.__setitem__("key", 2),
    "set": lambda s: s.set("key", 2),
    "add": lambda s: s.add("new", 2),
    "add to what is there": lambda s: s.add("key", 2),
    "replace": lambda s: s.replace("key", 2),
    "swap": lambda s: s.swap("key", 2),
    "delitem": lambda s: s.__delitem__("key"),
    "delete": lambda s: s.delete("key"),
    "pop": lambda s: s.pop("key"),
    "popitem": lambda s: s.popitem(),
    "setdefault": lambda s: s.setdefault("new", 2),
    "update": lambda s: s.update(key=2),
    "clear": lambda s: s.clear(),
    "compare_and_set": lambda s: s.compare_and_set("key", 2, 1),
    "modify": lambda s: s.modify("key", lambda value: value + 1),
    "incr": lambda s: s.incr("key"),
    "decr": lambda s: s.decr("key"),
    "set_many": lambda s: s.set_many({"key": 2}),
    "delete_many": lambda s: s.delete_many(["key"]),
    "touch": lambda s: s.touch("key", 5),
    "namespace": lambda s: s.namespace("default", ttl=5),
    "drop_namespace": lambda s: s.drop_namespace("other"),
}


@pytest.mark.parametrize("call", [*READS.values(), *WRITES.values()], ids=[*READS, *WRITES])
def test_a_closed_store_says_so(store: shoal.Store, call: Callable[[shoal.Store], object]) -> None:
    store["key"] = 1
    store.close()
    with pytest.raises(shoal.StoreClosed):
        call(store)


def test_closing(store: shoal.Store) -> None:
    assert store.closed is False
    store.close()
    assert store.closed is True
    store.close()
    assert "closed" in repr(store)
    assert store.name
    assert store.url


def test_with_closes(backend: Backend) -> None:
    with backend.open() as store:
        store["key"] = 1
        assert not store.closed
    assert store.closed
    with pytest.raises(ZeroDivisionError), backend.open() as store:
        raise ZeroDivisionError
    assert store.closed


def test_closing_one_handle_leaves_the_others(backend: Backend, store: shoal.Store) -> None:
    other = backend.namespace(store, "other")
    second = backend.open()
    store["key"] = 1
    store.close()
    other["key"] = 2
    assert other["key"] == 2
    assert second["key"] == 1


def test_handles_of_one_name_share_the_store(backend: Backend, store: shoal.Store) -> None:
    second = backend.open()
    store["key"] = 1
    assert second["key"] == 1
    second["key"] = 2
    assert store["key"] == 2
    assert backend.open("elsewhere").get("key") is None


def test_a_store_lives_until_its_last_handle_is_closed(backend: Backend) -> None:
    first, second = backend.open(), backend.open()
    first["key"] = 1
    first.close()
    third = backend.open()
    assert third["key"] == 1
    second.close()
    third.close()
    assert len(backend.open()) == 0


def test_persist_keeps_it(backend: Backend) -> None:
    with backend.open(persist=True) as store:
        store["key"] = 1
    again = backend.open()
    assert again["key"] == 1
    again.destroy()
    assert len(backend.open()) == 0


def test_destroy_removes_the_name_and_closes_the_handle(backend: Backend) -> None:
    store, other = backend.open(), backend.open()
    store["key"] = 1
    store.destroy()
    assert store.closed
    assert other["key"] == 1
    assert "key" not in backend.open()


@pytest.mark.parametrize("flag", ["w", "r"])
def test_w_and_r_want_an_existing_store(backend: Backend, flag: str) -> None:
    with pytest.raises(shoal.StoreNotFound) as caught:
        backend.open("absent", flag)
    assert caught.value.name == backend.name("absent")
    backend.open("absent")["key"] = 1
    assert backend.open("absent", flag)["key"] == 1


def test_n_makes_a_new_one(backend: Backend, store: shoal.Store) -> None:
    store["key"] = 1
    new = backend.open(flag="n")
    assert len(new) == 0
    new["key"] = 2
    assert backend.open()["key"] == 2
    assert store["key"] == 1


@pytest.mark.parametrize("flag", ["", "x", "cw", None, 5])
def test_other_flags(backend: Backend, flag: object) -> None:
    with pytest.raises(shoal.InvalidValue):
        backend.open("flags", flag)  # type: ignore[arg-type]


def test_read_only_reads(backend: Backend, store: shoal.Store) -> None:
    store["key"] = 1
    backend.namespace(store, "other")["key"] = 2
    reader = backend.open(flag="r")
    assert reader.read_only
    assert not store.read_only
    assert "read-only" in repr(reader)
    for read in READS.values():
        read(reader)
    assert reader["key"] == 1
    assert backend.namespace(reader, "other")["key"] == 2
    store["key"] = 3
    assert reader["key"] == 3


@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES)
def test_read_only_does_not_write(backend: Backend, store: shoal.Store, call: Callable[[shoal.Store], object]) -> None:
    store["key"] = 1
    backend.namespace(store, "other")["key"] = 1
    before = store.get_versioned("key")
    reader = backend.open(flag="r")
    with pytest.raises(shoal.AccessDenied) as caught:
        call(reader)
    assert isinstance(caught.value, PermissionError)
    assert store.get_versioned("key") == before
    assert dict(store) == {"key": 1}
    assert store.namespaces() == ["default", "other"]
    assert store.ttl("key") is None


def test_read_only_misses_are_what_they_are(backend: Backend, store: shoal.Store) -> None:
    reader = backend.open(flag="r")
    assert reader.get("missing", 5) == 5
    with pytest.raises(shoal.KeyNotFound):
        reader["missing"]
    for call in (lambda: reader.namespace("missing"), lambda: backend.open(flag="r", namespace="missing")):
        with pytest.raises(shoal.StoreNotFound, match="no namespace 'missing' in") as caught:
            call()
        assert caught.value.name == "missing"
    assert store.namespaces() == ["default"]


def test_repr_is_short(store: shoal.Store) -> None:
    store.set_many({f"key {n}": "x" * 100 for n in range(1000)})
    assert store.name in repr(store)
    assert len(repr(store)) < 200
    assert len(repr(store.items())) < 300


def test_an_options_in_the_url_works(backend: Backend) -> None:
    store = backend.keep(shoal.open(f"{backend.url()}?namespace=n&max_keys=2&ttl=1000&size=2MiB"))
    store.update(a=1, b=2)
    assert store.namespace_name == "n"
    assert store.ttl("a") > 990  # type: ignore[operator]
    with pytest.raises(shoal.CapacityExceeded):
        store["c"] = 3


@pytest.mark.parametrize("name", ["a/b", ".", "..", "x" * 201, "nul\0"])
def test_names_that_cannot_be(backend: Backend, name: str) -> None:
    scheme = backend.url().partition("://")[0]
    with pytest.raises(shoal.InvalidKey) as caught:
        shoal.open(f"{scheme}://{name}")
    assert caught.value.name == name


def test_anonymous_stores_are_private(backend: Backend) -> None:
    scheme = backend.url().partition("://")[0]
    first, second = (backend.keep(shoal.open(f"{scheme}://")) for _ in range(2))
    first["key"] = 1
    assert "key" not in second


def test_pickling(backend: Backend, store: shoal.Store) -> None:
    store["key"] = 1
    if backend.kind == "memory":
        for carry in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="one process"):
                carry(store)
        return
    other = backend.namespace(store, "other")
    other["key"] = 2
    assert backend.keep(pickle.loads(pickle.dumps(store)))["key"] == 1
    assert backend.keep(pickle.loads(pickle.dumps(other)))["key"] == 2
    reader = backend.keep(pickle.loads(pickle.dumps(backend.open(flag="r"))))
    assert reader.read_only


def test_stats_count(store: shoal.Store) -> None:
    before = store.stats()
    store["a"] = 1
    store.set("b", 2)
    store.get("a")
    store.get("missing")
    del store["a"]
    after = store.stats()
    assert after.sets - before.sets == 2
    assert after.hits - before.hits == 1
    assert after.misses - before.misses == 1
    assert after.deletes - before.deletes == 1
    assert after.entries == 1
    assert after.used > 0
    assert after.processes == 1
