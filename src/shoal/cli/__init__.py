"""The `shoal` command.

Exit codes: 0 done, 1 no such key (or the answer is "no"), 2 wrong usage, 3 any other error, which is one line on stderr.
Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from shoal._version import __version__
from shoal.errors import InvalidKey, KeyNotFound, PatternError, ShoalError

from . import bench, demo, doctor, entries, memory, snapshots, stores
from .output import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["build_parser", "main"]

_DESCRIPTION = "Look into, change and check the key-value stores that processes of this machine share."
_EPILOG = """\
STORE is the name of a store, or a URL such as shm://NAME?namespace=users.
exit codes: 0 done; 1 no such key, or the answer is "no"; 2 wrong usage; 3 any other error"""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command line; a command's function ends up in `run`."""
    parser = argparse.ArgumentParser(
        prog="shoal",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"shoal {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for group in (stores, entries, memory, snapshots, doctor, demo, bench):
        group.register(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the result is the exit code."""
    _ensure_streams()
    try:
        arguments = build_parser().parse_args(argv)
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has left. Nothing may be written any more, not even by the interpreter as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as if SIGPIPE had ended us
    except KeyboardInterrupt:
        return 130  # as if SIGINT had ended us
    except KeyNotFound as error:
        return _complain(error, 1)
    except (InvalidKey, PatternError) as error:
        return _complain(error, 2)
    except (ShoalError, OSError) as error:
        return _complain(error, 3)
    except ImportError as error:
        if error.name != "shoal._core":
            raise
        return _complain(error, 3)
    except RecursionError:
        return _complain("the value is nested too deeply to be shown", 3)
    return code


def _complain(what: object, code: int) -> int:
    print("shoal:", printable(str(what)), file=sys.stderr)
    return code


def _ensure_streams() -> None:
    """Make stdout and stderr safe to write to."""
    # Python has no streams where the shell closed them (>&-). Opened now, before anything else, they take those
    # numbers, so that no file of ours can get them.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - open to the end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - open to the end
    for stream in (sys.stdout, sys.stderr):
        # A key may hold what the terminal's encoding lacks.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
