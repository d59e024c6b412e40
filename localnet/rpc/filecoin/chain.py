"""Filecoin methods about the chain: tipsets, blocks, messages, receipts, and blocks of the store.

A tipset is executed when it is built. As on the network, the next header contains its receipts:
`ChainGetParentReceipts` of a block returns the receipts of the previous tipset.

Shapes: lotus api/api_full.go.
"""

from __future__ import annotations

from base64 import b64encode
from operator import attrgetter
from typing import Any

from hypervisor.errors import MessageError
from hypervisor.kernel.blocks import scan_links
from hypervisor.messages.events import EVENTS_AMT_BIT_WIDTH
from hypervisor.messages.message import Message, SignatureType, SignedMessage
from localnet.ledger.candidates import Candidate, message_hashes
from localnet.ledger.records import NullRound, Tipset, TransactionReceipt
from localnet.rpc.blocks_and_null_rounds import BlockRef, resolve
from localnet.rpc.errors import LIMIT_EXCEEDED, LOTUS_ERROR, RpcError
from localnet.rpc.lotus_values import (
    HEAD,
    TipsetKey,
    bytes_json,
    cid,
    cid_json,
    epoch,
    found_tipset,
    header_json,
    message_json,
    receipt_json,
    replacement_of,
    tipset,
    tipset_json,
)
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.values import as_data, hash32
from store.blockstore import BlockNotFound
from store.cid import DAG_CBOR, Cid, codec_of, show
from store.trees.amt import Amt, AmtError


def chain_head(node: Node) -> dict[str, Any]:
    """Return the newest tipset."""
    return tipset_json(node.network, node.network.head)


def chain_get_genesis(node: Node) -> dict[str, Any]:
    """Return the first tipset, or the one that a fork starts with."""
    index = node.network.chain.index
    return tipset_json(node.network, index.tipset(index.first))


def chain_get_tipset(node: Node, key: TipsetKey) -> dict[str, Any]:
    """Return the tipset with a key."""
    return tipset_json(node.network, found_tipset(node.network, key))


def chain_get_tipset_by_height(node: Node, height: int, key: TipsetKey = HEAD) -> dict[str, Any]:
    """Return the tipset at a height, or the last one before a null round; at most the one with the key."""
    return tipset_json(node.network, tipset_at(node, height, key))


def chain_get_tipset_after_height(node: Node, height: int, key: TipsetKey = HEAD) -> dict[str, Any]:
    """Return the tipset at a height, or the first one after a null round; at most the one with the key."""
    _check_height(height, found_tipset(node.network, key))
    return tipset_json(node.network, tipset_from(node, height))


def chain_get_path(node: NodeReader, start: TipsetKey, end: TipsetKey) -> list[dict[str, Any]]:
    """Return the changes of the head from one tipset to another: reverted tipsets, or applied ones."""
    first, last = (found_tipset(node.network, key) for key in (start, end))
    low, high = sorted((first, last), key=attrgetter("height"))
    if high.height - low.height > node.limits.log_span:
        distance = high.height - low.height
        raise RpcError(LIMIT_EXCEEDED, f"a path of {distance} epochs exceeds the limit of {node.limits.log_span}")
    between = []
    while high.height > low.height:
        between.append(tipset_json(node.network, high))
        high = node.network.chain.index.tipset(high.parent)
    kind = "apply" if first == low else "revert"
    return [{"Type": kind, "Val": each} for each in (reversed(between) if kind == "apply" else between)]


def chain_get_finalized_tipset(node: Node) -> dict[str, Any]:
    """Return the tipset 900 epochs before the head, or the first one."""
    return tipset_json(node.network, resolve(node.network, BlockRef("finalized")))


def chain_tipset_weight(node: Node, key: TipsetKey) -> str:
    """Return a tipset's weight, which is its height here."""
    return str(found_tipset(node.network, key).height)


def chain_get_block(node: Node, block: Cid) -> dict[str, Any]:
    """Return a block's header."""
    return header_json(node.network, _tipset_of(node, block).block)


