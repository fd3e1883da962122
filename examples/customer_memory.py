"""A help desk of several processes that remembers its customers.

    python examples/customer_memory.py

Each message is answered in a run of its own, by whichever process is free. A run has two memories:

    short-term   of the customer: every later run for the same customer finds it, in any process
    sensory      of this run alone: what it thinks on the way, gone when it ends

A process that is killed in the middle of a run leaves nothing of the run behind.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import shoal

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

# What each customer says, one after the other, and what the answer must be.
TALKS = {
    "customer-1": [("I am Ann", "Hello Ann!"), ("I like tea", "Noted, Ann."), ("What do I like?", "tea, Ann.")],
    "customer-2": [("I like cake", "Noted."), ("I like jam", "Noted."), ("What do I like?", "cake and jam.")],
    "customer-3": [("What do I like?", "I do not know."), ("I am Cem", "Hello Cem!"), ("Bye", "Goodbye, Cem.")],
}


def answer(store: shoal.Store, customer: str, message: str) -> str:
    """Answer one message, in a run of its own."""
    with store.run(customer) as run:
        known, thoughts = run.short_term_memory, run.sensory_memory
        known.incr("messages")  # atomic, as everything is that needs to be
        thoughts["words"] = message.strip("?").split()
        match thoughts["words"]:
            case ["I", "am", name]:
                known["profile.name"] = name  # makes the object "profile" on the way
                thoughts["reply"] = "Hello"
            case ["I", "like", thing]:
                known.modify("profile.likes", lambda likes: [*likes, thing], default=[])
                thoughts["reply"] = "Noted"
            case ["What", "do", "I", "like"]:
                thoughts["reply"] = " and ".join(known.get("profile.likes", [])) or "I do not know"
            case _:
                thoughts["reply"] = "Goodbye"
        name, reply = known.get("profile.name", ""), thoughts["reply"]
        if reply == "Hello":
            return f"Hello {name}!"
        return f"{reply}, {name}." if name else f"{reply}."


def begin(store: shoal.Store, customer: str, pipe: Connection) -> None:
    """Begin a run, tell where its thoughts are, and never get any further."""
    with store.run(customer) as run:
        run.short_term_memory.incr("messages")
        pipe.send(run.sensory_memory.set("thought.half", "so far I think that"))
        pipe.recv()  # this never comes


def talk(store: shoal.Store) -> bool:
    """Have the messages answered by three processes; whether each answer is what it must be."""
    good = True
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        for step in zip(*TALKS.values(), strict=True):  # the customers talk at the same time
            replies = pool.map(partial(answer, store), TALKS, [message for message, _ in step])
            for customer, (message, expected), reply in zip(TALKS, step, replies, strict=True):
                print(f"{customer}: {message:16} {reply}")
                good = good and reply == expected
    return good


def kill_one(store: shoal.Store) -> bool:
    """Kill a process in the middle of a run; whether its thoughts are gone and what it did for the customer stays."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=begin, args=(store, "customer-1", there))
    process.start()
    there.close()
    thought = here.recv()  # a MemoryRef
    print(f"a run has the thought {thought.resolve(store)!r}; its process {process.pid} is killed")
    process.kill()
    process.join()
    try:
        print(f"its thought is still there: {thought.resolve(store)!r}")
    except shoal.KeyNotFound as error:
        print(f"KeyNotFound: {error}")
        return bool(store.memory()["customer-1.messages"] == len(TALKS["customer-1"]) + 1)
    return False


def main() -> None:
    """Talk, kill, and look at what is left."""
    with shoal.open(size="64MiB") as store:  # no name: it belongs to us and to the processes that we start
        memory = store.memory()  # of all customers
        good = talk(store) and kill_one(store)
        print(memory.render())
        known = {
            "customer-1": {"messages": 4, "profile": {"name": "Ann", "likes": ["tea"]}},
            "customer-2": {"messages": 3, "profile": {"likes": ["cake", "jam"]}},
            "customer-3": {"messages": 3, "profile": {"name": "Cem"}},
        }
        # stats() counts the fields of all memories; those below are all that there are.
        fields = sum(len(customer) + len(customer["profile"]) + 1 for customer in memory.to_dict().values())
        if not good or memory.to_dict() != known or store.stats().fields != fields:
            sys.exit("something is wrong")
    print(f"checked by process {os.getpid()}: the customers are known, and no run has left anything")


if __name__ == "__main__":  # spawned processes import this file
    main()
