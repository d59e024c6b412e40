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
    """The requests of one connection, or for one sender. For its event loop's thread."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._last: asyncio.Future[Any] | None = None

    async def run(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Begin after the requests that are `alone`, and let others begin meanwhile; what the work returns."""
        async with self._turn:
            answer = self._last = asyncio.ensure_future(work())
        return await answer

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Begin when all before are answered; none begins meanwhile."""
        async with self._turn:
            if self._last is not None:
                await asyncio.wait([self._last])
            yield
