"""Arrays where they lie, copied, and in another process."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING, Any

import numpy as np
from contenders import Shoal

from shoal.bench.timers import along, single

if TYPE_CHECKING:
    from collections.abc import Callable

    Works = dict[str, Callable[[], float]]

MB = 1 << 20
IN_TURN = "numpy.copyto, to two in turn"
SIZES = {"8 KB": 8 << 10, "8 MB": 8 * MB, "256 MB": 256 * MB}


class Roomy(Shoal):
    """A store for large arrays."""

    def open(self, keys: int, payload: int = 512 * MB) -> None:
        super().open(keys, max(payload, 512 * MB))


def views(shoal: Roomy, options: dict[str, Any]) -> Works:  # noqa: ARG001 - as every prepare
    """Views of arrays of three sizes, and of one in a memory."""
    store, m = shoal.store, shoal.store.memory("arrays")
    for name, size in SIZES.items():
        with store.create_array(name, size // 8, np.float64) as array:
            array[:] = 1
    m.set("8 MB", store.view("8 MB"))
    works = {f"view {name}": along(store.view, [name] * 20_000) for name in SIZES}
    return works | {"m.view 8 MB": along(m.view, ["8 MB"] * 20_000)}


def copying(shoal: Roomy, options: dict[str, Any]) -> Works:  # noqa: ARG001 - as every prepare
    """8 MB from one place to another, all of it memory that was used before.

    A value that is set is written beside the one that it replaces, so two places take turns, as in the second work.
    """
    source = np.random.default_rng(1).random(MB)
    targets = [np.ones_like(source), np.ones_like(source)]

    def alternate() -> None:
        np.copyto(targets[0], source)
        targets.reverse()

    shoal.store.set("array", source)
    return {
        "numpy.copyto": single(np.copyto, targets[0], source, times=25),
        IN_TURN: single(alternate, times=25),
        "get": single(shoal.store.get, "array", times=25),
        "set": single(shoal.store.set, "array", source, times=25),
        "array.copy": single(source.copy, times=25),
    }


# ---------------------------------------------------------------------- from one process to another


class Passing:
    """A process that makes an array of 64 MB, one that gets it, and a queue for each direction."""

    def open(self, keys: int, payload: int = 0) -> None:
        context = multiprocessing.get_context("spawn")
        self.there, self.back = context.Queue(), context.Queue()
        self.make()
        self.peer = context.Process(target=type(self).answer, args=(self.there, self.back, *self.common()))
        self.peer.start()
        self.back.get()

    def make(self) -> None:
        """Have the array ready."""
        self.array = np.ones(64 * MB // 8)

    def common(self) -> tuple[Any, ...]:
        """What the other process is given beforehand."""
        return ()

    def send(self) -> Any:
        """What goes over the queue."""
        return self.array

    @staticmethod
    def receive(message: Any, *common: Any) -> np.ndarray:  # noqa: ARG004 - for the others
        """The array, from what came."""
        return message

    @classmethod
    def answer(cls, there: Any, back: Any, *common: Any) -> None:
        """The other process: get arrays, answer with one element."""
        back.put(None)
        while (message := there.get()) is not None:
            back.put(cls.receive(message, *common)[-1])

    def close(self) -> None:
        self.there.put(None)
        self.peer.join()


class ByReference(Passing):
    """The array was filled where it lies; what goes over the queue is a reference."""

    def make(self) -> None:
        import shoal

        self.store = shoal.open(size=256 * MB)
        self.memory = self.store.memory("arrays")
        with self.memory.create_array("large", 64 * MB // 8, np.float64) as array:
            array[:] = 1
        version = self.memory.metadata("large").version
        self.ref = shoal.MemoryRef("arrays.large", version=version)

    def common(self) -> tuple[Any, ...]:
        return (self.store,)

    def send(self) -> Any:
        return self.ref

    @staticmethod
    def receive(message: Any, *common: Any) -> np.ndarray:
        view: np.ndarray = message.view(*common)
        return view

    def close(self) -> None:
        super().close()
        self.store.close()


class BySetting(ByReference):
    """The array was made elsewhere: it is set each time, and then passed as a reference."""

    def make(self) -> None:
        super().make()
        self.array = np.ones(64 * MB // 8)

    def send(self) -> Any:
        return self.memory.set("large", self.array)


def passing(pair: Passing, options: dict[str, Any]) -> Works:  # noqa: ARG001 - as every prepare
    """There and back again; the answer is one number."""

    def once() -> None:
        pair.there.put(pair.send())
        if pair.back.get() != 1:
            raise ValueError("another array arrived")

    return {"64 MB": single(once, times=3 if type(pair) is Passing else 50)}
