"""The binding's own affairs: errors, keys, times and versions."""

from __future__ import annotations

import math
import os
import pickle
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import shoal
from shoal import _core
from shoal._failures import FAILURES, failure
from shoal.arena import ArenaStore
from shoal.errors import KeyTypeError
from shoal.options import DEFAULT, KEEP

if TYPE_CHECKING:
    from collections.abc import Iterator

PIN = 64 << 10  # values above this many bytes are read through a pin


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


# ---------------------------------------------------------------------- no Python frame on the way


def test_hot_calls_are_c_functions() -> None:
    for slot in ("__getitem__", "__setitem__", "__delitem__", "__len__"):
        assert type(getattr(ArenaStore, slot)).__name__ == "wrapper_descriptor"
    for method in (
        "__contains__",
        "get",
        "set",
        "add",
        "replace",
        "swap",
        "delete",
        "pop",
        "exists",
        "incr",
        "get_many",
        "set_many",
    ):
        assert type(getattr(ArenaStore, method)).__name__ == "method_descriptor"


# ---------------------------------------------------------------------- failures


def test_every_status_of_the_core_has_its_exception() -> None:
    statuses = _core.statuses()
    assert statuses[0] == "OK"
    assert set(statuses[1:]) == set(FAILURES)


@pytest.mark.parametrize("status", sorted(FAILURES))
def test_failures_tell_what_happened(status: str) -> None:
    error = failure(status, key="k", name="s", size=10, capacity=20, max_keys=3, timeout=1.5, cause=" (why)", errno=28)
    assert isinstance(error, (shoal.ShoalError, MemoryError))
    assert str(error)
    if isinstance(error, shoal.ShoalError):
        assert (error.key, error.name) == ("k", "s")
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.__dict__) == (type(error), str(error), error.__dict__)


def test_failures_carry_their_limit_and_say_what_to_do() -> None:
    arena = failure("FULL_ARENA", name="s", size=10, capacity=4096)
    assert isinstance(arena, shoal.CapacityExceeded)
    assert arena.limit == 4096
    assert "4,096" in str(arena)
    assert "size=" in str(arena)
    system = failure("FULL_SYSTEM", name="s", size=10)
    assert isinstance(system, shoal.CapacityExceeded)
    assert system.limit == os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize
    assert "--shm-size" in str(system)
    keys = failure("FULL_KEYS", name="s", max_keys=7)
    assert isinstance(keys, shoal.CapacityExceeded)
    assert keys.limit == 7
    busy = failure("BUSY", name="s", timeout=2.5)
    assert isinstance(busy, shoal.StoreBusy)
    assert busy.limit == 2.5
    assert isinstance(failure("OS", name="s", errno=5), OSError)
    assert failure("OS", name="s", errno=5).errno == 5  # type: ignore[attr-defined]


def test_an_unknown_status_is_an_error_too() -> None:
    assert isinstance(failure("NEW", name="s"), shoal.StorageError)


def test_missing_keys(store: ArenaStore) -> None:
    for call in (
        lambda: store["k"],
        lambda: store.__delitem__("k"),
        lambda: store.pop("k"),
        lambda: store.get_versioned("k"),
        lambda: store.ttl("k"),
        lambda: store.metadata("k"),
    ):
        with pytest.raises(shoal.KeyNotFound) as caught:
            call()
        assert caught.value.key == "k"
    assert store.get("k") is None
    assert store.get("k", 5) == 5
    assert store.get(key="k", default=6) == 6
    assert store.pop("k", None) is None
    assert not store.delete("k")
    assert not store.exists("k")
    assert not store.touch("k", 5)
    assert not store.replace("k", 1)
    assert len(store) == 0


def test_a_full_arena(name: str) -> None:
    with shoal.open(name, size="2MiB") as store:
        store["kept"] = "x" * 1000
        with pytest.raises(shoal.CapacityExceeded) as caught:
            store["big"] = b"x" * (64 << 20)
        assert caught.value.limit == store.stats().capacity
        assert caught.value.key == "big"
        assert "big" not in store
        with pytest.raises(shoal.CapacityExceeded):
            store.set_many({f"{i}": b"x" * 1000 for i in range(4000)})
        assert store["kept"] == "x" * 1000
        store.clear()
        store["again"] = b"x" * 1000


def test_max_keys(store: ArenaStore) -> None:
    limited = store.namespace("limited", max_keys=2)
    limited.update(a=1, b=2)
    with pytest.raises(shoal.CapacityExceeded) as caught:
        limited["c"] = 3
    assert caught.value.limit == 2
    assert limited == {"a": 1, "b": 2}
    limited.close()


def test_numbers(store: ArenaStore) -> None:
    store["text"] = "x"
    with pytest.raises(shoal.InvalidValue) as caught:
        store.incr("text")
    assert caught.value.key == "text"
    store["top"] = 2**63 - 1
    with pytest.raises(shoal.InvalidValue):
        store.incr("top")
    assert store["top"] == 2**63 - 1
    for wrong in ("1", None, True, 2**63, -(2**63) - 1, [1]):
        with pytest.raises(shoal.InvalidValue):
            store.incr("n", wrong)  # type: ignore[arg-type]
        with pytest.raises(shoal.InvalidValue):
            store.incr("n", initial=wrong)  # type: ignore[arg-type]
    assert "n" not in store
    assert store.incr("n", 5, initial=10) == 15
    assert store.decr("n", 20) == -5
    assert store.incr("n", 0.5) == -4.5
    assert type(store["n"]) is float


