"""The bytes: golden vectors, and what can be told of a value without decoding it."""

# ruff: noqa: DTZ001 - naive datetimes are values, too

from __future__ import annotations

import dataclasses
import enum
import json
import math
import sys
import types
import typing
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PosixPath, PurePosixPath, PureWindowsPath
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from shoal import MemoryRef
from shoal.codec import decode, encode, has_pickle, kind

pydantic = pytest.importorskip("pydantic")

BERLIN = ZoneInfo("Europe/Berlin")
GOLDEN = Path(__file__).parents[1] / "golden" / "values-v1.json"


class Colour(enum.Enum):
    RED = 1


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Pair(typing.NamedTuple):
    left: int
    right: str


class User(pydantic.BaseModel):
    name: str
    age: typing.Any = 7


def test_kind_by_the_first_bytes() -> None:
    names = {
        "none": None, "bool": True, "int": -5, "float": 1.5, "str": "x" * 40, "bytes": b"", "list": [], "dict": {},
        "array": np.zeros(3), "tuple": (1,), "set": {1}, "frozenset": frozenset(), "complex": 1j, "bytearray": bytearray(),
        "datetime": datetime(2024, 1, 1), "date": date(2024, 1, 1), "time": time(), "timedelta": timedelta(),
        "decimal": Decimal(1), "uuid": UUID(int=1), "path": Path("a"), "enum": Colour.RED, "dataclass": Point(1, 2.5),
        "namedtuple": Pair(1, "a"), "model": User(name="a"), "scalar": np.int8(1), "ref": MemoryRef("a"),
        "pickle": range(2),
    }  # fmt: skip
    for name, value in names.items():
        assert kind(encode(value)[:6]) == name
    assert kind(encode(2**70)) == "int"
    assert kind(encode(datetime(2024, 1, 1, tzinfo=UTC))) == "datetime"
    assert kind(encode(list(range(100_000)))) == "list"
    assert kind(encode(dict.fromkeys(range(70_000)))) == "dict"
    assert [kind(data) for data in (b"", b"\xc1", b"\xc7\x05", b"\xd4\x64\x00", b"\xd4\x9c\x00")] == [
        "unknown", "unknown", "unknown", "ext", "ext",
    ]  # fmt: skip
    assert all(isinstance(kind(bytes((first, 1, 2, 3, 4, 5))), str) for first in range(256))


def test_has_pickle_looks_everywhere() -> None:
    holders: list[typing.Callable[[typing.Any], typing.Any]] = [
        lambda it: it, lambda it: [it], lambda it: {"a": it}, lambda it: {it: 1}, lambda it: (1, it), lambda it: {it},
        lambda it: frozenset({it}), lambda it: Point(1, it), lambda it: Pair(1, it), lambda it: User(name="a", age=it),
        lambda it: [(Point(1, {"k": (it,)}),)],
    ]  # fmt: skip
    for holder in holders:
        assert has_pickle(encode(holder(range(3))))
        assert not has_pickle(encode(holder("\x7f" * 200)))
        assert not has_pickle(encode(holder(127)))
    in_a_ref = encode([range(3)])
    assert has_pickle(bytes((0xC7, len(in_a_ref), 20)) + in_a_ref)


GOLDEN_VALUES: dict[str, typing.Any] = {
    "none": None, "true": True, "false": False,
    "int 7": 7, "int 200": 200, "int -1": -1, "int -200": -200, "int 2**16": 2**16, "int 2**63": 2**63, "int -2**63": -(2**63),
    "int 2**64": 2**64, "int -2**63-1": -(2**63) - 1, "int -2**100": -(2**100),
    "float 1.5": 1.5, "float -0.0": -0.0, "float inf": math.inf,
    "str empty": "", "str fish": "🐟", "str 40": "a" * 40, "bytes": b"\x00\xff",
    "list": [1, "a", None], "dict": {"a": 1, "b": [True]}, "dict of keys": {1: "int", None: "none", (1, 2): "tuple", b"k": "bytes"},
    "tuple": (1, "a"), "tuple empty": (), "tuple nested": ((1,), [2]), "set": {1}, "frozenset": frozenset({"a"}),
    "complex": 1 - 2j, "bytearray": bytearray(b"abc"), "bytearray in list": [bytearray(b"")],
    "datetime utc": datetime(2024, 5, 1, 12, 0, tzinfo=UTC),
    "datetime utc us": datetime(2024, 5, 1, 12, 0, 0, 5, tzinfo=UTC),
    "datetime utc early": datetime(1969, 12, 31, 23, 59, 59, 500000, tzinfo=UTC),
    "datetime naive": datetime(2024, 5, 1, 12, 0), "datetime naive fold": datetime(2024, 10, 27, 2, 30, fold=1),
    "datetime offset": datetime(2024, 5, 1, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
    "datetime named offset": datetime(2024, 5, 1, 12, 0, tzinfo=timezone(timedelta(hours=2), "CEST")),
    "datetime zone": datetime(2024, 5, 1, 12, 0, tzinfo=BERLIN),
    "datetime zone fold": datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN),
    "date": date(2024, 5, 1), "time": time(12, 30, 0, 5), "time offset": time(12, tzinfo=timezone(timedelta(hours=2))),
    "timedelta": timedelta(days=-1, seconds=3, microseconds=5), "decimal": Decimal("-1.10"),
    "uuid": UUID("12345678-1234-5678-1234-567812345678"),
    "path": PosixPath("/a/b"), "path pure windows": PureWindowsPath("c:\\x"), "path bytes": PurePosixPath("\udcff"),
    "enum": Colour.RED, "flags": Access.READ | Access.WRITE, "dataclass": Point(1, 2.5),
    "namedtuple": Pair(1, "a"), "model": User(name="ann"),
    "array": np.array([[1, 2, 3], [4, 5, 6]], dtype="<i2"), "array fortran": np.array([[1, 2], [3, 4]], dtype="<u2", order="F"),
    "array 0-d": np.array(1.5), "array empty": np.empty((0, 2), dtype=">f4"),
    "array structured": np.array([(1, b"ab")], dtype=[("a", "<i4"), ("b", "S2")]),
    "array in dict": {"a": np.array([1], dtype="<i8")},
    "scalar": np.float32(1.5), "scalar text": np.str_("a"), "scalar datetime": np.datetime64(5, "s"),
    "ref": MemoryRef("agent.user", "default", 7, 1714564800.5),
    "ref of a run in list": [MemoryRef(r"p.r.v1\.2", "n", 2**40, None, "sensory")],
    "pickle": range(3),
}  # fmt: skip


@pytest.fixture
def _golden_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this file's classes import paths that no move of this file changes."""
    module = types.ModuleType("golden")
    monkeypatch.setitem(sys.modules, "golden", module)
    for cls in (Colour, Access, Point, Pair, User):
        monkeypatch.setattr(cls, "__module__", "golden")
        monkeypatch.setitem(module.__dict__, cls.__name__, cls)


@pytest.mark.usefixtures("_golden_module")
def test_the_format_does_not_change() -> None:
    """What was written once is read, and is written the same way, for ever.

    A new value's bytes are added to the file by hand, from the message of this test; an entry there never changes.
    """
    written = {name: encode(value).hex() for name, value in GOLDEN_VALUES.items()}
    golden = json.loads(GOLDEN.read_text())
    assert written == golden
    for name, value in GOLDEN_VALUES.items():
        back = decode(bytes.fromhex(golden[name]))
        assert type(back) is type(value)
        assert repr(back) == repr(value)
