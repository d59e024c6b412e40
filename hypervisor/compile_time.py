"""Time that requests spend waiting for compiled modules, which does not count against their time limits.

A module is compiled once; the next request finds it in a cache.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from hypervisor.threads import request_thread

_spent: dict[int, float] = {}
_since: dict[int, float] = {}


@contextmanager
def compiling() -> Iterator[None]:
    """Measure the time in this context for the calling thread's request. A nested context has no effect."""
    thread = request_thread()
    if thread in _since:
        yield
        return
    _since[thread] = begun = time.monotonic()
    try:
        yield
    finally:
        _spent[thread] = _spent.get(thread, 0.0) + time.monotonic() - begun
        _since.pop(thread, None)


def compile_seconds(thread: int) -> float:
    """Return the seconds that the requests of a thread, named by its number, have spent in `compiling` so far."""
    since = _since.get(thread)
    return _spent.get(thread, 0.0) + (0.0 if since is None else time.monotonic() - since)
