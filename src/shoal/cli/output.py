"""What commands print: tables, JSON, sizes. Pretty where a person reads and `rich` is there, plain text otherwise."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["human_age", "human_size", "interactive", "note", "print_json", "print_table", "printable"]


def interactive() -> bool:
    """Whether a person reads what we print."""
    return sys.stdout.isatty()


def note(text: str) -> None:
    """Tell the person something that is not the command's result."""
    print("shoal:", printable(text), file=sys.stderr)


def print_json(value: Any) -> None:
    """Print one JSON document: for a program on one line, for a person indented."""
    print(json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2 if interactive() else None))


def printable(text: str) -> str:
    """Show control characters as escapes: a key must neither break the line nor drive the terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Iterable[int] = ()) -> None:
    """Print rows under headers; the columns in `numbers` are aligned to the right."""
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    right = frozenset(numbers)
    if not (interactive() and _print_rich(headers, cells, right)):
        _print_plain(headers, cells, right)


def _print_rich(headers: Sequence[str], cells: list[list[str]], right: frozenset[int]) -> bool:
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column, header in enumerate(headers):
        table.add_column(Text(header), justify="right" if column in right else "left", overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))  # Text: what looks like markup in a key is none
    Console().print(table)
    return True


def _print_plain(headers: Sequence[str], cells: list[list[str]], right: frozenset[int]) -> None:
    lines = [list(headers), *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(padded).rstrip())


def human_size(size: float) -> str:
    """Return a number of bytes as a person says it."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def human_age(seconds: float | None) -> str:
    """Return a duration as a person says it; None is "never", as the time until something that does not expire."""
    if seconds is None:
        return "never"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
