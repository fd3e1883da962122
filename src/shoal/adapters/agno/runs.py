"""Runs: rows beside those of the sessions that they belong to, so that writing one rewrites no other."""

from __future__ import annotations

import time
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from .listing import page_of, sorted_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .records import Entry, Row, Table

__all__ = ["Runs"]

_FIELDS = ("agent_id", "team_id", "workflow_id")


class Runs:
    """The methods of `BaseDb` about runs.

    A row of the table has the run, and the number of its session's row: a session that is made anew under the same id
    does not get the runs of the one before.
    """

    _sessions: Table
    _runs: Table

    def get_run(self, run_id: str, deserialize: bool | None = True) -> Any:
        """The run, or None."""
        for entry in self._by_id(run_id):
            if self._session_of(entry.row) is not None:
                return _revived(entry.row["run"]) if deserialize else entry.row["run"]
        return None

    def _by_id(self, run_id: str) -> list[Entry]:
        """The runs of this id, which are one unless several sessions have one; those of the earlier session first."""
        return sorted(self._runs.entries(run_id=run_id), key=lambda entry: entry.row["session"])

    def get_runs(
        self,
        session_id: str | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        team_id: str | None = None,
        workflow_id: str | None = None,
        status: Any = None,
        limit: int | None = None,
        page: int | None = None,
        sort_by: str | None = None,
        sort_order: str | None = None,
        deserialize: bool | None = True,
    ) -> Any:
        """The runs that are all of this, by index and time unless asked otherwise; as dicts: with their number."""
        if session_id is None:
            sessions = self._sessions.entries(user_id=user_id)
        else:
            one = self._sessions.entry(session_id)
            sessions = [] if one is None or (user_id is not None and one.row.get("user_id") != user_id) else [one]
        expected = getattr(status, "value", status)
        of = dict(zip(_FIELDS, (agent_id, team_id, workflow_id), strict=True))
        rows = [
            run
            for session in sessions
            for run in self._runs_of(session)
            if all(value is None or run.get(field) == value for field, value in of.items())
            and (expected is None or run.get("status") == expected)
        ]
        total = len(rows)
        if sort_by is None:
            rows.sort(key=lambda run: (run.get("run_index") or 0, run.get("created_at") or 0))
        else:
            rows = sorted_by(rows, sort_by, sort_order)
        rows = page_of(rows, limit, page)
        return [_revived(run) for run in rows] if deserialize else (rows, total)

    def upsert_run(self, run: Any, session_id: str, user_id: str | None = None, run_index: int | None = None) -> None:
        """Store the run of a session; of a session that is not there, nothing happens.

        Raises:
            ValueError: The run has no id.
        """
        row: Row = deepcopy(run) if isinstance(run, dict) else run.to_dict()
        if row.get("run_id") is None:
            raise ValueError("Run must have a run_id")
        session = self._sessions.entry(session_id)
        if session is None:
            return

        def stored(old: Row | None) -> Row:
            new = dict(row)
            if old is not None:
                if "run_index" in old["run"]:
                    new["run_index"] = old["run"]["run_index"]
            elif run_index is not None:
                new.setdefault("run_index", run_index)
            return _row_of(session, new)

        self._runs.change(_id_of(session, row), stored)
        if not self._touch(session):  # it went meanwhile, and its runs with it
            self._runs.remove(_id_of(session, row))

    def delete_run(self, run_id: str) -> bool:
        """Remove the run; whether it was there."""
        for entry in self._by_id(run_id):
            session = self._session_of(entry.row)
            if session is not None and self._runs.remove(entry.id) is not None:
                self._touch(session)
                return True
        return False

    def delete_runs(self, run_ids: list[str]) -> None:
        """Remove the runs, of whatever sessions."""
        for run_id in run_ids:
            while self.delete_run(run_id):
                pass

    # ------------------------------------------------------------------ for sessions

    def _runs_of(self, session: Entry) -> list[Row]:
        return [row["run"] for row in self._runs.rows(session=session.number)]

    def _forget_runs(self, session: Entry) -> None:
        for entry in self._runs.entries(session=session.number):
            self._runs.remove(entry.id)

    def _store_runs(self, session: Entry, runs: Iterable[Row], known: Iterable[Any]) -> None:
        """Make these the runs of a session, beside those that others added; `known` are those it had when it was read."""
        there = {row["run_id"]: row["run"] for row in self._runs.rows(session=session.number)}
        ids = set()
        for run in runs:
            ids.add(run.get("run_id"))
            if there.get(run.get("run_id")) != run:
                self._runs.put(_id_of(session, run), _row_of(session, run))
        for run_id in set(known) - ids:
            self._runs.remove(_id_of(session, {"run_id": run_id}))
        if self._session_of({"session_id": session.id, "session": session.number}) is None:
            self._forget_runs(session)  # it went meanwhile; who removed it may not have seen these

    def _session_of(self, row: Row) -> Entry | None:
        entry = self._sessions.entry(row["session_id"])
        return entry if entry is not None and entry.number == row["session"] else None

    def _touch(self, session: Entry) -> bool:
        """Note that the session has changed; whether it is still there."""
        touched: Callable[[Row | None], Row | None] = lambda row: (  # noqa: E731 - a def would need a name for nothing
            None if row is None else {**row, "updated_at": int(time.time())}
        )
        self._sessions.change(session.id, touched)
        return self._session_of({"session_id": session.id, "session": session.number}) is not None


def _id_of(session: Entry, run: Row) -> str:
    return f"{session.number}/{run.get('run_id')}"


def _row_of(session: Entry, run: Row) -> Row:
    return {"run_id": run.get("run_id"), "session_id": session.id, "session": session.number, "run": run}


def _revived(run: Row) -> Any:
    """The run object of a dict. Agno's own functions take the dict apart, so it must not be needed afterwards."""
    from agno.run.agent import RunOutput
    from agno.run.team import TeamRunOutput
    from agno.run.workflow import WorkflowRunOutput

    if run.get("agent_id") or run.get("agent_name"):
        return RunOutput.from_dict(run)
    if run.get("team_id") or run.get("team_name"):
        return TeamRunOutput.from_dict(run)
    return WorkflowRunOutput.from_dict(run)
