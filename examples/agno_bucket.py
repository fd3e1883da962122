"""Sessions of agents (Agno 1): shared by processes, saved to a bucket, and taken up again from there.

Needs Agno 1: ``pip install "shoal[agno]" "agno<2"``. The bucket is a folder and the model says what it remembers, so nothing
is sent anywhere; with ``boto3.client("s3")`` and a model of a provider it works the same.
"""

from __future__ import annotations

import io
import json
import tempfile
from multiprocessing import Process
from pathlib import Path
from typing import Any

from agno.agent import Agent
from agno.models.base import Model
from agno.models.response import ModelResponse

from shoal.adapters.agno import InMemoryStorage  # was: from agno.storage.in_memory import InMemoryStorage


class Parrot(Model):  # type: ignore[misc]  # Any to a checker that has no Agno
    """A model that knows nothing but what it was asked."""

    def invoke(self, messages: list[Any], **_: Any) -> ModelResponse:
        """Answer from the history."""
        asked = [message.content for message in messages if message.role == "user"]
        return ModelResponse(role="assistant", content=f"Question {len(asked)}; your first was: {asked[0]}")

    def parse_provider_response(self, response: Any, **_: Any) -> Any:
        """Nothing to parse."""
        return response

    ainvoke = invoke_stream = ainvoke_stream = parse_provider_response_delta = parse_provider_response


class Bucket:
    """What the example uses of S3, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put_object(self, Bucket: str, Key: str, Body: str) -> None:  # noqa: N803 - as boto3 has it
        """Write an object."""
        (self.folder / f"{Bucket}-{Key}").write_text(Body)

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - as boto3 has it
        """Read an object."""
        return {"Body": io.BytesIO((self.folder / f"{Bucket}-{Key}").read_bytes())}


def agent_on(storage: InMemoryStorage) -> Agent:
    """An agent that goes on with the session "trip"."""
    return Agent(
        model=Parrot(id="parrot"), storage=storage, session_id="trip", add_history_to_messages=True, telemetry=False
    )


def ask_elsewhere(storage: InMemoryStorage) -> None:
    """Run in another process: the storage came as an argument."""
    print("another process: ", agent_on(storage).run("What is its population?").content)


def main() -> None:
    """Ask in two processes, save, load, and ask a new agent."""
    storage = InMemoryStorage()  # in a store of its own; InMemoryStorage(url="shm://desk") is one that others find
    print("this process:    ", agent_on(storage).run("What is the capital of France?").content)
    other = Process(target=ask_elsewhere, args=(storage,))
    other.start()
    other.join()

    with tempfile.TemporaryDirectory() as folder:
        s3 = Bucket(Path(folder))
        saved = json.dumps(dict(storage.storage.items()), default=str)
        s3.put_object(Bucket="my-bucket", Key="sessions.json", Body=saved)
        storage.close()
        loaded = json.loads(s3.get_object(Bucket="my-bucket", Key="sessions.json")["Body"].read())

    mine = InMemoryStorage(storage_dict=loaded)  # a dict of one's own works as before
    print("a new agent:     ", agent_on(mine).run("What was my first question?").content)
    back = InMemoryStorage()
    back.storage.update(loaded)  # or into a store again
    print("back in a store: ", sorted(back.storage))
    back.close()


if __name__ == "__main__":
    main()
