"""What lies under a store's name may be anything: damaged, another's, or planted there."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from processes import alive, become_nobody, die, problems, segment

import shoal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from processes import Crew

FLAGS = ["c", "w", "r"]
LAYOUT_VERSION = 8  # offset in the header (csrc/layout.h)
CHECKED = range(8 + 104 + 8)  # magic, geometry and its checksum

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


@pytest.fixture
def arena(name: str) -> Iterator[Path]:
    """The segment of a store with one entry that nobody uses now."""
    with shoal.open(name, size="4MiB", persist=True) as store:
        store["key"] = "value"
    yield segment(name)
    if segment(name).exists():
        shoal.destroy(name)


def refused(name: str, flag: str = "c", **options: Any) -> type[shoal.StorageError]:
    """The error that opening gives: the arena is not what it should be."""
    with pytest.raises((shoal.IncompatibleArena, shoal.CorruptArena)) as caught:
        shoal.open(name, flag, **options)
    assert caught.value.name == name
    assert name in str(caught.value)
    return type(caught.value)


@pytest.mark.parametrize("size", [1, 8, 100, 4096, 1_000_000])
def test_a_foreign_file(name: str, size: int) -> None:
    content = os.urandom(size)
    segment(name).write_bytes(content)
    for flag in [*FLAGS, "n"]:
        assert refused(name, flag) is shoal.IncompatibleArena
    (info,) = (info for info in shoal.list_arenas() if info.name == name)
    assert not info.ready
    assert name not in shoal.gc()
    assert segment(name).read_bytes() == content
    shoal.destroy(name)
    with shoal.open(name) as store:
        store["key"] = 1


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("size", [8, 100, 4095, 4096, 1_000_000, -4096, -1, 4096**2 * 8])
def test_a_segment_of_another_size(arena: Path, name: str, flag: str, size: int) -> None:
    os.truncate(arena, size if size > 0 else arena.stat().st_size + size)
    refused(name, flag)
    shoal.destroy(name)


def test_every_bit_of_the_header_counts(arena: Path, name: str) -> None:
    with arena.open("r+b", buffering=0) as file:
        for offset in CHECKED:
            (byte,) = os.pread(file.fileno(), 1, offset)
            for bit in range(8):
                os.pwrite(file.fileno(), bytes([byte ^ 1 << bit]), offset)
                for flag in FLAGS:
                    refused(name, flag)
            os.pwrite(file.fileno(), bytes([byte]), offset)
    with shoal.open(name, "w") as store:
        assert store["key"] == "value"


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("version", [0, 2])
def test_another_layout_version(arena: Path, name: str, flag: str, version: int) -> None:
    with arena.open("r+b") as file:
        file.seek(LAYOUT_VERSION)
        assert file.read(4) == struct.pack("<I", 1)
        file.seek(LAYOUT_VERSION)
        file.write(struct.pack("<I", version))
    assert refused(name, flag) is shoal.IncompatibleArena
    with shoal.open(name, "n") as store:  # asked to replace it, it does
        assert len(store) == 0


def test_links_are_not_followed(name: str, arena: Path, tmp_path: Path) -> None:
    planted, elsewhere = f"{name}-link", tmp_path / "elsewhere"
    for target in (arena, elsewhere):
        segment(planted).symlink_to(target)
        for flag in [*FLAGS, "n"]:
            with pytest.raises(shoal.AccessDenied):
                shoal.open(planted, flag)
        assert planted in {info.name for info in shoal.list_arenas()}
        assert planted not in shoal.gc()
        assert segment(planted).is_symlink()
        shoal.destroy(planted)
        assert not segment(planted).is_symlink()
    assert not elsewhere.exists()
    with shoal.open(name, "w") as store:
        assert store["key"] == "value"


@contextmanager
def something_else(path: Path, kind: str) -> Iterator[None]:
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
    try:
        yield
    finally:
        path.rmdir() if kind == "directory" else path.unlink()


@pytest.mark.parametrize("kind", ["directory", "fifo", "socket"])
def test_what_is_no_file(name: str, kind: str) -> None:
    with something_else(segment(name), kind):
        for flag in [*FLAGS, "n"]:
            assert refused(name, flag) is shoal.IncompatibleArena
        assert name in {info.name for info in shoal.list_arenas()}
        assert name not in shoal.gc()


# ---------------------------------------------------------------------- modes


@pytest.fixture(params=[0, 0o022, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_the_mode_is_what_was_asked_for(name: str, umask: None, mode: int) -> None:
    with shoal.open(name, size="4MiB", mode=mode) as store:
        assert segment(name).stat().st_mode & 0o777 == mode
        assert store.allow_pickle is (mode == 0o600)


def test_only_the_owner_may_enter_unless_told_otherwise(name: str) -> None:
    with shoal.open(name, size="4MiB"):
        assert segment(name).stat().st_mode & 0o777 == 0o600


class Thing:
    """What only pickle can express."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing)

    __hash__ = None  # type: ignore[assignment]


