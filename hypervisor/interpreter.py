"""Whether other Python threads run beside an actor that computes, for the whole process, as Python's switch interval.

A runtime that executes machine code may keep the interpreter's lock meanwhile, which makes every syscall of an actor
faster where threads are busy. A server wants it otherwise: its other thread is seldom busy, and must not wait for an
actor. Runtimes look at `INTERPRETER.shared` whenever they enter an actor.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final


class Interpreter:
    """What the process wishes; `shared` says whether it is in force."""

    def __init__(self) -> None:
        self.shared = False
        self._wishes = 0
        self._lock = threading.Lock()

    @contextmanager
    def sharing(self) -> Iterator[None]:
        """While it lasts, other threads run beside actors. Actors that run at its end may not outlive the process."""
        self._wish(1)
        try:
            yield
        finally:
            self._wish(-1)

    def _wish(self, change: int) -> None:
        with self._lock:
            self._wishes += change
            self.shared = self._wishes > 0


INTERPRETER: Final = Interpreter()
