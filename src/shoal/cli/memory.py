"""The command about memory: tree."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from shoal.errors import KeyNotFound
from shoal.memory.object import MemoryObject
from shoal.memory.path import escape
from shoal.memory.tree import lines
from shoal.options import MISSING

from .common import Commands, command, open_existing
from .output import print_json, printable
from .values import jsonable, print_value

if TYPE_CHECKING:
    from shoal import Store

__all__ = ["register"]


def register(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "tree",
        _tree,
        "print the memory of a namespace as a tree",
        details="What is below PATH; if that is a value, the value. Short values are shown, of large ones their size.",
    )
    parser.add_argument("path", metavar="PATH", nargs="?", default="", help="names joined by dots, such as user.name")
    parser.add_argument("--depth", type=_depth, metavar="N", help="only so many levels of fields")


def _depth(text: str) -> int:
    try:
        depth = int(text)
    except ValueError:
        depth = -1
    if depth < 0:
        raise argparse.ArgumentTypeError(f"not a number of levels: {text!r}")
    return depth


def _tree(arguments: argparse.Namespace) -> int:
    with open_existing(arguments) as store:
        found = _at(store, arguments.path)
        if not isinstance(found, MemoryObject):
            print_json(jsonable(found)) if arguments.json else print_value(found)
        elif arguments.json:
            print_json(_nested(found, arguments.depth))
        else:
            for line in lines(found, arguments.depth, types=True):
                print(printable(line))
    return 0


def _at(store: Store, path: str) -> Any:
    found = store.memory().get(path, MISSING)
    if found is MISSING:
        raise KeyNotFound(f"there is nothing at {path!r}", key=path)
    return found


def _nested(memory: MemoryObject, depth: int | None) -> dict[str, Any]:
    """The fields as dicts within dicts; where the depth ends, objects as how many fields they have."""
    fields = sorted(memory._fields())
    if depth == 0:
        return {"$fields": len(fields)}
    found = {}
    for name, is_object in fields:
        value = memory._child(name) if is_object else memory.get(escape(name), MISSING)
        if isinstance(value, MemoryObject):
            found[name] = _nested(value, depth and depth - 1)
        elif value is not MISSING:
            found[name] = jsonable(value)
    return found
