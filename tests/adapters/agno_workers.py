"""Agno's own agents, teams and workflows, whose model answers here: what the tests of them say in one way for each Agno.

The model repeats what it was asked, so that an answer shows which history the framework gave it. All else is the framework's.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Any

import pytest

pytest.importorskip("agno", reason="Agno is not installed", exc_type=ImportError)

from agno.agent import Agent
from agno.models.base import Model
from agno.models.response import ModelResponse
from agno.team import Team

FIRST = metadata.version("agno").startswith("1.")
"""Whether this is Agno 1, which has storages; later ones have databases."""
KINDS = ["agent", "team", "workflow", *(["workflow_v2"] if FIRST else [])]


def why_no_workflows() -> str | None:
    """Why this Agno's workflows cannot be imported: some versions' need a package that Agno does not install."""
    try:
        import_module("agno.workflow")
    except ModuleNotFoundError as error:
        return f"this Agno's workflows need {error.name}, which is not installed"
    return None


@dataclass
class Echo(Model):
    """A model that answers with all that the user has said, as far as it was told."""

    id: str = "echo"

    def invoke(self, messages: Any, **_: Any) -> Any:
        said = [str(message.content) for message in messages if message.role == "user"]
        return ModelResponse(role="assistant", content="; ".join(said))

    async def ainvoke(self, messages: Any, **_: Any) -> Any:
        return self.invoke(messages)

    def invoke_stream(self, messages: Any, **_: Any) -> Any:
        yield self.invoke(messages)

    async def ainvoke_stream(self, messages: Any, **_: Any) -> Any:
        yield self.invoke(messages)

    def parse_provider_response(self, response: Any, **_: Any) -> Any:
        return response

    def parse_provider_response_delta(self, response: Any) -> Any:
        return response

    # As later Agnos call them.
    _parse_provider_response = parse_provider_response
    _parse_provider_response_delta = parse_provider_response_delta


def clerk(**fields: Any) -> Any:
    return Agent(model=Echo(), telemetry=False, **fields)


class DeskOfOne:
    """Agents, teams or workflows of Agno 1, and the storage where their sessions are."""

    def __init__(self, kind: str, storage: Any) -> None:
        self.kind, self.storage = kind, storage

    @staticmethod
    def open(kind: str, where: Any) -> DeskOfOne:
        from agno.storage.in_memory import InMemoryStorage as AgnosStorage

        from shoal.adapters.agno import InMemoryStorage

        if isinstance(where, dict):
            return DeskOfOne(kind, InMemoryStorage(kind, where))
        return DeskOfOne(kind, AgnosStorage(kind) if where is None else InMemoryStorage(kind, url=where))

    def hire(
        self, of: str | None = None, user: str | None = None, session: str | None = None, name: str | None = None
    ) -> Any:
        who = {"storage": self.storage, "user_id": user, "session_id": session, "name": name}
        if self.kind == "agent":
            return clerk(agent_id=of, add_history_to_messages=True, **who)
        if self.kind == "team":
            return Team([clerk()], model=Echo(), team_id=of, enable_team_history=True, telemetry=False, **who)
        if self.kind == "workflow":
            return _workflow_of_one()(workflow_id=of, telemetry=False, **who)
        from agno.workflow.v2 import Step, Workflow

        return Workflow(workflow_id=of, steps=[Step(name="answer", agent=clerk())], **who)

    def ask(self, worker: Any, text: str) -> Any:
        said = {"workflow": "query", "workflow_v2": "message"}.get(self.kind)
        return worker.run(**{said: text}) if said else worker.run(text)

    def read(self, session: str) -> Any:
        return self.storage.read(session)

    def sessions(self, user: str | None = None, of: str | None = None) -> list[Any]:
        found: list[Any] = self.storage.get_all_sessions(user_id=user, entity_id=of)
        assert self.storage.get_all_session_ids(user_id=user, entity_id=of) == [one.session_id for one in found]
        return found

    def recent(self, limit: int, user: str | None = None, of: str | None = None) -> list[Any]:
        found: list[Any] = self.storage.get_recent_sessions(user_id=user, entity_id=of, limit=limit)
        return found

    def keep(self, session: Any) -> None:
        self.storage.upsert(session)

    def answers(self, session: str) -> list[str]:
        """What was answered in the session, as it is stored."""
        stored = self.read(session)
        if self.kind == "workflow_v2":
            return [run.content for run in stored.runs]
        return [run["content"] for run in stored.memory["runs"]]

    def of(self, session: Any) -> str:
        """Whose session it is."""
        return str(getattr(session, f"{self.kind.removesuffix('_v2')}_id"))

    def name(self, session: Any) -> str:
        """How its agent, team or workflow is called."""
        if self.kind == "workflow_v2":
            return str(session.workflow_name)
        return str(getattr(session, f"{self.kind}_data")["name"])

    def rename(self, worker: Any, session: str, name: str) -> None:
        worker.rename(name)

    def rename_session(self, worker: Any, session: str, name: str) -> None:
        worker.rename_session(name)

    def drop(self) -> None:
        self.storage.drop()

    def close(self) -> None:
        if hasattr(self.storage, "close"):
            self.storage.close()


def _workflow_of_one() -> Any:
    from agno.run.response import RunResponse
    from agno.workflow import Workflow

    class Desk(Workflow):  # type: ignore[misc]  # Agno's classes are Any where it is not installed
        """One that keeps what it was asked in its session."""

        description = "asks an agent"

        def run(self, query: str) -> Any:
            asked = [*self.session_state.get("asked", []), query]
            self.session_state["asked"] = asked
            return RunResponse(run_id=self.run_id, content=clerk().run("; ".join(asked)).content)

    return Desk


class DeskOfLater:
    """Agents, teams or workflows of Agno 2 and 3, and the database where their sessions are."""

    def __init__(self, kind: str, db: Any) -> None:
        from agno.db.base import SessionType

        self.kind, self.storage, self._type = kind, db, SessionType(kind)

    @staticmethod
    def open(kind: str, where: Any) -> DeskOfLater:
        from agno.db.in_memory import InMemoryDb as AgnosDb

        from shoal.adapters.agno import InMemoryDb

        return DeskOfLater(kind, AgnosDb() if where is None else InMemoryDb(where))

    def hire(
        self, of: str | None = None, user: str | None = None, session: str | None = None, name: str | None = None
    ) -> Any:
        who = {"db": self.storage, "id": of, "user_id": user, "session_id": session, "name": name}
        if self.kind == "agent":
            return clerk(add_history_to_context=True, **who)
        if self.kind == "team":
            return Team([clerk()], model=Echo(), add_history_to_context=True, telemetry=False, **who)
        from agno.workflow import Step, Workflow

        steps = [Step(name="answer", agent=clerk())]
        return Workflow(steps=steps, add_workflow_history_to_steps=True, telemetry=False, **who)

    def ask(self, worker: Any, text: str) -> Any:
        return worker.run(text)

    def read(self, session: str) -> Any:
        return self.storage.get_session(session, self._type)

    def sessions(self, user: str | None = None, of: str | None = None) -> list[Any]:
        found: list[Any] = self.storage.get_sessions(self._type, user_id=user, component_id=of)
        return found

    def recent(self, limit: int, user: str | None = None, of: str | None = None) -> list[Any]:
        found: list[Any] = self.storage.get_sessions(
            self._type, user_id=user, component_id=of, limit=limit, page=1, sort_by="created_at", sort_order="desc"
        )
        return found

    def keep(self, session: Any) -> None:
        self.storage.upsert_session(session)

    def answers(self, session: str) -> list[str]:
        """What was answered in the session, as it is stored."""
        return [run.content for run in self.read(session).runs]

    def of(self, session: Any) -> str:
        """Whose session it is."""
        return str(getattr(session, f"{self.kind}_id"))

    def name(self, session: Any) -> str:
        """How its agent, team or workflow is called."""
        return str(getattr(session, f"{self.kind}_data")["name"])

    def rename(self, worker: Any, session: str, name: str) -> None:
        worker.rename(name, session)

    def rename_session(self, worker: Any, session: str, name: str) -> None:
        worker.set_session_name(session, session_name=name)

    def drop(self) -> None:
        self.storage.delete_sessions([one.session_id for one in self.sessions()])

    def close(self) -> None:
        if hasattr(self.storage, "close"):
            self.storage.close()


Desk: Any = DeskOfOne if FIRST else DeskOfLater
