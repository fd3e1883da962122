"""`SharedMemoryConfig`: what a shared memory may hold, for how long, and under which namespace."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Self

__all__ = ["ConfigError", "SharedMemoryConfig"]

MAX_KEYS = 10_000
TTL_MS = 3_600_000
NAMESPACE = "shared"


class ConfigError(ValueError):
    """A setting that does not make sense: `field` has it, `message` says why."""

    field: str
    message: str

    def __init__(self, field: str, message: str) -> None:
        super().__init__(field, message)
        self.field = field
        self.message = message

    def __str__(self) -> str:
        return f"Invalid value for {self.field}: {self.message}"


@dataclass
class SharedMemoryConfig:
    """Settings of a shared memory. In JSON, and for `from_dict`, the time to live is called ``ttl``, as in KAIREI."""

    max_keys: int = MAX_KEYS
    """The most keys; 0 = any number."""
    ttl_ms: int = TTL_MS
    """Milliseconds that a value lives after it was set; 0 = for ever."""
    namespace: str = NAMESPACE
    """Memories of different namespaces do not see each other."""

    def validate(self) -> None:
        """Check what KAIREI checks. Raises `ConfigError`. A plugin takes settings as they are, without this."""
        if 0 < self.max_keys < 10:
            raise ConfigError("max_keys", "If specified, max_keys must be at least 10")
        if 0 < self.ttl_ms < 1000:
            raise ConfigError("ttl", "If specified, TTL must be at least 1000ms (1 second)")
        if not all(character.isalnum() or character in "_-" for character in self.namespace):
            raise ConfigError(
                "namespace", "Namespace must contain only alphanumeric characters, underscores, and dashes"
            )

    def merge_defaults(self) -> None:
        """Put the defaults in the place of 0, 0 and "": after this, nothing is unlimited."""
        self.max_keys = self.max_keys or MAX_KEYS
        self.ttl_ms = self.ttl_ms or TTL_MS
        self.namespace = self.namespace or NAMESPACE

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """The settings that KAIREI's JSON has; what is left out has its default, what is of other plugins is let pass."""
        return cls(
            settings.get("max_keys", MAX_KEYS), settings.get("ttl", TTL_MS), settings.get("namespace", NAMESPACE)
        )

    def to_dict(self) -> dict[str, Any]:
        """The settings as KAIREI's JSON has them."""
        return {"max_keys": self.max_keys, "ttl": self.ttl_ms, "namespace": self.namespace}
