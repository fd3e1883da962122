"""Random operations on the whole Store API, compared step by step with a plain dict.

Time is injected: on ``memory://`` a clock that a rule moves on by any amount, up to and past the instant at which an entry
expires. The arena has its own clock, so there lifetimes are either far longer than the test or made to end by
a rule of their own, which gives an entry a tiny one and waits until the store itself says that it is over.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import shoal
from shoal.backends.memory import MemoryStore

if TYPE_CHECKING:
    from conftest import Backend

FOREVER = 1e6  # seconds; far longer than any run
LIMIT = 3

KEYS = st.sampled_from(["a", "a*", "a/b", "ключ", "x" * 300])
PATTERNS = st.sampled_from(["*", "a*", "?", "[ab]", "[!a]*", "*/b", r"a\*", "a", "x*x", ""])
NUMBERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, width=32), st.integers(-5, 5))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.integers(), st.text(max_size=5), st.binary(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ),
    max_leaves=5,
)
TTLS = st.sampled_from(["default", None, FOREVER, FOREVER / 2, 3, 0.5])
SPACES = st.sampled_from(["default", "fading", "small"])


@dataclass
class Entry:
    value: Any
    deadline: float | None
    version: int


class Clock:
    """Monotonic and wall time of a memory:// store."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1.6e9 + self.now


