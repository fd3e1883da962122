"""Benchmarks of Shoal beside other stores. See README.md in this folder."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chart
import codecs_of_values
import eviction
import footprint
import growth
import large
import listing
import memory
from contenders import ALL, Shoal
from report import contended, in_rows, side_by_side

from shoal.bench import contention, harness, points

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.bench.contender import Contender


@dataclass(frozen=True)
class Form:
    """How much is measured."""

    rounds: int
    seconds: float
    """That one kind of work takes in one round, about."""
    points: tuple[tuple[str, int], ...]
    """Kinds of values, and numbers of keys."""
    contended_keys: int
    entries: int
    """When memory is measured, and in listing."""
    growth: int
    requests: int
    """To caches."""
    patience: float = 0.0
    """Seconds, for each table, that may go to rounds made again because others were busy."""


FULL = Form(
    rounds=7,
    seconds=0.2,
    points=(
        *(("str", keys) for keys in (1_000, 10_000, 100_000, 1_000_000)),
        *((kind, 10_000) for kind in ("int", "dict", "bytes")),
    ),
    contended_keys=100_000,
    entries=1_000_000,
    growth=5_000_000,
    requests=500_000,
)
SHORT = Form(
    rounds=5,
    seconds=0.03,
    points=(("str", 10_000), ("int", 10_000), ("dict", 10_000), ("bytes", 10_000), ("str", 1_000_000)),
    contended_keys=10_000,
    entries=100_000,
    growth=500_000,
    requests=50_000,
)
SMOKE = Form(
    rounds=2,
    seconds=0.003,
    points=tuple((kind, 1_000) for kind in ("str", "int", "dict", "bytes")),
    contended_keys=1_000,
    entries=5_000,
    growth=20_000,
    requests=5_000,
)

Stores = dict[str, "type[Contender]"]


def _harness(
    prepare: harness.Prepare, stores: Any, options: dict[str, Any], rounds: int, patience: float
) -> dict[str, Any]:
    figures, notes = harness.run(prepare, options, rounds, stores, patience)
    return {"figures": [asdict(figure) for figure in figures], "notes": notes}


# Each part prints what it found, and returns what JSON should hold.


def measure_points(form: Form, stores: Stores) -> Any:
    """Single operations in one process."""
    found = []
    for kind, keys in form.points:
        able = {name: store for name, store in stores.items() if kind in store.kinds and keys <= store.max_keys}
        options = {"keys": keys, "kind": kind, "seconds": form.seconds, "payload": 1_100 * keys}
        if kind != "bytes":
            options["payload"] = 100 * keys
        part = {"kind": kind, "keys": keys, **_harness(points.prepare, able, options, form.rounds, form.patience)}
        print(f"{keys:,} keys, values of kind {kind} (in brackets: how many times the time of Shoal)\n")
        print(side_by_side(part["figures"]), *part["notes"], sep="\n", end="\n\n")
        found.append(part)
    return found


def measure_contention(form: Form, stores: Stores) -> Any:
    """Two processes."""
    figures, notes = contention.run(
        stores, form.contended_keys, form.rounds, max(0.05, form.seconds), patience=form.patience
    )
    print(f"two processes, {form.contended_keys:,} keys or as many as a store can, zipfian (theta 0.99), text of 32\n")
    print(contended(figures), *notes, sep="\n", end="\n\n")
    return {"figures": [asdict(figure) for figure in figures], "notes": notes}


def measure_large(form: Form, stores: Stores) -> Any:
    """Values of up to 8 MB."""
    able = {large.CopyTo.name: large.CopyTo} | {
        name: store for name, store in stores.items() if {"bytes", "array"} & store.kinds
    }
    options = {"keys": 10, "payload": 64 << 20, "seconds": form.seconds}
    part = _harness(large.prepare, able, options, form.rounds, form.patience)
    print("large values: float32 arrays, or bytes where a store has no arrays; a dict only hands out references\n")
    print(side_by_side(part["figures"]), *part["notes"], sep="\n", end="\n\n")
    return part


def measure_footprint(form: Form, stores: Stores) -> Any:
    """Memory, import and attach."""
    able = {name: store for name, store in stores.items() if form.entries <= store.max_keys}
    options = {"keys": form.entries, "payload": 100 * form.entries}
    space = _harness(footprint.prepare_memory, able, options, 1, form.patience)
    print(f"bytes of memory per entry, {form.entries:,} entries of 12 + 32 bytes\n")
    print(in_rows(space["figures"], "bytes"), *space["notes"], sep="\n", end="\n\n")
    attach = _harness(footprint.prepare_attach, stores, {"keys": 1_000}, max(1, form.rounds // 3), form.patience)
    print("a fresh process: import of what a store needs; attaching and the first get when all is imported\n")
    print(side_by_side(attach["figures"]), *attach["notes"], sep="\n", end="\n\n")
    return {"keys": form.entries, "memory": space, "attach": attach}


def measure_growth(form: Form, stores: Stores) -> Any:  # noqa: ARG001 - as every part
    """One store, from nothing to millions."""
    lines, per_entry = growth.run(form.growth)
    print(
        "growth of one store; single inserts by the clock, and by the CPU time of the thread alone: others may run in between\n"
    )
    print("| keys | mean insert | slowest so far | over 1 ms | slowest, CPU time | over 1 ms, CPU time |")
    print("|---:|---:|---:|---:|---:|---:|")
    for line in lines:
        clock = f"{line.slowest_us:,.0f} us | {line.over_1_ms}"
        print(
            f"| {line.keys:,} | {line.mean_ns:,.0f} ns | {clock} | {line.slowest_cpu_us:,.0f} us | {line.over_1_ms_cpu} |"
        )
    print(f"\nbytes in use per entry: {per_entry:.1f}\n")
    return {"lines": [asdict(line) for line in lines], "bytes_per_entry": per_entry}


def measure_listing(form: Form, stores: Stores) -> Any:
    """Many keys at once."""
    able = {name: store for name, store in listing.STORES.items() if name in stores}
    options = {"keys": form.entries, "payload": 100 * form.entries}
    names = _harness(listing.prepare_namespaces, able, options, form.rounds, form.patience)
    print(f"1,000 keys in a namespace of a store of {form.entries:,}; where there are none, a prefix is one\n")
    print(side_by_side(names["figures"]), *names["notes"], sep="\n", end="\n\n")
    expiry = _harness(listing.prepare_expiry, {"shoal": Shoal}, {**options, "keys": 20_000}, form.rounds, form.patience)
    print("while as many entries as these 20,000 expire\n")
    print(in_rows(expiry["figures"], "ns"), *expiry["notes"], sep="\n", end="\n\n")
    return {"namespaces": names, "expiry": expiry}


def measure_eviction(form: Form, stores: Stores) -> Any:  # noqa: ARG001 - as every part
    """Hit ratios."""
    ratios, notes = eviction.run(form.requests)
    print("hits of all requests, in caches that are too small\n")
    policies = list(ratios[0].hits)
    headers = ["trace", "requests", "room for", *policies]
    print("| " + " | ".join(headers) + " |", "|---|" + "---:|" * (len(headers) - 1), sep="\n")
    for ratio in ratios:
        cells = " | ".join(f"{ratio.hits[policy]:.1%}" if policy in ratio.hits else "-" for policy in policies)
        print(f"| {ratio.trace} | {ratio.requests:,} | {ratio.capacity:,} of {ratio.keys:,} keys | {cells} |")
    print(*notes, sep="\n", end="\n\n")
    return {"ratios": [asdict(ratio) for ratio in ratios], "notes": notes}


def measure_codec(form: Form, stores: Stores) -> Any:  # noqa: ARG001 - as every part
    """Values to bytes and back."""
    options = {"keys": 10, "payload": 1 << 20, "budget": int(1e7 * form.seconds)}
    part = _harness(codecs_of_values.prepare, codecs_of_values.CODECS, options, form.rounds, form.patience)
    print("values to bytes and back, without a store but in the first row\n")
    print(side_by_side(part["figures"]), *part["notes"], sep="\n", end="\n\n")
    return part


def measure_memory(form: Form, stores: Stores) -> Any:  # noqa: ARG001 - as every part
    """Hierarchical memory, arrays, references."""
    result, lines = memory.run(form.contended_keys, form.rounds)
    print(*lines, sep="\n")
    return result


PARTS: dict[str, Callable[[Form, Stores], Any]] = {
    "points": measure_points,
    "contention": measure_contention,
    "large": measure_large,
    "footprint": measure_footprint,
    "growth": measure_growth,
    "listing": measure_listing,
    "eviction": measure_eviction,
    "codec": measure_codec,
    "memory": measure_memory,
}
IN_SHORT = [name for name in PARTS if name not in ("codec", "memory")]


def environment() -> dict[str, Any]:
    """Where this was measured, and with which versions."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        named = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = named[0] if named else processor
    versions = {}
    for package in sorted({store.package for store in ALL.values()} - {""} | {"shoal", "numpy"}):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": processor,
        "cores": os.cpu_count(),
        "versions": versions,
    }


