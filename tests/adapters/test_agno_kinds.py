"""Memories, knowledge, evaluations, metrics and culture: Agno's rules, shown on its own class and on ours."""

from __future__ import annotations

import inspect
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytest.importorskip("agno.db.base", reason="Agno 2 or 3 is not installed", exc_type=ImportError)


from agno.db.base import BaseDb
from agno.db.schemas.evals import EvalFilterType, EvalRunRecord, EvalType
from agno.db.schemas.knowledge import KnowledgeRow
from agno.db.schemas.memory import UserMemory
from agno_dbs import RUNS_APART, run, session

METRICS_PER_USER = "user_id" in inspect.signature(BaseDb.get_metrics).parameters
KNOWLEDGE_PER_USER = "user_id" in inspect.signature(BaseDb.get_knowledge_content).parameters
EVALS_PER_USER = "user_id" in inspect.signature(BaseDb.get_eval_run).parameters
TOPICS_PER_USER = "user_id" in inspect.signature(BaseDb.get_all_memory_topics).parameters
HAS_CULTURE = hasattr(BaseDb, "upsert_cultural_knowledge")


# ---------------------------------------------------------------------- memories


def memory(name: str | None, user: str | None = "ada", text: str = "", **fields: Any) -> UserMemory:
    return UserMemory(memory=text or f"memory {name}", memory_id=name, user_id=user, **fields)


def names(memories: Any) -> list[str]:
    found = memories[0] if isinstance(memories, tuple) else memories
    return [one["memory_id"] if isinstance(one, dict) else one.memory_id for one in found]


def test_a_memory(db: Any) -> None:
    one = memory(None, topics=["tea"])
    stored = db.upsert_user_memory(one)
    assert stored.memory_id == one.memory_id
    assert len(one.memory_id) == 36
    read = db.get_user_memory(one.memory_id)
    assert (read.memory, read.user_id, read.topics) == (one.memory, "ada", ["tea"])
    assert read.updated_at
    plain = db.get_user_memory(one.memory_id, deserialize=False)
    assert isinstance(plain["updated_at"], int)
    assert db.get_user_memory(one.memory_id, user_id="ada") is not None
    assert db.get_user_memory(one.memory_id, user_id="bob") is None
    assert db.get_user_memory("unknown") is None
    db.upsert_user_memory(memory(one.memory_id, text="changed"))
    assert [found.memory for found in db.get_user_memories()] == ["changed"]


def test_a_memory_is_a_copy(ours: Any) -> None:
    one = memory("m1", topics=["tea"])
    stored = ours.upsert_user_memory(one)
    one.topics.append("coffee")
    stored.topics.append("milk")
    ours.get_user_memory("m1").topics.append("water")
    assert ours.get_user_memory("m1").topics == ours.get_all_memory_topics() == ["tea"]


def test_memories_by_what_they_are(db: Any) -> None:
    for number in range(6):
        db.upsert_user_memory(
            memory(
                f"m{number}",
                f"u{number % 2}",
                f"Text {number}",
                agent_id=f"a{number % 3}",
                team_id="t" if number == 4 else None,
                topics=["even" if number % 2 == 0 else "odd", f"topic {number}"],
            )
        )
    assert names(db.get_user_memories()) == [f"m{n}" for n in range(6)]
    assert names(db.get_user_memories("u1")) == ["m1", "m3", "m5"]
    assert names(db.get_user_memories("u1", agent_id="a2")) == ["m5"]
    assert names(db.get_user_memories(team_id="t")) == ["m4"]
    assert names(db.get_user_memories(topics=["even"])) == ["m0", "m2", "m4"]
    assert names(db.get_user_memories(topics=["topic 1", "topic 2"])) == ["m1", "m2"]
    assert names(db.get_user_memories(search_content="tExT 3")) == ["m3"]
    found, total = db.get_user_memories(limit=2, page=2, deserialize=False)
    assert (names((found, total)), total) == (["m2", "m3"], 6)
    assert len(db.get_user_memories(page=3)) == 6
    assert names(db.get_user_memories(sort_by="memory", sort_order="desc", limit=1)) == ["m5"]
    topics = db.get_all_memory_topics()
    assert sorted(topics) == ["even", "odd", *(f"topic {n}" for n in range(6))]
    if TOPICS_PER_USER:
        assert sorted(db.get_all_memory_topics(user_id="u0")) == ["even", "topic 0", "topic 2", "topic 4"]


