"""`SharedMemSTM` in the processes that OmAgent starts for a Conductor: a program of OmAgent's own kind, told what to do over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import shoal

if TYPE_CHECKING:
    from processes import Crew

pytest.importorskip("omagent_core", reason="OmAgent is not installed (pip install omagent-core, for Python 3.11)")
pytest.importorskip("func_timeout", reason="OmAgent is installed without what its engine needs")

from conductor import Conductor

PROGRAM = Path(__file__).with_name("omagent_program.py")
PATIENCE = 120.0
CONTAINER = """
conductor_config:
  name: Configuration
  base_url: {{value: "{conductor}", env_var: CONDUCTOR_SERVER_URL}}
components:
  SharedMemSTM:
    name: SharedMemSTM
    url: {{value: {store}, env_var: SHOAL_STM_URL}}
    ttl: {{value: 3600, env_var: SHOAL_STM_TTL}}
"""
PAINTERS, IMAGES = 4, 5  # as in the program

# OmAgent's clients import all of OmAgent, also what it does not ask to be installed.
missing = [name for name in ("face_recognition", "jupyter_client", "numexpr", "torch") if find_spec(name) is None]
needs_all = pytest.mark.skipif(bool(missing), reason=f"OmAgent's clients need {', '.join(missing)}, not installed")


def outputs(folder: Path, store: str | None, method: str, client: str, *titles: str) -> list[dict[str, Any]]:
    """What the workflows end with that the program starts, one for each title."""
    with Conductor() as conductor:
        container = CONTAINER.format(conductor=conductor.url, store=json.dumps(store))
        (folder / "container.yaml").write_text(container)
        program = subprocess.Popen(
            [sys.executable, str(PROGRAM), method, client, *titles],
            cwd=folder,
            # OmAgent asks for workflows' inputs where this says, whatever its container.yaml does.
            env={
                **os.environ,
                "OMAGENT_MODE": "pro",
                "BASE_URL": conductor.url,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            said, errors = program.communicate(timeout=PATIENCE)
        finally:
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)  # with all the workers
                program.communicate()
        lines = [line for line in said.splitlines() if line.startswith("OUTPUTS ")]
        assert lines, errors
        assert {result["status"] for result in conductor.results} == {"COMPLETED"}
        assert not list(Path("/dev/shm").glob(f"shoal.anon-{program.pid}-*")), "the program's own store is gone with it"
        found: list[dict[str, Any]] = json.loads(lines[0].removeprefix("OUTPUTS "))
        return found


def expect_all(found: list[dict[str, Any]], *titles: str) -> None:
    """Nothing is lost of what the workers of a workflow did at once, and workflows are apart."""
    images = [[painter, number, 0] for painter in range(PAINTERS) for number in range(IMAGES)]
    assert [about["titles"] for about in found] == [[title] for title in titles]
    for about in found:
        assert (about["count"], about["images"], about["left"]) == (len(images), images, 0)
    assert len({pid for about in found for pid in about["pids"]}) > 1, "all was done by one process"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_store_with_a_name(crew: Crew, tmp_path: Path, method: str) -> None:
    with shoal.open(crew.name(), size="64MiB") as store:
        found = outputs(tmp_path, f"shm://{crew.name()}", method, "handler", "a", "b", "c")
        expect_all(found, "a", "b", "c")
        with store.namespace("omagent") as memory:
            assert memory.stats().fields == 0, "the workflows have dropped their memory"


def test_workers_of_a_store_without_a_name(crew: Crew, tmp_path: Path) -> None:
    """It is the program's own: made before it forks its workers."""
    expect_all(outputs(tmp_path, None, "fork", "handler", "a", "b"), "a", "b")


@needs_all
def test_a_program_of_the_programmatic_client(crew: Crew, tmp_path: Path) -> None:
    with shoal.open(crew.name(), size="64MiB"):
        expect_all(outputs(tmp_path, f"shm://{crew.name()}", "fork", "client", "a", "b"), "a", "b")
