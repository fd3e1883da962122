"""What `shoal.open` and the calls with a `ttl` accept, turned into plain numbers.

Sizes are ints (bytes) or text: ``"512MiB"`` counts in powers of 1024 (KiB, MiB, GiB, TiB), ``"64kB"`` in powers of
1000 (kB, MB, GB, TB); case does not matter. Times are seconds, as a number or a `datetime.timedelta`.

A target is a bare name or a URL. A URL's query takes the same options as `shoal.open`; an argument of `open` that
differs from its default beats the URL's. Names of stores have 1 to 200 bytes of UTF-8, no slash and no NUL, and are not
"." or ".."; names of namespaces may have slashes.
"""

from __future__ import annotations

from enum import Enum
from math import inf, isnan, nan

from .errors import InvalidKey, InvalidValue, KeyTypeError

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any, Final, Literal, TypeAlias

__all__ = [
    "DEFAULT",
    "KEEP",
    "MAX_TTL",
    "MISSING",
    "Options",
    "Seconds",
    "Ttl",
    "check_name",
    "make_url",
    "parse_eviction",
    "parse_max_keys",
    "parse_mode",
    "parse_options",
    "parse_size",
    "parse_timeout",
    "parse_ttl",
    "ttl_to_ns",
]


class Default(Enum):
    """An argument that was left out: what the namespace says stands."""

    DEFAULT = "default"

    def __repr__(self) -> str:
        return "<default>"


class Keep(Enum):
    """A ttl that leaves an existing entry's expiry as it is; a new entry gets the namespace's default."""

    KEEP = "keep"

    def __repr__(self) -> str:
        return "<keep>"


