"""Runs of evaluations."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from agno.db.schemas.evals import EvalRunRecord

from .listing import page_of, sorted_by

if TYPE_CHECKING:
    from .records import Row, Table

__all__ = ["Evals"]


def _revived(row: Row | None, deserialize: bool | None) -> Any:
    return EvalRunRecord.model_validate(row) if deserialize and row is not None else row


class Evals:
    """The methods of `BaseDb` about evaluations."""

    _evals: Table

    def create_eval_run(self, eval_run: Any) -> Any:
        """Store the run, made now; it comes back as it is."""
        now = int(time.time())
        self._evals.put(eval_run.run_id, {**eval_run.model_dump(), "created_at": now, "updated_at": now})
        return eval_run

    def delete_eval_runs(self, eval_run_ids: list[str], user_id: str | None = None) -> None:
        """Remove those of the runs that are this user's (None: anybody's)."""
        for run_id in eval_run_ids:
            self._evals.remove(run_id, lambda row: user_id is None or row.get("user_id") == user_id)

    def get_eval_run(self, eval_run_id: str, deserialize: bool | None = True, user_id: str | None = None) -> Any:
        """The run, or None if there is none of this user."""
        row = self._evals.get(eval_run_id)
        if row is None or (user_id is not None and row.get("user_id") != user_id):
            return None
        return _revived(row, deserialize)

    def get_eval_runs(
        self,
        limit: int | None = None,
        page: int | None = None,
        sort_by: str | None = None,
        sort_order: str | None = None,
        agent_id: str | None = None,
        team_id: str | None = None,
        workflow_id: str | None = None,
        model_id: str | None = None,
        filter_type: Any = None,
        eval_type: list[Any] | None = None,
        deserialize: bool | None = True,
        user_id: str | None = None,
    ) -> Any:
        """The runs that are all of this, the latest first unless asked otherwise; as dicts: with their number."""
        of = {"agent_id": agent_id, "team_id": team_id, "workflow_id": workflow_id, "model_id": model_id}
        component = None if filter_type is None else f"{getattr(filter_type, 'value', filter_type)}_id"
        rows = [
            row
            for row in self._evals.rows(user_id=user_id, **of)
            if (not eval_type or row.get("eval_type") in eval_type)
            and (component is None or row.get(component) is not None)
        ]
        total = len(rows)
        if sort_by is None:
            rows.sort(key=lambda row: row.get("created_at") or 0, reverse=True)
        else:
            rows = sorted_by(rows, sort_by, sort_order)
        rows = page_of(rows, limit, page)
        return [_revived(row, True) for row in rows] if deserialize else (rows, total)

    def rename_eval_run(
        self, eval_run_id: str, name: str, deserialize: bool | None = True, user_id: str | None = None
    ) -> Any:
        """Name the run; as it is then, or None if there is none of this user."""

        def renamed(row: Row | None) -> Row | None:
            if row is None or (user_id is not None and row.get("user_id") != user_id):
                return None
            return {**row, "name": name, "updated_at": int(time.time())}

        return _revived(self._evals.change(eval_run_id, renamed), deserialize)

    def update_eval_run_user_id(self, eval_run_id: str, user_id: str) -> None:
        """Make the run this user's, if it is there."""
        self._evals.change(eval_run_id, lambda row: None if row is None else {**row, "user_id": user_id})
