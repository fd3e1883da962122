"""`python -m shoal`: the `shoal` command."""

import sys

from shoal.cli import main

if __name__ == "__main__":  # processes that the demo spawns import this module
    sys.exit(main())
