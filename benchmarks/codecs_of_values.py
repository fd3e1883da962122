"""Values to bytes and back: Shoal's codec beside others, and what a whole set and get of the same value take."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import msgpack

from shoal import codec
from shoal.bench.contender import Contender
from shoal.bench.stores import Shoal
from shoal.bench.timers import each

if TYPE_CHECKING:
    from collections.abc import Callable

VALUES: dict[str, Any] = {
    "dict of 5": {"id": 12345, "name": "alice", "score": 3.25, "active": True, "tags": "a,b,c"},
    "messages": [
        {"role": "user", "content": "what is a shoal? " * 8, "tokens": 34, "meta": {"turn": i}} for i in range(20)
    ],
    "1,000 floats": [i / 7 for i in range(1_000)],
    "1,000 names": {f"name {i}": i for i in range(1_000)},
}
TIMES = 2_000


class Codec(Contender):
    """Two functions; a key is the value itself, or its bytes."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]

    def open(self, keys: int, payload: int = 0) -> None:
        """Nothing to open."""

    def calls(self, value: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
        encode, decode = self.encode, self.decode
        data = encode(value)
        return (lambda: encode(value)), (lambda: decode(data))

    def close(self) -> None:
        """Nothing to close."""


class Ours(Codec):
    name = "shoal.codec"

    def open(self, keys: int, payload: int = 0) -> None:
        self.encode, self.decode = codec.encode, codec.decode


class Msgspec(Codec):
    name = "msgspec.msgpack"
    package = "msgspec"

    def open(self, keys: int, payload: int = 0) -> None:
        import msgspec

        self.encode, self.decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode


class Msgpack(Codec):
    name = "msgpack"
    package = "msgpack"

    def open(self, keys: int, payload: int = 0) -> None:
        self.encode, self.decode = msgpack.packb, msgpack.unpackb


class Pickle(Codec):
    name = "pickle"

    def open(self, keys: int, payload: int = 0) -> None:
        self.encode, self.decode = (lambda value: pickle.dumps(value, 5)), pickle.loads


class Json(Codec):
    name = "json"

    def open(self, keys: int, payload: int = 0) -> None:
        self.encode, self.decode = (lambda value: json.dumps(value).encode()), json.loads


class Whole(Shoal):
    """Not only the codec: the value is in shared memory then, and comes from there."""

    name = "shoal, set and get"

    def calls(self, value: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
        put, get = self.set, self.get
        put("key", value)
        return (lambda: put("key", value)), (lambda: get("key"))


CODECS = {store.name: store for store in (Whole, Ours, Msgspec, Msgpack, Pickle, Json)}


def prepare(store: Any, options: dict[str, Any]) -> dict[str, Callable[[], float]]:
    """Encode and decode each value."""
    works = {}
    for name, value in VALUES.items():
        times = max(20, min(TIMES, options["budget"] // len(repr(value))))
        encode, decode = store.calls(value)
        works[f"{name}, in"] = each(encode, times)
        works[f"{name}, out"] = each(decode, times)
    return works
