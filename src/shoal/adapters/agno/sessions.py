"""Sessions and their runs, each run a row of its own."""

from __future__ import annotations

import inspect
import time
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from agno.db.base import SessionType
from agno.session import AgentSession, TeamSession, WorkflowSession

from .history import History
from .listing import page_of, sorted_by
from .merge import merged, remember, remembered
from .runs import Runs

if TYPE_CHECKING:
    from .records import Entry, Row, Table

__all__ = ["Sessions"]

_CLASSES: dict[str, Any] = {"agent": AgentSession, "team": TeamSession, "workflow": WorkflowSession}
_OWNERS = [f"{kind}_id" for kind in _CLASSES]

# From Agno 3 on, runs are written by themselves, with `upsert_run`; before, they come with their session.
RUNS_APART = "include_runs" in inspect.signature(AgentSession.to_dict).parameters


def _kind(session_type: Any) -> str | None:
    kind: str | None = session_type.value if isinstance(session_type, SessionType) else session_type
    return kind


def _revived(session_type: Any, row: Row) -> Any:
    """The session object of a row; None for the type means that the row knows.

    Raises:
        ValueError: There is no such type.
    """
    kind = _kind(session_type) or row.get("session_type")
    if kind is None:
        kind = next((owner.removesuffix("_id") for owner in _OWNERS if row.get(owner)), "agent")
    if kind not in _CLASSES:
        raise ValueError(f"Invalid session type: {session_type}")
    if row.get("runs") is None:  # some versions take None for runs, some do not
        row = {key: value for key, value in row.items() if key != "runs"}
    return _CLASSES[kind].from_dict(row)


def _plain(run: Any) -> Row:
    found: Row = deepcopy(run) if isinstance(run, dict) else run.to_dict()
    return found


def _run_id(run: Any) -> Any:
    return run.get("run_id") if isinstance(run, dict) else run.run_id


def _row(session: Any) -> Row:
    """A session as it is stored: without its runs."""
    row: Row = session.to_dict(include_runs=False) if RUNS_APART else session.to_dict()
    row.pop("runs", None)
    row["session_type"] = next((kind for kind, cls in _CLASSES.items() if isinstance(session, cls)), None)
    return row


