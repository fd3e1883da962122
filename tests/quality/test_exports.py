"""What the package shows to the outside, and what importing it costs."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import shoal

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "shoal"

# Loading these is the business of who uses what needs them.
HEAVY = {
    *("argparse", "asyncio", "contextlib", "ctypes", "dataclasses", "datetime", "inspect", "json", "logging"),
    *("multiprocessing", "pathlib", "pickle", "random", "re", "socket", "sqlite3", "subprocess", "tempfile"),
    *("threading", "typing", "hypothesis", "msgpack", "msgspec", "numpy", "pydantic", "rich"),
}


def all_of(path: Path) -> list[str] | None:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if ast.unparse(target) == "__all__":
                names: list[str] = ast.literal_eval(node.value)
                return names
    return None


def test_all_is_there() -> None:
    assert [name for name in shoal.__all__ if not hasattr(shoal, name)] == []


def test_the_promised_names_are_there() -> None:
    promised = {
        *("AccessDenied", "CapacityExceeded", "CorruptArena", "IncompatibleArena", "InvalidKey", "InvalidValue"),
        *(
            "KeyNotFound",
            "MemoryObject",
            "MemoryRef",
            "Metadata",
            "PathConflict",
            "PatternError",
            "RunContext",
            "ShoalError",
            "Stats",
            "StorageError",
            "Store",
            "StoreBusy",
        ),
        *("StoreClosed", "StoreNotFound", "__version__", "destroy", "gc", "list_arenas", "open"),
    }
    assert promised <= set(shoal.__all__)


def test_every_error_is_exported() -> None:
    assert set(shoal.errors.__all__) <= set(shoal.__all__)


def test_init_is_imports_and_all_only() -> None:
    body = ast.parse((PACKAGE / "__init__.py").read_text()).body
    kinds = (ast.Import, ast.ImportFrom, ast.Assign, ast.If, ast.Try, ast.Expr)
    assert [ast.unparse(node) for node in body if not isinstance(node, kinds)] == []


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_shows(path: Path) -> None:
    bare = len(ast.parse(path.read_text()).body) == 1  # a docstring: it shows nothing
    assert all_of(path) is not None or path.name == "__main__.py" or bare, "no __all__"


@pytest.mark.parametrize(
    "use", ["import shoal", "import shoal\nwith shoal.open(None) as store: store['k'] = store.get('k', 'text')"]
)
def test_nothing_heavy_is_loaded(use: str) -> None:
    # -S: what site loads is not our business.
    program = f"import sys; sys.path[:] = {sys.path!r}\n{use}\nprint(*sys.modules)"
    printed = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True).stdout
    loaded = {name.split(".")[0] for name in printed.split()}
    assert "shoal" in loaded
    assert loaded & HEAVY == set()


def test_the_extension_exports_its_init_function_only() -> None:
    nm = shutil.which("nm")
    assert nm, "binutils comes with every C compiler"
    from shoal import _core

    flags = ["-gU"] if sys.platform == "darwin" else ["-D", "--defined-only"]
    printed = subprocess.run([nm, *flags, _core.__file__], capture_output=True, text=True, check=True).stdout
    names = {line.split()[-1].lstrip("_") for line in printed.splitlines() if line}
    assert {name for name in names if name not in {"init", "fini"}} == {"PyInit__core"}


def test_the_version_has_one_source() -> None:
    assert shoal.__version__ == metadata.version("shoal")
    assert re.search(rf"^## \[?{re.escape(shoal.__version__)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_the_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
    assert (PACKAGE / "_core.pyi").is_file()
