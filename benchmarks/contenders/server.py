"""A store that is a server on a unix socket: started for the measurement, and ended after it."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from shoal.bench.contender import Contender, LeftOut, remove, scratch, server_bytes

PATIENCE = 10.0
"""Seconds until a server must answer."""


class Server(Contender):
    """What is said to it travels through a socket of this machine; nothing listens on a port."""

    client: Any
    process: subprocess.Popen[bytes] | None = None
    pid = 0
    empty = 0

    def program(self) -> str:
        """Find the server.

        Raises:
            LeftOut: It is not installed.
        """
        raise NotImplementedError

    def arguments(self, socket: Path) -> list[str]:
        """Let it listen on that socket, keep nothing on disk, and take all the memory it needs."""
        raise NotImplementedError

    def connect(self, socket: str) -> None:
        """Connect, bind the functions, and raise OSError or the like as long as nobody answers."""
        raise NotImplementedError

    def open(self, keys: int, payload: int = 0) -> None:
        program = self.program()
        self.require()
        self.path = scratch()
        self.socket = str(self.path / "socket")
        self.process = subprocess.Popen(
            [program, *self.arguments(Path(self.socket))],
            cwd=self.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.pid = self.process.pid
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self.connect(self.socket)
            except Exception as error:
                if self.process.poll() is not None or time.monotonic() > until:
                    self.close()
                    raise LeftOut(f"{program} does not answer: {error}") from error
                time.sleep(0.01)
            else:
                self.empty = server_bytes(self.pid)
                return

    def require(self) -> None:
        """Import the client, or raise ImportError."""

    @property
    def handle(self) -> Any:
        return self.socket, self.pid

    def attach(self, handle: Any) -> None:
        self.socket, self.pid = handle
        self.connect(self.socket)

    def used(self) -> int:
        return server_bytes(self.pid) - self.empty

    def close(self) -> None:
        if hasattr(self, "client"):
            self.client.close()
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        remove(self.path)


def find(*names: str) -> str:
    """The first of these programs that is there.

    Raises:
        LeftOut: None is.
    """
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    raise LeftOut(f"no {names[0]} on this machine")
