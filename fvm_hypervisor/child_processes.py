"""Child processes with this program's interpreter, safe to start in an untrusted folder.

`multiprocessing` starts its processes as `python -c`, which first searches the working directory for modules. In an
untrusted project, the project's `signal.py` would run. The processes started here do not search that folder, and they
end with their parent.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import parent_process
from threading import RLock, Thread
from typing import Final

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
