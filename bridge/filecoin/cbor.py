"""A decoder for the CBOR that actors accept as parameters, exactly as lenient as the network's.

Differences from `store.codec.decode_strict`, measured on the official EVM actor: byte strings may be chunked
(indefinite length, nested), heads need not be minimal, and the head of an unsigned integer is accepted for a byte
string or an array of N bytes or items. Unexpected text, tags and indefinite-length arrays, and trailing bytes, are
rejected.
"""

from store.cid import Cid, CidError, read_cid
from store.codec import bytes_head

_UNSIGNED, _BYTES, _ARRAY, _TAG = 0, 2, 4, 6
_LENGTHS = (_BYTES, _ARRAY)
_INDEFINITE_BYTES = 0x5F
_BREAK = 0xFF
_LINK_TAG = 42


class ParamsError(ValueError):
    """Raised for parameters or return values of the wrong shape (exit code 21 in an actor)."""


class CborReader:
    """Reads consecutive values; all methods raise ParamsError if the next value has another shape."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def array(self, length: int) -> None:
        """Read the head of a definite-length array of exactly `length` items."""
        found = self._head(_ARRAY, "an array")
        if found != length:
            raise ParamsError(f"array of {found} items, expected {length}")

    def unsigned(self) -> int:
        """Read an unsigned 64-bit integer."""
        return self._head(_UNSIGNED, "an unsigned integer")

    def byte_string(self, length: int | None = None) -> bytes:
        """Read a byte string, possibly chunked; of exactly `length` bytes if given."""
        if self._peek() != _INDEFINITE_BYTES:
            content = self._take(self._head(_BYTES, "a byte string"))
        else:
            content = self._chunks()
        if length is not None and len(content) != length:
            raise ParamsError(f"byte string of {len(content)} bytes, expected {length}")
        return content

    def link(self) -> Cid:
        """Read a CID: tag 42 with a byte string that begins with a zero byte."""
        if self._head(_TAG, "a link") != _LINK_TAG:
            raise ParamsError("expected a link (tag 42), found another tag")
        content = self.byte_string()
        try:
            cid, end = read_cid(content, 1)
        except CidError as error:
            raise ParamsError(f"invalid link: {error}") from None
        if content[0] != 0 or end != len(content):
            raise ParamsError("invalid link: not exactly one CID")
        return cid

    def optional_byte_string(self) -> bytes | None:
        if self._peek() == 0xF6:
            self._at += 1
            return None
        return self.byte_string()

    def end(self) -> None:
        """Check that no bytes follow."""
        if self._at != len(self._data):
            raise ParamsError(f"{len(self._data) - self._at} trailing bytes after the value")

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
            raise ParamsError("the value is truncated")
        return self._data[self._at]

    def _take(self, length: int) -> bytes:
        content = self._data[self._at : self._at + length]
        if len(content) != length:
            raise ParamsError("the value is truncated")
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
    """Return the shortest encoding of a byte string."""
    return bytes_head(len(data)) + data


def read_byte_string(data: bytes) -> bytes:
    """Return the content of a block that is a single byte string. Raises ParamsError."""
    first = data[0] if data else 0
    if 0x40 <= first < 0x58 and len(data) == first - 0x3F:  # the two common forms
        return data[1:]
    if first == 0x58 and len(data) > 1 and len(data) == data[1] + 2:
        return data[2:]
    reader = CborReader(data)
    content = reader.byte_string()
    reader.end()
    return content


def read_canonical_byte_string(data: bytes) -> bytes:
    """Return the content of the byte string that a block begins with. Raises ParamsError.

    Unlike actors, Filecoin's nodes take only the shortest head of a definite length, and ignore bytes after the string.
    Source: ReadByteArray of cbor-gen, with which Lotus reads calldata and return data for display.
    """
    if not data or data[0] >> 5 != _BYTES or data[0] & 0x1F > 27:
        raise ParamsError("expected a byte string of definite length")
    length = data[0] & 0x1F
    if length > 23:
        length = int.from_bytes(data[1 : 1 + (1 << length - 24)], "big")
    head = bytes_head(length)
    if not data.startswith(head) or len(data) - len(head) < length:
        raise ParamsError("the byte string is truncated, or its head is not the shortest")
    return data[len(head) : len(head) + length]
