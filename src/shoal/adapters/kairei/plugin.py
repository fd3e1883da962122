"""`SharedMemoryPlugin`: JSON values under keys, in a namespace of a store."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from ... import errors
from ...backends import open as open_store
from ...options import MISSING, parse_max_keys, parse_ttl
from ...patterns import escape
from ...store import Store
from .config import MAX_KEYS, NAMESPACE, TTL_MS, SharedMemoryConfig
from .errors import InvalidKey, InvalidValue, KeyNotFound, StorageError, translated
from .patterns import Pattern
from .values import check, size

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Self

__all__ = ["InMemorySharedMemoryPlugin", "Metadata", "SharedMemoryPlugin"]

HOME = "kairei"
"""The namespace of a store that holds the settings of the shared memories in it; their values are in "kairei/<namespace>"."""

_LOCAL = ("shm://", "memory://")  # stores that answer before an event loop could turn to anything else


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Metadata:
    """What is known about a value. Times are aware, in UTC, to the microsecond."""

    created_at: datetime = field(default_factory=_now)
    last_modified: datetime = field(default_factory=_now)
    content_type: str = "application/json"
    size: int = 0
    """Bytes of the value as compact JSON."""
    tags: dict[str, str] = field(default_factory=dict)
    """Empty: as in KAIREI, no call sets any."""

    def to_dict(self) -> dict[str, Any]:
        """As KAIREI's JSON has it, with times as RFC 3339."""
        times = {
            name: getattr(self, name).isoformat().replace("+00:00", "Z") for name in ("created_at", "last_modified")
        }
        return {**times, "content_type": self.content_type, "size": self.size, "tags": dict(self.tags)}


