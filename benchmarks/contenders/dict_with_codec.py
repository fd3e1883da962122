"""A dict of one process whose values pass through MessagePack: what handing out copies costs."""

from __future__ import annotations

from typing import Any

from shoal.bench.contender import PLAIN, codec
from shoal.bench.stores import Dict


class DictWithCodec(Dict):
    """Shares nothing either."""

    name = "dict + msgpack"
    package = "msgspec"
    kinds = PLAIN

    def open(self, keys: int, payload: int = 0) -> None:
        super().open(keys, payload)
        data = self.data
        _, encode, decode = codec()
        find = data.get

        def get(key: str) -> Any:
            found = find(key)
            return None if found is None else decode(found)

        def put(key: str, value: Any) -> None:
            data[key] = encode(value)

        self.get, self.set, self.view = get, put, None
