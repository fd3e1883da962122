"""Write the table of docs/adapters/README.md anew: of each system, what works unchanged, what differs, and how its tests end.

    python tools/adapter_table.py [SYSTEM=PYTHON[,PYTHON ...] ...]

Runs the tests of every page of docs/adapters with this Python, or with those that are given for a system, where its
framework is installed, maybe in several versions: the table then shows what was seen there. A test counts once: as passed if it
passed in one of them. What to say about a system stands in two comments of its page,
``<!-- unchanged: ... -->`` and ``<!-- differs: ... -->``.
"""

import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "adapters"
BEGIN, END = "<!-- table: tools/adapter_table.py -->", "<!-- end of table -->"


def run_tests(system: str, pythons: list[str]) -> tuple[int, Counter[str]]:
    """Return how many tests passed, and how often each reason to skip was given."""
    passed: set[str] = set()
    skipped: dict[str, str] = {}
    for python in pythons:
        for name, why in outcomes(system, python):
            if why is None:
                passed |= {name, name.partition("::")[0]}
            else:
                skipped[name] = why
    # Of a file that is skipped as a whole there is one case, which has the file's name.
    reasons = Counter(why for name, why in skipped.items() if name not in passed)
    return sum("::" in name for name in passed), reasons


def outcomes(system: str, python: str) -> list[tuple[str, str | None]]:
    """Return the name of each test, and why it was skipped; None if it passed. Failing tests end the program."""
    files = sorted(str(path) for path in (ROOT / "tests" / "adapters").glob(f"test_{system}*.py"))
    if not files:
        return []
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *files]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own tests
        if done.returncode not in (0, 5):  # 5: all were skipped while they were collected
            sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        cases = ET.parse(report).findall(".//testcase")  # noqa: S314 - pytest wrote it
    return [("::".join(filter(None, (case.get("classname"), case.get("name")))), reason(case)) for case in cases]


def reason(case: ET.Element) -> str | None:
    """Return why a test was skipped, None if it was not; of a whole file, pytest says so in another place."""
    skip = case.find("skipped")
    if skip is None:
        return None
    whole = re.search(r"Skipped: (.*?)['\"]\)", skip.text or "")
    return whole[1] if whole else skip.get("message", "")


def row(page: Path, pythons: list[str]) -> str:
    """Return the line of a system."""
    text = page.read_text(encoding="utf-8")
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    told = dict(re.findall(r"<!-- (unchanged|differs): (.*?) -->", text, re.DOTALL))
    cells = [" ".join(told.get(what, "see the page").split()) for what in ("unchanged", "differs")]
    passed, skips = run_tests(page.stem.replace("-", "_"), pythons)
    reasons = "; ".join(f"{count}: {reason}" for reason, count in sorted(skips.items()))
    name = title[1] if title else page.stem
    print(f"{name}: {passed} passed, {skips.total()} skipped")
    return f"| [{name}]({page.name}) | {cells[0]} | {cells[1]} | {passed} | {reasons or '0'} |"


def main() -> None:
    """Write the table."""
    pythons = dict(argument.split("=", 1) for argument in sys.argv[1:])
    pages = [page for page in sorted(PAGES.glob("*.md")) if page.name != "README.md"]
    unknown = pythons.keys() - {page.stem for page in pages}
    if unknown:
        sys.exit(f"no page of {', '.join(sorted(unknown))}")
    rows = [row(page, pythons.get(page.stem, sys.executable).split(",")) for page in pages]
    table = "\n".join(
        ["| system | works unchanged | differs, and why | passed | skipped, and why |", "|---|---|---|---|---|", *rows]
    )
    path = PAGES / "README.md"
    text = path.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    path.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
