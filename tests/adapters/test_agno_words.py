"""The examples and the page of Agno: those for the installed version run, and give what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("agno", reason="Agno is not installed")

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from test_docs import run

ROOT = Path(__file__).parents[2]
FIRST = metadata.version("agno").startswith("1.")
PAGE = (ROOT / "docs" / "adapters" / "agno.md").read_text(encoding="utf-8")


def example(name: str) -> list[str]:
    program = [sys.executable, str(ROOT / "examples" / f"{name}.py")]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line]


@pytest.mark.skipif(FIRST, reason="an example of Agno 2 and 3")
def test_desk() -> None:
    lines = example("agno_desk")
    assert lines[-4:] == [
        "'a question about an order': 12 runs, 12 different questions",
        *(f"ada was at desk {desk}" for desk in range(3)),
    ]


@pytest.mark.skipif(not FIRST, reason="an example of Agno 1")
def test_bucket() -> None:
    assert example("agno_bucket") == [
        "this process:     Question 1; your first was: What is the capital of France?",
        "another process:  Question 2; your first was: What is the capital of France?",
        "a new agent:      Question 3; your first was: What is the capital of France?",
        "back in a store:  ['trip']",
    ]


def test_the_page_does_what_it_says() -> None:
    sections = re.split(r"^(?=## )", PAGE, flags=re.MULTILINE)
    (section,) = [text for text in sections if text.startswith("## Agno 1" if FIRST else "## Agno 2")]
    assert run(section, "agno.md") == section.count("# =>") > 2


@pytest.mark.skipif(FIRST or find_spec("agno.db") is None, reason="Agno 1 has storages, no databases")
def test_a_name_of_another_agno_says_so() -> None:
    import shoal.adapters.agno as adapter

    with pytest.raises(ImportError, match=r"Agno 1\.x"):
        adapter.InMemoryStorage  # noqa: B018 - asking for it is what raises
    with pytest.raises(AttributeError):
        adapter.Something  # noqa: B018 - as above
