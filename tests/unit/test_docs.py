"""The documents' examples: they run as they stand, and give what they say.

All Python blocks of a document are one program. A statement whose line ends in ``# => text`` is checked: the text is the
value's repr, or the name of the exception that it raises. Store names are made this test's own.
"""

from __future__ import annotations

import ast
import builtins
import io
import os
import re
import subprocess
import sys
import tokenize
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import shoal

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOCUMENTS = ["README.md", "docs/memory.md"]
# Some need a framework, and are left out where it is not installed.
ADAPTERS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs" / "adapters").glob("*.md"))


def program(text: str) -> str:
    """The Python of a document at the lines where it stands."""
    lines = []
    inside = False
    for line in text.splitlines():
        if line.startswith("```"):
            inside = line == "```python"
            line = ""  # noqa: PLW2901 - the fence itself
        lines.append(line if inside else "")
    return "\n".join(lines) + "\n"


def promises(source: str) -> dict[int, str]:
    """What lines say that they give."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = ((token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT)
    return {line: text.removeprefix("# =>").strip() for line, text in comments if text.startswith("# =>")}


def exception(name: str) -> Any:
    found = getattr(shoal, name, None) or getattr(builtins, name, None)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


class Checks(ast.NodeTransformer):
    """Makes a check of each statement that promises something; `left` are the promises of no statement."""

    def __init__(self, promised: dict[int, str]) -> None:
        self.left = dict(promised)

    def visit(self, node: ast.AST) -> Any:
        simple = isinstance(node, (ast.Expr, ast.Assign, ast.Delete))
        text = self.left.pop(node.end_lineno or 0, None) if simple else None  # type: ignore[attr-defined]
        if text is None:
            return self.generic_visit(node)
        if exception(text):
            made: ast.stmt = ast.parse(f"with raises({text!r}, {node.lineno}): pass").body[0]  # type: ignore[attr-defined]
            made.body = [node]  # type: ignore[attr-defined]
        else:
            assert isinstance(node, ast.Expr), f"line {node.lineno} has no value"  # type: ignore[attr-defined]
            made = ast.parse(f"check(0, {text!r}, {node.lineno})").body[0]
            made.value.args[0] = node.value  # type: ignore[attr-defined]
        return ast.fix_missing_locations(ast.copy_location(made, node))


@contextmanager
def raises(name: str, line: int) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - which one, the document says
        raised: Exception | None = error
    else:
        raised = None
    assert type(raised) is exception(name), f"line {line}: {raised!r}"


def check(value: object, text: str, line: int) -> None:
    assert repr(value) == text, f"line {line}"


def run(text: str, name: str) -> int:
    """Run a document; how many promises it kept."""
    source = re.sub(r'"swarm"', f'"docs-{os.getpid()}"', program(text))
    promised = promises(source)
    checks = Checks(promised)
    tree = checks.visit(ast.parse(source, name))
    assert checks.left == {}, "promises that no statement keeps"
    space: dict[str, Any] = {"raises": raises, "check": check, "__name__": "document"}
    try:
        exec(compile(tree, name, "exec"), space)
    finally:
        for value in space.values():
            if isinstance(value, shoal.Store):
                value.close()
        space.clear()  # functions of the document would keep its views alive
    return len(promised)


def need_what_it_imports(text: str) -> None:
    """Skip the test if the document imports a framework that is not installed."""
    for node in ast.walk(ast.parse(program(text))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
            pytest.importorskip(str(module), reason=f"{module} needs what is not installed", exc_type=ImportError)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_examples_do_what_they_say(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / name).read_text(encoding="utf-8")
    kept = run(text, name)
    assert kept == sum(line.count("# =>") for line in text.splitlines())
    assert f"docs-{os.getpid()}" not in [info.name for info in shoal.list_arenas()]


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_examples_of_adapters_do_what_they_say(name: str, tmp_path: Path) -> None:
    """In a process of their own, for frameworks keep what they are given as long as theirs lasts."""
    text = (ROOT / name).read_text(encoding="utf-8")
    need_what_it_imports(text)
    arguments = [sys.executable, __file__, str(ROOT / name), str(tmp_path)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as program:
        printed, _ = program.communicate(timeout=100)
    assert program.returncode == 0, printed
    assert printed.splitlines()[-1] == f"kept {sum(line.count('# =>') for line in text.splitlines())}"
    mine = (f"docs-{program.pid}", f"anon-{program.pid}-")
    assert [info.name for info in shoal.list_arenas() if info.name.startswith(mine)] == []


@pytest.mark.parametrize(
    "line", ["1 + 1  # => 3", "[][0]  # => KeyError", "1  # => IndexError", "x = 1  # => 1", "# => 1", "raise OSError"]
)
def test_what_does_something_else_is_found(line: str) -> None:
    with pytest.raises((AssertionError, OSError)):
        run(f"```python\n{line}\n```", "wrong")


if __name__ == "__main__":
    os.chdir(sys.argv[2])
    print("kept", run(Path(sys.argv[1]).read_text(encoding="utf-8"), sys.argv[1]))
