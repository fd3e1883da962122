"""Print what pyproject.toml asks for, a requirement a line: the build's and the package's own, and those of extras.

    python tools/requirements.py [EXTRA ...]

So an environment can be filled without building the package, from the one list there is.
"""

import re
import sys
import tomllib
from pathlib import Path


def requirements(extras: list[str]) -> list[str]:
    """Return the requirements of the build, the package and the named extras."""
    with Path(__file__).parents[1].joinpath("pyproject.toml").open("rb") as file:
        document = tomllib.load(file)
    project = document["project"]
    found: list[str] = [*document["build-system"]["requires"], *project["dependencies"]]
    waiting = list(extras)
    while waiting:
        for requirement in project["optional-dependencies"][waiting.pop()]:
            own = re.fullmatch(rf"{project['name']}\[(.*)\]", requirement)
            if own:
                waiting += own[1].split(",")
            else:
                found.append(requirement)
    return list(dict.fromkeys(found))


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1:])))
