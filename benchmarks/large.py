"""Large values, in and out, beside numpy.copyto: nothing that copies is faster."""

from __future__ import annotations

import mmap
import os
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from contenders import Shoal

import shoal
from shoal.bench.contender import Contender
from shoal.bench.timers import along, fitting, single

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = {"64 KB": 64 << 10, "1 MB": 1 << 20, "8 MB": 8 << 20}


def aligned(array: np.ndarray) -> np.ndarray:
    """Return a copy that begins where a page does.

    Some processors copy at a tenth of their speed if the target begins a few bytes after the source, as seen within a
    page. The floor must not depend on where things happen to lie.
    """
    room = np.ones(array.nbytes + 4096, np.uint8)
    start = -room.ctypes.data % 4096
    place = room[start : start + array.nbytes].view(array.dtype)
    place[:] = array
    return place


class CopyTo(Contender):
    """Copies from one array to another, both of which were used before."""

    name = "numpy.copyto"

    def open(self, keys: int, payload: int = 0) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.targets: dict[str, np.ndarray] = {}
        self.set, self.get = self._put, self._copy

    def _put(self, key: str, value: np.ndarray) -> None:
        if key not in self.targets:
            self.targets[key] = aligned(value)
            self.arrays[key] = value
        np.copyto(self.targets[key], value)

    def _copy(self, key: str) -> np.ndarray:
        np.copyto(self.targets[key], self.arrays[key])
        return self.targets[key]

    def close(self) -> None:
        self.arrays.clear()


def _to_fresh_file(array: np.ndarray) -> float:
    """Nanoseconds of a copy into a new file in shared memory, of which the kernel provides page by page."""
    file = os.memfd_create("fresh")
    try:
        os.ftruncate(file, array.nbytes)
        with mmap.mmap(file, array.nbytes) as pages:
            target = np.frombuffer(pages, array.dtype)
            began = time.perf_counter_ns()
            np.copyto(target, array)
            took = time.perf_counter_ns() - began
            del target
    finally:
        os.close(file)
    return took


def _to_fresh_store(array: np.ndarray) -> float:
    """Nanoseconds of a set in a new store."""
    with shoal.open(size=64 << 20) as store:
        store.set("small", 1)
        began = time.perf_counter_ns()
        store.set("value", array)
        return time.perf_counter_ns() - began


def prepare(store: Contender, options: dict[str, Any]) -> dict[str, Callable[[], float]]:
    """Each size: float32 arrays where the store takes them, else bytes; views where it has any."""
    works = {}
    for name, size in SIZES.items():
        if size > store.max_value:
            continue
        array = aligned(np.random.default_rng(1).random(size // 4, np.float32))
        value = array if "array" in store.kinds else array.tobytes()
        key = f"value:{size}"
        store.set(key, value)
        found = store.get(key)
        if not (np.array_equal(found, array) if "array" in store.kinds else found == value):
            raise ValueError(f"{store.name} gives back something else")
        for what, call, arguments in (("get", store.get, (key,)), ("set", store.set, (key, value))):
            times = fitting(lambda c=call, a=arguments: c(*a), options["seconds"], 200, least=3)
            works[f"{what} {name}"] = single(call, *arguments, times=times)
        if store.view:
            works[f"view {name}"] = along(store.view, [key] * 2_000)
    fresh = _to_fresh_store if type(store) is Shoal else _to_fresh_file if type(store) is CopyTo else None
    if fresh:
        largest = aligned(np.random.default_rng(1).random((8 << 20) // 4, np.float32))
        works["set 8 MB, untouched pages"] = lambda: statistics.median(fresh(largest) for _ in range(5))
    return works
