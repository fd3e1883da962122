"""KAIREI's shared memory: what its own tests assert, and what its documentation says."""

from __future__ import annotations

import asyncio
import pickle
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import shoal
from shoal.adapters import kairei
from shoal.adapters.kairei import SharedMemoryConfig, SharedMemoryPlugin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Backend  # type: ignore[import-not-found]


class Memory:
    """A plugin whose coroutines are run to their end: the rules are the same whoever waits."""

    def __init__(self, plugin: SharedMemoryPlugin) -> None:
        self.plugin = plugin

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: asyncio.run(getattr(self.plugin, name)(*arguments))


@pytest.fixture
def store(backend: Backend) -> shoal.Store:
    return backend.open()


@pytest.fixture
def memory(store: shoal.Store) -> Iterator[Memory]:
    with SharedMemoryPlugin(max_keys=100, namespace="test", url=store) as plugin:
        yield Memory(plugin)


def ttl_memory(store: shoal.Store, ttl_ms: int) -> Memory:
    return Memory(SharedMemoryPlugin(max_keys=100, ttl_ms=ttl_ms, namespace="short", url=store))


# ---------------------------------------------------------------------- keys and values


def test_basic_operations(memory: Memory) -> None:
    value = {"test": "value"}
    assert memory.set("test_key", value) is None
    assert memory.get("test_key") == value
    assert memory.exists("test_key")
    assert not memory.exists("nonexistent")
    assert memory.delete("test_key") is None
    assert not memory.exists("test_key")


VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -(2**63),
        2**64 - 1,
        0.5,
        1e300,
        "",
        "żółw \0",
        [],
        {},
        [1, [2.0, None]],
        {"": {"a": [{}]}},
    ),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_json_values_come_back(memory: Memory, value: Any) -> None:
    memory.set("key", value)
    assert repr(memory.get("key")) == repr(value)


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    "value",
    [
        (1, 2),
        {1: 2},
        {"a": {1}},
        b"bytes",
        float("nan"),
        float("inf"),
        2**64,
        -(2**63) - 1,
        object(),
        ENDLESS,
        "\ud800",
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_json_is_refused(memory: Memory, value: Any) -> None:
    memory.set("key", "stays")
    with pytest.raises(kairei.InvalidValue, match=r"^Invalid value: "):
        memory.set("key", [value])
    assert memory.get("key") == "stays"


def test_a_value_is_a_copy(memory: Memory) -> None:
    memory.set("key", {"list": []})
    memory.get("key")["list"].append(1)
    assert memory.get("key") == {"list": []}


@pytest.mark.parametrize("key", [" ", "\0", "line\nbreak", "x" * 10_000, "a/b", "*", "user_żółw"])
def test_any_key_but_the_empty_one(memory: Memory, key: str) -> None:
    memory.set(key, 1)
    assert memory.exists(key)
    assert memory.list_keys("*") == [key]
    memory.delete(key)
    assert memory.list_keys("*") == []


# ---------------------------------------------------------------------- errors


def text_of(kind: type[Exception], call: Any, *arguments: Any) -> str:
    with pytest.raises(kind) as caught:
        call(*arguments)
    assert type(caught.value) is kind
    return str(caught.value)


@pytest.mark.parametrize("call", ["get", "delete", "get_metadata"])
@pytest.mark.parametrize("key", ["nonexistent", "", "x" * 70_000, "\ud800"])
def test_key_not_found(memory: Memory, call: str, key: str) -> None:
    assert text_of(kairei.KeyNotFound, getattr(memory, call), key) == f"Key not found: {key}"
    assert memory.exists(key) is False


def test_invalid_key(memory: Memory) -> None:
    assert text_of(kairei.InvalidKey, memory.set, "", 1) == "Invalid key: Key cannot be empty"
    for key in ("x" * 70_000, "\ud800", 5):
        assert text_of(kairei.InvalidKey, memory.set, key, 1).startswith("Invalid key: ")
    assert text_of(kairei.InvalidKey, memory.get, 5).startswith("Invalid key: ")


def test_pattern_error(memory: Memory) -> None:
    assert text_of(kairei.PatternError, memory.list_keys, "") == "Pattern parsing error: Pattern cannot be empty"
    assert (
        text_of(kairei.PatternError, memory.list_keys, "[invalid-pattern")
        == "Pattern parsing error: Pattern syntax error near position 0: invalid range pattern"
    )


def test_capacity_limits(store: shoal.Store) -> None:
    memory = Memory(SharedMemoryPlugin(max_keys=2, namespace="test", url=store))
    memory.set("key1", 1)
    memory.set("key2", 2)
    assert text_of(kairei.StorageError, memory.set, "key3", 3) == "Storage error: Maximum capacity reached (2 keys)"
    assert memory.list_keys("*") == ["key1", "key2"]
    memory.set("key2", "updated")  # as documented: what is there can be written
    assert memory.get("key2") == "updated"
    memory.delete("key1")
    memory.set("key3", 3)
    assert memory.list_keys("*") == ["key2", "key3"]
    memory.plugin.close()


def test_a_full_store_is_a_storage_error(backend: Backend) -> None:
    if backend.kind == "memory":
        pytest.skip("memory:// has no limit")
    with SharedMemoryPlugin(url=backend.open(size="16MiB")) as plugin:
        text = text_of(kairei.StorageError, Memory(plugin).set, "key", "x" * (32 << 20))
    assert text.startswith("Storage error: ")
    assert "Maximum capacity" not in text


def test_a_read_only_store_denies_access(backend: Backend) -> None:
    if backend.kind == "memory":
        pytest.skip("a memory:// store has one user, who may write")
    with SharedMemoryPlugin(url=backend.open()) as plugin:
        Memory(plugin).set("key", 1)
        reading = backend.open(flag="r")
        with SharedMemoryPlugin(url=reading) as reader:
            assert Memory(reader).get("key") == 1
            assert text_of(kairei.AccessDenied, Memory(reader).set, "key", 2).startswith("Access denied: ")
        with pytest.raises(kairei.AccessDenied, match=r"^Access denied: "):
            SharedMemoryPlugin(url=reading, namespace="new")


def test_a_closed_store_is_a_storage_error(store: shoal.Store) -> None:
    plugin = SharedMemoryPlugin(url=store)
    plugin.close()
    assert text_of(kairei.StorageError, Memory(plugin).get, "key").startswith("Storage error: ")


@pytest.mark.parametrize("url", ["unheard-of://x", "shm://x?size=large", "no/name", "shm://x?colour=red"])
def test_a_url_that_is_none_is_a_storage_error(url: str) -> None:
    """It says nothing about a key or a value."""
    for make in (
        lambda: SharedMemoryPlugin(url=url),
        lambda: kairei.ProviderRegistry(url).get_or_create_shared_memory_plugin(SharedMemoryConfig()),
    ):
        with pytest.raises(kairei.StorageError) as caught:
            make()
        assert type(caught.value) is kairei.StorageError
        assert isinstance(caught.value.__cause__, shoal.InvalidKey | shoal.InvalidValue)


@pytest.mark.parametrize(
    "name", ["AccessDenied", "InvalidKey", "InvalidValue", "KeyNotFound", "PatternError", "StorageError"]
)
def test_each_error_is_shoals_error_of_that_name(name: str) -> None:
    kind = getattr(kairei, name)
    assert issubclass(kind, kairei.SharedMemoryError)
    assert issubclass(kind, getattr(shoal, name))
    error = pickle.loads(pickle.dumps(kind("detail", key="k")))
    assert (type(error), str(error), error.detail, error.key) == (kind, str(kind("detail")), "detail", "k")


# ---------------------------------------------------------------------- metadata


def test_metadata(memory: Memory) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    memory.set("key", {"a": "ż", "b": [1, 2.5]})
    found = memory.get_metadata("key")
    assert found.content_type == "application/json"
    assert found.size == len('{"a":"ż","b":[1,2.5]}'.encode())
    assert found.tags == {}
    assert before < found.created_at <= found.last_modified <= datetime.now(UTC) + timedelta(seconds=2)


def test_an_update_keeps_created_at(memory: Memory) -> None:
    memory.set("key", "short")
    first = memory.get_metadata("key")
    while memory.get_metadata("key").last_modified == first.last_modified:  # until the clock has ticked
        memory.set("key", "a longer value")
    second = memory.get_metadata("key")
    assert second.created_at == first.created_at
    assert second.last_modified > first.last_modified
    assert (first.size, second.size) == (7, 16)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((1e16, "1e16"), (1e15, "1000000000000000.0"), (1.5e300, "1.5e300"), (1e-4, "0.0001"), (1e-5, "0.00001")),
        *(
            (-1.25e-5, "-0.0000125"),
            (1e-6, "1e-6"),
            (1e-7, "1e-7"),
            (-2.5e-10, "-2.5e-10"),
            (0.0, "0.0"),
            (-0.0, "-0.0"),
        ),
        *(([1e16, {"a": 1e-7}], '[1e16,{"a":1e-7}]'), ('\n\x01\x7f"\\', '"\\n\\u0001\x7f\\"\\\\"'), (None, "null")),
    ],
)
def test_size_is_that_of_compact_json(memory: Memory, value: Any, text: str) -> None:
    memory.set("key", value)
    assert memory.get_metadata("key").size == len(text.encode())


