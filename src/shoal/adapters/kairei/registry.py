"""`ProviderRegistry`: one plugin per namespace, for all providers of a process."""

from __future__ import annotations

from ...store import Store
from .plugin import SharedMemoryPlugin, opened

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from .config import SharedMemoryConfig

__all__ = [
    "ProviderRegistry",
    "get_or_create_shared_memory_plugin",
    "get_shared_memory_plugin",
    "list_shared_memory_namespaces",
    "shutdown",
]


class ProviderRegistry:
    """Hands out plugins: the same one whenever the namespace is the same.

    Args:
        url: Where their values lie: a Shoal URL, or a `Store`. None is a store of this registry's own, which is shared with
            the processes that are forked, and gone after `shutdown` unless one of these still uses it.
    """

    def __init__(self, url: str | Store | None = None) -> None:
        self._url = url
        self._store: Store | None = url if isinstance(url, Store) else None
        self._plugins: dict[str, SharedMemoryPlugin] = {}

    def get_or_create_shared_memory_plugin(self, config: SharedMemoryConfig) -> SharedMemoryPlugin:
        """The plugin of the settings' namespace; settings count when it is made. Raises as `SharedMemoryPlugin`."""
        found = self._plugins.get(config.namespace)
        if found is not None and found.store.closed:  # by one of those who had it
            self._plugins.pop(config.namespace, None)
            found = None
        if found is None:
            made = SharedMemoryPlugin(config, url=self._opened())
            found = self._plugins.setdefault(config.namespace, made)
            if found is not made:  # another thread was faster
                made.close()
        return found

    def get_shared_memory_plugin(self, namespace: str) -> SharedMemoryPlugin | None:
        """The plugin of a namespace, if there is one."""
        return self._plugins.get(namespace)

    def list_shared_memory_namespaces(self) -> list[str]:
        """The namespaces that have a plugin, sorted."""
        return sorted(self._plugins)

    def shutdown(self) -> None:
        """Close all plugins. The values stay for other processes that use the store."""
        while self._plugins:
            self._plugins.popitem()[1].close()
        if self._store is not None and self._store is not self._url:
            self._store.close()
            self._store = None

    def _opened(self) -> Store:
        if self._store is None:
            assert not isinstance(self._url, Store)
            self._store = opened(self._url)
        return self._store


_registries: dict[str | None, ProviderRegistry] = {}


def _registry(url: str | None) -> ProviderRegistry:
    return _registries.setdefault(url, ProviderRegistry(url))


def get_or_create_shared_memory_plugin(config: SharedMemoryConfig, url: str | None = None) -> SharedMemoryPlugin:
    """The plugin of the settings' namespace that all callers in this process get for this URL."""
    return _registry(url).get_or_create_shared_memory_plugin(config)


def get_shared_memory_plugin(namespace: str, url: str | None = None) -> SharedMemoryPlugin | None:
    """The plugin of a namespace, if a caller with this URL has asked for it."""
    return _registry(url).get_shared_memory_plugin(namespace)


def list_shared_memory_namespaces(url: str | None = None) -> list[str]:
    """The namespaces that callers with this URL have asked for."""
    return _registry(url).list_shared_memory_namespaces()


def shutdown() -> None:
    """Close the plugins of all URLs."""
    while _registries:
        _registries.popitem()[1].shutdown()
