"""MemSwarm's shared memory for agents that are processes.

    python examples/memswarm_agents.py

Two researchers write what they find, each under its name, and rows for their team; an editor reads what the team may show it, finds
the most fitting text, and puts a cache in front of memory that lasts.
"""

from __future__ import annotations

import multiprocessing
import sys

from shoal.adapters.memswarm import HybridSharedMemory, InMemorySharedMemory
from shoal.errors import AccessDenied

TEXTS = {
    "ada": ["This is a document about AI.", "Notes on engines."],
    "bob": ["This document discusses machine learning.", "A soup of letters."],
}


def embed(texts: list[str]) -> list[list[float]]:
    """A model of two words, in place of sentence-transformers."""
    return [[float(text.count("AI")), float(text.count("learning")), 0.1] for text in texts]


def research(memory: InMemorySharedMemory, name: str) -> None:
    """What a researcher does, in a process of its own."""
    own = memory.agent(name, "team")
    for number, text in enumerate(TEXTS[name]):
        own.write(f"{name}/doc{number}", text)
        own.write_scope(f"{name} has read document {number}", context_id="reading")
    try:
        own.write("editor/title", "mine")
    except AccessDenied as error:
        own.write("team/complaint", str(error))


def main() -> None:
    """Let them work, and look at what they have written."""
    with InMemorySharedMemory(embed=embed) as memory, InMemorySharedMemory() as lasting:
        processes = [
            multiprocessing.get_context("spawn").Process(target=research, args=(memory, name)) for name in TEXTS
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        editor = memory.agent("editor", "team", read=["ada/*", "bob/*"])
        for key, value in sorted(editor.read().items()):
            print(f"{key}: {value}")
        for row in editor.read_context("reading").values():
            print(f"{row['metadata']['agent_id']}: {row['value']}")
        (best, score), *_ = editor.similarity_search("Tell me about AI", top_k=2)
        print(f"most like the question: {best} ({score:.2f})")
        both = HybridSharedMemory(cache=InMemorySharedMemory(url="memory://"), backend=lasting)
        both.write("title", editor.read(best))
        good = (
            lasting.read("title") == TEXTS["ada"][0]
            and len(editor.read()) == 5
            and len(editor.read_context("reading")) == 4
            and len(editor.read_scope(agent_id="bob")) == 2
        )
    if not good:
        sys.exit("something is wrong")
    print("checked: nothing of what the agents have written is lost")


if __name__ == "__main__":  # spawned processes import this file
    main()
