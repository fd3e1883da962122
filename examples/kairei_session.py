"""Providers in different processes share session state: KAIREI's shared memory, `shoal.adapters.kairei`.

    python examples/kairei_session.py

Three processes answer requests of users. Who answers first looks the user up, which takes long, and leaves what it found for
all; each request leaves a trace in the user's session. The traces are keys of their own, so none of them gets lost.
"""

import asyncio
from multiprocessing import get_context
from typing import Any

import shoal
from shoal.adapters.kairei import KeyNotFound, SharedMemoryConfig, SharedMemoryPlugin, StorageError

USERS = {"123": "Alice", "456": "Bob", "789": "Charlie"}
PROVIDERS = 3
REQUESTS = 4  # of each user, by each provider


async def get_user(memory: SharedMemoryPlugin, user: str) -> dict[str, Any]:
    """Ask the shared memory first: what one provider looked up, all of them know."""
    try:
        found: dict[str, Any] = await memory.get(f"user_{user}")
    except KeyNotFound:
        await asyncio.sleep(0.01)  # the database
        found = {"name": USERS[user], "role": "admin" if user == "123" else "guest"}
        await memory.set(f"user_{user}", found)
    return found


async def provide(memory: SharedMemoryPlugin, provider: int) -> None:
    """Answer requests."""
    for number in range(REQUESTS):
        for user in USERS:
            found = await get_user(memory, user)
            answer = f"provider {provider} to {found['name']}: answer {number}"
            await memory.set(f"session_{user}_{provider}_{number}", {"answer": answer})


def run_provider(url: str, provider: int) -> None:
    """Run in a process of its own, which needs nothing but the URL."""
    with SharedMemoryPlugin(namespace="help_desk", url=url) as memory:
        asyncio.run(provide(memory, provider))


async def report(memory: SharedMemoryPlugin) -> None:
    """Show what all providers have left."""
    for key in await memory.list_keys("user_*"):
        user = await memory.get(key)
        metadata = await memory.get_metadata(key)
        answers = await memory.list_keys(f"session_{key.removeprefix('user_')}_*")
        print(f"{user['name']} ({metadata.size} bytes of {metadata.content_type}): {len(answers)} answers")
        assert len(answers) == PROVIDERS * REQUESTS

    print("by the last provider:", await memory.list_keys(f"session_123_[!0-{PROVIDERS - 2}]_*"))
    try:
        for number in range(100):
            await memory.set(f"too_many_{number}", None)
    except StorageError as error:
        print(error)


def main() -> None:
    """Let three processes answer, then look at what they share."""
    with shoal.open() as store:
        config = SharedMemoryConfig(max_keys=50, ttl_ms=7_200_000, namespace="help_desk")
        config.validate()
        memory = SharedMemoryPlugin(config, url=store)  # the first settings count, for all
        context = get_context("spawn")
        providers = [context.Process(target=run_provider, args=(store.url, number)) for number in range(PROVIDERS)]
        for provider in providers:
            provider.start()
        for provider in providers:
            provider.join()
        asyncio.run(report(memory))
        memory.close()


if __name__ == "__main__":
    main()
