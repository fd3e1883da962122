"""What docs/security.md promises and no other test shows: hash flooding, what leaks, what a name can reach."""

from __future__ import annotations

import os
import pickle
import re
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import layout
import pytest

import shoal
from shoal.arena import repair

if TYPE_CHECKING:
    from collections.abc import Iterator

MASK = (1 << 64) - 1
SECRET = "correct horse battery staple"


@pytest.fixture
def name() -> Iterator[str]:
    chosen = f"test-{os.getpid()}-{os.urandom(4).hex()}"
    yield chosen
    segment(chosen).unlink(missing_ok=True)


def segment(name: str) -> Path:
    return Path(f"/dev/shm/shoal.{name}")


# ---------------------------------------------------------------------- hash flooding

Secret = tuple[int, int]


def rotate(x: int, by: int) -> int:
    return (x << by | x >> (64 - by)) & MASK


def sip13(secret: Secret, space: int, key: bytes) -> int:
    """The hash that csrc/hash.h describes, for who knows the algorithm."""
    k0, k1 = secret[0] ^ (space * 0x9E3779B97F4A7C15 & MASK), secret[1]
    v0, v1 = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D
    v2, v3 = k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573

    def step() -> None:
        nonlocal v0, v1, v2, v3
        v0 = (v0 + v1) & MASK
        v1 = rotate(v1, 13) ^ v0
        v0 = rotate(v0, 32)
        v2 = (v2 + v3) & MASK
        v3 = rotate(v3, 16) ^ v2
        v0 = (v0 + v3) & MASK
        v3 = rotate(v3, 21) ^ v0
        v2 = (v2 + v1) & MASK
        v1 = rotate(v1, 17) ^ v2
        v2 = rotate(v2, 32)

    whole = len(key) // 8 * 8
    for (word,) in struct.iter_unpack("<Q", key[:whole]):
        v3 ^= word
        step()
        v0 ^= word
    last = (len(key) & 255) << 56 | int.from_bytes(key[whole:], "little")
    v3 ^= last
    step()
    v0 ^= last
    v2 ^= 0xFF
    for _ in range(3):
        step()
    return v0 ^ v1 ^ v2 ^ v3


def innermost(name: str) -> tuple[Secret, int]:
    """The arena's secret and the default namespace's uid (docs/arena-format.md)."""
    with segment(name).open("rb") as file:
        header = file.read(104)
        file.seek(struct.unpack_from("<Q", header, 56)[0])
        (uid,) = struct.unpack("<Q", file.read(8))
    low, high = struct.unpack_from("<2Q", header, 88)
    return (low, high), uid


def longest_chain(name: str) -> int:
    """Of the buckets of the only shard, the most that a search for one key may have to look at."""
    with segment(name).open("rb") as file:

        def words(at: int, form: str) -> tuple[int, ...]:
            file.seek(at)
            return struct.unpack(form, file.read(struct.calcsize(form)))

        shards_at, pages_at = words(48, "<Q")[0], words(80, "<Q")[0]
        (buckets,) = words(shards_at + layout.offset("shard", "nbuckets"), "<Q")
        (directory,) = words(shards_at + layout.offset("shard", "directory"), "<I")
        longest = 0
        for index in range(buckets):
            (page,) = words(pages_at + (directory - 1) * 4096 + index // 256 * 4, "<I")
            at, length = pages_at + (page - 1) * 4096 + index % 256 * 64, 0
            while at:
                length += 1
                at = (words(at, "<Q")[0] & (1 << 34) - 1) << 6
            longest = max(longest, length)
    return longest


def colliding(secret: Secret, space: int, count: int) -> list[str]:
    """Keys whose bucket hashes end in the same six bits: all in one chain of a table of 64 buckets."""
    found: list[str] = []
    i = 0
    while len(found) < count:
        if (sip13(secret, space, b"%d" % i) >> 8) & 63 == 0:
            found.append(str(i))
        i += 1
    return found


@pytest.mark.parametrize("known", [False, True], ids=["guessed", "known"])
def test_who_does_not_know_the_secret_cannot_make_keys_collide(name: str, known: bool) -> None:
    """With the real secret the very same attack works, so that this would show if keys were hashed with anything less."""
    with shoal.open(name, size="4MiB") as store:
        secret, space = innermost(name)
        store.update(dict.fromkeys(colliding(secret if known else (0, 0), space, 300), 1))
        longest = longest_chain(name)
    assert longest > 30 if known else longest < 8


def test_every_arena_has_a_secret_of_its_own(name: str) -> None:
    secrets = set()
    for _ in range(5):
        with shoal.open(name, "n", size="1MiB"):
            secrets.add(innermost(name)[0])
    assert len(secrets) == 5
    assert (0, 0) not in secrets


# ---------------------------------------------------------------------- what leaks


def test_errors_and_representations_do_not_tell_values(name: str) -> None:
    with shoal.open(name, size="1MiB", max_keys=1) as store:
        store["key"] = SECRET
        told = [repr(store), str(store), repr(store.stats()), repr(store.metadata("key")), repr(shoal.list_arenas())]
        attempts = [
            lambda: store.incr("key"),
            lambda: store.set("other", SECRET),
            lambda: store.set("key", SECRET * 100_000),
            lambda: store.set("key", lambda: SECRET),
            lambda: store.view("key").nothing,
        ]
        for attempt in attempts:
            with pytest.raises(Exception) as caught:
                attempt()
            told.append(f"{caught.value} {caught.value!r}")
        told += [text for _, text in store.verify()]
    assert not [text for text in told if "horse" in text]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="flags of mappings are told by Linux")
