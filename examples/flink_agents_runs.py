"""Memory of Flink Agents in several processes: what one run thinks, and what all runs of a key know.

    python examples/flink_agents_runs.py

The two actions are written as for Flink Agents: they get a context, keep large data in sensory memory, and pass a `MemoryRef` in
an event. Each record is handled in whichever process is free; the short-term memory of a key is the same in all of them. The
package flink-agents need not be installed; with it, its own local runner has such memory after one call of `install`.
"""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import shoal
from shoal.adapters.flink_agents import LocalMemoryObject, MemoryType, RunnerContext

REVIEWS = [
    ("lamp", "bright and cheap", 5),
    ("desk", "wobbles", 2),
    ("lamp", "broke after a week", 1),
    ("desk", "good wood", 4),
    ("lamp", "bright", 4),
    ("desk", "wobbles a little", 3),
]


def read_review(event: dict[str, Any], ctx: RunnerContext) -> None:
    """First action: keep the words for this run alone, and say where they are."""
    ref = ctx.sensory_memory.set("review.words", event["text"].split())
    ctx.send_event({"words": ref, "stars": event["stars"]})


def learn(event: dict[str, Any], ctx: RunnerContext) -> None:
    """Second action: add to what is known of the product. Each review is a field of its own, so none undoes another."""
    words = event["words"].resolve(ctx)
    known = ctx.short_term_memory
    number = event["stars"] * 100 + len(" ".join(words))
    known.set(f"reviews.r{number}", {"stars": event["stars"], "words": words})
    known.new_object("about").set("last", words[-1])


def handle(store: shoal.Store, review: tuple[str, str, int]) -> list[str]:
    """One run of the agent; what sensory memory had."""
    product, text, stars = review
    with RunnerContext(store, product) as ctx:
        before = ctx.sensory_memory.get_field_names()
        ctx.send_event({"text": text, "stars": stars})
        for action in (read_review, learn):
            action(ctx.events.popleft(), ctx)
        fields = ctx.sensory_memory.get("review").get_field_names()
    return [*before, *fields, *ctx.sensory_memory.get_field_names()]


def main() -> None:
    """Handle the reviews in three processes, and look at what is known."""
    with shoal.open(size="64MiB") as store:
        with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
            seen = list(pool.map(partial(handle, store), REVIEWS))
        print(store.memory().render())
        memory = LocalMemoryObject(MemoryType.SHORT_TERM, store)
        stars = {
            product: sorted(review["stars"] for review in memory.get(f"{product}.reviews").get_fields().values())
            for product in memory.get_field_names()
        }
        print(f"stars: {stars}")
        # Every run had its own words and nothing of another's, and left none.
        if seen != [["words"]] * len(REVIEWS) or stars != {"desk": [2, 3, 4], "lamp": [1, 4, 5]}:
            sys.exit("something is wrong")
    print("checked: all reviews are known, and each run had sensory memory of its own")


if __name__ == "__main__":  # spawned processes import this file
    main()