def test_metadata_by_default() -> None:
    found = kairei.Metadata()
    assert (found.content_type, found.size, found.tags) == ("application/json", 0, {})
    assert abs(datetime.now(UTC) - found.created_at) < timedelta(minutes=1)
    moment = datetime(2025, 1, 2, 3, 4, 5, 600, tzinfo=UTC)
    assert kairei.Metadata(moment, moment).to_dict() == {
        "created_at": "2025-01-02T03:04:05.000600Z",
        "last_modified": "2025-01-02T03:04:05.000600Z",
        "content_type": "application/json",
        "size": 0,
        "tags": {},
    }


# ---------------------------------------------------------------------- time to live


def test_a_value_is_gone_after_its_ttl(backend: Backend, store: shoal.Store) -> None:
    memory = ttl_memory(store, 50)
    memory.set("key", 1)
    backend.outlive(memory.plugin.store, "key")
    assert not memory.exists("key")
    assert memory.list_keys("*") == []
    for call in (memory.get, memory.get_metadata):
        with pytest.raises(kairei.KeyNotFound):
            call("key")
    memory.set("key", 2)
    assert memory.get("key") == 2
    memory.plugin.close()


def test_a_write_begins_the_ttl_anew_and_a_read_does_not(store: shoal.Store) -> None:
    memory = ttl_memory(store, 100_000)
    memory.set("key", 1)
    values = memory.plugin.store
    values.touch("key", 50)
    memory.get("key")
    assert values.ttl("key") <= 50
    memory.set("key", 2)
    assert values.ttl("key") > 90
    memory.plugin.close()


def test_ttl_0_is_for_ever(store: shoal.Store) -> None:
    memory = ttl_memory(store, 0)
    memory.set("key", 1)
    assert memory.plugin.store.ttl("key") is None
    memory.plugin.close()


def test_expired_keys_make_room(backend: Backend, store: shoal.Store) -> None:
    memory = Memory(SharedMemoryPlugin(max_keys=2, ttl_ms=50, url=store))
    memory.set("a", 1)
    memory.set("b", 1)
    backend.outlive(memory.plugin.store, "a")
    backend.outlive(memory.plugin.store, "b")
    memory.set("c", 1)
    assert memory.list_keys("*") == ["c"]
    memory.plugin.close()


# ---------------------------------------------------------------------- settings


def test_defaults() -> None:
    config = SharedMemoryConfig()
    assert (config.max_keys, config.ttl_ms, config.namespace) == (10_000, 3_600_000, "shared")
    assert config.to_dict() == {"max_keys": 10_000, "ttl": 3_600_000, "namespace": "shared"}
    assert SharedMemoryConfig.from_dict({}) == config
    assert SharedMemoryConfig.from_dict({"ttl": 5, "base": {}}) == SharedMemoryConfig(ttl_ms=5)
    config.validate()


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        (SharedMemoryConfig(max_keys=9, ttl_ms=1), "max_keys", "If specified, max_keys must be at least 10"),
        (SharedMemoryConfig(ttl_ms=999), "ttl", "If specified, TTL must be at least 1000ms (1 second)"),
        *(
            (
                SharedMemoryConfig(namespace=name),
                "namespace",
                "Namespace must contain only alphanumeric characters, underscores, and dashes",
            )
            for name in ("a b", "a/b", "a.b")
        ),
    ],
)
def test_settings_that_are_not_valid(config: SharedMemoryConfig, field: str, message: str) -> None:
    with pytest.raises(kairei.ConfigError) as caught:
        config.validate()
    assert (caught.value.field, caught.value.message) == (field, message)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "config",
    [SharedMemoryConfig(0, 0, ""), SharedMemoryConfig(10, 1000, "żółw_5-Ⅷ")],
    ids=["unlimited", "least"],
)
def test_settings_that_are_valid(config: SharedMemoryConfig) -> None:
    config.validate()


def test_merge_defaults() -> None:
    config = SharedMemoryConfig(0, 0, "")
    config.merge_defaults()
    assert config == SharedMemoryConfig()
    config = SharedMemoryConfig(5, 6, "seven")
    config.merge_defaults()
    assert config == SharedMemoryConfig(5, 6, "seven")


