"""Values come back as the same type and equal to what they were; what cannot be stored says where and why."""

# ruff: noqa: DTZ001 - naive datetimes are values, too

from __future__ import annotations

import collections
import dataclasses
import enum
import math
import os
import subprocess
import sys
import threading
import typing
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from uuid import UUID
from zoneinfo import ZoneInfo

import msgpack
import numpy as np
import pytest

from shoal.codec import decode, encode, has_pickle, kind
from shoal.errors import InvalidValue

pydantic = pytest.importorskip("pydantic")

ASKED: list[object] = []
BERLIN = ZoneInfo("Europe/Berlin")


class Colour(enum.Enum):
    RED = 1
    ALSO_RED = 1  # noqa: PIE796 - an alias
    GREEN = "green"


class Level(enum.IntEnum):
    LOW = 1


class Name(enum.StrEnum):
    ANN = "ann"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Bits(enum.IntFlag):
    ONE = 1
    TWO = 2


class Counting(enum.Flag):
    ONE = 1
    TWO = 2

    @classmethod
    def _missing_(cls, value: object) -> typing.Any:
        ASKED.append(value)
        return super()._missing_(value)


@dataclasses.dataclass
class Point:
    x: int
    y: typing.Any = None
    seen: int = dataclasses.field(init=False, default=0)

    class Kind(enum.Enum):
        NESTED = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: int
    y: typing.Any = None


@dataclasses.dataclass(slots=True, kw_only=True)
class Slotted:
    x: int
    later: int = dataclasses.field(init=False)


@dataclasses.dataclass
class Child(Slotted):
    extra: str = ""


@dataclasses.dataclass
class Loud:
    """Its constructor must not run when it is read."""

    x: int
    start: dataclasses.InitVar[int] = 0
    made: typing.ClassVar[int] = 0

    def __post_init__(self, start: int) -> None:
        type(self).made += 1
        self.total = self.x + start


@dataclasses.dataclass
class OwnWay:
    x: int

    def __getstate__(self) -> dict[str, int]:
        return {"x": self.x + 1}


Item = typing.TypeVar("Item")


@dataclasses.dataclass
class Box(typing.Generic[Item]):
    item: Item


class Pair(typing.NamedTuple):
    left: int
    right: typing.Any = "right"


Plain = collections.namedtuple("Plain", "a b")  # noqa: PYI024 - both ways to make one


class Extended(Plain):
    __slots__ = ()

    def total(self) -> int:
        return self.a + self.b


class User(pydantic.BaseModel):
    name: str
    tags: list[str] = []  # noqa: RUF012 - pydantic copies it
    friend: User | None = None
    _secret: int = pydantic.PrivateAttr(default=5)


class Open(pydantic.BaseModel, extra="allow"):
    name: str


class Numbers(pydantic.RootModel[list[int]]):
    pass


class OddZone(tzinfo):
    def utcoffset(self, _when: datetime | None) -> timedelta:
        return timedelta(hours=1)

    def dst(self, _when: datetime | None) -> timedelta:
        return timedelta()

    def tzname(self, _when: datetime | None) -> str:
        return "odd"


class Text(str):
    __slots__ = ()


class Number(int):
    pass


