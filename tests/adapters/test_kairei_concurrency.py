"""KAIREI's shared memory with many tasks, threads and processes at once."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from shoal.adapters.kairei import KeyNotFound, SharedMemoryPlugin, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processes import Crew, Gun

    from conftest import Backend  # type: ignore[import-not-found]


@pytest.fixture
def plugin(backend: Backend) -> Iterator[SharedMemoryPlugin]:
    with SharedMemoryPlugin(namespace="test_concurrent", url=backend.open()) as made:
        yield made


# ---------------------------------------------------------------------- tasks


def test_tasks_that_set_and_get(plugin: SharedMemoryPlugin) -> None:
    async def main() -> list[Any]:
        await asyncio.gather(*(plugin.set(f"concurrent_key_{number}", number) for number in range(100)))
        return await asyncio.gather(*(plugin.get(f"concurrent_key_{number}") for number in range(100)))

    assert asyncio.run(main()) == list(range(100))


def test_listing_a_thousand_keys(plugin: SharedMemoryPlugin) -> None:
    async def main() -> list[list[str]]:
        for number in range(1000):
            await plugin.set(f"pattern_key_{number}", number)
        patterns = ["pattern_key_*", *(f"pattern_key_{digit}*" for digit in range(1, 5))]
        return await asyncio.gather(*(plugin.list_keys(pattern) for pattern in patterns * 4))

    assert [len(keys) for keys in asyncio.run(main())] == [1000, 111, 111, 111, 111] * 4


def test_no_more_keys_than_may_be(backend: Backend) -> None:
    async def main(plugin: SharedMemoryPlugin) -> tuple[list[Any], list[str]]:
        sets = (plugin.set(f"capacity_key_{number}", number) for number in range(100))
        return await asyncio.gather(*sets, return_exceptions=True), await plugin.list_keys("capacity_key_*")

    with SharedMemoryPlugin(max_keys=50, namespace="test_capacity", url=backend.open()) as plugin:
        outcomes, keys = asyncio.run(main(plugin))
    assert outcomes.count(None) == len(keys) == 50
    assert {type(outcome) for outcome in outcomes} == {type(None), StorageError}


# ---------------------------------------------------------------------- threads and processes


def mix(plugin: SharedMemoryPlugin, worker: int) -> int:
    """Set, get, delete and list keys that others do, too; how many calls did what they should."""

    async def main() -> int:
        done = 0
        dice = random.Random(worker)
        for _ in range(100):
            key = f"mixed_key_{dice.randrange(20)}"
            call = dice.choice([plugin.get, plugin.delete, plugin.exists, plugin.get_metadata, plugin.list_keys, None])
            try:
                if call is None:
                    await plugin.set(key, {"worker": worker, "value": key})
                else:
                    await call(key)
                done += 1
            except KeyNotFound:  # and no other error
                continue
        for key in await plugin.list_keys("*"):
            with suppress(KeyNotFound):
                assert (await plugin.get(key))["value"] == key
        return done

    return asyncio.run(main())


def test_threads_that_do_all_at_once(plugin: SharedMemoryPlugin) -> None:
    done: list[int] = []
    threads = [Thread(target=lambda worker=worker: done.append(mix(plugin, worker))) for worker in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 3
    assert min(done) > 0


def test_what_expires_while_all_is_done_at_once_is_gone(backend: Backend) -> None:
    async def fill(plugin: SharedMemoryPlugin) -> None:
        keys = [f"expiring_{number}" for number in range(50)]
        await asyncio.gather(*(plugin.set(key, {"value": key}) for key in keys))

    with SharedMemoryPlugin(ttl_ms=50, namespace="expiring", url=backend.open()) as plugin:
        asyncio.run(fill(plugin))
        assert mix(plugin, 0) > 0
        for key in plugin.store.list_keys("*"):
            backend.outlive(plugin.store, key)
        assert asyncio.run(plugin.list_keys("*")) == []
        asyncio.run(fill(plugin))


def mix_in_process(line: Any, gun: Gun, plugin: SharedMemoryPlugin, worker: int) -> int:
    gun.wait()
    return mix(plugin, worker)


def test_processes_that_do_all_at_once(crew: Crew) -> None:
    with SharedMemoryPlugin(ttl_ms=20, url=f"shm://{crew.name()}?size=16MiB") as plugin:
        gun = crew.gun()
        children = [crew.start(mix_in_process, gun, plugin, worker) for worker in range(3)]
        gun.fire(3)
        assert min(child.result() for child in children) > 0


def fill(line: Any, gun: Gun, url: str, worker: int) -> int:
    async def main() -> int:
        with SharedMemoryPlugin(max_keys=50, namespace="capacity", url=url) as plugin:
            gun.wait()
            sets = (plugin.set(f"{worker}_{number}", number) for number in range(50))
            outcomes = await asyncio.gather(*sets, return_exceptions=True)
            return outcomes.count(None)

    return asyncio.run(main())


def test_the_limit_of_keys_holds_for_all_processes(crew: Crew) -> None:
    url = f"shm://{crew.name()}?size=16MiB"
    with SharedMemoryPlugin(max_keys=50, namespace="capacity", url=url) as plugin:
        gun = crew.gun()
        children = [crew.start(fill, gun, url, worker) for worker in range(3)]
        gun.fire(3)
        assert sum(child.result() for child in children) == 50
        assert len(asyncio.run(plugin.list_keys("*"))) == 50


PROGRAM = """
import asyncio, sys
from shoal.adapters.kairei import SharedMemoryPlugin
async def main():
    plugin = SharedMemoryPlugin(max_keys=7, namespace="providers", url=sys.argv[1])
    print(plugin.config.max_keys, await plugin.get("shared_key"))
    await plugin.set("shared_key", {"source": "provider2"})
asyncio.run(main())
"""


def test_programs_share_by_the_url(crew: Crew) -> None:
    url = f"shm://{crew.name()}?size=16MiB"
    with SharedMemoryPlugin(namespace="providers", url=url) as plugin:
        asyncio.run(plugin.set("shared_key", {"source": "provider1"}))
        assert crew.run(PROGRAM, url) == "10000 {'source': 'provider1'}"
        assert asyncio.run(plugin.get("shared_key")) == {"source": "provider2"}
