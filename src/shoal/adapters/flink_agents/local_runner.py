"""`install`: the package's own local runner, with the memory of its contexts in a Shoal store."""

from __future__ import annotations

from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any

import shoal

from .context import SharedMemories
from .ttl import StateTtl

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

__all__ = ["install", "uninstall"]

_RUNNER = "flink_agents.runtime.local_runner"

# What the run under way, of this thread, has begun. The package clears sensory memory only before the next run of a key.
_begun: ContextVar[list[SharedMemories] | None] = ContextVar("_begun", default=None)


def install(
    store: shoal.Store | str, *, any_value: bool = False, ttl: StateTtl | float | timedelta | Any = None
) -> shoal.Store:
    """From now on, agents that run locally keep sensory and short-term memory in this store.

    That is what ``AgentsExecutionEnvironment.get_execution_environment()`` without Flink, and `LocalRunner`, run. Runs of one
    key share short-term memory, in all processes that install the same store; sensory memory goes with its run.

    Args:
        store: A Shoal store or its URL.
        any_value: As for `LocalMemoryObject`.
        ttl: How long fields of short-term memory live. Left out, what the configuration of an agent's environment says.

    Returns:
        The store. One that was opened by its URL may be closed by the caller, after `uninstall`.

    Raises:
        ImportError: `flink-agents`, or what it needs, is not installed.
    """
    runner = _runner()
    shared = shoal.open(store) if isinstance(store, str) else store
    fixed = StateTtl.of(ttl)
    original = _original(runner.LocalRunnerContext)

    class SharedRunnerContext(original):  # type: ignore[misc, valid-type]  # known at run time
        """The package's context of a key, with memory in the store."""

        def __init__(self, agent_plan: Any, key: Any, config: Any) -> None:
            super().__init__(agent_plan, key, config)
            lives = StateTtl.of(config) if fixed is None else fixed
            self._shared = SharedMemories(shared, key, any_value=any_value, ttl=lives)

        @property
        def sensory_memory(self) -> Any:
            return self._shared.sensory

        @property
        def short_term_memory(self) -> Any:
            return self._shared.short_term

        def clear_sensory_memory(self) -> None:
            self._shared.clear_sensory()
            begun = _begun.get()
            if begun is not None:
                begun.append(self._shared)

        def close(self) -> None:
            try:
                self._shared.end()
            finally:
                super().close()

    SharedRunnerContext.shoal_original = original
    runner.LocalRunnerContext = SharedRunnerContext
    runner.LocalRunner.run = _clearing(_original(runner.LocalRunner.run))
    return shared


def uninstall() -> None:
    """Undo `install`: contexts that are made from now on have memory of their own again."""
    runner = _runner()
    runner.LocalRunnerContext = _original(runner.LocalRunnerContext)
    runner.LocalRunner.run = _original(runner.LocalRunner.run)


def _clearing(run: Callable[..., Any]) -> Any:
    """The runner's method that runs an agent, with sensory memory cleared at its end."""

    @wraps(run)
    def run_and_clear(self: Any, **data: Any) -> Any:
        begun: list[SharedMemories] = []
        token = _begun.set(begun)
        try:
            return run(self, **data)
        finally:
            _begun.reset(token)
            for memories in begun:
                if not memories.ended:
                    memories.clear_sensory()

    run_and_clear.shoal_original = run  # type: ignore[attr-defined]
    return run_and_clear


def _runner() -> Any:
    from importlib import import_module

    try:
        return import_module(_RUNNER)
    except ModuleNotFoundError as error:
        raise ImportError(
            f'the local runner of flink-agents cannot be imported ({error}): pip install "shoal[flink-agents]"',
            name=error.name,
        ) from error


def _original(current: Any) -> Any:
    return getattr(current, "shoal_original", current)
