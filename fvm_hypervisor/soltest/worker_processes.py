"""The process that workers are forked from: it loads their modules, while the program goes on, and runs nothing.

So a worker begins in milliseconds. Nothing is imported here that the program has to load first.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, get_context, resource_tracker
from multiprocessing.context import ForkServerProcess

from fvm_hypervisor.child_processes import no_modules_of_the_folder


def prepare_workers() -> None:
    """Start the process that forks workers, unless it runs, and wait for nothing."""
    get_context("forkserver").set_forkserver_preload(["fvm_hypervisor.soltest.worker_modules"])
    with no_modules_of_the_folder():
        resource_tracker.ensure_running()  # its own start lets the signal through again
    with _deaf(), no_modules_of_the_folder():
        forkserver.ensure_running()


def start_deaf(process: ForkServerProcess) -> None:
    """Start a process that does not hear Ctrl-C before it has said what that means to it.

    The process that forks them all blocks the signal from its start on, and so do its forks.
    """
    prepare_workers()
    with _deaf():
        process.start()


@contextmanager
def _deaf() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
