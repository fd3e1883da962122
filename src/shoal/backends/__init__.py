"""Backends: what `shoal.open` finds under each URL scheme.

A backend is a module with a function that takes `Options` and returns a `Store`; one line in `SCHEMES` makes
it known. Modules are imported when their scheme is first used, so what they need costs nobody else anything.
"""

from __future__ import annotations

from ..errors import InvalidValue
from ..options import parse_options

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from typing import Any

    from ..options import Options
    from ..store import Store

__all__ = ["SCHEMES", "from_arena", "open"]

SCHEMES: dict[str, tuple[str, str]] = {
    "memory": ("shoal.backends.memory", "open_memory"),
    "shm": ("shoal.arena", "open_arena"),
}
"""Scheme of a URL -> module, function."""


def open(
    target: str | None = None,
    flag: str = "c",
    *,
    size: int | str | None = None,
    namespace: str = "default",
    ttl: float | timedelta | None = None,
    max_keys: int = 0,
    eviction: str = "error",
    persist: bool = False,
    mode: int = 0o600,
    timeout: float = 5.0,
    allow_pickle: bool | None = None,
) -> Store:
    """Open a store.

    Args:
        target: A name (``"swarm"``), a URL (``"shm://swarm?size=2GiB&namespace=a"``, ``"memory://"``), or None for an
            anonymous arena that this process shares with those it starts.
        flag: "c" opens or creates, "w" opens what exists, "r" does so read-only, "n" makes a new one.
        size: The most that a new store may hold: bytes, or text such as ``"512MiB"``. An existing store keeps its own.
        namespace: Which part of the store; made if it is new.
        ttl: How long the namespace's entries live if a write does not say; None = for ever.
        max_keys: How many entries the namespace may have; 0 = any number.
        eviction: What happens when the store or the namespace is full: "error" or "sieve".
        persist: Keep a named store when its last user is gone.
        mode: Permission bits of a new store.
        timeout: The longest wait, in seconds, for a process that was stopped while it held a lock.
        allow_pickle: Whether values that only pickle can express are written and read. None = only where nobody but
            this user can write.

    `ttl`, `max_keys` and `eviction` are settings of the namespace: one that differs from its default here, or is
    in the URL, is written to the namespace for all who use it (unless the store is opened read-only); the others stay
    as they are. An argument that differs from its default beats the URL's.
    """
    options = parse_options(
        target,
        flag,
        size=size,
        namespace=namespace,
        ttl=ttl,
        max_keys=max_keys,
        eviction=eviction,
        persist=persist,
        mode=mode,
        timeout=timeout,
        allow_pickle=allow_pickle,
    )
    if options.scheme not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in sorted(SCHEMES))
        raise InvalidValue(f"unknown scheme in {target!r}; this version opens {known} and bare names", name=target)
    opener: Callable[[Options], Store] = _load(*SCHEMES[options.scheme])
    return opener(options)


def from_arena(function: str) -> Any:
    """A function of `shoal.arena`, which needs the extension module."""
    return _load("shoal.arena", function)


def _load(module: str, function: str) -> Any:
    from importlib import import_module

    try:
        return getattr(import_module(module), function)
    except ImportError as error:
        from importlib.util import find_spec

        if module == "shoal.arena" and find_spec("shoal._core") is None:
            raise ImportError(
                "shared-memory stores need the extension module shoal._core, which is not built for this Python; "
                "install shoal with a C compiler at hand (pip install shoal), or open memory:// for this process alone",
                name="shoal._core",
            ) from error
        raise
