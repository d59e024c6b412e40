"""A socket with one deadline for a whole HTTP exchange, so that a slow sender cannot exceed the timeout.

Like urllib3 and httpx, `http.client` has a timeout per read only. It calls `makefile`, `sendall` and `close` of a
socket, which this class provides.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable
from typing import Any, Final

_WAIT_INTERVAL: Final = 3.0
"""Seconds without data after which `on_wait` is called, repeatedly."""

OnWait = Callable[[float], None]
"""Receives the seconds that a running exchange has taken so far."""


class TimedSocket:
    """A socket with a deadline per exchange, set by `begin`; later operations raise TimeoutError."""

    def __init__(self, inner: socket.socket, on_wait: OnWait | None = None) -> None:
        self._inner, self._on_wait = inner, on_wait
        self._began = self._end = 0.0
        self._readers = 0
        self._closed = False

    def begin(self, began: float, seconds: float) -> None:
        """Limit the time of the exchange that started at a monotonic time."""
        self._began, self._end = began, began + seconds

    def sendall(self, data: Any) -> None:
        """Send all data within the remaining time."""
        self._inner.settimeout(self._remaining())
        self._inner.sendall(data)

    def recv_into(self, buffer: Any) -> int:
        """Receive data within the remaining time."""
        while True:
            rest = self._remaining()
            self._inner.settimeout(rest if self._on_wait is None else min(rest, _WAIT_INTERVAL))
            try:
                return self._inner.recv_into(buffer)
            except TimeoutError:
                if self._on_wait is not None:
                    self._on_wait(time.monotonic() - self._began)

    def makefile(self, mode: str, *_: Any) -> io.BufferedReader:
        """Return a reader of the response. Closing it leaves the socket open."""
        assert mode == "rb", "http.client writes by sendall"
        self._readers += 1
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Close the connection after open readers are closed, as a socket does."""
        self._closed = True
        if not self._readers:
            self._inner.close()

    def release(self) -> None:
        """Count a closed reader; close the connection after the last one if `close` was called."""
        self._readers -= 1
        if self._closed:
            self.close()

    def _remaining(self) -> float:
        rest = self._end - time.monotonic()
        if rest <= 0:
            raise TimeoutError("timed out")
        return rest


class _Reader(io.RawIOBase):
    def __init__(self, connection: TimedSocket) -> None:
        self._connection = connection

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._connection.release()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._connection.recv_into(buffer)
