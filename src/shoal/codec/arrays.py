"""numpy arrays and scalars. numpy itself is imported when the first of them appears.

The payload of an array is laid out so that in a top-level value, which has the six-byte header of an ext 32 object,
the data starts at a multiple of 64 bytes: the offsets in it count from that header. In a container the header may be
shorter; the payload is the same.
"""

from __future__ import annotations

import sys
from math import prod
from struct import Struct
from typing import TYPE_CHECKING, Any

from ..errors import InvalidValue
from .extensions import ARRAY, DECODERS, SCALAR, WHOLE, Encoded, Encoder, check_size, encode_pickle, header

if TYPE_CHECKING:
    from .containers import Reader, Writer

__all__ = ["dtype_of", "encode_array", "encode_whole", "encoder_of"]

_ALIGNMENT = 64
_HEADER = 6  # bytes of the header of an ext 32 object
_FIXED = Struct("<BBHH")  # order, ndim, length of the dtype's description, offset of the data
_MAX_OFFSET = 0xFFFF // _ALIGNMENT * _ALIGNMENT
_MAX_REMEMBERED = 1024
_SIMPLE = frozenset("<>|")


class _Indescribable(InvalidValue):
    """A dtype whose description does not say all of it: a pickle may."""


_descriptions: dict[Any, bytes] = {}
_dtypes: dict[bytes, Any] = {}


def _remember(cache: dict[Any, Any], key: Any, value: Any) -> None:
    if len(cache) >= _MAX_REMEMBERED:
        cache.clear()
    cache[key] = value


def _describe(dtype: Any) -> bytes:
    """The ASCII description of a dtype, from which `dtype_of` makes an equal one."""
    if dtype.hasobject:
        raise InvalidValue(f"its dtype {dtype} holds Python objects; store array.tolist()")
    if dtype.names is None:
        known = _descriptions.get(dtype)
        if known is not None:
            return known
        text = dtype.str
    else:
        from numpy import void
        from numpy.lib import format as npy

        if dtype.type is not void:
            raise _Indescribable(f"its dtype {dtype} makes elements of {dtype.type}")
        try:
            text = ascii(npy.dtype_to_descr(dtype))
        except Exception as error:
            raise _Indescribable(f"its dtype {dtype} cannot be described: {error}") from error
    description: bytes = text.encode("ascii")
    try:
        same = dtype_of(description) == dtype
    except InvalidValue:
        same = False
    if not same:
        raise _Indescribable(f"its dtype {dtype} is more than its description {text} says")
    if dtype.names is None:
        _remember(_descriptions, dtype, description)
    return description


def dtype_of(description: bytes) -> Any:
    """The dtype of a description. It comes from who knows where: nothing of it is evaluated, and no object dtype passes."""
    known = _dtypes.get(description)
    if known is not None:
        return known
    import numpy as np

    try:
        text = description.decode("ascii")
        if text[:1] in _SIMPLE and "," not in text:
            dtype = np.dtype(text)
        else:
            from ast import literal_eval

            from numpy.lib import format as npy

            dtype = npy.descr_to_dtype(literal_eval(text))
    except Exception as error:
        raise InvalidValue(f"malformed dtype {description[:60]!r}: {error}") from error
    if dtype.hasobject or dtype.subdtype is not None:
        raise InvalidValue(f"no array has the dtype {description[:60]!r}")
    _remember(_dtypes, description, dtype)
    return dtype


