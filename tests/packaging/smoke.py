"""What an installed Shoal must be able to do, for a Python with nothing of the checkout on its path.

Run by the packaging tests as a script; a failure is a traceback.
"""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import shoal

READ = """
import sys, shoal
with shoal.open(sys.argv[1], "w") as store:
    assert store["vector"].tolist() == [0.0, 0.5, 1.0]
    store["answer"] = {"from": "another process", "sum": store.incr("count", 2)}
"""


def main() -> None:
    assert "numpy" not in sys.modules, "import shoal must not load numpy"
    assert shoal.__version__ == metadata.version("shoal")
    name = f"packaging-{os.getpid()}"
    with shoal.open(name, size="8MiB") as store:
        import numpy as np

        store["vector"] = np.linspace(0, 1, 3)
        store["count"] = 40
        subprocess.run([sys.executable, "-I", "-c", READ, name], check=True)
        assert store["answer"] == {"from": "another process", "sum": 42}
        assert store.get("absent") is None
    assert name not in [arena.name for arena in shoal.list_arenas()], "the last user's close removes the arena"

    command = Path(sys.executable).with_name("shoal")
    subprocess.run([command, "--help"], check=True, stdout=subprocess.DEVNULL)
    print(f"shoal {shoal.__version__} works on Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
