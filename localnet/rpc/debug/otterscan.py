"""Methods of Otterscan: blocks in pages, calls, and the transactions of an address.

The transactions of an address are those that it sent, received, was created by, or emitted an event in. The node
finds them by the address index (`hypervisor node --index`), or else searches the chain. Internal calls that emit no
event are not found.

Sources: docs.otterscan.io/api-docs/ots-api, and Otterscan's src/useErigonHooks.ts. Where these are silent, responses
match anvil's.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, to_filecoin
from localnet.chain.logs import TipsetSearch, message_with_nonce, receipts_back
from localnet.ledger.address_index import emitter_key, message_key
from localnet.ledger.records import GENESIS_PARENT, NullRound, Tipset, TransactionReceipt
from localnet.rpc.blocks_and_null_rounds import BlockRef, block, find
from localnet.rpc.errors import LIMIT_EXCEEDED, RpcError
from localnet.rpc.methods import Method
from localnet.rpc.node import Node, NodeReader
from localnet.rpc.shapes import block_json, receipt_json, transaction_json
from localnet.rpc.values import address, as_data, as_quantity, hash32, number
from localnet.state.controls import code_of, nonce_of
from localnet.traces import ethereum_traces
from localnet.traces.ethereum_traces import CALL_TRACER, TraceOptions

_API_LEVEL: Final = 8
"""Minimum API level for Otterscan (its src/params.ts)."""
_MAX_IN_PAGE: Final = 1_000
_OPERATIONS: Final = {"CALL": 0, "SELFDESTRUCT": 1, "CREATE": 2, "CREATE2": 3}
"""Otterscan's numbers of internal operations."""


def block_or_number(value: Any) -> BlockRef:
    """Read a block reference, or a height as a plain number."""
    return BlockRef(number=value) if isinstance(value, int) and not isinstance(value, bool) else block(value)


def get_api_level(node: Node) -> int:
    """Return the version of these methods, for Otterscan."""
    return _API_LEVEL


def has_code(node: NodeReader, owner: EthAddress, at: BlockRef) -> bool:
    """Return true if there is a contract at an address, after a block."""
    return bool(code_of(node.machine_at(at), to_filecoin(owner)))


def get_block_details(node: NodeReader, at: BlockRef) -> dict[str, Any] | None:
    """Return a block with its total fees and its number of transactions, without them; null for a null round."""
    return _details(node, _tipset(node, at))


def get_block_details_by_hash(node: NodeReader, block_hash: bytes) -> dict[str, Any] | None:
    """Return the details of a block by its hash; null if the chain does not have it."""
    return _details(node, find(node.network, BlockRef(hash=block_hash)))


def get_block_transactions(node: NodeReader, at: BlockRef, page: int, size: int) -> dict[str, Any] | None:
    """Return a page of a block's transactions with their receipts; page 0 is the first; null for a null round."""
    tipset, size = _tipset(node, at), _page_size(size)
    if tipset is None:
        return None
    index, rules = node.network.chain.index, node.network.rules
    first = page * size
    places = range(first, min(first + size, len(tipset.transactions)))
    receipts = [index.receipt_at(tipset, position) for position in places]
    shown = block_json(index, tipset, rules, full=False)
    transactions = [transaction_json(receipt) for receipt in receipts]
    whole = {**shown, "transactions": transactions, "transactionCount": len(tipset.transactions)}
    return {"fullblock": whole, "receipts": [_receipt(node, receipt) for receipt in receipts]}


def get_internal_operations(node: NodeReader, transaction_hash: bytes) -> list[dict[str, Any]]:
    """Return a transaction's transfers (0), self-destructions (1), creations (2) and CREATE2 creations (3)."""
    return [
        {"type": _OPERATIONS[call["type"]], "from": call["from"], "to": call.get("to"), "value": call["value"]}
        for _, call in _calls(node, node.network.receipt(transaction_hash))
        if call["type"] in _OPERATIONS and (call["type"] != "CALL" or call["value"] != "0x0")
    ]


