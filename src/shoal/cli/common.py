"""What several commands share: arguments, and opening the store that they name."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import shoal
from shoal.backends import SCHEMES
from shoal.errors import ShoalError, StoreNotFound
from shoal.options import check_name, parse_options, parse_size, parse_ttl

from .output import note

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal import Store

__all__ = ["Commands", "command", "duration", "namespace", "open_existing", "open_or_create", "size", "target"]

Commands = Any
"""What `add_subparsers` returns; argparse has no public name for its type."""


def command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    *,
    store: bool = True,
    details: str = "",
) -> argparse.ArgumentParser:
    """Add one command with the arguments that nearly all have."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}. {details}".strip()
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print JSON for a program to read")
    if store:
        parser.add_argument("store", metavar="STORE", type=target, help="name or URL of the store")
        parser.add_argument(
            "-n", "--namespace", metavar="NAME", type=namespace, default="default", help="namespace in the store"
        )
    return parser


def open_existing(arguments: argparse.Namespace, *, write: bool = False) -> Store:
    """Open a store that must be there; to read only, unless `write`."""
    return shoal.open(arguments.store, "w" if write else "r", namespace=arguments.namespace)


def open_or_create(arguments: argparse.Namespace) -> Store:
    """Open a store to write to. A new one is made to persist: it would vanish with this command otherwise."""
    try:
        return open_existing(arguments, write=True)
    except StoreNotFound:
        store = shoal.open(arguments.store, "c", namespace=arguments.namespace, size=arguments.size, persist=True)
        note(f"created {store.url}, which stays until 'shoal rm {store.name}'")
        return store


def target(text: str) -> str:
    """Check the name or URL of a store."""
    try:
        options = parse_options(text)
        location = options.name if options.scheme == "shm" else options.location
    except ShoalError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if options.scheme not in SCHEMES:
        raise argparse.ArgumentTypeError(f"unknown scheme {options.scheme}://; there are {', '.join(sorted(SCHEMES))}")
    if not location:
        raise argparse.ArgumentTypeError(f"names no store: {text!r}")
    return text


def namespace(text: str) -> str:
    """Check the name of a namespace."""
    try:
        return check_name(text, "namespace")
    except ShoalError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def duration(text: str) -> float | None:
    """Parse a time to live: seconds, or "never"."""
    if text == "never":
        return None
    try:
        seconds = parse_ttl(float(text))
    except (ValueError, ShoalError) as error:
        raise argparse.ArgumentTypeError(f"not a number of seconds above 0, nor 'never': {text!r}") from error
    assert seconds is None or isinstance(seconds, float)
    return seconds


def size(text: str) -> int:
    """Parse a number of bytes."""
    try:
        return parse_size(text)
    except ShoalError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
