"""Hit ratios of caches that are too small: Shoal's SIEVE, LRU, and the best that anybody could do who knew the future."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from traces import traces

import shoal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True)
class Ratio:
    """Hits of all requests, by policy."""

    trace: str
    requests: int
    keys: int
    """That it asks for."""
    capacity: int
    hits: dict[str, float]


def lru(trace: Sequence[int], capacity: int) -> int:
    """Count the hits of a cache that drops what was not used for longest."""
    kept: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for key in trace:
        if key in kept:
            hits += 1
            kept.move_to_end(key)
        else:
            if len(kept) == capacity:
                kept.popitem(last=False)
            kept[key] = None
    return hits


def exact_sieve(trace: Sequence[int], capacity: int) -> int:
    """Count the hits of SIEVE as it is published: one queue, one hand, which takes the first that was not used since."""
    newer: dict[int, int] = {}
    used: dict[int, bool] = {}
    newest = oldest = hand = -1
    older: dict[int, int] = {}
    hits = 0
    for key in trace:
        if key in used:
            hits += 1
            used[key] = True
            continue
        if len(used) == capacity:
            at = hand if hand >= 0 else oldest
            while used[at]:
                used[at] = False
                at = newer[at] if newer[at] >= 0 else oldest
            before, after = older.pop(at), newer.pop(at)
            del used[at]
            hand = after
            if before >= 0:
                newer[before] = after
            else:
                oldest = after
            if after >= 0:
                older[after] = before
            else:
                newest = before
        used[key] = False
        older[key], newer[key] = newest, -1
        if newest >= 0:
            newer[newest] = key
        else:
            oldest = key
        newest = key
    return hits


def belady(trace: Sequence[int], capacity: int) -> int:
    """Count the hits of a cache that drops what will not be used for longest: no cache that keeps each miss has more."""
    never = len(trace)
    upcoming = [never] * never
    last: dict[int, int] = {}
    for at in range(never - 1, -1, -1):
        upcoming[at] = last.get(trace[at], never)
        last[trace[at]] = at
    kept: dict[int, int] = {}  # key -> when it is used next
    farthest: list[tuple[int, int]] = []  # a heap, with entries that are out of date
    hits = 0
    for at, key in enumerate(trace):
        if key in kept:
            hits += 1
        elif len(kept) == capacity:
            while True:
                use, victim = heapq.heappop(farthest)
                if kept.get(victim) == -use:
                    del kept[victim]
                    break
        kept[key] = upcoming[at]
        heapq.heappush(farthest, (-upcoming[at], key))
    return hits


def cachetools_lru(trace: Sequence[int], capacity: int) -> int:
    """Count the hits of cachetools.LRUCache.

    Raises:
        ImportError: It is not installed.
    """
    from cachetools import LRUCache

    cache: LRUCache[int, bool] = LRUCache(capacity)
    hits = 0
    for key in trace:
        if cache.get(key):
            hits += 1
        else:
            cache[key] = True
    return hits


def sieve(trace: Sequence[int], capacity: int) -> int:
    """Count the hits of a namespace of a store of the usual size."""
    with shoal.open() as store:
        cache = store.namespace("cache", max_keys=capacity, eviction="sieve")
        get, put = cache.get, cache.set
        hits = 0
        for number in trace:
            key = str(number)
            if get(key):
                hits += 1
            else:
                put(key, 1)
    return hits


POLICIES: dict[str, Callable[[Sequence[int], int], int]] = {
    "shoal (SIEVE)": sieve,
    "SIEVE, exactly": exact_sieve,
    "cachetools LRU": cachetools_lru,
    "optimal (Belady)": belady,
}


def run(requests: int, fractions: Sequence[float] = (0.01, 0.05, 0.2)) -> tuple[list[Ratio], list[str]]:
    """Play all traces to all policies, with room for a part of the keys; the ratios, and notes."""
    ratios = []
    missing = set()
    for name, trace in traces(requests).items():
        keys = len(set(trace))
        for fraction in fractions:
            capacity = max(1, int(keys * fraction))
            hits = {}
            for policy, count in POLICIES.items():
                try:
                    hits[policy] = count(trace, capacity) / len(trace)
                except ImportError as error:
                    missing.add(f"{policy} left out: {error}")
            ratios.append(Ratio(name, len(trace), keys, capacity, hits))
    return ratios, sorted(missing)
