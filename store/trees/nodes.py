"""Shared parts of HAMT, AMT and KAMT nodes: loading, bitfields, links and path levels.

HAMT and KAMT nodes are `[bitfield, pointers]`: the bitfield is a big-endian integer without leading zero bytes (empty
if no slot is used), bit i stands for slot i, and pointers follow in slot order. A path of 256 bits is read from its
most significant bit, `bit_width` bits per level; the last level has the remaining bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from struct import Struct
from typing import Any, Final

from cbor2 import CBORTag

from store.blockstore import Blockstore, TreeNodeError
from store.cid import BLAKE2B_CID_LENGTH, CBOR_CID_PREFIX, DAG_CBOR, RAW_CID_PREFIX, Cid, CidError, codec_of, show
from store.codec import LINK_HEAD, LINK_TAG, CodecError, array_head, bytes_head, decode, encode, link, unlink

PATH_BITS: Final = 256

LINK_START: Final = LINK_HEAD + CBOR_CID_PREFIX
"""First bytes of an encoded link to a node, followed by the digest."""

LINK_LENGTH: Final = len(LINK_HEAD) + BLAKE2B_CID_LENGTH
"""Length in bytes of an encoded link to a node."""

_MAX_LINKS: Final = 1 << 8  # in a node of the largest width

_USUAL_LINK: Final = b"\x00" + CBOR_CID_PREFIX
_TAGGED_LENGTH: Final = 1 + BLAKE2B_CID_LENGTH
_USUAL_ENCODED: Final = (LINK_START, LINK_HEAD + RAW_CID_PREFIX)


class _Missing:
    """Marker for an absent entry, since null is a value."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


