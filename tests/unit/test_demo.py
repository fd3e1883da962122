"""The demo: it runs, and what it claims about itself holds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shoal
from shoal.cli import main
from shoal.examples import index_stdlib as example

SOURCE = '''
"""What it is.

More of it.
"""
import os, json.decoder
from . import sibling
from ..above import thing

class Thing:
    def method(self):
        import inner
        def hidden(): ...

if os.name:
    async def conditional(): ...
'''


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder of source files with words, imports and definitions in common."""
    for number in range(40):
        package = tmp_path / f"package{number % 4}"
        package.mkdir(exist_ok=True)
        shared = "".join(f"def shared_{n}(argument): return argument\n" for n in range(number % 7))
        (package / f"module{number}.py").write_text(f"import os\nimport json\n{shared}\nclass Common{number}: ...\n")
    (tmp_path / "broken.py").write_text("def (:")
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "installed.py").write_text("import other")
    return tmp_path


def demo(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any]:
    code = main(["demo", "--json", *map(str, arguments)])
    return code, json.loads(capsys.readouterr().out)


# ------------------------------------------------ the job


def test_parsing() -> None:
    record = example.parse(SOURCE.encode())
    assert record["docstring"] == "What it is."
    assert record["definitions"] == {"Thing": 10, "method": 11, "conditional": 16}
    assert record["imports"] == [".", "..above", "json.decoder", "os"]
    assert record["tokens"]["def"] == 3
    assert record["tokens"]["import"] == 4


def test_parsing_what_is_no_python() -> None:
    record = example.parse(b"def (:")
    assert record["error"] == "SyntaxError"
    assert record["tokens"] == {"def": 1}


def test_term_vectors_tell_likeness() -> None:
    one, same, other = (
        example.term_vector(words) for words in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"c": 1, "d": 1, "e": 3})
    )
    assert one @ same == pytest.approx(1)
    assert one @ other < 0.5
    assert not example.term_vector({}).any()


def test_files_of_installed_packages_are_left_out(tree: Path) -> None:
    paths = example.find_files(tree)
    assert len(paths) == 42
    assert paths == sorted(paths)
    assert "empty.py" in paths


@pytest.mark.parametrize("url", ["memory://", None])
def test_one_worker_makes_the_index_that_dicts_make(url: str | None, tree: Path) -> None:
    with shoal.open(url) as store:
        store["paths"] = example.find_files(tree)
        example.work(store, "worker", tree, 0)
        index, expected = example.Index(store), example.alone(tree, store["paths"])
        assert example.recount(index) == []
        assert example.differences(index, expected) == []
        assert example.answer(index) == example.answer(expected)


def test_differences_are_found(tree: Path) -> None:
    with shoal.open("memory://") as store:
        paths = store["paths"] = example.find_files(tree)
        example.work(store, "worker", tree, 0)
        index, expected = example.Index(store), example.alone(tree, paths)
        index.tokens.incr("os")
        index.definitions.delete("Common3")
        index.vectors["empty.py"] = np.ones(example.DIMENSIONS, np.float32)
        found = example.differences(index, expected)
    assert [line.partition(":")[0] for line in found] == ["vectors", "definitions", "tokens"]
    assert found[2].endswith("such as 'os'")


@pytest.mark.parametrize("url", ["memory://", None])
@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_what_a_dead_worker_half_counted_is_put_right(url: str | None, steps: int, tree: Path) -> None:
    """A worker died after its file was in the results, and after `steps` of the increments."""
    with shoal.open(url) as store:
        paths = store["paths"] = example.find_files(tree)
        index = example.Index(store)
        path = "package0/module20.py"
        record = example.parse((tree / path).read_bytes())
        index.vectors[path] = example.term_vector(record["tokens"])
        for name, line in record["definitions"].items():
            index.definitions[name] = {f"{path}:{line}"}
        index.claims.add(path, "dead")
        index.counting["dead"] = path
        index.results.add(path, record)
        for word in list(record["tokens"])[:steps]:
            index.tokens.incr(word, record["tokens"][word])

        example.work(store, "alive", tree, 0)
        expected = example.alone(tree, paths)
        assert example.differences(index, expected) != []
        assert example.recount(index) == [path]
        assert example.differences(index, expected) == []
        assert example.recount(index) == []


