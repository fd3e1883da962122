"""What the processes of the Agno tests share.

A module of its own, so that children that are spawned find the functions that they run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from processes import Crew, Gun

PROCESSES = 3


def _work(line: Any, gun: Gun, do: Callable[..., Any], *arguments: Any) -> Any:
    gun.wait()
    return do(*arguments)


def at_once(crew: Crew, do: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Run `do(me, *arguments)` in processes that begin together; what each returned."""
    gun = crew.gun()
    children = [crew.start(_work, gun, do, me, *arguments) for me in range(PROCESSES)]
    gun.fire(PROCESSES)
    return [child.result() for child in children]


def call(line: Any, do: Callable[..., Any], *arguments: Any) -> Any:
    """For children that are spawned: run the function and hand back what it returns."""
    return do(*arguments)
