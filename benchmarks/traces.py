"""Requests to play to caches: drawn ones, and two that a real program makes.

The real ones are made anew on each machine, from nothing but Python's own library, so they need no download; another
version of Python makes a slightly different trace.
"""

from __future__ import annotations

import ast
import email
import email.policy
import io
import json
import re
import sys
import sysconfig
import textwrap
import tokenize
from collections import Counter
from html.parser import HTMLParser
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.bench.contention import zipf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


def sources() -> Iterator[str]:
    """The modules of Python's library that are one file, in the order of their names."""
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        yield path.read_text(encoding="utf-8", errors="replace")


class _Numbers(dict[object, int]):
    """A number for each key, in the order in which they come."""

    def __missing__(self, key: object) -> int:
        number = self[key] = len(self)
        return number


def words(requests: int) -> list[int]:
    """The words in the source of Python's library, one after the other: a module repeats its own, all use some."""
    number = _Numbers()
    trace: list[int] = []
    for source in sources():
        trace += [number[word] for word in re.findall(r"\w+", source)]
        if len(trace) >= requests:
            break
    return trace[:requests]


# ---------------------------------------------------------------------- calls of a program


class _Enough(Exception):
    """The trace is as long as it should be."""


def _work(source: str) -> None:
    """What a tool for documentation might do with a module: parse it, write it anew, pack what it found, and unpack it."""
    tree = ast.parse(source)
    ast.unparse(tree)
    used = Counter(token.string for token in tokenize.generate_tokens(io.StringIO(source).readline))
    packed = "".join(json.JSONEncoder(indent=1).iterencode(used))
    json.JSONDecoder().decode(packed)
    about = textwrap.wrap(ast.get_docstring(tree) or "nothing", 60)
    HTMLParser().feed("<html><body>" + "".join(f"<p class='x'>{line} &amp; more</p>" for line in about))
    mail = email.message_from_string("Subject: of the library\n\n" + "\n".join(about), policy=email.policy.default)
    mail["From"], mail["To"] = "somebody <e@f.example>", "a@b.example, c@d.example"
    mail.as_string()


def calls(requests: int) -> list[int]:
    """The calls with text or numbers while a program works through modules: what a cache of results would be asked for."""
    number = _Numbers()
    trace: list[int] = []

    def called(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            code = frame.f_code
            names = code.co_varnames[: code.co_argcount]
            given = tuple(value for name in names if type(value := frame.f_locals.get(name)) in (str, int, bool))
            if given:
                trace.append(number[code.co_filename, code.co_qualname, given])
                if len(trace) == requests:
                    raise _Enough

    _work(next(sources()))  # what happens only once, as importing and compiling patterns, depends on what ran before
    before = sys.getprofile()
    for source in sources():
        sys.setprofile(called)
        try:
            _work(source)
        except _Enough:
            break
        finally:
            sys.setprofile(before)
    return trace


# ---------------------------------------------------------------------- drawn


def scans(keys: int, requests: int) -> list[int]:
    """A zipfian trace, a fifth of which goes once through keys that nobody asks for again."""
    trace = zipf(keys, requests, 3)
    fresh = count(keys)
    block = max(1, requests // 50)
    for start in range(0, requests - block, 5 * block):
        trace[start : start + block] = [next(fresh) for _ in range(block)]
    return trace


def traces(requests: int) -> dict[str, list[int]]:
    """All of them, by name; the drawn ones of as many keys as a tenth of the requests."""
    keys = max(1, requests // 10)
    found = {f"zipf {theta}": zipf(keys, requests, 3, theta) for theta in (0.7, 0.99, 1.2)}
    found["zipf 0.99 with scans"] = scans(keys, requests)
    found["words of source code"] = words(requests)
    found["calls of a program"] = calls(requests)
    return found
