"""Limits on the age and the total size of unread responses, over all connections.

A response is written in one piece, and the part that its client has not read stays in this process. Runs on the event
loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter

_CHECK_INTERVAL = 1.0
"""Seconds between two checks of unread responses."""
_SLOW = 10.0
"""Seconds after which a slow client may be disconnected if the limit is reached."""
_DUE = itemgetter(0)


@dataclass(slots=True)
class _Waiting:
    """Unread bytes of one connection at the last check, since when, and the time of the last read."""

    size: int
    began: float
    read: float
    more: Callable[[], int]


class UnreadResponses:
    """The connections with unread data."""

    def __init__(self, limit: int, timeout: float) -> None:
        """Create the limits: `limit` unread bytes in total, and `timeout` seconds without a read per connection."""
        self._limit, self._timeout = limit, timeout
        self._waiting: dict[asyncio.Transport, _Waiting] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, transport: asyncio.Transport, more: Callable[[], int] = lambda: 0) -> None:
        """Register a connection with unread data; `more` bytes are queued outside the transport."""
        now = asyncio.get_running_loop().time()
        self._waiting[transport] = _Waiting(_size(transport, more), now, now, more)
        self._check(now)

    def remove(self, transport: asyncio.Transport) -> None:
        """Unregister a connection whose client has read everything or disconnected."""
        self._waiting.pop(transport, None)

    def _check(self, now: float) -> None:
        """Abort connections of clients that do not read, above the limits of time or total size."""
        total = 0
        for transport, waiting in list(self._waiting.items()):
            size = _size(transport, waiting.more)
            if size < waiting.size:
                waiting.read = now
            waiting.size = size
            if now > waiting.read + self._timeout:
                self.drop(transport)
            else:
                total += size
        silent = [
            (waiting.read + _CHECK_INTERVAL, waiting.size, transport) for transport, waiting in self._waiting.items()
        ]
        slow = [(waiting.began + _SLOW, waiting.size, transport) for transport, waiting in self._waiting.items()]
        for due, size, transport in (*sorted(silent, key=_DUE), *sorted(slow, key=_DUE)):
            if total > self._limit and due <= now and transport in self._waiting:
                total -= size
                self.drop(transport)
        if self._waiting and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_CHECK_INTERVAL, self._check_again)

    def _check_again(self) -> None:
        self._timer = None
        self._check(asyncio.get_running_loop().time())

    def drop(self, transport: asyncio.Transport) -> None:
        """Abort a connection and drop its unread data."""
        del self._waiting[transport]
        transport.abort()


def _size(transport: asyncio.Transport, more: Callable[[], int]) -> int:
    return transport.get_write_buffer_size() + more()
