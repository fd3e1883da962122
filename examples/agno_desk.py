"""Agents in several processes at work in one session (Agno 2 and 3), with memories of their users.

Needs Agno: ``pip install "shoal[agno]"``. The model only counts what it was asked, so nothing is sent anywhere.
"""

from __future__ import annotations

from multiprocessing import Process
from typing import Any

from agno.agent import Agent
from agno.db.base import SessionType
from agno.db.schemas.memory import UserMemory
from agno.models.base import Model
from agno.models.response import ModelResponse
from agno.session import AgentSession

from shoal.adapters.agno import InMemoryDb  # was: from agno.db.in_memory import InMemoryDb

DESKS, QUESTIONS = 3, 4


class Clerk(Model):  # type: ignore[misc]  # Any to a checker that has no Agno
    """A model that counts questions."""

    def invoke(self, messages: list[Any], **_: Any) -> ModelResponse:
        """Answer from the history."""
        asked = [message.content for message in messages if message.role == "user"]
        return ModelResponse(role="assistant", content=f"That was question {len(asked)}.")

    def _parse_provider_response(self, response: Any, **_: Any) -> Any:
        return response

    ainvoke = invoke_stream = ainvoke_stream = _parse_provider_response_delta = _parse_provider_response


def work(db: InMemoryDb, desk: int) -> None:
    """Run in a process of its own: answer questions in the common session, and note what the customer said."""
    agent = Agent(id="clerk", model=Clerk(id="clerk"), db=db, add_history_to_context=True, telemetry=False)
    for number in range(QUESTIONS):
        agent.run(f"Question {number} at desk {desk}", session_id="customer-42", user_id="ada")
    db.upsert_user_memory(UserMemory(memory=f"was at desk {desk}", user_id="ada", topics=["visits"]))


def main() -> None:
    """Let them work, and look at what they left."""
    db = InMemoryDb()  # in a store of its own; InMemoryDb("shm://desk") is one that others find by its name
    db.upsert_session(AgentSession(session_id="customer-42", agent_id="clerk", user_id="ada"))
    desks = [Process(target=work, args=(db, desk)) for desk in range(DESKS)]
    for desk in desks:
        desk.start()
    db.rename_session("customer-42", SessionType.AGENT, "a question about an order")
    for desk in desks:
        desk.join()

    session = db.get_session("customer-42", SessionType.AGENT)
    asked = {run.input.input_content for run in session.runs}
    print(f"{session.session_data['session_name']!r}: {len(session.runs)} runs, {len(asked)} different questions")
    for memory in sorted(memory.memory for memory in db.get_user_memories(user_id="ada", topics=["visits"])):
        print("ada", memory)
    db.close()


if __name__ == "__main__":
    main()
