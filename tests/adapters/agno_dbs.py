"""The databases that the Agno tests run on: ours over each store, and Agno's own, whose rules the tests restate."""

from __future__ import annotations

import inspect
from importlib import metadata
from typing import Any

import pytest

pytest.importorskip("agno.db.base", reason="Agno 2 or 3 is not installed", exc_type=ImportError)

from agno.db.base import BaseDb
from agno.db.in_memory import InMemoryDb as AgnosDb
from agno.run.agent import RunOutput
from agno.session import AgentSession, TeamSession, WorkflowSession

from shoal.adapters.agno import InMemoryDb

KINDS: dict[str, Any] = {"agent": AgentSession, "team": TeamSession, "workflow": WorkflowSession}
VERSION = tuple(int(part) for part in metadata.version("agno").split(".")[:2])
RUNS_APART = VERSION >= (3, 0)
SCOPED = "user_id" in inspect.signature(BaseDb.delete_session).parameters
"""Whether this Agno's methods know of users: those of early versions 2 do not."""


def database(kind: str, store: Any) -> Any:
    return AgnosDb() if kind == "agno" else InMemoryDb(store)


def session(
    name: str, user: str | None = None, component: str | None = None, kind: str = "agent", **fields: Any
) -> Any:
    return KINDS[kind](session_id=name, user_id=user, **{f"{kind}_id": component}, **fields)


def run(name: str, agent: str = "a", content: str = "", **fields: Any) -> Any:
    # Made at one time, whatever second the test is in: listings sort by it.
    return RunOutput(run_id=name, agent_id=agent, content=content, **{"created_at": 1_700_000_000, **fields})


def ids(sessions: Any) -> list[str]:
    if isinstance(sessions, tuple):
        sessions = sessions[0]
    return [one["session_id"] if isinstance(one, dict) else one.session_id for one in sessions]


def run_ids(of: Any) -> list[str]:
    runs = of["runs"] if isinstance(of, dict) else of.runs
    return [one["run_id"] if isinstance(one, dict) else one.run_id for one in runs or []]
