"""Index a directory of Python source with a pool of processes that share one store.

    python examples/index_stdlib.py [DIRECTORY]         (`shoal demo` runs the same code with more options)

Four workers parse the files of Python's standard library and leave what they find in one store. Nobody hands out
the work and nobody owns the data: the workers agree through the store's atomic operations alone. Any of them may be
killed at any moment, and the index still comes out exactly as if one process had made it; the end checks that.

The store's namespaces, each of which is a mapping of its own:

    claims       path -> worker       who is at which file; a claim expires, so the dead hold none
    cache        hash -> record       what parsing some content gave, for files that are the same
    results      path -> record       the files that are done, each written exactly once
    vectors      path -> array        word frequencies, for comparing files
    definitions  name -> places       where each class and function is defined
    tokens       word -> number       how often each word occurs in all files
    imports      module -> number     how many files import it
    counting     worker -> path       the file whose words a worker is adding up right now
"""

from __future__ import annotations

import ast
import hashlib
import math
import multiprocessing
import operator
import random
import re
import signal
import sys
import sysconfig
import time
import warnings
import zlib
from collections import Counter
from multiprocessing.connection import wait
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

import shoal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

LEASE = 3.0  # seconds that a claim lasts; a file that takes longer is parsed twice, but never counted twice
DIMENSIONS = 256  # of a term vector
Record = dict[str, Any]  # what is known about one file


# ------------------------------------------------ the job itself, which knows no store
def find_files(root: Path) -> list[str]:
    """List the Python files below `root`, without installed packages."""
    paths = (path.relative_to(root) for path in root.rglob("*.py") if path.is_file())
    return sorted(str(path) for path in paths if not {"site-packages", "dist-packages"} & set(path.parts))