def types_of(value: object) -> object:
    """The types of `value` and of all that it holds."""
    if isinstance(value, dict):
        return type(value), [(types_of(key), types_of(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [types_of(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return type(value), {type(item) for item in value}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return type(value), [types_of(getattr(value, field.name, None)) for field in dataclasses.fields(value)]
    return type(value)


WITHOUT_PICKLE = [
    None, True, False, 0, -1, 127, 128, -32, -33, 2**32, 2**63 - 1, 2**63, 2**64 - 1, -(2**63),
    2**64, -(2**63) - 1, 2**1000, -(2**1000), 0.0, -0.0, 1.5, math.inf, -math.inf,
    "", "a" * 31, "a" * 32, "ÅłŘ 语 🐟", "\0", b"", b"x" * 255, b"x" * 256, b"x" * 65536,
    [], {}, [1, [2, [3]]], {"a": {"b": {"c": None}}}, {"z": 1, "a": 2, "m": 3},
    {1: "int", None: "none", (1, 2): "tuple", b"b": "bytes", 1.5: "float", frozenset({1}): "set"},
    {date(2024, 1, 1): 1, Colour.RED: 2, UUID(int=7): 3},
    (), (1,), (1, ("a", [2, (3,)])), [()], {"t": (1, 2)},
    set(), {1, "a", (1, 2)}, frozenset(), frozenset({frozenset({1})}),
    1 + 2j, complex(-0.0, math.inf),
    bytearray(), bytearray(b"abc"), [bytearray(b"a"), b"a"], {"k": [bytearray(b"\xc4")]}, (bytearray(b"x"),),
    datetime(2024, 5, 1), datetime(2024, 5, 1, 12, 30, 15, 123456), datetime(2024, 10, 27, 2, 30, fold=1),
    datetime(2024, 5, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), datetime(2200, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    datetime(2600, 1, 1, tzinfo=UTC), datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=UTC),
    datetime(2024, 5, 1, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
    datetime(2024, 5, 1, tzinfo=timezone(timedelta(seconds=1, microseconds=1))),
    datetime(2024, 5, 1, tzinfo=timezone(timedelta(hours=2), "Sömmer [x]")), datetime(2024, 5, 1, tzinfo=ZoneInfo("UTC")),
    datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN), datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN),
    datetime(1850, 1, 1, tzinfo=BERLIN),
    date(1, 1, 1), date(9999, 12, 31), time(), time(1, 2, 3, 4), time(1, fold=1), time(1, tzinfo=UTC),
    time(1, tzinfo=timezone(timedelta(hours=2), "CEST")), time(2, 30, tzinfo=BERLIN, fold=1),
    timedelta(), timedelta.min, timedelta.max, timedelta(microseconds=-1),
    Decimal("1.10"), Decimal("-0"), Decimal("1E+999999"), Decimal("-Infinity"), Decimal("0.1") ** 20,
    UUID("12345678-1234-5678-1234-567812345678"),
    Path("/a/b c"), PurePosixPath("x/../y"), PureWindowsPath("c:\\x"), Path("not-utf8-\udcff"), Path(),
    Colour.RED, Colour.ALSO_RED, Colour.GREEN, Point.Kind.NESTED, Level.LOW, Name.ANN, [Level.LOW, 1, Name.ANN, "ann"],
    Access.READ, Access.READ | Access.WRITE, Access(0), Bits.ONE | Bits.TWO, Bits(64), ~Bits.ONE,
    Point(1), Point(1, [Point(2, (3,))]), Frozen(1, Frozen(2)), Box([1]),
    Pair(1), Pair(1, (2,)), Plain(1, Pair(2)), Extended(1, 2),
    User(name="ann"), User(name="ann", tags=["a"], friend=User(name="bob")), Open(name="a", more=(1, 2)), Numbers([1, 2]),
    np.bool_(True), np.int8(-3), np.uint64(2**64 - 1), np.float16(1.5), np.float32(1.5), np.float64(2.5),
    np.complex128(1j), np.datetime64("2024-05-01T12:00", "ns"), np.timedelta64(5, "D"), np.datetime64(3, "s"),
    np.str_("a\0"), np.bytes_(b"a\0"), np.str_(""), np.void(b"abc"),
    [0.1, bytearray(b"x")], [[0.1, 0.2], [0.1, [bytearray(b"x")]]], [1.1, 2**5000], [1.1, Decimal(1), np.float32(2)],
    {"scalars": [np.float64(1), 1.0, np.int64(1), 1]},
]  # fmt: skip

BY_PICKLE = [
    Text("x"), Number(4), {Text("k"): [Number(1)]}, collections.OrderedDict(b=1, a=2), collections.deque([1], 3),
    collections.Counter("abca"), range(3), slice(1, 2), Ellipsis, int, len, ValueError("x").args, msgpack.Timestamp(3, 4),
    np.dtype("i4"), timedelta, {"deep": [{"x": (collections.deque([2]),)}]},
]  # fmt: skip


@pytest.mark.parametrize("value", WITHOUT_PICKLE, ids=lambda value: ascii(value)[:40])
def test_comes_back_the_same_without_pickle(value: typing.Any) -> None:
    for whole in (value, [value], {"k": (value,)}):
        data = encode(whole, allow_pickle=False)
        back = decode(data, allow_pickle=False)
        assert back == whole
        assert types_of(back) == types_of(whole)
        assert not has_pickle(data)
        if type(value) is not set:  # whose order may be another one
            assert repr(back) == repr(whole)
            assert encode(back) == data


@pytest.mark.parametrize("value", BY_PICKLE, ids=lambda value: ascii(value)[:40])
def test_anything_else_goes_by_pickle(value: typing.Any) -> None:
    data = encode(value)
    back = decode(data)
    assert back == value
    assert types_of(back) == types_of(value)
    if has_pickle(data):
        with pytest.raises(InvalidValue, match="allow_pickle"):
            encode(value, allow_pickle=False)
        with pytest.raises(InvalidValue, match="allow_pickle"):
            decode(data, allow_pickle=False)


def test_msgpack_s_own_types_are_ordinary_objects() -> None:
    """An ExtType passed on as it is could name any type: a pickle, say."""
    forged = msgpack.ExtType(127, b"\x80\x05N.")
    for value in (forged, [forged], {"k": [1, {forged: forged}]}, (forged,)):
        data = encode(value)
        assert not has_pickle(data)
        assert decode(data, allow_pickle=False) == value
        assert types_of(decode(data)) == types_of(value)
    assert has_pickle(encode({"k": [msgpack.Timestamp(1, 2)]}))


def test_what_equals_nothing_is_kept() -> None:
    assert math.isnan(decode(encode(math.nan)))
    assert str(decode(encode(Decimal("sNaN123")))) == "sNaN123"
    assert math.copysign(1, decode(encode([-0.0]))[0]) == -1


def test_dict_order_and_key_types() -> None:
    value = {1: "a", "1": "b", (1,): "c", None: "d", -1: "e", 2**70: "f"}
    assert list(decode(encode(value)).items()) == list(value.items())


def test_time_zones_are_the_very_zones() -> None:
    assert decode(encode(datetime(2024, 1, 1, tzinfo=BERLIN))).tzinfo is BERLIN
    assert decode(encode([datetime(2024, 1, 1, tzinfo=UTC)]))[0].tzinfo is UTC
    second = decode(encode(datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN)))
    assert (second.fold, second.utcoffset()) == (1, timedelta(hours=1))
    named = decode(encode(datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=2), "CEST"))))
    assert named.tzname() == "CEST"


