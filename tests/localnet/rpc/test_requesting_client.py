"""Cancellation of a request's query: ASGI's message `http.disconnect` ends it, and no other message does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from localnet.rpc.requesting_client import REQUESTING_CLIENT, cancel_on_disconnect


def respond(*messages: str) -> str:
    """Return the response to a request whose client sends these messages while its query runs."""

    async def run() -> str:
        pending = iter(messages)

        async def receive() -> dict[str, Any]:
            kind = next(pending, None)
            if kind is None:
                await asyncio.sleep(60)
            return {"type": kind}

        async def query() -> str:
            client = REQUESTING_CLIENT.get()
            assert client is not None
            cancelled = asyncio.Event()
            client.give_up = cancelled.set
            try:
                await asyncio.wait_for(cancelled.wait(), 0.05)
            except TimeoutError:
                return "completed"
            return "cancelled"

        return await cancel_on_disconnect(receive, query())

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("messages", "response"),
    [
        (("http.disconnect",), "cancelled"),
        (("http.request", "http.disconnect"), "cancelled"),
        (("http.request",), "completed"),
        ((), "completed"),
    ],
)
def test_query_is_cancelled_by_disconnect_only(messages: tuple[str, ...], response: str) -> None:
    assert respond(*messages) == response
