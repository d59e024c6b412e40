"""What the nodes of HAMT, AMT and KAMT have in common: loading, bitfields, links, the levels of a path.

HAMT and KAMT nodes are `[bitfield, pointers]`: the bitfield is a big-endian integer without leading zero bytes (empty
where no slot is used), bit i stands for slot i, pointers follow in the order of their slots. A path of 256 bits is
read from its most significant bit, `bit_width` bits a level; the last level takes the bits that remain.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from cbor2 import CBORTag

from store.blockstore import Blockstore, NodeError
from store.cid import DAG_CBOR, USUAL_LENGTH, USUAL_PREFIX, Cid, CidError, codec_of, show
from store.codec import LINK_HEAD, LINK_TAG, CodecError, bytes_head, decode, encode, link, unlink

PATH_BITS: Final = 256
_USUAL_LINK: Final = b"\x00" + USUAL_PREFIX
_LINK_LENGTH: Final = 1 + USUAL_LENGTH


@cache
def path_levels(bit_width: int) -> tuple[tuple[int, int], ...]:
    """Shift and mask that give the slot of a 256-bit path at each level; ValueError unless 1 <= bit_width <= 8."""
    if not 1 <= bit_width <= 8:
        raise ValueError(f"bit width {bit_width} is not between 1 and 8")
    levels = []
    for start in range(0, PATH_BITS, bit_width):
        taken = min(bit_width, PATH_BITS - start)
        levels.append((PATH_BITS - start - taken, (1 << taken) - 1))
    return tuple(levels)


def load_value(store: Blockstore, cid: Cid, error: type[NodeError]) -> Any:
    """The decoded block; `error` if it is not CBOR, BlockNotFound if it is missing."""
    try:
        return decode(store.get(cid))
    except CodecError as problem:
        raise error(f"node {show(cid)}: {problem}") from None


def child_cid(pointer: Any, error: type[NodeError]) -> Cid:
    """The CID of a child node; `error` unless the pointer is a link to a DAG-CBOR block."""
    raw = pointer.value if type(pointer) is CBORTag and pointer.tag == LINK_TAG else None
    if type(raw) is bytes and len(raw) == _LINK_LENGTH and raw.startswith(_USUAL_LINK):
        return Cid(raw[1:])
    try:
        cid = unlink(pointer)
        codec = codec_of(cid)
    except (CodecError, CidError) as problem:
        raise error(f"a pointer that leads nowhere: {problem}") from None
    if codec != DAG_CBOR:
        raise error(f"child {show(cid)}: codec {codec:#x}, a node is DAG-CBOR")
    return cid


def link_bytes(cid: Cid) -> bytes:
    """The encoded link to a node."""
    return LINK_HEAD + cid if len(cid) == USUAL_LENGTH else encode(link(cid))


def bitfield_bytes(bitfield: int) -> bytes:
    """The encoded bitfield of a node."""
    length = (bitfield.bit_length() + 7) // 8
    return bytes_head(length) + bitfield.to_bytes(length, "big")


def read_bitfield_node(value: Any, bit_width: int, error: type[NodeError]) -> tuple[int, list[Any]]:
    """Bitfield and pointers of a decoded HAMT or KAMT node; `error` unless they fit each other and the width."""
    if type(value) is not list or len(value) != 2 or type(value[0]) is not bytes or type(value[1]) is not list:
        raise error("a node is an array of a bitfield and its pointers")
    raw, pointers = value
    bitfield = int.from_bytes(raw, "big")
    if raw[:1] == b"\x00" or bitfield >> (1 << bit_width):
        raise error(f"bitfield {raw.hex()[:80]} is not a trimmed field of {1 << bit_width} slots")
    if bitfield.bit_count() != len(pointers):
        raise error(f"bitfield {raw.hex()} names {bitfield.bit_count()} slots, the node has {len(pointers)}")
    return bitfield, pointers
