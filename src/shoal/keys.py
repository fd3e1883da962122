"""What a key may be: a `str` of 1 to 65,535 bytes of UTF-8, without lone surrogates.

Backends written in Python check keys here; the arena's binding applies the same rules in C.
"""

from __future__ import annotations

from .errors import InvalidKey, KeyTypeError

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["MAX_KEY_BYTES", "check_key", "check_keys"]

MAX_KEY_BYTES = 65_535


def check_key(key: Any) -> str:
    """Return the key if it may be one; `InvalidKey` or its subclass `KeyTypeError` otherwise."""
    if not isinstance(key, str):
        raise KeyTypeError(f"a key must be a str, not {type(key).__name__}", key=key)
    if not key:
        raise InvalidKey("a key must not be empty", key=key)
    if len(key) * 3 > MAX_KEY_BYTES or not key.isascii():  # only these can be too long or not encodable
        try:
            size = len(key.encode())
        except UnicodeEncodeError as error:
            raise InvalidKey(f"a key must not have lone surrogates (at index {error.start})", key=key) from None
        if size > MAX_KEY_BYTES:
            raise InvalidKey(
                f"a key must have at most {MAX_KEY_BYTES:,} bytes of UTF-8, this one has {size:,}",
                key=key,
                limit=MAX_KEY_BYTES,
            )
    # A subclass could change its hash or equality later; what is stored is the text.
    return key if type(key) is str else str.__str__(key)


def check_keys(keys: Iterable[str]) -> list[str]:
    """Check several keys, all of them before anything is done with the first."""
    if isinstance(keys, str):
        raise KeyTypeError("several keys are an iterable of str, not one str", key=keys)
    return [check_key(key) for key in keys]
