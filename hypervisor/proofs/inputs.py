"""Inputs of proof syscalls: their CBOR decoder, and the shape of each.

Source: ref-fvm syscalls/filecoin.rs `read_cbor`, fvm_shared sector/seal.rs and sector/post.rs.
"""

from enum import Enum
from typing import Any, Final, assert_never

from store.cid import Cid, CidError, read_cid
from store.codec import LINK_TAG, CodecError


class InputKind(Enum):
    """Scalar shapes: integers by range, byte strings, and links (bytes after the first CID are ignored)."""

    UNSIGNED = "an integer of 64 bits"
    SIGNED = "a signed integer of 64 bits"
    OCTET = "an integer of 8 bits"
    BYTES = "a byte string"
    LINK = "a link"


Shape = InputKind | list[Any] | tuple[Any, ...]
"""A kind; a list with the shape of all items of an array; or a tuple with the shape of each item."""

_UNSIGNED, _NEGATIVE, _BYTES, _ARRAY, _TAG = 0, 1, 2, 4, 6
_BREAK: Final = 0xFF
_INDEFINITE_LENGTH: Final = 0x1F
_MAX_DEPTH: Final = 256
_SIGNED_LIMIT: Final = 1 << 63


def read_proof_input(data: bytes, shape: Shape) -> Any:
    """Decode a value of the given shape, with links as `Cid`. Raises CodecError for anything else."""
    reader = _Reader(data)
    value = reader.value(shape, 0)
    if reader.position != len(data):
        raise CodecError(f"{len(data) - reader.position} bytes follow the value")
    return value


class _Reader:
    """The CBOR decoder of proof syscalls, which differs from strict DAG-CBOR.

    ref-fvm decodes by type, with a reader that accepts non-minimal integers, lengths and tags, indefinite-length byte
    strings, and a plain integer's head where that of an array, a byte string or a tag is expected; it rejects
    indefinite-length arrays and integers out of range. Gas depends on what is accepted, so the rules must be the same.
    Source: ref-fvm syscalls/filecoin.rs `read_cbor`, serde_ipld_dagcbor 0.6 de.rs, cbor4ii 0.2 core/dec.rs; golden
    vectors `proofs/decoder/*` and `decoder/*`.
    """

    __slots__ = ("_data", "position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def value(self, shape: Shape, depth: int) -> Any:
        """Read a value inside of `depth` arrays."""
        if isinstance(shape, list):
            return [self.value(shape[0], depth + 1) for _ in range(self._array())]
        if isinstance(shape, tuple):
            length = self._array()
            if length != len(shape):
                raise CodecError(f"an array of {length} items, expected {len(shape)}")
            return [self.value(item, depth + 1) for item in shape]
        match shape:
            case InputKind.UNSIGNED:
                return self._integer(shape, 8)
            case InputKind.OCTET:
                return self._integer(shape, 1)
            case InputKind.SIGNED:
                return self._read_signed()
            case InputKind.BYTES:
                return self._bytes(depth)
            case InputKind.LINK:
                return self._link(depth)
            case _:
                assert_never(shape)

    def _integer(self, kind: InputKind, widest: int) -> int:
        head = self._take(1)[0]
        if head >> 5 != _UNSIGNED:
            raise CodecError(f"expected {kind.value}, found byte {head:#04x}")
        return self._argument(head, widest)

    def _read_signed(self) -> int:
        head = self._take(1)[0]
        major = head >> 5
        if major not in (_UNSIGNED, _NEGATIVE):
            raise CodecError(f"expected {InputKind.SIGNED.value}, found byte {head:#04x}")
        number = self._argument(head & 0x1F, 8)
        if number >= _SIGNED_LIMIT:
            raise CodecError(f"{number} is out of range for a signed integer of 64 bits")
        return number if major == _UNSIGNED else ~number

    def _array(self) -> int:
        length = self._length(_ARRAY)
        if length is None:
            raise CodecError("an array of indefinite length")
        return length

    def _bytes(self, depth: int) -> bytes:
        """Read a byte string; an indefinite-length one may contain nested ones, as deep as arrays."""
        pieces = []
        opened = 0
        while True:
            if opened and self._peek() == _BREAK:
                self.position += 1
                opened -= 1
            else:
                if depth + opened > _MAX_DEPTH:
                    raise CodecError(f"nested deeper than {_MAX_DEPTH} levels")
                length = self._length(_BYTES)
                if length is None:
                    opened += 1
                else:
                    pieces.append(self._take(length))
            if not opened:
                return b"".join(pieces)

    def _link(self, depth: int) -> Cid:
        tag = self._argument(self._take(1)[0] & ~(_TAG << 5), 8)
        if tag != LINK_TAG or self._peek() >> 5 != _BYTES:
            raise CodecError("expected a link")
        raw = self._bytes(depth)
        if raw[:1] != b"\x00":
            raise CodecError("a link must start with the byte 0x00")
        try:
            return read_cid(raw, 1)[0]  # bytes after the CID are ignored
        except CidError as error:
            raise CodecError(f"a link must hold a CID: {error}") from None

    def _length(self, major: int) -> int | None:
        """Read a head of a major type, and return its length; None for indefinite length."""
        head = self._take(1)[0]
        if head == major << 5 | _INDEFINITE_LENGTH:
            return None
        # Network rule: the bits of the major type are masked, not compared, so an integer's head is accepted too.
        return self._argument(head & ~(major << 5), 8)

    def _argument(self, rest: int, widest: int) -> int:
        """Return the number of a head without its major type, either immediate or in up to `widest` bytes."""
        if rest < 24:
            return rest
        if rest <= 27 and (width := 1 << (rest - 24)) <= widest:
            return int.from_bytes(self._take(width))
        raise CodecError(f"unexpected head at byte {self.position - 1}")

    def _peek(self) -> int:
        if self.position >= len(self._data):
            raise CodecError("the value is cut off")
        return self._data[self.position]

    def _take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self._data):
            raise CodecError("the value is cut off")
        taken = self._data[self.position : end]
        self.position = end
        return taken


SEAL = (InputKind.SIGNED, (InputKind.UNSIGNED, InputKind.UNSIGNED), [InputKind.UNSIGNED],
         InputKind.BYTES, InputKind.BYTES, InputKind.BYTES, InputKind.LINK, InputKind.LINK)  # fmt: skip
PIECES = [(InputKind.UNSIGNED, InputKind.LINK)]
WINDOW_PROOF = (
    InputKind.BYTES,
    [(InputKind.SIGNED, InputKind.BYTES)],
    [(InputKind.SIGNED, InputKind.UNSIGNED, InputKind.LINK)],
    InputKind.UNSIGNED,
)
_AGGREGATED = (InputKind.UNSIGNED, InputKind.BYTES, InputKind.BYTES, InputKind.LINK, InputKind.LINK)
AGGREGATE = (InputKind.UNSIGNED, InputKind.SIGNED, InputKind.SIGNED, InputKind.BYTES, [_AGGREGATED])
# Network rule: the proof of an update is a list of numbers.
REPLICA_UPDATE = (InputKind.SIGNED, InputKind.LINK, InputKind.LINK, InputKind.LINK, [InputKind.OCTET])
