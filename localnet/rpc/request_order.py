"""Order of a client's pipelined requests.

Requests that change the chain are executed in order of arrival. A request with a gas estimate, which runs outside the
chain's thread, starts after the effects of earlier requests and completes before later ones start. On a WebSocket,
messages after a batch start when the last change in it has completed, whichever queries precede the change.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any


class RequestOrder:
    """The order of the requests of one connection or sender. All methods run on the event loop's thread."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._last: asyncio.Future[Any] | None = None
        self.start = asyncio.Lock()
        """Held by a message until later ones may start. The lock is fair, so they start in order."""

    async def run(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Run work after earlier `alone` requests, concurrently with others; return its result."""
        async with self._turn:
            response = self._last = asyncio.ensure_future(work())
        return await response

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Wait for all earlier requests, and delay later ones until the block ends."""
        async with self._turn:
            if self._last is not None:
                await asyncio.wait([self._last])
            yield
