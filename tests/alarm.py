"""Delivery of SIGALRM to the main thread, for tests that interrupt it."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def alarm_clock(ring: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Call `ring` on SIGALRM; at the end, stop the timer and restore the signal handler."""
    before = signal.signal(signal.SIGALRM, ring)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # what is on its way is dropped: by default it ends the process
        signal.signal(signal.SIGALRM, before)
