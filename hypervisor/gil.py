"""Process-wide policy for holding the GIL while actors compute.

A runtime that executes machine code may hold the GIL, which makes an actor's syscalls faster when other threads are
busy. A server should release it, so that its other thread does not wait for an actor. Runtimes check
`GIL_POLICY.releases` whenever they enter an actor.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final


class GilPolicy:
    """The policy of the process; `releases` is true if the GIL is released."""

    def __init__(self) -> None:
        self.releases = False
        self._requests = 0
        self._lock = threading.Lock()

    @contextmanager
    def releasing(self) -> Iterator[None]:
        """Release the GIL in actors within this context.

        Actors still running at its end must not outlive the process.
        """
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
