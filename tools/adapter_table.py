"""Write the table of docs/adapters/README.md anew: of each system, what works unchanged, what differs, and how its tests end.

    python tools/adapter_table.py [SYSTEM=PYTHON ...]

Runs the tests of every page of docs/adapters with this Python, or with the one that is given for a system, where its
framework is installed: the table then shows what was seen there. What to say about a system stands in two comments of its page,
``<!-- unchanged: ... -->`` and ``<!-- differs: ... -->``.
"""

import os
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


def run_tests(system: str, python: str) -> tuple[int, Counter[str]]:
    """Return how many tests passed, and how often each reason to skip was given. Failing tests end the program."""
    files = sorted(str(path) for path in (ROOT / "tests" / "adapters").glob(f"test_{system}*.py"))
    if not files:
        return 0, Counter()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *files]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own tests
        if done.returncode not in (0, 5):  # 5: all were skipped while they were collected
            sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        cases = ET.parse(report).findall(".//testcase")  # noqa: S314 - pytest wrote it
    skips = Counter(reason(skip) for case in cases for skip in case.findall("skipped"))
    return len(cases) - skips.total(), skips


def reason(skip: ET.Element) -> str:
    """Return why a test was skipped; of a whole file, pytest says so in another place."""
    whole = re.search(r"Skipped: (.*?)['\"]\)", skip.text or "")
    return whole[1] if whole else skip.get("message", "")


def row(page: Path, python: str) -> str:
    """Return the line of a system."""
    text = page.read_text(encoding="utf-8")
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    told = dict(re.findall(r"<!-- (unchanged|differs): (.*?) -->", text, re.DOTALL))
    cells = [" ".join(told.get(what, "see the page").split()) for what in ("unchanged", "differs")]
    passed, skips = run_tests(page.stem.replace("-", "_"), python)
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
    rows = [row(page, os.path.expanduser(pythons.get(page.stem, sys.executable))) for page in pages]  # noqa: PTH111
    table = "\n".join(
        ["| system | works unchanged | differs, and why | passed | skipped, and why |", "|---|---|---|---|---|", *rows]
    )
    path = PAGES / "README.md"
    text = path.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    path.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
