"""Messages of the Debug Adapter Protocol over a pair of streams: a header with the length, then JSON.

A malformed message ends the session. Specification: microsoft.github.io/debug-adapter-protocol, the base protocol.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any, BinaryIO, Final

from hypervisor.errors import HypervisorError
from hypervisor.printable import printable
from store.json_text import check_depth

_LARGEST: Final = 16 << 20
"""Bytes of a message that is read."""
_LONGEST_HEADER: Final = 1_024
_DEEPEST: Final = 100


class ProtocolError(HypervisorError):
    """The client sent something that is not a message of the debug adapter protocol."""


class Channel:
    """A connection: one thread reads messages, any may write them. After a disconnect nothing is written."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader, self._writer = reader, writer
        self._lock = threading.Lock()
        self._number = 0

    def read(self) -> dict[str, Any] | None:
        """Read the next message; None at the end of the stream. Raises ProtocolError."""
        length: int | None = None
        while True:
            line = self._reader.readline(_LONGEST_HEADER)
            if not line:
                return None
            text = line.strip()
            if not text:
                break
            name, colon, value = text.partition(b":")
            name = name.strip().lower()
            if not colon or not name.startswith(b"content-") or not line.endswith(b"\n"):
                # The protocol has such lines only. A web page's request begins with another one.
                raise ProtocolError(
                    f"a header line that is not the protocol's: {printable(text[:80].decode('latin-1'))}"
                )
            if name == b"content-length":
                digits = value.strip()
                if not digits.isdigit() or len(digits) > 9 or int(digits) > _LARGEST:
                    raise ProtocolError(f"a message of {digits[:20]!r} bytes: expected a number up to {_LARGEST}")
                length = int(digits)
        if length is None:
            raise ProtocolError("a message without the header Content-Length")
        data = bytearray()
        while len(data) < length:
            more = self._reader.read(length - len(data))
            if not more:
                return None
            data += more
        try:
            content = data.decode()
            check_depth(content, _DEEPEST)
            message = json.loads(content)
        except ValueError as error:
            raise ProtocolError(f"a message that is not JSON: {error}") from None
        if not isinstance(message, dict):
            raise ProtocolError("a message that is not a JSON object")
        return message

    def write(self, message: Mapping[str, Any]) -> None:
        """Send a message with its number."""
        with self._lock:
            self._number += 1
            data = json.dumps({"seq": self._number, **message}).encode()
            try:
                self._writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
                self._writer.flush()
            except (OSError, ValueError):
                pass  # the peer is gone: the reader sees it, too

    def event(self, name: str, body: Mapping[str, Any] | None = None) -> None:
        """Send an event."""
        self.write({"type": "event", "event": name, **({"body": body} if body is not None else {})})
