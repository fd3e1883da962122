"""Values on the command line: what an argument means, and how a value is shown.

JSON has fewer types than the store, so `--json` shows the others by the nearest thing JSON has: a tuple, set or array as
a list, a `MemoryRef` as a dict, times in ISO 8601, bytes as ``{"$bytes": "<base64>"}``, NaN and infinity as text, anything else as its `repr`.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import pathlib
import sys
import uuid
from collections.abc import Mapping
from typing import Any

from shoal.memory.ref import MemoryRef

from .output import interactive, printable

__all__ = ["jsonable", "parse_value", "print_value"]


def parse_value(text: str) -> Any:
    """Return what the text means as JSON, or the text itself if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def print_value(value: Any) -> None:
    """Print a value as text: a string as it is, bytes untouched, the rest as JSON where that loses nothing."""
    if isinstance(value, str):
        print(printable(value) if interactive() else value)
    elif isinstance(value, bytes):
        if interactive():
            print(repr(value))
        else:
            sys.stdout.flush()
            sys.stdout.buffer.write(value)
    elif _is_json(value):
        print(json.dumps(value, ensure_ascii=False, indent=2 if interactive() else None))
    else:
        print(repr(value))


def _is_json(value: Any) -> bool:
    if type(value) is dict:
        return all(type(key) is str and _is_json(item) for key, item in value.items())
    if type(value) is list:
        return all(map(_is_json, value))
    return value is None or type(value) in (bool, int, float, str)


def jsonable(value: Any) -> Any:
    """Return the nearest thing that JSON can express."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return jsonable(value.value)
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, MemoryRef):
        return value._asdict()
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, set | frozenset):
        return [jsonable(item) for item in sorted(value, key=repr)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, dt.date | dt.time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, decimal.Decimal | uuid.UUID | pathlib.PurePath):
        return str(value)
    if callable(getattr(value, "tolist", None)):  # numpy arrays and scalars, without importing numpy
        return jsonable(value.tolist())
    if callable(getattr(value, "model_dump", None)):  # pydantic models, likewise
        return jsonable(value.model_dump())
    return repr(value)
