"""Many processes open one name at once; some die while they do."""

from __future__ import annotations

import os
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from processes import alive, problems, segment

import shoal

if TYPE_CHECKING:
    from processes import Crew, Gun

OPENERS = 16
INIT = (0xCE4C414F4853).to_bytes(8, "little")
"""What a segment starts with while its creator is at work (csrc/layout.h)."""


def open_at_once(line: Any, gun: Gun, name: str, rounds: int) -> None:
    for _ in range(rounds):
        line.send("ready")
        gun.wait()
        with shoal.open(name, size="4MiB") as store:
            line.send(store.incr("openers"))
            assert line.recv() == "close"


@pytest.mark.parametrize("rounds", [30, pytest.param(1000, marks=pytest.mark.stress)])
def test_simultaneous_openers_get_one_store(crew: Crew, name: str, rounds: int) -> None:
    gun = crew.gun()
    openers = [crew.start(open_at_once, gun, name, rounds) for _ in range(OPENERS)]
    for _ in range(rounds):
        assert {opener.recv() for opener in openers} == {"ready"}
        gun.fire(OPENERS)
        assert sorted(opener.recv() for opener in openers) == list(range(1, OPENERS + 1))
        for opener in openers:
            opener.send("close")
    for opener in openers:
        opener.result()
    assert not segment(name).exists()


def come_and_go(line: Any, gun: Gun, name: str, flag: str, times: int) -> None:
    gun.wait()
    me = str(os.getpid())
    for number in range(times):
        with shoal.open(name, flag, size="4MiB") as store:
            store[me] = number
            assert store[me] == number
            assert isinstance(store.get(f"{me} large", b""), bytes)
            store[f"{me} large"] = b"x" * 50_000


@pytest.mark.parametrize("flag", ["c", "n"])
def test_the_first_and_the_last_user_meet(crew: Crew, name: str, flag: str) -> None:
    """One leaves as the last while the next already opens: nobody gets a store that is about to vanish, or an error."""
    gun = crew.gun()
    users = [crew.start(come_and_go, gun, name, flag, 50) for _ in range(6)]
    gun.fire(len(users))
    for user in users:
        user.result()
    assert not segment(name).exists()


def look_for(line: Any, gun: Gun, name: str, flag: str, times: int) -> int:
    gun.wait()
    found = 0
    for _ in range(times):
        with suppress(shoal.StoreNotFound), shoal.open(name, flag) as store:
            assert store.get("key", 1) == 1
            found += 1
    return found


def test_openers_that_do_not_create_find_a_whole_store_or_none(crew: Crew, name: str) -> None:
    gun = crew.gun()
    makers = [crew.start(come_and_go, gun, name, "c", 100) for _ in range(2)]
    lookers = [crew.start(look_for, gun, name, flag, 300) for flag in ("w", "r")]
    gun.fire(4)
    for child in makers + lookers:
        child.result()
    assert not segment(name).exists()


def open_again_and_again(line: Any, name: str) -> None:
    line.send("ready")
    while True:
        with shoal.open(name, size="4MiB") as store:
            store["key"] = "x" * 1000


@pytest.mark.parametrize("rounds", [40, pytest.param(1000, marks=pytest.mark.stress)])
def test_killed_openers_are_in_nobodys_way(crew: Crew, name: str, rounds: int) -> None:
    chance = random.Random(5)
    for _ in range(rounds):
        victims = [crew.start(open_again_and_again, name) for _ in range(2)]
        for victim in victims:
            assert victim.recv() == "ready"
        assert victims[0].alive_after(chance.uniform(0, 0.004))
        for victim in victims:
            victim.kill()
        with shoal.open(name, size="4MiB") as store:
            assert len(store) == 0
            store["key"] = b"x" * 100_000
            assert store["key"] == b"x" * 100_000
            assert problems(store) == []
        assert not segment(name).exists()


@pytest.mark.parametrize("content", [b"", INIT, INIT + bytes(5000)], ids=["empty", "begun", "sized"])
@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_a_half_made_segment_is_made_anew(name: str, content: bytes, mode: int) -> None:
    """What a creator leaves that was killed on its way."""
    segment(name).write_bytes(content)
    segment(name).chmod(0o666)
    assert alive(name) is False
    for flag in ("w", "r"):
        with pytest.raises(shoal.StoreNotFound):
            shoal.open(name, flag)
    with shoal.open(name, size="4MiB", mode=mode) as store:
        store["key"] = 1
        assert segment(name).stat().st_mode & 0o777 == mode
        assert problems(store) == []
    assert not segment(name).exists()


def test_gc_takes_a_half_made_segment(name: str) -> None:
    segment(name).write_bytes(INIT)
    assert name in shoal.gc()
    assert not segment(name).exists()