@pytest.mark.parametrize(
    "zone", [OddZone(), timezone(timedelta(microseconds=1)), timezone(timedelta(microseconds=-1), "x")]
)
def test_zones_that_text_cannot_say_need_pickle(zone: tzinfo) -> None:
    value = datetime(2024, 1, 1, tzinfo=zone)
    for whole in (value, value.timetz()):
        back = decode(encode(whole))
        assert (back, back.utcoffset(), type(back.tzinfo)) == (whole, whole.utcoffset(), type(zone))
        with pytest.raises(InvalidValue, match="allow_pickle"):
            encode(whole, allow_pickle=False)


# --- classes ---------------------------------------------------------------------------------------------------------


def test_reading_a_dataclass_runs_none_of_its_code() -> None:
    value = Loud(1, start=5)
    data = encode(value)
    made = Loud.made
    back = decode(data)
    assert (back, back.total, Loud.made) == (value, 6, made)


def test_a_dataclass_keeps_all_of_its_state() -> None:
    value = Slotted(x=1)  # `later` was never set
    back = decode(encode(value))
    assert back.x == 1
    assert not hasattr(back, "later")
    child = Child(x=1, extra="e")
    child.later = 2
    child.noted = "on the side"  # type: ignore[attr-defined]
    back = decode(encode(child))
    assert (back, back.later, back.noted) == (child, 2, "on the side")
    box = Box[int](3)
    assert decode(encode(box, allow_pickle=False)) == box


