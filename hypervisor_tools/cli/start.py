"""Entry point.

Installs signal handling before the slow imports, so that Ctrl-C works from the start. SIGTERM exits normally: files are
closed, and worker processes end. A serving node installs its own handler.
"""

import atexit
import gc
import signal
import sys
from typing import Any, Final

from hypervisor_tools.cli.commands import FAILED, INTERRUPTED, TERMINATED

_LOADED: Final = 250_000
"""Threshold of the first garbage collection, above the number of objects that any command allocates while loading."""


def _delay_first_collection() -> None:
    """Delay the first garbage collection until `_LOADED` allocations.

    Then freeze the surviving objects and restore the default threshold. Other thresholds, such as a node's, stay
    unchanged.
    """
    former = gc.get_threshold()
    loading = (_LOADED, *former[1:])

    def settle(phase: str, _: dict[str, Any]) -> None:
        if phase == "stop":
            gc.callbacks.remove(settle)
            if gc.get_threshold() == loading:
                gc.freeze()
                gc.set_threshold(*former)

    gc.callbacks.append(settle)
    gc.set_threshold(*loading)


def _terminate(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # ignore further SIGTERMs, which could interrupt the cleanup
    raise SystemExit(TERMINATED)


def main() -> None:
    """Load the command line and run it."""
    try:
        signal.signal(signal.SIGTERM, _terminate)
        _delay_first_collection()
        atexit.register(gc.freeze)  # skip the final collection: the process is about to end
        from hypervisor_tools.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except (ImportError, AttributeError):
        from hypervisor_tools.cli.installation import damaged_packages

        problems = damaged_packages()
        if not problems:
            raise
        for problem in problems:
            print(f"error: {problem}", file=sys.stderr)
        sys.exit(FAILED)
