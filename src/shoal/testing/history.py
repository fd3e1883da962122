"""What processes did to the keys of a store, and when: recorded where the death of a process does not reach.

A *log* is memory of one process, mapped before it is forked, with a record of fixed size for each call. First what is called
is written down, then the instant, then the call is made, then what came of it is written down, and the instant last. A process
that is killed inside a call so leaves a record without an end, and whoever maps the log knows just what it was about.

All processes of a machine have one monotonic clock, the one that expiry goes by, too.
"""

from __future__ import annotations

import mmap
import struct
from enum import IntEnum
from time import monotonic_ns
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["KEEP", "NEVER", "Call", "Log", "Name", "Operation", "Outcome", "Result"]

NEVER = (1 << 63) - 1
"""A time to live, and a deadline, of what does not expire."""
KEEP = -1
"""The time to live of a call that leaves an entry's deadline as it is."""


class Name(IntEnum):
    """The calls that concern one key."""

    GET = 1
    EXISTS = 2
    GET_VERSIONED = 3
    TTL = 4
    SET = 5
    ADD = 6
    REPLACE = 7
    SWAP = 8
    COMPARE_AND_SET = 9
    DELETE = 10
    POP = 11
    TOUCH = 12
    INCR = 13


READS = frozenset({Name.GET, Name.EXISTS, Name.GET_VERSIONED, Name.TTL})


class Result(IntEnum):
    """What kind of answer a call gave."""

    UNKNOWN = 0  # none: the process died, or was told that the store is busy
    DONE = 1  # with a value, a version or a time
    ABSENT = 2
    TRUE = 3
    FALSE = 4
    REFUSED = 5  # the value has the wrong type for the call
    TORN = 6  # bytes that nobody ever wrote


class Outcome(NamedTuple):
    """An answer: its kind, and the value (or time left, in nanoseconds) and the version that came with it."""

    result: Result
    got: int = 0
    version: int = 0


class Call(NamedTuple):
    """A call: values are numbers, `version` is the one to compare with, `ttl` is in nanoseconds, `NEVER` or `KEEP`."""

    name: Name
    key: int
    value: int = 0
    version: int = 0
    ttl: int = NEVER


class Operation(NamedTuple):
    """A call with its answer, and the instants (in nanoseconds) between which it took effect.

    One without an answer took effect between them or not at all; `end` is then when its process was known to be dead.
    """

    process: int
    begin: int
    end: int
    call: Call
    outcome: Outcome

    def __str__(self) -> str:
        call, (result, got, version) = self.call, self.outcome
        asked = "" if self.call.name in READS else f" value={call.value}"
        asked += f" version={call.version}" if call.name == Name.COMPARE_AND_SET else ""
        asked += "" if call.ttl == NEVER else " ttl=keep" if call.ttl == KEEP else f" ttl={call.ttl / 1e6:.3f}ms"
        answered = result.name.lower() + (f" {got}" if got else "") + (f" version={version}" if version else "")
        return f"process {self.process}: {call.name.name.lower()}({call.key}{asked}) -> {answered}"


class Log:
    """The calls of one process, in shared memory that its parent reads when it has ended."""

    _CALL = struct.Struct("<BHxxxxxqqq")  # name, key, value, version, ttl
    _OUTCOME = struct.Struct("<Bxxxxxxxqq")
    _CALL_AT = 16  # after the instants
    _OUTCOME_AT = _CALL_AT + _CALL.size
    _SIZE = _OUTCOME_AT + _OUTCOME.size

    def __init__(self, process: int, capacity: int) -> None:
        self.process = process
        self.capacity = capacity
        self.count = 0
        self._memory = mmap.mmap(-1, capacity * self._SIZE)
        # Through a memoryview an instant is written at once; struct would zero it first, and a death may come between.
        self._words = memoryview(self._memory).cast("q")

    @property
    def full(self) -> bool:
        """Whether no call can be added."""
        return self.count == self.capacity

    def begin(self, call: Call) -> None:
        """Write down what is about to be called."""
        at = self.count * self._SIZE
        self._CALL.pack_into(self._memory, at + self._CALL_AT, call.name, call.key, call.value, call.version, call.ttl)
        self._words[at // 8] = monotonic_ns()

    def end(self, outcome: Outcome) -> None:
        """Write down what came of it."""
        now = monotonic_ns()
        at = self.count * self._SIZE
        self._OUTCOME.pack_into(self._memory, at + self._OUTCOME_AT, *outcome)
        self._words[at // 8 + 1] = now
        self.count += 1

    def operations(self, dead_by: int) -> Iterator[Operation]:
        """Yield what the process did. It was dead at the instant `dead_by`."""
        for at in range(0, self.capacity * self._SIZE, self._SIZE):
            begin, end = self._words[at // 8], self._words[at // 8 + 1]
            if begin == 0:
                return
            name, key, value, version, ttl = self._CALL.unpack_from(self._memory, at + self._CALL_AT)
            result, got, got_version = self._OUTCOME.unpack_from(self._memory, at + self._OUTCOME_AT)
            outcome = Outcome(Result(result), got, got_version) if end else Outcome(Result.UNKNOWN)
            if outcome.result == Result.UNKNOWN and name in READS:
                continue
            call = Call(Name(name), key, value, version, ttl)
            yield Operation(self.process, begin, end or dead_by, call, outcome)

    def close(self) -> None:
        """Let go of the memory."""
        self._words.release()
        self._memory.close()
