"""Where the command begins: the rest takes a moment to load, and Ctrl-C ends the program quietly from the start.

SIGTERM ends it as an exit does: what is open is closed, and worker processes are ended. A node that serves takes it by
itself.
"""

import signal
import sys

from devtools.cli.exit_status import FAILED, INTERRUPTED, TERMINATED


def _terminate(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: a second one may not interrupt what is being closed
    raise SystemExit(TERMINATED)


def main() -> None:
    """Load the command line and run it."""
    try:
        signal.signal(signal.SIGTERM, _terminate)
        from devtools.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except ImportError as error:
        if not _is_unfit(error):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(FAILED)


def _is_unfit(error: ImportError) -> bool:
    """Whether a compiled module may not be imported; the package that says so could not be imported, either."""
    guard = sys.modules.get("store.compiled")
    return guard is not None and isinstance(error, guard.UnfitCompiledModule)
