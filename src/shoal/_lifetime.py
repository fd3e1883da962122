"""When a process forks and ends: what becomes of the mappings that it has."""

from __future__ import annotations

import atexit
import os
import sys
from _thread import RLock

TYPE_CHECKING = False  # typing is slow to import; checkers know this name
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Lifetime"]


class Lifetime:
    """Has the mappings of this process closed at its end, and made the child's own in a forked child.

    Args:
        close_all: Closes all mappings.
        before_fork: Makes what a forked child will need.
        after_fork: Called in the parent, whether the fork worked or not.
        inherit_all: Called in a forked child, before anything else uses the mappings there.
    """

    def __init__(
        self,
        close_all: Callable[[], None],
        before_fork: Callable[[], None],
        after_fork: Callable[[], None],
        inherit_all: Callable[[], None],
    ) -> None:
        self._close_all = close_all
        self._prepare_all = before_fork
        self._settle_all = after_fork
        self._inherit_all = inherit_all
        self._known = False  # to multiprocessing, in this process or an ancestor
        self._finalizer: Any = None  # of this process, in multiprocessing's registry
        self.opening = RLock()
        """Hold it to open: two threads must not map one arena twice, and a fork must not copy a half-open one."""
        # What was registered later runs earlier. Of a multiprocessing that was there before, atexit would wait for the children
        # only after this process has left its arenas, and nobody would remove what they, terminated, leave.
        self._finalized = "multiprocessing.util" in sys.modules
        if self._finalized:
            self._finalize(sys.modules["multiprocessing.util"])
        else:
            atexit.register(close_all)
        os.register_at_fork(
            before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._after_fork_in_child
        )

    def enlist(self) -> None:
        """See to it that mappings are closed where atexit does not run: in the children of multiprocessing.

        To be called when a mapping was made.
        """
        process, util = map(sys.modules.get, ("multiprocessing.process", "multiprocessing.util"))
        if process is None or util is None:
            return
        if self._finalized or process.parent_process() is not None:
            self._finalize(util)
        if not self._known:
            # A forked child forgets its parent's finalizers, and only then calls what is registered here.
            self._known = True
            util.register_after_fork(self, Lifetime.enlist)

    def _finalize(self, util: Any) -> None:
        # After the finalizers of pools and queues (priority 0 and up), whose threads may still use a store.
        if self._finalizer is None or not self._finalizer.still_active():
            self._finalizer = util.Finalize(None, self._close_all, exitpriority=-10)

    def _before_fork(self) -> None:
        self.opening.acquire()
        self._prepare_all()

    def _after_fork(self) -> None:
        self._settle_all()
        self.opening.release()

    def _after_fork_in_child(self) -> None:
        self.opening = RLock()  # the old one may belong to a thread that is not here
        self._finalizer = None  # the parent's, which does nothing here
        self._inherit_all()
        self.enlist()