def _first(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value


def _read(session: Any, entry: Entry, runs: list[Row]) -> Any:
    """The session, which knows from now on what it was read as."""
    if session is not None:
        remember(session, entry.number, entry.row, [run.get("run_id") for run in runs])
    return session


class Sessions(Runs):
    """The methods of `BaseDb` about sessions."""

    _sessions: Table
    _history: History

    def delete_session(self, session_id: str, user_id: str | None = None) -> bool:
        """Remove the session, and its runs, if it is there and this user's (None: anybody's); whether it was."""
        removed = self._sessions.remove(session_id, lambda row: user_id is None or row.get("user_id") == user_id)
        if removed is None:
            return False
        self._forget_runs(removed)
        return True

    def delete_sessions(self, session_ids: list[str], user_id: str | None = None) -> None:
        """As `delete_session`, of several."""
        for session_id in session_ids:
            self.delete_session(session_id, user_id)

    def get_session(
        self,
        session_id: str,
        session_type: Any = None,
        user_id: str | None = None,
        deserialize: bool | None = True,
        runs_limit: int | None = None,
    ) -> Any:
        """The session, with its runs or the last few that count as context; None if there is none of this user."""
        entry = self._sessions.entry(session_id)
        if entry is None or (user_id is not None and entry.row.get("user_id") != user_id):
            return None
        if (
            deserialize
            and History.possible
            and entry.row["session_type"] == (_kind(session_type) or "agent") == "agent"
        ):
            shared = self._history.objects(entry, runs_limit)
            session = _revived(session_type, deepcopy(entry.row))
            session.runs = shared
            remember(session, entry.number, entry.row, [run.run_id for run in shared])
            return session
        runs = self._runs_of(entry)
        if runs_limit is not None:
            from agno.db.utils import filter_context_runs

            runs = filter_context_runs(runs)[-runs_limit:]
        row = {**entry.row, "runs": runs if runs_limit is not None else runs or None}
        return _read(_revived(session_type, row), entry, runs) if deserialize else row

    def get_sessions(
        self,
        session_type: Any = None,
        user_id: str | None = None,
        component_id: str | None = None,
        session_name: str | None = None,
        start_timestamp: int | None = None,
        end_timestamp: int | None = None,
        limit: int | None = None,
        page: int | None = None,
        sort_by: str | None = None,
        sort_order: str | None = None,
        deserialize: bool | None = True,
        include_runs: bool = True,
    ) -> Any:
        """The sessions that are all of this, in the order in which they came; as dicts: with their number before paging."""
        kind = _kind(session_type)

        def wanted(row: Row) -> bool:
            created = row.get("created_at") or 0
            name = (row.get("session_data") or {}).get("session_name") or ""
            return (
                (kind is None or row.get("session_type") == kind)
                and (start_timestamp is None or created >= start_timestamp)
                and (end_timestamp is None or created <= end_timestamp)
                and (session_name is None or session_name.lower() in name.lower())
            )

        entries = [entry for entry in self._sessions_of(kind, user_id, component_id) if wanted(entry.row)]
        by_id = {entry.row["session_id"]: entry for entry in entries}
        rows = page_of(sorted_by([entry.row for entry in entries], sort_by, sort_order), limit, page)
        found = []
        for row in rows:
            entry = by_id[row["session_id"]]
            runs = self._runs_of(entry) if include_runs else []
            full = {**row, "runs": runs or None}
            found.append(_read(_revived(session_type, full), entry, runs) if deserialize else full)
        return found if deserialize else (found, len(entries))

    def _sessions_of(self, kind: str | None, user_id: str | None, component_id: str | None) -> list[Entry]:
        if component_id is None:
            return self._sessions.entries(user_id=user_id)
        if kind is not None:
            return self._sessions.entries(user_id=user_id, **{f"{kind}_id": component_id})
        found = {
            entry.number: entry
            for owner in _OWNERS
            for entry in self._sessions.entries(**{owner: component_id})
            if user_id is None or entry.row.get("user_id") == user_id
        }
        return [found[number] for number in sorted(found)]

    def rename_session(
        self,
        session_id: str,
        session_type: Any,
        session_name: str,
        user_id: str | None = None,
        deserialize: bool | None = True,
    ) -> Any:
        """Name the session; as it is then, or None if there is none of this type and this user."""
        kind = _kind(session_type)

        def renamed(row: Row | None) -> Row | None:
            if row is None or (kind is not None and row.get("session_type") != kind):
                return None
            if user_id is not None and row.get("user_id") != user_id:
                return None
            return {**row, "session_data": {**(row.get("session_data") or {}), "session_name": session_name}}

        if self._sessions.change(session_id, renamed) is None:
            return None
        return self.get_session(session_id, session_type, deserialize=deserialize)

    def upsert_session(self, session: Any, deserialize: bool | None = True) -> Any:
        """Store the session; as it was stored, or None if it is another user's.

        Of a session that was read from here, only what has changed since is written, so that what others wrote meanwhile stays.
        """
        return self._upsert_session(session, deserialize, preserve_updated_at=False)

    def upsert_sessions(
        self, sessions: list[Any], deserialize: bool | None = True, preserve_updated_at: bool = False
    ) -> list[Any]:
        """As `upsert_session`, of several; those of other users are left out."""
        stored = [
            self._upsert_session(session, deserialize, preserve_updated_at=preserve_updated_at)
            for session in sessions
            if session is not None
        ]
        return [session for session in stored if session is not None]

    def _upsert_session(self, session: Any, deserialize: bool | None, *, preserve_updated_at: bool) -> Any:
        mine = _row(session)
        before = self._sessions.entry(session.session_id)
        base = None if before is None else remembered(session, before.number)

        def stored(row: Row | None) -> Row | None:
            now = int(time.time())
            if row is None:
                created = _first(mine.get("created_at"), now)
                return {**mine, "created_at": created, "updated_at": created}
            if row.get("user_id") is not None and row["user_id"] != mine.get("user_id"):
                return None
            new = mine if base is None else merged(base[0], mine, row)
            updated = mine.get("updated_at") if preserve_updated_at else None
            return {**new, "created_at": _first(new.get("created_at"), row["created_at"]), "updated_at": updated or now}

        row = self._sessions.change(session.session_id, stored)
        entry = self._sessions.entry(session.session_id)
        if row is None or entry is None:  # another user's; or removed again already
            return None
        with_runs = before is None or not RUNS_APART
        # Else they are in the store already, and to look at all of them would cost more with each.
        runs = [_plain(run) for run in session.runs or []] if with_runs or not deserialize else []
        run_ids = [_run_id(run) for run in session.runs or []]
        if with_runs:
            self._store_runs(entry, runs, base[1] if base else frozenset())
        remember(session, entry.number, mine, run_ids)
        if not deserialize:
            return {**row, "runs": runs if RUNS_APART else runs or None}
        result = _revived(None, {**deepcopy(row), "runs": None if RUNS_APART else runs})
        if RUNS_APART:
            result.runs = session.runs  # as Agno 3 has it
        remember(result, entry.number, row, run_ids)
        return result
