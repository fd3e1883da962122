"""What the processes of a soak do, and what they insist on.

Each of them does everything by turns: writes and deletes keys of its own that all the others read, entries that expire, arrays
made in place and views of them, counts together with all, keys that everybody writes and takes away, memory objects, namespaces
with a limit, lists, and attaches anew. What is found wrong raises `Broken`.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

import shoal

from .ledger import Broken, Ledger
from .values import decode, encode

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

__all__ = ["ARRAYS", "COUNTERS", "LONGEST", "OWN", "STABLE", "TIMEOUT", "Books", "Labourer", "prepare"]

OWN = 12
"""Keys of each process, in the ledger."""
ARRAYS = 2
COUNTERS = 3
STABLE = 100
"""Keys that nobody ever changes."""
TIMEOUT = 30.0
"""Nobody may wait as long as that: whoever does was blocked."""

_ABSENT_EVERY = 5  # each write of this number is a deletion
LONGEST = 0.02
"""Seconds that an entry which expires lives at most."""
_ELEMENTS = 9_000


class Books:
    """The ledgers of a soak."""

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self.keys = Ledger(processes * OWN)
        self.arrays = Ledger(processes * ARRAYS)
        self.counts = Ledger(processes * COUNTERS)
        self.done = Ledger(processes)

    def close(self) -> None:
        """Let go of all."""
        for ledger in (self.keys, self.arrays, self.counts, self.done):
            ledger.close()


def prepare(store: shoal.Store) -> None:
    """Write what stays."""
    store.update({f"stable {number}": encode(number + 1) for number in range(STABLE)})


class Labourer:
    """One process, at one of the places that the ledgers have."""

    def __init__(self, store: shoal.Store, books: Books, place: int, chance: random.Random) -> None:
        self._store, self._books, self._place, self._chance = store, books, place, chance
        self._name = store.name
        self._timed: dict[int, tuple[int, float, float]] = {}
        self._shared = 0
        self._tasks: list[Callable[[], None]] = [
            *(self.write,) * 8,
            *(self.read,) * 8,
            *(self.count,) * 3,
            *(self.expire,) * 3,
            *(self.contend,) * 6,
            self.make_array,
            self.view_array,
            self.remember,
            self.limit,
            self.enumerate,
        ]

    def work(self) -> None:
        """Go on for ever."""
        while True:
            for task in self._chance.choices(self._tasks, k=50):
                task()
                self._books.done.promise(self._place)
            self.attach_anew()

    # ------------------------------------------------------------------ keys of its own, which all read

    def write(self) -> None:
        """Write or delete a key of its own."""
        key = self._place * OWN + self._chance.randrange(OWN)
        number = self._books.keys.promise(key)
        if number % _ABSENT_EVERY:
            self._store[f"own {key}"] = encode(_value_of(key, number))
        elif number % 2:
            self._store.delete(f"own {key}")
        else:
            self._store.pop(f"own {key}", None)
        self._books.keys.acknowledge(key, number)

    def read(self) -> None:
        """Read a key of anybody: it holds one of the writes that may be the last."""
        key = self._chance.randrange(self._books.keys.keys)
        acknowledged = self._books.keys.acknowledged(key)
        value = self._store.get(f"own {key}")
        promised = self._books.keys.promised(key)
        if value is None:
            if promised // _ABSENT_EVERY * _ABSENT_EVERY < acknowledged:
                raise Broken(
                    f"own {key} is lost: write {acknowledged} was acknowledged, {promised} was the last to begin"
                )
            return
        number = decode(value)
        if number is None:
            raise Broken(f"own {key} is torn")
        found = number >> 2 & 0xFFFFFFFF
        if number != _value_of(key, found):
            raise Broken(f"own {key} holds another key's value, {number}")
        if not acknowledged <= found <= promised or found % _ABSENT_EVERY == 0:
            raise Broken(f"own {key} holds write {found}, not one from {acknowledged} to {promised}")

    # ------------------------------------------------------------------ counted together

    def count(self) -> None:
        """Count, or look at what was counted."""
        counter = self._chance.randrange(COUNTERS)
        counts = self._books.counts
        if self._chance.random() < 0.7:
            mine = self._place * COUNTERS + counter
            counts.promise(mine)
            self._store.incr(f"counter {counter}")
            # What somebody began who died here before may have been counted or not: it stays out of this word for good.
            counts.acknowledge(mine, counts.acknowledged(mine) + 1)
            return
        self.check_count(counter)

    def check_count(self, counter: int) -> None:
        """Everything that was counted is there, and nothing else."""
        counts, places = self._books.counts, range(counter, self._books.counts.keys, COUNTERS)
        least = sum(map(counts.acknowledged, places))
        value = self._store.get(f"counter {counter}", 0)
        most = sum(map(counts.promised, places))
        if not least <= value <= most:
            raise Broken(f"counter {counter} is {value}, not one from {least} to {most}")

    # ------------------------------------------------------------------ expiry

    def expire(self) -> None:
        """Write an entry that expires, or look at one: there before its time, gone after it."""
        key = self._chance.randrange(4)
        name = f"timed {self._place} {key}"
        if key not in self._timed or self._chance.random() < 0.3:
            number = self._chance.randrange(1 << 40) * 4 + self._chance.randrange(3)
            ttl = self._chance.uniform(0.0005, LONGEST)
            begin = monotonic()
            self._store.set(name, encode(number), ttl=ttl)
            self._timed[key] = (number, begin + ttl, monotonic() + ttl)
            return
        number, earliest, latest = self._timed[key]
        begin = monotonic()
        value = self._store.get(name)
        if value is None and monotonic() < earliest - 1e-6:
            raise Broken(f"{name} is gone {earliest - monotonic():.6f} s before its time")
        if value is not None and (begin > latest + 1e-6 or decode(value) != number):
            raise Broken(f"{name} is there {begin - latest:.6f} s after its time, or is another value")

    # ------------------------------------------------------------------ arrays and views

    def make_array(self) -> None:
        """Fill an array where it stays."""
        key = self._place * ARRAYS + self._chance.randrange(ARRAYS)
        number = self._books.arrays.promise(key)
        with self._store.create_array(f"array {key}", _ELEMENTS, np.int64) as array:
            array[:] = number
        self._books.arrays.acknowledge(key, number)

    def view_array(self) -> None:
        """Look at an array of anybody, without a copy: it is whole, and stays what it is whatever becomes of the entry."""
        key = self._chance.randrange(self._books.arrays.keys)
        acknowledged = self._books.arrays.acknowledged(key)
        try:
            view = self._store.view(f"array {key}")
        except shoal.KeyNotFound:
            if acknowledged:
                raise Broken(f"array {key} is lost") from None
            return
        promised, number = self._books.arrays.promised(key), int(view[0])
        if not acknowledged <= number <= promised:
            raise Broken(f"array {key} holds write {number}, not one from {acknowledged} to {promised}")
        for _ in range(2):
            if len(view) != _ELEMENTS or not (view == number).all():
                raise Broken(f"array {key} is torn")
            self.write()

    # ------------------------------------------------------------------ keys of everybody

    def contend(self) -> None:
        """Write, take and compare keys that all the others do this to as well."""
        name = f"shared {self._chance.randrange(200)}"
        self._shared += 1
        fresh = encode((self._place + 1 << 40) + self._shared * 4 + self._chance.choices((0, 1, 2, 3), (8, 8, 8, 1))[0])
        what = self._chance.randrange(6)
        if what == 0:
            self._whole(name, self._store.swap(name, fresh))
        elif what == 1:
            self._whole(name, self._store.pop(name, None))
        elif what == 2:
            self._store.add(name, fresh, ttl=self._chance.choice([None, 0.001, 0.1]))
        elif what == 3:
            self._compare_and_set(name, fresh)
        elif what == 4:
            self._store.touch(name, self._chance.choice([None, 0.001, 0.1]))
        else:
            self._whole(name, self._store.get(name))

    def _compare_and_set(self, name: str, fresh: Any) -> None:
        try:
            value, version = self._store.get_versioned(name)
        except shoal.KeyNotFound:
            self._store.compare_and_set(name, fresh, 0)
            return
        self._whole(name, value)
        if self._store.compare_and_set(name, fresh, version) and self._store.compare_and_set(name, fresh, version):
            raise Broken(f"{name} had version {version} twice")

    @staticmethod
    def _whole(name: str, value: Any) -> None:
        if value is not None and decode(value) is None:
            raise Broken(f"{name} is torn")

    # ------------------------------------------------------------------ memory, namespaces, lists

    def remember(self) -> None:
        """Objects of fields, made and removed."""
        memory = self._store.memory(f"agent {self._chance.randrange(3)}")
        path = f"a{self._chance.randrange(3)}.b{self._chance.randrange(3)}"
        if self._chance.random() < 0.7:
            memory.set(f"{path}.c", encode(self._chance.randrange(1, 1 << 40) * 4 + 1), overwrite=True)
            self._whole(path, memory.get(f"{path}.c"))
        else:
            memory.delete(path)

    def limit(self) -> None:
        """A namespace that evicts keeps to its limit."""
        with self._store.namespace("limited", max_keys=50, eviction="sieve") as limited:
            for _ in range(5):
                limited[f"{self._chance.randrange(500)}"] = encode(self._chance.randrange(1, 1 << 40) * 4 + 2)
            # A count goes from shard to shard, and a key may be evicted behind it while one comes before it: not each time.
            least = min(len(limited) for _ in range(20))
            if least > 50:
                raise Broken(f"a namespace limited to 50 keys has {least}")

    def enumerate(self) -> None:
        """A list holds everything that is there throughout."""
        found = self._store.list_keys("stable *")
        if len(found) != STABLE or len(set(found)) != STABLE:
            raise Broken(f"a list has {len(found)} of the {STABLE} keys that nobody touches")
        number = self._chance.randrange(STABLE)
        if decode(self._store[f"stable {number}"]) != number + 1:
            raise Broken(f"stable {number} has changed")

    def attach_anew(self) -> None:
        """Leave and come back; now and then without the right to write, for a while."""
        if self._chance.random() < 0.2:
            self._store.close()
            if self._chance.random() < 0.5:
                with shoal.open(self._name, "r", timeout=TIMEOUT) as self._store:
                    for _ in range(50):
                        self.read()
                    self.enumerate()
            self._store = shoal.open(self._name, "w", timeout=TIMEOUT)


def _value_of(key: int, number: int) -> int:
    """Of one key's write: numbers, texts and blocks by turns, and seldom what gets pages of its own."""
    shape = 3 if number % 37 == 1 else number % 3
    return (key + 1 << 34) + (number << 2) + shape
