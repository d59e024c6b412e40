"""Entry point: handles Ctrl-C from the start, before the slower imports.

SIGTERM exits normally: files are closed and worker processes ended. A serving node installs its own handler.
"""

import atexit
import gc
import signal
import sys
from contextlib import suppress
from typing import Any, Final

from fvm_hypervisor.cli.exit_status import FAILED, INTERRUPTED, TERMINATED

_LOADED: Final = 250_000
"""Objects, more than loading any command makes: what is loaded stays, and to look for garbage in it is lost time."""
_HELP: Final = frozenset(("--help", "-h"))
"""With these the command runs no test."""


def _collect_once_loaded() -> None:
    """Let the first garbage collection wait for `_LOADED` objects; those that it leaves are not looked at again.

    A node, which begins with a collection of its own and other thresholds, keeps those.
    """
    usual = gc.get_threshold()
    loading = (_LOADED, *usual[1:])

    def settle(phase: str, _: dict[str, Any]) -> None:
        if phase == "stop":
            gc.callbacks.remove(settle)
            if gc.get_threshold() == loading:
                gc.freeze()
                gc.set_threshold(*usual)

    gc.callbacks.append(settle)
    gc.set_threshold(*loading)


def _terminate(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: a second one may not interrupt what is being closed
    raise SystemExit(TERMINATED)


def main() -> None:
    """Load the command line and run it."""
    try:
        signal.signal(signal.SIGTERM, _terminate)
        _collect_once_loaded()
        atexit.register(gc.freeze)  # what is left ends with the process: to look for garbage in it is lost time
        if sys.argv[1:2] == ["test"] and not _HELP.intersection(sys.argv):
            from fvm_hypervisor.soltest.worker_processes import prepare_workers

            with suppress(OSError):  # it is tried again, where the command says what is wrong
                prepare_workers()  # what workers need takes as long to load as all else of the command
        from fvm_hypervisor.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except (ImportError, AttributeError) as error:
        problems = [str(error)] if _is_unfit(error) else _damaged_packages()
        if not problems:
            raise
        for problem in problems:
            print(f"error: {problem}", file=sys.stderr)
        sys.exit(FAILED)


def _damaged_packages() -> list[str]:
    """Return what is wrong with the installed packages, of which one could not be loaded."""
    from fvm_hypervisor.cli.installation import damaged_packages

    return damaged_packages()


def _is_unfit(error: Exception) -> bool:
    """Return True if the error is about an unusable compiled module, in any package."""
    guard = sys.modules.get("store.compiled")
    return guard is not None and isinstance(error, guard.UnfitCompiledModule)