def test_a_class_that_pickles_its_own_way_is_left_to_pickle() -> None:
    assert decode(encode(OwnWay(1))) == OwnWay(2)
    assert kind(encode(OwnWay(1))) == "pickle"
    with pytest.raises(InvalidValue, match="allow_pickle"):
        encode(OwnWay(1), allow_pickle=False)


def test_a_model_keeps_what_was_set_and_its_private_attributes() -> None:
    user = User(name="ann")
    user._secret = 7
    back = decode(encode(user, allow_pickle=False), allow_pickle=False)
    assert (back, back._secret, back.model_fields_set) == (user, 7, {"name"})


def test_a_named_tuple_with_attributes_of_its_own_is_pickled() -> None:
    value = Loose(1, 2)
    value.note = "n"  # type: ignore[attr-defined]
    back = decode(encode(value))
    assert (back, back.note, type(back)) == (value, "n", Loose)


class Loose(Plain):
    pass


def test_classes_that_no_reader_finds() -> None:
    @dataclasses.dataclass
    class Local:
        x: int

    class Hidden(enum.Enum):
        A = 1

    for value, path in (([Local(1)], "$[0]"), ({"a": Hidden.A}, "$.a")):
        with pytest.raises(InvalidValue, match="inside a function") as caught:
            encode(value)
        assert caught.value.path == path


def test_reading_flags_does_not_ask_the_class() -> None:
    both = Counting.ONE | Counting.TWO
    data = encode(both)
    asked = len(ASKED)
    Counting._value2member_map_.pop(3, None)
    assert decode(data, allow_pickle=False).value == 3
    assert len(ASKED) == asked


def test_a_class_is_found_by_its_module_if_that_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shoal_lazy_example.py").write_text("import enum\nclass Mode(enum.Enum):\n    ON = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    data = b"\xc7%c\x0f\x92\xb7shoal_lazy_example:Mode\xa2ON" % (1 + 24 + 3)
    with pytest.raises(InvalidValue, match="import shoal_lazy_example"):
        decode(data, allow_pickle=False)
    assert "shoal_lazy_example" not in sys.modules
    try:
        member = decode(data, allow_pickle=True)
        assert decode(data, allow_pickle=False) is member is sys.modules["shoal_lazy_example"].Mode.ON
    finally:
        sys.modules.pop("shoal_lazy_example", None)


# --- arrays ----------------------------------------------------------------------------------------------------------

