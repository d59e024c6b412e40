"""The WebSocket protocol of the server, which closes connections of clients that do not read.

A connection is closed with a code and a reason at once. If the client does not acknowledge the close within a few
seconds, the connection is dropped. A server that shuts down sends code 1001. Codes: RFC 6455.

An ASGI application can only request a close and then waits for the client. With uvicorn's own protocol, a client that
does not read delays the close, and the server's shutdown, until its connection breaks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from localnet.rpc.server.clients import UnreadResponses
from localnet.rpc.server.websocket import CLOSE_NOW

GOING_AWAY: Final = 1001
_CLOSE_DELAY: Final = 2.0
"""Seconds that a client has to read pending data before it is disconnected."""

_READ: Final = 16 << 10
"""Maximum number of bytes per read. In asyncio's default of 256 KiB, thousands of empty frames would fit."""
_MAX_REASON_LENGTH: Final = 120
"""Maximum length in characters of a close frame's reason, whose size is limited by the protocol."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """The WebSocket protocol of one connection, from the handshake on."""

    def __init__(self, unread: UnreadResponses, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unread = unread
        self._unsent: Callable[[], int] = lambda: 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read in small parts from now on."""
        super().connection_made(transport)
        if hasattr(transport, "max_size"):
            transport.max_size = _READ

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake up all waiting writers."""
        self._unread.remove(self.transport)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Pause until the client reads."""
        super().pause_writing()
        self._unread.add(self.transport, lambda: self._unsent())

    def resume_writing(self) -> None:
        """Resume after the client has read."""
        self._unread.remove(self.transport)
        super().resume_writing()

    def count_unsent(self, unsent: Callable[[], int]) -> None:
        """Count data queued in the application as unread too."""
        self._unsent = unsent

    def handle_connect(self, event: Request) -> None:
        """Provide a function that closes the connection immediately."""
        super().handle_connect(event)
        if not self.close_sent:  # the handshake is in order
            extensions = self.scope["extensions"]
            assert extensions is not None, "the protocol names its own extensions"
            extensions[CLOSE_NOW] = {"now": self.close_now, "unsent": self.count_unsent}

    def close_now(self, code: int, reason: str) -> None:
        """Close with a code and a reason, whether the client reads or not."""
        self.stop_keepalive()
        if self.handshake_complete and not self.close_sent and not self.transport.is_closing():
            self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
            self.conn.send_close(code, reason[:_MAX_REASON_LENGTH])
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
        self.transport.close()
        self.loop.call_later(_CLOSE_DELAY, self.transport.abort)

    def keepalive_timeout(self) -> None:
        """Drop a client that does not respond to a ping, with its pending data."""
        super().keepalive_timeout()
        self.loop.call_later(_CLOSE_DELAY, self.transport.abort)

    def shutdown(self) -> None:
        """Close the connection when the server stops."""
        if self.handshake_complete:
            self.close_now(GOING_AWAY, "the node is stopping")
        else:
            super().shutdown()
