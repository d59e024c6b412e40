"""The client of a request, whose queries are cancelled when it disconnects.

A transport sets `REQUESTING_CLIENT` when it starts to process a request, and marks the client as gone when the
connection closes. Only queries are cancelled; a submitted change of the chain is completed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from starlette.types import Receive

T = TypeVar("T")


class RequestingClient:
    """The client of one request or batch. Used on the event loop's thread."""

    def __init__(self) -> None:
        self.gone = False
        self.give_up: Callable[[], None] | None = None
        """Callback that cancels the client's running query, if any. A client has at most one."""

    def leave(self) -> None:
        """Handle the client's disconnection."""
        self.gone = True
        if self.give_up is not None:
            self.give_up()


REQUESTING_CLIENT: Final[ContextVar[RequestingClient | None]] = ContextVar("requesting_client", default=None)


async def cancel_on_disconnect(receive: Receive, response: Awaitable[T]) -> T:
    """Return the response to a request whose body was read; cancel its query if the client disconnects."""
    client = RequestingClient()

    async def leave() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        client.leave()

    REQUESTING_CLIENT.set(client)  # visible to the task of this request
    leaving = asyncio.ensure_future(leave())
    try:
        return await response
    finally:
        leaving.cancel()
