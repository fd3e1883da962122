"""Ctrl-C ends every wait at once, however long the timeout."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from processes import busy_inside, segment, stop_inside

import shoal

if TYPE_CHECKING:
    from processes import Crew

PROMPTLY = 5
"""Seconds that an interrupted program may take to its end: far less than any timeout here."""
WAIT = """
import sys, threading, shoal
store = shoal.open(sys.argv[1], timeout=600)
print("ready", flush=True)
sys.stdin.readline()
print("waiting", flush=True)
try:
    {call}
except KeyboardInterrupt:
    print("interrupted", flush=True)
    import os
    os._exit(0)
print("done")
"""
CALLS = {
    "set": "store['key'] = 1",
    "set a large value": "store['key'] = b'x' * 1_000_000",
    "get a large value": "store['large']",
    "incr": "store.incr('count')",
    "delete": "del store['large']",
    "set_many": "store.update(a=1, b=2)",
    "clear": "store.clear()",
    "list_keys": "store.list_keys()",
    "a thread": "t = threading.Thread(target=store.set, args=('key', 1)); t.start(); t.join()",
}
OPEN = """
import sys, shoal
print("waiting", flush=True)
try:
    shoal.open(sys.argv[1], timeout=600)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def interrupt(program: subprocess.Popen[str]) -> None:
    """Wait until it sleeps in its call, and press Ctrl-C."""
    assert program.stdout
    assert program.stdout.readline() == "waiting\n"
    with pytest.raises(subprocess.TimeoutExpired):
        program.wait(0.3)
    program.send_signal(signal.SIGINT)
    assert program.communicate(timeout=PROMPTLY) == ("interrupted\n", "")
    assert program.returncode == 0


def test_ctrl_c_during_a_wait_for_a_lock(crew: Crew, name: str) -> None:
    with shoal.open(name, size="16MiB", timeout=60) as store:
        store["large"] = b"x" * 200_000
        programs = [crew.program(WAIT.format(call=call), name) for call in CALLS.values()]
        for program in programs:
            assert program.stdout
            assert program.stdout.readline() == "ready\n"
        child = crew.start(busy_inside, store)
        assert child.recv() == "begun"
        stop_inside(child, name)
        for program in programs:
            assert program.stdin
            program.stdin.write("\n")
            program.stdin.flush()
            interrupt(program)
        child.go_on()
        child.send("end")
        child.result()
        assert dict(store) == {"large": b"x" * 200_000}


def test_ctrl_c_while_others_open_the_name(crew: Crew, name: str) -> None:
    """Somebody is stopped with the gate of the segment in hand."""
    with shoal.open(name, size="4MiB") as store:
        with segment(name).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            interrupt(crew.program(OPEN, name))
        store["key"] = 1


def test_a_timeout_while_others_open_the_name(crew: Crew, name: str) -> None:
    with shoal.open(name, size="4MiB"), segment(name).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        started = time.monotonic()
        with pytest.raises(shoal.StoreBusy) as caught:
            shoal.open(name, "r", timeout=0.2)
        assert 0.15 < time.monotonic() - started < 5
        assert (caught.value.name, caught.value.limit) == (name, 0.2)
        fcntl.flock(file, fcntl.LOCK_UN)
