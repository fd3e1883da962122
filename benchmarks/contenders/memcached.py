"""memcached, with pymemcache: a client in Python that needs no library."""

from __future__ import annotations

import getpass
import os
from itertools import islice
from typing import TYPE_CHECKING, Any

from shoal.bench.contender import PLAIN, codec

from .server import Server, find

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class _Packed:
    """What pymemcache asks of a codec; numbers stay text, so that the server can count with them."""

    def __init__(self) -> None:
        _, self.encode, self.decode = codec()

    def serialize(self, key: bytes, value: Any) -> tuple[bytes, int]:
        return self.encode(value), 1

    def deserialize(self, key: bytes, value: bytes, flags: int) -> Any:
        return self.decode(value) if flags else int(value)


class Memcached(Server):
    """It holds bytes: values pass through MessagePack. A set waits for its answer, as with every other store."""

    name = "memcached"
    package = "pymemcache"
    modules = ("pymemcache.client.base", "msgspec.msgpack")
    kinds = PLAIN
    max_value = 60 << 20

    def program(self) -> str:
        return find("memcached")

    def require(self) -> None:
        import pymemcache  # noqa: F401

    def arguments(self, socket: Path) -> list[str]:
        user = ["-u", getpass.getuser()] if os.geteuid() == 0 else []  # as root it runs only if told so
        return [*user, "-s", str(socket), "-m", "8000", "-I", "64m", "-t", "2"]

    def connect(self, socket: str) -> None:
        from pymemcache.client.base import Client

        self.client = client = Client(socket, serde=_Packed(), no_delay=True, default_noreply=False)
        client.version()
        self.get, self.set, self.delete = client.get, client.set, client.delete
        find_bytes, add = client.get, client.incr
        self.contains = lambda key: find_bytes(key) is not None

        def incr(key: str) -> None:
            if add(key, 1) is None and client.raw_command(f"add {key} 0 0 1\r\n1") == b"NOT_STORED":
                add(key, 1)

        self.incr = incr

    def load(self, items: Iterable[tuple[str, Any]]) -> None:
        entries = iter(items)
        while some := dict(islice(entries, 1_000)):
            self.client.set_many(some, noreply=True)
