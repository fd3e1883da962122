"""What tests of several drop-ins share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# For children that are spawned, too: multiprocessing hands the path on.
sys.path.insert(0, str(Path(__file__).parents[1] / "concurrency"))
sys.path.insert(0, str(Path(__file__).parent))

from processes import Crew

import shoal

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def crew() -> Iterator[Crew]:
    """Return the test's processes and store names; at its end nothing of either may be left."""
    with Crew() as made:
        yield made


# ---------------------------------------------------------------------- of Agno


@pytest.fixture(params=["agno", "ours"])
def db(request: pytest.FixtureRequest, store: shoal.Store) -> Iterator[Any]:
    """Return Agno's own database, whose rules the tests restate, and ours over each kind of store."""
    from agno_dbs import database

    made = database(request.param, store)
    yield made
    if request.param == "ours":
        made.close()


@pytest.fixture
def ours(store: shoal.Store) -> Iterator[Any]:
    """Return our database over each kind of store."""
    from agno_dbs import database

    made = database("ours", store)
    yield made
    made.close()


# ---------------------------------------------------------------------- of OmAgent


@pytest.fixture
def own_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[shoal.Store]:
    """Return the store of all STMs without a URL, for this test alone."""
    from shoal.adapters import omagent

    with shoal.open(None, size="64MiB") as store:
        monkeypatch.setattr(omagent, "_program", store)
        yield store
