"""With `flink-agents` installed: its own memory tests with our class in the place of its own, and its local runner."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest

import shoal
from shoal.adapters import flink_agents as adapter
from shoal.adapters.flink_agents import standalone

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("flink_agents.runtime.local_memory_object", reason="flink-agents is not installed")

# The runner imports the module of an agent by its name.

MODULES = ("test_local_memory_object", "test_memory_reference", "test_memory_value_validation")
TESTS = [
    (module, name)
    for module in MODULES
    for name in dir(importlib.import_module(f"flink_agents.runtime.tests.{module}"))
    if name.startswith("test_")
]
# These give the validation an object of the package's own class; it is no MemoryObject where there is no package.
OF_THE_PACKAGE = {"test_memory_object_value_suggests_new_object", "test_flink_set_raises_raw_type_error"}


def test_its_tests_are_found() -> None:
    assert len(TESTS) >= 23


@pytest.mark.parametrize("place", ["mapping", "memory", "shm"])
@pytest.mark.parametrize(("module", "name"), TESTS, ids=[name for _, name in TESTS])
def test_its_own(module: str, name: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its tests, with memory in the dict that it gives, or in a store in place of that."""
    tests = importlib.import_module(f"flink_agents.runtime.tests.{module}")
    with shoal.open(None if place == "shm" else "memory://") as store:
        if hasattr(tests, "LocalMemoryObject"):
            monkeypatch.setattr(tests, "LocalMemoryObject", adapter.LocalMemoryObject)
        if place != "mapping" and hasattr(tests, "create_memory"):
            monkeypatch.setattr(
                tests, "create_memory", lambda: adapter.LocalMemoryObject(adapter.MemoryType.SHORT_TERM, store)
            )
        getattr(tests, name)()


@pytest.mark.parametrize("name", [name for module, name in TESTS if "validation" in module])
def test_its_validation_without_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in OF_THE_PACKAGE:
        return
    tests = importlib.import_module("flink_agents.runtime.tests.test_memory_value_validation")
    monkeypatch.setattr(tests, "validate_memory_value", standalone.validate_memory_value)
    getattr(tests, name)()


def test_classes_are_those_of_the_package() -> None:
    from flink_agents.api.memory_object import MemoryObject, MemoryType
    from flink_agents.api.memory_reference import MemoryRef

    mem = adapter.LocalMemoryObject(MemoryType.SENSORY, {})
    assert isinstance(mem, MemoryObject)
    assert mem.set("a", 1) == MemoryRef.create(MemoryType.SENSORY, "a")
    assert adapter.MemoryRef is MemoryRef


# ---------------------------------------------------------------------- the local runner


@pytest.fixture
def runner() -> Any:
    return pytest.importorskip("flink_agents.runtime.local_runner", reason="pyflink is not installed")


@pytest.fixture(params=["memory", "shm"])
def store(request: pytest.FixtureRequest, runner: Any) -> Iterator[shoal.Store]:
    """Return a store in which the package's agents have their memory."""
    with shoal.open(None if request.param == "shm" else "memory://") as store:
        assert adapter.install(store) is store
        yield store
        adapter.uninstall()


def run(records: list[dict[str, Any]], settings: dict[str, Any] | None = None) -> list[Any]:
    """Run an agent of two actions, which pass a reference; what it gave for each record."""
    from flink_agents.plan.configuration import AgentConfiguration
    from flink_agents_agent import Counting

    runner = importlib.import_module("flink_agents.runtime.local_runner").LocalRunner(
        Counting(), AgentConfiguration(settings or {})
    )
    for record in records:
        runner.run(**record)
    return [output for outputs in runner.get_outputs() for output in outputs.items()]


def test_its_runner_has_memory_in_the_store(store: shoal.Store) -> None:
    records = [{"key": "ann", "value": "a"}, {"key": "bob", "value": "b"}, {"k": "ann", "v": "c"}, {"v": "d"}]
    outputs = run(records)
    assert [key for key, _ in outputs[:3]] == ["ann", "bob", "ann"]
    assert [output for _, output in outputs] == [["a", 1, []], ["b", 1, []], ["c", 2, []], ["d", 1, []]]
    assert store.memory("ann").to_dict() == {"stats": {"count": 2}}
    assert run([{"key": "ann", "value": "e"}]) == [("ann", ["e", 3, []])]  # another runner, the same memory


def test_its_runner_leaves_no_sensory_memory(store: shoal.Store) -> None:
    run([{"key": "ann", "value": "a"}])
    fields = store.stats().fields
    run([{"key": "ann", "value": value} for value in "bcd"])
    assert store.stats().fields == fields


def test_its_configuration_sets_the_ttl(store: shoal.Store) -> None:
    run([{"key": "ann", "value": "a"}])
    assert store.memory().ttl("ann.stats.count") is None
    run([{"key": "ann", "value": "a"}], {"short-term-memory.state-ttl.ms": 3_600_000})
    assert 3000 < (store.memory().ttl("ann.stats.count") or 0) <= 3600


def test_uninstalled_it_is_as_before(store: shoal.Store) -> None:
    adapter.install(store, ttl=5)
    adapter.uninstall()
    assert run([{"key": "ann", "value": "a"}]) == run([{"key": "ann", "value": "a"}]) == [("ann", ["a", 1, []])]
    assert store.memory().to_dict() == {}
