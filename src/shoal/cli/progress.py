"""A progress bar on stderr: by `rich` if it is there, in plain text if not, none where nobody watches."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["progress", "track"]

_WIDTH = 30


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar for as long as the block runs; it gets a function to call with how much is done."""
    if not sys.stderr.isatty():
        yield _ignore
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError:
        try:
            yield lambda done: _draw(label, done, total)
        finally:
            print(file=sys.stderr)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.update(task, completed=done)


def track(label: str, items: Sequence[str]) -> Iterable[str]:
    """Give the items one by one and show how many are gone."""
    with progress(label, len(items)) as advance:
        for done, item in enumerate(items):
            yield item
            advance(done + 1)


def _ignore(done: int) -> None:
    """Show nothing."""


def _draw(label: str, done: int, total: int) -> None:
    filled = _WIDTH * done // max(total, 1)
    print(f"\r{label} [{'#' * filled:<{_WIDTH}}] {done}/{total}", end="", file=sys.stderr, flush=True)
