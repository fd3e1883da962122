"""Real processes for the tests of this folder: started, talked to through pipes, ended by their ids.

Each has a *line* to the test: `send`, `recv` and `poll` of a pipe. What the process's function returns, or raises, comes
back through it at the end. Processes that should do something at once wait on a `Gun`.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import select
import signal
import struct
import subprocess
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import shoal

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = 60.0
"""Seconds after which a test gives up on a process: far more than any needs."""
SHARED_MEMORY = Path("/dev/shm")
NOBODY = 65534
"""A user that is neither root nor whoever runs the tests."""


def serve(line: Any, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Run in a child: report what `work` returns or raises."""
    try:
        outcome = ("done", work(line, *arguments))
    except BaseException:  # noqa: BLE001 - handed to the test
        outcome = ("failed", traceback.format_exc())
    line.send(outcome)


class Child:
    """A process that runs a function of a module, under one of multiprocessing's start methods."""

    def __init__(self, method: str, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        context: Any = multiprocessing.get_context(method)
        self.line, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, work, arguments), daemon=False)
        self.process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        return int(self.process.pid)

    def send(self, message: Any) -> None:
        self.line.send(message)

    def recv(self) -> Any:
        """The next message; a failure of the child is one of the test."""
        assert self.line.poll(PATIENCE), f"process {self.pid} says nothing"
        message = self.line.recv()
        if isinstance(message, tuple) and message[:1] == ("failed",):
            raise AssertionError(message[1])
        return message

    def result(self) -> Any:
        """Wait for the end; what the function returned."""
        while True:
            message = self.recv()
            if isinstance(message, tuple) and message[:1] == ("done",):
                break
        self.process.join(PATIENCE)
        assert self.process.exitcode == 0
        return message[1]

    def alive_after(self, seconds: float) -> bool:
        """Let it run for that long; whether it still does."""
        self.process.join(seconds)
        return self.process.exitcode is None

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def go_on(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as `kill -9` does, stopped or not."""
        if self.process.exitcode is None:
            self.process.kill()
        self.process.join()  # with a timeout it would wait for the pipe's end, which its own children hold, too


class Gun:
    """Starts processes that were forked after it at the same moment."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def wait(self) -> None:
        """In a process: until the shot."""
        assert os.read(self._read, 1)

    def fire(self, count: int) -> None:
        """Release so many that wait."""
        os.write(self._write, b"!" * count)

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


RECORD = struct.Struct("<q")


class Journal:
    """What a process has acknowledged. It outlives the process, and a half-written record cannot be."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe2(os.O_NONBLOCK)
        fcntl.fcntl(self._write, fcntl.F_SETPIPE_SZ, 1 << 20)

    def note(self, number: int) -> None:
        os.write(self._write, RECORD.pack(number))

    def read(self) -> list[int]:
        data = b""
        while True:
            try:
                chunk = os.read(self._read, 1 << 20)
            except BlockingIOError:
                return [number for (number,) in RECORD.iter_unpack(data)]
            data += chunk

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


class Stranger:
    """A process that is nobody's child here, known by its id."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._handle = os.pidfd_open(pid)

    def wait(self, seconds: float = PATIENCE) -> None:
        """Until it has ended."""
        assert select.select([self._handle], [], [], seconds)[0], f"process {self.pid} does not end"

    def kill(self) -> None:
        if self._handle < 0:
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        self.wait()
        os.close(self._handle)
        self._handle = -1


class Crew:
    """The processes and the store names of one test. As a context manager it leaves nothing of either behind."""

    def __init__(self) -> None:
        self.prefix = f"test-{os.getpid()}-{os.urandom(4).hex()}"
        self._children: list[Child] = []
        self._programs: list[subprocess.Popen[str]] = []
        self._strangers: list[Stranger] = []
        self._guns: list[Gun] = []

    def __enter__(self) -> Self:
        return self

    def name(self, name: str = "main") -> str:
        return f"{self.prefix}-{name}"

    def gun(self) -> Gun:
        self._guns.append(Gun())
        return self._guns[-1]

    def start(self, work: Callable[..., Any], *arguments: Any, method: str = "fork") -> Child:
        """A child of multiprocessing. `work` gets the line and the arguments."""
        child = Child(method, work, arguments)
        self._children.append(child)
        return child

    def adopt(self, pid: int) -> Stranger:
        """Take care of a process that a child started."""
        self._strangers.append(Stranger(pid))
        return self._strangers[-1]

    def program(self, text: str, *arguments: str) -> subprocess.Popen[str]:
        """An unrelated program: a new interpreter, its output and errors in pipes."""
        program = subprocess.Popen(
            [sys.executable, "-c", text, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._programs.append(program)
        return program

    def run(self, text: str, *arguments: str) -> str:
        """An unrelated program's output; it must succeed and have nothing to complain about."""
        program = self.program(text, *arguments)
        output, errors = program.communicate(timeout=PATIENCE)
        assert (program.returncode, errors) == (0, "")
        return output.strip()

    def __exit__(self, *exception: object) -> None:
        for child in [*self._children, *self._strangers]:
            child.kill()
        for child in self._children:
            child.line.close()
        for program in self._programs:
            if program.poll() is None:
                program.kill()
            program.communicate()
        for gun in self._guns:
            gun.close()
        pids = [os.getpid(), *(made.pid for made in [*self._children, *self._programs, *self._strangers])]
        left = [
            path
            for pattern in (f"*{self.prefix}*", *(f"shoal.anon-{pid}-*" for pid in pids))
            for path in SHARED_MEMORY.glob(pattern)
        ]
        for path in left:
            path.unlink()
        assert not left, "something stays in shared memory"


# ---------------------------------------------------------------------- looking at this process


def segment(name: str) -> Path:
    """The file that is the arena."""
    return SHARED_MEMORY / f"shoal.{name}"


def mappings(name: str) -> list[str]:
    """The permissions of each mapping of the arena that this process has."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    return [line.split()[1] for line in maps if f"/shoal.{name}" in line]


def descriptors() -> int:
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def alive(name: str) -> bool | None:
    """What a listing says of the arena; None if there is none."""
    found = [info.alive for info in shoal.list_arenas() if info.name == name]
    return found[0] if found else None


def problems(store: Any) -> list[str]:
    """What a walk over every invariant of the arena finds wrong."""
    return [text for severity, text in store.verify() if severity == "problem"]


# ---------------------------------------------------------------------- what they do


def busy_inside(line: Any, store: Any) -> int:
    """Be inside the lock as much as possible, until told to end."""
    rounds = 0
    with store.namespace("busy") as busy:
        batch = {f"{number}": "x" * 100 for number in range(3000)}
        line.send("begun")
        while not line.poll():
            busy.update(batch)
            busy.clear()
            rounds += 1
    return rounds


def stop(child: Child) -> None:
    """Stop it where it is. It has stopped when this returns."""
    child.signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)


def stop_inside(child: Child, name: str) -> None:
    """Stop a process that runs `busy_inside` while it holds a lock of the store."""
    with shoal.open(name, timeout=0) as probe:
        for _ in range(10_000):
            stop(child)
            try:
                probe.set("probe", 1)
                probe.delete("probe")
            except shoal.StoreBusy:
                return
            child.go_on()
            assert child.alive_after(0.0005)
    raise AssertionError("never stopped inside the lock")


def become_nobody() -> None:
    """Give up root for good. Modules that a call would import lazily are loaded first: the home may be closed to it."""
    with shoal.open(None, size="4MiB") as store:
        store["key"] = [1, {"a": (1,)}]
        assert store["key"] == [1, {"a": (1,)}]
        store.metadata("key")
        store.stats()
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def die() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)
