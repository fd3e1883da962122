"""`RunContext`: one run of a workflow, with memory of its own and memory that it shares.

*Sensory memory* belongs to one run and ends with it. It lies in a tree of the whole store, under the token of the process
that began the run and the run's id, so that what a dead process leaves can be told from what is in use and cleared
by anyone. *Short-term memory* is that of the run's key: an object of the namespace's memory, which all runs of that key
share and which survives them.

A run writes nothing by itself: beginning one makes two handles, ending one deletes an object if there is one.
"""

from __future__ import annotations

import os
from functools import update_wrapper
from itertools import count
from uuid import uuid4

from ..errors import AccessDenied, InvalidValue, StoreClosed
from ..keys import check_key
from .path import escape

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Concatenate, NoReturn, ParamSpec, Self, TypeVar

    from ..store import Store
    from .object import MemoryObject

    P = ParamSpec("P")
    R = TypeVar("R")

__all__ = ["RunContext"]

# The runs that this process has begun and not ended. Ids are random, so one set serves all stores.
_active: set[str] = set()

# A thread or task that outlives its run may write to the run's memory after that was cleared. Every so many ends, what
# such writes have left behind is cleared as well.
_SWEEP_EVERY = 1024
_ends = count(1)


class RunContext:
    """One run of a workflow; `Store.run` makes them.

    A context manager, also an asynchronous one, to be entered once::

        with store.run("customer-42") as ctx:
            ctx.sensory_memory["draft"] = "..."  # this run's alone, gone with it
            ctx.short_term_memory.incr("visits")  # of all runs of customer-42

    and a decorator of functions, coroutine functions and generators, each call of which is a run of its own that the
    function gets as its first argument. Threads may share a run. In a forked child it goes on as the parent's run: only
    the process that began it ends it.

    Args:
        store: Where the memory lies. Shared, not owned: the run does not close it.
        key: What the run is about: a key as for the store. None is a fresh one for each run.

    Raises:
        InvalidKey: The key cannot be one, or is too long for a path.
    """

    __slots__ = ("__weakref__", "_fresh", "_id", "_key", "_pid", "_sensory", "_short_term", "_store", "_unused")

    def __init__(self, store: Store, key: str | None = None) -> None:
        self._fresh = key is None
        self._key = uuid4().hex if key is None else check_key(key)
        self._id = uuid4().hex
        self._store = store
        self._short_term = store.memory(escape(self._key))
        self._sensory: MemoryObject | None = None
        self._pid = 0  # of the process that has begun it
        self._unused = [True]  # list.pop is atomic: of two threads that enter at once, one finds it empty

    @property
    def key(self) -> str:
        """What the run is about."""
        return self._key

    @property
    def id(self) -> str:
        """What tells this run from all others."""
        return self._id

    @property
    def store(self) -> Store:
        """The store that it was made from."""
        return self._store

    @property
    def short_term_memory(self) -> MemoryObject:
        """The memory that all runs of this key share."""
        return self._short_term

    @property
    def sensory_memory(self) -> MemoryObject:
        """The memory of this run. RuntimeError before it has begun and after it has ended."""
        sensory = self._sensory
        if sensory is None:
            raise RuntimeError(f"{self!r} {'has not begun: enter it with `with`' if self._unused else 'has ended'}")
        return sensory

    def __repr__(self) -> str:
        state = "" if self._sensory is not None else " (not begun)" if self._unused else " (ended)"
        return f"<RunContext {self._id} of {self._key!r} in {self._store.url}{state}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise InvalidValue(
            "a run belongs to the process that began it and cannot be pickled; send its store, one of its memory objects "
            "or a MemoryRef instead"
        )

    # ------------------------------------------------------------------ begin and end

    def __enter__(self) -> Self:
        try:
            self._unused.pop()
        except IndexError:
            raise RuntimeError(f"{self!r} was entered before; each run needs a store.run() of its own") from None
        store = self._store
        runs = store._runs()
        if runs.read_only:  # a scope that may write nothing still has runs
            raise AccessDenied(f"the store {store.url} was opened read-only: a run writes to it", name=store.name)
        sensory = runs._child(store._process_token(), self._id)
        _active.add(self._id)
        self._pid = os.getpid()
        self._sensory = sensory
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sensory, self._sensory = self._sensory, None
        if sensory is None or self._pid != os.getpid():
            return
        try:
            sensory.delete()
            if next(_ends) % _SWEEP_EVERY == 0:
                _clear_what_ended_runs_left(self._store._unscoped())
        except StoreClosed:
            pass  # inside the block; what the run left goes as that of a dead process does, or with a later sweep
        finally:
            _active.discard(self._id)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    # ------------------------------------------------------------------ as a decorator

    def __call__(self, function: Callable[Concatenate[RunContext, P], R]) -> Callable[P, R]:
        """Make each call of the function a run of its own, which it gets as its first argument.

        Runs of a decorator without a key have a fresh key each.
        """
        decorated: Callable[P, R] = _decorate(self._again, function)
        return decorated

    def _again(self) -> RunContext:
        return RunContext(self._store, None if self._fresh else self._key)


def _clear_what_ended_runs_left(store: Store) -> None:
    own = store._runs()._child(store._process_token())
    for name, _ in own._fields(""):
        if name not in _active:  # it was listed, so it had begun: now it has ended
            own.delete(escape(name))


# ---------------------------------------------------------------------- functions, each call of which is a run


def _decorate(begin: Callable[[], RunContext], function: Any) -> Any:
    """Wrap the function in one of its own kind, so that it is called, awaited or iterated as before."""
    import inspect

    if not callable(function):
        raise InvalidValue(f"a run decorates functions, not {type(function).__name__}")
    wrap = _plain
    if inspect.iscoroutinefunction(function):
        wrap = _coroutine
    elif inspect.isasyncgenfunction(function):
        wrap = _async_generator
    elif inspect.isgeneratorfunction(function):
        wrap = _generator
    in_run = update_wrapper(wrap(begin, function), function)
    del in_run.__wrapped__  # it has one argument more, so its signature is not that of the result
    return in_run


def _plain(begin: Callable[[], RunContext], function: Any) -> Any:
    def in_run(*args: Any, **kwargs: Any) -> Any:
        with begin() as run:
            return function(run, *args, **kwargs)

    return in_run


def _coroutine(begin: Callable[[], RunContext], function: Any) -> Any:
    async def in_run(*args: Any, **kwargs: Any) -> Any:
        with begin() as run:
            return await function(run, *args, **kwargs)

    return in_run


def _generator(begin: Callable[[], RunContext], function: Any) -> Any:
    def in_run(*args: Any, **kwargs: Any) -> Any:
        with begin() as run:
            return (yield from function(run, *args, **kwargs))

    return in_run


def _async_generator(begin: Callable[[], RunContext], function: Any) -> Any:
    from contextlib import aclosing

    async def in_run(*args: Any, **kwargs: Any) -> Any:
        with begin() as run:
            async with aclosing(function(run, *args, **kwargs)) as items:
                async for item in items:
                    yield item

    return in_run
