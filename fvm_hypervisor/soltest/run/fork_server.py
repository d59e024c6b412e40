"""The process from which workers are forked (`forkserver`).

It loads the modules of workers, so that they start in milliseconds. That takes longer than all else before the first
test, so this module imports nothing of the program that is not needed to start it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, get_context, resource_tracker
from multiprocessing.context import ForkServerProcess

from fvm_hypervisor.child_processes import safe_module_path


def prepare_workers() -> None:
    """Start the fork server unless it is running, without waiting for it."""
    get_context("forkserver").set_forkserver_preload(["fvm_hypervisor.soltest.run.worker_modules"])
    with safe_module_path():
        resource_tracker.ensure_running()  # its own start unblocks the signal
    with _signals_blocked(), safe_module_path():
        forkserver.ensure_running()


def start_without_interrupt(process: ForkServerProcess) -> None:
    """Start a process that ignores Ctrl-C until it has set its own handler.

    The fork server blocks the signal from its start, and its forks inherit that.
    """
    prepare_workers()
    with _signals_blocked():
        process.start()


@contextmanager
def _signals_blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
