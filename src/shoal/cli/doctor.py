"""The command that checks: doctor. It looks at the machine, at every arena, and walks the invariants of those it can open.

A finding has a level: "ok" and "note" say how things are, "warning" what may become trouble, "problem" what is wrong.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import platform
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import shoal
from shoal.errors import CorruptArena, InvalidValue, ShoalError, StorageError, StoreBusy, StoreNotFound
from shoal.options import parse_options

from .common import Commands, command, target
from .output import human_size, interactive, print_json, printable
from .stores import describe_arena, owner_name

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from shoal.records import ArenaInfo

__all__ = ["register", "stores"]

_SHM = "/dev/shm"  # noqa: S108 - what is to be examined, not a place for files of ours
_DOCKER_SHM = 64 << 20  # what Docker gives a container if nobody asks for more
_COLORS = {"ok": "32", "note": "36", "warning": "33", "problem": "31"}


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: str
    about: str
    text: str


def register(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "doctor",
        _doctor,
        "check a store, or this machine and all its stores",
        store=False,
        details="Every invariant of a store is walked, one shard after the other under its lock, while it is in use.",
    )
    parser.add_argument("store", metavar="STORE", nargs="?", type=target, help="name or URL of the store to check")
    parser.add_argument(
        "--repair",
        action="store_true",
        help="first put what is whole of a damaged store that nobody uses into a new one of its name",
    )


def _doctor(arguments: argparse.Namespace) -> int:
    findings: list[Finding] = []
    if arguments.repair:
        findings += _repair(arguments.store)
    if arguments.store is None:
        findings += _python() + _memory() + stores(shoal.list_arenas())
    else:
        options = parse_options(arguments.store)
        findings += _memory() if options.scheme == "shm" else []
        findings += _named(arguments.store, options.scheme, options.name)
    healthy = all(finding.level != "problem" for finding in findings)
    if arguments.json:
        print_json({"healthy": healthy, "findings": [dataclasses.asdict(finding) for finding in findings]})
    else:
        _print(findings)
    return 0 if healthy else 1


def _print(findings: list[Finding]) -> None:
    width = max(len(finding.about) for finding in findings)
    colors = interactive() and "NO_COLOR" not in os.environ
    for finding in findings:
        level = f"{finding.level:<7}"
        if colors:
            level = f"\033[{_COLORS[finding.level]}m{level}\033[0m"
        print(f"{level}  {printable(finding.about):<{width}}  {printable(finding.text)}")


# ---------------------------------------------------------------- the machine


def _python() -> list[Finding]:
    found = [
        Finding("ok", "python", f"{platform.python_version()} on {platform.platform()}"),
        Finding("ok", "shoal", ", ".join(f"{name} {_version(name)}" for name in ("shoal", "numpy", "msgpack"))),
    ]
    missing = [f"{name} ({why})" for name, why in (("rich", "tables"), ("msgspec", "speed")) if not find_spec(name)]
    if missing:
        found.append(Finding("note", "extras", f"not installed: {', '.join(missing)}"))
    # Asked like this, because asking for the start method settles it for this process.
    method = multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]
    text = f"children start by {method!r}; a store given to them works with fork, spawn and forkserver"
    if method == "fork":
        text += ". A program with threads had better use spawn or forkserver: fork copies locks that threads hold"
    found.append(Finding("note", "processes", text))
    if not sys.platform.startswith("linux"):
        found.append(Finding("warning", "platform", "liveness is told by pid and start time here, not by the kernel"))
    return found


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return shoal.__version__ if package == "shoal" else "missing"


def _memory() -> list[Finding]:
    """Say how much room arenas have."""
    try:
        system = os.statvfs(_SHM)
    except OSError as error:
        return [Finding("problem" if sys.platform.startswith("linux") else "note", _SHM, error.strerror or str(error))]
    total, free = system.f_frsize * system.f_blocks, system.f_frsize * system.f_bavail
    text = f"{human_size(free)} free of {human_size(total)}"
    found = [Finding("ok", _SHM, text)]
    if not os.access(_SHM, os.W_OK | os.X_OK):
        found.append(Finding("problem", _SHM, "this user may not create files there"))
    if total <= _DOCKER_SHM:
        advice = (
            "this is Docker's default of 64 MB, whatever memory the machine has: run the container with --shm-size=1g "
            "(compose: shm_size: 1gb; Kubernetes: an emptyDir of medium Memory at /dev/shm)"
        )
        found.append(Finding("warning", _SHM, advice))
    elif free < total // 10:
        found.append(Finding("warning", _SHM, "nearly full: writes will soon raise CapacityExceeded"))
    return found


# ---------------------------------------------------------------- one store


def _repair(store: str | None) -> list[Finding]:
    options = parse_options(store) if store else None
    if options is None or options.scheme != "shm" or not options.name:
        raise InvalidValue("--repair wants the name of one store in shared memory")
    from shoal.arena import repair

    name = options.name
    try:
        repaired = repair(name)
    except StoreBusy:
        text = "not repaired: processes use it. End them first, for what they would write meanwhile would be lost"
        return [Finding("problem", name, text)]
    except CorruptArena:
        text = "not repaired: its header is damaged, and with it what tells a right key from a wrong one. 'shoal rm' removes it"
        return [Finding("problem", name, text)]
    found = [Finding("warning", name, line) for line in repaired.lines]
    text = f"repaired: {repaired.kept} entries in {repaired.namespaces} namespaces are whole and were kept, {repaired.dropped} were dropped"
    return [*found, Finding("ok", name, text + f". It stays until 'shoal rm {name}'")]


def stores(infos: Iterable[ArenaInfo]) -> list[Finding]:
    """Look at each of these. One that has gone since it was listed is no finding."""
    found = []
    for info in infos:
        with suppress(StoreNotFound):
            found += _arena(describe_arena(info))
    return found


def _named(store: str, scheme: str, name: str | None) -> list[Finding]:
    if scheme != "shm":
        return _invariants(store, store)
    for info in shoal.list_arenas():
        if info.name == name:
            return _arena(describe_arena(info))
    raise StoreNotFound(f"there is no store {name!r}", name=name)


def _arena(arena: dict[str, Any]) -> list[Finding]:
    name = arena["name"]
    size = f"{human_size(arena['memory'])} of at most {human_size(arena['capacity'])}"
    found = [Finding("ok", name, f"{size}, owner {arena['owner']}, mode {arena['mode']}")]
    if arena["uid"] != os.getuid() and not int(arena["mode"], 8) & 0o066:
        return [*found, Finding("note", name, f"only {owner_name(arena['uid'])} can look inside")]
    if int(arena["mode"], 8) & 0o066:
        text = "other users may read or write it, so pickled values are refused unless allow_pickle=True"
        found.append(Finding("note", name, text))
    if not arena["ready"]:
        text = (
            "damaged, laid out by another version of Shoal, or half made, maybe by somebody who is still at it: look again, "
            f"then 'shoal doctor --repair {name}' saves what is whole, and 'shoal rm' removes it"
        )
        return [*found, Finding("problem", name, text)]
    if not arena["alive"] and not arena["persist"]:
        text = "nobody uses it any more: 'shoal gc' or the next open removes it"
        return [*found, Finding("warning", name, text)]
    return found + _invariants(name, name)


def _invariants(url: str, about: str) -> list[Finding]:
    """Open the store and have it verify itself."""
    try:
        with shoal.open(url, "w") as store:
            verify = getattr(store, "verify", None)
            if verify is None:
                return [Finding("note", about, "this kind of store has nothing to verify")]
            found = [Finding(level, about, text) for level, text in verify()]
            stats = store.stats()
    except StoreNotFound:
        raise
    except StorageError as error:
        return [Finding("problem", about, str(error))]
    except ShoalError as error:
        return [Finding("warning", about, f"not verified: {error}")]
    if all(finding.level != "problem" for finding in found):
        text = f"every invariant holds (entries: {stats.entries}, processes: {stats.processes})"
        found.insert(0, Finding("ok", about, text))
    return found
