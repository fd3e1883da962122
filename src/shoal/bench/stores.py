"""The contenders that need nothing but this package, and LMDB if it is there."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from .contender import PLAIN, Contender, allocated, codec, object_bytes, remove, scratch, server_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["ALL", "Dict", "InFolder", "Lmdb", "Manager", "Shoal", "Sqlite"]


class Dict(Contender):
    """A plain dict of one process: it shares nothing, and hands out references."""

    name = "dict"
    shared = False

    def open(self, keys: int, payload: int = 0) -> None:
        self.data: dict[str, Any] = {}
        self.get, self.set = self.data.get, self.data.__setitem__
        self.delete, self.contains = self.data.__delitem__, self.data.__contains__
        self.view = self.data.get

    def used(self) -> int:
        return object_bytes(self.data)


class Shoal(Contender):
    """This library."""

    name = "shoal"
    modules = ("shoal",)

    def open(self, keys: int, payload: int = 0) -> None:
        import shoal

        self.store = shoal.open(size=(256 << 20) + 400 * keys + 4 * payload)
        self._bind()

    @property
    def handle(self) -> Any:
        return self.store

    def attach(self, handle: Any) -> None:
        self.store = handle
        self._bind()

    def _bind(self) -> None:
        store = self.store
        self.get, self.set, self.delete, self.contains = store.get, store.set, store.delete, store.__contains__
        self.incr, self.view = store.incr, store.view

    def load(self, items: Iterable[tuple[str, Any]]) -> None:
        self.store.set_many(dict(items))

    def used(self) -> int:
        import shoal

        # The pages that it occupies, not the bytes in them that are in use.
        return next(info.committed for info in shoal.list_arenas() if info.name == self.store.name)

    def close(self) -> None:
        self.store.close()


class Lmdb(Contender):
    """LMDB in shared memory, without syncing. It holds bytes: values pass through MessagePack."""

    name = "lmdb"
    package = "lmdb"
    modules = ("lmdb", "msgspec.msgpack")
    kinds = PLAIN
    max_value = 1 << 31

    def open(self, keys: int, payload: int = 0) -> None:
        import lmdb  # noqa: F401 - before a folder is made for it

        self.path, self.mine = scratch(), True
        self.size = (256 << 20) + 600 * keys + 8 * payload
        self._bind()

    @property
    def handle(self) -> Any:
        return self.path, self.size

    def attach(self, handle: Any) -> None:
        self.path, self.size = handle
        self.mine = False
        self._bind()

    def _bind(self) -> None:
        import lmdb

        self.env = lmdb.open(
            str(self.path), map_size=self.size, sync=False, metasync=False, writemap=True, readahead=False
        )
        begin = self.env.begin
        _, encode, decode = codec()
        self.encode = encode

        # Without "with": that takes 150 ns more.
        def get(key: str) -> Any:
            transaction = begin()
            data = transaction.get(key.encode())
            transaction.abort()
            return None if data is None else decode(data)

        def contains(key: str) -> bool:
            transaction = begin()
            data = transaction.get(key.encode())
            transaction.abort()
            return data is not None

        def put(key: str, value: Any) -> None:
            transaction = begin(write=True)
            transaction.put(key.encode(), encode(value))
            transaction.commit()

        def delete(key: str) -> None:
            transaction = begin(write=True)
            transaction.delete(key.encode())
            transaction.commit()

        def incr(key: str) -> None:
            with begin(write=True) as transaction:
                data = transaction.get(key.encode())
                transaction.put(key.encode(), encode(1 if data is None else decode(data) + 1))

        def view(key: str) -> Any:  # what is packed, where it lies; it is valid as long as the transaction
            transaction = begin(buffers=True)
            return transaction, transaction.get(key.encode())

        self.get, self.set, self.delete, self.contains, self.incr = get, put, delete, contains, incr
        self.view = view

    def load(self, items: Iterable[tuple[str, Any]]) -> None:
        with self.env.begin(write=True) as transaction:
            for key, value in sorted(items):
                transaction.put(key.encode(), self.encode(value))

    def used(self) -> int:
        return int((self.env.info()["last_pgno"] + 1) * self.env.stat()["psize"])

    def close(self) -> None:
        self.env.close()
        if self.mine:
            remove(self.path)


class InFolder(Contender):
    """One that keeps files in a folder: `_bind` opens them, and binds the functions."""

    path: Path
    mine: bool

    def open(self, keys: int, payload: int = 0) -> None:
        self.path, self.mine = scratch(), True
        self._bind()

    @property
    def handle(self) -> Any:
        return self.path

    def attach(self, handle: Any) -> None:
        self.path, self.mine = handle, False
        self._bind()

    def _bind(self) -> None:
        raise NotImplementedError


class Sqlite(InFolder):
    """SQLite in shared memory, with a write-ahead log and without syncing. Values pass through MessagePack."""

    name = "sqlite3"
    modules = ("sqlite3", "msgspec.msgpack")
    kinds = PLAIN
    max_value = 1 << 30

    def _bind(self) -> None:
        self.connection = sqlite3.connect(self.path / "data", isolation_level=None, timeout=30)
        run = self.connection.execute
        for pragma in ("journal_mode=wal", "synchronous=off", "mmap_size=4294967296"):
            run(f"pragma {pragma}")
        run("create table if not exists entries (key text primary key, value blob) without rowid")
        _, encode, decode = codec()
        self.encode = encode

        def get(key: str) -> Any:
            row = run("select value from entries where key = ?", (key,)).fetchone()
            return None if row is None else decode(row[0])

        def contains(key: str) -> bool:
            return run("select 1 from entries where key = ?", (key,)).fetchone() is not None

        def put(key: str, value: Any) -> None:
            run("insert or replace into entries values (?, ?)", (key, encode(value)))

        def delete(key: str) -> None:
            run("delete from entries where key = ?", (key,))

        def incr(key: str) -> None:
            run("insert into entries values (?, 1) on conflict (key) do update set value = value + 1", (key,))

        self.get, self.set, self.delete, self.contains, self.incr = get, put, delete, contains, incr

    def load(self, items: Iterable[tuple[str, Any]]) -> None:
        rows = ((key, self.encode(value)) for key, value in items)
        self.connection.execute("begin")
        self.connection.executemany("insert or replace into entries values (?, ?)", rows)
        self.connection.execute("commit")

    def count(self, key: str) -> int:
        return int(self.connection.execute("select value from entries where key = ?", (key,)).fetchone()[0])

    def used(self) -> int:
        self.connection.execute("pragma wal_checkpoint(truncate)")
        return allocated(self.path)

    def close(self) -> None:
        self.connection.close()
        if self.mine:
            remove(self.path)


class Manager(Contender):
    """`multiprocessing.Manager().dict()`: a server process behind a socket."""

    name = "Manager().dict()"
    modules = ("multiprocessing.managers",)
    max_keys = 100_000

    def open(self, keys: int, payload: int = 0) -> None:
        import multiprocessing

        manager: Any = multiprocessing.get_context("spawn").Manager()
        self.manager = manager
        self.data, self.lock = self.manager.dict(), self.manager.Lock()
        self.pid = manager._process.pid  # nothing else tells its process
        self.empty = server_bytes(self.pid)
        self._bind()

    @property
    def handle(self) -> Any:
        import multiprocessing
        import pickle

        # A proxy may be pickled for whoever knows the key of its server.
        return bytes(multiprocessing.current_process().authkey), pickle.dumps((self.data, self.lock))

    def attach(self, handle: Any) -> None:
        import multiprocessing
        import pickle

        multiprocessing.current_process().authkey = handle[0]
        self.manager = None
        self.data, self.lock = pickle.loads(handle[1])
        self._bind()

    def _bind(self) -> None:
        data, lock = self.data, self.lock
        self.get, self.set, self.delete, self.contains = (
            data.get,
            data.__setitem__,
            data.__delitem__,
            data.__contains__,
        )

        def incr(key: str) -> None:
            with lock:
                data[key] = data.get(key, 0) + 1

        self.incr = incr

    def load(self, items: Iterable[tuple[str, Any]]) -> None:
        self.data.update(dict(items))

    def used(self) -> int:
        return server_bytes(self.pid) - self.empty

    def close(self) -> None:
        if self.manager:
            self.manager.shutdown()


ALL: dict[str, type[Contender]] = {store.name: store for store in (Dict, Shoal, Lmdb, Sqlite, Manager)}
"""By name."""
