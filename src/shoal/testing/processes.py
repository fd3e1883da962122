"""Processes to stop and to kill: forked, so that they share logs that were mapped before."""

from __future__ import annotations

import os
import signal
import traceback
from contextlib import suppress
from time import monotonic_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Worker"]


class Worker:
    """A forked process that runs a function."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
                work()
                code = 0
            except BaseException:  # noqa: BLE001 - of a process nobody else would see it
                traceback.print_exc()
            finally:
                os._exit(code)

    @property
    def failed(self) -> bool:
        """Whether it ended by itself, with an error."""
        return self._status is not None and os.WIFEXITED(self._status) and os.WEXITSTATUS(self._status) != 0

    def ended(self) -> bool:
        """Whether it has ended."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = status
        return self._status is not None

    def stop(self) -> None:
        """Stop it where it is; it has stopped, or ended, when this returns."""
        if not self.ended():
            os.kill(self.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def go_on(self) -> None:
        """Let it go on."""
        if not self.ended():
            os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> int:
        """End it at whatever instruction it is; the instant at which it was dead."""
        if self._status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; an instant at which it was dead."""
        if self._status is None:
            _, self._status = os.waitpid(self.pid, 0)
        return monotonic_ns()
