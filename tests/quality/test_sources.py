"""What holds for every file of the project."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES = 600  # of a file
COLUMNS = 140  # of a line of C or Cython; Python's is the formatter's business
CODE = {".c", ".h", ".py", ".pyi", ".pyx", ".pxd", ".pxi"}


def project_files() -> list[Path]:
    """Return what is, or may be, under version control."""
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode == 0:
        return sorted(ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())
    folders = ("csrc", "src", "tests", "examples", "benchmarks", "docs", "tools")  # an unpacked sdist
    found = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    return sorted(path for path in found if path.suffix not in {".so", ".pyc"} and "egg-info" not in str(path))


def texts() -> dict[str, str]:
    found = {}
    for path in project_files():
        data = path.read_bytes()
        if b"\0" not in data:
            found[str(path.relative_to(ROOT))] = data.decode()
    return found


TEXTS = texts()


def test_files_are_found() -> None:
    assert {"pyproject.toml", "csrc/include/shoal.h", "src/shoal/errors.py"} <= TEXTS.keys() | {"pyproject.toml"}


def test_no_file_of_code_is_a_god_file() -> None:
    long = {name: text.count("\n") for name, text in TEXTS.items() if Path(name).suffix in CODE}
    assert {name: lines for name, lines in long.items() if lines > LINES} == {}


def test_nothing_names_a_place_on_some_machine() -> None:
    # Written so that this file does not contain what it looks for.
    places = re.compile(r"(?<![\w.])/(?:home|root|Users|work|opt|mnt)/\w+")
    found = [f"{name}: {match[0]}" for name, text in TEXTS.items() for match in places.finditer(text)]
    assert found == []


def test_nothing_is_left_to_do() -> None:
    marks = re.compile(r"\b(?:TODO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
    files = {name: text for name, text in TEXTS.items() if Path(name) != Path(__file__).relative_to(ROOT)}
    assert [f"{name}: {match[0]}" for name, text in files.items() for match in marks.finditer(text)] == []


def test_text_is_clean() -> None:
    wrong = []
    for name, text in TEXTS.items():
        if "\r" in text or re.search(r"[ \t]+$", text, re.MULTILINE) or (text and not text.endswith("\n")):
            wrong.append(name)
        if Path(name).suffix in CODE and "\t" in text:
            wrong.append(name)
    assert wrong == []


def test_code_lines_fit() -> None:
    code = {name: text for name, text in TEXTS.items() if Path(name).suffix in CODE - {".py", ".pyi"}}
    long = [
        f"{name}:{n}"
        for name, text in code.items()
        for n, line in enumerate(text.split("\n"), 1)
        if len(line) > COLUMNS
    ]
    assert long == []


def test_every_ignored_rule_has_its_reason() -> None:
    config = (ROOT / "pyproject.toml").read_text()
    lint = config[config.index("[tool.ruff.lint]") : config.index("[tool.ruff.lint.flake8-builtins]")]
    ignores = re.findall(r"^ignore = \[(.*?)^\]|^\"[^\"]+\" = \[(.*?)^\]", lint, re.MULTILINE | re.DOTALL)
    lines = [line for pair in ignores for line in "".join(pair).splitlines() if line.strip()]
    assert lines
    assert [line for line in lines if not re.fullmatch(r'\s+"[A-Z]+\d*",\s+# \S.*', line)] == []


@pytest.mark.parametrize("folder", ["src", "examples"])
def test_everything_compiles_without_warnings(folder: str) -> None:
    paths = sorted((ROOT / folder).rglob("*.py"))
    program = "import sys\nfor path in sys.argv[1:]: compile(open(path).read(), path, 'exec')"
    subprocess.run([sys.executable, "-W", "error", "-c", program, *map(str, paths)], check=True)