class SharedMemoryPlugin:
    """A shared memory: all plugins of one namespace of one store have the same values, in whatever process they are.

    The settings of a namespace are those that came first, for all; `config` says which they are.

    Args:
        config: The settings, in place of the next three.
        max_keys: The most keys; 0 = any number.
        ttl_ms: Milliseconds that a value lives after it was set; 0 = for ever.
        namespace: Memories of different namespaces do not see each other.
        url: Where the values lie: a Shoal URL, or a `Store`. None is a store of this plugin's own, shared with the
            processes that are forked.

    Raises:
        StorageError: The store cannot be opened.
        InvalidKey: The namespace cannot be one: over 190 bytes, or with a NUL.
        InvalidValue: `max_keys` or `ttl_ms` is no such number.
    """

    def __init__(
        self,
        config: SharedMemoryConfig | None = None,
        *,
        max_keys: int = MAX_KEYS,
        ttl_ms: int = TTL_MS,
        namespace: str = NAMESPACE,
        url: str | Store | None = None,
    ) -> None:
        asked = config or SharedMemoryConfig(max_keys, ttl_ms, namespace)
        store = url if isinstance(url, Store) else opened(url)
        with translated():
            try:
                self.config, self._store = _enter(store, asked)
            finally:
                if store is not url:
                    store.close()
        self._local = self._store.url.startswith(_LOCAL)

    # ------------------------------------------------------------------ the capability

    async def get(self, key: str) -> Any:
        """The value, a copy. Raises `KeyNotFound`."""
        value = await self._read(key, self._store.get, MISSING)
        if value is MISSING:
            raise KeyNotFound(key, key=key)
        return value

    async def set(self, key: str, value: Any) -> None:
        """Store a value, whose time to live begins now.

        Raises:
            InvalidKey: The key is empty, or no store can have it.
            InvalidValue: The value is not JSON.
            StorageError: There are as many keys as may be, and this is none of them; or the store is full.
        """
        if key == "":
            raise InvalidKey("Key cannot be empty", key=key)
        check(value)
        try:
            await self._call(key, self._store.set, key, value)
        except StorageError as error:
            full = error.__cause__
            if isinstance(full, errors.CapacityExceeded) and full.limit == self.config.max_keys:
                raise StorageError(
                    f"Maximum capacity reached ({self.config.max_keys} keys)", key=key, limit=full.limit
                ) from full
            raise

    async def delete(self, key: str) -> None:
        """Remove a value. Raises `KeyNotFound`."""
        if not await self._read(key, self._store.delete):
            raise KeyNotFound(key, key=key)

    async def exists(self, key: str) -> bool:
        """Whether there is a value."""
        try:
            return bool(await self._read(key, self._store.exists))
        except KeyNotFound:
            return False

    async def get_metadata(self, key: str) -> Metadata:
        """What is known about a value. Raises `KeyNotFound`."""
        found: Metadata = await self._read(key, self._metadata)
        return found

    async def list_keys(self, pattern: str) -> list[str]:
        """The keys that match a pattern (`shoal.adapters.kairei.patterns`), sorted. Raises `PatternError`."""
        glob = Pattern(pattern)
        keys = await self._call(None, self._scan, glob.prefix)
        return sorted(filter(glob.match, keys))

    # ------------------------------------------------------------------ how

    def _metadata(self, key: str) -> Metadata:
        while True:
            about = self._store.metadata(key)
            value, version = self._store.get_versioned(key)
            if version == about.version:  # else somebody wrote in between
                return Metadata(about.created_at, about.modified_at, size=size(value))

    def _scan(self, prefix: str) -> list[str]:
        return list(self._store.scan(escape(prefix) + "*"))

    async def _read(self, key: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return await self._call(key, function, key, *arguments)
        except InvalidKey as error:
            if not isinstance(key, str):
                raise
            raise KeyNotFound(key, key=key) from error  # what no store can have is not there

    async def _call(self, key: str | None, function: Callable[..., Any], *arguments: Any) -> Any:
        with translated(key):
            if self._local:
                return function(*arguments)
            import asyncio

            return await asyncio.to_thread(function, *arguments)

    # ------------------------------------------------------------------ the plugin

    @property
    def store(self) -> Store:
        """The namespace of the store that the values lie in."""
        return self._store

    def priority(self) -> int:
        """Where it stands among the plugins of a provider."""
        return 100

    def capability(self) -> str:
        """What it is for."""
        return "SharedMemory"

    def close(self) -> None:
        """Let go of the store. The values stay for all others who use it."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.config.namespace!r} of {self._store.url}>"


InMemorySharedMemoryPlugin = SharedMemoryPlugin
"""The name that the class has in Rust."""


def opened(url: str | None) -> Store:
    """The store of a URL. Whatever is wrong with either is a `StorageError`: it is about no key and no value. Or `AccessDenied`."""
    with translated():
        try:
            return open_store(url)
        except (errors.InvalidKey, errors.InvalidValue) as error:
            raise StorageError(str(error)) from error


def _enter(store: Store, asked: SharedMemoryConfig) -> tuple[SharedMemoryConfig, Store]:
    """The settings that hold for a namespace, and a handle on it."""
    # The first settings stay: wrong ones would shut out all who come later.
    if not isinstance(asked.namespace, str):
        raise InvalidKey(f"the name of a namespace must be a str, not {type(asked.namespace).__name__}")
    parse_max_keys(asked.max_keys)
    _ttl(asked)
    with store.namespace(HOME) as home:
        settings = home.setdefault("config " + asked.namespace, asked.to_dict())
    config = SharedMemoryConfig.from_dict(settings)
    # Whoever enters writes the same settings, so it does not matter who does so first.
    values = store.namespace(f"{HOME}/{config.namespace}", ttl=_ttl(config), max_keys=config.max_keys, eviction="error")
    return config, values


def _ttl(config: SharedMemoryConfig) -> float | None:
    milliseconds = config.ttl_ms
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        raise InvalidValue(f"ttl_ms must be a number of milliseconds, not {milliseconds!r}")
    seconds = milliseconds / 1000 if milliseconds else None
    parse_ttl(seconds)
    return seconds
