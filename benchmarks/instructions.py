"""Instructions per operation of the hot paths, counted by callgrind, and a gate: what got more expensive, fails.

Counts do not depend on how busy a machine is. They do depend on the interpreter, the compiler and the C library, so they
are stored per Python version and architecture, and compared only where these are the same. Elsewhere, compare two
commits on one machine: --against REVISION.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hot_paths import CALIBRATION

HERE = Path(__file__).resolve().parent
STORED = HERE / "instructions.json"
LIMIT = 0.05
"""By how much a path may get more expensive."""
LIMITS = {"view": 0.10}
"""And those whose count itself differs more from run to run: of a view, by 4 %."""
SAME_INTERPRETER = 0.01
"""By how much the calibration may differ."""

ACCEPT = "make instructions ARGS=--accept"


@dataclass(frozen=True)
class Count:
    """One path: instructions per operation, and what they were before."""

    path: str
    now: float
    before: float | None

    @property
    def change(self) -> float | None:
        """How much more expensive it got, as a fraction of before."""
        return None if self.before is None else self.now / self.before - 1

    @property
    def too_expensive(self) -> bool:
        """Whether it fails the gate."""
        return self.change is not None and self.change > LIMITS.get(self.path, LIMIT)


def counts(now: dict[str, float], before: dict[str, float]) -> list[Count]:
    """Set figures beside those of before."""
    return [Count(path, figure, before.get(path)) for path, figure in now.items()]


def comparable(now: dict[str, float], before: dict[str, float]) -> bool:
    """Say whether both are of the same interpreter."""
    ours, theirs = now.get(CALIBRATION), before.get(CALIBRATION)
    return ours is not None and theirs is not None and abs(ours / theirs - 1) <= SAME_INTERPRETER


def table(lines: list[Count]) -> str:
    """A row for each path."""
    rows = ["| path | instructions | before | change |", "|---|---:|---:|---:|"]
    for line in lines:
        before = "-" if line.before is None else f"{line.before:,.0f}"
        change = "new" if line.change is None else f"{line.change:+.1%}"
        rows.append(f"| {line.path} | {line.now:,.0f} | {before} | {change} |")
    return "\n".join(rows)


def complaint(lines: list[Count]) -> str:
    """What fails, and what to do about it; nothing if nothing fails."""
    worse = [line for line in lines if line.too_expensive and line.path != CALIBRATION]
    if not worse:
        return ""
    said = [f"  {line.path}: {line.before:,.0f} -> {line.now:,.0f} instructions ({line.change:+.1%})" for line in worse]
    return "\n".join(
        [
            "more expensive than before by more than is allowed:",
            *said,
            "If that is the price of something worth it, accept it, and say in the commit what it buys:",
            f"  {ACCEPT}",
        ]
    )


# ---------------------------------------------------------------------- counting


def count(source: Path) -> dict[str, float]:
    """Run the hot paths of the package in `source` under callgrind; instructions per operation.

    Raises:
        RuntimeError: The run failed.
    """
    environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONHASHSEED": "0"}
    with tempfile.TemporaryDirectory(prefix="shoal-callgrind-") as folder:
        output = Path(folder, "out")
        command = [
            *_fixed_addresses(),
            "valgrind",
            "--tool=callgrind",
            "--dump-before=getppid",
            f"--callgrind-out-file={output}",
        ]
        command += [sys.executable, str(HERE / "hot_paths.py")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the hot paths failed under callgrind:\n{done.stderr[-4000:]}")
        paths = json.loads(done.stdout.splitlines()[-1])
        # Part 1 ends at the first mark; then come, for each path, few, many, and what prepares the next path.
        return {
            path: (_total(Path(f"{output}.{3 * i + 3}")) - _total(Path(f"{output}.{3 * i + 2}"))) / more
            for i, (path, more) in enumerate(paths.items())
        }


def _fixed_addresses() -> list[str]:
    """What keeps the kernel from placing memory at random: some dicts are keyed by addresses."""
    prefix = ["setarch", "-R"]
    if shutil.which(prefix[0]) is None:
        return []
    return prefix if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0 else []


def _total(part: Path) -> int:
    found = re.search(r"^totals: (\d+)", part.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"callgrind wrote no total to {part.name}")
    return int(found[1])


def build(revision: str, folder: Path) -> Path:
    """Build another commit in an empty folder; where its package lies."""
    archive = subprocess.run(["git", "archive", revision], cwd=HERE.parent, stdout=subprocess.PIPE, check=True)
    subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder / "src"


def made_with() -> dict[str, str]:
    """What the counts depend on, for people to read."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    version = subprocess.run([compiler, "-dumpfullversion"], capture_output=True, text=True, check=False).stdout
    return {
        "python": platform.python_version(),
        "compiler": f"{Path(compiler).name} {version.strip()}",
        "libc": " ".join(platform.libc_ver()),
    }


def here() -> str:
    """The name of this kind of interpreter and machine in the stored figures."""
    return f"cpython-{sys.version_info[0]}.{sys.version_info[1]}-{platform.machine()}"


# ---------------------------------------------------------------------- the command


def main(arguments: list[str] | None = None) -> int:
    """Count, compare, and fail if something got too expensive."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--accept", action="store_true", help="store the figures as what is compared with")
    parser.add_argument("--against", metavar="REVISION", help="build that commit and compare with it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures")
    options = parser.parse_args(arguments)
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: instructions are not counted (Debian, Ubuntu: apt-get install valgrind)")
        return 0
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    now = count(HERE.parent / "src")
    environment, of = made_with(), stored.get(here(), {})
    if options.against:
        with tempfile.TemporaryDirectory(prefix="shoal-against-") as folder:
            before = count(build(options.against, Path(folder)))
    else:
        before = of.get("instructions", {})
    lines = counts(now, before)
    print(f"instructions per operation, {here()}, {', '.join(environment.values())}\n")
    print(table(lines))
    if options.json:
        figures = {"environment": environment, "instructions": now, "before": before}
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if options.accept:
        stored[here()] = {"environment": environment, "instructions": {path: round(now[path], 1) for path in now}}
        STORED.write_text(json.dumps(stored, indent=1) + "\n")
        print(f"\nstored as what is compared with, in {STORED.name}")
        return 0
    if not before:
        print(f"\nnothing to compare with: no figures of {here()} are stored ({ACCEPT})")
        return 0
    if not options.against and (of["environment"] != environment or not comparable(now, before)):
        print(
            f"\nnot compared: the stored figures are of {', '.join(of['environment'].values())}. Compare with a commit:"
        )
        print("  make instructions ARGS='--against HEAD~1'")
        return 0
    worse = complaint(lines)
    if worse:
        print(f"\n{worse}", file=sys.stderr)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
