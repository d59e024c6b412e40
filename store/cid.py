"""Content identifiers (CIDs): plain bytes internally, `multiformats.CID` in the public API; and varints.

A `Cid` is the binary form of a CIDv1 (version, codec, multihash), without the multibase prefix of its text form and
without the 0x00 byte that precedes it in DAG-CBOR links. CIDv0 (a bare sha2-256 multihash) is accepted when reading,
since old CARs contain it, and never written. Source: https://github.com/multiformats/cid

Unsigned varints (LEB128) are those of multiformats: at most nine bytes, minimally encoded. They are used in CAR
sections and HAMT keys, and, with a larger limit, in CIDs. Source: https://github.com/multiformats/unsigned-varint
"""

from __future__ import annotations

from base64 import b32decode, b32encode
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING, Final, NamedTuple, NewType

if TYPE_CHECKING:
    from multiformats import CID

MAX_BYTES = 9
_MAX_WIDE_BYTES = 10
_LIMIT = 1 << 63
_MASK = (1 << 64) - 1


class VarintError(ValueError):
    """Raised for bytes that are not one minimal unsigned varint, or for a value out of range."""


def write_uvarint(value: int) -> bytes:
    """Encode 0 <= value < 2^63."""
    if not 0 <= value < _LIMIT:
        raise VarintError(f"{value} is outside the range of an unsigned varint (0 to 2^63 - 1)")
    return write_wide_uvarint(value)


def write_wide_uvarint(value: int) -> bytes:
    """Encode 0 <= value < 2^64, as in a CID."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_uvarint(buffer: bytes, offset: int = 0) -> tuple[int, int]:
    """Decode the varint at `offset`, and return the value and the offset after it. Raises VarintError."""
    return _read(buffer, offset, MAX_BYTES)


def read_wide_uvarint(buffer: bytes, offset: int = 0) -> tuple[int, int]:
    """Decode a number in a CID like the network: up to ten bytes, of which the low 64 bits count.

    Source: unsigned-varint 0.8 decode.rs; golden vectors `decoder/cid/*`.
    """
    return _read(buffer, offset, _MAX_WIDE_BYTES)


def _read(buffer: bytes, offset: int, longest: int) -> tuple[int, int]:
    value = 0
    for index in range(longest):
        position = offset + index
        if position >= len(buffer):
            raise VarintError(f"varint at byte {offset} is truncated")
        byte = buffer[position]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if byte == 0 and index > 0:
                raise VarintError(f"varint at byte {offset} is not minimally encoded")
            return value & _MASK, position + 1
    raise VarintError(f"varint at byte {offset} exceeds {longest} bytes")


Cid = NewType("Cid", bytes)

RAW: Final = 0x55
CBOR: Final = 0x51
DAG_PB: Final = 0x70
DAG_CBOR: Final = 0x71
FIL_COMMITMENT_UNSEALED: Final = 0xF101
FIL_COMMITMENT_SEALED: Final = 0xF102

IDENTITY: Final = 0x00
SHA2_256: Final = 0x12
BLAKE2B_256: Final = 0xB220

MAX_DIGEST = 64
"""Maximum digest length in bytes that the network's implementations accept in a CID."""

CBOR_CID_PREFIX: Final = b"\x01\x71\xa0\xe4\x02\x20"
"""First bytes of nearly every CID: version 1, codec DAG-CBOR, hash blake2b-256, 32 bytes."""

BLAKE2B_CID_LENGTH: Final = 38
"""Length in bytes of a CID with `CBOR_CID_PREFIX` or `RAW_CID_PREFIX`."""

RAW_CID_PREFIX: Final = b"\x01\x55\xa0\xe4\x02\x20"
"""First bytes of a code CID: like `CBOR_CID_PREFIX`, with the codec RAW."""

_V0_PREFIX = b"\x12\x20"


class CidError(ValueError):
    """Raised for bytes or text that are not exactly one CID, or for an unsupported hash function."""


class CidParts(NamedTuple):
    """The fields of a CID: version (0 or 1), multicodec, multihash code and digest."""

    version: int
    codec: int
    hash_code: int
    digest: bytes


def cid_of(data: bytes, codec: int = DAG_CBOR, hash_code: int = BLAKE2B_256) -> Cid:
    """Return the CIDv1 of a block. Raises CidError for a hash other than identity, sha2-256 or blake2b-256."""
    if codec == DAG_CBOR and hash_code == BLAKE2B_256:
        return Cid(CBOR_CID_PREFIX + blake2b(data, digest_size=32).digest())
    digest = digest_of(data, hash_code)
    return Cid(b"\x01" + write_uvarint(codec) + write_uvarint(hash_code) + write_uvarint(len(digest)) + digest)


def digest_of(data: bytes, hash_code: int) -> bytes:
    """Return the digest of `data` for a multihash code.

    Raises CidError if the function is not supported, or if `data` is too long for an identity digest.
    """
    if hash_code == BLAKE2B_256:
        return blake2b(data, digest_size=32).digest()
    if hash_code == SHA2_256:
        return sha256(data).digest()
    if hash_code == IDENTITY:
        if len(data) > MAX_DIGEST:
            raise CidError(f"{len(data)} bytes are too long for an identity CID (at most {MAX_DIGEST})")
        return bytes(data)
    raise CidError(f"unsupported hash function {hash_code:#x}: expected identity, sha2-256 or blake2b-256")


