"""The stores that are measured: one class each, with native methods bound where there are any."""

from __future__ import annotations

import shutil
import tempfile
from typing import Any


class Dict:
    """A plain dict of one process: what shares nothing."""

    name = "dict"

    def open(self, keys: int) -> None:  # noqa: ARG002 - every store is told how many keys will come
        """Make the store."""
        self.data: dict[str, Any] = {}
        self.get, self.set, self.contains = self.data.get, self.data.__setitem__, self.data.__contains__

    def close(self) -> None:
        """Remove the store."""


class Shoal:
    """This library."""

    name = "shoal"

    def open(self, keys: int) -> None:
        """Make the store."""
        import shoal

        self.store = shoal.open(size=max(256 << 20, 400 * keys))
        self.get, self.set, self.contains = self.store.get, self.store.set, self.store.__contains__

    def close(self) -> None:
        """Remove the store."""
        self.store.close()


class Lmdb:
    """LMDB in shared memory, without syncing; values are raw bytes, so it pays for no codec."""

    name = "lmdb (raw bytes)"

    def open(self, keys: int) -> None:
        """Make the store."""
        import lmdb

        self.path = tempfile.mkdtemp(prefix="shoal-bench-", dir="/dev/shm")
        self.env = lmdb.open(self.path, map_size=max(256 << 20, 400 * keys), sync=False, metasync=False, writemap=True)
        begin = self.env.begin

        def get(key: str) -> bytes | None:
            with begin() as transaction:
                return transaction.get(key.encode())

        def put(key: str, value: str) -> None:
            with begin(write=True) as transaction:
                transaction.put(key.encode(), value.encode())

        self.get, self.set = get, put
        self.contains = lambda key: get(key) is not None

    def close(self) -> None:
        """Remove the store."""
        self.env.close()
        shutil.rmtree(self.path)


class Manager:
    """`multiprocessing.Manager().dict()`: a server process behind a socket."""

    name = "Manager().dict()"
    slow = True

    def open(self, keys: int) -> None:  # noqa: ARG002 - every store is told how many keys will come
        """Make the store."""
        import multiprocessing

        self.manager = multiprocessing.get_context("spawn").Manager()
        self.data = self.manager.dict()
        self.get, self.set, self.contains = self.data.get, self.data.__setitem__, self.data.__contains__

    def close(self) -> None:
        """Remove the store."""
        self.manager.shutdown()


ALL = {contender.name: contender for contender in (Dict, Shoal, Lmdb, Manager)}
