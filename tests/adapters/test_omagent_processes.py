"""`SharedMemSTM` as a component of OmAgent's container, and shared by the processes and threads of workers."""

from __future__ import annotations

import multiprocessing
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("omagent_core", reason="OmAgent is not installed (pip install omagent-core, for Python 3.11)")

from omagent_core.engine.worker.base import BaseWorker
from omagent_core.engine.workflow.conductor_workflow import ConductorWorkflow
from omagent_core.engine.workflow.task.simple_task import simple_task
from omagent_core.memories.stms.stm_sharedMem import SharedMemSTM as Theirs
from omagent_core.utils.container import Container
from omagent_core.utils.container import container as its_container
from omagent_core.utils.registry import registry
from pydantic import BaseModel

from shoal.adapters.omagent import SharedMemSTM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from processes import Crew

    import shoal

KEYS = 50
PROGRAM = """
import sys
from shoal.adapters.omagent import SharedMemSTM
stm = SharedMemSTM(url=sys.argv[1]) if sys.argv[1] else SharedMemSTM()
print(stm["wf"])
stm("wf")["theirs"] = 1
"""


@pytest.fixture
def stm(crew: Crew) -> Iterator[SharedMemSTM]:
    made = SharedMemSTM(url=f"shm://{crew.name()}?size=64MiB")
    yield made
    made.close()


# ---------------------------------------------------------------------- the container


def test_registered_by_its_class(own_store: shoal.Store) -> None:
    container = Container()
    container.register_stm(SharedMemSTM)
    assert isinstance(container.stm, SharedMemSTM)
    assert issubclass(SharedMemSTM, BaseModel)
    container.stm("wf")["registered"] = 1
    assert container.stm("wf").pop("registered") == 1


def test_its_name_means_this_class(own_store: shoal.Store) -> None:
    """Also after OmAgent has imported all of its own modules, as its clients do."""
    assert registry.get_component("SharedMemSTM") is SharedMemSTM is not Theirs
    container = Container()
    container.register_stm("SharedMemSTM")
    assert type(container.stm) is SharedMemSTM


def test_settings(crew: Crew) -> None:
    container = Container()
    container.register_stm(SharedMemSTM, config={"url": f"shm://{crew.name()}", "ttl": 60})
    assert (container.stm.url, container.stm.ttl) == (f"shm://{crew.name()}", 60.0)
    container.stm("wf")["key"] = 1
    assert container.stm.store.memory().ttl("wf") <= 60
    container.stm.close()


def test_settings_that_another_component_left(own_store: shoal.Store) -> None:
    """OmAgent hands the same dict to one component after the other."""
    container = Container()
    container.register_stm(SharedMemSTM, config={"redis_stm_client": object()})
    assert container.stm["unknown"] == {}


