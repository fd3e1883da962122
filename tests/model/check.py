"""Look at every state of the models (SPIN does), and show that each removed step is found: `make model`.

A model is right if no state that can be reached breaks an assertion or blocks somebody for ever. Each variant lacks a fence or a
step of the protocol; of each of them SPIN must find a state that breaks something, or the model would show nothing.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
RIGHT = ""
MODELS = {
    "publish": {
        RIGHT: "seqlock, publish and recovery",
        "NO_ODD": "the sequence is not odd while the slot changes",
        "NO_RELEASE_FENCE": "changes are seen before the odd sequence",
        "RELAXED_EVEN": "the even sequence is seen before the changes",
        "NO_VALIDATE": "the reader does not look at the sequence again",
        "NO_ACQUIRE_FENCE": "the reader looks at the sequence again too early",
        "FREE_EARLY": "the old block is free before the new one is published",
        "STEAL": "a lock is taken over from one who lives",
        "RECOVERY_LEAVES_SEQUENCE": "recovery leaves the sequence odd",
        "RECOVERY_LEAKS": "recovery does not find the blocks that a dead writer held",
    },
    "overwrite": {
        RIGHT: "an entry is overwritten where it lies, and undone",
        "NO_ODD": "the sequence is not odd while the entry changes",
        "NO_RELEASE_FENCE": "changes are seen before the odd sequence",
        "NO_VALIDATE": "the reader does not look at the sequence again",
        "NO_IMAGE": "what the entry was is not kept",
        "IMAGE_LATE": "the image is said to count before it is whole",
        "IMAGE_IGNORED": "who reads beside a dead owner's lock does not look at the image",
        "LOCK_UNWATCHED": "who reads beside a dead owner's lock does not look at it again",
        "COMMIT_LATE": "the image counts until after readers could see the new entry",
        "NO_UNDO": "recovery does not put the image back",
        "COMMIT_BEFORE_UNDO": "recovery says that the image does not count before the entry is whole again",
    },
    "split": {
        RIGHT: "a bucket is split, and recovered",
        "COUNT_FIRST": "the count grows before the entries are copied",
        "CLEAR_FIRST": "entries leave the old bucket before the count grows",
        "RELAXED_COUNT": "the count is seen before the entries that were copied",
        "CLEAR_WITHOUT_SEQUENCE": "entries leave the old bucket without moving its sequence",
        "MISS_WITHOUT_COUNT": "a reader believes a miss although the count has changed",
        "NO_ZERO": "the new bucket keeps what a dead split left in it",
        "RECOVERY_KEEPS_DOUBLES": "recovery leaves entries in the old bucket",
    },
}
MOST_KILLS = {"publish": 1, "overwrite": 2, "split": 1}
NEEDS = ("spin", "gcc")


class Outcome(NamedTuple):
    """What SPIN found: the number of states, and the first error, if any."""

    states: int
    error: str


def explore(model: str, variant: str = RIGHT, *, kills: int | None = None) -> Outcome:
    """Look at all states of a model in which up to so many processes die (default: as many as the model is meant for)."""
    kills = MOST_KILLS[model] if kills is None else kills
    with tempfile.TemporaryDirectory() as folder:
        for path in HERE.glob("*.pml"):
            shutil.copy(path, folder)
        defines = [f"-DKILLS={kills}", *([f"-D{variant}"] if variant else [])]
        run(["spin", *defines, "-a", f"{model}.pml"], folder)
        run(["gcc", "-O1", "-w", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=2000", "-o", "pan", "pan.c"], folder)
        printed = run(["./pan", "-m100000"], folder)
    states = re.search(r"(\d+) states, stored", printed)
    errors = re.search(r"errors: (\d+)", printed)
    assert states, printed
    assert errors, printed
    assert "Search not completed" not in printed or errors[1] != "0", printed
    assert "max search depth too small" not in printed, printed
    found = re.search(r"pan:\d+: (.*)", printed)
    return Outcome(int(states[1]), found[1] if found else "")


def run(command: list[str], folder: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0 and command[0] != "./pan":
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def main() -> int:
    missing = [program for program in NEEDS if shutil.which(program) is None]
    if missing:
        print(f"shoal: no {' and no '.join(missing)} here (Debian, Ubuntu: apt-get install spin build-essential)")
        return 1
    wrong = 0
    for model, variants in MODELS.items():
        for variant, meaning in variants.items():
            outcome = explore(model, variant)
            wrong += bool(outcome.error) == (variant == RIGHT)
            told = f"found: {outcome.error}" if outcome.error else "nothing is wrong"
            print(f"{model} {variant or 'as it is'}: {meaning}\n    {outcome.states} states, {told}", flush=True)
    print(
        f"{wrong} models are not what they should be"
        if wrong
        else "the models are right, and each removed step is found"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