def _counts(text: str) -> list[int]:
    try:
        counts = [int(float(part)) for part in text.split(",")]
    except ValueError:
        counts = [0]
    if min(counts) < 1_000:
        raise argparse.ArgumentTypeError(f"not numbers of keys, from 1,000 on: {text!r}")
    return counts


def main() -> int:
    """Measure, print, and write JSON and a chart if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    less = parser.add_mutually_exclusive_group()
    less.add_argument("--short", action="store_true", help="less of everything, without codec and memory: minutes")
    less.add_argument("--smoke", action="store_true", help="hardly anything of everything: shows that all runs")
    parser.add_argument(
        "--keys",
        type=_counts,
        metavar="N[,N]",
        help="so many keys: text of 32 in points, and in footprint, growth and listing the most of them",
    )
    parser.add_argument("--only", metavar="NAMES", help="contenders, separated by commas; shoal is always one")
    parser.add_argument("--rounds", type=int)
    parser.add_argument(
        "--patience",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="for rounds again that others disturbed, per table",
    )
    parser.add_argument("--part", action="append", choices=[part.name for part in memory.PARTS], help="of memory")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw an SVG of points and contention")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    form = SMOKE if options.smoke else SHORT if options.short else FULL
    form = replace(form, patience=options.patience)
    if options.rounds:
        form = replace(form, rounds=options.rounds)
    if options.keys:
        most = max(options.keys)
        form = replace(form, points=tuple(("str", keys) for keys in options.keys), entries=most, growth=most)
    names = set((options.only or ",".join(ALL)).split(",")) | {"shoal"}
    unknown = names - set(ALL)
    if unknown:
        parser.error(f"no such contender: {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    stores = {name: store for name, store in ALL.items() if name in names}
    results: dict[str, Any] = {"environment": environment(), "seconds": {}}
    for name in options.parts or (IN_SHORT if options.short else PARTS):
        began = time.monotonic()
        print(f"## {name}\n")
        if name == "memory" and options.part:
            results[name], lines = memory.run(form.contended_keys, form.rounds, options.part)
            print(*lines, sep="\n")
        else:
            results[name] = PARTS[name](form, stores)
        results["seconds"][name] = round(time.monotonic() - began, 1)
    print(f"{sum(results['seconds'].values()):.0f} s in all: {results['seconds']}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    if options.chart:
        chart.draw(results, options.chart)
    return 0


if __name__ == "__main__":
    sys.exit(main())
