"""`AsyncInMemoryDb`: the methods of `InMemoryDb` as coroutines, for agents that are run by `arun`."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any

from agno.db.base import AsyncBaseDb

from .db import InMemoryDb

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from shoal import Store

__all__ = ["AsyncInMemoryDb"]


def _coroutine(name: str, method: Callable[..., Any]) -> Any:
    """A coroutine function that calls the method of `db`.

    Not in another thread: a call takes microseconds, as long as one switch to a thread and back. (It waits only for a lock that
    a process holds that was stopped in the middle of a write.)
    """

    @wraps(method)
    async def call(self: AsyncInMemoryDb, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.db, name)(*args, **kwargs)

    return call


def _own_methods() -> dict[str, Callable[..., Any]]:
    """The public methods that `InMemoryDb` has for itself, not from Agno."""
    return {
        name: method
        for cls in reversed(InMemoryDb.__mro__)
        if cls.__module__.startswith(__package__ or "")
        for name, method in vars(cls).items()
        if inspect.isfunction(method) and not name.startswith("_") and name != "to_dict"
    }


# A class of their own, so that they are there when Agno's abstract class looks for them.
_Coroutines: Any = type("_Coroutines", (), {name: _coroutine(name, method) for name, method in _own_methods().items()})


class AsyncInMemoryDb(_Coroutines, AsyncBaseDb):  # type: ignore[misc]  # Agno's classes are Any where it is not installed
    """`InMemoryDb` with coroutines in place of its methods.

    Args:
        url: The store to share, as `shoal.open` takes it, or one that is open. None: one of this object's own, which processes
            that get the object share.
        id: The id of the database; None: a new one.

    Attributes:
        db: The `InMemoryDb` of the same store.
    """

    def __init__(self, url: str | Store | None = None, *, id: str | None = None) -> None:
        self._attach(InMemoryDb(url, id=id))

    def _attach(self, db: InMemoryDb) -> None:
        super().__init__(id=db.id)
        self.db = db

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.db)

    def __deepcopy__(self, memo: Any) -> Self:
        return self  # a copy of an agent works on the same database

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` needs to reach the same store, if it has a name."""
        return self.db.to_dict()

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The database of the store that `to_dict` has named; if it had no name, a new one."""
        return cls(data.get("url"), id=data.get("id"))


def _rebuild(cls: type[AsyncInMemoryDb], db: InMemoryDb) -> AsyncInMemoryDb:
    made = cls.__new__(cls)
    made._attach(db)
    return made
