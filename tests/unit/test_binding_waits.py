"""What happens while another live process holds the locks: nothing waits with the GIL, or for ever."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
import struct
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import shoal

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where things lie in an arena of layout 1 (csrc/layout.h): in the header the layout's version, the number of shards, and
# where slots and shards start; a process slot starts with its state and the process's id, a shard with its lock.
LAYOUT, SHARDS, SLOTS_AT = 8, 12, 40
PAGE = 4096


def attach(store: Any, pipe: Any) -> None:
    """Take a slot in the process table by a write, and live on until told to end."""
    store["pid"] = os.getpid()
    pipe.send(True)
    pipe.recv()


@contextmanager
def held(store: Any) -> Iterator[None]:
    """Another live process owns the lock of every shard, as if it had been stopped inside a write."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=attach, args=(store, theirs))
    child.start()
    ours.recv()
    with Path(f"/dev/shm/shoal.{store.name}").open("r+b") as file, mmap.mmap(file.fileno(), 0) as arena:
        assert struct.unpack_from("<I", arena, LAYOUT) == (1,)
        (shards,) = struct.unpack_from("<I", arena, SHARDS)
        slots_at, shards_at = struct.unpack_from("<QQ", arena, SLOTS_AT)
        slot = next(i for i in range(16) if struct.unpack_from("<Q", arena, slots_at + i * PAGE + 8)[0] == child.pid)
        (state,) = struct.unpack_from("<Q", arena, slots_at + slot * PAGE)
        word = state >> 32 << 32 | slot + 1
        for shard in range(shards):
            struct.pack_into("<Q", arena, shards_at + shard * PAGE, word)
        try:
            yield
        finally:
            for shard in range(shards):
                struct.pack_into("<Q", arena, shards_at + shard * PAGE, 0)
            ours.send(True)
            child.join()


@pytest.fixture
def store() -> Iterator[Any]:
    with shoal.open(None, size="64MiB", timeout=0.2) as opened:
        yield opened


def test_a_held_lock_is_an_error_after_the_timeout(store: Any) -> None:
    store["k"] = "v"
    large = store["large"] = "x" * 100_000
    with held(store):
        for call in (
            lambda: store.set("k", 1),
            lambda: store.set("k", b"x" * 100_000),
            lambda: store.delete("k"),
            lambda: store.incr("n"),
            lambda: store.touch("k", 5),
            lambda: store.swap("k", 1),
            lambda: store.get("large"),
            store.clear,
        ):
            started = time.monotonic()
            with pytest.raises(shoal.StoreBusy) as caught:
                call()
            assert 0.15 <= time.monotonic() - started < 5
            assert caught.value.limit == pytest.approx(0.2)
            assert caught.value.name == store.name
        assert store["k"] == "v"  # small values are read without a lock
        assert "k" in store
    assert store["large"] == large
    store["k"] = 1


def test_a_waiting_call_goes_on_when_the_lock_is_free() -> None:
    with shoal.open(None, size="64MiB", timeout=60) as store:
        store["large"] = np.ones(20_000)
        done = threading.Event()

        def work() -> None:
            store["k"] = store["large"]
            done.set()

        thread = threading.Thread(target=work)
        with held(store):
            thread.start()
            assert not done.wait(0.1)  # and this thread has the GIL
        thread.join()
        assert store["k"].sum() == 20_000


def test_a_signal_ends_a_wait() -> None:
    class Stop(Exception):
        pass

    def handler(*_: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGALRM, handler)
    try:
        with shoal.open(None, size="64MiB", timeout=60) as store:
            store["large"] = "x" * 100_000
            with held(store):
                calls = (
                    lambda: store.set("k", 1),
                    lambda: store.get("large"),
                    lambda: store.delete("large"),
                    store.list_keys,
                    store.clear,
                    store.verify,
                )
                for call in calls:
                    started = time.monotonic()
                    signal.setitimer(signal.ITIMER_REAL, 0.1)
                    with pytest.raises(Stop):
                        call()
                    assert time.monotonic() - started < 10
            assert len(store) == 2
    finally:
        signal.signal(signal.SIGALRM, before)


def test_close_waits_for_a_call_that_waits(store: Any) -> None:
    outcomes: list[Any] = []
    inside = threading.Event()

    def work() -> None:
        inside.set()
        try:
            store["k"] = 1
        except shoal.StorageError as error:
            outcomes.append(error)

    thread = threading.Thread(target=work)
    with held(store):
        thread.start()
        inside.wait()
        store.close()
        assert store.closed
    thread.join()
    (error,) = outcomes
    assert isinstance(error, (shoal.StoreBusy, shoal.StoreClosed))


def test_a_handler_may_close_the_store_that_it_interrupts() -> None:
    store = shoal.open(None, size="64MiB", timeout=60)

    def handler(*_: object) -> None:
        store.close()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handler)
    try:
        with held(store):
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(KeyboardInterrupt):
                store["k"] = 1
            assert store.closed
    finally:
        signal.signal(signal.SIGALRM, before)


def test_no_wait_at_all() -> None:
    with shoal.open(None, size="64MiB", timeout=0) as store, held(store), pytest.raises(shoal.StoreBusy):
        store["k"] = 1
