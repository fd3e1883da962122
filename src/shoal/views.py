"""Views of values and arrays to fill, for stores that have no memory to share: the same calls over private memory."""

from __future__ import annotations

from math import prod
from operator import index
from typing import TYPE_CHECKING, Any

from .codec import decode, kind
from .codec.extensions import check_size
from .errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["ALIGNMENT", "PrivateDraft", "empty_aligned", "plan_array", "view_of"]

ALIGNMENT = 64
"""The data of arrays begins at a multiple of this."""


def plan_array(shape: Any, dtype: Any) -> tuple[tuple[int, ...], Any, int]:
    """What `numpy.empty` would make of a shape and a dtype: its shape, its dtype, its bytes. Nothing is allocated.

    Raises:
        InvalidValue: It would refuse them, or the elements are Python objects.
    """
    import numpy as np

    try:
        sizes = tuple(map(index, shape)) if hasattr(shape, "__iter__") else (index(shape),)
        sample = np.empty(0, dtype)  # the dtype of strings without a length, and of subarrays, becomes another
    except (TypeError, ValueError) as error:
        raise InvalidValue(f"no array has the shape {shape!r} and the dtype {dtype!r}: {error}") from error
    if sample.dtype.hasobject:
        raise InvalidValue(f"its dtype {sample.dtype} holds Python objects, which cannot be shared in place")
    sizes += sample.shape[1:]
    if min(sizes, default=0) < 0:
        raise InvalidValue(f"no array has the shape {shape!r}: a negative size")
    try:
        # Whatever numpy has to say of so many dimensions, or so large ones, without the memory for them.
        np.empty((0,) * len(sizes), sample.dtype)
        if 0 in sizes:
            np.empty(sizes, sample.dtype)
    except ValueError as error:
        raise InvalidValue(f"no array has the shape {shape!r}: {error}") from error
    size = prod(sizes) * sample.dtype.itemsize
    check_size(size)
    return sizes, sample.dtype, size


def empty_aligned(shape: tuple[int, ...], dtype: Any, order: Any = "C") -> Any:
    """As `numpy.empty`, with data that begins at a multiple of 64."""
    import numpy as np

    size = prod(shape) * dtype.itemsize
    room = np.empty(size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return np.ndarray(shape, dtype, room, start, order=order)


def _seal(array: Any) -> Any:
    """Make it read-only for good: it can become writable again only if the memory that it lies in is."""
    array.base.flags.writeable = array.flags.writeable = False
    return array


def view_of(key: str, data: bytes, *, allow_pickle: bool) -> Any:
    """What `Store.view` gives of an encoded value that nobody changes. Raises `InvalidValue`."""
    what = kind(data[:16])
    if what == "array":
        value = decode(data, allow_pickle=allow_pickle)
        view = empty_aligned(
            value.shape, value.dtype, "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
        )
        view[...] = value
        return _seal(view)
    if what in ("bytes", "str"):
        return memoryview(data)[_head_size(data[0]) :]
    raise InvalidValue(f"views are of arrays, bytes and str; the value of {key!r} is {what}: get() it", key=key)


def _head_size(code: int) -> int:
    """Bytes of the head of MessagePack text or bytes."""
    if 0xA0 <= code <= 0xBF:
        return 1
    return 1 + (1 << (code - (0xD9 if code >= 0xD9 else 0xC4)))


class PrivateDraft:
    """What `Store.create_array` gives: a context manager, of one block, that sets the array in the end.

    Args:
        shape: Of the array.
        dtype: Of the array.
        write: Called with the array when the block has ended well; the result is the entry's version.
    """

    version: int | None = None

    def __init__(self, shape: Any, dtype: Any, write: Callable[[Any], int]) -> None:
        self._shape, self._dtype, _ = plan_array(shape, dtype)
        self._write = write
        self._begun = False
        self._array: Any = None

    def __enter__(self) -> Any:
        if self._begun:
            raise RuntimeError("a create_array() is good for one block: call it again")
        self._begun = True
        self._array = empty_aligned(self._shape, self._dtype)
        return self._array

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        array, self._array = self._array, None
        if array is None:
            raise RuntimeError("this create_array() has no block that could end")
        if kind is None:
            self.version = self._write(array)
            _seal(array)
