"""Daily figures, counted from the sessions."""

from __future__ import annotations

import inspect
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from agno.db.base import BaseDb

if TYPE_CHECKING:
    from .records import Entry, Row, Table

__all__ = ["Metrics"]

# Agno 3 has a record of each day for each user, with "" for sessions of nobody; before, a day has one.
_PER_USER = "user_id" in inspect.signature(BaseDb.get_metrics).parameters

_KINDS = ("agent", "team", "workflow")
_TOKENS = (
    *("input_tokens", "output_tokens", "total_tokens", "audio_total_tokens", "audio_input_tokens"),
    *("audio_output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"),
)


def _day_of(session: Entry) -> date:
    return datetime.fromtimestamp(session.row.get("created_at") or 0, tz=UTC).date()


def _day(text: str) -> date:
    return date.fromisoformat(text)


class Metrics:
    """The methods of `BaseDb` about metrics."""

    _metrics: Table
    _sessions: Table

    if TYPE_CHECKING:

        def _runs_of(self, session: Entry) -> list[Row]: ...

    def get_metrics(
        self, starting_date: date | None = None, ending_date: date | None = None, user_id: str | None = None
    ) -> tuple[list[Row], int | None]:
        """The records of these days and this user (None: of all), and when the last of them was counted."""
        rows = self._metrics.rows()
        if user_id is None:
            rows = _without_totals(rows)
        found = [
            row
            for row in rows
            if (not starting_date or _day(row["date"]) >= starting_date)
            and (not ending_date or _day(row["date"]) <= ending_date)
            and (user_id is None or row.get("user_id") == user_id)
        ]
        latest = max((row["updated_at"] for row in found if row.get("updated_at")), default=None)
        return [{**row, "user_id": None} if row.get("user_id") == "" else row for row in found], latest

    def calculate_metrics(self) -> list[Row] | None:
        """Count each day that is not complete; the records made, or None if there is nothing to count."""
        sessions = self._sessions.entries()
        start = self._first_day_to_count(sessions)
        today = datetime.now(UTC).date()
        if start is None or start > today:
            return None
        by_day: dict[date, list[Entry]] = {}
        for session in sessions:
            if start <= _day_of(session) <= today:
                by_day.setdefault(_day_of(session), []).append(session)
        records = []
        for day in sorted(by_day):
            owners: dict[str | None, list[Entry]] = {}
            for session in by_day[day]:
                owners.setdefault((session.row.get("user_id") or "") if _PER_USER else None, []).append(session)
            for owner, theirs in owners.items():
                record = self._count(day, owner, theirs)
                self._metrics.put(record["id"], record)
                records.append(record)
        return records

    def _first_day_to_count(self, sessions: list[Entry]) -> date | None:
        """The first day since the last complete one that has figures which are not final; without any, that of the first session."""
        rows = self._metrics.rows()
        if not rows:
            return min(map(_day_of, sessions), default=None)
        complete = max((_day(row["date"]) for row in rows if row.get("completed")), default=None)
        open_days = [
            _day(row["date"])
            for row in rows
            if not row.get("completed") and (complete is None or _day(row["date"]) > complete)
        ]
        first = min(open_days) if open_days else None
        if first is None and complete is not None:
            first = complete + timedelta(days=1)
        return None if first is None else min(first, datetime.now(UTC).date())

    def _count(self, day: date, owner: str | None, sessions: list[Entry]) -> Row:
        """The record of one day; of one owner, or of all (None)."""
        counts: Counter[str] = Counter()
        tokens: Counter[str] = Counter()
        models: Counter[tuple[str, str]] = Counter()
        for session in sessions:
            kind = session.row.get("session_type")
            runs = self._runs_of(session)
            counts[f"{kind}_sessions_count"] += 1
            counts[f"{kind}_runs_count"] += len(runs)
            models.update((run["model"], run.get("model_provider") or "") for run in runs if run.get("model"))
            used = (session.row.get("session_data") or {}).get("session_metrics") or {}
            for field in _TOKENS:
                tokens[field] += used.get(field) or 0
        now = int(time.time())
        users = {session.row.get("user_id") for session in sessions} - {None, ""}
        return {
            "id": f"{day}_{owner or ''}_daily" if _PER_USER else f"{day}_daily",
            "date": day.isoformat(),
            "completed": day < datetime.now(UTC).date(),
            "token_metrics": {field: tokens[field] for field in _TOKENS},
            "model_metrics": [
                {"model_id": model, "model_provider": provider, "count": count}
                for (model, provider), count in models.items()
            ],
            "created_at": now,
            "updated_at": now,
            "aggregation_period": "daily",
            **({"user_id": owner} if _PER_USER else {}),
            "users_count": len(users),
            **{f"{kind}_sessions_count": counts[f"{kind}_sessions_count"] for kind in _KINDS},
            **{f"{kind}_runs_count": counts[f"{kind}_runs_count"] for kind in _KINDS},
        }


def _without_totals(rows: list[Row]) -> list[Row]:
    """Leave out what earlier versions counted for all users of a day together, where there are records of each user."""

    def is_total(row: Row) -> bool:
        return "user_id" not in row or (not row["user_id"] and bool(row.get("users_count")))

    days = {row["date"] for row in rows if not is_total(row)}
    return [row for row in rows if not is_total(row) or row["date"] not in days]
