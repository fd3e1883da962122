r"""Paths: how the names that lead to a field are written as one text.

Names are joined by dots: ``user.name`` is the field ``name`` of the object ``user``. In a name, a backslash takes a dot or a
backslash as it is (``v1\.2`` is the one name ``v1.2``); it stands before nothing else. Any other character may be in
a name. The empty path has no names: it is the object itself.

A name is not empty and has no lone surrogates. A path, counted from the root of the memory, has at most 64 names, and
at most 65,535 bytes of UTF-8 with a byte between each two names and the next.
"""

from __future__ import annotations

from ..errors import InvalidKey, KeyTypeError, PathConflict
from ..keys import MAX_KEY_BYTES

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TypeAlias

    Names: TypeAlias = tuple[str, ...]

__all__ = [
    "MAX_NAMES",
    "MAX_PATH_BYTES",
    "check_names",
    "escape",
    "itself_in_the_way",
    "join",
    "object_in_the_way",
    "split",
    "value_in_the_way",
]

MAX_NAMES = 64
"""The most names that a path has, from the root on."""

MAX_PATH_BYTES = MAX_KEY_BYTES
"""The most bytes of UTF-8 that a path has, from the root on: those of its names, and one between each two."""


def split(path: Any, base: Names = ()) -> Names:
    """The names of a path below those of `base`.

    Raises:
        KeyTypeError: It is not a ``str``.
        InvalidKey: It is malformed, or with `base` too long.
    """
    if not isinstance(path, str):
        raise KeyTypeError(f"a path must be a str, not {type(path).__name__}", key=path)
    if type(path) is not str:  # a subclass could split otherwise; what counts is the text
        path = str.__str__(path)
    if not path:
        return base
    names = path.split(".") if "\\" not in path else _unescape(path)
    return check_names((*base, *names), path)


def _unescape(path: str) -> list[str]:
    names = [""]
    pieces = iter(path.split("\\"))
    taken = next(pieces)  # what stands before the first backslash has no escapes
    while True:
        first, *rest = taken.split(".")
        names[-1] += first
        names += rest
        piece = next(pieces, None)
        if piece is None:
            return names
        if piece == "":  # two backslashes, or one at the end
            piece = next(pieces, None)
            if piece is None:
                raise InvalidKey(f"a path must not end in a single backslash: {path!r}", key=path)
            names[-1] += "\\"
            taken = piece
        elif piece[0] == ".":
            names[-1] += "."
            taken = piece[1:]
        else:
            raise InvalidKey(
                f"in a path, a backslash stands before a dot or another backslash, not {piece[0]!r}: {path!r}", key=path
            )


def check_names(names: Names, path: str | None = None) -> Names:
    """Return the names of an absolute path if they may be that.

    Raises:
        InvalidKey: One is empty or has lone surrogates, or they are too many or too long. It is about `path`.
    """
    if "" in names:
        key = join(names) if path is None else path
        raise InvalidKey(f"a name in a path must not be empty: {_shown(key)}", key=key)
    if len(names) > MAX_NAMES:
        key = join(names) if path is None else path
        raise InvalidKey(
            f"a path has at most {MAX_NAMES} names, this one has {len(names)}: {_shown(key)}", key=key, limit=MAX_NAMES
        )
    text = ".".join(names)
    if len(text) > MAX_PATH_BYTES or not text.isascii():  # only these can be too long or not encodable
        key = join(names) if path is None else path
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise InvalidKey(f"a path must not have lone surrogates: {_shown(key)}", key=key) from None
        if size > MAX_PATH_BYTES:
            raise InvalidKey(
                f"a path has at most {MAX_PATH_BYTES:,} bytes of UTF-8, this one has {size:,}: {_shown(key)}",
                key=key,
                limit=MAX_PATH_BYTES,
            )
    return names


def join(names: Iterable[str]) -> str:
    """The path of these names; `split` gives them back."""
    return ".".join(map(escape, names))


def escape(name: str) -> str:
    """The path of one name."""
    return name.replace("\\", "\\\\").replace(".", "\\.")


def object_in_the_way(names: Names) -> PathConflict:
    """The error of who would put a value where an object is."""
    path = join(names)
    if not names:
        return PathConflict("the root of a memory is an object and stays one; set a field of it", key=path)
    return PathConflict(f"{_shown(path)} is an object; only overwrite=True puts a value in its place", key=path)


def itself_in_the_way(names: Names) -> PathConflict:
    """The error of who would put a value at the path "", which is the object that was asked."""
    key = join(names)
    return PathConflict(
        f"{_shown(key)} is the object itself, which no value can replace here; set a field of it", key=key
    )


def value_in_the_way(names: Names) -> PathConflict:
    """The error of who needs an object where a value is."""
    path = join(names)
    return PathConflict(f"{_shown(path)} is a value, no object; only overwrite=True puts one in its place", key=path)


def _shown(path: str) -> str:
    return repr(path) if len(path) <= 100 else f"{path[:80]!r}..."
