"""Random operations on a memory, compared step by step with nested dicts.

Time is as in the test of the keys: injected on ``memory://``; on the arena lifetimes are far longer than the test, or made to
end by a rule of their own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
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
from shoal.memory.path import escape, join
from shoal.options import KEEP

if TYPE_CHECKING:
    from conftest import Backend

FOREVER = 1e6  # seconds; far longer than any run

NAMES = st.sampled_from(["a", "b", "c.d"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(tuple)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.just(40_000).map("x".__mul__), st.just({"a": {"b": 1}})
)
NESTED = st.recursive(
    VALUES.filter(lambda value: not isinstance(value, dict)),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)
DICTS = st.dictionaries(NAMES, NESTED, max_size=3)
TTLS = st.sampled_from(["default", None, FOREVER, FOREVER / 2, 3, 0.5])
PLACES = st.sampled_from(["plain", "fading", "run"])

Names = tuple[str, ...]


@dataclass
class Value:
    value: Any
    version: int = 0
    deadline: float | None = None


@dataclass
class Object:
    fields: dict[str, Value | Object] = field(default_factory=dict)
    deadline: float | None = None
    made: bool = False  # on the way: it goes with the last of its fields that expires

    def to_dict(self) -> dict[str, Any]:
        return {n: f.to_dict() if isinstance(f, Object) else f.value for n, f in self.fields.items()}

    def expire(self, now: float) -> bool:
        """Whether anything did."""
        some = False
        for name, below in list(self.fields.items()):
            gone = below.deadline is not None and below.deadline <= now
            if not gone and isinstance(below, Object) and below.expire(now):
                some = True
                gone = below.made and not below.fields
            if gone:
                some = True
                del self.fields[name]
        return some

    def find(self, names: Names) -> Value | Object | None:
        found: Value | Object | None = self
        for name in names:
            found = found.fields.get(name) if isinstance(found, Object) else None
        return found

    def value_above(self, names: Names) -> bool:
        """Whether a value lies on the way."""
        return any(isinstance(self.find(names[:n]), Value) for n in range(1, len(names)))

    def put(self, names: Names, new: Value | Object) -> None:
        above = self
        for name in names[:-1]:
            below = above.fields.get(name)
            if not isinstance(below, Object):
                below = above.fields[name] = Object(made=True)
            above = below
        above.fields[names[-1]] = new


class Clock:
    """Monotonic and wall time of a memory:// store."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1.6e9 + self.now


