"""Rounds of a measurement: how busy others kept the machine in each, and some again if that was too much."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Rounds"]

DISTURBED = 0.2
"""Cores that others use in a round that is not to be trusted."""
PROC = Path("/proc")

Measured = TypeVar("Measured")


class Rounds:
    """As many rounds as asked for; disturbed ones are made again as long as patience lasts, and the quietest are used."""

    def __init__(self, rounds: int, patience: float = 0.0) -> None:
        """`patience`: seconds that may go to repeating."""
        self.rounds = rounds
        self.patience = patience
        self.loads: list[float] = []
        """Cores that others used, in each round that there was."""

    def __iter__(self) -> Iterator[int]:
        """The number of each round, which is over when the next one is asked for."""
        repeating = 0.0
        while True:
            before, began = _used(), time.monotonic()
            yield len(self.loads)
            took = time.monotonic() - began
            after = _used()
            others = (after[0] - before[0]) - (after[1] - before[1])
            self.loads.append(max(0.0, others / took) if took > 0 else 0.0)
            if len(self.loads) < self.rounds:
                continue
            repeating += took
            if sum(load < DISTURBED for load in self.loads) >= self.rounds or repeating > self.patience:
                return

    @property
    def best(self) -> list[int]:
        """The quietest ones, as many as were asked for, in their order."""
        return sorted(sorted(range(len(self.loads)), key=self.loads.__getitem__)[: self.rounds])

    def among(self, measured: list[Measured]) -> list[Measured]:
        """Of what was measured round by round, what is of the quietest; all of what broke off before it was measured in those."""
        return [measured[i] for i in self.best if i < len(measured)] or measured

    def note(self) -> str:
        """How quiet it was, for people."""
        loads = [self.loads[i] for i in self.best]
        again = len(self.loads) - len(loads)
        said = f"{statistics.median(loads):.2f} of {os.cpu_count()}, {max(loads):.2f} in the worst round"
        return f"cores busy with other work: {said}" + (f"; {again} rounds were left out" if again else "")


def _used() -> tuple[float, float]:
    """Seconds of CPU that all have used, and that this process and its descendants have; 0 on a system that does not tell."""
    tick = os.sysconf("SC_CLK_TCK")
    try:
        fields = [int(field) for field in (PROC / "stat").read_text(encoding="ascii").partition("\n")[0].split()[1:9]]
    except OSError:
        return 0.0, 0.0
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            stat = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        parents[int(folder.name)] = int(stat[1])
        ticks[int(folder.name)] = sum(int(field) for field in stat[11:15])
    own = {os.getpid()}
    while found := {pid for pid, parent in parents.items() if parent in own} - own:
        own |= found
    return (sum(fields) - fields[3] - fields[4]) / tick, sum(ticks.get(pid, 0) for pid in own) / tick