def test_pickle_is_off_where_others_may_write(name: str) -> None:
    with shoal.open(name, size="4MiB", mode=0o660) as store:
        with pytest.raises(shoal.InvalidValue):
            store["key"] = Thing()
        with shoal.open(name, allow_pickle=True) as trusting:
            trusting["key"] = Thing()
            assert trusting["key"] == Thing()
        with pytest.raises(shoal.InvalidValue):
            store["key"]
    with shoal.open(name, size="4MiB", mode=0o600) as store:
        store["key"] = Thing()
        with shoal.open(name, allow_pickle=False) as wary, pytest.raises(shoal.InvalidValue):
            wary["key"]


# ---------------------------------------------------------------------- other users


def as_nobody(line: Any, name: str, flag: str, options: dict[str, Any]) -> Any:
    """Once told, open the store as another user and keep it until told; what happened."""
    become_nobody()
    line.recv()
    try:
        store = shoal.open(name, flag, **options)
    except shoal.ShoalError as error:
        line.send(type(error))
        return None
    with store:
        line.send("open")
        line.recv()
        seen = dict(store.items())
        try:
            store["nobody"] = 1
        except shoal.ShoalError as error:
            return seen, type(error), store.allow_pickle
        return seen, None, store.allow_pickle


@needs_root
@pytest.mark.parametrize(("mode", "wanted"), [(0o600, 0o600), (0o600, 0o666), (0o666, 0o600), (0o660, 0o660)])
@pytest.mark.parametrize("flag", FLAGS)
def test_another_users_store_is_refused(crew: Crew, name: str, flag: str, mode: int, wanted: int) -> None:
    """In both directions, unless both want to share."""
    visitor = crew.start(as_nobody, name, flag, {"mode": wanted})
    with shoal.open(name, size="4MiB", mode=mode):
        visitor.send("open")
        assert visitor.recv() is shoal.AccessDenied
        visitor.result()
    if mode == 0o660:
        return  # root may enter what a group shares, whatever group
    owner = crew.start(as_nobody, name, "c", {"mode": mode, "size": "4MiB"})
    owner.send("open")
    assert owner.recv() == "open"
    with pytest.raises(shoal.AccessDenied) as caught:
        shoal.open(name, flag, mode=wanted)
    assert caught.value.name == name
    owner.send("go on")
    owner.result()


@needs_root
def test_two_users_share_a_store(crew: Crew, name: str) -> None:
    visitor = crew.start(as_nobody, name, "w", {"mode": 0o666})
    with shoal.open(name, size="4MiB", mode=0o666) as store:
        visitor.send("open")
        assert visitor.recv() == "open"
        store["root"] = "x" * 100_000
        visitor.send("go on")
        assert visitor.result() == ({"root": "x" * 100_000}, None, False)
        assert store["nobody"] == 1
        assert problems(store) == []


@needs_root
def test_a_user_who_may_only_read(crew: Crew, name: str) -> None:
    writer, reader = (crew.start(as_nobody, name, flag, {"mode": 0o644}) for flag in ("c", "r"))
    with shoal.open(name, size="4MiB", mode=0o644) as store:
        store["root"] = 1
        writer.send("open")
        assert writer.recv() is shoal.AccessDenied
        reader.send("open")
        assert reader.recv() == "open"
        reader.send("go on")
        assert reader.result() == ({"root": 1}, shoal.AccessDenied, False)


@needs_root
def test_the_last_user_leaves_what_is_not_its_own(crew: Crew, name: str) -> None:
    """The directory's sticky bit lets only the owner remove the name: leaving is no error, and gc can do it later."""
    visitor = crew.start(as_nobody, name, "w", {"mode": 0o666})
    with shoal.open(name, size="4MiB", mode=0o666) as store:
        visitor.send("open")
        assert visitor.recv() == "open"
        store["key"] = 1
    visitor.send("go on")
    assert visitor.result() == ({"key": 1}, None, False)
    assert alive(name) is False
    assert name in shoal.gc()


def take_over(line: Any, name: str) -> Any:
    become_nobody()
    line.recv()
    with shoal.open(name, size="4MiB", mode=0o666) as store:
        return len(store)


@needs_root
def test_a_dead_store_of_another_user_cannot_be_replaced(crew: Crew, name: str) -> None:
    successor = crew.start(take_over, name)
    owner = crew.start(leave_behind, name)
    owner.recv()
    owner.kill()
    successor.send("open")
    with pytest.raises(AssertionError, match="AccessDenied"):
        successor.result()
    assert name in shoal.gc()


def destroy_as_nobody(line: Any, name: str) -> Any:
    become_nobody()
    line.recv()
    try:
        shoal.destroy(name)
    except shoal.ShoalError as error:
        return type(error), shoal.gc()
    return None, shoal.gc()


def leave_behind(line: Any, name: str) -> None:
    store = shoal.open(name, size="4MiB", mode=0o666)
    line.send(store.url)
    die()


@needs_root
def test_removing_is_the_owners_affair(crew: Crew, name: str) -> None:
    left = crew.name("left")
    visitor = crew.start(destroy_as_nobody, name)
    owner = crew.start(leave_behind, left)
    owner.recv()
    owner.kill()
    with shoal.open(name, size="4MiB", mode=0o666):
        visitor.send("destroy")
        error, removed = visitor.result()
        assert error is shoal.AccessDenied
        assert left not in removed
        assert segment(name).exists()
        assert segment(left).exists()
    assert left in shoal.gc()