def chain_get_block_messages(node: Node, block: Cid) -> dict[str, Any]:
    """Return the messages in a block: those with BLS signatures unsigned, the others signed."""
    messages = [receipt.candidate.message for receipt in _receipts(node, _tipset_of(node, block))]
    bare = [message for message in messages if message.signature.type is SignatureType.BLS]
    signed = [message for message in messages if message.signature.type is not SignatureType.BLS]
    return {
        "BlsMessages": [message_json(message.message) for message in bare],
        "SecpkMessages": [message_json(message) for message in signed],
        "Cids": [cid_json(message.cid()) for message in bare + signed],
    }


def chain_get_parent_messages(node: Node, block: Cid) -> list[dict[str, Any]] | None:
    """Return the messages of the tipset before a block, in execution order; null if there are none."""
    return _messages(node, _parent(node, block)) or None


def chain_get_parent_receipts(node: Node, block: Cid) -> list[dict[str, Any]] | None:
    """Return the receipts of the tipset before a block, without rewards and cron; null for the first block.

    They are in the order of the messages.
    """
    parent = _parent(node, block)
    return None if parent is None else [receipt_json(each.execution.receipt) for each in _receipts(node, parent)]


def chain_get_messages_in_tipset(node: Node, key: TipsetKey) -> list[dict[str, Any]] | None:
    """Return the messages of a tipset, in execution order; null if there are none."""
    return _messages(node, found_tipset(node.network, key)) or None


def chain_get_message(node: Node, message: Cid) -> dict[str, Any]:
    """Return a message, in a block or pending, without its signature; or a reward or cron with a receipt (FIP-0107)."""
    return message_json(signed_or_bare(node, message)[0])


def chain_get_events(node: Node, root: Cid) -> list[dict[str, Any]]:
    """Return the events under the events root of a receipt."""
    try:
        events = [event for _, event in Amt(node.network.machine.store, root, EVENTS_AMT_BIT_WIDTH).items()]
    except BlockNotFound:
        raise _no_block(node, root) from None
    except AmtError:
        raise RpcError(LOTUS_ERROR, f"{show(root)} is not a root of events") from None
    return [{"Emitter": emitter, "Entries": [_entry(*entry) for entry in entries]} for emitter, entries in events]


def chain_read_obj(node: Node, block: Cid) -> str:
    """Return a block of the store, in base64."""
    return b64encode(_stored_block(node, block)).decode()


def chain_has_obj(node: Node, block: Cid) -> bool:
    """Return true if the store has the block."""
    return node.network.machine.store.has(block)


def chain_stat_obj(node: Node, block: Cid, base: Cid | None = None) -> dict[str, Any]:
    """Return the bytes of a block and of all that it links, and their number as `Links`, except those of `base`."""
    seen: set[Cid] = set()
    if base is not None:
        _walk(node, base, seen)
    before = len(seen)
    return {"Size": _walk(node, block, seen), "Links": len(seen) - before}


def message_cid(node: Node, transaction_hash: bytes) -> dict[str, str] | None:
    """Return the CID of the message of a transaction hash; null if there is none."""
    index = node.network.chain.index
    receipt = index.receipt(transaction_hash) or index.implicit_receipt(transaction_hash)
    if receipt is not None:
        return cid_json(receipt.candidate.message.cid())
    waiting = node.network.mempool.get(transaction_hash)
    return None if waiting is None else cid_json(waiting.message.cid())


def transaction_hash(node: Node, message: Cid) -> str | None:
    """Return the Ethereum transaction hash of a message; null if there is none."""
    found = hash_of(node, message)
    return None if found is None else as_data(found)


# --- looking up -------------------------------------------------------------------------------------------------------


def tipset_at(node: Node, height: int, key: TipsetKey) -> Tipset:
    """Return the tipset at a height, or before a null round. Raises RpcError 1 for a height above the key's."""
    _check_height(height, found_tipset(node.network, key))
    return tipset_until(node, height)


