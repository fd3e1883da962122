"""KAIREI's shared memory: its SharedMemoryCapability for Python, over a Shoal store.

Agents and providers in any process of the machine share JSON values under keys, in namespaces with a time to live and a limit of
keys. Names, rules and texts of errors are those of the Rust crate.
"""

from __future__ import annotations

from .config import ConfigError, SharedMemoryConfig
from .errors import (
    AccessDenied,
    InvalidKey,
    InvalidValue,
    KeyNotFound,
    PatternError,
    SharedMemoryError,
    StorageError,
)
from .plugin import InMemorySharedMemoryPlugin, Metadata, SharedMemoryPlugin
from .registry import (
    ProviderRegistry,
    get_or_create_shared_memory_plugin,
    get_shared_memory_plugin,
    list_shared_memory_namespaces,
    shutdown,
)

__all__ = [
    "AccessDenied",
    "ConfigError",
    "InMemorySharedMemoryPlugin",
    "InvalidKey",
    "InvalidValue",
    "KeyNotFound",
    "Metadata",
    "PatternError",
    "ProviderRegistry",
    "SharedMemoryConfig",
    "SharedMemoryError",
    "SharedMemoryPlugin",
    "StorageError",
    "get_or_create_shared_memory_plugin",
    "get_shared_memory_plugin",
    "list_shared_memory_namespaces",
    "shutdown",
]
