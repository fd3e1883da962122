"""What is known of the contents of knowledge bases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agno.db.schemas.knowledge import KnowledgeRow

from .listing import page_of, sorted_by

if TYPE_CHECKING:
    from .records import Row, Table

__all__ = ["Knowledge"]


def _visible(row: Row, user_id: str | None) -> bool:
    return user_id is None or row.get("user_id") in (None, user_id)


class Knowledge:
    """The methods of `BaseDb` about knowledge: a user sees their own rows and those of nobody, and changes only their own."""

    _knowledge: Table

    def delete_knowledge_content(self, id: str, user_id: str | None = None) -> None:
        """Remove the row, if it is there and this user's own (None: anybody's)."""
        self._knowledge.remove(id, lambda row: user_id is None or row.get("user_id") == user_id)

    def get_knowledge_content(self, id: str, user_id: str | None = None) -> Any:
        """The row, or None if there is none that this user sees."""
        row = self._knowledge.get(id)
        return None if row is None or not _visible(row, user_id) else KnowledgeRow.model_validate(row)

    def get_knowledge_contents(
        self,
        limit: int | None = None,
        page: int | None = None,
        sort_by: str | None = None,
        sort_order: str | None = None,
        linked_to: str | None = None,
        user_id: str | None = None,
    ) -> tuple[list[Any], int]:
        """The rows that this user sees, and their number before paging."""
        rows = [row for row in self._knowledge.rows(linked_to=linked_to) if _visible(row, user_id)]
        found = page_of(sorted_by(rows, sort_by, sort_order), limit, page)
        return [KnowledgeRow.model_validate(row) for row in found], len(rows)

    def upsert_knowledge_content(self, knowledge_row: Any) -> Any:
        """Store the row; it comes back as it is.

        Raises:
            ValueError: It has an owner, and there is one of that id that is somebody else's or nobody's.
        """
        row = knowledge_row.model_dump()
        owner = row.get("user_id")

        def stored(old: Row | None) -> Row:
            if old is not None and owner is not None and old.get("user_id") != owner:
                raise ValueError(f"Knowledge content {knowledge_row.id} not found")
            return dict(row)

        self._knowledge.change(knowledge_row.id, stored)
        return knowledge_row
