"""Workers of OmAgent share images: `SharedMemSTM` of `shoal.adapters.omagent`, in place of OmAgent's own.

    python examples/omagent_worker.py        (pip install "shoal[omagent]", Python 3.11)

Several processes of a worker each draw images into the cache of one workflow, as it is done with OmAgent: the STM is registered in the
container before they are forked, and they use it through ``self.stm``. The images are values of their own, so those who draw at the
same time undo nothing; what has to be changed in place, `modify` changes.
"""

import os
from multiprocessing import get_context
from typing import Any

os.environ.setdefault("OMAGENT_MODE", "lite")

from omagent_core.engine.http.models.task import Task
from omagent_core.engine.worker.base import BaseWorker
from omagent_core.utils.container import container
from omagent_core.utils.registry import registry
from PIL import Image, ImageStat

from shoal.adapters.omagent import SharedMemSTM

WORKERS = 3
IMAGES = 4  # of each worker


@registry.register_worker()
class Painter(BaseWorker):  # type: ignore[misc, unused-ignore]  # OmAgent has no types
    """Draws images into the workflow's cache."""

    def _run(self, painter: int) -> dict[str, Any]:
        workflow = self.stm(self.workflow_instance_id)
        for number in range(IMAGES):
            image = Image.new("RGB", (64, 64), (painter * 80, number * 60, 128))
            workflow[f"image_{painter}_{number}"] = image
            # What OmAgent's documentation does in three lines, and what gets lost if two do them at once.
            workflow.modify("image_cache", lambda cache, name=f"{painter}_{number}": {**cache, name: "drawn"})
        return {"drawn": IMAGES}


@registry.register_worker()
class Curator(BaseWorker):  # type: ignore[misc, unused-ignore]
    """Looks at all images of the workflow."""

    def _run(self) -> dict[str, Any]:
        workflow = self.stm(self.workflow_instance_id)
        names = sorted(workflow["image_cache"])
        reds = [ImageStat.Stat(workflow[f"image_{name}"]).mean[0] for name in names]
        workflow["report"] = {"images": {"count": len(names), "reds": sorted(set(reds))}, "by": self.name}
        return {"seen": len(names)}


def task(workflow: str, **inputs: Any) -> Task:
    """What the engine of workflows would hand to a worker."""
    return Task(workflow_instance_id=workflow, task_id="task", input_data=inputs)


def paint(painter: int) -> None:
    """Run in a process of its own, as OmAgent runs its workers."""
    result = Painter().execute(task("wf-1", painter=painter))
    assert result.output_data == {"drawn": IMAGES}, result


def main() -> None:
    """Draw in several processes, look at it in this one."""
    container.register_stm(SharedMemSTM)
    workflow = container.stm("wf-1")
    workflow["image_cache"] = {}

    context = get_context("fork")
    painters = [context.Process(target=paint, args=(number,)) for number in range(WORKERS)]
    for painter in painters:
        painter.start()
    for painter in painters:
        painter.join()

    print(Curator().execute(task("wf-1")).output_data)
    print(workflow["report"])
    assert workflow["report"]["images"]["count"] == WORKERS * IMAGES
    workflow.clear()  # the workflow has finished
    print(f"{len(workflow)} values are left")


if __name__ == "__main__":
    main()
