"""Was every operation, as far as anybody could tell, done at one instant between its begin and its end?

The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993) with Lowe's memory of what was tried
("Testing for linearizability", 2017): a configuration is the set of operations that took effect together with the state they
led to, and none is looked at twice. Objects are independent, so a history is checked key by key (Herlihy and Wing: a history
is linearizable if it is so for each object).

The checker is sound: what it rejects has no linearization. The search is bounded: beyond so many configurations it gives up,
and says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from .entry import INITIAL, Entry, step
from .history import Operation, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["LIMIT", "Verdict", "by_key", "check", "explain"]

LIMIT = 1_000_000
"""So many configurations are looked at before the search gives up."""

State = TypeVar("State")


class Verdict(NamedTuple):
    """What a check found: `linearizable` is None if the search gave up.

    `stuck` are the numbers (in order of their begin) of the operations of which one had to be next, where the longest
    linearization that could be found ends, and `states` what the object may have been there.
    """

    linearizable: bool | None
    configurations: int
    stuck: tuple[int, ...] = ()
    states: tuple[object, ...] = ()


def by_key(operations: Iterable[Operation]) -> dict[int, list[Operation]]:
    """Sort a history by keys, and what happened to each by its begin."""
    found: dict[int, list[Operation]] = {}
    for operation in operations:
        found.setdefault(operation.call.key, []).append(operation)
    for history in found.values():
        history.sort(key=lambda operation: operation.begin)
    return found


def check(
    history: Sequence[Operation],
    initial: State = INITIAL,  # type: ignore[assignment]  # the default of both goes together
    next_states: Callable[[State, Operation], list[State]] = step,  # type: ignore[assignment]  # as above
    limit: int = LIMIT,
) -> Verdict:
    """Check what happened to one object, in order of begin.

    Args:
        history: Its operations.
        initial: Its state before.
        next_states: What an operation makes of a state; nothing if it cannot have had this outcome there.
        limit: How many configurations to look at before giving up.
    """
    start = (0, 0, initial)
    seen = {start}
    stack = [start]
    furthest = -1
    stuck: tuple[int, ...] = ()
    states: list[State] = []
    while stack:
        first, mask, state = stack.pop()
        if first == len(history):
            return Verdict(linearizable=True, configurations=len(seen))
        done = first + mask.bit_count()
        candidates = tuple(_candidates(history, first, mask))
        if done > furthest:
            furthest, stuck, states = done, candidates, []
        if done == furthest:
            states.append(state)
        for number in reversed(candidates):
            operation = history[number]
            found = next_states(state, operation)
            if operation.outcome.result == Result.UNKNOWN:
                found = [*found, state]  # it never took effect
            taken = mask | 1 << (number - first)
            onward = _trailing_ones(taken)
            for after in found:
                configuration = (first + onward, taken >> onward, after)
                if configuration not in seen:
                    if len(seen) >= limit:
                        return Verdict(None, len(seen), stuck, tuple(states))
                    seen.add(configuration)
                    stack.append(configuration)
    return Verdict(linearizable=False, configurations=len(seen), stuck=stuck, states=tuple(states))


def _candidates(history: Sequence[Operation], first: int, mask: int) -> Iterator[int]:
    """The operations of which none begins after another that has not taken effect ended."""
    earliest_end = history[first].end
    for number in range(first, len(history)):
        operation = history[number]
        if operation.begin > earliest_end:
            return
        if not mask >> (number - first) & 1:
            earliest_end = min(earliest_end, operation.end)
            yield number


def _trailing_ones(mask: int) -> int:
    return (~mask & (mask + 1)).bit_length() - 1


def explain(history: Sequence[Operation], verdict: Verdict, around: int = 12) -> str:
    """Return the part of a history that has no linearization, for people: times in microseconds from its first line."""
    if not verdict.stuck:
        return "nothing is wrong"
    first, last = verdict.stuck[0], verdict.stuck[-1]
    shown = history[max(0, first - around) : last + 1]
    origin = shown[0].begin
    lines = [f"{len(shown)} of {len(history)} operations; one of those marked had to be next, and none can have been:"]
    for number, operation in enumerate(shown, max(0, first - around)):
        mark = ">" if number in verdict.stuck else " "
        lines.append(
            f"{mark} {(operation.begin - origin) / 1e3:12.3f} {(operation.end - origin) / 1e3:12.3f}  {operation}"
        )
    lines += [f"  possible then: {_describe(state, origin)}" for state in dict.fromkeys(verdict.states)]
    return "\n".join(lines)


def _describe(state: object, origin: int) -> str:
    if not isinstance(state, Entry):
        return str(state)
    if state.value is None:
        return f"absent, at {(state.now - origin) / 1e3:.3f} or later"
    version = f"version {state.version}" if state.exact else f"a version above {state.version}"
    if state.earliest == state.latest:
        return f"value {state.value}, {version}"
    until = f"{(state.earliest - origin) / 1e3:.3f} to {(state.latest - origin) / 1e3:.3f}"
    return f"value {state.value}, {version}, expires between {until}; at {(state.now - origin) / 1e3:.3f} or later"
