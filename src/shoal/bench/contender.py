"""What every store that is measured offers, whatever it is."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "PLAIN",
    "Contender",
    "LeftOut",
    "allocated",
    "codec",
    "object_bytes",
    "opened",
    "remove",
    "scratch",
    "server_bytes",
]


PLAIN = frozenset({"str", "int", "dict", "bytes"})
"""Kinds of values that MessagePack knows."""


class LeftOut(Exception):
    """A contender cannot take part: what it needs is missing."""


class Contender:
    """One store. Its functions are attributes: native methods are bound where they take a str and a value.

    A Python wrapper costs 30 to 60 ns, so it is there only where a user would need one too.
    """

    name: ClassVar[str]
    package: ClassVar[str] = ""
    """The distribution whose version is reported."""
    modules: ClassVar[tuple[str, ...]] = ()
    """What a program imports to use it."""
    shared: ClassVar[bool] = True
    """Another process can attach."""
    kinds: ClassVar[frozenset[str]] = PLAIN | {"array"}
    max_keys: ClassVar[int] = 100_000_000
    """With more it takes too long, or refuses."""
    max_value: ClassVar[int] = 1 << 40
    """Bytes."""
    many_writers: ClassVar[bool] = True
    """Several processes may write one key."""

    counts: ClassVar[bool] = True
    """It has `incr`, which is atomic across processes."""

    get: Callable[[str], Any]
    set: Callable[[str, Any], Any]
    delete: Callable[[str], Any]
    contains: Callable[[str], Any]
    incr: Callable[[str], Any] | None = None
    view: Callable[[str], Any] | None = None

    def open(self, keys: int, payload: int = 0) -> None:
        """Make a store for so many keys, and so many bytes of values.

        Raises:
            ImportError: Its package is missing.
            LeftOut: So is something else.
        """
        raise NotImplementedError

    @property
    def handle(self) -> Any:
        """What another process needs to attach; it can be pickled."""
        raise NotImplementedError

    def attach(self, handle: Any) -> None:
        """Use a store that another process has made."""
        raise NotImplementedError

    def load(self, items: Iterable[tuple[str, Any]]) -> None:
        """Write many entries at once, if there is a way to."""
        put = self.set
        for key, value in items:
            put(key, value)

    def count(self, key: str) -> int:
        """What incr made of a key."""
        return int(self.get(key))

    def used(self) -> int:
        """Bytes of memory that the store takes now, without what its server took when it was empty.

        Raises:
            NotImplementedError: It cannot be told.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close it; who has made it, removes it."""


def opened(contender: Callable[[], Any], keys: int, payload: int = 0) -> Any:
    """Make one, opened.

    Raises:
        LeftOut: It cannot be; the text says why.
    """
    store = contender()
    try:
        store.open(keys, payload)
    except (ImportError, LeftOut) as error:
        raise LeftOut(f"left out: {error}") from error
    except Exception as error:
        with contextlib.suppress(Exception):
            store.close()
        raise LeftOut(f"failed: {type(error).__name__}: {error}") from error
    return store


def codec() -> tuple[str, Callable[[Any], bytes], Callable[[Any], Any]]:
    """What stores of bytes are given: the fastest MessagePack that is installed, as its name and two functions."""
    try:
        from msgspec import msgpack as fast
    except ImportError:
        import msgpack

        return "msgpack", msgpack.packb, msgpack.unpackb
    return "msgspec", fast.Encoder().encode, fast.Decoder().decode


def scratch() -> Path:
    """Make a folder, in shared memory where there is any: no contender waits for a disk."""
    shm = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a folder that is ours alone
    return Path(tempfile.mkdtemp(prefix="shoal-bench-", dir=shm if os.access(shm, os.W_OK) else None))


def remove(path: Path) -> None:
    """Remove a scratch folder."""
    shutil.rmtree(path, ignore_errors=True)


def allocated(*paths: Path) -> int:
    """Bytes that files, also those in folders, really take: shared memory gives out pages at the first touch."""
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
    return sum(file.stat().st_blocks * 512 for file in files if file.is_file())


def server_bytes(pid: int) -> int:
    """Memory of a server process; 0 on a system that does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGESIZE")


def object_bytes(data: dict[str, Any]) -> int:
    """Memory of a dict with its keys and values, which it does not share with others."""
    from sys import getsizeof

    return getsizeof(data) + sum(getsizeof(key) + getsizeof(value) for key, value in data.items())
