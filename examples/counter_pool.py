"""A process pool whose tasks get the store as an argument and count in it together."""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import shoal


def roll(store: shoal.Store, task: int) -> int:
    """Throw two dice 1,000 times and count what comes; the result is how many tasks are done by now."""
    state = task
    for _ in range(1_000):
        state = (state * 1_103_515_245 + 12_345) % 2**31  # a small random generator, the same in every run
        first, second = 1 + (state >> 16) % 6, 1 + (state >> 20) % 6
        store.incr(f"sum {first + second:2}")
    return int(store.incr("tasks done"))


def main() -> None:
    """Throw dice in four processes; then show the counts, which add up exactly."""
    with shoal.open() as store:  # no name: shared with the processes that this one starts
        # A store can be pickled: it arrives in a child as the same store. Any start method will do.
        with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
            done = max(pool.map(partial(roll, store), range(20)))
        for key in store.list_keys("sum *"):
            print(f"{key}: {store[key]:5} {'#' * (store[key] // 100)}")
        total = sum(value for key, value in store.items() if key.startswith("sum "))
        print(f"{done} tasks threw {total} times")


if __name__ == "__main__":
    main()
