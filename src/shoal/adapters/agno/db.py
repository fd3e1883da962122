"""`InMemoryDb`: the database of Agno 2 and 3, in a store that processes share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agno.db.base import BaseDb

from .culture import Culture
from .evals import Evals
from .history import History
from .knowledge import Knowledge
from .learnings import Learnings
from .memories import Memories
from .metrics import Metrics
from .records import Table, open_store
from .sessions import Sessions
from .traces import Traces

if TYPE_CHECKING:
    from typing import Self

    from shoal import Store

__all__ = ["InMemoryDb"]

# Each kind of thing has a table; by these fields rows are looked up without a look at the others.
_TABLES: dict[str, tuple[str, ...]] = {
    "sessions": ("user_id", "agent_id", "team_id", "workflow_id"),
    "runs": ("run_id", "session"),
    "memories": ("user_id", "agent_id", "team_id"),
    "metrics": (),
    "knowledge": (),
    "evals": ("user_id", "agent_id", "team_id", "workflow_id"),
    "culture": ("agent_id", "team_id"),
    "traces": ("run_id", "session_id", "user_id", "agent_id", "team_id", "workflow_id"),
    "spans": ("trace_id", "parent_span_id"),
    "learnings": ("user_id", "session_id", "entity_id", "agent_id", "team_id"),
    "versions": (),
}

_FIRST_VERSION = "2.0.0"


class _Kinds(Sessions, Memories, Metrics, Knowledge, Evals, Culture, Traces, Learnings):
    """The methods of all kinds of things."""


class InMemoryDb(_Kinds, BaseDb):  # type: ignore[misc]  # Agno's classes are Any where it is not installed
    """Agno's database of sessions, memories and all else, shared by all processes that have it.

    What is read is a copy. Writers in different processes do not undo each other's work, also in one and the same session:
    runs are rows of their own, and of a session that was read from here only what has changed is written.

    Args:
        url: The store to share, as `shoal.open` takes it, or one that is open. None: one of this object's own, which processes
            that get the object share.
        id: The id of the database; None: a new one.
    """

    def __init__(self, url: str | Store | None = None, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._store = open_store(url)
        self._owns_store = self._store is not url
        self._url = url if isinstance(url, str) else None
        self._tables = {name: Table(self._store, name, indexed) for name, indexed in _TABLES.items()}
        for name, table in self._tables.items():
            setattr(self, f"_{name}", table)
        self._history = History(self._tables["runs"])

    def close(self) -> None:
        """Let go of the store, unless it was given as one."""
        for table in self._tables.values():
            table.close()
        if self._owns_store:
            self._store.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self._store, self._url, self.id)

    def __deepcopy__(self, memo: Any) -> Self:
        return self  # a copy of an agent works on the same database

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` needs to reach the same store, if it has a name."""
        common = getattr(super(), "to_dict", dict)  # early versions 2 have none
        return {**common(), "id": self.id, "url": self._url}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The database of the store that `to_dict` has named; if it had no name, a new one."""
        return cls(data.get("url"), id=data.get("id"))

    # ------------------------------------------------------------------ tables and their versions

    def table_exists(self, table_name: str) -> bool:
        """Tables need not be made."""
        return True

    def get_latest_schema_version(self, table_name: str = "") -> str:
        """The version that was recorded for the table; "2.0.0" if none was."""
        row = self._tables["versions"].get(table_name)
        return _FIRST_VERSION if row is None else row["version"]

    def upsert_schema_version(self, table_name: str = "", version: str = "") -> None:
        """Record the version of the table."""
        self._tables["versions"].put(table_name, {"version": version})


def _rebuild(cls: type[InMemoryDb], store: Store, url: str | None, id: str) -> InMemoryDb:
    db = cls(store, id=id)
    db._owns_store = True  # it came along, and nobody else here has it
    db._url = url
    return db