class StoreMachine(RuleBasedStateMachine):
    """A store of three namespaces: one plain, one whose entries expire, one with few keys."""

    backend: Backend

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.clock = Clock()
        if backend.kind == "memory":
            self.store: shoal.Store = MemoryStore(monotonic=self.clock.monotonic, wall=self.clock.wall)
        else:
            self.store = shoal.open(f"{backend.prefix}-{os.getpid()}-{uuid4().hex[:8]}", "n", size="4MiB")
        self.injected = backend.kind == "memory"
        self.backend = backend
        self.spaces = {
            "default": self.store,
            "fading": self.store.namespace("fading", ttl=FOREVER),
            "small": self.store.namespace("small", max_keys=LIMIT),
        }
        self.model: dict[str, dict[str, Entry]] = {name: {} for name in self.spaces}
        self.seen: dict[tuple[str, str], int] = {}  # the highest version of each entry so far

    def teardown(self) -> None:
        for store in self.spaces.values():
            store.close()

    # ------------------------------------------------------------------ the model

    def entries(self, space: str) -> dict[str, Entry]:
        live = self.model[space]
        for key in [
            key for key, entry in live.items() if entry.deadline is not None and entry.deadline <= self.clock.now
        ]:
            del live[key]
        return live

    def deadline(self, space: str, ttl: Any) -> float | None:
        if ttl == "default":
            ttl = FOREVER if space == "fading" else None
        return None if ttl is None else self.clock.now + ttl

    def full(self, space: str, key: str) -> bool:
        live = self.entries(space)
        return space == "small" and key not in live and len(live) >= LIMIT

    def written(self, space: str, key: str, value: Any, ttl: Any) -> None:
        """Put into the model what the store has just written, and check the version that it got."""
        old = self.entries(space).get(key)
        version = self.spaces[space].get_versioned(key)[1]
        assert version > self.last_seen(space, key)
        self.seen[space, key] = version
        if ttl == "keep":
            deadline = self.deadline(space, "default") if old is None else old.deadline
        else:
            deadline = self.deadline(space, ttl)
        self.model[space][key] = Entry(value, deadline, version)

    @initialize(filled=st.lists(st.tuples(SPACES, KEYS, VALUES, TTLS), max_size=12))
    def fill(self, filled: list[tuple[str, str, Any, Any]]) -> None:
        """Begin with some entries: most operations do their interesting work on what is there."""
        for space, key, value, ttl in filled:
            self.set(space=space, key=key, value=value, ttl=ttl, how="set")

    def last_seen(self, space: str, key: str) -> int:
        return self.seen.get((space, key), 0)

    def keywords(self, ttl: Any) -> dict[str, Any]:
        return {} if ttl == "default" else {"ttl": ttl}

    def fit(self, ttl: Any) -> Any:
        """Where time cannot be injected, lifetimes are long."""
        return ttl if self.injected or ttl in ("default", None) else FOREVER + float(ttl)

    # ------------------------------------------------------------------ writing

    @rule(space=SPACES, key=KEYS, value=VALUES, ttl=TTLS, how=st.sampled_from(["set", "item", "many", "update"]))
    def set(self, space: str, key: str, value: Any, ttl: Any, how: str) -> None:
        ttl = self.fit(ttl)
        store = self.spaces[space]

        def write() -> None:
            if how == "item" and ttl == "default":
                store[key] = value
            elif how == "many":
                store.set_many({key: value}, **self.keywords(ttl))
            elif how == "update" and ttl == "default":
                store.update({key: value})
            else:
                assert store.set(key, value, **self.keywords(ttl)) > 0

        if self.full(space, key):
            with pytest.raises(shoal.CapacityExceeded):
                write()
            return
        write()
        self.written(space, key, value, ttl)

    @rule(space=SPACES, key=KEYS, value=VALUES, ttl=TTLS, how=st.sampled_from(["add", "setdefault", "compare"]))
    def write_if_absent(self, space: str, key: str, value: Any, ttl: Any, how: str) -> None:
        ttl = self.fit(ttl)
        store, entry = self.spaces[space], self.entries(space).get(key)

        def write() -> bool:
            if how == "add":
                return store.add(key, value, **self.keywords(ttl))
            if how == "compare":
                return store.compare_and_set(key, value, 0, **self.keywords(ttl))
            assert same(store.setdefault(key, value, **self.keywords(ttl)), value if entry is None else entry.value)
            return entry is None

        if self.full(space, key):
            with pytest.raises(shoal.CapacityExceeded):
                write()
            return
        assert write() == (entry is None)
        if entry is None:
            self.written(space, key, value, ttl)

    @rule(space=SPACES, key=KEYS, value=VALUES, ttl=TTLS, how=st.sampled_from(["replace", "swap"]))
    def write_over(self, space: str, key: str, value: Any, ttl: Any, how: str) -> None:
        ttl = self.fit(ttl)
        store, entry = self.spaces[space], self.entries(space).get(key)
        if how == "replace":
            assert store.replace(key, value, **self.keywords(ttl)) == (entry is not None)
            if entry is None:
                return
        elif self.full(space, key):
            with pytest.raises(shoal.CapacityExceeded):
                store.swap(key, value, **self.keywords(ttl))
            return
        else:
            assert same(store.swap(key, value, **self.keywords(ttl)), None if entry is None else entry.value)
        self.written(space, key, value, ttl)

    @rule(space=SPACES, key=KEYS, value=VALUES, ttl=TTLS, off=st.sampled_from([0, 0, 1, -1]))
    def compare_and_set(self, space: str, key: str, value: Any, ttl: Any, off: int) -> None:
        ttl = self.fit(ttl)
        store, entry = self.spaces[space], self.entries(space).get(key)
        version = (entry.version if entry else self.last_seen(space, key)) + off
        assume(version > 0)
        matches = entry is not None and off == 0
        assert store.compare_and_set(key, value, version, **self.keywords(ttl)) == matches
        if matches:
            self.written(space, key, value, ttl)

    @rule(space=SPACES, key=KEYS, value=VALUES, default=st.booleans())
    def modify(self, space: str, key: str, value: Any, default: bool) -> None:
        store, entry = self.spaces[space], self.entries(space).get(key)

        def change(old: Any) -> Any:
            return [old, value]

        if entry is None and not default:
            with pytest.raises(shoal.KeyNotFound):
                store.modify(key, change)
            return
        keywords = {"default": "none"} if default else {}
        if self.full(space, key):
            with pytest.raises(shoal.CapacityExceeded):
                store.modify(key, change, **keywords)
            return
        expected = ["none" if entry is None else entry.value, value]
        assert same(store.modify(key, change, **keywords), expected)
        self.written(space, key, expected, "keep")

    @rule(space=SPACES, key=KEYS, by=NUMBERS, initial=NUMBERS, ttl=TTLS, down=st.booleans())
    def incr(self, *, space: str, key: str, by: Any, initial: Any, ttl: Any, down: bool) -> None:
        ttl = self.fit(ttl)
        store, entry = self.spaces[space], self.entries(space).get(key)
        old = initial if entry is None else entry.value
        call = store.decr if down else store.incr
        amount = -by if down else by
        expected = old + amount if type(old) in (int, float) else None
        wrong = (
            expected is None
            or not in_range(old)
            or not in_range(amount)
            or not in_range(initial)
            or not in_range(expected)
        )
        if wrong or self.full(space, key):
            with pytest.raises(shoal.InvalidValue if wrong else shoal.CapacityExceeded):
                call(key, by, initial=initial, **self.keywords(ttl))
            return
        assert same(call(key, by, initial=initial, **self.keywords(ttl)), expected)
        self.written(space, key, expected, "keep" if ttl == "default" else ttl)

    @rule(space=SPACES, key=KEYS, ttl=TTLS)
    def touch(self, space: str, key: str, ttl: Any) -> None:
        ttl = self.fit(ttl)
        assume(ttl != "default")
        entry = self.entries(space).get(key)
        assert self.spaces[space].touch(key, ttl) == (entry is not None)
        if entry is not None:
            entry.deadline = self.deadline(space, ttl)

    # ------------------------------------------------------------------ removing

    @rule(space=SPACES, key=KEYS, how=st.sampled_from(["delete", "del", "pop", "pop default", "many"]))
    def remove(self, space: str, key: str, how: str) -> None:
        store, entry = self.spaces[space], self.entries(space).pop(key, None)
        if how == "delete":
            assert store.delete(key) == (entry is not None)
        elif how == "many":
            assert store.delete_many([key, key]) == (entry is not None)
        elif how == "pop default":
            assert same(store.pop(key, "default"), "default" if entry is None else entry.value)
        elif entry is None:
            with pytest.raises(shoal.KeyNotFound):
                store.pop(key) if how == "pop" else store.__delitem__(key)
        elif how == "pop":
            assert same(store.pop(key), entry.value)
        else:
            del store[key]

    @rule(space=SPACES)
    def popitem(self, space: str) -> None:
        live = self.entries(space)
        if not live:
            with pytest.raises(shoal.KeyNotFound):
                self.spaces[space].popitem()
            return
        key, value = self.spaces[space].popitem()
        assert same(value, live.pop(key).value)

    @rule(space=SPACES)
    def clear(self, space: str) -> None:
        self.spaces[space].clear()
        self.model[space].clear()

    @rule()
    def drop(self) -> None:
        assert self.store.drop_namespace("fading")
        self.spaces["fading"].close()
        self.spaces["fading"] = self.store.namespace("fading", ttl=FOREVER)
        self.model["fading"].clear()

    # ------------------------------------------------------------------ time

    @precondition(lambda self: self.injected)
    @rule(seconds=st.sampled_from([0.25, 0.5, 1, 2.5, FOREVER / 2, FOREVER]))
    def advance(self, seconds: float) -> None:
        self.clock.now += seconds

    @precondition(lambda self: not self.injected)
    @rule(space=SPACES, key=KEYS)
    def outlive(self, space: str, key: str) -> None:
        entry = self.entries(space).pop(key, None)
        assert self.spaces[space].touch(key, 0.002) == (entry is not None)
        self.backend.outlive(self.spaces[space], key)

    # ------------------------------------------------------------------ reading

    @rule(space=SPACES, key=KEYS)
    def read(self, space: str, key: str) -> None:
        store, entry = self.spaces[space], self.entries(space).get(key)
        assert (key in store) == store.exists(key) == (entry is not None)
        if entry is None:
            assert store.get(key, "default") == "default"
            assert store.get_many([key]) == {}
            for call in (store.__getitem__, store.get_versioned, store.ttl, store.metadata):
                with pytest.raises(shoal.KeyNotFound):
                    call(key)
            return
        assert same(store[key], entry.value)
        assert same(store.get(key, "default"), entry.value)
        assert same(store.get_many([key]), {key: entry.value})
        value, version = store.get_versioned(key)
        assert same(value, entry.value)
        assert version == entry.version
        meta, left = store.metadata(key), store.ttl(key)
        assert meta.version == version
        assert (left is None) == (meta.expires_at is None) == (entry.deadline is None)
        if left is not None and entry.deadline is not None:
            assert left == pytest.approx(entry.deadline - self.clock.now, abs=1e-6 if self.injected else 120)

    @rule(space=SPACES, pattern=PATTERNS)
    def list_keys(self, space: str, pattern: str) -> None:
        from fnmatch import fnmatchcase

        # What fnmatch calls [*] is \* here; the patterns above differ in nothing else.
        meant = pattern.replace(r"\*", "[*]")
        expected = sorted(key for key in self.entries(space) if fnmatchcase(key, meant))
        assert self.spaces[space].list_keys(pattern) == expected
        assert sorted(self.spaces[space].scan(pattern)) == expected

    @invariant()
    def holds_the_same(self) -> None:
        for space, store in self.spaces.items():
            live = self.entries(space)
            assert len(store) == len(live)
            assert sorted(store) == sorted(live)
            for key, entry in live.items():
                value, version = store.get_versioned(key)
                assert same(value, entry.value)
                assert version == entry.version
                assert (store.ttl(key) is None) == (entry.deadline is None)
            assert same(dict(store.items()), {key: entry.value for key, entry in live.items()})
        figures = self.store.stats().namespaces
        assert {name: one.entries for name, one in figures.items()} == {n: len(e) for n, e in self.model.items()}


def same(one: Any, other: Any) -> bool:
    """Equal, also in type: 1, 1.0 and True are three values."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other or (isinstance(one, float) and math.isnan(one) and math.isnan(other))


def in_range(number: Any) -> bool:
    return not isinstance(number, int) or -(2**63) <= number < 2**63


def test_any_sequence_of_operations_does_what_a_dict_would(backend: Backend) -> None:
    run_state_machine_as_test(
        lambda: StoreMachine(backend),
        settings=settings(
            max_examples=60,
            stateful_step_count=50,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
