"""The parts of benchmarks/ that can be wrong without being slow: cache policies and the chart."""

from __future__ import annotations

import importlib
import itertools
import random
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Return an import of modules that lie in benchmarks/."""
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module


@pytest.fixture
def eviction(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("eviction")


@pytest.fixture
def traces(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("traces")


def best(trace: list[int], capacity: int) -> int:
    """Try every choice of a victim."""

    @cache
    def hits(at: int, kept: frozenset[int]) -> int:
        if at == len(trace):
            return 0
        key = trace[at]
        if key in kept:
            return 1 + hits(at + 1, kept)
        if len(kept) < capacity:
            return hits(at + 1, kept | {key})
        return max(hits(at + 1, kept - {victim} | {key}) for victim in kept)

    return hits(0, frozenset())


# Traces by hand, with room for two:             keeps  1    1 2  1 2  1 3  1 3
TRACE = [1, 2, 1, 3, 1, 2]


def test_policies_on_a_trace_by_hand(eviction: ModuleType) -> None:
    # LRU: 1 hits, 3 drops 2, 1 hits, 2 drops 3.
    assert eviction.lru(TRACE, 2) == 2
    # Nobody does better: 3 must come in, and 1 is used before 2.
    assert eviction.belady(TRACE, 2) == 2
    # Round and round through one key too many: LRU always drops what comes next, the best keeps one.
    circle = [1, 2, 3] * 4
    assert eviction.lru(circle, 2) == 0
    assert eviction.belady(circle, 2) == 5
    # SIEVE passes over 1, which was used, and drops 2.
    assert eviction.exact_sieve(TRACE, 2) == 2
    assert eviction.exact_sieve([1, 1, 2, 3, 1, 4, 1], 2) == 3
    assert eviction.lru([1, 1, 2, 3, 1, 4, 1], 2) == 2


def test_room_for_all_or_for_one(eviction: ModuleType) -> None:
    for policy in (eviction.lru, eviction.belady, eviction.exact_sieve, eviction.sieve):
        assert policy([1, 2, 3, 1, 2, 3, 3], 3) == 4
        assert policy([1, 1, 2, 2, 1], 1) == 2


def test_belady_is_the_best_there_is(eviction: ModuleType) -> None:
    chance = random.Random(5)
    for capacity, _ in itertools.product((1, 2, 3), range(40)):
        trace = [chance.randrange(6) for _ in range(14)]
        bound = eviction.belady(trace, capacity)
        assert bound == best(trace, capacity)
        assert eviction.lru(trace, capacity) <= bound
        assert eviction.exact_sieve(trace, capacity) <= bound


def test_the_stores_sieve_is_nearly_that_of_the_book(eviction: ModuleType, traces: ModuleType) -> None:
    # A list for each shard and hand, where there could be one: no more than a hundredth of the requests may be lost by it.
    trace = traces.zipf(5_000, 40_000, 3, 0.7)
    for capacity in (600, 1_200):
        book = eviction.exact_sieve(trace, capacity)
        assert abs(eviction.sieve(trace, capacity) - book) < 400
        assert book - eviction.lru(trace, capacity) > 1_500


def test_our_lru_is_that_of_cachetools(eviction: ModuleType, traces: ModuleType) -> None:
    pytest.importorskip("cachetools", reason="compares with an optional package")
    trace = traces.scans(500, 5_000)
    assert eviction.lru(trace, 50) == eviction.cachetools_lru(trace, 50)


def test_scans_are_of_keys_that_come_once(traces: ModuleType) -> None:
    trace = traces.scans(100, 10_000)
    scanned = [key for key in trace if key >= 100]
    assert len(trace) == 10_000
    assert len(scanned) == len(set(scanned)) == 2_000


def test_traces_of_real_programs_repeat_themselves_and_are_made_again_alike(traces: ModuleType) -> None:
    for made in (traces.words, traces.calls):
        trace = made(3_000)
        assert trace == made(3_000)
        assert len(trace) == 3_000
        assert set(trace) == set(range(len(set(trace))))  # numbered as they come
        assert 300 < len(set(trace)) < 2_000


def test_the_chart_has_a_bar_for_each_store(load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    chart = load("chart")
    results: dict[str, Any] = {
        "environment": {"processor": "Some <CPU> & more", "cores": 2, "python": "3.11", "date": "2030-01-01"},
        "points": [
            {
                "kind": "str",
                "keys": 10_000,
                "figures": [
                    {"contender": name, "work": "get", "median": median}
                    for name, median in (("shoal", 100.0), ("dict", 50.0), ("a <b>", 123_456.0))
                ],
            }
        ],
        "contention": {"figures": [{"contender": "shoal", "mode": "100 % reads", "per_second": [4e6, 5e6]}]},
    }
    chart.draw(results, tmp_path / "chart.svg")
    root = ET.parse(tmp_path / "chart.svg").getroot()
    texts = ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")]
    bars = [float(element.attrib["width"]) for element in root.iter() if element.tag.endswith("rect")]
    assert texts[1:7:2] == ["dict", "shoal", "a <b>"]  # from best to worst
    assert "123 \N{MICRO SIGN}s" in texts
    assert "9 M/s" in texts
    assert bars[0] < bars[1] < bars[2]
    assert "Some <CPU> & more" in texts[-1]
    chart.draw({"environment": {}}, tmp_path / "nothing.svg")
    assert not (tmp_path / "nothing.svg").exists()
