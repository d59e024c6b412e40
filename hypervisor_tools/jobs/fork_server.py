"""The process from which workers are forked (`forkserver`), safe to start in an untrusted folder.

`multiprocessing` starts its processes as `python -c`, which first searches the working directory for modules. In an
untrusted project, the project's `signal.py` would run. The processes started here do not search that folder, and they
end with their parent.

The server can load the modules of workers, so that they start in milliseconds. That takes longer than all else before
the first test, so this module imports nothing of the program that is not needed to start it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver, get_context, process, resource_tracker
from multiprocessing.context import ForkServerProcess
from multiprocessing.process import parent_process
from threading import RLock, Thread
from typing import Any, Final, cast

WORKER_MODULES: Final = ("hypervisor_tools.soltest.run.worker_modules",)
"""Modules of workers that run Solidity tests."""
_SAFE_PATH: Final = "PYTHONSAFEPATH"
_environment: Final = RLock()


@contextmanager
def safe_module_path() -> Iterator[None]:
    """Start interpreters, while in this context, without the working directory on their module path.

    The environment is the process's, so one thread at a time is in this context.
    """
    with _environment:
        before = os.environ.get(_SAFE_PATH)
        os.environ[_SAFE_PATH] = "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ[_SAFE_PATH]
            else:
                os.environ[_SAFE_PATH] = before


def when_parent_ends(leave: Callable[[], None]) -> None:
    """Call `leave` on another thread when the parent of this `multiprocessing` process ends."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        leave()

    Thread(target=watch, daemon=True).start()


def prepare_workers(modules: Sequence[str] = ()) -> None:
    """Start the fork server unless it is running, without waiting for it. It loads the modules at its start."""
    if modules:
        get_context("forkserver").set_forkserver_preload([*modules])
    with safe_module_path():
        resource_tracker.ensure_running()  # its own start unblocks the signal
    with _signals_blocked(), safe_module_path():
        forkserver.ensure_running()


def start_without_interrupt(started: ForkServerProcess) -> None:
    """Start a process that ignores Ctrl-C until it has set its own handler.

    The fork server blocks the signal from its start, and its forks inherit that.
    """
    prepare_workers()
    with _signals_blocked(), _environment, _as_parent():
        started.start()


@contextmanager
def _as_parent() -> Iterator[None]:
    """Let a daemonic process, such as a worker of Dask, start processes; these end with it (`when_parent_ends`)."""
    settings = cast("dict[str, Any]", process.current_process()._config)  # type: ignore[attr-defined]  # no public name
    before = settings.pop("daemon", None)
    try:
        yield
    finally:
        if before is not None:
            settings["daemon"] = before


@contextmanager
def _signals_blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