def tipset_until(node: NodeReader, height: int) -> Tipset:
    """Return the tipset at a height of the chain, or the last one before a null round."""
    found = node.network.chain.index.tipset_before(height)
    assert found is not None, "the height is on the chain"
    return found


def tipset_from(node: NodeReader, height: int) -> Tipset:
    """Return the tipset at a height of the chain, or the first one after a null round."""
    found = node.network.chain.index.at(height)
    if isinstance(found, NullRound):
        found = node.network.chain.index.tipset(found.after)
    assert isinstance(found, Tipset), "the height is on the chain"
    return found


def signed_or_bare(node: Node, message: Cid) -> tuple[Message, SignedMessage | None]:
    """Return a message by CID, in a block, pending or replaced; signed unless its signature is BLS. RpcError 1."""
    replaced = _replaced(node, message)
    for candidate in node.network.mempool if replaced is None else (replaced,):
        if candidate.message.cid() == message:
            return candidate.bare, candidate.message
    return _stored_message(node, message)


def _stored_message(node: NodeReader, message: Cid) -> tuple[Message, SignedMessage | None]:
    """Return a message of a block by CID. Raises RpcError 1."""
    if not node.network.machine.store.has(message) or codec_of(message) != DAG_CBOR:
        raise RpcError(LOTUS_ERROR, f"message {show(message)} not found")
    data = node.network.machine.store.get(message)
    try:
        signed = SignedMessage.from_cbor(data)
    except MessageError:
        pass  # a bare one, of a BLS key
    else:
        return signed.message, signed
    try:
        return Message.from_cbor(data), None
    except MessageError:
        raise RpcError(LOTUS_ERROR, f"{show(message)} is not a message") from None


def hash_of(node: Node, message: Cid) -> bytes | None:
    """Return the transaction hash of a message in a block or pending; None if there is none."""
    try:
        _, signed = signed_or_bare(node, message)
    except RpcError:
        return None
    index, mempool = node.network.chain.index, node.network.mempool
    for found in message_hashes(signed, message, [node.network.chain_id, *index.chain_ids]):
        if found in mempool.replaced or index.receipt(found) or mempool.get(found) or index.implicit_receipt(found):
            return found
    return None


def receipt_of(node: NodeReader, message: Cid) -> TransactionReceipt | None:
    """Return the executed message with a CID, also a reward or cron; None if there is none with a receipt."""
    try:
        _, signed = _stored_message(node, message)
    except RpcError:
        return None
    chain_ids = [node.network.chain_id, *node.network.chain.index.chain_ids]
    return next(filter(None, map(node.network.find_executed, message_hashes(signed, message, chain_ids))), None)


def receipt_of_call(node: NodeReader, message: Cid, *, replaced: bool = True) -> TransactionReceipt | None:
    """Return the executed message with a CID, or its replacement. Raises the errors of `replacement_of`."""
    found, original = receipt_of(node, message), _replaced(node, message)
    return found if found is not None or original is None else replacement_of(node.network, original, replaced=replaced)


def _replaced(node: NodeReader, message: Cid) -> Candidate | None:
    """Return a replaced message by CID."""
    known = tuple(node.network.mempool.replaced.values())  # a copy: another thread may replace a message
    return next((each for each, _ in known if each.message.cid() == message), None)


def _entry(flags: int, key: str, codec: int, value: bytes) -> dict[str, Any]:
    return {"Flags": flags, "Key": key, "Codec": codec, "Value": bytes_json(value)}


def _tipset_of(node: Node, block: Cid) -> Tipset:
    return found_tipset(node.network, TipsetKey((block,)))


def _parent(node: Node, block: Cid) -> Tipset | None:
    found = _tipset_of(node, block)
    return None if found.parent < 0 else node.network.chain.index.tipset(found.parent)


def _receipts(node: Node, found: Tipset | None) -> list[TransactionReceipt]:
    return [] if found is None else list(node.network.chain.index.receipts(found))


