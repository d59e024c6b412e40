"""Order of a client's pipelined requests.

Requests that change the chain are executed in order of arrival. A request with a gas estimate, which runs outside the
chain's thread, starts after the effects of earlier requests and completes before later ones start.
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
        self._pauses = 0
        self._end_of_pause = asyncio.Event()

    async def pause(self) -> None:
        """Let the event loop run other clients' requests once. Later requests in this order do not start."""
        self._pauses += 1
        self._end_of_pause.clear()
        try:
            await asyncio.sleep(0)
        finally:
            self._pauses -= 1
            if not self._pauses:
                self._end_of_pause.set()

    async def wait_for_pauses(self) -> None:
        """Wait until no earlier request pauses."""
        while self._pauses:
            await self._end_of_pause.wait()

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
