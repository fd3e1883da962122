"""Tests with several real processes. Each test gets a `crew`, which ends them all and checks that nothing stays."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# For children that are spawned, too: multiprocessing hands the path on.
sys.path.insert(0, str(Path(__file__).parent))

from processes import Crew, segment

import shoal

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def crew() -> Iterator[Crew]:
    """Return the test's processes and store names."""
    with Crew() as made:
        yield made


@pytest.fixture
def name(crew: Crew) -> str:
    """Return a store name that nobody else uses."""
    return crew.name()


@pytest.fixture
def store(name: str) -> Iterator[shoal.Store]:
    """Return an empty store of one shard, so that all its writers contend for one lock."""
    with shoal.open(name, size="16MiB") as opened:
        yield opened
    assert not segment(name).exists()