def _messages(node: Node, found: Tipset | None) -> list[dict[str, Any]]:
    return [message_with_cid(receipt) for receipt in _receipts(node, found)]


def message_with_cid(receipt: TransactionReceipt) -> dict[str, Any]:
    """Return an executed message without its signature, and its CID on chain."""
    message = receipt.candidate.message
    return {"Cid": cid_json(message.cid()), "Message": message_json(message.message)}


def _check_height(height: int, last: Tipset) -> None:
    if height > last.height:
        raise RpcError(
            LOTUS_ERROR, f"looking for tipset with height greater than start point: {height} > {last.height}"
        )
    if height < 0:
        raise RpcError(LOTUS_ERROR, f"tipset height {height} is negative")


def _stored_block(node: Node, block: Cid) -> bytes:
    try:
        return node.network.machine.store.get(block)
    except BlockNotFound:
        raise _no_block(node, block) from None


def _no_block(node: Node, block: Cid) -> RpcError:
    """Return Lotus's error, with the other possible reason on this node."""
    message, retained = f"blockstore get: ipld: could not find {show(block)}", node.network.chain.index.retained
    if retained:
        message += f" (states are kept from block {retained} on: a node keeps more with --keep-states N)"
    return RpcError(LOTUS_ERROR, message)


def _walk(node: Node, root: Cid, seen: set[Cid]) -> int:
    """Visit the blocks under a root; return the bytes of those that were not visited before. Raises RpcError 1."""
    store = node.network.machine.store
    if not store.has(root):
        raise RpcError(LOTUS_ERROR, f"block was not found locally: {show(root)}")
    open_, size = [root], 0
    while open_:
        block = open_.pop()
        if block in seen or not store.has(block):
            continue
        seen.add(block)
        if len(seen) > _MAX_WALKED:
            raise RpcError(LOTUS_ERROR, f"more than {_MAX_WALKED} blocks: request a smaller part of the state")
        data = store.get(block)
        size += len(data)
        open_.extend(scan_links(codec_of(block), data).links)
    return size


_MAX_WALKED = 100_000

METHODS = (
    Method("Filecoin.ChainHead", (), chain_head),
    Method("Filecoin.ChainGetGenesis", (), chain_get_genesis),
    Method("Filecoin.ChainGetTipSet", (tipset,), chain_get_tipset),
    Method("Filecoin.ChainGetTipSetByHeight", (epoch, optional(tipset)), chain_get_tipset_by_height),
    Method("Filecoin.ChainGetTipSetAfterHeight", (epoch, optional(tipset)), chain_get_tipset_after_height),
    Method("Filecoin.ChainGetPath", (tipset, tipset), chain_get_path, reads=True),
    Method("Filecoin.ChainGetFinalizedTipSet", (), chain_get_finalized_tipset),
    Method("Filecoin.ChainTipSetWeight", (tipset,), chain_tipset_weight),
    Method("Filecoin.ChainGetBlock", (cid,), chain_get_block),
    Method("Filecoin.ChainGetBlockMessages", (cid,), chain_get_block_messages),
    Method("Filecoin.ChainGetParentMessages", (cid,), chain_get_parent_messages),
    Method("Filecoin.ChainGetParentReceipts", (cid,), chain_get_parent_receipts),
    Method("Filecoin.ChainGetMessagesInTipset", (tipset,), chain_get_messages_in_tipset),
    Method("Filecoin.ChainGetMessage", (cid,), chain_get_message),
    Method("Filecoin.ChainGetEvents", (cid,), chain_get_events),
    Method("Filecoin.ChainReadObj", (cid,), chain_read_obj),
    Method("Filecoin.ChainHasObj", (cid,), chain_has_obj),
    Method("Filecoin.ChainStatObj", (cid, optional(cid)), chain_stat_obj),
    Method("Filecoin.EthGetMessageCidByTransactionHash", (hash32,), message_cid),
    Method("Filecoin.EthGetTransactionHashByCid", (cid,), transaction_hash),
)
