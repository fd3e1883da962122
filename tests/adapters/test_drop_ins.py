"""What holds for all drop-ins: who imports them, what they import, and that each has its page, its tests and its row."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "shoal"
ADAPTERS = sorted(
    path.stem
    for path in (PACKAGE / "adapters").iterdir()
    if not path.stem.startswith("_") and path.suffix in {"", ".py"} and not path.stem.startswith(".")
)
FRAMEWORKS = {"agno", "flink_agents", "omagent_core", "pydantic"}


def test_importing_the_package_imports_no_framework() -> None:
    program = "import sys, shoal.adapters; print(*sys.modules)"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    loaded = {name.split(".")[0] for name in printed.split()}
    assert "shoal" in loaded
    assert loaded & FRAMEWORKS == set()


def test_nothing_else_of_the_package_imports_a_drop_in() -> None:
    """Also not inside functions."""
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if (PACKAGE / "adapters") in path.parents:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(alias.name for alias in node.names if node.level)]
            wrong += [f"{path.name}: {name}" for name in names if "adapters" in name.split(".")]
    assert wrong == []


@pytest.mark.parametrize("name", ADAPTERS)
def test_without_its_framework_a_drop_in_says_how_to_get_it(name: str) -> None:
    """Or it works without: then it is there."""
    program = f"""
import sys
sys.modules.update(dict.fromkeys({sorted(FRAMEWORKS - {"pydantic"})}))  # None: importing it fails
try:
    import shoal.adapters.{name}
except ImportError as error:
    print(error)
else:
    print("works")
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    extras = {name, name.replace("_", "-")}
    assert printed == "works\n" or any(f'pip install "shoal[{extra}]"' in printed for extra in extras)


@pytest.mark.parametrize("name", ADAPTERS)
def test_each_has_its_page_its_tests_and_its_row(name: str) -> None:
    folder = ROOT / "docs" / "adapters"
    pages = [folder / f"{stem}.md" for stem in (name, name.replace("_", "-"))]
    assert any(page.is_file() for page in pages)
    assert list(Path(__file__).parent.glob(f"test_{name}*.py"))
    table = (folder / "README.md").read_text(encoding="utf-8")
    assert any(f"]({page.name})" in table for page in pages), "make adapter-table writes it"
