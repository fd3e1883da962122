r"""`Rights`: which keys, and which paths of a memory, may be read and which may be written.

Both are rows of *levels*, each a set of globs: a text is allowed if each level has a glob that matches it. Narrowing
adds a level, so it never allows more, and a row without levels allows everything.

A path is compared as the text that `MemoryObject.path` shows, counted from the root of the memory, where `*` stands for
dots as well: ``agent-7.*`` is all that lies below ``agent-7``, and not ``agent-7`` itself. A name with a dot has a
backslash in that text, which a glob writes twice: ``v1\\.2``.

Of an object it also counts what may lie below it: whether some of that is allowed, or all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from .errors import AccessDenied, PatternError
from .patterns import Glob, may_extend

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TypeAlias

    Patterns: TypeAlias = tuple[tuple[str, ...], ...]

__all__ = ["Allowed", "Matching", "Rights", "Within", "matching"]


class Allowed(ABC):
    """What may be done in one way.

    Args:
        verb: What that is: "read", "write".
    """

    __slots__ = ("_verb",)

    def __init__(self, verb: str) -> None:
        self._verb = verb

    @abstractmethod
    def allows(self, text: str) -> bool:
        """Whether this key or path is allowed."""

    @abstractmethod
    def allows_some_below(self, path: str) -> bool:
        """Whether there can be a path below this one that is allowed."""

    @abstractmethod
    def allows_all_below(self, path: str) -> bool:
        """Whether every path below this one is allowed."""

    @abstractmethod
    def __str__(self) -> str:
        """What is allowed, for messages."""

    def check(self, text: str) -> None:
        """Raise `AccessDenied` if this key or path is not allowed."""
        if not self.allows(text):
            raise self.denied(text)

    def check_all_below(self, path: str) -> None:
        """Raise `AccessDenied` unless every path below this one is allowed."""
        if not self.allows_all_below(path):
            what = f"the object {path!r}" if path else "the whole memory"
            raise AccessDenied(
                f"{what} can only be removed, replaced or given a time to live by who may {self._verb} all that can lie "
                f"below; this scope may {self._verb} {self}",
                key=path,
            )

    def denied(self, text: str) -> AccessDenied:
        """The error of who asked for this key or path."""
        return AccessDenied(f"this scope may not {self._verb} {text!r}; it may {self._verb} {self}", key=text)


class Matching(Allowed):
    """What globs match.

    Args:
        verb: What may be done with it.
        levels: The patterns of each level. Raises `PatternError` for one that is malformed.
    """

    __slots__ = ("_levels", "_patterns")

    def __init__(self, verb: str, levels: Patterns) -> None:
        super().__init__(verb)
        row: dict[frozenset[str], tuple[Glob, ...]] = {}
        for patterns in levels:
            globs = tuple(map(Glob, patterns))
            # A level that allows everything takes nothing away, nor does one that is there already.
            if not any(glob.is_prefix and not glob.prefix for glob in globs):
                row.setdefault(frozenset(patterns), globs)
        self._levels = tuple(row.values())
        self._patterns = tuple(tuple(glob.pattern for glob in level) for level in self._levels)

    @property
    def everything(self) -> bool:
        """Whether there is no limit."""
        return not self._levels

    @property
    def nothing(self) -> bool:
        """Whether some level has no pattern. Levels that contradict each other allow nothing, either, and are not seen."""
        return not all(self._levels)

    def allows(self, text: str) -> bool:
        for level in self._levels:
            for glob in level:
                if glob.match(text):
                    break
            else:
                return False
        return True

    def allows_some_below(self, path: str) -> bool:
        return not self._levels or may_extend(self._patterns, _below(path))

    def allows_all_below(self, path: str) -> bool:
        # By one pattern of each level: that several do so together is not looked for.
        start = _below(path)
        return all(any(glob.covers(start) for glob in level) for level in self._levels)

    def narrow(self, prefix: str) -> str | None:
        """A prefix, at least as long, of all allowed keys that have this one; None if there can be none."""
        for level in self._levels:
            if not level:
                return None
            common = _common([glob.prefix for glob in level])
            if not (common.startswith(prefix) or prefix.startswith(common)):
                return None
            prefix = max(common, prefix, key=len)
        return prefix

    def __and__(self, other: Matching) -> Matching:
        """What both allow."""
        return Matching(self._verb, self._patterns + other._patterns)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._verb, self._patterns)

    def __str__(self) -> str:
        if self.nothing:
            return "nothing"
        levels = (", ".join(repr(glob.pattern) for glob in level) for level in self._levels)
        return " and of that only ".join(levels) or "everything"


class Within(Allowed):
    """What lies at one path of a memory, and all below it.

    Args:
        verb: What may be done with it.
        path: The path.
    """

    __slots__ = ("_path",)

    def __init__(self, verb: str, path: str) -> None:
        super().__init__(verb)
        self._path = path

    def allows(self, text: str) -> bool:
        return text == self._path or text.startswith(_below(self._path))

    def allows_some_below(self, path: str) -> bool:
        return self.allows(path) or self._path.startswith(_below(path))

    def allows_all_below(self, path: str) -> bool:
        return self.allows(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._verb, self._path)

    def __str__(self) -> str:
        return f"what is in {self._path!r}"


class Rights:
    """What may be read and what may be written; the one does not imply the other."""

    __slots__ = ("__weakref__", "read", "write")

    def __init__(self, read: Allowed, write: Allowed) -> None:
        self.read = read
        self.write = write

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.read, self.write)

    def __repr__(self) -> str:
        return f"read {self.read}; write {self.write}"


def matching(verb: str, patterns: Iterable[str]) -> Matching:
    """One level of patterns. Raises `PatternError`, also for one `str` in place of several."""
    if isinstance(patterns, str):
        raise PatternError(f"{verb} takes several patterns, not one str: {verb}=[{patterns!r}]", pattern=patterns)
    try:
        several = tuple(patterns)
    except TypeError:
        raise PatternError(
            f"{verb} takes a list of patterns, not {type(patterns).__name__}; leave it out to allow nothing",
            pattern=repr(patterns),
        ) from None
    return Matching(verb, (several,))


def _below(path: str) -> str:
    """How the paths of all that lies below this one begin."""
    return f"{path}." if path else ""


def _common(texts: list[str]) -> str:
    """How all of these begin."""
    first, last = min(texts), max(texts)
    same = 0
    while same < len(first) and first[same] == last[same]:
        same += 1
    return first[:same]