def test_lite_mode(own_store: shoal.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMAGENT_MODE", "lite")
    container = Container()
    assert type(container.stm) is SharedMemSTM  # with nothing registered
    assert container.get_component("SharedMemSTM") is container.stm
    container.stm(None)["lite"] = 1
    assert container.stm(None).pop("lite") == 1


class Noting(BaseWorker):  # type: ignore[misc, unused-ignore]  # OmAgent has no types
    def _run(self, note: str) -> dict[str, Any]:
        workflow = self.stm(self.workflow_instance_id)
        workflow["notes"] = [*workflow.get("notes", []), note]
        return {"notes": len(workflow["notes"])}


def test_a_workflow_of_lite_mode(own_store: shoal.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run by OmAgent's own local engine, with nothing registered, and with None as the workflow's id."""
    monkeypatch.setenv("OMAGENT_MODE", "lite")
    monkeypatch.setattr(its_container, "_components", {})
    monkeypatch.setattr(its_container, "_stm_name", None)
    workflow = ConductorWorkflow(name="notes", lite_version=True)
    workflow >> simple_task(Noting, "one") >> simple_task(Noting, "two", {"note": "second"})
    workflow.start_workflow_with_input({"note": "first"}, workers={"Noting": Noting()})
    assert type(its_container.stm) is SharedMemSTM
    assert its_container.stm(None)["notes"] == ["first", "second"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # OmAgent does not close the file
def test_container_yaml(crew: Crew, own_store: shoal.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMAGENT_MODE", "lite")  # else it asks for a Conductor server
    written = Container()
    written.register_stm(SharedMemSTM)
    template = written.compile_config(tmp_path)["components"]["SharedMemSTM"]
    assert template["name"] == "SharedMemSTM"
    assert template["url"]["value"] is None
    assert template["url"]["env_var"] == "SHOAL_STM_URL"
    assert template["ttl"]["value"] is None

    path = tmp_path / "container.yaml"
    lines = path.read_text().splitlines()
    at = lines.index("    url:") + 1
    assert lines[at] == "      value: null"
    lines[at] = f"      value: shm://{crew.name()}"
    path.write_text("\n".join(lines))
    read = Container()
    read.from_config(path)
    assert read._stm_name is None
    read.register_stm("SharedMemSTM")
    assert type(read.stm) is SharedMemSTM
    assert read.stm.url == f"shm://{crew.name()}"
    read.stm.close()


def test_environment(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_STM_URL", f"shm://{crew.name()}")
    monkeypatch.setenv("ID", "of something else")
    stm = SharedMemSTM()
    assert (stm.url, stm.id) == (f"shm://{crew.name()}", None)
    stm.close()


# ---------------------------------------------------------------------- processes and threads


def write_keys(line: Any, stm: SharedMemSTM, worker: int) -> None:
    for number in range(KEYS):
        stm("wf")[f"{worker}-{number}"] = {"worker": worker, "number": number}
        stm("wf").modify("log", lambda log, number=number: [*log, (worker, number)], [])
        stm("wf").modify("total", lambda total: total + 1, 0)


def expect_all(stm: SharedMemSTM, workers: int) -> None:
    workflow = stm("wf")
    assert workflow["total"] == workers * KEYS
    assert sorted(workflow["log"]) == [(worker, number) for worker in range(workers) for number in range(KEYS)]
    assert len(workflow) == workers * KEYS + 2
    for worker in range(workers):
        keys = [key for key in workflow.keys() if key.startswith(f"{worker}-")]  # noqa: SIM118 - it has no iteration
        assert keys == [f"{worker}-{number}" for number in range(KEYS)]


def test_processes_lose_no_update(crew: Crew, stm: SharedMemSTM) -> None:
    """Constructed before the fork, used after it."""
    children = [crew.start(write_keys, stm, worker) for worker in range(4)]
    for child in children:
        child.result()
    expect_all(stm, 4)


def test_threads_lose_no_update(stm: SharedMemSTM) -> None:
    threads = [Thread(target=write_keys, args=(None, stm, worker)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect_all(stm, 4)


def pop_all(line: Any, stm: SharedMemSTM) -> list[int]:
    found = (stm("wf").pop(number) for number in range(200))
    return [number for number in found if number is not None]


def test_one_gets_what_several_pop(crew: Crew, stm: SharedMemSTM) -> None:
    stm.update("wf", {number: number for number in range(200)})
    children = [crew.start(pop_all, stm) for _ in range(3)]
    assert sorted(number for child in children for number in child.result()) == list(range(200))
    assert stm["wf"] == {}


def fill_inbox(line: Any, stm: SharedMemSTM, worker: int) -> None:
    for number in range(300):
        stm("wf").modify("inbox", lambda inbox, number=number: [*inbox, (worker, number)], [])


def test_what_is_written_while_another_pops_is_not_lost(crew: Crew, stm: SharedMemSTM) -> None:
    writers = [crew.start(fill_inbox, stm, worker) for worker in range(2)]
    taken: list[tuple[int, int]] = []
    while any(writer.process.is_alive() for writer in writers):
        taken += stm("wf").pop("inbox", [])
    taken += stm("wf").pop("inbox", [])
    assert sorted(taken) == [(worker, number) for worker in range(2) for number in range(300)]


def forked_without_a_url(line: Any) -> None:
    SharedMemSTM()("wf")["child"] = 1


def test_a_program_shares_with_what_it_forks(crew: Crew, own_store: shoal.Store) -> None:
    stm = SharedMemSTM()
    crew.start(forked_without_a_url).result()
    assert stm("wf").pop("child") == 1


def test_a_spawned_child_gets_it_as_an_argument(crew: Crew, stm: SharedMemSTM) -> None:
    child = multiprocessing.get_context("spawn").Process(target=stm.update, args=("wf", {"spawned": 1}))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert stm["wf"] == {"spawned": 1}


def test_the_end_of_another_program_takes_nothing_along(crew: Crew, stm: SharedMemSTM) -> None:
    stm("wf")["ours"] = 0
    assert crew.run(PROGRAM, f"shm://{crew.name()}") == "{'ours': 0}"
    assert stm["wf"] == {"ours": 0, "theirs": 1}


def test_another_program_without_a_url_has_a_memory_of_its_own(crew: Crew, own_store: shoal.Store) -> None:
    stm = SharedMemSTM()
    stm("wf")["ours"] = 0
    assert crew.run(PROGRAM, "") == "{}"
    assert stm("wf").items() == [("ours", 0)]
    stm("wf").clear()
