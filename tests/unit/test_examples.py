"""The examples as programs: each runs, checks itself, says what it should and leaves nothing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import shoal
from shoal import examples

EXAMPLES = Path(examples.__file__).parent


def run_example(name: str, *arguments: object, code: int = 0) -> str:
    """Run a program as its documentation says; what it printed, errors last."""
    program = subprocess.Popen(
        [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with program:
        printed, errors = program.communicate(timeout=100)
    assert program.returncode == code, errors
    assert code or errors == ""
    assert [info.name for info in shoal.list_arenas() if info.name.startswith(f"anon-{program.pid}-")] == []
    return printed + errors


def numbers(pattern: str, printed: str) -> list[float]:
    return [float(text.replace(",", "")) for text in re.findall(pattern, printed)]


def test_quickstart() -> None:
    assert run_example("quickstart").splitlines() == [
        "{'value': 42, 'found by': ['another', 'process']}",
        "3",
        "['answer', 'greeting', 'token', 'visits']",
    ]


def test_counter_pool() -> None:
    lines = run_example("counter_pool").splitlines()
    assert lines[-1] == "20 tasks threw 20000 times"
    counts = [int(match[2]) for line in lines if (match := re.match(r"sum ([ \d]\d): +(\d+)", line))]
    assert len(counts) == 11
    assert sum(counts) == 20_000


def test_index_stdlib(tmp_path: Path) -> None:
    for number in range(42):
        (tmp_path / f"module{number}.py").write_text(f"import os\ndef function{number}(): return {number % 5}\n")
    lines = run_example("index_stdlib", tmp_path).splitlines()
    assert "42 of 42 files" in "".join(lines)
    assert lines[-1] == "identical to what one process finds"


def test_agent_pipeline() -> None:
    """The bytes on the queues do not depend on how large the arrays are."""
    sent, held = [], []
    for samples in (1_000, 100_000):
        printed = run_example("agent_pipeline", "--samples", samples)
        assert printed.splitlines()[-1] == "checked: each fault was found"
        assert re.search(r"^lake, on a raft: wrong at \d+, \d+, \d+$", printed, re.MULTILINE)
        assert "8 references" in printed
        sent += numbers(r"queues, ([\d,]+) bytes", printed)
        held += numbers(r"about have ([\d,]+) bytes", printed)
    assert sent[0] == sent[1] < 2_000
    assert held[0] >= 4 * 8 * 1_000
    assert held[1] >= 4 * 8 * 100_000


def test_shared_array() -> None:
    """Each worker holds a view of all of it; none has as much memory of its own, and the array is counted once."""
    printed = run_example("shared_array", "--mb", 64, "--workers", 3)
    assert "one array of 64.0 MB" in printed
    (pinned,) = numbers(r"pinned by all views together: ([\d.,]+) MB", printed)
    assert 64 <= pinned < 65
    private, grown = numbers(r"([\d.]+) MB private", printed), numbers(r"([\d.]+) since the view", printed)
    assert len(private) == len(grown) == 3
    assert max(grown) < 16
    assert sum(numbers(r"worker \d: (\d+) blocks", printed)) == 64 * 2**20 / (4096 * 256 * 4)
    assert printed.splitlines()[-1].startswith("checked: 3 workers found all 8 rows")


def test_shared_array_that_does_not_fit() -> None:
    assert "give a smaller --mb" in run_example("shared_array", "--mb", 100_000, code=1)


def test_customer_memory() -> None:
    printed = run_example("customer_memory")
    assert re.search(r"^customer-2: What do I like\? +cake and jam\.$", printed, re.MULTILINE)
    assert "has the thought 'so far I think that'" in printed
    assert re.search(r"^KeyNotFound: .* its run has ended$", printed, re.MULTILINE)
    assert "│   ├── messages: 4\n" in printed
    assert printed.splitlines()[-1].endswith("no run has left anything")


def test_kairei_session() -> None:
    lines = run_example("kairei_session").splitlines()
    assert lines[0] == "Alice (31 bytes of application/json): 12 answers"
    assert lines[-2] == f"by the last provider: {[f'session_123_2_{number}' for number in range(4)]}"
    assert lines[-1] == "Storage error: Maximum capacity reached (50 keys)"


def test_omagent_worker() -> None:
    pytest.importorskip("omagent_core.engine.worker.base", reason="OmAgent is not installed")
    assert run_example("omagent_worker").splitlines() == [
        "{'seen': 12}",
        "{'images': {'count': 12, 'reds': [0.0, 80.0, 160.0]}, 'by': 'Curator'}",
        "0 values are left",
    ]


@pytest.mark.parametrize("name", ["agent_pipeline", "customer_memory", "quickstart"])
def test_as_modules(name: str) -> None:
    """As `python -m`, which is how those without the source run them; children are spawned then as well."""
    arguments = ["--samples", "1000"] if name == "agent_pipeline" else []
    program = [sys.executable, "-m", f"shoal.examples.{name}", *arguments]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")


def test_all_are_listed() -> None:
    listed = {
        line.split()[0]
        for line in (ast.get_docstring(ast.parse(Path(examples.__file__).read_text())) or "").splitlines()[2:]
    }
    assert listed == {path.stem for path in EXAMPLES.glob("*.py")} - {"__init__"}