def test_arenas_are_left_out_of_core_files(name: str) -> None:
    with shoal.open(name, size="1MiB") as store:
        store["key"] = SECRET
        flags = []
        inside = False
        for line in Path("/proc/self/smaps").read_text().splitlines():
            if "-" in line.split(" ")[0]:
                inside = f"/shoal.{name}" in line
            elif inside and line.startswith("VmFlags:"):
                flags.append(line.split()[1:])
    assert flags
    assert all("dd" in each for each in flags)  # "don't dump"


# ---------------------------------------------------------------------- names and links


@pytest.mark.parametrize("wrong", ["../passwd", "a/b", "/etc/passwd", "a\0b", "..", "x" * 300])
def test_a_name_reaches_nothing_but_a_segment(wrong: str) -> None:
    before = set(Path("/dev/shm").iterdir()) if wrong == ".." else set()
    try:
        with shoal.open(wrong, size="1MiB", persist=True):
            pass
    except (shoal.ShoalError, ValueError):
        return
    made = set(Path("/dev/shm").iterdir()) - before
    assert wrong == ".."  # "shoal..." is a file like any other
    assert {path.name for path in made} >= {"shoal..."}
    shoal.destroy(wrong)


def test_a_repair_does_not_follow_a_link(name: str, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_bytes(b"precious" * 1000)
    segment(name).symlink_to(target)
    with pytest.raises(shoal.ShoalError):
        repair(name)
    assert segment(name).is_symlink()
    assert target.read_bytes() == b"precious" * 1000


# ---------------------------------------------------------------------- pickle


class Trap:
    """Leaves a trace if it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (os.environ["TRAP"],)


def test_a_pickle_planted_by_another_process_is_not_loaded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = tmp_path / "sprung"
    monkeypatch.setenv("TRAP", str(trap))
    with shoal.open(name, size="1MiB", allow_pickle=True) as writer:
        writer["trap"] = Trap()
        with shoal.open(name, allow_pickle=False) as reader:
            for read in (
                lambda: reader["trap"],
                lambda: reader.get("trap"),
                lambda: dict(reader.items()),
                lambda: reader.pop("trap"),
            ):
                with pytest.raises(shoal.InvalidValue):
                    read()
            assert reader.exists("trap")  # looking is no loading
        assert not trap.exists()
        writer["trap"]  # it does work, where it is allowed
        assert trap.is_dir()


def test_bytes_that_look_like_a_pickle_are_bytes(name: str) -> None:
    with shoal.open(name, size="1MiB") as store:
        store["key"] = pickle.dumps(Exception("no"))
        assert type(store["key"]) is bytes


# ---------------------------------------------------------------------- the page itself


def test_the_page_names_tests_that_there_are() -> None:
    root = Path(__file__).parents[2]
    named = set(re.findall(r"`(test_\w+)`", (root / "docs/security.md").read_text(encoding="utf-8")))
    assert len(named) > 10
    there = {
        found for path in root.glob("tests/*/test_*.py") for found in re.findall(r"def (test_\w+)", path.read_text())
    }
    assert named <= there
