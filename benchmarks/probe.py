"""A process that attaches to a store, and says how many nanoseconds that and the first get took.

It attaches once before, so that nothing is imported while it is timed.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
from multiprocessing import resource_tracker


def main() -> None:
    """Read what to attach to from stdin."""
    # Before Python 3.13, a process that merely attached to shared memory would remove it as it ends.
    resource_tracker.register = lambda *_: None  # type: ignore[assignment]
    contender, handle, key, value = pickle.load(sys.stdin.buffer)
    first = contender()
    first.attach(pickle.loads(handle))
    if first.get(key) != value:
        raise ValueError("another value")
    first.close()
    store = contender()
    began = time.perf_counter_ns()
    store.attach(pickle.loads(handle))
    store.get(key)
    took = time.perf_counter_ns() - began
    print(took, flush=True)
    store.close()
    os._exit(0)  # what some stores do at the end concerns their owner


if __name__ == "__main__":
    main()
