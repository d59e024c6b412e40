"""Blocks in the network's format: headers, lists of messages and receipts, tipset keys.

A header contains the state root and the receipts of its parent, so the CID of a block does not depend on its
execution. This network has one block per tipset, without proofs and signatures.

Layouts: lotus chain/types/blockheader.go. Lists of messages and receipts are AMTs of version 0, whose root does not
contain the width of 8.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from hypervisor.messages.address import Address
from hypervisor.messages.message import Receipt, SignatureType, SignedMessage
from hypervisor.types import SYSTEM_ACTOR, ChainEpoch, TokenAmount, encode_bigint
from store.blockstore import Blockstore, get_object, put_object
from store.cid import Cid, cid_of
from store.codec import LINK_HEAD, LinkedCid, bytes_head, encode
from store.trees.amt import Amt

NO_PRODUCER: Final = Address.id(SYSTEM_ACTOR)
"""Block producer if no miner was chosen: the reward actor burns its reward."""

_LIST_BIT_WIDTH = 3
_TICKET, _BEACON = b"ticket", b"beacon"
"""Domains of the digests of a height."""


class BlockHeader(NamedTuple):
    """The block of a tipset. Timestamp in Unix seconds, base fee in attoFIL per gas."""

    producer: Address
    height: ChainEpoch
    parents: tuple[Cid, ...]
    parent_state: Cid
    parent_receipts: Cid
    messages: Cid
    timestamp: int
    base_fee: TokenAmount
    settings: bytes = b""
    """Settings of the block (`BlockSettings.encoded`); empty under Filecoin's rules."""

    def put(self, store: Blockstore) -> Cid:
        """Store the tuple of sixteen fields, with the settings in place of the election proof; returns its CID."""
        fields = [
            self.producer.to_bytes(), [_digest(_TICKET, self.height)], [1, self.settings],
            [[self.height, _digest(_BEACON, self.height)]], [], [*map(LinkedCid, self.parents)],
            encode_bigint(self.height), self.height, LinkedCid(self.parent_state), LinkedCid(self.parent_receipts),
            LinkedCid(self.messages), None, self.timestamp, None, 0, encode_bigint(self.base_fee),
        ]  # fmt: skip
        return put_object(store, fields)


def producer_of(store: Blockstore, block: Cid) -> Address:
    """Return the producer of a block from its header."""
    return Address.from_bytes(get_object(store, block)[0])


def ticket(height: int) -> bytes:
    """Return the ticket of a height, derived from the height only, so it is predictable."""
    return _digest(_TICKET, height)


def beacon_entry(height: int) -> bytes:
    """Return the beacon entry of a height, derived like the ticket."""
    return _digest(_BEACON, height)


def beacon_digest(height: int) -> bytes:
    """Return the digest of a height's beacon entry, from which the machine derives randomness."""
    return hashlib.blake2b(_digest(_BEACON, height), digest_size=32).digest()


def tipset_key(blocks: Sequence[Cid]) -> Cid:
    """Return the CID of a tipset key, the CBOR byte string of block CIDs; its digest is the Ethereum block hash."""
    joined = b"".join(blocks)
    return cid_of(bytes_head(len(joined)) + joined)


def block_hash(key: Cid) -> bytes:
    """Return the 32-byte Ethereum block hash of a tipset."""
    return bytes(key[-32:])


def key_of_hash(ethereum_hash: bytes) -> Cid:
    """Return the tipset key of an Ethereum block hash: the inverse of `block_hash`."""
    return Cid(_KEY_PREFIX + ethereum_hash)


_KEY_PREFIX: Final = bytes(tipset_key([]))[:-32]
_EMPTY_LIST_BLOCK: Final = encode([0, 0, [b"\x00", [], []]])
_EMPTY_LIST: Final = cid_of(_EMPTY_LIST_BLOCK)
"""CID of the empty list of messages with BLS signatures, which nearly every block has."""


def put_messages(store: Blockstore, messages: Iterable[SignedMessage]) -> Cid:
    """Store a block's messages and their two lists, and return the CID of the pair of lists.

    Messages with a BLS signature are stored without it, in the first list, and the others with it, in the second.
    """
    bare: list[Any] = []
    signed: list[Any] = []
    for message in messages:
        is_bls = message.signature.type is SignatureType.BLS
        cid = _put(store, message.message.to_cbor() if is_bls else message.to_cbor())
        (bare if is_bls else signed).append(LinkedCid(cid))
    return _put(store, b"".join((b"\x82", LINK_HEAD, _put_list(store, bare), LINK_HEAD, _put_list(store, signed))))


def put_receipts(store: Blockstore, receipts: Iterable[Receipt]) -> Cid:
    """Store the list of a tipset's receipts, in the order of execution."""
    return _put_list(store, [*map(Receipt.fields, receipts)])


def _put_list(store: Blockstore, values: list[Any]) -> Cid:
    if not values:
        store.put(_EMPTY_LIST, _EMPTY_LIST_BLOCK)
        return _EMPTY_LIST
    count = len(values)
    if count <= 1 << _LIST_BIT_WIDTH:  # one node, as most blocks have: [0, count, [bitmap, [], values]]
        return _put(store, bytes((0x83, 0, count, 0x83, 0x41, (1 << count) - 1, 0x80)) + encode(values))
    root = Amt.from_values(store, values, _LIST_BIT_WIDTH).flush()
    _, height, count, node = get_object(store, root)
    return put_object(store, [height, count, node])


def _put(store: Blockstore, data: bytes) -> Cid:
    cid = cid_of(data)
    store.put(cid, data)
    return cid


def _digest(domain: bytes, height: int) -> bytes:
    return hashlib.blake2b(domain + height.to_bytes(8, "big", signed=True), digest_size=32).digest()
