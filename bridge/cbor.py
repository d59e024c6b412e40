"""A reader for the CBOR that actors accept as parameters: as lenient as the network's, and no more.

Differences from `store.codec.decode_strict`, all measured on the official EVM actor: byte strings may be cut into
chunks (indefinite length, nested), heads may be longer than needed, and the head of an unsigned integer passes for that
of a byte string or an array of N bytes or items; text, tags and indefinite arrays in the place of what is
expected, and bytes left over, are refused.
"""

from store.cid import Cid, CidError, read_cid
from store.codec import bytes_head

_UNSIGNED, _BYTES, _ARRAY, _TAG = 0, 2, 4, 6
_LENGTHS = (_BYTES, _ARRAY)
_INDEFINITE_BYTES = 0x5F
_BREAK = 0xFF
_LINK_TAG = 42


class ParamsError(ValueError):
    """Parameters or a return value that do not have the shape asked for (exit 21 where an actor reads them)."""


class CborReader:
    """Reads values one after the other; every method raises ParamsError where the next value has another shape."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def array(self, length: int) -> None:
        """The head of a definite array of exactly `length` items."""
        found = self._head(_ARRAY, "an array")
        if found != length:
            raise ParamsError(f"array of {found} items, expected {length}")

    def unsigned(self) -> int:
        """An unsigned 64-bit integer."""
        return self._head(_UNSIGNED, "an unsigned integer")

    def byte_string(self, length: int | None = None) -> bytes:
        """A byte string, whole or in chunks; of exactly `length` bytes where that is given."""
        if self._peek() != _INDEFINITE_BYTES:
            content = self._take(self._head(_BYTES, "a byte string"))
        else:
            content = self._chunks()
        if length is not None and len(content) != length:
            raise ParamsError(f"byte string of {len(content)} bytes, expected {length}")
        return content

    def link(self) -> Cid:
        """A CID: tag 42 over a byte string that begins with a zero byte."""
        if self._head(_TAG, "a link") != _LINK_TAG:
            raise ParamsError("tag other than 42, expected a link")
        content = self.byte_string()
        try:
            cid, end = read_cid(content, 1)
        except CidError as error:
            raise ParamsError(f"link that holds no CID: {error}") from None
        if content[0] != 0 or end != len(content):
            raise ParamsError("link that holds more or less than one CID")
        return cid

    def optional_byte_string(self) -> bytes | None:
        """A byte string or null."""
        if self._peek() == 0xF6:
            self._at += 1
            return None
        return self.byte_string()

    def end(self) -> None:
        """Nothing may follow."""
        if self._at != len(self._data):
            raise ParamsError(f"{len(self._data) - self._at} bytes behind the value")

    def _chunks(self) -> bytes:
        content, depth = bytearray(), 0
        while True:
            head = self._peek()
            if head == _INDEFINITE_BYTES:
                self._at += 1
                depth += 1
            elif head == _BREAK:
                self._at += 1
                depth -= 1
                if depth == 0:
                    return bytes(content)
            else:
                content += self._take(self._head(_BYTES, "a chunk of a byte string"))

    def _peek(self) -> int:
        if self._at >= len(self._data):
            raise ParamsError("value is cut short")
        return self._data[self._at]

    def _take(self, length: int) -> bytes:
        content = self._data[self._at : self._at + length]
        if len(content) != length:
            raise ParamsError("value is cut short")
        self._at += length
        return content

    def _head(self, major: int, what: str) -> int:
        first = self._peek()
        kind = major if first >> 5 == _UNSIGNED and major in _LENGTHS else first >> 5
        if kind != major or first & 0x1F > 27:
            raise ParamsError(f"byte 0x{first:02x}, expected {what}")
        self._at += 1
        if first & 0x1F < 24:
            return first & 0x1F
        return int.from_bytes(self._take(1 << (first & 0x1F) - 24), "big")


def byte_string(data: bytes) -> bytes:
    """The shortest encoding of a byte string."""
    return bytes_head(len(data)) + data


def read_byte_string(data: bytes) -> bytes:
    """The content of a block that is one byte string and nothing else; ParamsError otherwise."""
    first = data[0] if data else 0
    if 0x40 <= first < 0x58 and len(data) == first - 0x3F:  # the two forms of nearly all
        return data[1:]
    if first == 0x58 and len(data) > 1 and len(data) == data[1] + 2:
        return data[2:]
    reader = CborReader(data)
    content = reader.byte_string()
    reader.end()
    return content
