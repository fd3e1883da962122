"""`RunnerContext`: the two memories of one key, over a Shoal store."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID, uuid4

import shoal

from ...errors import KeyTypeError
from .bases import MemoryType, RunnerContextBase
from .memory import LocalMemoryObject
from .tree import TreeState
from .ttl import StateTtl

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from ...memory.run import RunContext

__all__ = ["RunnerContext", "SharedMemories", "key_text"]

_KEYS = (str, bytes, int, float, UUID, type(None))


def key_text(key: Any) -> str:
    """The key of a store's runs for a key of the original: a str as it is, others so that no two are one.

    Raises:
        KeyTypeError: Its text might be another one in another process.
    """
    if isinstance(key, str) and key and key[0] != "\0":
        return str.__str__(key)  # of an enum's member `str` makes another text
    parts = key if isinstance(key, tuple) else (key,)
    wrong = next((part for part in parts if not isinstance(part, _KEYS)), None)
    if wrong is not None:
        raise KeyTypeError(
            f"a key is a str, bytes, a number, a UUID, None, or a tuple of these, not {type(wrong).__name__}", key=key
        )
    return f"\0{key!r}"


class SharedMemories:
    """Sensory and short-term memory of one key.

    Short-term memory is that of ``store.run(key)``, so every context of the key has it, in all processes. Sensory
    memory is this context's alone, and what is in it goes when it is cleared, when the context is closed, and when the process
    that made it ends, however that ends. In a forked child it is the parent's until the child clears it: from then on it is
    the child's own.

    Args:
        store: Where they are. Shared, not owned.
        key: What they are about.
        any_value: As for `LocalMemoryObject`.
        ttl: How long fields of the short-term memory live.
    """

    def __init__(self, store: shoal.Store, key: Any, *, any_value: bool, ttl: StateTtl | None) -> None:
        self._store = store
        self._key = key_text(key)
        self._any_value = any_value
        self.ended = False
        self._run = self._begin()
        self.short_term = LocalMemoryObject(
            MemoryType.SHORT_TERM, self._run.short_term_memory, any_value=any_value, ttl=ttl
        )

    def _begin(self) -> RunContext:
        run = self._store.run(self._key)
        run.__enter__()
        self._pid = os.getpid()
        self._state = TreeState(run.sensory_memory)
        self.sensory = LocalMemoryObject(MemoryType.SENSORY, self._state, any_value=self._any_value)
        return run

    def clear_sensory(self) -> None:
        """Remove all that is in sensory memory. RuntimeError after `end`."""
        if self.ended or self._pid == os.getpid():
            self._run.sensory_memory.delete()
        else:
            self._run = self._begin()

    def end(self) -> None:
        """Remove what is in sensory memory, for good: writing to it is a RuntimeError from now on."""
        self.ended = True
        self._state.end()
        self._run.__exit__(None, None, None)


class _Done:
    """What `RunnerContext.durable_execute_async` gives: awaiting it calls the function."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call

    def __await__(self) -> Generator[None, None, Any]:
        yield from ()
        return self._call()


class RunnerContext(RunnerContextBase):
    """What an action gets: the memories of a key, and a queue of events.

    A context manager: its block is one run of an agent, at whose begin and end sensory memory is cleared::

        with RunnerContext("shm://swarm", "customer-42") as ctx:
            ctx.sensory_memory.set("draft", "...")
            ctx.short_term_memory.set("user.name", "john")

    The same context may run again; `close` it after the last time. It has no resources, no metrics and no long-term
    memory, and `durable_execute` calls the function.

    Args:
        store: A Shoal store or its URL; None: memory of this process alone.
        key: What the memories are about: a str, a number, a UUID...; None is a fresh UUID.
        any_value: As for `LocalMemoryObject`.
        ttl: How long fields of the short-term memory live: seconds, a `StateTtl`, or a configuration. Left out, what
            `config` says.
        config: What `config` gives.
        action_config: What `action_config` gives.
    """

    def __init__(
        self,
        store: shoal.Store | str | None = None,
        key: Any = None,
        *,
        any_value: bool = False,
        ttl: StateTtl | float | timedelta | Any = None,
        config: Any = None,
        action_config: Mapping[str, Any] | None = None,
    ) -> None:
        opened = None if isinstance(store, shoal.Store) else shoal.open("memory://" if store is None else store)
        self._opened = opened
        self._key = uuid4() if key is None else key
        self._config = {} if config is None else config
        self._action_config = dict(action_config or {})
        lives = StateTtl.of(self._config if ttl is None else ttl)
        shared = opened if opened is not None else store
        assert isinstance(shared, shoal.Store)
        self._memories = SharedMemories(shared, self._key, any_value=any_value, ttl=lives)
        self.events: deque[Any] = deque()

    @property
    def key(self) -> Any:
        """What the memories are about."""
        return self._key

    @property
    def sensory_memory(self) -> LocalMemoryObject:
        """The memory of one run."""
        return self._memories.sensory

    @property
    def short_term_memory(self) -> LocalMemoryObject:
        """The memory that all runs of the key share."""
        return self._memories.short_term

    def clear_sensory_memory(self) -> None:
        """Remove all that is in sensory memory; handles on it stay good."""
        self._memories.clear_sensory()

    def close(self) -> None:
        """Remove what is in sensory memory, and close the store if it was opened by its URL. Twice is fine.

        Writing to sensory memory is a RuntimeError from then on, also through a handle that was kept.
        """
        self._memories.end()
        if self._opened is not None:
            self._opened.close()

    def __enter__(self) -> Self:
        self.clear_sensory_memory()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._memories.ended:  # else it was closed inside the block
            self.clear_sensory_memory()

    def __repr__(self) -> str:
        return f"<RunnerContext of {self._key!r}>"

    # ------------------------------------------------------------------ the rest of what an action may ask for

    def send_event(self, event: Any) -> None:
        """Append an event to `events`."""
        self.events.append(event)

    @property
    def config(self) -> Any:
        """The configuration it was given."""
        return self._config

    @property
    def action_config(self) -> dict[str, Any]:
        """The configuration of the action it was given."""
        return self._action_config

    def get_action_config_value(self, key: str) -> Any:
        """One value of `action_config`, or None."""
        return self._action_config.get(key)

    def get_resource(self, name: str, type: Any, metric_group: Any = None) -> NoReturn:
        """Raise NotImplementedError: resources belong to a runner's plan."""
        raise NotImplementedError(f"a context without a runner has no resources, so no {name!r}")

    @property
    def long_term_memory(self) -> NoReturn:
        """Raise NotImplementedError."""
        raise NotImplementedError("there is no long-term memory here")

    @property
    def agent_metric_group(self) -> None:
        """None: there are no metrics."""
        return None

    @property
    def action_metric_group(self) -> None:
        """None: there are no metrics."""
        return None

    def durable_execute(
        self,
        func: Callable[..., Any],
        *args: Any,
        reconciler: Callable[[], Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call the function."""
        return func(*args, **kwargs)

    def durable_execute_async(
        self,
        func: Callable[..., Any],
        *args: Any,
        reconciler: Callable[[], Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """What calls the function when it is awaited."""
        return _Done(lambda: func(*args, **kwargs))
