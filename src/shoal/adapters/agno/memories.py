"""Memories of users."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from agno.db.schemas.memory import UserMemory

from .listing import page_of, sorted_by

if TYPE_CHECKING:
    from .records import Row, Table

__all__ = ["Memories"]


class Memories:
    """The methods of `BaseDb` about memories of users."""

    _memories: Table

    def clear_memories(self) -> None:
        """Remove all memories of all users."""
        self._memories.remove_all()

    def delete_user_memory(self, memory_id: str, user_id: str | None = None) -> None:
        """Remove the memory, if it is there and this user's (None: anybody's)."""
        self._memories.remove(memory_id, lambda row: user_id is None or row.get("user_id") == user_id)

    def delete_user_memories(self, memory_ids: list[str], user_id: str | None = None) -> None:
        """As `delete_user_memory`, of several."""
        for memory_id in memory_ids:
            self.delete_user_memory(memory_id, user_id)

    def get_all_memory_topics(self, user_id: str | None = None) -> list[str]:
        """Each topic of this user's memories (None: of all) once."""
        topics: dict[str, None] = {}
        for row in self._memories.rows(user_id=user_id):
            if isinstance(row.get("topics"), list):
                topics.update(dict.fromkeys(row["topics"]))
        return list(topics)

    def get_user_memory(self, memory_id: str, deserialize: bool | None = True, user_id: str | None = None) -> Any:
        """The memory, or None if there is none of this user."""
        row = self._memories.get(memory_id)
        if row is None or (user_id is not None and row.get("user_id") != user_id):
            return None
        return UserMemory.from_dict(row) if deserialize else row

    def get_user_memories(
        self,
        user_id: str | None = None,
        agent_id: str | None = None,
        team_id: str | None = None,
        topics: list[str] | None = None,
        search_content: str | None = None,
        limit: int | None = None,
        page: int | None = None,
        sort_by: str | None = None,
        sort_order: str | None = None,
        deserialize: bool | None = True,
    ) -> Any:
        """The memories that are all of this and have any of the topics; as dicts: with their number before paging."""
        text = None if search_content is None else search_content.lower()
        rows = [
            row
            for row in self._memories.rows(user_id=user_id, agent_id=agent_id, team_id=team_id)
            if (topics is None or any(topic in (row.get("topics") or ()) for topic in topics))
            and (text is None or text in str(row.get("memory", "")).lower())
        ]
        found = page_of(sorted_by(rows, sort_by, sort_order), limit, page)
        return [UserMemory.from_dict(row) for row in found] if deserialize else (found, len(rows))

    def get_user_memory_stats(
        self, limit: int | None = None, page: int | None = None, user_id: str | None = None
    ) -> tuple[list[Row], int]:
        """How many memories each user has and when the last was written, those with the latest first."""
        stats: dict[str, Row] = {}
        for row in self._memories.rows(user_id=user_id):
            user = row.get("user_id")
            if not user:
                continue
            of = stats.setdefault(user, {"user_id": user, "total_memories": 0, "last_memory_updated_at": 0})
            of["total_memories"] += 1
            of["last_memory_updated_at"] = max(of["last_memory_updated_at"], _seconds(row.get("updated_at")))
        found = sorted(stats.values(), key=lambda of: of["last_memory_updated_at"], reverse=True)
        return page_of(found, limit, page), len(found)

    def upsert_user_memory(self, memory: Any, deserialize: bool | None = True) -> Any:
        """Store the memory, under a new id if it has none; as it was stored."""
        return self._upsert_memory(memory, deserialize, preserve_updated_at=False)

    def upsert_memories(
        self, memories: list[Any], deserialize: bool | None = True, preserve_updated_at: bool = False
    ) -> list[Any]:
        """As `upsert_user_memory`, of several."""
        return [
            self._upsert_memory(memory, deserialize, preserve_updated_at=preserve_updated_at)
            for memory in memories
            if memory is not None
        ]

    def _upsert_memory(self, memory: Any, deserialize: bool | None, *, preserve_updated_at: bool) -> Any:
        if memory.memory_id is None:
            memory.memory_id = str(uuid4())
        row = dict(memory.to_dict() if hasattr(memory, "to_dict") else vars(memory))
        updated = _seconds(memory.updated_at) if preserve_updated_at else 0
        row["updated_at"] = updated or int(time.time())
        self._memories.put(memory.memory_id, row)
        return UserMemory.from_dict(row) if deserialize else row


def _seconds(moment: Any) -> int:
    """A moment, as one of Agno's versions has it, in seconds; 0 for none."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return int(moment.timestamp() if isinstance(moment, datetime) else moment or 0)
