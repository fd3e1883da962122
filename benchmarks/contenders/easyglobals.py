"""EasyGlobals: one shared segment with slots, each of which belongs to the process that wrote it first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.bench.contender import Contender, allocated, scratch

if TYPE_CHECKING:
    from collections.abc import Iterable


class EasyGlobals(Contender):
    """A key has one writer; who loads it gives it away, so that another process may be that one."""

    name = "EasyGlobals"
    package = "EasyGlobals"
    modules = ("EasyGlobals",)
    max_keys = 100_000
    many_writers = False
    counts = False

    def open(self, keys: int, payload: int = 0) -> None:
        import EasyGlobals  # noqa: F401 - before a name is made for it

        path = scratch()  # its name is nobody else's
        path.rmdir()
        self.segment, self.keys, self.payload = path.name.replace("-", ""), keys, payload
        self._bind()

    @property
    def handle(self) -> Any:
        return self.segment, self.keys, self.payload

    def attach(self, handle: Any) -> None:
        self.segment, self.keys, self.payload = handle
        self._bind()

    def _bind(self) -> None:
        from EasyGlobals import Globals

        size = (16 << 20) + 1_500 * self.keys + 6 * self.payload
        self.data = data = Globals(self.segment, capacity=size, slot_count=max(1024, 3 * self.keys))
        self.get, self.set, self.delete, self.contains = data.get, data.__setitem__, data.__delitem__, data.__contains__

    def load(self, items: Iterable[tuple[str, Any]]) -> None:
        for key, value in items:
            self.data[key] = value
            self.data.disown(key)

    def used(self) -> int:
        return allocated(*Path("/dev/shm").glob(f"*{self.segment}*"))

    def close(self) -> None:
        self.data.close()
