"""Hold the places of the core that store to an arena against those after which a process was killed.

    python tools/killed.py LIBRARY PLACES [--all]

LIBRARY is the core as `make killed` compiles it: it calls a function before every store (tests/c/places.c). So the list of places
comes from its code, and none can be forgotten. PLACES is the file that its runs have filled. A place is a line of csrc/; one of
a header counts once for each line of a .c file that it is inlined into. Each place must

- have been killed at, or
- store to the process's own memory only, in every run, or
- stand in tests/c/killed.txt, with a reason: `file function reason`, or `file function "part of the line" reason`.

It fails, with what is missing, if one does none of this, or if the table holds what is not needed. A line of the table that
begins with `?` may be needed or not: what only damage at random leads to.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "csrc"
TABLE = ROOT / "tests" / "c" / "killed.txt"

ARENA, ELSEWHERE, KILLED = 1, 2, 4  # as in tests/c/places.c
HEADER_BYTES = 4096
STORES = re.compile(
    r"<(__tsan_(unaligned_)?write\w+|__tsan_atomic\d+_(?!load|thread|signal)\w+|__wrap_mem(cpy|move|set))(@plt)?>"
)

Frame = tuple[str, str, int]  # file, function, line
Chain = tuple[Frame, ...]  # from the store itself outwards, to the first frame in a .c file


@dataclass
class Place:
    """A line that stores, and what was seen of it in all its copies."""

    chain: Chain
    seen: int = 0

    @property
    def text(self) -> str:
        """The source of its innermost line."""
        file, _, line = self.chain[0]
        return (SOURCES / file).read_text(encoding="utf-8").splitlines()[line - 1].strip()

    def __str__(self) -> str:
        """Where it lies, as a compiler would say it."""
        file, function, line = self.chain[0]
        within = "".join(f" < {name}:{number}" for _, name, number in self.chain[1:])
        return f"csrc/{file}:{line}: {function}{within}: {self.text}"


@dataclass
class Excuse:
    """A line of the table."""

    file: str
    function: str
    part: str
    reason: str
    maybe: bool
    used: bool = field(default=False)

    def covers(self, place: Place) -> bool:
        """Whether it speaks of that place, or of the function that it is inlined into."""
        return any((f, name) == (self.file, self.function) for f, name, _ in place.chain) and self.part in place.text


def output(*command: str) -> str:
    """Return what a program of binutils prints: raises CalledProcessError."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own library


def store_sites(library: str) -> list[int]:
    """Return the return addresses of all calls before a store."""
    sites, pending = [], False
    for line in output("objdump", "-d", "--no-show-raw-insn", library).splitlines():
        match = re.match(r"\s*([0-9a-f]+):\t(.*)", line)
        if not match:
            continue
        if pending:
            sites.append(int(match[1], 16))
        pending = match[2].startswith("call") and STORES.search(match[2]) is not None
    return sites


def chains(library: str, sites: list[int]) -> dict[int, Chain]:
    """Return for each site its lines, innermost first: raises ValueError if one has no line."""
    text = output("addr2line", "-a", "-i", "-f", "-e", library, *(hex(site - 1) for site in sites))
    found: dict[int, Chain] = {}
    for part in re.split(r"^0x", text, flags=re.MULTILINE)[1:]:
        address, *lines = part.splitlines()
        frames: list[Frame] = []
        for function, where in zip(lines[::2], lines[1::2], strict=True):
            path, _, number = where.split(" (")[0].rpartition(":")
            name = Path(path).name
            if not (SOURCES / name).exists():
                break
            if name != "atomics.h":
                frames.append((name, function, int(number)))
            if name.endswith(".c"):
                break
        if frames:
            found[int(address, 16) + 1] = tuple(frames)
    return found


def gather(library: str, counts: bytes) -> list[Place]:
    """Return all places of the core's own files."""
    sites = store_sites(library)
    places: dict[Chain, Place] = {}
    for site, chain in chains(library, sites).items():
        place = places.setdefault(chain, Place(chain))
        place.seen |= counts[HEADER_BYTES + site]
    # What a header's line stores to does not depend on where it is inlined.
    lines: dict[tuple[str, int], int] = defaultdict(int)
    for chain, place in places.items():
        lines[chain[0][0], chain[0][2]] |= place.seen
    for chain, place in places.items():
        if not place.seen and lines[chain[0][0], chain[0][2]] == ELSEWHERE:
            place.seen = ELSEWHERE
    return [places[chain] for chain in sorted(places)]


def excuses() -> list[Excuse]:
    """Read the table: raises ValueError for a line that it does not understand."""
    found = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r'(\??)(\S+) (\S+) (?:"([^"]*)" )?(.+)', line)
        if not match:
            raise ValueError(f"{TABLE}: {line}")
        found.append(Excuse(match[2], match[3], match[4] or "", match[5], match[1] == "?"))
    return found


def main() -> int:
    """Compare, and tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("library")
    parser.add_argument("places")
    parser.add_argument("--all", action="store_true", help="show every place")
    arguments = parser.parse_args()
    places = gather(arguments.library, Path(arguments.places).read_bytes())
    table = excuses()
    killed = own = excused = 0
    missing = []
    for place in places:
        if arguments.all:
            print("-AEBK---"[place.seen & 3] + ("K" if place.seen & KILLED else " "), place)
        if place.seen & KILLED:
            killed += 1
        elif place.seen & ELSEWHERE and not place.seen & ARENA:
            own += 1
        elif reasons := [excuse for excuse in table if excuse.covers(place)]:
            reasons[0].used = True
            excused += 1
        else:
            missing.append(place)
    for place in missing:
        print(f"{place}\n    {'nobody was killed there' if place.seen & ARENA else 'nothing came by here'}")
    idle = [excuse for excuse in table if not excuse.used and not excuse.maybe]
    for excuse in idle:
        print(f"{TABLE.name}: not needed any more: {excuse.file} {excuse.function} {excuse.part}")
    functions = {place.chain[-1][:2] for place in places if place.seen & KILLED}
    print(
        f"{len(places)} places of csrc/ store: {killed} killed at, in {len(functions)} functions; "
        f"{own} store to a process's own memory; {excused} excused; {len(missing)} missing"
    )
    return 1 if missing or idle else 0


if __name__ == "__main__":
    sys.exit(main())