ARRAYS = {
    "float32": np.arange(6, dtype="f4").reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "fortran 3-d": np.asfortranarray(np.arange(24, dtype="i2").reshape(2, 3, 4)),
    "strided": np.arange(20)[::3],
    "reversed": np.arange(5)[::-1],
    "transposed 3-d": np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
    "broadcast": np.broadcast_to(np.int8(3), (4, 5)),
    "0-d": np.array(3.5),
    "empty": np.empty((0, 3)),
    "big-endian": np.arange(3, dtype=">u2"),
    "bool": np.array([True, False]),
    "text": np.array(["a", "Ł"]),
    "bytes": np.array([b"a", b"bc"]),
    "datetime": np.array(["2024-01-01", "NaT"], dtype="M8[ns]"),
    "timedelta": np.array([1, 2], dtype="m8[25s]"),
    "half": np.array([1.5], dtype="f2"),
    "longdouble": np.array([1], dtype="g") / 3,
    "complex": np.array([1 + 2j]),
    "void": np.array([b"abc"], dtype="V3"),
    "structured": np.array([(1, "a", (2.0, 3.0))], dtype=[("x", "i4"), ("ł y", "U3"), ("z", "f8", (2,))]),
    "padded": np.zeros(2, dtype=np.dtype({"names": ["a", "b"], "formats": ["i1", "f8"]}, align=True)),
    "nested": np.zeros((1, 2), dtype=[("a", [("b", ">i2"), ("c", "S2")])]),
    "many dimensions": np.zeros((1,) * 32),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_as_they_were(name: str) -> None:
    array = ARRAYS[name]
    data = encode(array, allow_pickle=False)
    offset = int.from_bytes(data[10:12], "little")
    assert kind(data[:6]) == "array"
    assert offset % 64 == 0
    assert len(data) == offset + array.nbytes
    for back in (decode(data, allow_pickle=False), decode(encode({"a": [array]}))["a"][0]):
        assert type(back) is np.ndarray
        assert (back.dtype, back.shape) == (array.dtype, array.shape)
        assert back.tobytes() == array.tobytes()
        assert back.flags.owndata
        assert back.flags.writeable
        in_fortran_order = array.flags.f_contiguous and not array.flags.c_contiguous
        assert (back.flags.f_contiguous, back.flags.c_contiguous)[not in_fortran_order]


def test_arrays_of_objects_are_refused_by_name() -> None:
    for array in (np.array([None]), np.zeros(1, dtype=[("a", "O")])):
        with pytest.raises(InvalidValue, match="Python objects") as caught:
            encode({"a": [0, array]})
        assert caught.value.path == "$.a[1]"


def test_array_classes_of_numpy_keep_their_class_by_pickle() -> None:
    for array in (
        np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.ma.array([1], mask=[True]),
    ):
        back = decode(encode(array))
        assert type(back) is type(array)
        assert back.tolist() == array.tolist()
    records = np.zeros(2, dtype=(np.record, [("a", "i4")]))
    assert decode(encode(records)).dtype.type is np.record


# --- how it is called ------------------------------------------------------------------------------------------------


class Reentrant:
    """Encodes other values while it is being encoded, as a finaliser may at any moment."""

    def __reduce__(self) -> typing.Any:
        for _ in range(3):
            assert decode(encode({"inner": [(1, 2)] * 100})) == {"inner": [(1, 2)] * 100}
        return Reentrant, ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reentrant)

    __hash__ = object.__hash__


def test_encoding_within_encoding() -> None:
    value = {"a": [1, Reentrant(), (Reentrant(), "b")], "c": "d" * 1000}
    assert decode(encode(value)) == value


def test_classes_may_come_and_go_without_end() -> None:
    for number in range(5000):
        with pytest.raises(InvalidValue):
            encode(type(f"Gone{number}", (), {})())
    assert decode(encode([bytearray(b"x"), Point(1), 2.5, (1,)])) == [bytearray(b"x"), Point(1), 2.5, (1,)]


def test_threads_do_not_meet() -> None:
    failures: list[object] = []

    def work(number: int) -> None:
        value = {"n": number, "items": [(number, str(number))] * 50, "p": Point(number)}
        failures.extend(number for _ in range(200) if decode(encode(value)) != value)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_with_and_without_msgspec(tmp_path: Path) -> None:
    """The same bytes, the same values; the process that has no msgspec reads what the other wrote."""
    script = """
import sys
if sys.argv[1] == "without":
    sys.modules["msgspec"] = None
from shoal.codec import decode, encode
value = {"a": [1, (2, {3}), 1 << 70], (1, 2): b"x", None: 1.5}
for _ in range(100):
    data = encode(value)
    assert decode(data) == value
print(data.hex(), "msgspec" in sys.modules and sys.modules["msgspec"] is not None)
"""
    outputs = [
        subprocess.run(
            [sys.executable, "-c", script, how], capture_output=True, text=True, check=True, env={**os.environ}
        ).stdout.split()
        for how in ("with", "without")
    ]
    assert outputs[0][0] == outputs[1][0]
    assert outputs[1][1] == "False"


def test_importing_the_codec_loads_nothing_that_may_not_be_needed() -> None:
    script = "import sys, shoal.codec; print([name for name in sys.argv[1:] if name in sys.modules])"
    names = ["numpy", "msgspec", "pydantic", "decimal", "uuid", "pickle", "zoneinfo", "dataclasses"]
    output = subprocess.run(
        [sys.executable, "-c", script, *names[:3]], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "[]"
