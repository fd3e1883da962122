"""Signals during every wait: a handler that returns changes nothing, one that raises ends the wait at once."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from processes import busy_inside, problems, segment, stop_inside

import shoal

if TYPE_CHECKING:
    from processes import Crew

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="waits for the gate by flock of /dev/shm")

PROMPTLY = 10
"""Seconds that a program may take to its end once nothing keeps it: far less than its timeout."""
WAIT = """
import os, signal, sys, shoal

class Enough(Exception):
    pass

seen = 0

def note(number, frame):
    global seen
    seen += 1
    print("seen", flush=True)

def refuse(number, frame):
    raise Enough

store = shoal.open(sys.argv[1], timeout=600) if sys.argv[2] != "new" else None
signal.signal(signal.SIGUSR1, note)
signal.signal(signal.SIGUSR2, refuse)
print("ready", flush=True)
sys.stdin.readline()
try:
    print("waiting", flush=True)
    answer = {call}
except Enough:
    print("refused", flush=True)
else:
    print("answer", answer, flush=True)
os._exit(0)
"""
LOCKED = {
    "a write": ("(store.set('key', 1), 1)[1]", "1"),
    "a large write": ("(store.set('key', b'x' * 1_000_000), 1)[1]", "1"),
    "a pin": ("bytes(store.view('large')[:3])", "b'xxx'"),
    "a copy of what is pinned": ("store.get('large')[:3]", "b'xxx'"),
    "a draft": ("store.create_array('draft', (100_000,), 'u1').__enter__().shape", "(100000,)"),
    "a listing": ("'large' in store.list_keys()", "True"),
    "a field": ("(store.memory('m').set('a.b', 1), 1)[1]", "1"),
    "a walk over all": ("store.verify()", "[]"),
}
"""What waits for a lock, and what it answers in the end."""
OPENING = {
    "an opener": "shoal.open(sys.argv[1], timeout=600).name",
    "one that waits for a creator": "shoal.open(sys.argv[1], size='1MiB', timeout=600).name",
    "a reader": "shoal.open(sys.argv[1], 'r', timeout=600).name",
}


def begin(program: subprocess.Popen[str]) -> None:
    """Let it go into its call, and wait until it sleeps there."""
    assert program.stdin
    assert program.stdout
    assert program.stdout.readline() == "ready\n"
    program.stdin.write("\n")
    program.stdin.flush()
    assert program.stdout.readline() == "waiting\n"
    with pytest.raises(subprocess.TimeoutExpired):
        program.wait(0.1)


def note_signals(program: subprocess.Popen[str]) -> None:
    """Each is handled while the call waits, not after it, and the call goes on waiting."""
    assert program.stdout
    for _ in range(3):
        program.send_signal(signal.SIGUSR1)
        assert program.stdout.readline() == "seen\n"
    assert program.poll() is None


def refuse(program: subprocess.Popen[str]) -> None:
    program.send_signal(signal.SIGUSR2)
    assert program.communicate(timeout=PROMPTLY) == ("refused\n", "")


def test_signals_during_waits_for_a_lock(crew: Crew, name: str) -> None:
    with shoal.open(name, size="16MiB", timeout=60) as store:
        store["large"] = b"x" * 200_000
        store.memory("m").set("there", 1)
        patient = {kind: crew.program(WAIT.format(call=call), name, "old") for kind, (call, _) in LOCKED.items()}
        refusing = [crew.program(WAIT.format(call=call), name, "old") for call, _ in LOCKED.values()]
        child = crew.start(busy_inside, store)
        assert child.recv() == "begun"
        stop_inside(child, name)
        for program in [*patient.values(), *refusing]:
            begin(program)
            note_signals(program)
        for program in refusing:
            refuse(program)
        child.go_on()
        child.send("end")
        child.result()
        for kind, program in patient.items():
            assert program.communicate(timeout=PROMPTLY) == (f"answer {LOCKED[kind][1]}\n", "")
        assert store["large"] == b"x" * 200_000
        assert problems(store) == []


@pytest.mark.parametrize("kind", OPENING)
def test_signals_while_others_open_the_name(crew: Crew, name: str, kind: str) -> None:
    """Somebody has the gate: of an arena, or of a segment that is just being made."""
    path = segment(name)
    store = None if "creator" in kind else shoal.open(name, size="1MiB")
    if store is None:
        path.touch(mode=0o600)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        patient, refusing = (crew.program(WAIT.format(call=OPENING[kind]), name, "new") for _ in range(2))
        for program in (patient, refusing):
            begin(program)
            note_signals(program)
        refuse(refusing)
        fcntl.flock(file, fcntl.LOCK_UN)
        assert patient.communicate(timeout=PROMPTLY) == (f"answer {name}\n", "")
    if store is not None:
        store["key"] = 1
        assert problems(store) == []
        store.close()
    shoal.gc()
    assert not path.exists()
