"""Where the command begins: the rest takes a moment to load, and Ctrl-C ends the program quietly from the start."""

import sys

from devtools.cli.exit_status import INTERRUPTED


def main() -> None:
    """Load the command line and run it."""
    try:
        from devtools.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
