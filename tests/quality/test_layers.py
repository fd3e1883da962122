"""Who may use whom: each layer only the layers below it, in C and in Python."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "csrc"
PACKAGE = ROOT / "src" / "shoal"

# The headers of the core, bottom-up. A header includes only headers before it. (A source without a header of its own
# implements a part of shoal.h and may use them all.)
C_LAYERS = (
    "shoal",
    "compiler",
    "atomics",
    "stream",
    "os",
    "clock",
    "layout",
    "hash",
    "number",
    "handle",
    "process",
    "lock",
    "pages",
    "pins",
    "entry",
    "undo",
    "slab",
    "table",
    "lists",
    "fields",
    "recover",
    "remove",
    "room",
    "tree",
    "read",
    "publish",
    "namespace",
    "arena",
)

# Sources that call up into a later layer, each with the reason.
C_CALLS_UP = {
    ("process", "pins"): "reaping a dead process drops its pins",
    ("process", "namespace"): "reaping a dead process removes its runs",
    ("pins", "recover"): "who takes a shard's lock over from a dead process repairs the shard first",
}

# Headers of the system that only the os layer may see, but for arena.c, the one place that maps memory.
SYSTEM_HEADERS = re.compile(r"linux/|sys/(mman|syscall|file|random|sysctl)\.h|semaphore\.h|sched\.h")
MAPS = ("arena.c", "sys/mman.h")


def includes(path: Path) -> list[str]:
    return re.findall(r'^\s*#\s*include\s*["<]([^">]+)[">]', path.read_text(), re.MULTILINE)


def layer(path: Path) -> str:
    if not path.with_suffix(".h").exists() and not path.stem.startswith("os_"):
        return "api"
    return "os" if path.stem.startswith("os_") else path.stem


def c_files(pattern: str) -> list[Path]:
    return sorted(CORE.rglob(pattern))


def test_every_file_of_the_core_has_its_layer() -> None:
    headers = {path.stem for path in c_files("*.h")}
    assert headers <= set(C_LAYERS), "a new header takes its place in C_LAYERS"
    listed = set(re.findall(r"`(\w+\.[ch])`", (CORE / "README.md").read_text()))
    assert {path.name for path in c_files("*.[ch]")} == listed, "csrc/README.md lists the files of each layer"


def test_a_header_includes_only_lower_layers() -> None:
    rank = {name: place for place, name in enumerate(C_LAYERS)}
    wrong = [
        f"{path.name} includes {name}"
        for path in c_files("*.h")
        for name in includes(path)
        if Path(name).stem in rank and name.endswith(".h") and rank[Path(name).stem] >= rank[path.stem]
    ]
    assert not wrong


def test_a_source_includes_only_its_own_and_lower_layers() -> None:
    rank = {name: place for place, name in enumerate(C_LAYERS)}
    wrong = [
        f"{path.name} includes {name}"
        for path in c_files("*.c")
        for name in includes(path)
        if layer(path) in rank
        and rank.get(Path(name).stem, -1) > rank[layer(path)]
        and (layer(path), Path(name).stem) not in C_CALLS_UP
    ]
    assert not wrong


def test_no_source_includes_a_source() -> None:
    assert not [f"{path.name}: {name}" for path in c_files("*.[ch]") for name in includes(path) if name.endswith(".c")]


def test_the_core_knows_nothing_of_python() -> None:
    assert not [
        path.name for path in c_files("*.[ch]") if "Python.h" in includes(path) or "PyObject" in path.read_text()
    ]


def test_atomics_stand_in_one_header() -> None:
    bare = re.compile(r"stdatomic\.h|\b__atomic_(?!always_lock_free)|\b__sync_|\bvolatile\b")
    wrong = [path.name for path in c_files("*.[ch]") if path.name != "atomics.h" and bare.search(code_of(path))]
    assert not wrong


def test_system_headers_stay_in_the_os_layer() -> None:
    wrong = [
        f"{path.name} includes {name}"
        for path in c_files("*.[ch]")
        for name in includes(path)
        if layer(path) != "os" and SYSTEM_HEADERS.match(name) and (path.name, name) != MAPS
    ]
    assert not wrong


def test_the_core_neither_prints_nor_exits() -> None:
    calls = re.compile(r"\b(printf|fprintf|puts|perror|exit|_exit|abort)\s*\(")
    wrong = [f"{path.name}: {match[1]}" for path in c_files("*.[ch]") for match in calls.finditer(code_of(path))]
    assert not wrong


def code_of(path: Path) -> str:
    """Return the text without comments and strings."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"', " ", path.read_text(), flags=re.DOTALL)


# The parts of the binding, bottom-up: each uses only what comes before it.
BINDING = PACKAGE / "_core.pyx"
PARTS = PACKAGE / "core"
CLASSES = {
    "handle": "Handle",
    "entries": "Entries",
    "views": "Views",
    "fields": "Fields",
    "opening": "Opened",
    "reading": "Reader",
    "writing": "Writer",
    "store": "ArenaStore",
}


def test_the_binding_is_made_of_its_parts() -> None:
    text = BINDING.read_text()
    included = re.findall(r'^include "core/(\w+)\.pxi"$', text, re.MULTILINE)
    assert sorted(included) == sorted(path.stem for path in PARTS.iterdir())
    described = re.findall(r"^    (\w+) {2,}\S", text.split('"""')[1], re.MULTILINE)
    assert described == included


def test_each_class_of_the_handle_has_its_part() -> None:
    for part, name in CLASSES.items():
        assert re.findall(r"^cdef class (\w+)", (PARTS / f"{part}.pxi").read_text(), re.MULTILINE) == [name]


def test_calls_to_the_core_are_declared_in_one_place() -> None:
    paths = [BINDING, *PARTS.iterdir()]
    assert not [path.name for path in paths if "shoal.h" in re.findall(r'extern from "([^"]+)"', path.read_text())]


# Modules of the package, bottom-up in groups; one imports only modules of its own and of lower groups, when it is
# loaded. (Imports inside functions are how a layer stays out of the import time, and may point up.)
PYTHON_LAYERS = (
    {"_version", "errors"},
    {"_failures", "_lifetime", "keys", "options", "patterns", "records", "rights"},
    {"codec"},
    {"memory", "scope", "snapshot", "store", "views"},
    {"_core", "backends", "arena", "arena_memory"},
    {"__init__", "_lazy"},
    {"adapters"},
    {"bench", "testing"},
    {"cli", "__main__"},
)


def module_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Return the top-level modules of the package that a file imports when it is loaded."""
    found: set[str] = set()
    here = ("shoal", *path.relative_to(PACKAGE).parent.parts)
    waiting: list[ast.stmt] = list(ast.parse(path.read_text()).body)
    while waiting:
        node = waiting.pop()
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(here[: len(here) - node.level + 1]) if node.level else ""
            base = ".".join(part for part in (start, node.module) if part)
            names = [f"{base}.{alias.name}" if base == "shoal" else base for alias in node.names]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting += node.orelse
        elif isinstance(node, ast.If | ast.Try):
            waiting += [*node.body, *node.orelse]
        found |= {name.split(".")[1] for name in names if name.startswith("shoal.")}
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_lower_layers(path: Path) -> None:
    rank = {name: place for place, group in enumerate(PYTHON_LAYERS) for name in group}
    module = module_of(path)
    assert module in rank, "a new module takes its place in PYTHON_LAYERS"
    assert not [name for name in imported(path) if name in rank and rank[name] > rank[module]]
