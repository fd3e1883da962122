"""A full arena and a full file system: an error, never a signal; what was there stays, and deleting makes room."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import actors
import numpy as np
import pytest
from processes import problems, segment

import shoal

if TYPE_CHECKING:
    from collections.abc import Callable

    from processes import Child, Crew

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 1 << 14, 1 << 18
SHARED_MEMORY = Path("/dev/shm")
SYSTEM = 16 << 20
"""Bytes of the small file system."""

KINDS: dict[str, Callable[[int], Any]] = {
    "small": lambda n: f"value {n}",
    "medium": lambda n: bytes([n % 256]) * 3000,
    "large": lambda n: np.full(25_000, n),
    "huge": lambda n: np.full(250_000, n),
    "mixed": actors.stripe,
}


def fill(store: Any, make: Callable[[int], Any], prefix: str = "", most: int = 10**6) -> tuple[int, shoal.StorageError]:
    """Write until there is no more room; how many entries were made, and the error."""
    for number in range(most):
        try:
            store[f"{prefix}{number}"] = make(number)
        except shoal.CapacityExceeded as error:
            return number, error
    raise AssertionError("never full")


def same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one, other)) if isinstance(other, np.ndarray) else bool(one == other)


def check_full(store: Any, make: Callable[[int], Any]) -> shoal.StorageError:
    """Fill the store, and show that nothing is lost and that deleting helps."""
    store["kept"] = make(1)
    count, error = fill(store, make)
    assert count >= 3
    assert error.name == store.name
    assert len(store) == count + 1
    with suppress(shoal.CapacityExceeded):
        store["kept"] = np.zeros(10_000_000)  # in place of a value that fits
    assert f"{count}" not in store
    assert all(same(store[f"{number}"], make(number)) for number in range(count))
    assert same(store["kept"], make(1))
    assert problems(store) == []
    for number in range(0, count, 2):
        del store[f"{number}"]
    for number in range(0, count, 2):  # the same keys: others may fall into a shard that has no room of its own
        assert store.add(f"{number}", make(number))
    assert all(same(store[f"{number}"], make(number)) for number in range(count))
    assert problems(store) == []
    store.clear()
    assert fill(store, make)[0] >= count * 0.9
    return error


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_a_full_arena(name: str, make: Callable[[int], Any]) -> None:
    with shoal.open(name, size="8MiB") as store:
        assert check_full(store, make).limit == store.stats().capacity


def fill_along(line: Any, store: Any, prefix: str) -> int:
    return fill(store, actors.stripe, prefix)[0]


def test_several_fill_one_arena(crew: Crew, name: str) -> None:
    with shoal.open(name, size="32MiB") as store:
        children = [crew.start(fill_along, store, f"{me} ") for me in range(4)]
        counts = [child.result() for child in children]
        assert len(store) == sum(counts)
        for me, count in enumerate(counts):
            assert all(same(store[f"{me} {number}"], actors.stripe(number)) for number in range(count))
        assert problems(store) == []


def test_what_can_never_fit(name: str) -> None:
    with shoal.open(name, size="2MiB", eviction="sieve") as store:
        store["key"] = 1
        with pytest.raises(shoal.CapacityExceeded) as caught:
            store["large"] = b"x" * (3 << 20)
        assert caught.value.key == "large"
        assert dict(store) == {"key": 1}  # nothing was evicted for it


# ---------------------------------------------------------------------- a file system of our own


def mount_small() -> bool:
    """Give this process, and those that it starts, a small /dev/shm; False if the system does not let us."""
    libc = ctypes.CDLL(None, use_errno=True)
    return (
        libc.unshare(CLONE_NEWNS) == 0
        and libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0
        and libc.mount(b"tmpfs", str(SHARED_MEMORY).encode(), b"tmpfs", 0, f"size={SYSTEM}".encode()) == 0
    )


def run_in_small(line: Any, do: Callable[..., None], arguments: tuple[Any, ...]) -> bool:
    if not mount_small():
        return False
    do(*arguments)
    assert list(SHARED_MEMORY.iterdir()) == []
    return True


def in_small_system(crew: Crew, do: Callable[..., None], *arguments: Any) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    if not crew.start(run_in_small, do, arguments).result():
        pytest.skip("this machine lets nobody mount a file system")


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_file_system(crew: Crew, name: str, kind: str) -> None:
    in_small_system(crew, fill_system, name, kind)


def fill_system(name: str, kind: str) -> None:
    with shoal.open(name, size="1GiB") as store:
        assert check_full(store, KINDS[kind]).limit == SYSTEM


def test_readers_of_a_full_file_system(crew: Crew, name: str) -> None:
    in_small_system(crew, fill_system_with_readers, crew, name)


def read_until_told(line: Any, name: str, flag: str) -> int:
    """Read all that the writer writes and removes meanwhile."""
    reads = 0
    with shoal.open(name, flag) as store:
        line.send("begun")
        while not line.poll():
            for key in store.list_keys():
                value = store.get(key)
                assert value is None or actors.whole(value)
                reads += 1
            len(store)
    return reads


def fill_system_with_readers(crew: Crew, name: str) -> None:
    """Readers must not touch memory that is not there, nor make any: each would be a SIGBUS now."""
    with shoal.open(name, size="1GiB") as store:
        readers: list[Child] = [crew.start(read_until_told, name, flag) for flag in ("r", "w")]
        assert [reader.recv() for reader in readers] == ["begun"] * 2
        for round_ in range(5):
            count, _ = fill(store, lambda number, round_=round_: actors.stripe(number * 5 + round_), most=10_000)
            for number in range(count):
                if number % 5 != round_:
                    del store[f"{number}"]
            store.sweep()
        for reader in readers:
            reader.send("end")
            assert reader.result() > 10
        assert problems(store) == []


def test_no_room_for_anything(crew: Crew, name: str) -> None:
    in_small_system(crew, use_without_room, crew, name)


def use_without_room(crew: Crew, name: str) -> None:
    """Others took the last page: what needs one is refused, all else works."""
    with shoal.open(name, size="1GiB") as store:
        store.update({f"{number}": actors.stripe(number) for number in range(30)})
        hog = SHARED_MEMORY / "hog"
        with hog.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        assert os.statvfs(SHARED_MEMORY).f_bfree == 0
        refused = 0
        for call in (
            lambda: shoal.open(f"{name}-other").close(),
            lambda: store.namespace("new").close(),
            lambda: fill(store, lambda _: "x", "more "),
            lambda: store.update(large=np.zeros(100_000)),
            lambda: crew.start(attach_and_write, name).result(),
        ):
            with suppress(shoal.CapacityExceeded):
                call()
                continue
            refused += 1
        assert refused >= 2
        assert not segment(f"{name}-other").exists()
        with shoal.open(name, "r") as reader:
            for number in range(30):
                assert same(store[f"{number}"], actors.stripe(number))
                assert same(reader[f"{number}"], actors.stripe(number))
            assert reader.list_keys() == store.list_keys()
        assert problems(store) == []
        for number in range(0, 30, 2):
            del store[f"{number}"]
        assert len(store.list_keys("[0-9]*")) == 15
        hog.unlink()
        store["large"] = np.zeros(100_000)
        assert crew.start(attach_and_write, name).result() == "written"
        with store.namespace("new") as new:
            new["key"] = 1
        assert problems(store) == []


def attach_and_write(line: Any, name: str) -> str:
    """As a new process: it needs a slot in the table of processes."""
    try:
        with shoal.open(name, "w") as store:
            store["attached"] = 1
    except shoal.CapacityExceeded:
        return "no room"
    return "written"
