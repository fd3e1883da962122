"""Python values and the bytes that stand for them in a store.

Each value is one MessagePack object, so any language can read it; what MessagePack lacks is an extension object of a
documented code (docs/format.md). A value comes back as the same type and equal to what it was; what is not stored is
identity: two references to one list come back as two lists.

`encode` reads a value as it is. That no other thread changes it meanwhile is up to the caller, as with pickle.
"""

from __future__ import annotations

from typing import Any, NoReturn

from ..errors import InvalidValue
from .containers import MAX_OBJECT_DEPTH, Reader, TooDeep, Writer
from .extensions import ENCODERS, HOLDERS, NAMES, PICKLE, WHOLE, header, learn

__all__ = ["decode", "encode", "has_pickle", "kind"]

# Each by allow_pickle. A value with more objects inside one another than the quick writer takes has its depth measured
# before the deep one gets it: together with plain containers, each level might take hundreds of kilobytes of C stack.
_QUICK_DEPTH = 4
_WRITERS = (Writer(False, _QUICK_DEPTH), Writer(True, _QUICK_DEPTH))
_DEEP_WRITERS = (Writer(False, MAX_OBJECT_DEPTH), Writer(True, MAX_OBJECT_DEPTH))
_READERS = (Reader(False), Reader(True))
_DEEP_READERS = (Reader(False, fast=False), Reader(True, fast=False))  # msgspec nests the C stack, msgpack does not

_PLAIN = frozenset({type(None), bool, int, float, str, bytes, dict, list})


def encode(value: Any, allow_pickle: bool = True) -> bytes:
    """The bytes that stand for `value`: one MessagePack object.

    Args:
        value: Any Python value; docs/format.md lists the types that need no pickle.
        allow_pickle: Whether anything else may be pickled.

    Raises:
        InvalidValue: It cannot be stored. `path` leads to the offending element, as in ``$.users[3].photo``.
    """
    writer = _WRITERS[1 if allow_pickle else 0]
    try:
        if type(value) in _PLAIN:
            return writer.pack(value)
        return _encode_object(value, writer)
    except MemoryError:
        raise
    except TooDeep:
        pass
    except Exception as error:  # noqa: BLE001 - user code runs in here: properties, __reduce__
        _refuse(value, writer, error)
    from .paths import find

    writer = _DEEP_WRITERS[1 if allow_pickle else 0]
    found = find(value)
    if found is not None:
        raise _invalid(*found)
    try:
        return writer.pack(value) if type(value) in _PLAIN else _encode_object(value, writer)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - as above
        _refuse(value, writer, error)


def _encode_object(value: Any, writer: Writer) -> bytes:
    cls = type(value)
    encoder = ENCODERS.get(cls) or learn(cls)
    whole = WHOLE.get(cls)
    if whole is not None:
        return whole(value, writer)
    code, payload = encoder(value, writer)
    return header(code, len(payload)) + payload


def _refuse(value: Any, writer: Writer, error: Exception) -> NoReturn:
    """Raise the InvalidValue that says where and why."""
    from .paths import find

    def probe(item: Any) -> None:
        if type(item) in _PLAIN:
            writer.pack(item)
        else:
            _encode_object(item, writer)

    try:
        found = find(value, probe)
    except Exception:  # noqa: BLE001 - it may be changing under our eyes
        found = None
    raise _invalid(*(found or ("$", value, str(error) or type(error).__name__))) from error


def _invalid(path: str, value: Any, reason: str) -> InvalidValue:
    cls = type(value)
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    return InvalidValue(f"cannot store the {name} at {path}: {reason}", path=path)


def decode(data: bytes, allow_pickle: bool = True) -> Any:
    """The value that `data` stands for.

    Args:
        data: What `encode` gave, or any other MessagePack object.
        allow_pickle: Whether to load pickles and import the modules of classes: only where every writer is trusted.
            Without it, nothing in `data` can make this process run code or import a module.

    Raises:
        InvalidValue: `data` is not such an object, or holds what may not or cannot be restored here.
    """
    try:
        return _READERS[1 if allow_pickle else 0].parse(data)
    except MemoryError:
        raise
    except RecursionError:
        pass
    except Exception as error:
        raise _unreadable(error) from error
    try:
        return _DEEP_READERS[1 if allow_pickle else 0].parse(data)
    except MemoryError:
        raise
    except Exception as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> InvalidValue:
    reason = str(error) or type(error).__name__
    if not isinstance(error, InvalidValue):
        reason = f"malformed or damaged: {reason}"
    return InvalidValue(f"cannot read the stored value: {reason}")


class _PickleFound(Exception):
    pass


def _report_pickle(_payload: Any, _reader: Reader) -> Any:
    raise _PickleFound


def _look_inside(payload: Any, reader: Reader) -> None:
    reader.inner().parse(payload)


def _look_away(_payload: Any, _reader: Reader) -> None:
    return None


_SCANNER = Reader(
    False,
    {code: _look_inside if code in HOLDERS else _look_away for code in range(-128, 127)} | {PICKLE: _report_pickle},
    fast=False,
)


def has_pickle(data: bytes) -> bool:
    """Whether a pickle lies anywhere in an encoded value. Nothing is decoded for it.

    Raises:
        InvalidValue: `data` is not one MessagePack object.
    """
    if PICKLE not in data:  # no byte of that number at all
        return False
    try:
        _SCANNER.parse(data)
    except _PickleFound:
        return True
    except MemoryError:
        raise
    except Exception as error:
        raise _unreadable(error) from error
    return False


_KINDS = (
    *["int"] * 0x80,
    *["dict"] * 0x10,
    *["list"] * 0x10,
    *["str"] * 0x20,
    *["none", "unknown", "bool", "bool", "bytes", "bytes", "bytes", "ext", "ext", "ext", "float", "float"],
    *["int"] * 8,
    *["ext"] * 5,
    *["str", "str", "str", "list", "list", "dict", "dict"],
    *["int"] * 0x20,
)
_CODE_AT = {0xC7: 2, 0xC8: 3, 0xC9: 5}  # where the code of an ext 8, 16 and 32 lies; a fixext has it in byte 1


def kind(prefix: bytes) -> str:
    """The name of an encoded value's type, from its first bytes; six are enough.

    "none", "bool", "int", "float", "str", "bytes", "list", "dict", "array", "tuple", "datetime", ... "pickle";
    "ext" for an extension type of another program, "unknown" for what is no MessagePack.
    """
    if not prefix:
        return "unknown"
    name = _KINDS[prefix[0]]
    if name != "ext":
        return name
    at = _CODE_AT.get(prefix[0], 1)
    if len(prefix) <= at:
        return "unknown"
    code = prefix[at]
    return NAMES.get(code - 256 if code > 127 else code, "ext")
