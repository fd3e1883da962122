"""Where things lie in an arena, read from csrc/layout.h: for tests that look at its bytes, so that no number stands twice."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

HEADER = Path(__file__).resolve().parents[2] / "csrc" / "layout.h"
SIZES = {"uint64_t": 8, "uint32_t": 4, "uint8_t": 1, "char": 1}


@cache
def source() -> str:
    """The header without its comments."""
    return re.sub(r"/\*.*?\*/", "", HEADER.read_text(encoding="utf-8"), flags=re.DOTALL)


def number(expression: str) -> int:
    """The value of an array's length: a product or quotient of numbers and of constants of the header. Raises KeyError."""
    names = dict(re.findall(r"#define (\w+) (\d+)u?\s*$", source(), flags=re.MULTILINE))
    parts = re.split(r"\s*([*/])\s*", expression)
    value = int(names.get(parts[0], parts[0]))
    for sign, part in zip(parts[1::2], parts[2::2], strict=True):
        other = int(names.get(part, part))
        value = value * other if sign == "*" else value // other
    return value


@cache
def structure(name: str) -> tuple[dict[str, int], int, int]:
    """The offsets of a structure's fields as far as they can be told, its size and its alignment. Raises KeyError for an unknown one."""
    if name in SIZES:
        return {}, SIZES[name], SIZES[name]
    found = re.search(rf"typedef struct {name} {{(.*?)}} {name};", source(), flags=re.DOTALL)
    if not found:
        raise KeyError(name)
    offsets: dict[str, int] = {}
    at = widest = 0
    for kind, names in re.findall(r"(\w+) ([^;]+);", found[1]):
        _, size, align = structure(kind)
        widest = max(widest, align)
        for field in names.split(","):
            if "-" in field:  # padding up to a round number, behind everything
                continue
            field_name, _, length = field.strip().rstrip("]").partition("[")
            at = -(-at // align) * align
            offsets[field_name] = at
            at += size * (number(length) if length else 1)
    return offsets, -(-at // widest) * widest, widest


def offset(name: str, field: str) -> int:
    """How many bytes into the structure the field lies. Raises KeyError if there is none."""
    return structure(name)[0][field]
