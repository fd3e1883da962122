"""Commands about stores: ls, stat, rm, gc."""

from __future__ import annotations

import dataclasses
import pwd
from datetime import datetime
from typing import TYPE_CHECKING, Any

import shoal
from shoal.errors import StoreNotFound
from shoal.options import parse_options

from .common import Commands, command, open_existing, target
from .output import human_age, human_size, note, print_json, print_table

if TYPE_CHECKING:
    import argparse

    from shoal.records import NamespaceStats

__all__ = ["describe_arena", "owner_name", "register"]


def register(commands: Commands) -> None:
    """Add the commands."""
    parser = command(commands, "ls", _list, "list the stores in shared memory, or the namespaces of one", store=False)
    parser.add_argument(
        "store", metavar="STORE", nargs="?", type=target, help="name or URL of the store whose namespaces to list"
    )
    parser.set_defaults(namespace="default")

    parser = command(commands, "stat", _stat, "print what a store holds and did, or the metadata of an entry")
    parser.add_argument("key", nargs="?", help="an entry, instead of the store")

    parser = command(commands, "rm", _remove, "remove stores with all they hold", store=False)
    parser.add_argument("stores", metavar="STORE", nargs="+", type=target, help="name or URL of a store")
    parser.add_argument("-f", "--force", action="store_true", help="even if processes use it")

    command(commands, "gc", _collect, "remove stores that processes left behind when they died", store=False)


def owner_name(uid: int) -> str:
    """Return the name of a user, or the number of one who has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def describe_arena(info: Any) -> dict[str, Any]:
    """Return what is known about an arena without opening it, for JSON."""
    return {
        "name": info.name,
        "capacity": info.capacity,
        "memory": info.committed,
        "owner": owner_name(info.uid),
        "uid": info.uid,
        "mode": f"{info.mode:04o}",
        "persist": info.persist,
        "ready": info.ready,
        "alive": info.alive,
    }


def _state(arena: dict[str, Any]) -> str:
    if not arena["ready"]:
        return "unreadable"
    if arena["alive"]:
        return "in use"
    return "at rest" if arena["persist"] else "left behind"


def _list(arguments: argparse.Namespace) -> int:
    if arguments.store is not None:
        return _list_namespaces(arguments)
    arenas = [describe_arena(info) for info in sorted(shoal.list_arenas(), key=lambda info: info.name)]
    if arguments.json:
        print_json(arenas)
        return 0
    if not arenas:
        note("no stores")
        return 0
    rows = [
        (
            arena["name"],
            human_size(arena["memory"]),
            human_size(arena["capacity"]),
            arena["owner"],
            arena["mode"],
            "yes" if arena["persist"] else "no",
            _state(arena),
        )
        for arena in arenas
    ]
    print_table(("name", "memory", "capacity", "owner", "mode", "persists", "state"), rows, numbers=(1, 2))
    return 0


def _list_namespaces(arguments: argparse.Namespace) -> int:
    with open_existing(arguments) as store:
        spaces = store.stats().namespaces
    if arguments.json:
        print_json([{"name": name, **dataclasses.asdict(spaces[name])} for name in sorted(spaces)])
        return 0
    rows = [(name, *_space_cells(spaces[name])) for name in sorted(spaces)]
    headings = ("namespace", "entries", "bytes", "max keys", "ttl", "eviction", "fields", "of bytes")
    print_table(headings, rows, numbers=(1, 2, 3, 6, 7))
    return 0


def _space_cells(space: NamespaceStats) -> tuple[object, ...]:
    limit = space.max_keys or "any"
    settings = limit, human_age(space.ttl), space.eviction
    return space.entries, human_size(space.bytes), *settings, space.fields, human_size(space.field_bytes)


def _stat(arguments: argparse.Namespace) -> int:
    with open_existing(arguments) as store:
        if arguments.key is not None:
            fields = dataclasses.asdict(store.metadata(arguments.key))
        else:
            fields = {"url": store.url, **dataclasses.asdict(store.stats())}
    if arguments.json:
        print_json({name: _plain(value) for name, value in fields.items()})
        return 0
    spaces = fields.pop("namespaces", None)
    rows = [(name.replace("_", " "), _shown(name, value)) for name, value in fields.items()]
    if spaces is not None:
        reads = fields["hits"] + fields["misses"]
        rows.append(("hit ratio", f"{fields['hits'] / reads:.1%}" if reads else "no reads"))
        rows.append(("namespaces", len(spaces)))
    print_table(("what", "value"), rows, numbers=(1,))
    return 0


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _shown(name: str, value: Any) -> object:
    if isinstance(value, datetime):
        return value.astimezone().isoformat(sep=" ", timespec="milliseconds")
    if name in ("capacity", "used", "committed", "pinned", "size") and isinstance(value, int):
        return human_size(value) if value else "any" if name == "capacity" else "0 B"
    return "never" if value is None else value


def _remove(arguments: argparse.Namespace) -> int:
    removed: list[str] = []
    refused: list[str] = []
    for store in arguments.stores:
        done = removed if arguments.force or not _in_use(store) else refused
        if done is removed:
            _destroy(store)
        done.append(store)
    if arguments.json:
        print_json({"removed": removed, "refused": refused})
    for store in refused:
        note(f"{store} is in use; --force removes it (who has it open keeps what it held until they close it)")
    return 1 if refused else 0


def _in_use(store: str) -> bool:
    """Whether some process has the store open, as far as can be told."""
    options = parse_options(store)
    if options.scheme != "shm":
        return True  # nobody can tell
    for info in shoal.list_arenas():
        if info.name == options.name:
            return bool(info.alive)
    raise StoreNotFound(f"there is no store {store!r}", name=store)


def _destroy(store: str) -> None:
    options = parse_options(store)
    if options.scheme == "shm" and options.name is not None:
        shoal.destroy(options.name)  # without opening it: it may be damaged
    else:
        shoal.open(store, "w").destroy()


def _collect(arguments: argparse.Namespace) -> int:
    removed = shoal.gc()
    if arguments.json:
        print_json({"removed": removed})
    else:
        for name in removed:
            print(name)
        if not removed:
            note("nothing to remove")
    return 0
