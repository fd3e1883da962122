"""Filter expressions of Agno, on rows: ``{"op": "AND", "conditions": [{"op": "EQ", "key": "status", "value": "OK"}]}``."""

from __future__ import annotations

import operator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .records import Row

__all__ = ["matches"]

_TIMES = frozenset({"start_time", "end_time", "created_at"})
_FIELDS = frozenset({
    *("trace_id", "name", "status", "duration_ms", "run_id", "session_id"),
    *("user_id", "agent_id", "team_id", "workflow_id"),
    *_TIMES,
})  # fmt: skip
_DEPTH = 10

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "EQ": operator.eq,
    "NEQ": operator.ne,
    "GT": operator.gt,
    "GTE": operator.ge,
    "LT": operator.lt,
    "LTE": operator.le,
    "CONTAINS": lambda found, text: str(text).lower() in str(found).lower(),
    "STARTSWITH": lambda found, text: str(found).lower().startswith(str(text).lower()),
    "IN": lambda found, values: found in values,
}


def matches(expression: Any, row: Row) -> bool:
    """Whether the expression holds for the row.

    What the row does not have is unknown, as in SQL: no comparison with it holds, nor does the contrary of one.

    Raises:
        ValueError: The expression is malformed, about another field, or more than ten deep.
    """
    return _holds(expression, row, 0) is True


def _holds(expression: Any, row: Row, depth: int) -> bool | None:
    """Whether it holds; None: unknown."""
    if depth > _DEPTH:
        raise ValueError(f"Filter expression exceeds maximum nesting depth of {_DEPTH}")
    if not isinstance(expression, dict) or "op" not in expression:
        raise ValueError(f"Invalid filter: must be a dict with 'op' key. Got: {expression}")
    op = expression["op"]
    if op in ("AND", "OR"):
        conditions = _part(expression, "conditions")
        if not isinstance(conditions, list):
            raise ValueError(f"{op} filter requires a list of 'conditions'. Got: {expression}")
        results = [_holds(condition, row, depth + 1) for condition in conditions]  # all, so that each is checked
        decisive = op == "OR"
        return decisive if decisive in results else None if None in results else not decisive
    if op == "NOT":
        result = _holds(_part(expression, "condition"), row, depth + 1)
        return None if result is None else not result
    if op not in _COMPARE:
        raise ValueError(f"Unknown filter operator: {op}")
    key = _part(expression, "key")
    if key not in _FIELDS:
        raise ValueError(f"Invalid filter field: {key!r}. Allowed: {sorted(_FIELDS)}")
    found, value = row.get(key), expression.get("values" if op == "IN" else "value")
    if value is None:
        raise ValueError(f"{op} filter requires {'values' if op == 'IN' else 'value'!r}. Got: {expression}")
    if found is None:
        return None
    if key in _TIMES and op not in ("CONTAINS", "STARTSWITH"):
        found = _in_utc(found)
        value = [_in_utc(one) for one in value] if op == "IN" else _in_utc(value)
    try:
        return _COMPARE[op](found, value)
    except TypeError:
        raise ValueError(f"Invalid filter expression: {key!r} cannot be compared with {value!r}") from None


def _part(expression: Row, name: str) -> Any:
    part = expression.get(name)
    if not part:
        raise ValueError(f"{expression['op']} filter requires {name!r}. Got: {expression}")
    return part


def _in_utc(value: Any) -> Any:
    """A time as text that sorts as times do; anything else as it is."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    except (ValueError, AttributeError):
        return value
