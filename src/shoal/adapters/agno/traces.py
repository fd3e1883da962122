"""Traces and their spans, which Agno's own `InMemoryDb` lacks; as its SQL databases have them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .filters import matches
from .listing import page_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .records import Row, Table

__all__ = ["Traces"]

_CONTEXT = ("run_id", "session_id", "user_id", "agent_id", "team_id", "workflow_id")
_GROUPS = {
    "session": "session_id",
    "agent": "agent_id",
    "team": "team_id",
    "workflow": "workflow_id",
    "endpoint": "name",
}


def _moment(value: Any) -> datetime:
    """A time of day that can be compared with any other: one that says no zone is in UTC."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    found: datetime = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return found


def _level(row: Row) -> int:
    """Whose trace the name speaks of: a workflow's is worth more than a team's, that more than an agent's."""
    if ".run" not in row["name"] and ".arun" not in row["name"]:
        return 0
    return next((level for level, of in ((3, "workflow_id"), (2, "team_id"), (1, "agent_id")) if row.get(of)), 0)


class Traces:
    """The methods of `BaseDb` about traces and spans."""

    _traces: Table
    _spans: Table

    # ------------------------------------------------------------------ traces

    def upsert_trace(self, trace: Any) -> None:
        """Store the trace, or add what it says to one of its id that is there.

        Together they last from the earlier beginning to the later end; what is known of run, session and components stays; the
        name is that of the higher component.
        """
        new = trace.to_dict()

        def joined(old: Row | None) -> Row:
            if old is None:
                return dict(new)
            start = min(old["start_time"], new["start_time"], key=_moment)
            end = max(old["end_time"], new["end_time"], key=_moment)
            return {
                **old,
                "start_time": start,
                "end_time": end,
                "duration_ms": round((_moment(end) - _moment(start)).total_seconds() * 1000),
                "status": new["status"],
                "name": new["name"] if _level(new) > _level(old) else old["name"],
                **{field: new.get(field) if old.get(field) is None else old[field] for field in _CONTEXT},
            }

        self._traces.change(new["trace_id"], joined)

    def get_trace(self, trace_id: str | None = None, run_id: str | None = None) -> Any:
        """The trace of this id, else the latest of this run; None if there is none."""
        if trace_id:
            row = self._traces.get(trace_id)
            return None if row is None else self._counted([row])[0]
        rows = self._traces.rows(run_id=run_id) if run_id else []
        return self._counted([max(rows, key=lambda row: _moment(row["start_time"]))])[0] if rows else None

    def get_traces(
        self,
        run_id: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        team_id: str | None = None,
        workflow_id: str | None = None,
        status: str | None = None,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        limit: int | None = 20,
        page: int | None = 1,
        filter_expr: Row | None = None,
    ) -> tuple[list[Any], int]:
        """The traces that are all of this, the latest first, and their number before paging.

        Raises:
            ValueError: The filter expression is none.
        """
        rows = [
            row
            for row in self._traces.rows(
                run_id=run_id or None,
                session_id=session_id or None,
                user_id=user_id,
                agent_id=agent_id or None,
                team_id=team_id or None,
                workflow_id=workflow_id or None,
                status=status or None,
            )
            if (start_time is None or _moment(row["start_time"]) >= _moment(start_time))
            and (end_time is None or _moment(row["end_time"]) <= _moment(end_time))
            and (not filter_expr or matches(filter_expr, row))
        ]
        rows.sort(key=lambda row: _moment(row["start_time"]), reverse=True)
        return self._counted(page_of(rows, limit, page)), len(rows)

    def _counted(self, rows: Iterable[Row]) -> list[Any]:
        """Trace objects, with the number of their spans and of those that failed."""
        from agno.tracing.schemas import Trace

        found = []
        for row in rows:
            codes = Counter(span["status_code"] for span in self._spans.rows(trace_id=row["trace_id"]))
            found.append(Trace.from_dict({**row, "total_spans": codes.total(), "error_count": codes["ERROR"]}))
        return found

    def get_trace_stats(
        self,
        user_id: str | None = None,
        agent_id: str | None = None,
        team_id: str | None = None,
        workflow_id: str | None = None,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        limit: int | None = 20,
        page: int | None = 1,
        filter_expr: Row | None = None,
        group_by: str = "session",
    ) -> tuple[list[Row], int]:
        """Figures of each group of the traces that were made in this time, and the number of groups.

        Sessions come in the order of their last trace, the latest first; other groups by their number of traces.

        Raises:
            ValueError: There is no such grouping, or the filter expression is none.
        """
        if group_by not in _GROUPS:
            raise ValueError(f"Invalid group_by value: {group_by!r}. Allowed: {', '.join(_GROUPS)}")
        rows = [
            row
            for row in self._traces.rows(
                user_id=user_id, agent_id=agent_id or None, team_id=team_id or None, workflow_id=workflow_id or None
            )
            if (start_time is None or _moment(row["created_at"]) >= _moment(start_time))
            and (end_time is None or _moment(row["created_at"]) <= _moment(end_time))
            and (not filter_expr or matches(filter_expr, row))
        ]
        groups: dict[str, list[Row]] = {}
        for row in rows:
            of = row.get(_GROUPS[group_by])
            # What belongs to a component is no endpoint.
            if of is not None and (group_by != "endpoint" or not any(row.get(field) for field in _CONTEXT[3:])):
                groups.setdefault(of, []).append(row)
        if group_by == "session":
            stats = [_session_stats(of, theirs) for of, theirs in groups.items()]
            stats.sort(key=lambda one: one["last_trace_at"], reverse=True)
        else:
            stats = [_component_stats(_GROUPS[group_by], of, theirs) for of, theirs in sorted(groups.items())]
            stats.sort(key=lambda one: one["total_traces"], reverse=True)
        return page_of(stats, limit, page), len(stats)

    # ------------------------------------------------------------------ spans

    def create_span(self, span: Any) -> None:
        """Store the span."""
        row = span.to_dict()
        self._spans.put(row["span_id"], row)

    def create_spans(self, spans: list[Any]) -> None:
        """Store the spans."""
        for span in spans:
            self.create_span(span)

    def get_span(self, span_id: str) -> Any:
        """The span, or None."""
        from agno.tracing.schemas import Span

        row = self._spans.get(span_id)
        return None if row is None else Span.from_dict(row)

    def get_spans(
        self, trace_id: str | None = None, parent_span_id: str | None = None, limit: int | None = 1000
    ) -> list[Any]:
        """The spans of this trace and below this one, in the order in which they came."""
        from agno.tracing.schemas import Span

        rows = self._spans.rows(trace_id=trace_id or None, parent_span_id=parent_span_id or None)
        return [Span.from_dict(row) for row in page_of(rows, limit, None)]


def _times(rows: list[Row]) -> Row:
    made = [_moment(row["created_at"]) for row in rows]
    return {"first_trace_at": min(made), "last_trace_at": max(made)}


def _session_stats(session_id: str, rows: list[Row]) -> Row:
    context = {
        field: max((row[field] for row in rows if row.get(field) is not None), default=None) for field in _CONTEXT[2:]
    }
    return {"session_id": session_id, **context, "total_traces": len(rows), **_times(rows)}


def _component_stats(field: str, of: str, rows: list[Row]) -> Row:
    durations = [row["duration_ms"] for row in rows]
    return {
        field: of,
        "total_traces": len(rows),
        "total_sessions": len({row["session_id"] for row in rows if row.get("session_id") is not None}),
        "avg_duration_ms": round(sum(durations) / len(durations), 1),
        "p95_duration_ms": None,
        "max_duration_ms": max(durations),
        "error_traces": sum(row["status"] == "ERROR" for row in rows),
        **_times(rows),
    }