class Missing(Enum):
    """No default was given, or nothing was found: unlike None it is no value."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "<missing>"


DEFAULT: Final = Default.DEFAULT
KEEP: Final = Keep.KEEP
MISSING: Final = Missing.MISSING

Ttl: TypeAlias = "float | timedelta | Literal[Default.DEFAULT] | None"
"""What callers may give as a time to live."""

Seconds: TypeAlias = "float | Literal[Default.DEFAULT, Keep.KEEP] | None"
"""A time to live once parsed."""

MAX_TTL: Final = 100 * 365.25 * 86400.0
"""The longest time to live, in seconds: a hundred years. Longer than that is None."""

_MAX_NAME_BYTES = 200
_UNITS = {"": 1, "b": 1}
for _power, _letter in enumerate("kmgt", 1):
    _UNITS[_letter + "b"] = 1000**_power
    _UNITS[_letter + "ib"] = 1024**_power
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


# ---------------------------------------------------------------------- single options


def parse_ttl(ttl: Any) -> Seconds:
    """Check a time to live. None, `DEFAULT` and `KEEP` stay themselves, infinity is None."""
    if ttl is None or ttl is DEFAULT or ttl is KEEP:
        return ttl
    seconds = _seconds(ttl, "ttl")
    if seconds == inf:
        return None
    if not seconds > 0:
        raise InvalidValue(f"a ttl must be more than 0 seconds, not {ttl!r} (None = never expires)")
    if seconds > MAX_TTL:
        raise InvalidValue(f"a ttl must be at most 100 years, not {ttl!r} s (None = never expires)", limit=MAX_TTL)
    return seconds


def ttl_to_ns(seconds: float) -> int:
    """Whole nanoseconds, at least one: a ttl never becomes the 0 that means "never expires"."""
    return max(1, round(seconds * 1e9))


def parse_timeout(timeout: Any) -> float:
    """Check a timeout: 0 or more seconds, finite."""
    seconds = _seconds(timeout, "timeout")
    if not 0 <= seconds <= MAX_TTL:
        raise InvalidValue(f"a timeout must be 0 or more seconds and finite, not {timeout!r}")
    return seconds


def parse_size(size: Any) -> int:
    """Bytes from an int or from text such as "512MiB"."""
    count: int | float
    if isinstance(size, str):
        text = size.strip().lower().replace(" ", "")
        number = text.rstrip("bikmgt")
        unit = _UNITS.get(text[len(number) :])
        # isascii: int() and float() also take digits of other scripts, and underscores.
        if unit is None or not number.isascii() or not number.replace(".", "", 1).isdigit():
            raise InvalidValue(f'not a size: {size!r}; write bytes or, for example, "512MiB" or "4GB"')
        count = round(float(number) * unit) if "." in number else int(number) * unit
    elif isinstance(size, int) and not isinstance(size, bool):
        count = size
    else:
        raise InvalidValue(f'a size must be an int or text such as "512MiB", not {type(size).__name__}')
    if count <= 0:
        raise InvalidValue(f"a size must be more than 0 bytes, not {size!r}")
    return count


def parse_max_keys(max_keys: Any) -> int:
    """Check a limit of keys; 0 = no limit."""
    if isinstance(max_keys, bool) or not isinstance(max_keys, int):
        raise InvalidValue(f"max_keys must be an int, not {type(max_keys).__name__}")
    if not 0 <= max_keys < 1 << 63:
        raise InvalidValue(f"max_keys must be 0 (no limit) or more, not {max_keys}")
    return max_keys


def parse_eviction(eviction: Any) -> str:
    """Check the name of an eviction policy."""
    if eviction not in ("error", "sieve"):
        raise InvalidValue(f'eviction must be "error" or "sieve", not {eviction!r}')
    return str(eviction)


def parse_mode(mode: Any) -> int:
    """Permission bits from an int or from octal text such as "0660"."""
    bits = mode
    if isinstance(mode, str):
        try:
            bits = int(mode, 8)
        except ValueError:
            raise InvalidValue(f'a mode must be octal, such as "0660", not {mode!r}') from None
    if isinstance(bits, bool) or not isinstance(bits, int):
        raise InvalidValue(f"a mode must be an int such as 0o660, not {type(mode).__name__}")
    if bits & ~0o666 or bits & 0o600 != 0o600:
        raise InvalidValue(f"a mode must let the owner read and write and nobody execute, not {bits:#o}")
    return bits


def check_name(name: Any, what: str = "store") -> str:
    """Check the name of a store or of a namespace (`what`). Errors are `InvalidKey` and carry `.name`."""
    if not isinstance(name, str):
        raise KeyTypeError(f"the name of a {what} must be a str, not {type(name).__name__}", name=repr(name))
    problem = ""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise InvalidKey(f"the name of a {what} must not have lone surrogates", name=name) from None
    if not 1 <= size <= _MAX_NAME_BYTES:
        problem = f"must have 1 to {_MAX_NAME_BYTES} bytes of UTF-8, not {size}"
    elif "\0" in name:
        problem = "must not have a NUL"
    elif what == "store" and "/" in name:
        problem = "must not have a slash"
    elif what == "store" and name in (".", ".."):
        problem = 'must not be "." or ".."'
    if problem:
        raise InvalidKey(f"the name of a {what} {problem}: {name!r}", name=name)
    return name


def _seconds(value: Any, what: str) -> float:
    seconds = nan
    if not isinstance(value, (str, bytes, bytearray, bool)):
        try:
            # Duck-typed, so that nobody pays for importing datetime: a timedelta, or a number.
            seconds = float(value.total_seconds() if hasattr(value, "total_seconds") else value)
        except (TypeError, ValueError, OverflowError):
            seconds = nan
    if isnan(seconds):
        raise InvalidValue(f"a {what} must be a number of seconds or a timedelta, not {value!r}")
    return seconds


# ---------------------------------------------------------------------- all of open()


class Options:
    """What `shoal.open` was asked for, checked. `DEFAULT` stands for what was neither given nor in the URL.

    `location` is the part of the URL between the scheme and the query, percent-decoded; what it means is the backend's
    affair.
    """

    def __init__(
        self,
        scheme: str = "shm",
        location: str = "",
        *,
        flag: str = "c",
        size: int | None = None,
        namespace: str = "default",
        ttl: Seconds = DEFAULT,
        max_keys: int | Default = DEFAULT,
        eviction: str | Default = DEFAULT,
        persist: bool = False,
        mode: int = 0o600,
        timeout: float = 5.0,
        allow_pickle: bool | None = None,
    ) -> None:
        self.scheme = scheme
        self.location = location
        self.flag = flag
        self.size = size
        self.namespace = namespace
        self.ttl = ttl
        self.max_keys = max_keys
        self.eviction = eviction
        self.persist = persist
        self.mode = mode
        self.timeout = timeout
        self.allow_pickle = allow_pickle

    @property
    def name(self) -> str | None:
        """The location as the name of a store; None if it is empty, which means an anonymous one."""
        return check_name(self.location) if self.location else None

    @property
    def create(self) -> bool:
        """Whether a store that does not exist is made."""
        return self.flag in "cn"

    @property
    def read_only(self) -> bool:
        """Whether the handle may only read."""
        return self.flag == "r"


def parse_options(
    target: str | None = None,
    flag: str = "c",
    *,
    size: int | str | None = None,
    namespace: str = "default",
    ttl: Any = None,
    max_keys: int = 0,
    eviction: str = "error",
    persist: bool = False,
    mode: int = 0o600,
    timeout: Any = 5.0,
    allow_pickle: bool | None = None,
) -> Options:
    """Check the arguments of `shoal.open` and merge them with those of the URL."""
    scheme, location, query = _split(target)
    if flag not in ("c", "w", "r", "n"):
        raise InvalidValue(
            f'flag must be "c" (open or create), "w" (must exist), "r" (read only) or "n" (new), not {flag!r}'
        )
    if allow_pickle is not None and not isinstance(allow_pickle, bool):
        raise InvalidValue(f"allow_pickle must be None, True or False, not {allow_pickle!r}")
    if not isinstance(persist, bool):
        raise InvalidValue(f"persist must be True or False, not {persist!r}")
    chosen: dict[str, Any] = {field: _QUERY[field](text) for field, text in query.items()}
    # What differs from the signature's default was meant; a default says nothing and leaves the word to the URL.
    if size is not None:
        chosen["size"] = parse_size(size)
    if namespace != "default":
        chosen["namespace"] = namespace
    if ttl is not None:
        chosen["ttl"] = parse_ttl(ttl)
    if parse_max_keys(max_keys) != 0:
        chosen["max_keys"] = max_keys
    if parse_eviction(eviction) != "error":
        chosen["eviction"] = eviction
    if persist:
        chosen["persist"] = persist
    if parse_mode(mode) != 0o600:
        chosen["mode"] = mode
    if parse_timeout(timeout) != 5.0:
        chosen["timeout"] = parse_timeout(timeout)
    check_name(chosen.get("namespace", "default"), "namespace")
    return Options(scheme=scheme, location=location, flag=flag, allow_pickle=allow_pickle, **chosen)


def make_url(scheme: str, location: str, namespace: str = "default") -> str:
    """The URL of a namespace of a store."""
    from urllib.parse import quote

    query = "" if namespace == "default" else f"?namespace={quote(namespace, safe='')}"
    return f"{scheme}://{quote(location, safe='')}{query}"


def _split(target: Any) -> tuple[str, str, dict[str, str]]:
    if target is None:
        return "shm", "", {}
    if not isinstance(target, str):
        raise KeyTypeError(f"open() takes a name or a URL, not {type(target).__name__}", name=repr(target))
    scheme, separator, rest = target.partition("://")
    if not separator:
        return "shm", check_name(target), {}

    from urllib.parse import unquote

    location, _, query = rest.partition("?")
    fields: dict[str, str] = {}
    for part in query.split("&") if query else ():
        field, equals, text = part.partition("=")
        field = unquote(field)
        if field not in _QUERY:
            raise InvalidValue(
                f"unknown option {field!r} in {target!r}; a URL takes {', '.join(sorted(_QUERY))}", name=target
            )
        if field in fields:
            raise InvalidValue(f"option {field!r} is given twice in {target!r}", name=target)
        if not equals or not text:
            raise InvalidValue(f"option {field!r} has no value in {target!r}", name=target)
        fields[field] = unquote(text.replace("+", " "))
    return scheme.lower(), unquote(location), fields


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidValue(f"{what} must be a number of seconds, not {text!r}") from None


def _url_ttl(text: str) -> Seconds:
    return None if text == "never" else parse_ttl(_number(text, "ttl"))


def _url_timeout(text: str) -> float:
    return parse_timeout(_number(text, "timeout"))


def _url_max_keys(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise InvalidValue(f"max_keys must be 0 (no limit) or more, not {text!r}")
    return parse_max_keys(int(text))


def _url_bool(text: str) -> bool:
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise InvalidValue(f"persist must be 1 or 0, not {text!r}")
    return word in _TRUE


_QUERY: dict[str, Any] = {
    "eviction": parse_eviction,
    "max_keys": _url_max_keys,
    "mode": parse_mode,
    "namespace": str,
    "persist": _url_bool,
    "size": parse_size,
    "timeout": _url_timeout,
    "ttl": _url_ttl,
}
