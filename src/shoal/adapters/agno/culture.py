"""Cultural knowledge, which Agno had until its version 3."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from .listing import page_of, sorted_by

if TYPE_CHECKING:
    from .records import Row, Table

__all__ = ["Culture"]

_PARTS = ("content", "categories", "notes")  # that a row has together, in its content
_FIELDS = ("id", "name", "summary", "metadata", "input", "created_at", "agent_id", "team_id")


def _revived(row: Row) -> Any:
    from agno.db.schemas.culture import CulturalKnowledge

    content = row.get("content") or {}
    return CulturalKnowledge.from_dict({**row, **{part: content.get(part) for part in _PARTS}})


class Culture:
    """The methods of `BaseDb` of Agno 2 about cultural knowledge."""

    _culture: Table

    def clear_cultural_knowledge(self) -> None:
        """Remove all of it."""
        self._culture.remove_all()

    def delete_cultural_knowledge(self, id: str) -> None:
        """Remove this, if it is there."""
        self._culture.remove(id)

    def get_cultural_knowledge(self, id: str, deserialize: bool | None = True) -> Any:
        """What is known under this id, or None."""
        row = self._culture.get(id)
        return _revived(row) if deserialize and row is not None else row

    def get_all_cultural_knowledge(
        self,
        name: str | None = None,
        agent_id: str | None = None,
        team_id: str | None = None,
        limit: int | None = None,
        page: int | None = None,
        sort_by: str | None = None,
        sort_order: str | None = None,
        deserialize: bool | None = True,
    ) -> Any:
        """All that is of this; as dicts: with its number before paging."""
        rows = self._culture.rows(name=name or None, agent_id=agent_id or None, team_id=team_id or None)
        found = page_of(sorted_by(rows, sort_by, sort_order), limit or None, page or None)
        return [_revived(row) for row in found] if deserialize else (found, len(rows))

    def upsert_cultural_knowledge(self, cultural_knowledge: Any, deserialize: bool | None = True) -> Any:
        """Store it, under a new id if it has none; as it was stored."""
        if not cultural_knowledge.id:
            cultural_knowledge.id = str(uuid4())
        parts = {part: getattr(cultural_knowledge, part) for part in _PARTS}
        row = {
            **{field: getattr(cultural_knowledge, field) for field in _FIELDS},
            "content": {part: value for part, value in parts.items() if value is not None} or None,
            "updated_at": int(time.time()),
        }
        self._culture.put(cultural_knowledge.id, row)
        return _revived(row) if deserialize else row
