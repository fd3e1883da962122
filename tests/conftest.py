"""Fixtures for all tests.

A test that takes `store`, or `backend` for more control, runs once per backend: on ``memory://``, the in-process
oracle, and on the arena as soon as its extension module is built. What it shows then holds for both.
"""

from __future__ import annotations

import os
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import pytest

import shoal

if TYPE_CHECKING:
    from collections.abc import Iterator

BACKENDS = ["memory", "arena"] if find_spec("shoal._core") else ["memory"]
SCHEMES = {"memory": "memory", "arena": "shm"}
SHARED_MEMORY = Path("/dev/shm")


class Backend:
    """Opens stores of one kind under names that nobody else uses, and leaves nothing behind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.prefix = f"test-{os.getpid()}-{uuid4().hex[:8]}"
        self._opened: list[shoal.Store] = []

    def name(self, name: str = "main") -> str:
        """Return the full name of the store that this test calls `name`."""
        return f"{self.prefix}-{name}"

    def url(self, name: str = "main") -> str:
        return f"{SCHEMES[self.kind]}://{self.name(name)}"

    def open(self, name: str = "main", flag: str = "c", **options: Any) -> shoal.Store:
        """Open a store; the same name means the same store."""
        return self.keep(shoal.open(self.url(name), flag, **options))

    def keep(self, store: shoal.Store) -> shoal.Store:
        """Close this store, too, when the test is over."""
        self._opened.append(store)
        return store

    def namespace(self, store: shoal.Store, name: str, **settings: Any) -> shoal.Store:
        return self.keep(store.namespace(name, **settings))

    def outlive(self, store: shoal.Store | shoal.MemoryObject, key: str) -> None:
        """Wait until the store, or the memory, itself says that the entry has expired."""
        while True:
            try:
                left = store.ttl(key)
            except shoal.KeyNotFound:
                return
            assert left is not None, "an entry that never expires"
            threading.Event().wait(left)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for store in reversed(self._opened):
            store.close()
        self._opened.clear()
        if self.kind == "arena":
            left = [path.name.removeprefix("shoal.") for path in SHARED_MEMORY.glob(f"shoal.{self.prefix}*")]
            for name in left:
                shoal.destroy(name)
            assert not left, "closing the last handle left the segment behind"


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Return a way to open stores of each kind."""
    with Backend(request.param) as made:
        yield made


@pytest.fixture
def store(backend: Backend) -> shoal.Store:
    """Return an empty store of each kind."""
    return backend.open()
