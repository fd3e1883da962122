"""An agent for the package's local runner, which looks it up in its module."""

from __future__ import annotations

from flink_agents.api.agents.agent import Agent
from flink_agents.api.decorators import action
from flink_agents.api.events.event import Event, InputEvent, OutputEvent
from flink_agents.api.runner_context import RunnerContext  # noqa: TC002 - the package looks at the annotations


class Counting(Agent):
    """Two actions: the second finds what the first thought by a reference in an event."""

    @action(InputEvent.EVENT_TYPE)
    @staticmethod
    def first(event: Event, ctx: RunnerContext) -> None:
        found = ctx.sensory_memory.get_field_names()
        ref = ctx.sensory_memory.set("thought.input", InputEvent.from_event(event).input)
        ctx.short_term_memory.set("stats.count", (ctx.short_term_memory.get("stats.count") or 0) + 1)
        ctx.send_event(Event(type="second", attributes={"ref": ref, "found": found}))

    @action("second")
    @staticmethod
    def second(event: Event, ctx: RunnerContext) -> None:
        value = ctx.sensory_memory.get(event.attributes["ref"])
        count = ctx.short_term_memory.get("stats.count")
        ctx.send_event(OutputEvent(output=[value, count, event.attributes["found"]]))
