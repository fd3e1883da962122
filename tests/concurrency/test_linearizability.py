"""Concurrent histories of the store have a linearization; those of a store that is broken do not, and that is noticed."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import shoal
from shoal.testing.history import Name, Result
from shoal.testing.linearizability import SIZE, Round, run
from shoal.testing.linearizable import by_key, check

if TYPE_CHECKING:
    from shoal.testing.history import Operation

ROOT = Path(__file__).parents[2]


def violations(history: list[Operation]) -> int:
    return sum(check(operations).linearizable is False for operations in by_key(history).values())


def test_histories_of_the_store_are_linearizable() -> None:
    said: list[str] = []
    figures = run(seed=1, seconds=5, processes=4, say=said.append)
    assert (figures.violations, figures.undecided) == ([], 0), said
    assert figures.operations > 1000
    assert figures.stops > 10


def test_a_history_has_every_call_and_answers_of_all_kinds(name: str) -> None:
    """Else the other tests would show little."""
    with shoal.open(name, "n", size=SIZE, timeout=60) as store:
        history = Round(store, random.Random(2)).record(1.5, 4, disturbed=True)
    assert {operation.call.name for operation in history} == set(Name)
    assert {operation.outcome.result for operation in history} >= {*Result} - {Result.TORN, Result.UNKNOWN}
    assert len({operation.process for operation in history}) >= 4
    assert len(by_key(history)) > 10


BETWEEN = 0.0003
"""Seconds between two steps that should be one: a store of that kind takes its time."""


class Careless:
    """A store whose calls are right one after the other, and not at once."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class CarelessCounter(Careless):
    def incr(self, key: str, by: int, **options: Any) -> int:
        self._store.incr(key, 0)  # refuses what is no number
        found = self._store.get(key, 0)
        if type(found) is not int:
            raise shoal.InvalidValue("no number", key=key)
        number = found + by
        time.sleep(BETWEEN)
        self._store.set(key, number, **options)
        return int(number)


class CarelessComparison(Careless):
    def compare_and_set(self, key: str, value: Any, version: int, **options: Any) -> bool:
        try:
            found = self._store.get_versioned(key)[1]
        except shoal.KeyNotFound:
            found = 0
        time.sleep(BETWEEN)
        if found == version:
            self._store.set(key, value, **options)
        return bool(found == version)


class CarelessReader(Careless):
    """Remembers what it has read."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self._cache: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        if len(self._cache) > 3:
            self._cache.clear()
        return self._cache.setdefault(key, self._store.get(key))


@pytest.mark.parametrize("careless", [CarelessCounter, CarelessComparison, CarelessReader])
def test_a_store_that_is_not_atomic_is_caught(name: str, careless: type[Careless]) -> None:
    with shoal.open(name, "n", size=SIZE, timeout=60) as store:
        broken: Any = careless(store)
        for seed in range(20):
            history = Round(broken, random.Random(seed)).record(0.5, 4, disturbed=True)
            if violations(history):
                return
    raise AssertionError("not noticed")


BREAKS = {
    "readers do not validate what they copied": (
        "csrc/read.h",
        "return seq_of(load_relaxed(&head->word)) != seq_of(before);",
        "return (void)head, (void)before, false;",
    ),
    "writers do not look at the deadline again": (
        "csrc/table.h",
        "if (likely(!entry_expired(p->b, &p->e)))\n        return true;",
        "return true;",
    ),
    "a comparison is not made under the lock": (
        "csrc/write.c",
        "return (x->found ? x->at.e.version : 0) == x->args.version ? SHOAL_OK : SHOAL_CONFLICT;",
        "return SHOAL_OK;",
    ),
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what the extension is built from, to be broken."""
    if not (ROOT / "csrc").is_dir() or not (ROOT / "setup.py").exists():
        pytest.skip("the sources are not here")
    pytest.importorskip("Cython", reason="building the extension takes Cython")
    place = tmp_path_factory.mktemp("broken")
    for folder in ("csrc", "src"):
        shutil.copytree(ROOT / folder, place / folder, ignore=shutil.ignore_patterns("*.so", "examples", "__pycache__"))
    for file in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, place)
    return place


@pytest.mark.stress
@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_build_is_caught(sources: Path, name: str) -> None:
    """One line of the core is changed, the extension built from that, and the command run on it."""
    file, line, instead = BREAKS[name]
    text = (sources / file).read_text()
    assert text.count(line) == 1
    (sources / file).write_text(text.replace(line, instead))
    try:
        environment = {**os.environ, "SHOAL_DEBUG": "1", "PYTHONPATH": str(sources / "src")}
        build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
        subprocess.run(build, cwd=sources, env=environment, check=True, capture_output=True)
        command = [sys.executable, "-m", "shoal.testing.linearizability", "--seconds", "60", "--seed", "1", "--first"]
        ran = subprocess.run(command, cwd=sources, env=environment, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (1, ""), ran.stdout
        assert "one of those marked had to be next" in ran.stdout
    finally:
        (sources / file).write_text(text)
