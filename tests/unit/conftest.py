"""Fixtures of the unit tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shoal.cli import main

# The tests of this folder share modules.
sys.path.insert(0, str(Path(__file__).parent))

from commands import Result

if TYPE_CHECKING:
    from commands import Run


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one command in this process."""

    def call(*arguments: object) -> Result:
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:  # argparse ends like this
            code = int(end.code or 0)
        return Result(code, *capsys.readouterr())

    return call
