"""A program with OmAgent's workers, which a Conductor tells what to do: run by a test, with its own `container.yaml`.

    python omagent_program.py START_METHOD CLIENT INPUT...

It starts a workflow for each input, and prints what they end with, as JSON. `CLIENT` is "client" for OmAgent's `ProgrammaticClient`,
and "handler" for the `TaskHandler` that this makes, which needs less of what OmAgent depends on.
"""

import json
import multiprocessing
import os
import sys
import time
from typing import Any

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])  # before OmAgent, which sets one unless there is one

from omagent_core.engine.automator.task_handler import TaskHandler
from omagent_core.engine.worker.base import BaseWorker
from omagent_core.engine.workflow.conductor_workflow import ConductorWorkflow
from omagent_core.engine.workflow.task.simple_task import simple_task
from omagent_core.utils.container import container
from omagent_core.utils.logger import logging
from omagent_core.utils.registry import registry
from PIL import Image

import shoal.adapters.omagent  # noqa: F401 - the line that is added to a program of OmAgent

PAINTERS, IMAGES = 4, 5

logging.init_logger("omagent", "omagent", level="INFO")
container.from_config("container.yaml")
container.register_stm("SharedMemSTM")


@registry.register_worker()
class Painter(BaseWorker):  # type: ignore[misc]
    """Several processes of it work for one workflow at once."""

    def _run(self, painter: int, title: str) -> dict[str, Any]:
        workflow = self.stm(self.workflow_instance_id)
        for number in range(IMAGES):
            about = {"title": title, "by": {"painter": painter, "pid": os.getpid()}}
            workflow[f"image_{painter}_{number}"] = {
                "image": Image.new("RGB", (8, 8), (painter, number, 0)),
                "about": about,
            }
            workflow.modify("count", lambda count: count + 1, 0)
        return {"pid": os.getpid()}


@registry.register_worker()
class Curator(BaseWorker):  # type: ignore[misc]
    """Looks at all that the workflow has, and drops it."""

    def _run(self) -> dict[str, Any]:
        workflow = self.stm(self.workflow_instance_id)
        count = workflow.pop("count")
        images = workflow.values()
        found = sorted(image["image"].getpixel((0, 0)) for image in images)
        titles = {image["about"]["title"] for image in images}
        pids = {image["about"]["by"]["pid"] for image in images}
        workflow.clear()
        return {"count": count, "images": found, "titles": sorted(titles), "pids": sorted(pids), "left": len(workflow)}


def main(client: str, inputs: list[str]) -> None:
    workflow = ConductorWorkflow(name="gallery")
    painters = [
        simple_task(Painter, f"paint_{painter}", {"painter": painter, "title": "${workflow.input.title}"})
        for painter in range(PAINTERS)
    ]
    workflow >> painters >> simple_task(Curator, "look")
    workflow.register(True)
    workers = [Painter(concurrency=3, poll_interval=5), Curator(concurrency=1, poll_interval=5)]
    given = [{"title": title} for title in inputs]
    if client == "client":
        from omagent_core.clients.devices.programmatic import ProgrammaticClient

        programmatic = ProgrammaticClient(processor=workflow, config_path=".", workers=workers)
        outputs = programmatic.start_batch_processor(workflow_input_list=given)
        programmatic.stop_processor()
    else:
        handler = TaskHandler(workers=workers)
        handler.start_processes()
        ids = [workflow.start_workflow_with_input(workflow_input=each) for each in given]
        while any(workflow.get_workflow(workflow_id=one).status == "RUNNING" for one in ids):
            time.sleep(0.01)
        outputs = [workflow.get_workflow(workflow_id=one).output for one in ids]
        handler.stop_processes()
    print("OUTPUTS", json.dumps(outputs))


if __name__ == "__main__":
    main(sys.argv[2], sys.argv[3:])