class MemoryMachine(RuleBasedStateMachine):
    """Three memories: one plain, one whose fields expire by default, one of a run."""

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.clock = Clock()
        if backend.kind == "memory":
            self.store: shoal.Store = MemoryStore(monotonic=self.clock.monotonic, wall=self.clock.wall)
        else:
            self.store = shoal.open(f"{backend.prefix}-{os.getpid()}-{uuid4().hex[:8]}", "n", size="16MiB")
        self.injected = backend.kind == "memory"
        self.backend = backend
        self.fading = self.store.namespace("fading", ttl=FOREVER)
        self.memories = {
            "plain": self.store.memory(),
            "fading": self.fading.memory("x.y"),
            "run": self.store._runs()._child(self.store._process_token(), "run"),
        }
        self.models = {place: Object() for place in self.memories}
        self.version = dict.fromkeys(self.memories, 0)

    def teardown(self) -> None:
        self.fading.close()
        self.store.close()

    # ------------------------------------------------------------------ the model

    def at(self, place: str) -> tuple[shoal.MemoryObject, Object]:
        self.models[place].expire(self.clock.now)
        return self.memories[place], self.models[place]

    def deadline(self, place: str, ttl: Any) -> float | None:
        if ttl == "default":
            ttl = FOREVER if place == "fading" else None
        return None if ttl is None else self.clock.now + ttl

    def fit(self, ttl: Any) -> Any:
        """Where time cannot be injected, lifetimes are long."""
        return ttl if self.injected or ttl in ("default", None) else FOREVER + float(ttl)

    def keywords(self, ttl: Any) -> dict[str, Any]:
        return {} if ttl == "default" else {"ttl": ttl}

    def written(self, place: str, names: Names, value: Any, ttl: Any) -> None:
        """Put into the model what the memory has just written, and check the version that it got."""
        memory, model = self.at(place)
        old = model.find(names)
        version = memory.get_versioned(join(names))[1]
        assert not isinstance(old, Value) or version > old.version
        if ttl == "keep":
            deadline = old.deadline if isinstance(old, Value) else self.deadline(place, "default")
        else:
            deadline = self.deadline(place, ttl)
        model.put(names, Value(value, version, deadline))

    @initialize(content=st.lists(st.tuples(PLACES, DICTS), max_size=3))
    def fill(self, content: list[tuple[str, dict[str, Any]]]) -> None:
        """Begin with something: most operations do their interesting work on what is there."""
        for place, mapping in content:
            self.from_dict(place, mapping)

    # ------------------------------------------------------------------ writing

    @rule(place=PLACES, names=PATHS, value=VALUES, ttl=TTLS, overwrite=st.booleans(), via=st.integers(0, 3))
    def set(self, *, place: str, names: Names, value: Any, ttl: Any, overwrite: bool, via: int) -> None:
        ttl = self.fit(ttl)
        memory, model = self.at(place)
        # Through a handle on the way, which may not be there.
        via = min(via, len(names) - 1)
        handle, path = memory._child(*names[:via]), join(names[via:])
        conflict = model.value_above(names) or isinstance(model.find(names), Object)
        if conflict and not overwrite:
            with pytest.raises(shoal.PathConflict):
                handle.set(path, value, **self.keywords(ttl))
            return
        ref = handle.set(path, value, overwrite=overwrite, **self.keywords(ttl))
        assert ref.path == join((*memory._names, *names))
        self.written(place, names, value, ttl)
        found = model.find(names)
        assert isinstance(found, Value)
        assert ref.version == found.version
        assert (ref.expires is None) == (found.deadline is None)

    @rule(place=PLACES, names=PATHS, ttl=TTLS, overwrite=st.booleans())
    def new_object(self, *, place: str, names: Names, ttl: Any, overwrite: bool) -> None:
        ttl = self.fit(ttl)
        memory, model = self.at(place)
        old = model.find(names)
        if not overwrite and (model.value_above(names) or isinstance(old, Value)):
            with pytest.raises(shoal.PathConflict):
                memory.new_object(join(names), **self.keywords(ttl))
            return
        assert memory.new_object(join(names), overwrite, **self.keywords(ttl)) == memory._child(*names)
        if overwrite or not isinstance(old, Object):
            model.put(names, Object(deadline=self.deadline(place, ttl)))
        else:
            old.made = False

    @rule(place=PLACES, names=PATHS, value=VALUES, ttl=TTLS, off=st.sampled_from([0, 0, 1]))
    def compare_and_set(self, *, place: str, names: Names, value: Any, ttl: Any, off: int) -> None:
        ttl = self.fit(ttl)
        memory, model = self.at(place)
        old = model.find(names)
        keywords = {"ttl": KEEP} if off else self.keywords(ttl)
        if isinstance(old, Object) or (old is None and model.value_above(names)):
            with pytest.raises(shoal.PathConflict):
                memory.compare_and_set(join(names), value, 0, **keywords)
            return
        version = old.version if isinstance(old, Value) else 0
        assert not memory.compare_and_set(join(names), value, version + 10**6, **keywords)
        assert memory.compare_and_set(join(names), value, version, **keywords)
        self.written(place, names, value, "keep" if off else ttl)

    @rule(place=PLACES, names=PATHS, ttl=TTLS)
    def incr(self, place: str, names: Names, ttl: Any) -> None:
        ttl = self.fit(ttl)
        memory, model = self.at(place)
        old = model.find(names)
        if isinstance(old, Object) or (old is None and model.value_above(names)):
            with pytest.raises(shoal.PathConflict):
                memory.incr(join(names), 2, **self.keywords(ttl))
        elif isinstance(old, Value) and type(old.value) is not int:
            with pytest.raises(shoal.InvalidValue):
                memory.incr(join(names), 2, **self.keywords(ttl))
        else:
            expected = 2 + (old.value if isinstance(old, Value) else 0)
            assert memory.incr(join(names), 2, **self.keywords(ttl)) == expected
            self.written(place, names, expected, "keep" if ttl == "default" else ttl)

    @rule(place=PLACES, names=PATHS, value=VALUES)
    def modify(self, place: str, names: Names, value: Any) -> None:
        memory, model = self.at(place)
        old = model.find(names)
        if isinstance(old, Object) or (old is None and model.value_above(names)):
            with pytest.raises(shoal.PathConflict):
                memory.modify(join(names), lambda _: value, default=0)
            return
        expected = [old.value if isinstance(old, Value) else "none", value]
        assert memory.modify(join(names), lambda found: [found, value], default="none") == expected
        self.written(place, names, expected, "keep")

    @rule(place=PLACES, names=PATHS, ttl=TTLS)
    def touch(self, place: str, names: Names, ttl: Any) -> None:
        ttl = self.fit(ttl)
        assume(ttl != "default")
        memory, model = self.at(place)
        found = model.find(names)
        assert memory.touch(join(names), ttl) == (found is not None)
        if found is not None:
            found.deadline = self.deadline(place, ttl)

    # ------------------------------------------------------------------ whole subtrees

    @rule(place=PLACES, names=st.lists(NAMES, max_size=2).map(tuple), mapping=DICTS)
    def update(self, place: str, names: Names, mapping: dict[str, Any]) -> None:
        memory, model = self.at(place)
        handle = memory._child(*names)

        def conflicts(above: Names, fields: dict[str, Any]) -> bool:
            for name, value in fields.items():
                found = model.find((*above, name))
                if found is not None and isinstance(found, Object) != isinstance(value, dict):
                    return True
                if isinstance(value, dict) and conflicts((*above, name), value):
                    return True
            return False

        def merge(above: Names, fields: dict[str, Any]) -> None:
            for name, value in fields.items():
                if not isinstance(value, dict):
                    self.written(place, (*above, name), value, "default")
                else:
                    found = model.find((*above, name))
                    if not isinstance(found, Object):
                        model.put((*above, name), Object(made=bool(value)))
                    elif not value:
                        found.made = False
                    merge((*above, name), value)

        if mapping and (model.value_above((*names, "")) or conflicts(names, mapping)):
            with pytest.raises(shoal.PathConflict):
                handle.update(mapping)
            return
        handle.update(mapping)
        merge(names, mapping)

    @rule(place=PLACES, mapping=DICTS)
    def from_dict(self, place: str, mapping: dict[str, Any]) -> None:
        memory, model = self.at(place)
        memory.from_dict(mapping)

        def become(above: Names, fields: dict[str, Any]) -> None:
            here = model.find(above)
            assert isinstance(here, Object)
            here.fields = {name: old for name, old in here.fields.items() if name in fields}
            for name, value in fields.items():
                if not isinstance(value, dict):
                    self.written(place, (*above, name), value, "default")
                else:
                    if not isinstance(here.fields.get(name), Object):
                        model.put((*above, name), Object(made=bool(value)))
                    become((*above, name), value)

        become((), mapping)

    @rule(place=PLACES, names=PATHS)
    def delete(self, place: str, names: Names) -> None:
        memory, model = self.at(place)
        found, above = model.find(names), model.find(names[:-1])
        assert memory.delete(join(names)) == (found is not None)
        if found is not None:
            assert isinstance(above, Object)
            del above.fields[names[-1]]

    @rule(place=PLACES, names=st.lists(NAMES, max_size=2).map(tuple))
    def clear(self, place: str, names: Names) -> None:
        memory, model = self.at(place)
        memory._child(*names).clear()
        found = model.find(names)
        if isinstance(found, Object):
            found.fields.clear()

    @rule()
    def drop(self) -> None:
        assert self.store.drop_namespace("fading")
        self.fading.close()
        self.fading = self.store.namespace("fading", ttl=FOREVER)
        self.memories["fading"] = self.fading.memory("x.y")
        self.models["fading"] = Object()

    # ------------------------------------------------------------------ time

    @precondition(lambda self: self.injected)
    @rule(seconds=st.sampled_from([0.25, 0.5, 1, 2.5, FOREVER / 2, FOREVER]))
    def advance(self, seconds: float) -> None:
        self.clock.now += seconds

    @precondition(lambda self: not self.injected)
    @rule(place=PLACES, names=PATHS)
    def outlive(self, place: str, names: Names) -> None:
        memory, model = self.at(place)
        found = model.find(names)
        assert memory.touch(join(names), 0.002) == (found is not None)
        self.backend.outlive(memory, join(names))
        self.store.stats()  # counting sweeps: what was made for this field alone goes now
        if found is not None:
            found.deadline = self.clock.now
            model.expire(self.clock.now)

    # ------------------------------------------------------------------ reading

    @rule(place=PLACES, names=PATHS)
    def read(self, place: str, names: Names) -> None:
        memory, model = self.at(place)
        path, found = join(names), model.find(names)
        assert (path in memory) == memory.is_exist(path) == (found is not None)
        assert sorted(memory._fields(path)) == (
            sorted((name, isinstance(below, Object)) for name, below in found.fields.items())
            if isinstance(found, Object)
            else []
        )
        if found is None:
            assert memory.get(path, "default") == "default"
            for call in (memory.__getitem__, memory.get_versioned, memory.ttl, memory.metadata):
                with pytest.raises(shoal.KeyNotFound):
                    call(path)
            return
        left, meta = memory.ttl(path), memory.metadata(path)
        assert (left is None) == (meta.expires_at is None) == (found.deadline is None)
        if left is not None and found.deadline is not None:
            assert left == pytest.approx(found.deadline - self.clock.now, abs=1e-6 if self.injected else 120)
        if isinstance(found, Object):
            assert memory.get(path) == memory[path] == memory._child(*names)
            assert memory.get(path).to_dict() == found.to_dict()
            assert memory.get(path).get_field_names() == sorted(map(escape, found.fields))
            assert meta.type == "object"
        else:
            assert memory.get(path) == memory[path] == found.value
            assert memory.get_versioned(path) == (found.value, found.version)
            assert memory.get(
                shoal.MemoryRef(join((*memory._names, *names)), memory.namespace_name, kind=memory.kind)
            ) == (found.value)

    @invariant()
    def holds_the_same(self) -> None:
        for place in self.memories:
            memory, model = self.at(place)
            assert memory.to_dict() == model.to_dict()
        assert len(self.store) == len(self.fading) == 0
        assert all(one.entries == 0 for one in self.store.stats().namespaces.values())


def test_any_sequence_of_operations_does_what_nested_dicts_would(backend: Backend) -> None:
    run_state_machine_as_test(
        lambda: MemoryMachine(backend),
        settings=settings(
            max_examples=60,
            stateful_step_count=50,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
