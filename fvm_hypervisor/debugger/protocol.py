"""Messages of the Debug Adapter Protocol over a pair of streams: a header with the length, then JSON.

A malformed message ends the session. Specification: microsoft.github.io/debug-adapter-protocol, the base protocol.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

from hypervisor.errors import HypervisorError
from hypervisor.text import printable
from store.untrusted import check_depth

_MAX_MESSAGE: Final = 16 << 20
"""Maximum length of an incoming message in bytes."""
_MAX_HEADER: Final = 1_024
_MAX_DEPTH: Final = 100


class ProtocolError(HypervisorError):
    """Raised for a malformed Debug Adapter Protocol message."""


class Channel:
    """A connection to the client. One thread reads; any thread may write. After a disconnect, writes have no effect."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader, self._writer = reader, writer
        self._lock = threading.Lock()
        self._number = 0

    def read(self) -> dict[str, Any] | None:
        """Read the next message; None at the end of the stream. Raises ProtocolError."""
        length: int | None = None
        while True:
            line = self._reader.readline(_MAX_HEADER)
            if not line:
                return None
            text = line.strip()
            if not text:
                break
            name, colon, value = text.partition(b":")
            name = name.strip().lower()
            if not colon or not name.startswith(b"content-") or not line.endswith(b"\n"):
                # Every DAP header name starts with Content-. This rejects HTTP requests from web pages at their first
                # line.
                raise ProtocolError(f"unexpected header line: {printable(text[:80].decode('latin-1'))}")
            if name == b"content-length":
                digits = value.strip()
                if not digits.isdigit() or len(digits) > 9 or int(digits) > _MAX_MESSAGE:
                    raise ProtocolError(
                        f"invalid Content-Length {digits[:20]!r}: expected a number up to {_MAX_MESSAGE}"
                    )
                length = int(digits)
        if length is None:
            raise ProtocolError("missing Content-Length header")
        data = bytearray()
        while len(data) < length:
            more = self._reader.read(length - len(data))
            if not more:
                return None
            data += more
        try:
            content = data.decode()
            check_depth(content, _MAX_DEPTH)
            message = json.loads(content)
        except ValueError as error:
            raise ProtocolError(f"the message is not valid JSON: {error}") from None
        if not isinstance(message, dict):
            raise ProtocolError("the message is not a JSON object")
        return message

    def write(self, message: Mapping[str, Any]) -> None:
        """Send a message with the next sequence number (`seq`)."""
        with self._lock:
            self._number += 1
            data = json.dumps({"seq": self._number, **message}).encode()
            try:
                self._writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
                self._writer.flush()
            except (OSError, ValueError):
                pass  # the client disconnected; `read` reports the end of the stream

    def event(self, name: str, body: Mapping[str, Any] | None = None) -> None:
        self.write({"type": "event", "event": name, **({"body": body} if body is not None else {})})
