"""`InMemoryStorage`: the sessions of Agno 1, in a store that processes share, or in a mapping of the caller's own."""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from copy import copy, deepcopy
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from agno.storage.base import Storage
from agno.storage.session.agent import AgentSession
from agno.storage.session.team import TeamSession
from agno.storage.session.v2.workflow import WorkflowSession as WorkflowSessionV2
from agno.storage.session.workflow import WorkflowSession
from agno.utils.log import logger

from .records import Row, Table, open_store

if TYPE_CHECKING:
    from collections.abc import ItemsView, Iterator, ValuesView
    from typing import Self

    from shoal import Store

__all__ = ["InMemoryStorage", "SharedSessions"]

_MISSING: Any = object()

# Of each mode: the class of its sessions, and the field that says whose they are.
_MODES: dict[str, tuple[Any, str]] = {
    "agent": (AgentSession, "agent_id"),
    "team": (TeamSession, "team_id"),
    "workflow": (WorkflowSession, "workflow_id"),
    "workflow_v2": (WorkflowSessionV2, "workflow_id"),
}


class SharedSessions(MutableMapping[str, Row]):
    """Session dicts by session id, in a store: what `InMemoryStorage.storage` is when the caller brings no mapping.

    As a dict, it iterates in the order in which the sessions came. What it gives are copies.
    """

    def __init__(self, store: Store) -> None:
        self._table = Table(store, "storage", ("user_id", "agent_id", "team_id", "workflow_id"))

    def __getitem__(self, session_id: str) -> Row:
        row = self._table.get(session_id)
        if row is None:
            raise KeyError(session_id)
        return row

    def __setitem__(self, session_id: str, row: Row) -> None:
        self._table.put(session_id, row)

    def __delitem__(self, session_id: str) -> None:
        if self._table.remove(session_id) is None:
            raise KeyError(session_id)

    def __iter__(self) -> Iterator[str]:
        return iter([entry.id for entry in self._table.entries()])

    def __len__(self) -> int:
        return len(self._table.entries())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self.items())!r})"

    # What is there at one time: of what others remove meanwhile, nothing is missed half-way.

    def items(self) -> ItemsView[str, Row]:
        return dict(self.select()).items()

    def values(self) -> ValuesView[Row]:
        return dict(self.select()).values()

    def select(self, **wanted: Any) -> list[tuple[str, Row]]:
        """The ids and the dicts of those whose fields are these; None is not asked for."""
        return [(entry.id, entry.row) for entry in self._table.entries(**wanted)]

    def pop(self, session_id: str, default: Any = _MISSING) -> Any:
        """As of a dict; of several callers one gets it."""
        removed = self._table.remove(session_id)
        if removed is not None:
            return removed.row
        if default is _MISSING:
            raise KeyError(session_id)
        return default

    def popitem(self) -> tuple[str, Row]:
        """As of a dict: the one that came last; of several callers one gets it."""
        while ids := list(self):
            row = self.pop(ids[-1], None)
            if row is not None:
                return ids[-1], row
        raise KeyError("there are no sessions")

    def clear(self) -> None:
        self._table.remove_all()

    def close(self) -> None:
        self._table.close()


