"""What processes promised to write, and what a store has acknowledged: words outside the store, which outlive who wrote them.

Each key of the ledger has one writer at a time, who numbers its writes. The number is *promised* before the call and
*acknowledged* after it. So whoever reads the key, at any time, knows what it may hold: nothing older than what was acknowledged before
the read began, nothing newer than what was promised when it ended.
"""

from __future__ import annotations

import mmap

__all__ = ["Broken", "Ledger"]


class Broken(Exception):
    """An invariant does not hold."""


class Ledger:
    """Pairs of words in shared memory, for children that are forked later."""

    def __init__(self, keys: int) -> None:
        self.keys = keys
        # Through a memoryview each word is written at once. (struct would zero it first: others may look, the writer may die.)
        self._memory = mmap.mmap(-1, max(1, keys) * 2 * 8)
        self._words = memoryview(self._memory).cast("q")

    def promise(self, key: int) -> int:
        """Begin the next write of a key; its number."""
        number = self._words[2 * key + 1] + 1
        self._words[2 * key + 1] = number
        return number

    def acknowledge(self, key: int, number: int) -> None:
        """Say that this write has been acknowledged."""
        self._words[2 * key] = number

    def acknowledged(self, key: int) -> int:
        """The last write that was acknowledged."""
        return self._words[2 * key]

    def promised(self, key: int) -> int:
        """The last write that was begun."""
        return self._words[2 * key + 1]

    def close(self) -> None:
        """Let go of the memory."""
        self._words.release()
        self._memory.close()