def test_read_only_handles(name: str) -> None:
    with shoal.open(name) as store:
        store["k"] = "v" * 100
        store["large"] = "v" * PIN * 2
        with shoal.open(name, "r") as reader:
            assert reader.read_only
            assert reader["k"] == "v" * 100
            assert reader["large"] == "v" * PIN * 2
            assert len(reader) == 2
            for call in (
                lambda: reader.set("k", 1),
                lambda: reader.delete("k"),
                lambda: reader.incr("n"),
                lambda: reader.touch("k", 1),
                reader.clear,
                lambda: reader.swap("k", 1),
            ):
                with pytest.raises(shoal.AccessDenied) as caught:
                    call()
                assert caught.value.name == name
            with pytest.raises(shoal.StoreNotFound):
                reader.namespace("absent")
        assert store["k"] == "v" * 100


class Odd:
    """Only pickle can store it."""


def test_what_cannot_be_read_is_not_taken_away(name: str) -> None:
    with shoal.open(name, allow_pickle=True) as store, shoal.open(name, allow_pickle=False) as careful:
        values: dict[str, Any] = {"odd": Odd(), "odds": [Odd()] * 1000, "list": [1, 2], "text": "x" * 1000, "n": 1}
        store.update(values)
        versions = {key: store.get_versioned(key)[1] for key in values}
        for key in ("odd", "odds"):
            for call in (careful.pop, lambda key: careful.swap(key, 1), careful.get):
                with pytest.raises(shoal.InvalidValue):
                    call(key)
            assert store.get_versioned(key)[1] == versions[key]
        assert careful.swap("list", 1) == [1, 2]
        assert careful.swap("new", 1) is None
        assert careful.pop("text") == "x" * 1000
        assert careful.pop("n") == 1
        assert careful.pop("n", None) is None
        assert type(store.pop("odd")) is Odd


def test_opening_what_is_not_there(name: str) -> None:
    for flag in "rw":
        with pytest.raises(shoal.StoreNotFound) as caught:
            shoal.open(name, flag)
        assert caught.value.name == name
    with pytest.raises(shoal.StoreNotFound):
        shoal.destroy(name)


def test_a_foreign_segment(name: str) -> None:
    path = Path("/dev/shm") / f"shoal.{name}"
    path.write_bytes(b"something else" * 10_000)
    path.chmod(0o600)
    try:
        with pytest.raises(shoal.IncompatibleArena) as caught:
            shoal.open(name)
        assert caught.value.name == name
    finally:
        path.unlink()


# ---------------------------------------------------------------------- keys

BAD_KEYS = [
    (5, KeyTypeError),
    (None, KeyTypeError),
    (b"bytes", KeyTypeError),
    (("a", "b"), KeyTypeError),
    ("", shoal.InvalidKey),
    ("x" * 65_536, shoal.InvalidKey),
    ("é" * 32_768, shoal.InvalidKey),
    ("a\ud800", shoal.InvalidKey),
]


@pytest.mark.parametrize(("key", "error"), BAD_KEYS, ids=lambda value: repr(value)[:12])
def test_bad_keys_are_errors_everywhere(store: ArenaStore, key: Any, error: type[Exception]) -> None:
    calls = (
        lambda: store[key],
        lambda: store.__setitem__(key, 1),
        lambda: store.__delitem__(key),
        lambda: key in store,
        lambda: store.get(key),
        lambda: store.set(key, 1),
        lambda: store.add(key, 1),
        lambda: store.replace(key, 1),
        lambda: store.swap(key, 1),
        lambda: store.delete(key),
        lambda: store.pop(key, None),
        lambda: store.exists(key),
        lambda: store.get_versioned(key),
        lambda: store.compare_and_set(key, 1, 0),
        lambda: store.incr(key),
        lambda: store.get_many([key]),
        lambda: store.set_many({key: 1}),
        lambda: store.delete_many([key]),
        lambda: store.touch(key, 1),
        lambda: store.ttl(key),
        lambda: store.metadata(key),
        lambda: store.setdefault(key, 1),
    )
    for call in calls:
        with pytest.raises(error) as caught:
            call()
        assert isinstance(caught.value, shoal.InvalidKey)
        assert caught.value.key == key
    assert len(store) == 0


class Text(str):
    """Its text is the key, whatever the class does."""

    __slots__ = ()

    def __str__(self) -> str:
        return "other"


@pytest.mark.parametrize("key", ["k", "x" * 65_535, "é" * 32_767, "\0", "日本語", "🐟", Text("sub")])
def test_good_keys(store: ArenaStore, key: str) -> None:
    store[key] = 1
    assert store[key] == 1
    assert list(store) == [str.__str__(key)]
    assert type(next(iter(store))) is str
    assert store.list_keys(key[0] + "*") == list(store)