def test_a_file_that_two_workers_finish_counts_once(tree: Path) -> None:
    """The first one's claim had expired while it was at the file."""
    with shoal.open("memory://") as store:
        paths = store["paths"] = example.find_files(tree)
        index = example.Index(store)
        for worker in ("slow", "quick"):
            example.index_file(index, worker, tree, "package0/module20.py")
        example.work(store, "alive", tree, 0)
        assert example.differences(index, example.alone(tree, paths)) == []


# ------------------------------------------------ the command


def test_the_demo_finds_what_one_process_finds(capsys: pytest.CaptureFixture[str], tree: Path) -> None:
    code, result = demo(capsys, "--path", tree, "--workers", 3, "--seed", 5)
    assert code == 0
    assert result["identical"] is True
    assert result["differences"] == []
    assert result["files"] == 42
    assert result["pool"]["killed"] == []
    assert result["answers"]["most imported modules"][0] == ["json", 40]
    store = result["store"]
    assert store["operations"] > 42 * 5
    assert 0 < store["hit_ratio"] < 1
    assert store["processes"] >= 2
    assert store["memory"] > 0


def test_the_demo_survives_the_death_of_a_worker(capsys: pytest.CaptureFixture[str]) -> None:
    code, result = demo(capsys, "--kill", "--limit", 250, "--workers", 2)
    assert code == 0
    assert len(result["pool"]["killed"]) == 1
    assert result["identical"] is True


def test_the_demo_survives_the_death_of_its_only_worker(capsys: pytest.CaptureFixture[str]) -> None:
    code, result = demo(capsys, "--kill", "--limit", 100, "--workers", 1)
    assert code == 0
    assert result["pool"]["killed"] == ["worker-0"]
    assert result["identical"] is True


def test_the_demo_tells_a_person(capsys: pytest.CaptureFixture[str], tree: Path) -> None:
    assert main(["demo", "--path", str(tree), "--limit", "10", "--workers", "2"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""  # nobody watches: no progress bar
    for words in ("2 workers index 10 files", "who defines", "operations per second", "hit ratio", "retries"):
        assert words in printed.out
    assert printed.out.splitlines()[-1] == "The result of 2 workers is identical to that of one process."


def test_the_demo_needs_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["demo", "--path", str(tmp_path)]) == 1
    assert main(["demo", "--path", str(tmp_path / "absent")]) == 3
    assert "Traceback" not in capsys.readouterr().err


def test_a_worker_that_fails_ends_the_demo(capfd: pytest.CaptureFixture[str], tree: Path) -> None:
    assert main(["demo", "--path", str(tree), "--size", "1MiB", "--workers", "2", "--limit", "1"]) == 0
    (tree / "large.py").write_text("\n".join(f"word_{n} = {n}" for n in range(100_000)))
    assert main(["demo", "--path", str(tree), "--size", "1MiB", "--workers", "2"]) == 3
    errors = capfd.readouterr().err
    assert "CapacityExceeded" in errors
    assert errors.splitlines()[-1].endswith("ended with exit code 1")


@pytest.mark.parametrize("option", [["--workers", "0"], ["--workers", "x"], ["--limit", "-1"], ["--size", "much"]])
def test_wrong_usage(capsys: pytest.CaptureFixture[str], option: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["demo", *option])
    assert end.value.code == 2
    assert capsys.readouterr().out == ""


def test_interrupting_the_demo_leaves_nothing() -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "shoal", "demo", "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert "2 workers index" in process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")
    mine = f"anon-{process.pid}-"
    assert not [info.name for info in shoal.list_arenas() if info.name.startswith(mine)]


def test_the_tour_stays_short() -> None:
    assert len(Path(example.__file__).read_text().splitlines()) < 300
