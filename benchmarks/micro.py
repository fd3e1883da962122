"""The hot paths by the clock, with pytest-benchmark: python benchmarks/micro.py, and what pytest may be told.

The same paths that instructions.py counts. Each says also how many times a `dict.get` it takes, in the same loop and run:
that ratio may be compared between runs, times may not.
"""

from __future__ import annotations

import gc
import statistics
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hot_paths import CALIBRATION, FEW, MOST, paths

import shoal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hot_paths import Path

ROUNDS = MOST // FEW - 2
"""After one to warm up."""


@cache
def _names() -> list[str]:
    with shoal.open(size=64 << 20) as store:
        return [path.name for path in paths(store)]


@pytest.fixture(scope="module")
def prepared() -> Iterator[dict[str, Path]]:
    """All paths, on one store, without the collector: in their order, as some need what others have written."""
    with shoal.open(size=64 << 20) as store:
        gc.disable()
        yield {path.name: path for path in paths(store)}
        gc.enable()


@pytest.fixture(scope="module")
def calibration() -> list[float]:
    """What the `dict.get` took, once it was measured."""
    return []


@pytest.mark.parametrize("name", _names())
def test_path(name: str, prepared: dict[str, Path], calibration: list[float], benchmark: Any) -> None:
    path = prepared[name]
    benchmark.pedantic(path.run, (FEW,), rounds=ROUNDS, warmup_rounds=1)
    once = statistics.median(benchmark.stats.stats.data) / (FEW // path.rarer)
    if name == CALIBRATION:
        calibration.append(once)
    benchmark.extra_info["ns"] = round(once * 1e9, 1)
    if calibration:
        benchmark.extra_info["times a dict.get"] = round(once / calibration[0], 2)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "--benchmark-columns=median,iqr,ops", "--benchmark-sort=fullname", *sys.argv[1:]]))
