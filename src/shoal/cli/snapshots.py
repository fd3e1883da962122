"""Commands about snapshot files: dump, load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .common import Commands, command, open_existing, open_or_create, size
from .output import print_json

if TYPE_CHECKING:
    import argparse

__all__ = ["register"]


def register(commands: Commands) -> None:
    """Add the commands."""
    parser = command(
        commands, "dump", _dump, "write a namespace with its memory, or the whole store, to a snapshot file"
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("-a", "--all", action="store_true", help="all namespaces")

    parser = command(
        commands, "load", _load, "read a snapshot file into a store", details="A store that does not exist is created."
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--replace", action="store_true", help="remove what the namespaces held before")
    parser.add_argument("--allow-pickle", action="store_true", help="accept pickled values: they can run any code")
    parser.add_argument("--size", type=size, help="capacity of a new store, such as 512MiB")


def _dump(arguments: argparse.Namespace) -> int:
    with open_existing(arguments) as store:
        entries = store.dump(arguments.file, all_namespaces=arguments.all)
    return _report(arguments, entries)


def _load(arguments: argparse.Namespace) -> int:
    with arguments.file.open("rb"):
        pass  # a file that cannot be read is found before a store is made for it
    with open_or_create(arguments) as store:
        entries = store.load(arguments.file, replace=arguments.replace, allow_pickle=arguments.allow_pickle)
    return _report(arguments, entries)


def _report(arguments: argparse.Namespace, entries: int) -> int:
    if arguments.json:
        print_json({"entries": entries, "file": str(arguments.file)})
    else:
        print(f"{entries} entries")
    return 0
