"""Run objects of sessions that are read again and again: built once, and anew only when their row was written.

An agent reads its session for each turn, and building an object of each run there ever was would cost more with every turn. From
version 3.1 on, Agno takes care never to change a run that it read as history; so reads of one database may share run objects.
"""

from __future__ import annotations

from collections import OrderedDict
from copy import deepcopy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .records import Entry, Row, Table

try:
    from agno.db.utils import deserialize_history_run, filter_context_runs
except ImportError:  # an Agno that changes what it reads
    deserialize_history_run = None

__all__ = ["History"]

_SESSIONS = 64  # whose runs are kept, the last ones that were read


class _Known:
    """A run, and the object of it from the first time on that it is needed."""

    __slots__ = ("entry", "made", "version")

    def __init__(self, version: int, entry: Entry) -> None:
        self.version = version
        self.entry = entry
        self.made: tuple[Any] | None = None

    @property
    def run(self) -> Row:
        """Shared: not to be changed or given out."""
        run: Row = self.entry.row["run"]
        return run

    def object(self) -> Any:
        if self.made is None:
            self.made = (deserialize_history_run(deepcopy(self.run)),)  # Agno takes the dict apart
        return self.made[0]


class History:
    """The runs of the sessions that one database has read last."""

    possible = deserialize_history_run is not None

    def __init__(self, runs: Table) -> None:
        self._runs = runs
        self._sessions: OrderedDict[int, dict[str, _Known]] = OrderedDict()

    def objects(self, session: Entry, limit: int | None) -> list[Any]:
        """The run objects of a session: all, or the last few that count as context."""
        before = self._sessions.get(session.number, {})
        # A new dict, put into place at once: threads that read the same session do not see it half made.
        known = {}
        for key, version in self._runs.versions("session", session.number):
            one = before.get(key)
            if one is None or one.version != version:
                found = self._runs.versioned(key)
                if found is None or found[0].row["session"] != session.number:
                    continue
                one = _Known(found[1], found[0])
            known[key] = one
        self._sessions[session.number] = known
        self._sessions.move_to_end(session.number)
        while len(self._sessions) > _SESSIONS:
            self._sessions.popitem(last=False)
        ordered = sorted(known.values(), key=lambda one: one.entry.number)
        if limit is not None:
            kept = set(map(id, filter_context_runs([one.run for one in ordered])[-limit:]))
            ordered = [one for one in ordered if id(one.run) in kept]
        return [made for made in (one.object() for one in ordered) if made is not None]
