"""Values that hold values: MessagePack through ``msgpack``, read through ``msgspec`` where that is installed.

A `Writer` encodes and a `Reader` decodes one *level*: everything between one extension object and those inside it.
What an extension object holds (the items of a tuple, the fields of a dataclass) belongs to the next level, which has
a Writer or Reader of its own. So a level knows how deep it lies without any per-call state, and the depth of a
hostile or self-containing value is bounded.

Why msgpack writes: msgspec packs a dict faster, but it turns tuples, sets, enums, dates and dataclasses into other
types without a word, so each value would have to be walked first, which costs more than it gains. Why msgspec reads:
it needs no such walk and takes half the time.
"""

from __future__ import annotations

import sys
from functools import partial
from math import hypot
from typing import TYPE_CHECKING, Any

from msgpack import ExtType, Packer, Timestamp, Unpacker, unpackb

from ..errors import InvalidValue
from .extensions import DECODERS, ENCODERS, Decoder, learn, learn_code

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["MAX_OBJECT_DEPTH", "MAX_SIZE", "Reader", "TooDeep", "Writer"]

MAX_SIZE = 0xFFFFFFFF
"""Bytes of one value: the most that a MessagePack length field can say."""

MAX_OBJECT_DEPTH = 100
"""Extension objects inside one another. Each takes some C stack while it is encoded or decoded."""

_KEEP_BUFFER = 1 << 20  # a packer whose buffer grew beyond this is let go, or it would hold the memory for good
_BUFFER = 1 << 14
_HEAP_DEPTH = 4  # from this level on, msgpack's 40 KiB of state per call live on the heap instead of the stack
_WARM_UP = 32  # importing msgspec takes as long as some ten thousand decodes: it must have a chance to pay off

# msgpack writes these types itself although they are none of the plain ones: a bytearray and a memoryview as bytes,
# its own two as whatever extension they name - a pickle, say. None may pass as it is.
_TRAPS = frozenset({bytearray, memoryview, ExtType, Timestamp})
_CONTAINERS = frozenset({dict, list})
_NOT_LEAVES = _TRAPS | _CONTAINERS

# The first bytes of all that a trap can turn into (bin, ext, fixext) map to 0, any other byte to itself. An output
# that this table leaves alone holds no trap; bytes.translate then returns the very object it was given.
_TRAP_BYTES = bytes(0 if 0xC4 <= byte <= 0xC9 or 0xD4 <= byte <= 0xD8 else byte for byte in range(256))


def _msgspec_serves() -> bool:
    """Whether msgspec is installed, in a version that hands out payloads of the right length (0.20 and later do)."""
    try:
        from msgspec.msgpack import Decoder as FastDecoder
    except ImportError:
        return False
    return bool(FastDecoder(ext_hook=lambda _code, payload: len(payload)).decode(b"\xd4\x01\x00") == 1)


class TooDeep(InvalidValue):
    """More extension objects inside one another than this writer or reader takes."""


def _holds_trap(value: Any) -> bool:
    """Whether a trap lies in the plain containers of `value`. What lies in other objects was encoded by other levels."""
    if type(value) in _TRAPS:
        return True
    todo = [value] if type(value) in _CONTAINERS else []
    for holder in todo:
        items = holder
        if type(holder) is dict:
            if not _TRAPS.isdisjoint(map(type, holder)):
                return True
            items = holder.values()
        elif items and type(items[0]) is float and _are_numbers(items):
            continue
        if _NOT_LEAVES.isdisjoint(map(type, items)):
            continue
        for item in items:
            if type(item) in _CONTAINERS:
                todo.append(item)
            elif type(item) in _TRAPS:
                return True
    return False


def _are_numbers(items: list[Any]) -> bool:
    """Whether all items convert to float, as no trap and no container does. Floats are full of bytes that look like traps."""
    try:
        hypot(*items)  # several times as fast as asking each item for its type
    except Exception:  # noqa: BLE001 - __float__ is user code
        return False
    return True


