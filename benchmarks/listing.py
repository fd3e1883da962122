"""What concerns many keys: a small namespace of a large store, many keys in one call, keys that expire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contenders import Lmdb, Shoal, Sqlite

from shoal.bench.points import BULK, VALUES, key
from shoal.bench.timers import along, single

if TYPE_CHECKING:
    from collections.abc import Callable

    Works = dict[str, Callable[[], float]]

VALUE = VALUES["str"]
SMALL = 1_000
STORES = {store.name: store for store in (Shoal, Lmdb, Sqlite)}


def prepare_namespaces(store: Any, options: dict[str, Any]) -> Works:
    """List 1,000 keys of many. Where there are no namespaces, a prefix is one."""
    for first in range(0, options["keys"], BULK):
        store.load([(key(i), VALUE) for i in range(first, min(first + BULK, options["keys"]))])
    if isinstance(store, Shoal):
        small = store.store.namespace("small")
        small.set_many({key(i): VALUE for i in range(SMALL)})
        many = [key(i) for i in range(0, options["keys"], max(1, options["keys"] // SMALL))][:SMALL]
        entries = dict.fromkeys(many, VALUE)
        get, put, get_many, set_many = store.store.get, store.store.set, store.store.get_many, store.store.set_many

        def loop_get() -> dict[str, Any]:  # what get_many gives
            return {name: get(name) for name in many}

        def loop_set() -> None:
            for name, value in entries.items():
                put(name, value)

        others = [store.store.namespace(f"other-{i}") for i in range(100)]
        for other in others:
            other.set("key", VALUE)
        listed = small.list_keys
        works = {
            "get, 1,000 in a loop": single(loop_get, times=20),
            "get_many of 1,000": single(get_many, many, times=20),
            "set, 1,000 in a loop": single(loop_set, times=20),
            "set_many of 1,000": single(set_many, entries, times=20),
            "list 100 namespaces": single(store.store.namespaces, times=20),
            "len": single(lambda: len(small), times=20),
        }
    else:
        store.load([(f"small:{i:08d}", VALUE) for i in range(SMALL)])
        works = {}
        listed = _lmdb_prefix(store) if isinstance(store, Lmdb) else _sqlite_prefix(store)
    if len(listed()) != SMALL:
        raise ValueError(f"{store.name} lists {len(listed())} keys")
    return {"list 1,000 keys": single(listed, times=20), **works}


def _lmdb_prefix(store: Lmdb) -> Callable[[], list[str]]:
    def listed() -> list[str]:
        found = []
        with store.env.begin() as transaction:
            cursor = transaction.cursor()
            cursor.set_range(b"small:")
            for name in cursor.iternext(values=False):
                if not name.startswith(b"small:"):
                    break
                found.append(name.decode())
        return found

    return listed


def _sqlite_prefix(store: Sqlite) -> Callable[[], list[str]]:
    query = "select key from entries where key >= 'small:' and key < 'small;'"
    return lambda: [row[0] for row in store.connection.execute(query)]


def prepare_expiry(shoal: Shoal, options: dict[str, Any]) -> Works:
    """Reads and writes while entries expire: each round leaves as many that are about to as there are keys."""
    store, count = shoal.store, min(options["keys"], 100_000)
    names = [key(i) for i in range(count)]
    store.set_many(dict.fromkeys(names, VALUE))
    dying = [f"dying:{i:06d}" for i in range(count)]

    def expiring(timed: Callable[[], float]) -> Callable[[], float]:
        def run() -> float:
            store.set_many(dict.fromkeys(dying, VALUE), ttl=0.001)
            return timed()

        return run

    def with_ttl(name: str) -> None:
        store.set(name, VALUE, ttl=60)

    return {
        "set": along(store.set, names, VALUE),
        "set with ttl": along(with_ttl, names),
        "get": along(store.get, names),
        "get, beside expired ones": expiring(along(store.get, names)),
        "get of expired ones": expiring(along(store.get, dying)),
        "set over expired ones": expiring(along(store.set, dying, VALUE)),
    }
