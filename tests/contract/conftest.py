"""Fixtures of the contract: what every backend has to do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import shoal

# The tests of this folder share modules.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(params=["root", "object", "run", "scope"])
def memory(request: pytest.FixtureRequest, store: shoal.Store) -> shoal.MemoryObject:
    """Return an empty memory of each kind: that of a namespace, an object in it, one of a run, and one of a scope."""
    if request.param == "scope":
        return store.scope(read=[r"agents.v1\\.2*"], write=[r"agents.v1\\.2", r"agents.v1\\.2.*"]).memory(
            r"agents.v1\.2"
        )
    if request.param == "run":
        return store._runs()._child(store._process_token(), "run 1")
    return store.memory("" if request.param == "root" else r"agents.v1\.2")
