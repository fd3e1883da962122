"""Without Agno: importing the adapters imports no framework, and asking for a class says what to install."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
sys.path[:] = {path!r}
sys.modules["agno"] = None  # as if it were not installed
import shoal.adapters, shoal.adapters.agno
assert not {{"pydantic", "agno.db", "agno.storage"}} & sys.modules.keys()
for name in shoal.adapters.agno.__all__:
    try:
        getattr(shoal.adapters.agno, name)
    except ImportError as error:
        print(error)
"""


def test_without_agno() -> None:
    program = PROGRAM.format(path=sys.path)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all('pip install "shoal[agno]"' in line for line in lines)