def _parts(array: Any) -> tuple[bytes, Any]:
    """The payload of an array: its head, and its data as a contiguous buffer."""
    import numpy as np

    description = _describe(array.dtype)
    shape = array.shape
    flags = array.flags
    order = b"F" if flags.f_contiguous and not flags.c_contiguous else b"C"
    start = 12 + 8 * len(shape) + len(description)
    offset = -(-start // _ALIGNMENT) * _ALIGNMENT
    if offset > _MAX_OFFSET:
        raise InvalidValue(f"the description of its dtype has {len(description)} bytes, too many")
    check_size(offset - _HEADER + array.nbytes)
    head = b"".join(
        (
            _FIXED.pack(order[0], len(shape), len(description), offset),
            *(size.to_bytes(8, "little") for size in shape),
            description,
            bytes(offset - start),
        )
    )
    if not array.nbytes:
        return head, b""
    flat = array.T.reshape(-1) if order == b"F" else np.ascontiguousarray(array).reshape(-1)
    return head, flat.view(np.uint8)


def encode_array(value: Any, writer: Writer) -> Encoded:
    """The payload of an array inside another value."""
    try:
        return ARRAY, b"".join(_parts(value))
    except _Indescribable:
        return encode_pickle(value, writer)


def encode_whole(value: Any, writer: Writer) -> bytes:
    """The bytes of an array that is the whole value: always with the long header, so that the data is aligned."""
    try:
        head, data = _parts(value)
    except _Indescribable:
        code, payload = encode_pickle(value, writer)
        return header(code, len(payload)) + payload
    size = len(head) + len(data)
    return b"".join((b"\xc9", size.to_bytes(4, "big"), bytes((ARRAY,)), head, data))


def _decode_array(payload: Any, _reader: Reader) -> Any:
    import numpy as np

    order, ndim, length, offset = _FIXED.unpack_from(payload)
    start = _FIXED.size + 8 * ndim
    if (
        order not in b"CF"
        or offset % _ALIGNMENT
        or start + length > offset - _HEADER
        or offset - _HEADER > len(payload)
    ):
        raise InvalidValue("malformed array header")
    shape = tuple(int.from_bytes(payload[at : at + 8], "little") for at in range(_FIXED.size, start, 8))
    dtype = dtype_of(bytes(payload[start : start + length]))
    size = prod(shape) * dtype.itemsize
    if size != len(payload) - (offset - _HEADER):
        raise InvalidValue(f"an array of shape {shape} and dtype {dtype} takes {size} bytes, not those it has")
    # Not np.empty, which makes one character out of none: the dtype "<U0" of a hostile shape would fill the memory.
    array: Any = np.ndarray(shape, dtype, order="F" if order == 70 else "C")
    if size:
        flat = (array if order != 70 else array.T).reshape(-1).view(np.uint8)
        flat[:] = np.frombuffer(payload, np.uint8, offset=offset - _HEADER)
    return array


# --- scalars ---------------------------------------------------------------------------------------------------------

_LENGTH = Struct("<H")


def _encode_scalar(value: Any, writer: Writer) -> Encoded:
    import numpy as np

    kind = type(value)
    if kind is np.str_:  # numpy pads text with NULs and drops them again: as it is, then, not as an element
        description, data = b"U", value.encode()
    elif kind is np.bytes_:
        description, data = b"S", bytes(value)
    else:
        try:
            description, data = _describe(value.dtype), value.tobytes()
        except _Indescribable:
            return encode_pickle(value, writer)
    check_size(2 + len(description) + len(data))
    return SCALAR, b"%b%b%b" % (_LENGTH.pack(len(description)), description, data)


def _decode_scalar(payload: Any, _reader: Reader) -> Any:
    import numpy as np

    (length,) = _LENGTH.unpack_from(payload)
    description, data = bytes(payload[2 : 2 + length]), bytes(payload[2 + length :])
    if description == b"U":
        return np.str_(data.decode())
    if description == b"S":
        return np.bytes_(data)
    dtype = dtype_of(description)
    if len(data) != dtype.itemsize:
        raise InvalidValue(f"a scalar of dtype {dtype} takes {dtype.itemsize} bytes, not {len(data)}")
    return np.ndarray((), dtype, bytearray(data) or bytearray(1))[()]


def encoder_of(kind: type) -> Encoder | None:
    """The encoder of numpy's own types, None for any other."""
    np = sys.modules.get("numpy")
    if np is None:
        return None
    if kind is getattr(np, "ndarray", None):
        WHOLE[kind] = encode_whole
        return encode_array
    if kind.__module__ == "numpy" and issubclass(kind, np.generic) and kind is not np.record:
        return _encode_scalar
    return None


DECODERS[ARRAY] = _decode_array
DECODERS[SCALAR] = _decode_scalar
