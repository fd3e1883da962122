"""Limits, forks and endings that a program did not plan for: a clear error or none, and others go on."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from processes import alive, problems, segment

import shoal

if TYPE_CHECKING:
    from pathlib import Path

    from processes import Crew

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and namespaces are Linux's")

MIB = 1 << 20

# ---------------------------------------------------------------------- limits of the process

LIMITED = """
import os, resource, sys
import shoal
name, kind, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])

def attempt(call):
    try:
        call()
        return "ok"
    except (shoal.ShoalError, MemoryError, OSError) as error:
        return type(error).__name__

with shoal.open(name, "w") as store:
    before = store["before"]
    which = getattr(resource, kind)
    resource.setrlimit(which, (limit, resource.getrlimit(which)[1]))
    outcomes = {attempt(lambda i=i: store.set(f"large {i}", b"x" * 3_000_000)) for i in range(12)}
    outcomes |= {attempt(lambda: shoal.open(name + "-new", size="64MiB")), attempt(lambda: shoal.open(name, "r").close())}
    assert store["before"] == before  # what is there can be read whatever the limit
    assert attempt(lambda: store.set("small", 1)) in ("ok", "CapacityExceeded")
print(*sorted(outcomes))
"""


@pytest.mark.parametrize(
    ("kind", "limit", "errors"),
    [
        ("RLIMIT_FSIZE", 64 * MIB, {"CapacityExceeded", "StorageError"}),
        ("RLIMIT_AS", 1, {"MemoryError"}),
        ("RLIMIT_NOFILE", 3, {"StorageError"}),
    ],
)
def test_a_limit_of_the_process_is_an_error(crew: Crew, name: str, kind: str, limit: int, errors: set[str]) -> None:
    with shoal.open(name, size="128MiB") as store:
        store["before"] = "there"
        outcomes = set(crew.run(LIMITED, name, kind, str(limit)).split())
        assert errors & outcomes, outcomes
        assert outcomes <= errors | {"ok", "MemoryError"}
        store["after"] = b"y" * 1_000_000  # whoever has no such limit goes on
        assert problems(store) == []
    for left in segment(name).parent.glob(f"shoal.{name}-new"):
        left.unlink()


# ---------------------------------------------------------------------- forks


def test_forks_while_threads_are_inside_calls(name: str) -> None:
    stopped = threading.Event()
    with shoal.open(name, size="32MiB") as store:
        store["seen"] = b"s" * 100_000
        view = store.view("seen")

        def work(me: int) -> None:
            i = 0
            while not stopped.is_set():
                i += 1
                store[f"{me}:{i % 50}"] = b"v" * (i % 70_000)
                store.get(f"{1 - me}:{i % 50}")

        threads = [threading.Thread(target=work, args=(me,)) for me in range(2)]
        for thread in threads:
            thread.start()
        codes = []
        for i in range(20):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    store[f"child {i}"] = i
                    code = 0 if store[f"child {i}"] == i and bytes(view) == b"s" * 100_000 else 2
                finally:
                    os._exit(code)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        stopped.set()
        for thread in threads:
            thread.join()
        assert codes == [0] * 20
        assert [store[f"child {i}"] for i in range(20)] == list(range(20))
        assert problems(store) == []
        del view


def test_many_processes_come_and_go(name: str) -> None:
    with shoal.open(name, size="16MiB") as store:
        for _ in range(10):
            pids = []
            for _ in range(20):
                pid = os.fork()
                if pid == 0:
                    try:
                        store.incr("visits")
                    finally:
                        os._exit(0)
                pids.append(pid)
            for pid in pids:
                os.waitpid(pid, 0)
        assert store["visits"] == 200
        assert store.stats().processes <= 2  # places of those that left are found again
        assert problems(store) == []


CLAIMS = 1 << 52
"""Where the kernel's locks lie that tell which places are taken: one byte for readers, then one per place."""


def test_as_many_processes_as_possible(crew: Crew, name: str) -> None:
    with shoal.open(name) as store:
        store["key"] = 1
        with segment(name).open("r+b") as everybody:
            taken = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, CLAIMS + 2, 2047, 0)
            fcntl.fcntl(everybody, fcntl.F_OFD_SETLK, taken)
            attempt = "import sys, shoal\ntry:\n    shoal.open(sys.argv[1], 'w')\nexcept shoal.CapacityExceeded as e:\n    print(e)"
            assert "as many processes as possible" in crew.run(attempt, name)
            assert crew.run("import sys, shoal; print(shoal.open(sys.argv[1], 'r')['key'])", name) == "1"
            store["key"] = 2  # those who are in go on
        assert crew.run("import sys, shoal; print(shoal.open(sys.argv[1], 'w')['key'])", name) == "2"
        assert problems(store) == []


