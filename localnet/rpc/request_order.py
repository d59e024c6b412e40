"""Order of a client's pipelined requests.

Requests that change the chain are executed in order of arrival. A request with a gas estimate, which runs outside the
chain's thread, starts after the effects of earlier requests and completes before later ones start. A batch that changes
the chain completes before later messages start, whichever queries it contains.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any


class RequestOrder:
    """The order of the requests of one connection or sender. All methods run on the event loop's thread."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._last: asyncio.Future[Any] | None = None
        self._holds = 0
        self._released = asyncio.Event()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep later messages from starting until the block ends: those that call `wait_for_holds` first."""
        self._holds += 1
        self._released.clear()
        try:
            yield
        finally:
            self._holds -= 1
            if not self._holds:
                self._released.set()

    async def wait_for_holds(self) -> None:
        """Wait until no earlier message holds this one."""
        while self._holds:  # an earlier waiter may hold it again
            await self._released.wait()

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