def has_digest(cid: bytes, data: bytes) -> bool:
    """Return True if `data` has the digest in `cid`; False also if the hash function is not supported."""
    if cid.startswith(CBOR_CID_PREFIX):
        return blake2b(data, digest_size=32).digest() == cid[6:]
    try:
        parts = split_cid(cid)
        return digest_of(data, parts.hash_code) == parts.digest
    except CidError:
        return False


def read_cid(buffer: bytes, offset: int = 0) -> tuple[Cid, int]:
    """Return the CID at `offset` and the offset after it. Raises CidError."""
    if buffer.startswith(CBOR_CID_PREFIX, offset):
        end = offset + BLAKE2B_CID_LENGTH
        if end > len(buffer):
            raise CidError("the digest of the CID is cut off")
        return Cid(buffer[offset:end]), end
    parts, end = _read_parts(buffer, offset)
    if parts.version == 0:
        return Cid(buffer[offset:end]), end
    numbers = (parts.codec, parts.hash_code, len(parts.digest))
    # Encode again, since the reader drops bits beyond the 64th of an overlong varint.
    return Cid(b"\x01" + b"".join(map(write_wide_uvarint, numbers)) + parts.digest), end


def split_cid(cid: bytes) -> CidParts:
    """Return the fields of a CID. Raises CidError unless the bytes are exactly one CID."""
    parts, end = _read_parts(cid, 0)
    if end != len(cid):
        raise CidError(f"{len(cid) - end} bytes follow the CID")
    return parts


def codec_of(cid: Cid) -> int:
    """Return the multicodec of the block that the CID names."""
    if cid.startswith(CBOR_CID_PREFIX):
        return DAG_CBOR
    return split_cid(cid).codec


def show(cid: bytes) -> str:
    """Return the text form of a CID: base32 for version 1 (`bafy...`), base58 for version 0 (`Qm...`)."""
    if split_cid(cid).version == 0:
        return str(to_public(Cid(cid)))
    return "b" + b32encode(cid).decode("ascii").rstrip("=").lower()


def parse_cid(text: str) -> Cid:
    """Parse a CID from its text form in any multibase. Raises CidError if the text is not a CID."""
    if text.startswith("b"):
        try:
            cid = b32decode(text[1:].upper() + "=" * (-(len(text) - 1) % 8))
        except ValueError as error:
            raise CidError(f"{text!r} is not a CID: {error}") from None
        split_cid(cid)
        if show(cid) != text:
            raise CidError(f"{text!r} is not a CID: not canonical base32")
        return Cid(cid)
    from multiformats import CID

    try:
        return from_public(CID.decode(text))
    except (ValueError, KeyError, IndexError) as error:  # IndexError if nothing follows the multibase prefix
        raise CidError(f"{text!r} is not a CID: {error}") from None


def to_public(cid: Cid) -> CID:
    """Return the `multiformats.CID` of a CID. Raises CidError if multiformats does not know its codec or hash."""
    from multiformats import CID

    try:
        public = CID.decode(bytes(cid))
    except (ValueError, KeyError) as error:
        raise CidError(f"CID {cid.hex()} is not supported by multiformats: {error}") from None
    return public if public.version == 0 else public.set(base="base32")  # as the network writes it: bafy...


def from_public(cid: CID) -> Cid:
    """Return the bytes of a `multiformats.CID`."""
    return Cid(bytes(cid))


def _read_parts(buffer: bytes, offset: int) -> tuple[CidParts, int]:
    if buffer.startswith(_V0_PREFIX, offset):
        end = offset + 34
        if end > len(buffer):
            raise CidError("the digest of the CID is cut off")
        return CidParts(0, DAG_PB, SHA2_256, bytes(buffer[offset + 2 : end])), end
    if buffer.startswith(RAW_CID_PREFIX, offset):
        end = offset + BLAKE2B_CID_LENGTH
        if end > len(buffer):
            raise CidError("the digest of the CID is cut off")
        return CidParts(1, RAW, BLAKE2B_256, bytes(buffer[offset + 6 : end])), end
    try:
        version, position = read_wide_uvarint(buffer, offset)
        if version != 1:
            raise CidError(f"unsupported CID version {version}")
        codec, position = read_wide_uvarint(buffer, position)
        hash_code, position = read_wide_uvarint(buffer, position)
        length, position = read_wide_uvarint(buffer, position)
    except VarintError as error:
        raise CidError(f"not a CID: {error}") from None
    if length > MAX_DIGEST:
        raise CidError(f"a digest of {length} bytes exceeds the maximum of {MAX_DIGEST}")
    end = position + length
    if end > len(buffer):
        raise CidError("the digest of the CID is cut off")
    return CidParts(1, codec, hash_code, bytes(buffer[position:end])), end


EMPTY_ARRAY_BLOCK: Final = b"\x80"
EMPTY_ARRAY_CID: Final = cid_of(EMPTY_ARRAY_BLOCK)