def test_memories_go(db: Any) -> None:
    for number in range(6):
        db.upsert_user_memory(memory(f"m{number}", f"u{number % 2}"))
    db.delete_user_memory("m0", user_id="u1")
    db.delete_user_memory("m1", user_id="u1")
    db.delete_user_memory("m2")
    db.delete_user_memory("unknown")
    db.delete_user_memories(["m3", "m4"], user_id="u1")
    assert names(db.get_user_memories()) == ["m0", "m4", "m5"]
    db.delete_user_memories(["m4", "unknown"])
    assert names(db.get_user_memories()) == ["m0", "m5"]
    db.clear_memories()
    assert db.get_user_memories() == []


def test_figures_of_memories(db: Any) -> None:
    for number in range(5):
        db.upsert_user_memory(memory(f"m{number}", "ada" if number < 3 else "bob"))
    db.upsert_user_memory(memory("nobody's", None))
    stats, total = db.get_user_memory_stats()
    assert total == 2
    assert {one["user_id"]: one["total_memories"] for one in stats} == {"ada": 3, "bob": 2}
    assert all(one["last_memory_updated_at"] > 1_600_000_000 for one in stats)
    assert len(db.get_user_memory_stats(limit=1, page=2)[0]) == 1
    assert [one["user_id"] for one in db.get_user_memory_stats(user_id="bob")[0]] == ["bob"]


def test_memories_at_once(db: Any) -> None:
    assert db.upsert_memories([]) == []
    assert names(db.upsert_memories([memory("m1"), memory("m2")])) == ["m1", "m2"]
    assert names(db.upsert_memories([memory("m2")], deserialize=False)) == ["m2"]
    assert names(db.get_user_memories()) == ["m1", "m2"]


# ---------------------------------------------------------------------- knowledge


def test_knowledge(db: Any) -> None:
    for number in range(4):
        row = KnowledgeRow(
            id=f"k{number}",
            name=f"name {number}",
            description="",
            metadata={"n": [number]},
            linked_to="base" if number % 2 else None,
            created_at=number,
        )
        assert db.upsert_knowledge_content(row) is row
    assert db.get_knowledge_content("k1").metadata == {"n": [1]}
    assert db.get_knowledge_content("unknown") is None
    db.upsert_knowledge_content(KnowledgeRow(id="k1", name="new", description="", linked_to="base"))
    rows, total = db.get_knowledge_contents()
    assert ([row.name for row in rows], total) == (["name 0", "new", "name 2", "name 3"], 4)
    rows, total = db.get_knowledge_contents(limit=1, page=2, sort_by="created_at", sort_order="asc")
    assert (rows[0].id, total) == ("k2", 4)  # after k0; no time sorts last
    if "linked_to" in inspect.signature(BaseDb.get_knowledge_contents).parameters:
        assert [row.id for row in db.get_knowledge_contents(linked_to="base")[0]] == ["k1", "k3"]
    db.delete_knowledge_content("k1")
    db.delete_knowledge_content("unknown")
    assert db.get_knowledge_contents()[1] == 3


@pytest.mark.skipif(not KNOWLEDGE_PER_USER, reason="this Agno's knowledge has no owners")
def test_knowledge_of_users(db: Any) -> None:
    def row(name: str, user: str | None) -> KnowledgeRow:
        return KnowledgeRow(id=name, name=name, description="", user_id=user)

    for name, user in (("hers", "ada"), ("his", "bob"), ("all's", None)):
        db.upsert_knowledge_content(row(name, user))
    assert [found.id for found in db.get_knowledge_contents(user_id="ada")[0]] == ["hers", "all's"]
    assert db.get_knowledge_content("his", user_id="ada") is None
    assert db.get_knowledge_content("all's", user_id="ada").id == "all's"
    for name in ("his", "all's"):
        with pytest.raises(ValueError, match="not found"):
            db.upsert_knowledge_content(row(name, "ada"))
        db.delete_knowledge_content(name, user_id="ada")
    assert db.get_knowledge_contents()[1] == 3
    db.upsert_knowledge_content(row("his", None))
    db.delete_knowledge_content("hers", user_id="ada")
    assert [found.id for found in db.get_knowledge_contents()[0]] == ["his", "all's"]


