"""UltraDict2: each process has a full dict, and changes travel through a shared log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.bench.contender import Contender, allocated, object_bytes, scratch

if TYPE_CHECKING:
    from collections.abc import Iterable


class UltraDict(Contender):
    """A get hands out what the process has in its own dict: nothing is decoded."""

    name = "UltraDict2"
    package = "UltraDict2"
    modules = ("UltraDict2",)
    max_keys = 100_000
    max_value = 1 << 20

    def open(self, keys: int, payload: int = 0) -> None:
        import UltraDict2  # noqa: F401 - before a name is made for it

        path = scratch()  # its name is nobody else's
        path.rmdir()
        self.segment, self.keys, self.payload = path.name, keys, payload
        self._bind(create=True)

    @property
    def handle(self) -> Any:
        return self.segment, self.keys, self.payload

    def attach(self, handle: Any) -> None:
        self.segment, self.keys, self.payload = handle
        self._bind(create=False)

    def _bind(self, *, create: bool) -> None:
        from UltraDict2 import UltraDict as Shared

        dump = (1 << 20) + 200 * self.keys + 2 * self.payload
        log = max(4 << 20, 2 * self.payload)
        # The shared lock: the other one does not reach a process that attaches by name.
        self.data = data = Shared(
            name=self.segment,
            create=create,
            buffer_size=log,
            full_dump_size=dump,
            shared_lock=True,
            auto_unlink=create,
        )
        self.mine = create
        self.get, self.set, self.delete, self.contains = data.get, data.__setitem__, data.__delitem__, data.__contains__

        def incr(key: str) -> None:
            with data.lock:
                data[key] = data.get(key, 0) + 1

        self.incr = incr

    def load(self, items: Iterable[tuple[str, Any]]) -> None:
        self.data.update(dict(items))

    def used(self) -> int:
        """Return what is shared, and the copy that each process keeps, once."""
        self.data.dump()
        return allocated(*Path("/dev/shm").glob(f"{self.segment}*")) + object_bytes(dict(self.data.items()))

    def close(self) -> None:
        self.data.close()
        if self.mine:
            self.data.unlink()
