"""The first steps: a store is a dict that other processes share."""

from multiprocessing import Process

import shoal


def visit() -> None:
    """Run in another process: open the store by its name."""
    with shoal.open("quickstart") as store:
        store["answer"] = {"value": 42, "found by": ["another", "process"]}
        store.incr("visits")


def main() -> None:
    """Write, let another process write, read."""
    with shoal.open("quickstart") as store:  # gone with the last process that has it open
        store["greeting"] = "hello"  # any value: numbers, text, containers, numpy arrays, dataclasses...
        store.set("token", "abc", ttl=60)  # gone after a minute

        visitors = [Process(target=visit) for _ in range(3)]
        for visitor in visitors:
            visitor.start()
        for visitor in visitors:
            visitor.join()

        print(store["answer"])  # {'value': 42, 'found by': ['another', 'process']}
        print(store["visits"])  # 3: incr() is atomic, so no visit got lost
        print(sorted(store))  # ['answer', 'greeting', 'token', 'visits']


if __name__ == "__main__":
    main()