# ---------------------------------------------------------------------- evaluations


def eval_run(name: str, kind: EvalType = EvalType.ACCURACY, **fields: Any) -> EvalRunRecord:
    return EvalRunRecord(run_id=name, eval_type=kind, eval_data={"score": [1]}, **fields)


def test_evals(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.5)
    one = eval_run("e1", agent_id="a")
    assert db.create_eval_run(one) is one
    read = db.get_eval_run("e1")
    assert (read.eval_type, read.eval_data, read.agent_id) == (EvalType.ACCURACY, {"score": [1]}, "a")
    plain = db.get_eval_run("e1", deserialize=False)
    assert plain["created_at"] == plain["updated_at"] == 1_700_000_000
    assert db.rename_eval_run("e1", "name").name == "name"
    assert db.rename_eval_run("e1", "other", deserialize=False)["name"] == "other"
    assert db.rename_eval_run("unknown", "x") is None
    assert db.get_eval_run("unknown") is None
    db.create_eval_run(eval_run("e2", EvalType.RELIABILITY, team_id="t", model_id="m"))
    db.create_eval_run(eval_run("e3", EvalType.PERFORMANCE, workflow_id="w", agent_id="a"))

    def listed(**of: Any) -> list[str]:
        return [found.run_id for found in db.get_eval_runs(**of)]

    assert listed() == ["e1", "e2", "e3"]  # of one second: as they came
    assert listed(agent_id="a") == ["e1", "e3"]
    assert listed(team_id="t") == listed(model_id="m") == ["e2"]
    assert listed(workflow_id="w", agent_id="b") == []
    assert listed(filter_type=EvalFilterType.AGENT) == ["e1", "e3"]
    assert listed(filter_type=EvalFilterType.TEAM) == ["e2"]
    assert listed(eval_type=[EvalType.ACCURACY, EvalType.RELIABILITY]) == ["e1", "e2"]
    assert listed(eval_type=[]) == ["e1", "e2", "e3"]
    assert listed(sort_by="run_id", sort_order="asc", limit=2, page=2) == ["e3"]
    assert db.get_eval_runs(limit=1, deserialize=False)[1] == 3
    db.delete_eval_runs(["e1", "e3", "unknown"])
    assert listed() == ["e2"]


@pytest.mark.skipif(not EVALS_PER_USER, reason="this Agno's evaluations have no owners")
def test_evals_of_users(db: Any) -> None:
    db.create_eval_run(eval_run("e1"))
    db.create_eval_run(eval_run("e2"))
    db.update_eval_run_user_id("e1", "ada")
    assert db.get_eval_run("e1", user_id="bob") is None
    assert db.get_eval_run("e2", user_id="bob") is None
    assert db.rename_eval_run("e1", "x", user_id="bob") is None
    db.delete_eval_runs(["e1", "e2"], user_id="bob")
    assert [found.run_id for found in db.get_eval_runs(user_id="ada")] == ["e1"]
    db.update_eval_run_user_id("e2", "bob")
    db.update_eval_run_user_id("unknown", "bob")
    assert db.get_eval_run("e2", user_id="bob").run_id == "e2"
    assert len(db.get_eval_runs()) == 2


# ---------------------------------------------------------------------- metrics


def fill_days(db: Any) -> tuple[str, str]:
    """Sessions of two days before today, and of today."""
    now = int(time.time())
    for days, name, user, tokens in ((2, "s1", "ada", 5), (2, "s2", None, 7), (0, "s3", "ada", 11)):
        data = {"session_metrics": {"input_tokens": tokens, "total_tokens": tokens}}
        runs = [run(f"{name} r", model="m", model_provider="p")]
        db.upsert_session(session(name, user, "a", session_data=data, created_at=now - days * 86400, runs=runs))
    today = datetime.now(UTC).date()
    return str(today - timedelta(days=2)), str(today)


def figures(records: list[Any]) -> list[tuple[Any, ...]]:
    return sorted(
        (
            one["date"],
            one.get("user_id") or "",
            one["agent_sessions_count"],
            one["agent_runs_count"],
            one["users_count"],
            one["token_metrics"]["input_tokens"],
            one["completed"],
            str(one["model_metrics"]),
        )
        for one in records
    )


