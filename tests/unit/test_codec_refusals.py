"""What cannot be stored says which element it is; bytes that are no value are InvalidValue, whoever made them."""

from __future__ import annotations

import collections
import dataclasses
import enum
import random
import subprocess
import sys
import threading
import typing
from datetime import UTC, datetime

import numpy as np
import pytest

from shoal.codec import decode, encode, has_pickle, kind
from shoal.errors import InvalidValue

pydantic = pytest.importorskip("pydantic")


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int
    y: typing.Any = None


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: int
    y: typing.Any = None


class Pair(typing.NamedTuple):
    left: int
    right: typing.Any = "right"


class Open(pydantic.BaseModel, extra="allow"):
    name: str


# --- what cannot be stored -------------------------------------------------------------------------------------------


class Rogue:
    def __reduce__(self) -> typing.Any:
        raise ZeroDivisionError("no")


@pytest.mark.parametrize(
    ("value", "path", "type_name"),
    [
        (lambda: 0, "$", "function"),
        ({"users": [0, 1, 2, {"photo": Rogue()}]}, "$.users[3].photo", "Rogue"),
        ({"odd key": [Rogue()]}, '$["odd key"][0]', "Rogue"),
        ({'a"b\\c': Rogue()}, r'$["a\"b\\c"]', "Rogue"),
        ({1: {(2, "x"): Rogue()}}, "$[1][(2, 'x')]", "Rogue"),
        ({"tuple": (0, [Rogue()])}, "$.tuple[1][0]", "Rogue"),
        (Point(1, Frozen(2, {"k": Rogue()})), "$.y.y.k", "Rogue"),
        (Pair(1, Rogue()), "$.right", "Rogue"),
        (Open(name="a", more=[Rogue()]), "$.more[0]", "Rogue"),
        ({"s": {len, Rogue}, "k": {Rogue(): 1}}, "$.k{key Rogue}", "Rogue"),
        ([{"a": "\ud800"}], "$[0].a", "str"),
        ({"\ud800": 1}, "${key '\\ud800'}", "str"),
        ("\udfff", "$", "str"),
        ([memoryview(b"x")], "$[0]", "memoryview"),
        ((memoryview(b"x"),), "$[0]", "memoryview"),
        (threading.Lock(), "$", "lock"),
        (bytes(2**32), "$", "bytes"),
        ([np.broadcast_to(np.float64(0), (2**30,))], "$[0]", "ndarray"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isascii() else None,
)
def test_names_the_type_and_the_path_of_the_offender(value: object, path: str, type_name: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        encode(value)
    assert caught.value.path == path
    assert type_name in str(caught.value)
    assert path in str(caught.value)


def nested(wrap: typing.Callable[[typing.Any], typing.Any], levels: int) -> typing.Any:
    value: typing.Any = 1
    for _ in range(levels):
        value = wrap(value)
    return value


WRAPS: dict[str, typing.Callable[[typing.Any], typing.Any]] = {
    "list": lambda value: [value],
    "dict": lambda value: {"a": value},
    "tuple": lambda value: (value,),
    "dataclass": lambda value: Point(1, value),
    "mixed": lambda value: [{"a": (value,)}],
    "bytearray": lambda value: [bytearray(b"x"), value],
}


@pytest.mark.parametrize("name", WRAPS)
def test_depth(name: str) -> None:
    allowed = {"list": 500, "dict": 500, "bytearray": 200}.get(name, 100)
    value = nested(WRAPS[name], allowed)
    back = decode(encode(value, allow_pickle=False), allow_pickle=False)
    for _ in range(allowed):
        assert type(back) is type(value)
        step = {list: lambda it: it[-1], tuple: lambda it: it[0], dict: lambda it: it["a"], Point: lambda it: it.y}
        value, back = step[type(value)](value), step[type(back)](back)
    with pytest.raises(InvalidValue, match="inside one another") as caught:
        encode(nested(WRAPS[name], 10_000))
    assert caught.value.path is not None
    assert len(caught.value.path) < 300


def test_depth_is_judged_by_the_whole_value() -> None:
    """Objects and plain containers in turns: each kind alone would pass."""
    value: object = 1
    for _ in range(6):
        value = (nested(WRAPS["list"], 90),) if value == 1 else ([value, nested(WRAPS["dict"], 90)],)
    decode(encode(value))
    for _ in range(6):
        value = (nested(lambda inner: [inner], 1), [[[value]]])
        for _ in range(90):
            value = [value]
    with pytest.raises(InvalidValue, match="500 containers"):
        encode(value)


def test_shared_parts_are_not_walked_again_and_again() -> None:
    value: object = [1]
    for _ in range(12):
        value = (value, value)
    assert decode(encode(value)) == value


def test_what_contains_itself() -> None:
    in_list: list[object] = []
    in_list.append(in_list)
    in_dict: dict[str, object] = {"a": {}}
    in_dict["a"] = {"b": [in_dict]}
    in_point = Point(1)
    in_point.y = ({"p": in_point},)
    for value, path in ((in_list, "$[0]"), (in_dict, "$.a.b[0]"), (in_point, "$.y[0].p")):
        with pytest.raises(InvalidValue, match="contains itself") as caught:
            encode(value)
        assert caught.value.path == path


def test_too_little_stack_left_is_an_invalid_value_too() -> None:
    data = encode(nested(WRAPS["tuple"], 90))

    def dive(levels: int, act: typing.Callable[[], object]) -> None:
        if levels:
            dive(levels - 1, act)
        else:
            act()

    room = sys.getrecursionlimit() - len(typing.cast("list[object]", _frames())) - 60
    for act in (lambda: encode(nested(WRAPS["tuple"], 90)), lambda: decode(data)):
        with pytest.raises(InvalidValue):
            dive(room, act)


def _frames() -> list[object]:
    frame, frames = sys._getframe(), []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back  # type: ignore[assignment]
    return frames


# --- bytes that are no value -----------------------------------------------------------------------------------------


def ext(code: int, payload: bytes) -> bytes:
    return b"\xc9" + len(payload).to_bytes(4, "big") + bytes((code & 0xFF,)) + payload


def array(
    *,
    dtype: bytes = b"<f8",
    shape: typing.Sequence[int] = (2,),
    data: bytes = bytes(16),
    order: bytes = b"C",
    ndim: int | None = None,
    length: int | None = None,
    offset: int | None = None,
) -> bytes:
    head = order + bytes((len(shape) if ndim is None else ndim,))
    head += (len(dtype) if length is None else length).to_bytes(2, "little")
    start = -(-(12 + 8 * len(shape) + len(dtype)) // 64) * 64
    head += (start if offset is None else offset).to_bytes(2, "little")
    head += b"".join(size.to_bytes(8, "little") for size in shape) + dtype
    return ext(1, head.ljust(start - 6, b"\0") + data)


def named(path: str, rest: bytes) -> bytes:
    return b"\x92" + encode(path) + rest


HERE = __name__

HOSTILE = {
    "empty": b"",
    "never used": b"\xc1",
    "trailing garbage": b"\xc0\xc0",
    "trailing garbage inside": ext(3, b"\x90\x90"),
    "truncated str": b"\xa5abc",
    "truncated float": b"\xcb\0\0",
    "truncated list": b"\x93\x01\x02",
    "truncated ext": b"\xc7\x05\x03\x90",
    "huge list": b"\xdd\xff\xff\xff\xff",
    "huge lists in lists": b"\xdd\xff\xff\xff\xff" * 1000,
    "huge map": b"\xdf\xff\xff\xff\xff",
    "huge str": b"\xdb\xff\xff\xff\xff",
    "huge bytes": b"\xc6\xff\xff\xff\xff",
    "huge ext": b"\xc9\xff\xff\xff\xff\x01",
    "deep list": b"\x91" * 100_000 + b"\xc0",
    "deep map": b"\x81\xc0" * 100_000 + b"\xc0",
    "deep map keys": b"\x81" * 100_000,
    "invalid UTF-8": b"\xa2\xff\xfe",
    "surrogate in UTF-8": b"\xa3\xed\xa0\x80",
    "unhashable key": b"\x81\x80\x01",
    "unhashable element": ext(4, b"\x91\x80"),
    "unknown code": ext(99, b""),
    "negative code": ext(-5, b"x"),
    "timestamp of 3 bytes": ext(-1, b"abc"),
    "timestamp out of range": ext(-1, b"\0\0\0\0\x7f" + b"\xff" * 7),
    "tuple of no list": ext(3, b"\x80"),
    "complex of 15 bytes": ext(6, bytes(15)),
    "datetime of nonsense": ext(8, b"yesterday"),
    "datetime of no UTF-8": ext(8, b"\xff"),
    "datetime with a bad tag": ext(8, b"2024-05-01T12:00:00[Europe/Berlin"),
    "datetime in no zone": ext(8, b"2024-05-01T12:00:00[Nowhere/Land]"),
    "datetime in a file": ext(8, b"2024-05-01T12:00:00[../../../../etc/passwd]"),
    "datetime in an absolute file": ext(8, b"2024-05-01T12:00:00[/etc/passwd]"),
    "named offset without offset": ext(8, b"2024-05-01T12:00:00[_name=41]"),
    "name of no hex": ext(8, b"2024-05-01T12:00:00+01:00[_name=zz]"),
    "date of nonsense": ext(9, b"2024-13-01"),
    "time of nonsense": ext(10, b"25:00"),
    "timedelta of two": ext(11, b"\x92\x01\x02"),
    "timedelta of text": ext(11, b"\x93\xa1a\x01\x02"),
    "timedelta too long": ext(11, b"\x93" + b"\xcf" + b"\x7f" * 8 + b"\0\0"),
    "decimal of nonsense": ext(12, b"1.2.3"),
    "uuid of 15 bytes": ext(13, bytes(15)),
    "path of no flavour": ext(14, b""),
    "path of unknown flavour": ext(14, b"Xabc"),
    "path with NUL flavour": ext(14, b"\0abc"),
    "enum of no class": ext(15, named("os:path", b"\xa1A")),
    "enum of no enum": ext(15, named(f"{HERE}:Point", b"\xa1A")),
    "enum of no member": ext(15, named(f"{HERE}:Colour", b"\xa4BLUE")),
    "enum by value": ext(15, named(f"{HERE}:Colour", b"\x01")),
    "enum of a function": ext(15, named("os:system", b"\xa1A")),
    "enum through an instance": ext(15, named("sys:modules.os.system", b"\xa1A")),
    "class path of a number": ext(15, b"\x92\x01\xa1A"),
    "class path of nothing": ext(15, named("", b"\xa1A")),
    "dataclass of no dataclass": ext(16, named("subprocess:Popen", b"\x81\xa4args\xa2ls")),
    "dataclass of an enum": ext(16, named(f"{HERE}:Colour", b"\x80")),
    "dataclass without state": ext(16, named(f"{HERE}:Point", b"\xc0")),
    "dataclass of one part": ext(16, b"\x91" + encode(f"{HERE}:Point")),
    "dataclass with an unknown slot": ext(16, named(f"{HERE}:Frozen", b"\x81\xa1q\x01")),
    "named tuple of no named tuple": ext(17, named("builtins:tuple", b"\x80")),
    "named tuple with other fields": ext(17, named(f"{HERE}:Pair", b"\x81\xa4left\x01")),
    "model of no model": ext(18, b"\x95" + encode(f"{HERE}:Point") + b"\x80\xc0\xc0\xc0"),
    "model with state of another kind": ext(18, b"\x95" + encode(f"{HERE}:Open") + b"\x01\xc0\xc0\xc0"),
    "scalar of nothing": ext(19, b""),
    "scalar of objects": ext(19, b"\x02\0|O" + bytes(8)),
    "scalar too short": ext(19, b"\x03\0<f8" + bytes(7)),
    "scalar of text": ext(19, b"\x01\0U\xff"),
    "ref of nothing": ext(20, b""),
    "ref of no list": ext(20, encode("a")),
    "ref of four": ext(20, encode(["a", "n", 1, None])),
    "ref of six": ext(20, encode(["a", "n", 1, None, "sensory", 1])),
    "ref of a malformed path": ext(20, encode(["a..b", "n", 1, None, "sensory"])),
    "ref of no version": ext(20, encode(["a", "n", None, None, "sensory"])),
    "ref of a pickle": ext(20, b"\x95" + ext(127, b"\x80\x05N.") + b"\xa1n\x01\xc0\xa7sensory"),
    "pickle": ext(127, b"\x80\x05N."),
    "array of nothing": ext(1, b""),
    "array with a short head": ext(1, b"C\x01\x03\0\x40\0"),
    "array of unknown order": array(order=b"A"),
    "array too short": array(data=bytes(15)),
    "array too long": array(data=bytes(17)),
    "array with an overflowing shape": array(shape=(2**32, 2**32)),
    "array with a wrapping shape": array(shape=(2**63, 2**62, 8), data=b""),
    "array of no bytes with a giant shape": array(shape=(0, 2**63), data=b""),
    "array of no characters with a giant shape": array(dtype=b"<U0", shape=(2**64 - 1,), data=b""),
    "array of too many dimensions": array(shape=(1,) * 200, data=bytes(8)),
    "array with more dimensions than it says": array(ndim=255),
    "array with a description beyond its head": array(length=65535),
    "array whose data starts nowhere": array(offset=65472),
    "array whose data starts in its head": array(offset=0),
    "array whose data is not aligned": array(offset=63),
    "array of objects": array(dtype=b"|O"),
    "array of objects in a structure": array(dtype=b"[('a', '|O')]"),
    "array of objects by name": array(dtype=b"object"),
    "array of subarrays": array(dtype=b"('<f8', (2,))"),
    "array of variable text": array(dtype=b"|T16"),
    "dtype of several": array(dtype=b"<f4,<f4"),
    "dtype of nonsense": array(dtype=b"<zz"),
    "dtype of nothing": array(dtype=b""),
    "dtype of no ASCII": array(dtype=b"<f\xff"),
    "dtype of code": array(dtype=b"__import__('os').system('true')"),
    "dtype of many brackets": array(dtype=b"[" * 30_000),
    "dtype of many signs": array(dtype=b"[" + b"-" * 30_000 + b"1]"),
    "dtype of a dict": array(dtype=b"{'names': ['a'], 'formats': ['O']}"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_bytes_that_are_no_value(name: str) -> None:
    data = HOSTILE[name]
    for whole in (data, b"\x91" + data, b"\x81\xa1k" + data, ext(3, b"\x91" + data)):
        with pytest.raises(InvalidValue, match="cannot read"):
            decode(whole, allow_pickle=False)
    assert isinstance(kind(data[:16]), str)


def test_deep_objects_take_little_stack() -> None:
    """As deep as the limits allow, in turns: on the small stack of a thread."""
    data = b"\xc0"
    for _ in range(100):
        data = ext(3, b"\x91" * 1000 + data)
    script = """
import sys, threading
from shoal.codec import decode, has_pickle
from shoal.errors import InvalidValue
data = sys.stdin.buffer.read()
results = []
def read():
    for act in (decode, has_pickle, lambda data: decode(data, False)):
        try:
            act(data)
            results.append("read")
        except InvalidValue:
            results.append("refused")
threading.stack_size(2 << 20)
thread = threading.Thread(target=read)
thread.start()
thread.join()
print(len(results))
"""
    for whole in (data, ext(3, b"\x91" + data)):
        done = subprocess.run([sys.executable, "-c", script], input=whole, capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (0, b"3\n"), done.stderr


def test_damaged_bytes_never_do_worse_than_raise() -> None:
    values = [
        {"a": [1, (2, {3}), datetime(2024, 1, 1, tzinfo=UTC)], "b": b"x" * 20, (1, None): 2.5},
        np.zeros((2, 3)),
        {"s": np.zeros(2, dtype=[("a", "i4"), ("b", "f8", (2,))]), "t": np.float32(3)},
        [Point(1, Frozen(2)), Pair(1), Open(name="a", b=1), Colour.RED, 1 << 80],
    ]
    good = [encode(value) for value in values]
    chance = random.Random(1)
    for _ in range(20_000):
        data = bytearray(chance.choice(good))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data) + 1)
            how = chance.random()
            if how < 0.6:
                data[at : at + 1] = bytes((chance.randrange(256),))
            elif how < 0.8:
                del data[at:]
            else:
                data[at:at] = chance.randbytes(chance.randint(1, 8))
        for act in (
            lambda data=bytes(data): decode(data, allow_pickle=False),
            lambda data=bytes(data): has_pickle(data),
        ):
            try:
                act()
            except InvalidValue:
                continue


def test_refusing_a_pickle_loads_nothing_of_it() -> None:
    loaded = len(LOADED)
    data = encode({"a": (Traitor(),)})
    assert has_pickle(data)
    with pytest.raises(InvalidValue, match="allow_pickle"):
        decode(data, allow_pickle=False)
    assert len(LOADED) == loaded
    decode(data)
    assert len(LOADED) == loaded + 1


LOADED: list[int] = []


def load() -> None:
    LOADED.append(1)


class Traitor:
    def __reduce__(self) -> typing.Any:
        return load, ()


def test_a_broken_pickle() -> None:
    for payload in (b"", b"garbage", b"\x80\x05cnowhere\nnothing\n."):
        with pytest.raises(InvalidValue):
            decode(ext(127, payload))


def test_errors_can_be_sent_to_other_processes() -> None:
    import pickle

    with pytest.raises(InvalidValue) as caught:
        encode({"a": collections.deque()}, allow_pickle=False)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.path, str(again)) == ("$.a", str(caught.value))
