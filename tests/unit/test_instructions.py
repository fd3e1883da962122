"""The gate on instructions per operation: what it compares, and what it says."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

FOLDER = Path(__file__).parents[2] / "benchmarks"

BEFORE = {"(dict.get)": 400.0, "get str": 1000.0, "delete": 2000.0, "view": 10_000.0}


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """Return the gate's module, with figures of its own and a count that needs no valgrind."""
    monkeypatch.syspath_prepend(FOLDER)
    spec = importlib.util.spec_from_file_location("instructions", FOLDER / "instructions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "instructions", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "STORED", tmp_path / "instructions.json")
    monkeypatch.setattr(module.shutil, "which", lambda name: f"/bin/{name}")
    return module


def run(gate: ModuleType, monkeypatch: pytest.MonkeyPatch, now: dict[str, float], *arguments: str) -> int:
    monkeypatch.setattr(gate, "count", lambda _: now)
    code: int = gate.main(list(arguments))
    return code


def test_what_got_more_expensive_fails_and_is_named(
    gate: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(gate, monkeypatch, BEFORE, "--accept") == 0
    assert run(gate, monkeypatch, BEFORE) == 0
    assert run(gate, monkeypatch, BEFORE | {"get str": 1049.0}) == 0
    assert run(gate, monkeypatch, BEFORE | {"view": 10_900.0}) == 0
    assert run(gate, monkeypatch, BEFORE | {"view": 11_100.0}) == 1
    capsys.readouterr()
    assert run(gate, monkeypatch, BEFORE | {"get str": 1051.0}) == 1
    printed = capsys.readouterr()
    assert "get str: 1,000 -> 1,051 instructions (+5.1%)" in printed.err
    assert "delete" not in printed.err
    assert "--accept" in printed.err


def test_accepting_moves_what_is_compared_with(gate: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    run(gate, monkeypatch, BEFORE, "--accept")
    assert run(gate, monkeypatch, BEFORE | {"delete": 3000.0}, "--accept") == 0
    assert run(gate, monkeypatch, BEFORE | {"delete": 3000.0}) == 0
    assert run(gate, monkeypatch, BEFORE | {"delete": 3200.0}) == 1


def test_accepting_keeps_the_figures_of_other_machines(gate: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    gate.STORED.write_text(json.dumps({"cpython-3.99-z80": {"instructions": {"get str": 1.0}}}))
    run(gate, monkeypatch, BEFORE, "--accept")
    assert set(json.loads(gate.STORED.read_text())) == {"cpython-3.99-z80", gate.here()}


def test_a_new_path_and_one_that_got_cheaper_do_not_fail(
    gate: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(gate, monkeypatch, BEFORE, "--accept")
    assert run(gate, monkeypatch, BEFORE | {"delete": 100.0, "touch": 900.0}) == 0
    out = capsys.readouterr().out
    assert "| touch | 900 | - | new |" in out
    assert "| delete | 100 | 2,000 | -95.0% |" in out


def test_figures_of_another_interpreter_are_shown_but_do_not_fail(
    gate: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(gate, monkeypatch, BEFORE, "--accept")
    assert run(gate, monkeypatch, {path: 2 * figure for path, figure in BEFORE.items()}) == 0
    assert "not compared" in capsys.readouterr().out


def test_without_figures_or_without_valgrind_there_is_a_note(
    gate: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(gate, monkeypatch, BEFORE) == 0
    assert "nothing to compare with" in capsys.readouterr().out
    monkeypatch.setattr(gate.shutil, "which", lambda _: None)
    assert run(gate, monkeypatch, BEFORE) == 0
    assert "valgrind is not installed" in capsys.readouterr().out


def test_figures_of_this_project_are_stored_in_full() -> None:
    stored = json.loads((FOLDER / "instructions.json").read_text())
    for figures in stored.values():
        assert {"python", "compiler", "libc"} <= figures["environment"].keys()
        assert {"get str", "set str, overwrite", "delete", "view"} <= figures["instructions"].keys()
