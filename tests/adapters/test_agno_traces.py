"""Traces, spans and learnings: what Agno's own `InMemoryDb` lacks, as its SQL databases have them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytest.importorskip("agno.db.base", reason="Agno 2 or 3 is not installed", exc_type=ImportError)
pytest.importorskip("opentelemetry.sdk", reason="Agno's traces need opentelemetry-sdk", exc_type=ImportError)


schemas = pytest.importorskip("agno.tracing.schemas", reason="this Agno has no traces", exc_type=ImportError)


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def db(ours: Any) -> Any:
    return ours


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def trace(trace_id: str, start: float = 0, end: float = 1, **fields: Any) -> Any:
    defaults = {
        **dict.fromkeys(("run_id", "session_id", "user_id", "agent_id", "team_id", "workflow_id")),
        "name": "Agent.run",
        "status": "OK",
        "total_spans": 0,
        "error_count": 0,
        "created_at": at(start),
        "duration_ms": round((end - start) * 1000),
    }
    return schemas.Trace(trace_id=trace_id, start_time=at(start), end_time=at(end), **{**defaults, **fields})


def span(name: str, of: str, parent: str | None = None, status: str = "OK") -> Any:
    return schemas.Span(
        span_id=name,
        trace_id=of,
        parent_span_id=parent,
        name=name,
        span_kind="INTERNAL",
        status_code=status,
        status_message=None,
        start_time=at(0),
        end_time=at(1),
        duration_ms=1000,
        attributes={"k": [1]},
        created_at=at(0),
    )


def names(traces: Any) -> list[str]:
    return [one.trace_id for one in traces[0]]


def test_a_trace_with_its_spans(db: Any) -> None:
    db.upsert_trace(trace("t1", run_id="r1", session_id="s1"))
    db.create_span(span("a", "t1"))
    db.create_spans([span("b", "t1", "a"), span("c", "t1", "a", "ERROR"), span("x", "other")])
    found = db.get_trace("t1")
    assert (found.start_time, found.end_time, found.run_id) == (at(0), at(1), "r1")
    assert (found.total_spans, found.error_count) == (3, 1)
    assert [one.span_id for one in db.get_spans("t1")] == ["a", "b", "c"]
    assert [one.span_id for one in db.get_spans(parent_span_id="a")] == ["b", "c"]
    assert [one.span_id for one in db.get_spans("t1", limit=1)] == ["a"]
    assert db.get_span("b").attributes == {"k": [1]}
    assert db.get_span("unknown") is None
    assert db.get_trace("unknown") is None
    assert db.get_trace() is None


def test_parts_of_a_trace_are_joined(db: Any) -> None:
    db.upsert_trace(trace("t1", 1, 3, name="Agent.run", agent_id="a", session_id="s1"))
    db.upsert_trace(trace("t1", 0, 2, name="Team.run", team_id="t", session_id="s2", status="ERROR"))
    db.upsert_trace(trace("t1", 2, 5, name="tool", user_id="ada"))
    found = db.get_trace("t1")
    assert (found.start_time, found.end_time, found.duration_ms) == (at(0), at(5), 5000)
    assert (found.name, found.status) == ("Team.run", "OK")
    assert (found.session_id, found.agent_id, found.team_id, found.user_id) == ("s1", "a", "t", "ada")


def test_traces_by_what_they_are(db: Any) -> None:
    for number in range(6):
        db.upsert_trace(
            trace(
                f"t{number}",
                number,
                number + 1,
                run_id="r",
                session_id=f"s{number % 2}",
                user_id=f"u{number % 3}",
                status="ERROR" if number == 4 else "OK",
            )
        )
    assert names(db.get_traces()) == ["t5", "t4", "t3", "t2", "t1", "t0"]
    assert db.get_trace(run_id="r").trace_id == "t5"
    assert names(db.get_traces(session_id="s1")) == ["t5", "t3", "t1"]
    assert names(db.get_traces(user_id="u0", session_id="s1")) == ["t3"]
    assert names(db.get_traces(status="ERROR")) == ["t4"]
    assert names(db.get_traces(start_time=at(2), end_time=at(5))) == ["t4", "t3", "t2"]
    found = db.get_traces(limit=2, page=2)
    assert (names(found), found[1]) == (["t3", "t2"], 6)
    assert names(db.get_traces(agent_id="a")) == []


def test_filter_expressions(db: Any) -> None:
    for number in range(4):
        db.upsert_trace(trace(f"t{number}", number, 2 * number + 1, user_id=f"Ada {number}" if number else None))

    def listed(op: str, key: str = "", value: Any = None, **more: Any) -> list[str]:
        return names(db.get_traces(filter_expr={"op": op, "key": key, "value": value, **more}))

    assert listed("EQ", "trace_id", "t1") == ["t1"]
    assert listed("GTE", "duration_ms", 3000) == ["t3", "t2"]
    assert listed("STARTSWITH", "user_id", "aDa") == ["t3", "t2", "t1"]
    assert listed("CONTAINS", "user_id", " 2") == ["t2"]
    assert listed("NEQ", "user_id", "Ada 1") == ["t3", "t2"]
    assert listed("IN", "trace_id", values=["t0", "t3"]) == ["t3", "t0"]
    assert listed("GT", "start_time", "2026-01-01T17:30:01+05:30") == ["t3", "t2"]
    one, two = ({"op": "EQ", "key": "trace_id", "value": name} for name in ("t1", "t2"))
    assert listed("OR", conditions=[one, two]) == ["t2", "t1"]
    assert listed("AND", conditions=[one, two]) == []
    assert listed("NOT", condition=one) == ["t3", "t2", "t0"]
    # "t0" has no user: that is unknown, as in SQL.
    ada = {"op": "EQ", "key": "user_id", "value": "Ada 1"}
    assert listed("NOT", condition=ada) == ["t3", "t2"]
    assert listed("NOT", condition={"op": "OR", "conditions": [ada, two]}) == ["t3"]
    assert listed("NOT", condition={"op": "AND", "conditions": [ada, two]}) == ["t3", "t2", "t1", "t0"]
    assert listed("OR", conditions=[ada, {"op": "EQ", "key": "trace_id", "value": "t0"}]) == ["t1", "t0"]
    for wrong in ({}, {"op": "LIKE"}, {"op": "EQ", "key": "password", "value": 1}, {"op": "AND"}, {"op": "EQ"}):
        if wrong:
            with pytest.raises(ValueError, match="ilter"):
                db.get_traces(filter_expr=wrong)
    deep: dict[str, Any] = one
    for _ in range(11):
        deep = {"op": "NOT", "condition": deep}
    with pytest.raises(ValueError, match="depth"):
        db.get_traces(filter_expr=deep)


def test_figures_of_traces(db: Any) -> None:
    for number in range(5):
        db.upsert_trace(
            trace(
                f"t{number}",
                number,
                number + 2,
                session_id=f"s{number % 2}",
                agent_id="a" if number < 3 else "b",
                user_id="ada",
                status="ERROR" if number == 0 else "OK",
            )
        )
    db.upsert_trace(trace("endpoint", 9, 10, name="GET /", created_at=at(9)))
    stats, total = db.get_trace_stats()
    assert total == 2
    assert stats[0] == {
        "session_id": "s0",
        "user_id": "ada",
        "agent_id": "b",
        "team_id": None,
        "workflow_id": None,
        "total_traces": 3,
        "first_trace_at": at(0),
        "last_trace_at": at(4),
    }
    stats, total = db.get_trace_stats(group_by="agent", limit=1)
    assert (stats[0]["agent_id"], stats[0]["total_traces"], stats[0]["total_sessions"], total) == ("a", 3, 2, 2)
    assert (stats[0]["avg_duration_ms"], stats[0]["error_traces"]) == (2000.0, 1)
    assert [one["name"] for one in db.get_trace_stats(group_by="endpoint")[0]] == ["GET /"]
    assert db.get_trace_stats(user_id="bob") == ([], 0)
    assert db.get_trace_stats(start_time=at(4))[1] == 1
    with pytest.raises(ValueError, match="group_by"):
        db.get_trace_stats(group_by="color")


def test_learnings(db: Any) -> None:
    db.upsert_learning("l1", "profile", {"likes": ["tea"]}, user_id="ada", namespace="user")
    db.upsert_learning("l2", "profile", {"likes": ["rum"]}, user_id="bob", metadata={"m": 1})
    db.upsert_learning("l3", "context", {"x": 1}, session_id="s", entity_id="e", entity_type="person")
    assert db.get_learning("profile", user_id="ada") == {"content": {"likes": ["tea"]}}
    assert db.get_learning("profile", user_id="eve") is None
    assert db.get_learning("context", entity_id="e", entity_type="person", session_id="s") == {"content": {"x": 1}}
    db.upsert_learning("l1", "other type", {"likes": ["milk"]}, user_id="eve")
    one = db.get_learning_by_id("l1")
    assert (one["learning_type"], one["user_id"], one["content"]) == ("profile", "ada", {"likes": ["milk"]})
    assert {found["learning_id"] for found in db.get_learnings()} == {"l1", "l2", "l3"}
    assert [found["learning_id"] for found in db.get_learnings("profile", user_id="bob")] == ["l2"]
    assert len(db.get_learnings(limit=2)) == 2
    assert db.update_learning("l2", {"likes": []}) is True
    assert db.update_learning("unknown", {}) is False
    assert db.get_learning_by_id("l2")["metadata"] is None
    assert db.delete_learning("l3") is True
    assert db.delete_learning("l3") is False
    assert db.delete_user_learnings("ada", "context") == 0
    assert db.delete_user_learnings("ada") == 1
    assert [found["learning_id"] for found in db.get_learnings()] == ["l2"]