def test_metrics(db: Any) -> None:
    assert db.calculate_metrics() is None
    before, today = fill_days(db)
    model = str([{"model_id": "m", "model_provider": "p", "count": 1}])
    made = db.calculate_metrics()
    if METRICS_PER_USER:
        assert figures(made) == [
            (before, "", 1, 1, 0, 7, True, model),
            (before, "ada", 1, 1, 1, 5, True, model),
            (today, "ada", 1, 1, 1, 11, False, model),
        ]
    else:
        models = str([{"model_id": "m", "model_provider": "p", "count": 2}])
        assert figures(made) == [(before, "", 2, 2, 1, 12, True, models), (today, "", 1, 1, 1, 11, False, model)]
    found, latest = db.get_metrics()
    assert figures(found) == figures(made)
    assert latest == max(one["updated_at"] for one in found)
    day = datetime.now(UTC).date()
    assert figures(db.get_metrics(starting_date=day)[0]) == figures(made)[-1:]
    assert figures(db.get_metrics(ending_date=day - timedelta(days=1))[0]) == figures(made)[:-1]
    assert db.get_metrics(starting_date=day + timedelta(days=1)) == ([], None)
    if METRICS_PER_USER:
        assert {one["user_id"] for one in found} == {None, "ada"}
        assert figures(db.get_metrics(user_id="ada")[0]) == figures(made)[1:]
    db.upsert_session(session("s4", "ada", "a", session_data={}, created_at=int(time.time()), runs=[run("s4 r")]))
    assert figures(db.calculate_metrics())[0][:3] == (today, "ada" if METRICS_PER_USER else "", 2)
    assert len(db.get_metrics()[0]) == len(made)


@pytest.mark.skipif(not METRICS_PER_USER, reason="this Agno's metrics are of all users together")
def test_figures_of_a_whole_day_give_way_to_those_of_users(ours: Any) -> None:
    fill_days(ours)
    made = ours.calculate_metrics()
    total = {**made[0], "id": "before", "user_id": None, "users_count": 2}
    ours._metrics.put("before", total)
    ours._metrics.put("alone", {**total, "date": "2020-01-01"})
    assert [one["date"] for one in ours.get_metrics()[0] if one["users_count"] == 2] == ["2020-01-01"]


# ---------------------------------------------------------------------- culture


@pytest.mark.skipif(not HAS_CULTURE, reason="this Agno has no cultural knowledge")
def test_culture(db: Any) -> None:
    from agno.db.schemas.culture import CulturalKnowledge

    one = CulturalKnowledge(name="tea", content="at five", categories=["drinks"], agent_id="a")
    assert db.upsert_cultural_knowledge(one).content == "at five"
    assert one.id
    read = db.get_cultural_knowledge(one.id)
    assert (read.name, read.content, read.categories, read.notes) == ("tea", "at five", ["drinks"], None)
    assert db.get_cultural_knowledge(one.id, deserialize=False)["content"] == {
        "content": "at five",
        "categories": ["drinks"],
    }
    db.upsert_cultural_knowledge(CulturalKnowledge(id="c2", name="queues", team_id="t"))
    assert [found.name for found in db.get_all_cultural_knowledge()] == ["tea", "queues"]
    assert [found.name for found in db.get_all_cultural_knowledge(team_id="t")] == ["queues"]
    assert [found.name for found in db.get_all_cultural_knowledge(name="tea")] == ["tea"]
    found, total = db.get_all_cultural_knowledge(limit=1, deserialize=False)
    assert (len(found), total) == (1, 2)
    db.delete_cultural_knowledge(one.id)
    assert db.get_cultural_knowledge(one.id) is None
    db.clear_cultural_knowledge()
    assert db.get_all_cultural_knowledge() == []


def test_runs_are_counted_where_they_are(ours: Any) -> None:
    if not RUNS_APART:
        pytest.skip("this Agno has no runs beside sessions")
    ours.upsert_session(session("s1", "ada", "a"))
    ours.upsert_run(run("r1", model="m", model_provider="p"), "s1")
    assert ours.calculate_metrics()[0]["agent_runs_count"] == 1
