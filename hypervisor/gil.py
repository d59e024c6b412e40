"""Whether other Python threads run beside an actor that computes, for the whole process, as Python's switch interval.

A runtime that executes machine code may keep the interpreter's lock meanwhile, which makes every syscall of an actor
faster where threads are busy. A server wants it otherwise: its other thread is seldom busy, and must not wait for an
actor. Runtimes look at `GIL_POLICY.releases` whenever they enter an actor.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final


class GilPolicy:
    """What the process wishes; `releases` says whether it is in force."""

    def __init__(self) -> None:
        self.releases = False
        self._requests = 0
        self._lock = threading.Lock()

    @contextmanager
    def releasing(self) -> Iterator[None]:
        """While it lasts, other threads run beside actors. Actors that run at its end may not outlive the process."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._requests += change
            self.releases = self._requests > 0


GIL_POLICY: Final = GilPolicy()
