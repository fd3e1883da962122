"""The extension types: what each Python type that MessagePack lacks is written as, and read from.

An encoder takes a value and the `Writer` of its level and returns the extension code and the payload; a decoder takes
the payload (bytes or a memoryview that lives no longer than the call) and the `Reader`. docs/format.md specifies every
payload; codes and payloads never change their meaning.

Only builtin types are known from the start. The others come to `learn` with their first value, so that importing the
codec imports neither decimal nor uuid nor numpy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from struct import Struct
from typing import TYPE_CHECKING, Any

from ..errors import InvalidValue

if TYPE_CHECKING:
    from .containers import Reader, Writer

__all__ = [
    "DECODERS",
    "ENCODERS",
    "HOLDERS",
    "NAMES",
    "WHOLE",
    "Decoder",
    "Encoded",
    "Encoder",
    "check_size",
    "encode_pickle",
    "header",
    "known",
    "learn",
    "learn_code",
]

TIMESTAMP = -1
ARRAY = 1
BIG_INT = 2
TUPLE = 3
SET = 4
FROZENSET = 5
COMPLEX = 6
BYTEARRAY = 7
DATETIME = 8
DATE = 9
TIME = 10
TIMEDELTA = 11
DECIMAL = 12
UUID = 13
PATH = 14
ENUM = 15
DATACLASS = 16
NAMEDTUPLE = 17
MODEL = 18
SCALAR = 19
REF = 20
PICKLE = 127

NAMES = {
    TIMESTAMP: "datetime",
    ARRAY: "array",
    BIG_INT: "int",
    TUPLE: "tuple",
    SET: "set",
    FROZENSET: "frozenset",
    COMPLEX: "complex",
    BYTEARRAY: "bytearray",
    DATETIME: "datetime",
    DATE: "date",
    TIME: "time",
    TIMEDELTA: "timedelta",
    DECIMAL: "decimal",
    UUID: "uuid",
    PATH: "path",
    ENUM: "enum",
    DATACLASS: "dataclass",
    NAMEDTUPLE: "namedtuple",
    MODEL: "model",
    SCALAR: "scalar",
    REF: "ref",
    PICKLE: "pickle",
}
"""What `shoal.codec.kind` calls the value of each extension code."""

HOLDERS = frozenset({TUPLE, SET, FROZENSET, TIMEDELTA, ENUM, DATACLASS, NAMEDTUPLE, MODEL, REF})
"""The codes whose payload is itself a MessagePack object."""

Encoded = tuple[int, bytes]
Encoder = Callable[[Any, "Writer"], Encoded]
Decoder = Callable[[Any, "Reader"], Any]

_MAX_PAYLOAD = 0xFFFFFFFF - 6  # with the longest header the value is still within MAX_SIZE
_MAX_LEARNED = 4096  # classes may come and go without end; their encoders must not
_FIXED_HEADERS = {1: 0xD4, 2: 0xD5, 4: 0xD6, 8: 0xD7, 16: 0xD8}


def header(code: int, size: int) -> bytes:
    """The shortest MessagePack header of an extension object with a payload of `size` bytes."""
    code &= 0xFF
    if fixed := _FIXED_HEADERS.get(size):
        return bytes((fixed, code))
    if size <= 0xFF:
        return bytes((0xC7, size, code))
    if size <= 0xFFFF:
        return b"\xc8%b%c" % (size.to_bytes(2, "big"), code)
    return b"\xc9%b%c" % (size.to_bytes(4, "big"), code)


def check_size(size: int) -> None:
    """Refuse a payload that no extension object can hold."""
    if size > _MAX_PAYLOAD:
        raise InvalidValue(f"it takes {size} bytes, more than the {_MAX_PAYLOAD} that one object may have")


def _text(payload: Any) -> str:
    return str(payload, "utf-8")


def _items(payload: Any, reader: Reader) -> list[Any]:
    items = reader.inner().parse(payload)
    if type(items) is not list:
        raise InvalidValue("the payload is not a MessagePack array")
    return items


# --- builtin types ---------------------------------------------------------------------------------------------------


def _encode_big_int(value: int, _writer: Writer) -> Encoded:
    size = value.bit_length() // 8 + 1
    check_size(size)
    return BIG_INT, value.to_bytes(size, "big", signed=True)


def _decode_big_int(payload: Any, _reader: Reader) -> int:
    return int.from_bytes(payload, "big", signed=True)


def _encode_tuple(value: tuple[Any, ...], writer: Writer) -> Encoded:
    return TUPLE, writer.inner().pack(list(value))


def _decode_tuple(payload: Any, reader: Reader) -> tuple[Any, ...]:
    return tuple(_items(payload, reader))


def _encode_set(value: set[Any], writer: Writer) -> Encoded:
    return SET, writer.inner().pack(list(value))


def _decode_set(payload: Any, reader: Reader) -> set[Any]:
    return set(_items(payload, reader))


def _encode_frozenset(value: frozenset[Any], writer: Writer) -> Encoded:
    return FROZENSET, writer.inner().pack(list(value))


def _decode_frozenset(payload: Any, reader: Reader) -> frozenset[Any]:
    return frozenset(_items(payload, reader))


_COMPLEX = Struct(">dd")


def _encode_complex(value: complex, _writer: Writer) -> Encoded:
    return COMPLEX, _COMPLEX.pack(value.real, value.imag)


def _decode_complex(payload: Any, _reader: Reader) -> complex:
    return complex(*_COMPLEX.unpack(payload))


def _encode_bytearray(value: bytearray, _writer: Writer) -> Encoded:
    check_size(len(value))
    return BYTEARRAY, bytes(value)


def _decode_bytearray(payload: Any, _reader: Reader) -> bytearray:
    return bytearray(payload)


# --- dates and times: RFC 9557 text, except that the instant in UTC is MessagePack's own timestamp -------------------

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_TIMESTAMP_64 = Struct(">Q")
_TIMESTAMP_96 = Struct(">Iq")


def _encode_datetime(value: datetime, writer: Writer) -> Encoded:
    if value.tzinfo is UTC and not value.fold:
        since = value - _EPOCH
        seconds, nanoseconds = since.days * 86400 + since.seconds, since.microseconds * 1000
        if seconds >> 34:
            return TIMESTAMP, _TIMESTAMP_96.pack(nanoseconds, seconds)
        if nanoseconds or seconds >> 32:
            return TIMESTAMP, _TIMESTAMP_64.pack(nanoseconds << 34 | seconds)
        return TIMESTAMP, seconds.to_bytes(4, "big")
    zone = _zone_tags(value.tzinfo, value.fold)
    return encode_pickle(value, writer) if zone is None else (DATETIME, (value.isoformat() + zone).encode())


def _decode_datetime(payload: Any, _reader: Reader) -> datetime:
    text, _, tags = _text(payload).partition("[")
    value = datetime.fromisoformat(text)
    return _apply_tags(value, tags) if tags else value


def _encode_time(value: time, writer: Writer) -> Encoded:
    zone = _zone_tags(value.tzinfo, value.fold)
    return encode_pickle(value, writer) if zone is None else (TIME, (value.isoformat() + zone).encode())


def _decode_time(payload: Any, _reader: Reader) -> time:
    text, _, tags = _text(payload).partition("[")
    value = time.fromisoformat(text)
    return _apply_tags(value, tags) if tags else value


def _zone_tags(zone: Any, fold: int) -> str | None:
    """The tags that follow the ISO text and say what it cannot. None: there are no tags for such a zone."""
    tags = "[_fold=1]" if fold else ""
    if zone is None:
        return tags
    kind = type(zone)
    if kind is timezone:
        offset, *name = zone.__getinitargs__()
        if offset and abs(offset) < _SECOND:
            return None  # fromisoformat takes an offset of less than a second for UTC
        return f"[_name={name[0].encode().hex()}]{tags}" if name else tags
    module = sys.modules.get("zoneinfo")
    if module is not None and kind is module.ZoneInfo and zone.key:
        return f"[{zone.key}]{tags}"
    return None


def _apply_tags(value: Any, tags: str) -> Any:
    for tag in tags.split("["):
        if not tag.endswith("]"):
            raise InvalidValue(f"malformed tag after a time: [{tag}")
        name, _, argument = tag[:-1].partition("=")
        if name == "_fold" and argument == "1":
            value = value.replace(fold=1)
        elif name == "_name":
            value = value.replace(tzinfo=timezone(value.utcoffset(), bytes.fromhex(argument).decode()))
        else:
            from zoneinfo import ZoneInfo

            value = value.replace(tzinfo=ZoneInfo(tag[:-1]))
    return value


def _encode_date(value: date, _writer: Writer) -> Encoded:
    return DATE, value.isoformat().encode()


def _decode_date(payload: Any, _reader: Reader) -> date:
    return date.fromisoformat(_text(payload))


def _encode_timedelta(value: timedelta, writer: Writer) -> Encoded:
    return TIMEDELTA, writer.inner().pack([value.days, value.seconds, value.microseconds])


def _decode_timedelta(payload: Any, reader: Reader) -> timedelta:
    days, seconds, microseconds = _items(payload, reader)
    return timedelta(days, seconds, microseconds)


# --- types of the standard library -----------------------------------------------------------------------------------


def _encode_decimal(value: Any, _writer: Writer) -> Encoded:
    return DECIMAL, str(value).encode()


def _decode_decimal(payload: Any, _reader: Reader) -> Any:
    from decimal import Decimal

    return Decimal(_text(payload))


def _encode_uuid(value: Any, _writer: Writer) -> Encoded:
    return UUID, value.bytes


def _decode_uuid(payload: Any, _reader: Reader) -> Any:
    import uuid

    return uuid.UUID(bytes=bytes(payload))


_FLAVOURS = {"PosixPath": b"P", "PurePosixPath": b"p", "WindowsPath": b"W", "PureWindowsPath": b"w"}


def _encode_path(value: Any, _writer: Writer) -> Encoded:
    # A file name that is not UTF-8 reaches Python as lone surrogates; this gives its true bytes.
    return PATH, _FLAVOURS[type(value).__name__] + str(value).encode("utf-8", "surrogateescape")


def _decode_path(payload: Any, _reader: Reader) -> Any:
    import pathlib

    flavour, text = bytes(payload[:1]), str(payload[1:], "utf-8", "surrogateescape")
    for name, letter in _FLAVOURS.items():
        if letter == flavour:
            return getattr(pathlib, name)(text)
    raise InvalidValue(f"unknown path flavour {flavour!r}")


# --- Shoal's own ------------------------------------------------------------------------------------------------------


def _encode_ref(value: Any, writer: Writer) -> Encoded:
    # Through a list, for `of` to look at: anything can stand in the fields of a named tuple, and only here is it refused
    # where the writer sees it.
    return REF, writer.inner().pack(list(type(value).of(list(value))))


def _decode_ref(payload: Any, reader: Reader) -> Any:
    from ..memory.ref import MemoryRef

    path, namespace, version, expires, kind = _items(payload, reader)
    return MemoryRef.of((path, namespace, version, expires, kind))


# --- anything else ---------------------------------------------------------------------------------------------------


def encode_pickle(value: Any, writer: Writer) -> Encoded:
    """Any other object, where that is allowed."""
    if isinstance(value, memoryview):
        raise InvalidValue("a view of other memory has no value of its own; store bytes(view)")
    refusal = getattr(type(value), "_no_value", None)
    if type(refusal) is str:  # a handle, say: its class tells what to store instead
        raise InvalidValue(refusal)
    if not writer.allow_pickle:
        raise InvalidValue("only pickle can encode it, which is off here; allow_pickle=True turns it on")
    import pickle

    try:
        return PICKLE, pickle.dumps(value, 5)
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidValue(f"it cannot be pickled: {error}") from error


def _decode_pickle(payload: Any, reader: Reader) -> Any:
    if not reader.allow_pickle:
        raise InvalidValue(
            "it is a pickle, and pickle is off here; allow_pickle=True turns it on where you trust writers"
        )
    import pickle

    return pickle.loads(payload)


ENCODERS: dict[type, Encoder] = {
    int: _encode_big_int,  # msgpack writes those of 64 bits itself
    tuple: _encode_tuple,
    set: _encode_set,
    frozenset: _encode_frozenset,
    complex: _encode_complex,
    bytearray: _encode_bytearray,
    datetime: _encode_datetime,
    date: _encode_date,
    time: _encode_time,
    timedelta: _encode_timedelta,
}
"""The encoder of each exact type that has been met so far."""

DECODERS: dict[int, Decoder] = {
    BIG_INT: _decode_big_int,
    TUPLE: _decode_tuple,
    SET: _decode_set,
    FROZENSET: _decode_frozenset,
    COMPLEX: _decode_complex,
    BYTEARRAY: _decode_bytearray,
    DATETIME: _decode_datetime,
    DATE: _decode_date,
    TIME: _decode_time,
    TIMEDELTA: _decode_timedelta,
    DECIMAL: _decode_decimal,
    UUID: _decode_uuid,
    PATH: _decode_path,
    REF: _decode_ref,
    PICKLE: _decode_pickle,
}
"""The decoder of each extension code; arrays.py and objects.py add theirs when they are loaded."""

WHOLE: dict[type, Callable[[Any, Writer], bytes]] = {}
"""What encodes a value of a type that is written differently when it is the whole value: an array is, to be aligned."""

_KNOWN: dict[str, tuple[str, Encoder]] = {
    "Decimal": ("decimal", _encode_decimal),
    "UUID": ("uuid", _encode_uuid),
    **dict.fromkeys(_FLAVOURS, ("pathlib", _encode_path)),
    "MemoryRef": ("shoal.memory.ref", _encode_ref),
}
_learned: list[type] = []


def learn_code(code: int) -> Decoder:
    """Find the decoder of a code that is not in DECODERS yet."""
    from . import arrays, objects  # noqa: F401 - they add theirs

    decoder = DECODERS.get(code)
    if decoder is None:
        raise InvalidValue(f"extension code {code} is unknown to this version")
    return decoder


def known(kind: type) -> Encoder | None:
    """The encoder of a type that has a code to itself, other than the builtin ones."""
    if entry := _KNOWN.get(kind.__name__):
        module = sys.modules.get(entry[0])
        if getattr(module, kind.__name__, None) is kind:
            return entry[1]
    return None


def learn(kind: type) -> Encoder:
    """Find the encoder of a type that was not met before, and remember it."""
    from . import arrays, objects

    encoder = known(kind) or arrays.encoder_of(kind) or objects.encoder_of(kind) or encode_pickle
    if len(_learned) >= _MAX_LEARNED:
        while _learned:
            ENCODERS.pop(_learned.pop(), None)
    _learned.append(kind)
    ENCODERS[kind] = encoder
    return encoder