def trace_transaction(node: NodeReader, transaction_hash: bytes) -> list[dict[str, Any]]:
    """Return a transaction's calls in order, each with its depth."""
    return [
        {
            "type": call["type"],
            "depth": depth,
            "from": call["from"],
            "to": call.get("to"),
            "value": call.get("value"),
            "input": call["input"],
            "output": call.get("output", "0x"),
        }
        for depth, call in _calls(node, node.network.receipt(transaction_hash))
    ]


def get_transaction_error(node: NodeReader, transaction_hash: bytes) -> str:
    """Return the revert data of a failed transaction; 0x if it succeeded."""
    receipt = node.network.receipt(transaction_hash)
    return as_data(b"" if receipt.succeeded else receipt.return_data)


def search_before(node: NodeReader, owner: EthAddress, height: int, size: int) -> dict[str, Any]:
    """Return an address's transactions below a height (0: from the newest on), newest first, in whole blocks."""
    size, head = _page_size(size), int(node.network.executed_head.height)
    newest = head if height == 0 else min(height - 1, head)
    search = _search(node, (message_key(owner), emitter_key(owner)))
    found, is_whole = _take(search.back(newest) if newest >= 0 else iter(()), node, owner, size)
    return _found(node, found, first=newest >= head, last=is_whole)


def search_after(node: NodeReader, owner: EthAddress, height: int, size: int) -> dict[str, Any]:
    """Return an address's transactions above a height (0: from the first on), newest first, in whole blocks."""
    size, first = _page_size(size), node.network.chain.index.first
    oldest = first if height == 0 else max(height + 1, first)
    search = _search(node, (message_key(owner), emitter_key(owner)))
    head = node.network.executed_head.height
    tipsets = takewhile(lambda tipset: tipset.height <= head, search.forward(oldest))
    found, is_whole = _take(tipsets, node, owner, size)
    return _found(node, found[::-1], first=is_whole, last=oldest <= first)


def by_sender_and_nonce(node: NodeReader, sender: EthAddress, nonce: int) -> str | None:
    """Return the hash of the transaction with a sender's nonce; null if there is none."""
    network = node.network
    if nonce >= nonce_of(network.machine, to_filecoin(sender)):
        return None
    found = message_with_nonce(network.chain.index, node.addresses, sender, nonce, network.executed_head.height)
    return None if found is None else as_data(found.hash)


def get_contract_creator(node: NodeReader, contract: EthAddress) -> dict[str, Any] | None:
    """Return the creator and the transaction of a contract; null for genesis contracts and other addresses."""
    tipset = _created_at(node, contract)
    if tipset is None:
        return None
    for traces in reversed(list(ethereum_traces.parity_traces(node.network.chain, tipset))):
        for trace in reversed(traces.traces):
            made = trace.get("result") or {}
            if trace["type"] == "create" and "error" not in trace and made.get("address") == as_data(contract):
                return {"hash": as_data(traces.receipt.hash), "creator": trace["action"]["from"]}
    return None


# --- reading ----------------------------------------------------------------------------------------------------------


def _tipset(node: NodeReader, at: BlockRef) -> Tipset | None:
    """Return a block with known receipts; None for a null round, and above the head."""
    if at.number is None:
        return find(node.network, at)
    found = node.network.chain.index.at(at.number) if at.number <= node.network.executed_head.height else None
    return None if isinstance(found, NullRound) else found


def _page_size(size: int) -> int:
    if size > _MAX_IN_PAGE:
        raise RpcError(LIMIT_EXCEEDED, f"a page of {size} transactions exceeds the limit of {_MAX_IN_PAGE}")
    return size


def _details(node: NodeReader, tipset: Tipset | None) -> dict[str, Any] | None:
    if tipset is None:
        return None
    index, rules = node.network.chain.index, node.network.rules
    shown = block_json(index, tipset, rules, full=False)
    shown["transactionCount"] = len(shown.pop("transactions"))
    fees = sum(receipt.gas_used * receipt.gas_price for receipt in index.receipts(tipset))
    nothing = dict.fromkeys(("blockReward", "uncleReward", "issuance"), "0x0")
    return {"block": shown, "issuance": nothing, "totalFees": as_quantity(fees)}


