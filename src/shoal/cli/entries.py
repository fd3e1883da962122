"""Commands about entries: keys, get, set, del, ttl."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.errors import KeyNotFound
from shoal.options import DEFAULT

from .common import Commands, command, duration, open_existing, open_or_create, size
from .output import human_age, human_size, note, print_json, print_table, printable
from .values import jsonable, parse_value, print_value

if TYPE_CHECKING:
    import argparse

__all__ = ["register"]


def register(commands: Commands) -> None:
    """Add the commands."""
    parser = command(commands, "keys", _keys, "list the keys of a namespace")
    parser.add_argument("pattern", nargs="?", default="*", help="glob of the keys to list, such as 'user:*'")
    parser.add_argument("-l", "--long", action="store_true", help="with type, size, version and time to live")

    parser = command(commands, "get", _get, "print the value of a key")
    parser.add_argument("key")

    parser = command(
        commands,
        "set",
        _set,
        "write an entry",
        details="VALUE is read as JSON, or is a string where it is none. A store that does not exist is created.",
    )
    parser.add_argument("key")
    parser.add_argument("value", nargs="?", help="the value; '-' reads bytes from standard input")
    parser.add_argument("--file", type=Path, metavar="FILE", help="take the bytes of this file as the value")
    parser.add_argument("--str", dest="text", action="store_true", help="take the value as a string, whatever it is")
    parser.add_argument("--ttl", type=duration, default=DEFAULT, metavar="SECONDS", help="time to live, or 'never'")
    parser.add_argument("--size", type=size, help="capacity of a new store, such as 512MiB")
    condition = parser.add_mutually_exclusive_group()
    condition.add_argument("--add", action="store_true", help="only if there is no such entry")
    condition.add_argument("--replace", action="store_true", help="only if there is such an entry")
    parser.set_defaults(usage_error=parser.error)

    parser = command(commands, "del", _delete, "remove entries")
    parser.add_argument("keys", nargs="+", metavar="key")

    parser = command(commands, "ttl", _ttl, "print how long an entry still lives, or change that")
    parser.add_argument("key")
    parser.add_argument("seconds", nargs="?", type=duration, default=DEFAULT, help="new time to live, or 'never'")


def _keys(arguments: argparse.Namespace) -> int:
    with open_existing(arguments) as store:
        keys = store.list_keys(arguments.pattern)
        rows: list[dict[str, Any]] = []
        for key in keys if arguments.long else ():
            try:
                found, ttl = store.metadata(key), store.ttl(key)
            except KeyNotFound:  # removed, or expired, since it was listed
                continue
            rows.append({"key": key, "type": found.type, "size": found.size, "version": found.version, "ttl": ttl})
    if arguments.json:
        print_json(rows if arguments.long else keys)
    elif arguments.long:
        cells = [(r["type"], human_size(r["size"]), r["version"], human_age(r["ttl"]), r["key"]) for r in rows]
        print_table(("type", "size", "version", "expires in", "key"), cells, numbers=(1, 2))
    else:
        for key in keys:
            print(printable(key))
    return 0


def _get(arguments: argparse.Namespace) -> int:
    with open_existing(arguments) as store:
        value = store[arguments.key]
    if arguments.json:
        print_json(jsonable(value))
    else:
        print_value(value)
    return 0


def _set(arguments: argparse.Namespace) -> int:
    value = _value(arguments)
    with open_or_create(arguments) as store:
        version: int | None = None
        if arguments.add:
            done = store.add(arguments.key, value, ttl=arguments.ttl)
        elif arguments.replace:
            done = store.replace(arguments.key, value, ttl=arguments.ttl)
        else:
            version = store.set(arguments.key, value, ttl=arguments.ttl)
            done = True
    if arguments.json:
        print_json({"set": done, "version": version})
    elif not done:
        note("there is such an entry already" if arguments.add else "there is no such entry")
    return 0 if done else 1


def _value(arguments: argparse.Namespace) -> Any:
    text: str | None = arguments.value
    if (text is None) == (arguments.file is None):
        arguments.usage_error("give either VALUE or --file")
    data: bytes
    if arguments.file is not None:
        data = arguments.file.read_bytes()
    elif text == "-":
        data = sys.stdin.buffer.read()
    else:
        assert text is not None
        return text if arguments.text else parse_value(text)
    if not arguments.text:
        return data
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        return arguments.usage_error(f"--str: the input is not UTF-8 (at byte {error.start})")


def _delete(arguments: argparse.Namespace) -> int:
    with open_existing(arguments, write=True) as store:
        deleted = store.delete_many(arguments.keys)
    if arguments.json:
        print_json({"deleted": deleted})
    elif deleted < len(arguments.keys):
        note(f"{len(arguments.keys) - deleted} of {len(arguments.keys)} keys were not there")
    return 0 if deleted else 1


def _ttl(arguments: argparse.Namespace) -> int:
    change = arguments.seconds is not DEFAULT
    with open_existing(arguments, write=change) as store:
        if change and not store.touch(arguments.key, arguments.seconds):
            raise KeyNotFound(f"no such key: {arguments.key!r}", key=arguments.key)
        left = store.ttl(arguments.key)
    if arguments.json:
        print_json({"ttl": left})
    elif not change:
        print("never" if left is None else f"{left:.3f}")
    return 0