def changed_values(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> Iterator[tuple[Any, Any, Any]]:
    """Iterate over (key, old value, new value) where two maps differ; an absent value is MISSING."""
    for key, value in before.items():
        if key not in after:
            yield key, value, MISSING
        elif after[key] != value:
            yield key, value, after[key]
    for key, value in after.items():
        if key not in before:
            yield key, MISSING, value


@cache
def path_levels(bit_width: int) -> tuple[tuple[int, int], ...]:
    """Return the shift and mask that select the slot of a 256-bit path at each level.

    Raises ValueError unless 1 <= bit_width <= 8.
    """
    if not 1 <= bit_width <= 8:
        raise ValueError(f"bit width {bit_width} is not between 1 and 8")
    levels = []
    for start in range(0, PATH_BITS, bit_width):
        taken = min(bit_width, PATH_BITS - start)
        levels.append((PATH_BITS - start - taken, (1 << taken) - 1))
    return tuple(levels)


def load_value(store: Blockstore, cid: Cid, error: type[TreeNodeError]) -> Any:
    """Return the decoded block. Raises BlockNotFound, and `error` if it is not CBOR."""
    return decode_node(cid, store.get(cid), error)


def decode_node(cid: Cid, data: bytes, error: type[TreeNodeError]) -> Any:
    """Return the value of a block. Raises `error`, naming the block, if it is not CBOR."""
    try:
        return decode(data)
    except CodecError as problem:
        raise error(f"node {show(cid)}: {problem}") from None


def child_cid(pointer: Any, error: type[TreeNodeError]) -> Cid:
    """Return the CID of a child node. Raises `error` unless the pointer is a link to a DAG-CBOR block."""
    raw = pointer.value if type(pointer) is CBORTag and pointer.tag == LINK_TAG else None
    if type(raw) is bytes and len(raw) == _TAGGED_LENGTH and raw.startswith(_USUAL_LINK):
        return Cid(raw[1:])
    try:
        cid = unlink(pointer)
        codec = codec_of(cid)
    except (CodecError, CidError) as problem:
        raise error(f"invalid link to a child node: {problem}") from None
    if codec != DAG_CBOR:
        raise error(f"invalid child node {show(cid)}: codec {codec:#x}, expected DAG-CBOR")
    return cid


def link_bytes(cid: Cid) -> bytes:
    """Return the encoded link to a node."""
    return LINK_HEAD + cid if len(cid) == BLAKE2B_CID_LENGTH else encode(link(cid))


def cid_of_link(encoded: bytes) -> Cid:
    """Return the CID of a link encoded by `link_bytes`."""
    if len(encoded) == LINK_LENGTH:
        return Cid(encoded[len(LINK_HEAD) :])
    return unlink(decode(encoded))


@lru_cache(4096)
def node_head(bitfield: int, pointers: int) -> bytes:
    """Return the encoding of a node up to its pointers: its bitfield and the head of an array of `pointers` items."""
    length = (bitfield.bit_length() + 7) // 8
    return b"\x82" + bytes_head(length) + bitfield.to_bytes(length, "big") + array_head(pointers)


def read_bitfield_node(value: Any, bit_width: int, error: type[TreeNodeError]) -> tuple[int, list[Any]]:
    """Return bitfield and pointers of a decoded HAMT or KAMT node.

    Raises `error` if the shape is wrong, or if bitfield, pointers and bit width do not match.
    """
    if type(value) is not list or len(value) != 2 or type(value[0]) is not bytes or type(value[1]) is not list:
        raise error("invalid node: expected [bitfield, pointers]")
    raw, pointers = value
    return _bitfield(raw, len(pointers), bit_width, error), pointers


def link_digests(data: bytes) -> tuple[int, tuple[bytes, ...]] | None:
    """Return the offset of the first link and all digests of a node with only usual links, else None.

    All but the lowest nodes of a large tree are such nodes. A digest is the end of each LINK_LENGTH bytes.
    """
    if len(data) < LINK_LENGTH or data[0] != 0x82 or not 0x41 <= data[1] < 0x58:
        return None
    at = data[1] - 0x40 + 2
    count, rest = divmod(len(data) - at, LINK_LENGTH)
    if count > _MAX_LINKS:
        return None
    head = array_head(count)
    if rest != len(head) or not data.startswith(head + LINK_START, at):
        return None
    fields = _links(count).unpack_from(data, at + rest)
    return (at + rest, fields[1::2]) if fields[::2].count(LINK_START) == count else None


@cache
def _links(count: int) -> Struct:
    return Struct(f"{len(LINK_START)}s{LINK_LENGTH - len(LINK_START)}s" * count)


def read_link_node(data: bytes, bit_width: int, error: type[TreeNodeError]) -> tuple[int, list[bytes]] | None:
    """Return bitfield and encoded links of a node with only usual links, without decoding it, else None.

    Raises `error` like `read_bitfield_node`.
    """
    found = link_digests(data)
    if found is None:
        return None
    links = [LINK_START + digest for digest in found[1]]
    return _bitfield(data[2 : data[1] - 0x40 + 2], len(links), bit_width, error), links


def split_pointers(data: bytes, count: int) -> list[bytes] | None:
    """Return the encoded pointers, the last `count` values of a decoded node; None if possibly not canonical.

    For the types found in state nodes, this finds the end of each value and checks that each head is minimal, much
    faster than encoding the pointers again. Returns None for maps and rarer types.
    """
    at = 2 + (data[1] & 31)
    if data[0] != 0x82 or not 0x40 <= data[1] < 0x58 or not data.startswith(head := array_head(count), at):
        return None
    at += len(head)
    parts: list[bytes] = []
    for _ in range(count):
        start, remaining = at, 1
        while remaining:
            first = data[at]
            step = _STEPS[first]
            remaining -= 1
            if step:
                at += step
            elif 0x80 <= first < 0x98:
                at += 1
                remaining += first - 0x80
            elif data.startswith(_USUAL_ENCODED, at):
                at += LINK_LENGTH
            elif first == 0x58 and data[at + 1] > 23:
                at += 2 + data[at + 1]
            elif first in _LONGER:
                least, start_of_number = _LONGER[first], at + 1
                at = start_of_number + (1 << (first & 3))
                if int.from_bytes(data[start_of_number:at], "big") < least:
                    return None
            else:
                return None
        parts.append(data[start:at])
    return parts if at == len(data) else None


def _step(first: int) -> int:
    """Return the length of a value that its first byte determines (small integer, short string, bool, null), or 0."""
    major, info = first >> 5, first & 31
    if info < 24 and major in (0, 1):
        return 1
    if info < 24 and major in (2, 3):
        return 1 + info
    return 1 if first in (0xF4, 0xF5, 0xF6) else 0


_STEPS: Final = tuple(_step(first) for first in range(256))
_LONGER: Final = {
    major << 5 | 24 + power: (24, 1 << 8, 1 << 16, 1 << 32)[power] for major in (0, 1) for power in range(4)
}
"""Smallest number that needs 1, 2, 4 or 8 bytes after the first byte, by first byte."""


def _bitfield(raw: bytes, count: int, bit_width: int, error: type[TreeNodeError]) -> int:
    bitfield = int.from_bytes(raw, "big")
    if raw[:1] == b"\x00" or bitfield >> (1 << bit_width):
        raise error(f"invalid node: bitfield {raw.hex()[:80]} does not fit {1 << bit_width} slots or has leading zeros")
    if bitfield.bit_count() != count:
        raise error(f"invalid node: bitfield {raw.hex()} names {bitfield.bit_count()} slots, found {count} pointers")
    return bitfield