def _calls(node: NodeReader, receipt: TransactionReceipt) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield a transaction's calls with their depths, parents first, without recursion: calls nest up to 1,024 deep."""
    top = ethereum_traces.trace_transaction(node.network.chain, receipt, TraceOptions(CALL_TRACER))
    todo = [(0, top)]
    while todo:
        depth, call = todo.pop()
        yield depth, call
        todo += [(depth + 1, below) for below in reversed(call.get("calls", ()))]


def _search(node: NodeReader, keys: tuple[int, ...]) -> TipsetSearch:
    """Return a search of the whole chain, within the time limit of a query."""
    index = node.network.chain.index
    return TipsetSearch(index, node.addresses, keys, limit=index.head + 1)


def _take(
    tipsets: Iterator[Tipset], node: NodeReader, owner: EthAddress, size: int
) -> tuple[list[TransactionReceipt], bool]:
    """Return an address's transactions in search order, and True if they are complete."""
    index, found = node.network.chain.index, list[TransactionReceipt]()
    for tipset in tipsets:
        new = [receipt for receipt in receipts_back(index, tipset) if _concerns(receipt, owner)]
        if new and len(found) >= size:
            return found, False
        found += new
    return found, True


def _concerns(receipt: TransactionReceipt, owner: EthAddress) -> bool:
    sent = receipt.candidate
    return owner in (sent.sender, sent.to, receipt.contract_address) or any(
        event.address == owner for event in receipt.execution.events
    )


def _found(node: NodeReader, receipts: list[TransactionReceipt], *, first: bool, last: bool) -> dict[str, Any]:
    return {
        "txs": [transaction_json(receipt) for receipt in receipts],
        "receipts": [_receipt(node, receipt) for receipt in receipts],
        "firstPage": first,
        "lastPage": last,
    }


def _receipt(node: NodeReader, receipt: TransactionReceipt) -> dict[str, Any]:
    shown = receipt_json(receipt, node.network.rules)
    return {**shown, "timestamp": as_quantity(receipt.tipset.timestamp)}


def _created_at(node: NodeReader, contract: EthAddress) -> Tipset | None:
    """Return the tipset in which a contract was created, by binary search over the states.

    If these states were collected, the message that created it is searched. None for a contract of the genesis.
    """
    chain, owner = node.network.chain, to_filecoin(contract)
    if not code_of(chain.machine, owner):
        return None
    index = chain.index
    without, there = max(index.first, index.retained), int(chain.head.height)
    oldest = index.tipset_before(without)
    if oldest is None or code_of(chain.machine_at(oldest), owner):
        return _created_by_message(node, contract)
    while there - without > 1:
        middle = (without + there) // 2
        found = index.tipset_before(middle)
        assert found is not None, "it is above the first"
        if code_of(chain.machine_at(found), owner):
            there = middle
        else:
            without = middle
    return index.tipset_before(there)


def _created_by_message(node: NodeReader, contract: EthAddress) -> Tipset | None:
    for tipset in _search(node, (message_key(contract),)).back(node.network.executed_head.height):
        if any(each.contract_address == contract for each in node.network.chain.index.receipts(tipset)):
            return None if tipset.parent == GENESIS_PARENT else tipset
    return None


METHODS = (
    Method("ots_getApiLevel", (), get_api_level, inline=True),
    Method("ots_hasCode", (address, block_or_number), has_code, reads=True),
    Method("ots_getBlockDetails", (block_or_number,), get_block_details, reads=True),
    Method("ots_getBlockDetailsByHash", (hash32,), get_block_details_by_hash, reads=True),
    Method("ots_getBlockTransactions", (block_or_number, number, number), get_block_transactions, reads=True),
    Method("ots_getInternalOperations", (hash32,), get_internal_operations, reads=True, traces=True),
    Method("ots_traceTransaction", (hash32,), trace_transaction, reads=True, traces=True),
    Method("ots_getTransactionError", (hash32,), get_transaction_error, reads=True),
    Method("ots_searchTransactionsBefore", (address, number, number), search_before, reads=True),
    Method("ots_searchTransactionsAfter", (address, number, number), search_after, reads=True),
    Method("ots_getTransactionBySenderAndNonce", (address, number), by_sender_and_nonce, reads=True),
    Method("ots_getContractCreator", (address,), get_contract_creator, reads=True, traces=True),
)