def test_the_first_settings_of_a_namespace_count(store: shoal.Store) -> None:
    with (
        SharedMemoryPlugin(max_keys=2, namespace="a", url=store) as first,
        SharedMemoryPlugin(max_keys=5, ttl_ms=7, namespace="a", url=store) as second,
    ):
        assert second.config == first.config == SharedMemoryConfig(2, 3_600_000, "a")
        for number in range(2):
            Memory(second).set(str(number), number)
        with pytest.raises(kairei.StorageError, match=r"\(2 keys\)"):
            Memory(second).set("2", 2)


@pytest.mark.parametrize(
    "wrong",
    [{"max_keys": -1}, {"max_keys": 1.5}, {"ttl_ms": -5}, {"ttl_ms": "1h"}, {"ttl_ms": True}, {"ttl_ms": 2**63}],
    ids=str,
)
def test_settings_that_cannot_be_do_not_count(store: shoal.Store, wrong: dict[str, Any]) -> None:
    with pytest.raises(kairei.InvalidValue):
        SharedMemoryPlugin(namespace="a", url=store, **wrong)
    with SharedMemoryPlugin(max_keys=2, namespace="a", url=store) as plugin:  # whoever comes next
        assert plugin.config == SharedMemoryConfig(2, 3_600_000, "a")
        with pytest.raises(kairei.InvalidKey, match="must be a str"):
            SharedMemoryPlugin(namespace=5, url=store)  # type: ignore[arg-type]


def test_namespaces_are_apart(store: shoal.Store) -> None:
    with (
        SharedMemoryPlugin(namespace="app1", url=store) as one,
        SharedMemoryPlugin(namespace="app2", url=store) as other,
        SharedMemoryPlugin(namespace="app1", url=store) as same,
    ):
        Memory(one).set("settings", {"theme": "dark"})
        Memory(other).set("settings", {"theme": "light"})
        assert Memory(one).get("settings") == Memory(same).get("settings") == {"theme": "dark"}
        assert Memory(other).get("settings") == {"theme": "light"}


def test_plugins_without_a_url_are_apart() -> None:
    with SharedMemoryPlugin() as one, SharedMemoryPlugin() as other:
        Memory(one).set("key", 1)
        assert not Memory(other).exists("key")
        assert (one.priority(), one.capability()) == (100, "SharedMemory")


# ---------------------------------------------------------------------- the registry


def test_a_plugin_that_was_closed_is_made_anew(backend: Backend) -> None:
    registry = kairei.ProviderRegistry(backend.url())
    with registry.get_or_create_shared_memory_plugin(SharedMemoryConfig(namespace="a")) as plugin:
        Memory(plugin).set("key", 1)
    assert Memory(registry.get_or_create_shared_memory_plugin(SharedMemoryConfig(namespace="a"))).get("key") == 1
    registry.shutdown()


def test_one_plugin_per_namespace(backend: Backend) -> None:
    registry = kairei.ProviderRegistry(backend.url())
    one = registry.get_or_create_shared_memory_plugin(SharedMemoryConfig(namespace="a"))
    assert registry.get_or_create_shared_memory_plugin(SharedMemoryConfig(max_keys=5, namespace="a")) is one
    assert registry.get_shared_memory_plugin("a") is one
    assert registry.get_shared_memory_plugin("b") is None
    other = registry.get_or_create_shared_memory_plugin(SharedMemoryConfig(namespace="b"))
    assert other is not one
    assert registry.list_shared_memory_namespaces() == ["a", "b"]
    registry.shutdown()
    assert registry.list_shared_memory_namespaces() == []
    registry.shutdown()


def test_five_namespaces_and_their_end() -> None:
    url = "shm://?size=16MiB"
    names = [f"namespace_{number}" for number in range(5)]
    for name in names:
        plugin = kairei.get_or_create_shared_memory_plugin(SharedMemoryConfig(namespace=name), url)
        Memory(plugin).set("key", name)
    assert kairei.list_shared_memory_namespaces(url) == names
    for name in names:
        found = kairei.get_shared_memory_plugin(name, url)
        assert found
        assert Memory(found).get("key") == name
        assert kairei.get_or_create_shared_memory_plugin(SharedMemoryConfig(namespace=name), url) is found
    assert kairei.list_shared_memory_namespaces() == []
    kairei.shutdown()
    assert kairei.list_shared_memory_namespaces(url) == []
    again = kairei.get_or_create_shared_memory_plugin(SharedMemoryConfig(namespace=names[0]), url)
    assert not Memory(again).exists("key")
    kairei.shutdown()
