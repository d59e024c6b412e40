"""Tipsets read from the blocks of a chain: headers, messages and receipts.

Reads the chains that `localnet.ledger.blocks` writes, and those of any Filecoin node. The latter have several blocks
per tipset, tickets, beacon entries and election wins.

Layouts: lotus chain/types/blockheader.go.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hypervisor.errors import AddressError, InvalidInput, MessageError
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, Receipt, SignedMessage
from hypervisor.types import ChainEpoch, TokenAmount, decode_bigint
from localnet.ledger.blocks import tipset_key
from store.blocks.memory import BufferedStore
from store.blockstore import Blockstore, TreeNodeError, get_object, put_object
from store.cid import Cid, show
from store.codec import CodecError, unlink
from store.trees.amt import Amt

_HEADER_FIELDS: Final = 16
_LIST_BIT_WIDTH: Final = 3
_MALFORMED: Final = (AddressError, CodecError, IndexError, KeyError, MessageError, TreeNodeError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class IncludedMessage:
    """A message included in a block, with its CID on chain and its encoded length in bytes."""

    message: Message
    cid: Cid
    length: int


@dataclass(frozen=True, slots=True)
class Header:
    """A block header.

    `state` and `receipts` result from executing the parent tipset. `timestamp` is in Unix seconds, `base_fee` in
    attoFIL per gas.
    """

    cid: Cid
    producer: Address
    ticket: bytes
    win_count: int
    beacon: tuple[bytes, ...]
    parents: tuple[Cid, ...]
    height: ChainEpoch
    state: Cid
    receipts: Cid
    messages: Cid
    timestamp: int
    base_fee: TokenAmount


@dataclass(frozen=True, slots=True)
class TipsetHeaders:
    """The block headers of one tipset, in tipset order."""

    blocks: tuple[Header, ...]

    @property
    def cids(self) -> tuple[Cid, ...]:
        """The blocks' CIDs, which are the tipset's key."""
        return tuple(block.cid for block in self.blocks)

    @property
    def key(self) -> Cid:
        """The CID of the encoded tipset key (`cids`)."""
        return tipset_key(self.cids)

    @property
    def height(self) -> ChainEpoch:
        """The epoch of the tipset."""
        return self.blocks[0].height

    @property
    def parents(self) -> tuple[Cid, ...]:
        """The blocks of the previous tipset."""
        return self.blocks[0].parents

    @property
    def state(self) -> Cid:
        """The state root on which the tipset executes (Lotus: ParentState)."""
        return self.blocks[0].state

    @property
    def timestamp(self) -> int:
        """The earliest block timestamp, in Unix seconds: the timestamp for the tipset's execution."""
        return min(block.timestamp for block in self.blocks)

    @property
    def ticket(self) -> bytes:
        """The minimum ticket (the one with the lowest hash), from which the tipset's chain randomness is derived."""
        return min((block.ticket for block in self.blocks), key=digest)


def digest(data: bytes) -> bytes:
    """Hash a ticket or a beacon entry with Blake2b-256, for randomness."""
    return hashlib.blake2b(data, digest_size=32).digest()


def read_tipset(store: Blockstore, cids: Sequence[Cid]) -> TipsetHeaders:
    """Read the headers of a tipset by their CIDs.

    Raises InvalidInput if they do not form a tipset, and BlockNotFound or StoreError.
    """
    headers = tuple(_header(cid, _object(store, cid, "a block's header")) for cid in cids)
    if not headers:
        raise InvalidInput("a tipset has at least one block")
    for other in headers[1:]:
        if (other.height, other.parents, other.state) != (headers[0].height, headers[0].parents, headers[0].state):
            raise InvalidInput(f"the blocks {show(headers[0].cid)} and {show(other.cid)} belong to different tipsets")
    return TipsetHeaders(headers)


def _header(cid: Cid, fields: Any) -> Header:
    try:
        if not isinstance(fields, list) or len(fields) != _HEADER_FIELDS:
            raise ValueError(f"expected {_HEADER_FIELDS} fields")
        producer, ticket, election, entries, _, parents, _, height, state, receipts, messages = fields[:11]
        return Header(
            cid=cid,
            producer=Address.from_bytes(producer),
            ticket=b"" if ticket is None else _bytes(ticket[0]),
            win_count=0 if election is None else _number(election[0]),
            beacon=tuple(_bytes(entry[1]) for entry in entries or ()),
            parents=tuple(unlink(parent) for parent in parents),
            height=ChainEpoch(_number(height)),
            state=unlink(state),
            receipts=unlink(receipts),
            messages=unlink(messages),
            timestamp=_number(fields[12]),
            base_fee=TokenAmount(decode_bigint(fields[15])),
        )
    except _MALFORMED as error:
        raise InvalidInput(f"{show(cid)} is not a valid block header: {error}") from None


def read_messages(store: Blockstore, header: Header) -> tuple[IncludedMessage, ...]:
    """Read the messages of a block in execution order: BLS messages, then secp256k1 messages.

    Raises like `read_tipset`.
    """
    lists = _object(store, header.messages, "a block's lists of messages")
    try:
        bare, signed = (unlink(root) for root in lists)
    except _MALFORMED as error:
        raise InvalidInput(f"{show(header.messages)} is not a block's lists of messages: {error}") from None
    return (*_read_messages(store, bare, _bls_message), *_read_messages(store, signed, _secp_message))


def read_receipts(store: Blockstore, root: Cid) -> list[Receipt]:
    """Read the receipts of a tipset in execution order. Raises like `read_tipset`."""
    try:
        return [Receipt.from_fields(fields) for fields in _list(store, root)]
    except _MALFORMED as error:
        raise InvalidInput(f"{show(root)} is not a list of receipts: {error}") from None


def _read_messages(store: Blockstore, root: Cid, read: Any) -> Iterator[IncludedMessage]:
    try:
        cids = [unlink(entry) for entry in _list(store, root)]
    except _MALFORMED as error:
        raise InvalidInput(f"{show(root)} is not a list of messages: {error}") from None
    for cid in cids:
        data = store.get(cid)
        try:
            message = read(data)
        except _MALFORMED as error:
            raise InvalidInput(f"the block {show(cid)} is not a message: {error}") from None
        yield IncludedMessage(message, cid, len(data))


def _bls_message(data: bytes) -> Message:
    return Message.from_cbor(data)


def _secp_message(data: bytes) -> Message:
    return SignedMessage.from_cbor(data).message


def _list(store: Blockstore, root: Cid) -> Iterable[Any]:
    """Return the values of an AMT v0, whose root omits the bit width (always 3)."""
    fields = get_object(store, root)
    if not isinstance(fields, list) or len(fields) != 3:
        raise ValueError("expected an AMT v0 root with three fields")
    beside = BufferedStore(store)
    return [value for _, value in Amt(beside, put_object(beside, [_LIST_BIT_WIDTH, *fields])).items()]


def _object(store: Blockstore, cid: Cid, what: str) -> Any:
    try:
        return get_object(store, cid)
    except CodecError as error:
        raise InvalidInput(f"{show(cid)} is not {what}: {error}") from None


def _number(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r:.40} is not a number")
    return value


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"{value!r:.40} where bytes are expected")
    return value