class InMemoryStorage(Storage):  # type: ignore[misc]  # Agno's classes are Any where it is not installed
    """Agno 1's storage of sessions, shared by all processes that have it.

    Sessions that different processes write are never in each other's way; of one session the last writer's stays, as a whole. What is
    read is a copy: changing it changes nothing that is stored.

    Args:
        mode: Whose sessions: "agent", "team", "workflow" or "workflow_v2"; None is "agent".
        storage_dict: A mapping of the caller's to keep the session dicts in, in place of a store: `storage` is that very object.
        url: The store to share, as `shoal.open` takes it, or one that is open. None: one of this object's own, which processes that
            get the object share.
    """

    def __init__(
        self,
        mode: str | None = "agent",
        storage_dict: MutableMapping[str, Row] | None = None,
        *,
        url: str | Store | None = None,
    ) -> None:
        super().__init__(mode)
        self._store: Store | None = None
        if storage_dict is not None:
            if url is not None:
                raise ValueError("the sessions are in storage_dict or in the store at url: give one of them")
            self.storage = storage_dict
        else:
            store = open_store(url)
            self._store = None if store is url else store
            self.storage = SharedSessions(store)

    def close(self) -> None:
        """Let go of the store, unless it was given as one."""
        if isinstance(self.storage, SharedSessions):
            self.storage.close()
        if self._store is not None:
            self._store.close()

    def __deepcopy__(self, memo: Any) -> Self:
        # A copy of an agent works on the same sessions where they are shared; a mapping of the caller's is copied with it.
        copied = copy(self)
        if self._keeps_objects:
            copied.storage = deepcopy(self.storage, memo)
        return copied

    def create(self) -> None:
        """There is nothing to create."""

    def upgrade_schema(self) -> None:
        """There is no schema."""

    # ------------------------------------------------------------------ one session

    def read(self, session_id: str, user_id: str | None = None) -> Any:
        """The session, or None if there is none, it is another user's, or it cannot be read."""
        try:
            row = self.storage.get(session_id)
            if row is None or (user_id and row.get("user_id") != user_id):
                return None
            return self._session(row)
        except Exception as error:  # noqa: BLE001 - the interface: what goes wrong is logged
            logger.error(f"Error reading session {session_id}: {error}")
            return None

    def upsert(self, session: Any) -> Any:
        """Store the session; it comes back as it is, or None if it cannot be stored (the log says why)."""
        try:
            row = session.to_dict() if self.mode == "workflow_v2" else asdict(session)
            row["updated_at"] = int(time.time())
            row["created_at"] = row.get("created_at") or row["updated_at"]
            # A mapping that keeps objects must not keep those that the caller goes on to change.
            self.storage[session.session_id] = deepcopy(row) if self._keeps_objects else row
        except Exception as error:  # noqa: BLE001 - the interface: what goes wrong is logged
            logger.error(f"Error upserting session: {error}")
            return None
        return session

    def delete_session(self, session_id: str | None = None) -> None:
        """Remove the session, if there is one."""
        if session_id is None:
            return
        try:
            self.storage.pop(session_id, None)
        except Exception as error:  # noqa: BLE001 - the interface: what goes wrong is logged
            logger.error(f"Error deleting session: {error}")

    def drop(self) -> None:
        """Remove all sessions."""
        self.storage.clear()

    # ------------------------------------------------------------------ listings

    def get_all_session_ids(self, user_id: str | None = None, entity_id: str | None = None) -> list[str]:
        """The ids of the sessions of this user and this agent, team or workflow, in the order in which they came."""
        return [row["session_id"] for row in self._rows(user_id, entity_id)]

    def get_all_sessions(self, user_id: str | None = None, entity_id: str | None = None) -> list[Any]:
        """The sessions of this user and this agent, team or workflow, in the order in which they came."""
        return self._sessions(self._rows(user_id, entity_id))

    def get_recent_sessions(
        self, user_id: str | None = None, entity_id: str | None = None, limit: int | None = 2
    ) -> list[Any]:
        """The same, those made last first, at most `limit` of them (None: all)."""
        rows = sorted(self._rows(user_id, entity_id), key=lambda row: row.get("created_at") or 0, reverse=True)
        return self._sessions(rows if limit is None else rows[:limit])

    # ------------------------------------------------------------------ rows

    @property
    def _keeps_objects(self) -> bool:
        return not isinstance(self.storage, SharedSessions)

    def _rows(self, user_id: str | None, entity_id: str | None) -> list[Row]:
        wanted: Row = {"user_id": user_id} if user_id else {}
        if entity_id:
            if self.mode not in _MODES:
                return []
            wanted[_MODES[self.mode][1]] = entity_id
        if isinstance(self.storage, SharedSessions):
            return [row for _, row in self.storage.select(**wanted)]
        # A list at once: threads that write meanwhile do not disturb it.
        rows = [row for _, row in list(self.storage.items())]
        return [row for row in rows if all(row.get(field) == value for field, value in wanted.items())]

    def _session(self, row: Row) -> Any:
        if self.mode not in _MODES:
            return None
        return _MODES[self.mode][0].from_dict(deepcopy(row) if self._keeps_objects else row)

    def _sessions(self, rows: list[Row]) -> list[Any]:
        return [session for session in map(self._session, rows) if session is not None]
