"""Three agents in three processes: what they pass on is references, the data stays where it is.

    python examples/agent_pipeline.py [--samples 1000000]

The collector reads weather stations, the analyst looks for faults in what was read, the writer reports. Each has a
queue to the next one, and all three work in one memory of a store:

    stations
    └── north
        ├── place: 'on the roof'
        ├── samples: an array        the collector's
        └── faults: [...]            the analyst's
    report: '...'                    the writer's

`set` returns a `MemoryRef`: a path and a version, some hundred bytes on a queue however large the value is.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from multiprocessing.connection import wait
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any

import numpy as np

import shoal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.queues import Queue

    Refs = Queue[shoal.MemoryRef | None]

STATIONS = {"north": "on the roof", "south": "in the yard", "lake": "on a raft", "hill": "under a tree"}
LIMIT = 100.0  # degrees that no weather has


def measure(station: str, samples: int) -> tuple[np.ndarray, list[int]]:
    """Return what a station measures, and where it goes wrong: the same in every run."""
    chance = np.random.default_rng(sum(station.encode()))
    values = 15 + 10 * np.sin(np.arange(samples) / 500) + chance.normal(size=samples)
    faults = sorted(chance.choice(samples, size=3, replace=False).tolist())
    values[faults] = 500.0
    return values, faults


# ------------------------------------------------ the agents; a memory can be pickled, so each gets it as an argument
def collector(memory: shoal.MemoryObject, samples: int, to_analyst: Refs) -> None:
    """Write what the stations measure into the memory, and pass on where it is."""
    for name, place in STATIONS.items():
        station = memory.new_object(f"stations.{name}")
        station["place"] = place
        values, _ = measure(name, samples)
        send(memory, to_analyst, station.set("samples", values))
    to_analyst.put(None)


def analyst(memory: shoal.MemoryObject, from_collector: Refs, to_writer: Refs) -> None:
    """Look at each array where it lies, and write what is wrong with it beside it."""
    for ref in received(from_collector):
        samples = ref.view(memory)  # read-only, and no copy, whatever its size
        faults = np.flatnonzero(samples > LIMIT).tolist()
        # A reference knows the whole path: stations.north.samples, below the memory that was agreed on.
        station = ref.path.split(".")[-2]
        send(memory, to_writer, memory.set(f"stations.{station}.faults", faults))
    to_writer.put(None)


def writer(memory: shoal.MemoryObject, from_analyst: Refs) -> None:
    """Put together the report, leave it in the memory, and print it."""
    lines = []
    for ref in received(from_analyst):
        station = ref.path.split(".")[-2]
        place = memory[f"stations.{station}.place"]
        lines.append(f"{station}, {place}: wrong at {', '.join(map(str, ref.resolve(memory)))}")
    memory["report"] = "\n".join(sorted(lines))
    print(memory["report"])
    held = sum(memory.metadata(f"stations.{name}.samples").size for name in STATIONS)
    print(f"{memory['sent.references']} references went over the queues, {memory['sent.bytes']:,} bytes in all;")
    print(f"the arrays that they are about have {held:,} bytes")


def send(memory: shoal.MemoryObject, queue: Refs, ref: shoal.MemoryRef) -> None:
    """Pass on a reference, and count what that costs: a queue pickles what it is given."""
    memory.incr("sent.references")  # atomic: two agents count here
    memory.incr("sent.bytes", len(ForkingPickler.dumps(ref)))
    queue.put(ref)


def received(queue: Refs) -> Iterator[shoal.MemoryRef]:
    """What comes, until None does."""
    while (ref := queue.get()) is not None:
        yield ref


# ------------------------------------------------ the three together
def run(memory: shoal.MemoryObject, samples: int) -> None:
    """Start the agents and wait for them; if one fails, end the others."""
    context = multiprocessing.get_context("spawn")  # fresh interpreters; any start method will do
    first: Refs = context.Queue()
    second: Refs = context.Queue()
    jobs: list[Any] = [(collector, memory, samples, first), (analyst, memory, first, second), (writer, memory, second)]
    agents = [context.Process(target=agent, args=arguments) for agent, *arguments in jobs]
    for agent in agents:
        agent.start()
    while busy := [agent for agent in agents if agent.exitcode is None]:
        wait([agent.sentinel for agent in busy])
        if any(agent.exitcode for agent in agents):
            for agent in busy:
                agent.kill()
    if any(agent.exitcode for agent in agents):
        sys.exit("an agent failed")


def main() -> None:
    """Run the pipeline and compare its findings with the faults that there are."""
    parser = argparse.ArgumentParser(description="Three agents pass references, not data.")
    parser.add_argument("--samples", type=int, default=1_000_000, help="of each station, 8 bytes each")
    samples = max(3, parser.parse_args().samples)
    size = len(STATIONS) * 8 * samples + (64 << 20)
    with shoal.open(size=size) as store:  # no name: it belongs to us and to the processes that we start
        memory = store.memory("survey")
        run(memory, samples)
        for station in STATIONS:
            if memory[f"stations.{station}.faults"] != measure(station, samples)[1]:
                sys.exit(f"the faults of {station} were not found")
    print("checked: each fault was found")


if __name__ == "__main__":  # spawned processes import this file
    main()