class Writer:
    """Encodes one level of a value.

    Args:
        allow_pickle: Whether objects that have no encoding of their own may be pickled.
        limit: How many levels of extension objects may lie below.
        depth: How many lie above.
    """

    __slots__ = ("_inner", "_packers", "allow_pickle", "depth", "limit")

    def __init__(self, allow_pickle: bool, limit: int, depth: int = 0) -> None:
        self.allow_pickle = allow_pickle
        self.limit = limit
        self.depth = depth
        self._inner: Writer | None = None
        # Free packers, not one packer: encoding may run user code (a finaliser, __reduce__) that encodes in turn.
        self._packers: list[Any] = []

    def pack(self, value: Any) -> bytes:
        """The bytes of `value`, which may be of any type but an array that is to be aligned."""
        try:
            packer = self._packers.pop()
        except IndexError:
            packer = Packer(default=self._extension, strict_types=True, buf_size=_BUFFER)
        data: bytes = packer.pack(value)
        if len(data) <= _KEEP_BUFFER:
            self._packers.append(packer)
        elif len(data) > MAX_SIZE:
            raise InvalidValue(f"it takes {len(data)} bytes, more than the {MAX_SIZE} that a value may have")
        if data.translate(_TRAP_BYTES) is data or not _holds_trap(value):
            return data
        return self.pack(self._disarm(value))

    def encode(self, value: Any) -> tuple[int, bytes]:
        """The extension code and payload of a value that is not plain MessagePack."""
        kind = type(value)
        encoder = ENCODERS.get(kind) or learn(kind)
        return encoder(value, self)

    def inner(self) -> Writer:
        """The writer of the next level."""
        inner = self._inner
        if inner is None:
            if self.depth >= self.limit:
                raise TooDeep(f"more than {self.limit} objects inside one another")
            inner = self._inner = Writer(self.allow_pickle, self.limit, self.depth + 1)
        return inner

    def _extension(self, value: Any) -> ExtType:
        # Past ExtType.__new__, which is slow and refuses the code -1 of timestamps.
        return tuple.__new__(ExtType, self.encode(value))

    def _disarm(self, value: Any) -> Any:
        """A copy of the plain containers of `value` in which the traps are replaced by their true encoding."""
        kind = type(value)
        if kind is dict:
            return {self._disarm(key): self._disarm(item) for key, item in value.items()}
        if kind is list:
            return [self._disarm(item) for item in value]
        return _Encoded(*self.encode(value)) if kind in _TRAPS else value


class _Encoded:
    """An extension object that stands in for a trap; the packer asks for its encoding as for any other object's."""

    __slots__ = ("code", "payload")

    def __init__(self, code: int, payload: bytes) -> None:
        self.code = code
        self.payload = payload


def _encode_encoded(value: _Encoded, _writer: Writer) -> tuple[int, bytes]:
    return value.code, value.payload


ENCODERS[_Encoded] = _encode_encoded


class Reader:
    """Decodes one level of a value.

    `parse` takes the bytes of one MessagePack object and returns it; it raises whatever the library raises.

    Args:
        allow_pickle: Whether to load pickles and import the modules of classes.
        decoders: What makes an object of an extension object's payload, by its code.
        depth: How many levels of extension objects lie above.
        fast: True reads with msgspec, False with msgpack, None with msgspec once it is worth importing, if it is
            installed.
    """

    __slots__ = ("_decoders", "_fast", "_inner", "_seen", "allow_pickle", "depth", "parse")

    parse: Callable[[Any], Any]
    _inner: Reader | None

    def __init__(
        self,
        allow_pickle: bool,
        decoders: Mapping[int, Decoder] = DECODERS,
        *,
        depth: int = 0,
        fast: bool | None = None,
    ) -> None:
        self.allow_pickle = allow_pickle
        self.depth = depth
        self._decoders = decoders
        self._seen = 0
        self._choose(fast)

    def inner(self) -> Reader:
        """The reader of the next level."""
        inner = self._inner
        if inner is None:
            if self.depth >= MAX_OBJECT_DEPTH:
                raise TooDeep(f"more than {MAX_OBJECT_DEPTH} objects inside one another")
            fast = bool(self._fast)  # the outermost level decides, and makes this one anew when it changes its mind
            inner = self._inner = Reader(self.allow_pickle, self._decoders, depth=self.depth + 1, fast=fast)
        return inner

    def _choose(self, fast: bool | None) -> None:
        self._fast = fast
        self._inner = None
        if fast:
            from msgspec.msgpack import Decoder as FastDecoder

            self.parse = FastDecoder(ext_hook=self._extension).decode
        elif fast is None:
            self.parse = self._parse_first
        elif self.depth < _HEAP_DEPTH:
            self.parse = partial(unpackb, ext_hook=self._extension, strict_map_key=False, timestamp=3)
        else:
            self.parse = self._parse_on_heap

    def _extension(self, code: int, payload: Any) -> Any:
        decoder = self._decoders.get(code) or learn_code(code)
        return decoder(payload, self)

    def _parse_first(self, data: Any) -> Any:
        self._seen += 1
        if self._seen > _WARM_UP or "msgspec.msgpack" in sys.modules:
            self._choose(_msgspec_serves())
            return self.parse(data)
        return unpackb(data, ext_hook=self._extension, strict_map_key=False, timestamp=3)

    def _parse_on_heap(self, data: Any) -> Any:
        size = len(data)
        unpacker = Unpacker(
            ext_hook=self._extension, strict_map_key=False, timestamp=3, read_size=size, max_buffer_size=size
        )
        unpacker.feed(data)
        value = unpacker.unpack()
        if unpacker.read_bytes(1):
            raise InvalidValue("more bytes than the object has")
        return value
