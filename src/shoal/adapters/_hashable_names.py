r"""Any hashable key as a name: text that is the same for equal keys, and from which the key comes back.

Text is its own name, so that what programs store under words can be found under these words by all others. Everything else begins
with a NUL and a letter for its kind:

    \0s…  text that is empty, or begins with a NUL       \0b…  bytes
    \0i…  a whole number: 1, 1.0 and True are one key    \0t…  a tuple
    \0f…  any other float                                \0z…  a frozenset
    \0n   None                                           \0p…  what else there is, pickled

Keys of the last kind are the same if they pickle alike.
"""

from __future__ import annotations

import base64
import io
import pickle

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator
    from typing import Any

__all__ = ["key_of", "name_of"]


def name_of(key: Hashable) -> str:
    """The name of a key.

    Raises:
        TypeError: The key is not hashable.
        pickle.PicklingError: It is of the last kind and cannot be pickled. (Pickle has other errors for that, too.)
    """
    if type(key) is str and key and key[0] != "\0" and (key.isascii() or _encodable(key)):
        return key
    hash(key)
    for kind, letter, text in _WRITERS:
        if isinstance(key, kind):
            written: str | None = text(key)
            if written is not None:
                return letter + written
    return "\0p" + base64.b85encode(_pickled(key)).decode()


def key_of(name: str) -> Any:
    """The key of a name."""
    read = _READERS.get(name[:2])
    return name if read is None else read(name[2:])


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # lone surrogates, which no key of a store may have
        return False
    return True


def _text(key: str) -> str | None:
    return str.__str__(key) if _encodable(key) else None


def _float(key: float) -> str:
    return repr(float(key))


def _whole(key: float) -> str | None:
    return f"{int(key):x}" if key.is_integer() else None


def _pickled(key: object) -> bytes:
    # Without a memo, which would tell two equal strings inside a key from one that is there twice.
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, 4)
    pickler.fast = True
    pickler.dump(key)
    return buffer.getvalue()


def _row(keys: Iterable[Hashable]) -> str:
    return "".join(f"{len(name)}:{name}" for name in map(name_of, keys))


def _unrow(text: str) -> Iterator[Any]:
    at = 0
    while at < len(text):
        colon = text.index(":", at)
        end = colon + 1 + int(text[at:colon])
        yield key_of(text[colon + 1 : end])
        at = end


def _set(keys: frozenset[Hashable]) -> str:
    return "".join(f"{len(name)}:{name}" for name in sorted(map(name_of, keys)))


# In this order: a bool is an int, and a float that is whole equals one.
_WRITERS: tuple[tuple[type[Any], str, Any], ...] = (
    (str, "\0s", _text),
    (int, "\0i", lambda key: f"{int(key):x}"),
    (float, "\0i", _whole),
    (float, "\0f", _float),
    (type(None), "\0n", lambda _: ""),
    (bytes, "\0b", bytes.hex),
    (tuple, "\0t", _row),
    (frozenset, "\0z", _set),
)
_READERS: dict[str, Any] = {
    "\0s": str,
    "\0i": lambda text: int(text, 16),
    "\0f": float,
    "\0n": lambda _: None,
    "\0b": bytes.fromhex,
    "\0t": lambda text: tuple(_unrow(text)),
    "\0z": lambda text: frozenset(_unrow(text)),
    "\0p": lambda text: pickle.loads(base64.b85decode(text)),
}