def parse(source: bytes) -> Record:
    """Extract definitions, imports, the docstring and the words of one file."""
    words = re.findall(r"[A-Za-z_]\w{1,63}", source.decode("utf-8", "replace"))
    record: Record = {"docstring": "", "definitions": {}, "imports": [], "tokens": dict(Counter(words))}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of invalid escapes and the like: not our files
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # tests of the parser are like that
        return record | {"error": type(error).__name__}
    imports: set[str] = set()
    for node in statements(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            record["definitions"].setdefault(node.name, node.lineno)
        elif isinstance(node, ast.Import):
            imports.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imports.add("." * node.level + (node.module or ""))
    docstring = ast.get_docstring(tree) or ""
    return record | {"imports": sorted(imports), "docstring": docstring.partition("\n")[0]}


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Walk the statements below a node, except those inside functions."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, field, ()):
            yield child
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from statements(child)


def term_vector(tokens: Mapping[str, int]) -> np.ndarray:
    """Return a unit vector that is alike for files that use the same words."""
    vector = np.zeros(DIMENSIONS)
    for word, number in tokens.items():
        vector[zlib.crc32(word.encode()) % DIMENSIONS] += math.log1p(number)
    return (vector / (np.linalg.norm(vector) or 1)).astype(np.float32)


# ------------------------------------------------ a worker
class Index:
    """The namespaces of the store. Every process makes one of its own from the store that it was given."""

    def __init__(self, store: shoal.Store) -> None:
        self.claims = store.namespace("claims", ttl=LEASE)
        # At most 500 records: beyond that, those go that nobody asks for.
        self.cache = store.namespace("cache", ttl=600, max_keys=500, eviction="sieve")
        self.results = store.namespace("results")
        self.vectors = store.namespace("vectors")
        self.definitions = store.namespace("definitions")
        self.tokens = store.namespace("tokens")
        self.imports = store.namespace("imports")
        self.counting = store.namespace("counting")


def work(store: shoal.Store, worker: str, root: Path, seed: int) -> None:
    """Index whatever file is free, until all are done. The store came as an argument: a store can be pickled."""
    index = Index(store)
    paths = store["paths"]
    random.Random(f"{seed} {worker}").shuffle(paths)  # a copy: the list in the store stays as it is
    while unfinished := [path for path in paths if path not in index.results]:
        for path in unfinished:
            # add() writes only if the key is absent. Of all workers that try, one gets True.
            if path not in index.results and index.claims.add(path, worker):
                index_file(index, worker, root, path)
        time.sleep(0.01)  # what is left is in other hands, or in dead ones: then its claim expires


def index_file(index: Index, worker: str, root: Path, path: str) -> None:
    """Index one file, so that it counts exactly once however many workers try and wherever one of them dies."""
    source = (root / path).read_bytes()
    content = hashlib.sha256(source).hexdigest()
    record = index.cache.get(content)
    if record is None:
        record = index.cache[content] = parse(source)

    # What may be done twice comes first. A numpy array is a value like any other:
    index.vectors[path] = term_vector(record["tokens"])
    # modify() replaces a value by a function of it, atomically. Sets are values too, and a place is in a set or not.
    for name, line in record["definitions"].items():
        index.definitions.modify(name, {f"{path}:{line}"}.union, default=set())

    # What must be done once comes last: add() lets only one worker finish a file, and that one counts its words.
    # incr() is atomic, but a thousand of them are not, so a worker says beforehand what it is about to count:
    # should it die on the way, recount() knows which words to look at.
    index.counting[worker] = path
    if index.results.add(path, record):
        for word, number in record["tokens"].items():
            index.tokens.incr(word, number)
        for module in record["imports"]:
            index.imports.incr(module)
    del index.counting[worker]


def recount(index: Index) -> list[str]:
    """Put right what workers left half-counted when they died; the result is the files they were at."""
    suspects = index.results.get_many(set(index.counting.values()))
    if suspects:
        tokens: Counter[str] = Counter()
        imports: Counter[str] = Counter()
        for record in index.results.values():
            tokens.update(record["tokens"])
            imports.update(record["imports"])
        for record in suspects.values():
            index.tokens.update({word: tokens[word] for word in record["tokens"]})
            index.imports.update({module: imports[module] for module in record["imports"]})
    index.counting.clear()
    return sorted(suspects)


# ------------------------------------------------ the pool
def start(target: Callable[..., None], *arguments: object) -> Any:
    """Start a fresh interpreter ("spawn"), which shares nothing with this one but the store."""
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited: Ctrl-C is for us alone, and we end the others
    process.start()
    signal.signal(signal.SIGINT, previous)
    return process


def build(
    store: shoal.Store,
    root: Path,
    paths: Sequence[str],
    progress: Callable[[int], object],
    *,
    workers: int = 4,
    seed: int = 0,
    kill: bool = False,
) -> dict[str, Any]:
    """Let `workers` processes index the files; with `kill`, shoot one half-way. The result says what happened."""
    store["paths"] = list(paths)
    index = Index(store)
    report: dict[str, Any] = {"killed": [], "abandoned": [], "processes": 0}
    recruits = [f"worker-{number}" for number in range(workers)]
    pool: dict[str, Any] = {}
    victim = None
    try:
        while recruits or pool:
            for worker in recruits:
                pool[worker] = start(work, store, worker, root, seed)
            recruits.clear()
            wait([process.sentinel for process in pool.values()], timeout=0.05)
            done = len(index.results)
            progress(done)
            report["processes"] = max(report["processes"], store.stats().processes)
            for worker in [worker for worker, process in pool.items() if process.exitcode is not None]:
                code = pool.pop(worker).exitcode
                if code > 0 or len(report["killed"]) > workers:
                    raise RuntimeError(f"{worker} ended with exit code {code}")
                if code < 0:  # Killed. There is nothing to clean up: its claims expire, no lock stays locked.
                    report["killed"].append(worker)
                    claimed = [path for path, holder in index.claims.items() if holder == worker]
                    report["abandoned"] += [path for path in claimed if path not in index.results]
                    recruits.append(f"worker-{workers + len(report['killed']) - 1}")
            if kill and victim is None and done >= len(paths) // 2 and pool:
                victim = next(iter(pool.values()))
                victim.kill()  # SIGKILL: it cannot clean up
    finally:
        for process in pool.values():
            process.kill()
            process.join()
    report["recounted"] = recount(index)
    return report


# ------------------------------------------------ questions, and the proof
def answer(index: Any) -> dict[str, Any]:
    """Ask the index some questions. It works on stores and on dicts alike, because a store is a mapping."""
    names = [name for name in ("OrderedDict", "dataclass", "Path") if name in index.definitions]
    paths = sorted(index.vectors)
    subject = "json/decoder.py" if "json/decoder.py" in index.vectors else paths[0]
    closeness = np.stack([index.vectors[path] for path in paths]).astype(float) @ index.vectors[subject]
    similar = top(zip(paths, closeness.round(3).tolist(), strict=True))
    return {
        "who defines": {name: sorted(index.definitions[name]) for name in names or sorted(index.definitions)[:3]},
        "most imported modules": top(index.imports.items()),
        "most frequent words": top(index.tokens.items()),
        "files most like": {subject: [pair for pair in similar if pair[0] != subject]},
        "what it is for": {subject: index.results[subject]["docstring"]},
    }


def top(pairs: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    """Return the five pairs of the largest numbers."""
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:5]


def ask(store: shoal.Store) -> None:
    """Answer from a process of its own, which finds all it needs in the store, and leave the answers there."""
    store["answers"] = answer(Index(store))


def ask_elsewhere(store: shoal.Store) -> Any:
    """Have another process answer the questions."""
    start(ask, store).join()
    return store["answers"]


def alone(root: Path, paths: Iterable[str]) -> Any:
    """Do the same job in this one process, with dicts."""
    index = SimpleNamespace(results={}, vectors={}, definitions={}, tokens=Counter(), imports=Counter())
    for path in paths:
        record = index.results[path] = parse((root / path).read_bytes())
        index.vectors[path] = term_vector(record["tokens"])
        for name, line in record["definitions"].items():
            index.definitions.setdefault(name, set()).add(f"{path}:{line}")
        index.tokens.update(record["tokens"])
        index.imports.update(record["imports"])
    return index


def differences(index: Any, expected: Any) -> list[str]:
    """Compare two indexes entry by entry; a line for every namespace that is not the same."""
    found = []
    for name in ("results", "vectors", "definitions", "tokens", "imports"):
        here, there = dict(getattr(index, name)), dict(getattr(expected, name))
        equal: Any = np.array_equal if name == "vectors" else operator.eq
        wrong = [key for key in here.keys() | there.keys() if not equal(here.get(key), there.get(key))]
        if wrong:
            found.append(f"{name}: {len(wrong)} of {len(there)} entries differ, such as {min(wrong)!r}")
    return found


def main() -> None:
    """Index, ask, compare."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else sysconfig.get_path("stdlib"))
    paths = find_files(root)
    with shoal.open(size="256MiB") as store:  # no name: it belongs to us and to the processes that we start
        build(store, root, paths, lambda done: print(f"\r{done} of {len(paths)} files", end="", flush=True))
        print()
        for question, reply in ask_elsewhere(store).items():
            print(f"{question}: {reply}")
        print(differences(Index(store), alone(root, paths)) or "identical to what one process finds")


if __name__ == "__main__":  # spawned processes import this file
    main()
