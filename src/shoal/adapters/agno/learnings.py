"""What agents have learnt."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .listing import page_of, sorted_by

if TYPE_CHECKING:
    from .records import Row, Table

__all__ = ["Learnings"]

_OWNERS = ("user_id", "agent_id", "team_id", "session_id")


class Learnings:
    """The methods of `BaseDb` about learnings, which Agno's own `InMemoryDb` lacks; as its SQL databases have them."""

    _learnings: Table

    def get_learning(
        self,
        learning_type: str,
        user_id: str | None = None,
        agent_id: str | None = None,
        team_id: str | None = None,
        session_id: str | None = None,
        namespace: str | None = None,
        entity_id: str | None = None,
        entity_type: str | None = None,
        *,
        workflow_id: str | None = None,
    ) -> Row | None:
        """The content of the first learning that is all of this, in a dict; None if there is none."""
        owners = (user_id, agent_id, team_id, session_id)
        rows = self._rows_of(learning_type, owners, namespace, entity_id, entity_type, workflow_id)
        return {"content": rows[0]["content"]} if rows else None

    def upsert_learning(
        self,
        id: str,
        learning_type: str,
        content: Row,
        user_id: str | None = None,
        agent_id: str | None = None,
        team_id: str | None = None,
        session_id: str | None = None,
        namespace: str | None = None,
        entity_id: str | None = None,
        entity_type: str | None = None,
        metadata: Row | None = None,
        *,
        workflow_id: str | None = None,
    ) -> None:
        """Store the learning; of one that is there, content and metadata."""
        now = int(time.time())
        new = {
            "learning_id": id,
            "learning_type": learning_type,
            "namespace": namespace,
            "user_id": user_id,
            "agent_id": agent_id,
            "team_id": team_id,
            "workflow_id": workflow_id,
            "session_id": session_id,
            "entity_id": entity_id,
            "entity_type": entity_type,
            "created_at": now,
        }
        changed = {"content": content, "metadata": metadata, "updated_at": now}
        self._learnings.change(id, lambda row: {**(row or new), **changed})

    def update_learning(self, id: str, content: Row, metadata: Row | None = None) -> bool:
        """Replace content and metadata of a learning that is there; whether it is."""
        changed = {"content": content, "metadata": metadata, "updated_at": int(time.time())}
        return self._learnings.change(id, lambda row: None if row is None else {**row, **changed}) is not None

    def delete_learning(self, id: str) -> bool:
        """Remove the learning; whether it was there."""
        return self._learnings.remove(id) is not None

    def delete_user_learnings(self, user_id: str, learning_type: str | None = None) -> int:
        """Remove this user's learnings, all or those of a type; how many."""
        entries = self._learnings.entries(user_id=user_id, learning_type=learning_type)
        return sum(
            self._learnings.remove(entry.id, lambda row: row.get("user_id") == user_id) is not None for entry in entries
        )

    def get_learning_by_id(self, id: str) -> Row | None:
        """The learning, or None."""
        return self._learnings.get(id)

    def get_learnings(
        self,
        learning_type: str | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        team_id: str | None = None,
        session_id: str | None = None,
        namespace: str | None = None,
        entity_id: str | None = None,
        entity_type: str | None = None,
        limit: int | None = None,
        *,
        workflow_id: str | None = None,
    ) -> list[Row]:
        """The learnings that are all of this, the latest first."""
        owners = (user_id, agent_id, team_id, session_id)
        rows = self._rows_of(learning_type, owners, namespace, entity_id, entity_type, workflow_id)
        found: list[Row] = page_of(sorted_by(rows, "updated_at", "desc"), limit, None)
        return found

    def _rows_of(
        self,
        learning_type: str | None,
        owners: tuple[str | None, ...],
        namespace: str | None,
        entity_id: str | None,
        entity_type: str | None,
        workflow_id: str | None,
    ) -> list[Row]:
        return self._learnings.rows(
            learning_type=learning_type,
            **dict(zip(_OWNERS, owners, strict=True)),
            namespace=namespace,
            entity_id=entity_id,
            entity_type=entity_type,
            workflow_id=workflow_id,
        )