def test_set_many_changes_nothing_if_one_is_wrong(store: ArenaStore) -> None:
    with pytest.raises(shoal.InvalidKey):
        store.set_many({"a": 1, "": 2})
    with pytest.raises(shoal.InvalidValue):
        store.set_many({"a": 1, "b": "\ud800"})
    with pytest.raises(shoal.InvalidValue):
        store.set_many({"a": 1}, ttl=0)
    assert len(store) == 0
    store.set_many({"a": 1, "b": "x", "c": [1]}, ttl=100)
    assert store.get_many(["a", "b", "c", "d"]) == {"a": 1, "b": "x", "c": [1]}
    assert store.ttl("c") == pytest.approx(100, abs=5)
    assert store.delete_many(["a", "b", "d"]) == 2


# ---------------------------------------------------------------------- times and versions


@pytest.mark.parametrize("ttl", [0, -1, math.nan, "5", b"5", True, timedelta(0), [], 1e300])
def test_bad_times_to_live(store: ArenaStore, ttl: Any) -> None:
    store["k"] = "old"
    for call in (
        lambda: store.set("k", 1, ttl=ttl),
        lambda: store.add("new", 1, ttl=ttl),
        lambda: store.touch("k", ttl),
        lambda: store.incr("n", ttl=ttl),
        lambda: store.compare_and_set("n", 1, 0, ttl=ttl),
    ):
        with pytest.raises(shoal.InvalidValue):
            call()
    assert dict(store) == {"k": "old"}


def test_times_to_live(store: ArenaStore) -> None:
    store.set("k", 1, ttl=timedelta(seconds=100))
    assert store.ttl("k") == pytest.approx(100, abs=5)
    assert store.touch("k", None)
    assert store.ttl("k") is None
    store.set("k", 1, ttl=math.inf)
    assert store.ttl("k") is None
    store.set("k", 1, ttl=50)
    store.incr("k")
    assert store.ttl("k") == pytest.approx(50, abs=5)
    store.incr("k", ttl=None)
    assert store.ttl("k") is None
    store.set("k", 1, ttl=50)
    assert store.compare_and_set("k", 2, store.get_versioned("k")[1], ttl=KEEP)  # type: ignore[arg-type]
    assert store.ttl("k") == pytest.approx(50, abs=5)
    store.set("k", 1, ttl=DEFAULT)
    assert store.ttl("k") is None
    store.set("gone", 1, ttl=1e-12)
    assert "gone" not in store
    short = store.namespace("short", ttl=30)
    short["k"] = 1
    assert short.ttl("k") == pytest.approx(30, abs=5)
    short.close()


def test_metadata(store: ArenaStore) -> None:
    version = store.set("k", "hello", ttl=60)
    meta = store.metadata("k")
    assert (meta.size, meta.version, meta.type) == (6, version, "str")
    assert meta.expires_at is not None
    assert (meta.expires_at - meta.created_at).total_seconds() == pytest.approx(60, abs=2)
    assert meta.created_at <= meta.modified_at


@pytest.mark.parametrize("version", [-1, 1.0, "1", None, True, 1 << 64])
def test_bad_versions(store: ArenaStore, version: Any) -> None:
    with pytest.raises(shoal.InvalidValue):
        store.compare_and_set("k", 1, version)


def test_compare_and_set(store: ArenaStore) -> None:
    assert store.compare_and_set("k", 1, 0)
    assert not store.compare_and_set("k", 2, 0)
    _, version = store.get_versioned("k")
    assert store.compare_and_set("k", 3, version)
    assert not store.compare_and_set("k", 4, version)
    assert store["k"] == 3


def test_dropped_namespaces(store: ArenaStore) -> None:
    first, second = store.namespace("a/b", max_keys=5), store.namespace("a/b")
    first["k"] = 1
    assert store.namespaces() == ["a/b", "default"]
    assert store.drop_namespace("a/b")
    assert not store.drop_namespace("a/b")
    assert "k" not in second
    assert second.get("k") is None
    assert len(second) == 0
    assert list(second) == []
    second.clear()
    assert not second.delete("k")
    assert store.namespaces() == ["default"]
    first["k"] = 2  # made anew, as this handle knows it
    assert second["k"] == 2
    assert store.stats().namespaces["a/b"].max_keys == 5
    with pytest.raises(shoal.InvalidValue):
        store.drop_namespace("default")
    first.close()
    second.close()


def test_contains_is_a_method_that_agrees_with_in(store: ArenaStore) -> None:
    store["there"] = 1
    bound = store.__contains__
    assert [bound(key) for key in ("there", "absent")] == [key in store for key in ("there", "absent")] == [True, False]
    with pytest.raises(KeyTypeError):
        bound(1)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        ArenaStore.__contains__(object(), "there")  # type: ignore[arg-type]


def test_a_subclass_may_have_a_contains_of_its_own() -> None:
    class Everything(ArenaStore):
        def __contains__(self, key: object) -> bool:
            return True

    assert "absent" in Everything.__new__(Everything)