# ---------------------------------------------------------------------- endings

ENDING = """
import sys, threading
import shoal
store = shoal.open(sys.argv[1], "w")
store["array"] = b"a" * 200_000
view = store.view("array")
kept = [store.memory("m"), store.namespace("n"), iter(store), view]
draft = store.create_array("draft", (30_000,), "u1")
array = draft.__enter__()

def spin():
    i = 0
    try:
        while True:
            i += 1
            store[f"spin {sys.argv[2]} {i % 100}"] = b"v" * (i % 40_000)
            array[i % 30_000] = 1
            sum(view[:100])
    except shoal.StoreClosed:
        pass  # the end of the program closes what it has open

for _ in range(3):
    threading.Thread(target=spin, daemon=True).start()
while f"spin {sys.argv[2]} 50" not in store:
    pass
"""


def test_an_interpreter_that_ends_with_all_in_use(crew: Crew, name: str) -> None:
    with shoal.open(name, size="32MiB") as store:
        for number in range(3):
            crew.run(ENDING, name, str(number))
        store.pop("array")
        store["after"] = 1
        assert "draft" not in store
        assert problems(store) == []


SUBINTERPRETER = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
import shoal
with shoal.open(sys.argv[1], "w") as store:
    store["main"] = 0
text = f'''
try:
    import shoal
    store = shoal.open({sys.argv[1]!r}, "w")
    store["sub"] = 1
    store.close()
except ImportError as error:
    assert str(error)
'''
one = interpreters.create()
try:
    interpreters.run_string(one, text)
except Exception as error:
    sys.exit(f"neither right nor refused: {error}")
interpreters.destroy(one)
with shoal.open(sys.argv[1], "w") as store:
    store["main"] = 1
"""


def test_a_subinterpreter_is_served_or_refused(crew: Crew, name: str) -> None:
    with shoal.open(name) as store:
        crew.run(SUBINTERPRETER, name)
        assert store["main"] == 1


# ---------------------------------------------------------------------- namespaces of the kernel, and clocks

UNSHARED = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]

HOLDER = """
import sys
import shoal
store = shoal.open(sys.argv[1], "w")
store["held"] = b"h" * 300_000
view = store.view("held")
print("ready", flush=True)
for line in sys.stdin:
    print(bytes(view) == b"h" * 300_000, flush=True)
"""


def may_unshare() -> bool:
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*UNSHARED, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not may_unshare(), reason="this user may not make namespaces of processes")
def test_a_process_of_another_pid_namespace_is_not_taken_for_dead(name: str) -> None:
    """Its pid here is another one than there, and there is somebody else who has the number that it has there."""
    with shoal.open(name, size="16MiB") as store:
        holder = subprocess.Popen(
            [*UNSHARED, sys.executable, "-c", HOLDER, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == "ready\n"
            store["held"] = "replaced"
            for _ in range(5):
                for i in range(20):
                    store[f"more {i}"] = os.urandom(300_000)
                    del store[f"more {i}"]
                store.verify()
            assert name not in shoal.gc()  # (the machine may have others that are dead)
            assert alive(name)
            assert store.stats().processes == 2
            holder.stdin.write("look\n")
            holder.stdin.flush()
            assert holder.stdout.readline() == "True\n"  # nobody took its pinned memory away
        finally:
            holder.kill()
            holder.communicate()
        assert problems(store) == []


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *at)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, at);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
        at->tv_sec += atol(getenv("CLOCK_STEP"));
    return failed;
}
"""

TIMED = """
import sys, time
import shoal
assert abs(time.time() - float(sys.argv[2])) > 80_000
with shoal.open(sys.argv[1], "w") as store:
    assert store["long"] == 1 and 900 < store.ttl("long") <= 1000
    store.set("theirs", 2, ttl=1000)
    store.set("over", 3, ttl=0.001)
    while "over" in store:
        pass
    assert "over" not in store.list_keys()
"""


@pytest.mark.skipif(not shutil.which("cc"), reason="no compiler for a clock that is wrong")
@pytest.mark.parametrize("step", [86_400, -86_400])
def test_expiry_does_not_ask_the_wall_clock(name: str, tmp_path: Path, step: int) -> None:
    source, library = tmp_path / "clock.c", tmp_path / "clock.so"
    source.write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    with shoal.open(name) as store:
        store.set("long", 1, ttl=1000)
        environment: dict[str, Any] = {**os.environ, "LD_PRELOAD": str(library), "CLOCK_STEP": str(step)}
        subprocess.run([sys.executable, "-c", TIMED, name, str(time.time())], env=environment, check=True, timeout=60)
        remaining = store.ttl("theirs")
        assert remaining is not None
        assert 900 < remaining <= 1000
        assert "over" not in store
