"""`shoal doctor --repair`: what is whole is kept, what is not is named, and nothing changes if it cannot be done."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import shoal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from commands import Run

PAGE = 4096
MIB = 1 << 20


@pytest.fixture
def name() -> Iterator[str]:
    chosen = f"test-{os.getpid()}-{os.urandom(4).hex()}"
    yield chosen
    segment(chosen).unlink(missing_ok=True)


def segment(name: str) -> Path:
    return Path(f"/dev/shm/shoal.{name}")


def fill(name: str) -> None:
    with shoal.open(name, size=MIB, persist=True) as store:
        store.update({f"key {i}": "x" * (i % 200) for i in range(400)})
        store.memory("agent").set("plan.step", 3)
        with store.namespace("other", max_keys=10) as other:
            other["one"] = 1


def damage(name: str, value: bytes) -> None:
    """Overwrite every place of a value that only one entry holds."""
    path = segment(name)
    whole = path.read_bytes()
    at = whole.index(value)
    with path.open("r+b") as file:
        file.seek(at - 20)  # the middle of its key's header
        file.write(os.urandom(8))


@pytest.fixture
def damaged(name: str) -> str:
    fill(name)
    with shoal.open(name, "w") as store:
        store["victim"] = "a value that is nowhere else"
    damage(name, b"a value that is nowhere else")
    return name


def test_repair_keeps_the_rest_and_names_the_loss(run: Run, damaged: str) -> None:
    assert run("doctor", damaged).code == 1
    result = run("doctor", "--repair", damaged, "--json")
    assert result.code == 0
    texts = [finding["text"] for finding in result.json["findings"] if finding["about"] == damaged]
    assert any("dropped" in text and "default" in text for text in texts)
    assert any(text.startswith("repaired: ") and "1 were dropped" in text for text in texts)
    assert run("doctor", damaged).code == 0
    with shoal.open(damaged, "w") as store:
        assert "victim" not in store
        assert {key: store[key] for key in store} == {f"key {i}": "x" * (i % 200) for i in range(400)}
        assert store.memory("agent").get("plan.step") == 3
        assert store.namespace("other")["one"] == 1
        store["victim"] = "back"


def test_a_store_in_use_is_left_alone(run: Run, damaged: str) -> None:
    with shoal.open(damaged, "w"):
        before = segment(damaged).stat().st_ino
        result = run("doctor", "--repair", damaged, "--json")
        assert result.code == 1
        assert any("not repaired: processes use it" in finding["text"] for finding in result.json["findings"])
        assert segment(damaged).stat().st_ino == before


def test_a_lost_header_is_said_to_be_beyond_repair(run: Run, name: str) -> None:
    fill(name)
    with segment(name).open("r+b") as file:
        file.seek(16)
        file.write(struct.pack("<Q", 12345))  # part of the geometry, which carries a checksum
    before = segment(name).read_bytes()[:PAGE]
    result = run("doctor", "--repair", name)
    assert result.code != 0
    assert "Traceback" not in result.err
    assert segment(name).read_bytes()[:PAGE] == before


def test_nothing_else_is_left_behind(run: Run, damaged: str) -> None:
    assert run("doctor", "--repair", damaged).code == 0
    assert [path.name for path in Path("/dev/shm").glob(f"shoal.{damaged}*")] == [f"shoal.{damaged}"]


@pytest.mark.parametrize("arguments", [["doctor", "--repair"], ["doctor", "--repair", "memory://"]])
def test_repair_wants_a_store_in_shared_memory(run: Run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.code not in (0, 1)
    assert "Traceback" not in result.err


def test_a_store_that_is_not_there(run: Run, name: str) -> None:
    assert run("doctor", "--repair", name).code == 3
