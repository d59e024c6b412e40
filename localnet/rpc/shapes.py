"""Blocks, transactions, receipts and logs as the JSON objects of Ethereum's JSON-RPC.

Fields and constants are Lotus' (chain/types/ethtypes, node/impl/eth). Fields of execution-apis that Lotus omits are
added (yParity, the effective gas price of a type 2 transaction), and so are the fields of other sets of rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.patricia import EMPTY_ROOT
from bridge.ethereum.transactions import (
    ACCESS_LIST,
    BLOB,
    DYNAMIC_FEE,
    LEGACY,
    SET_CODE,
    Authorization,
    SignedTransaction,
)
from bridge.filecoin.receipts import EmittedLog, bloom, display_calldata
from localnet.ledger.candidates import Candidate
from localnet.ledger.index import ChainIndex
from localnet.ledger.records import Tipset, TransactionReceipt
from localnet.rpc.values import as_data, as_quantity
from localnet.rules.parts import NetworkRules

_ZERO_HASH: Final = as_data(bytes(32))
_ZERO_ADDRESS: Final = as_data(bytes(20))
_NO_UNCLES: Final = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
_NO_TRANSACTIONS: Final = as_data(EMPTY_ROOT)


def block_json(index: ChainIndex, tipset: Tipset, rules: NetworkRules, full: bool) -> dict[str, Any]:
    """Return a tipset as a block, with whole transactions or their hashes."""
    if full:
        transactions: list[Any] = [transaction_json(receipt) for receipt in index.receipts(tipset)]
    else:
        transactions = [as_data(transaction) for transaction in tipset.transactions]
    parent = index.tipset(tipset.parent) if tipset.parent >= 0 else None
    return block_fields(tipset, bytes(32) if parent is None else parent.hash, transactions, rules)


def block_fields(tipset: Tipset, parent_hash: bytes, transactions: list[Any], rules: NetworkRules) -> dict[str, Any]:
    """Return a tipset as a block, with the given form of its transactions."""
    return {
        "hash": as_data(tipset.hash),
        "parentHash": as_data(parent_hash),
        "sha3Uncles": _NO_UNCLES,
        "miner": _ZERO_ADDRESS,
        "stateRoot": _ZERO_HASH,
        "transactionsRoot": _ZERO_HASH if transactions else _NO_TRANSACTIONS,
        "receiptsRoot": _ZERO_HASH,
        "logsBloom": as_data(tipset.bloom),
        "difficulty": "0x0",
        **({} if rules.hardfork else {"totalDifficulty": "0x0"}),  # geth has it no longer
        "number": as_quantity(tipset.height),
        "gasLimit": as_quantity(rules.settings.gas_limit_of(tipset)),
        "gasUsed": as_quantity(tipset.gas_used),
        "timestamp": as_quantity(tipset.timestamp),
        "extraData": "0x",
        "mixHash": _ZERO_HASH,
        "nonce": "0x0000000000000000",
        "size": "0x0",
        "transactions": transactions,
        "uncles": [],
        **rules.views.block_fields(tipset),
    }


def transaction_json(receipt: TransactionReceipt) -> dict[str, Any]:
    """Return an executed transaction."""
    return _transaction(
        receipt.candidate,
        receipt.chain_id,
        receipt.tipset.base_fee,
        {
            "blockHash": as_data(receipt.tipset.hash),
            "blockNumber": as_quantity(receipt.tipset.height),
            "blockTimestamp": as_quantity(receipt.tipset.timestamp),
            "transactionIndex": _index(receipt),
        },
    )


def _index(receipt: TransactionReceipt) -> str | None:
    """Return a transaction's index in its block; null for a reward or cron, which is in none (FIP-0107)."""
    return None if receipt.is_implicit else as_quantity(receipt.index)


def pending_json(candidate: Candidate, chain_id: int) -> dict[str, Any]:
    """Return a transaction that waits for a block."""
    no_position = dict.fromkeys(("blockHash", "blockNumber", "blockTimestamp", "transactionIndex"))
    return _transaction(candidate, chain_id, None, no_position)


def unsigned_json(signed: SignedTransaction, sender: EthAddress) -> dict[str, Any]:
    """Return an unsigned transaction, with zeros for its signature."""
    transaction = signed.transaction
    return {
        "hash": as_data(signed.hash()),
        "nonce": as_quantity(transaction.nonce),
        **dict.fromkeys(("blockHash", "blockNumber", "transactionIndex")),
        "from": as_data(sender),
        "to": None if transaction.to is None else as_data(transaction.to),
        "value": as_quantity(transaction.value),
        "gas": as_quantity(transaction.gas_limit),
        "input": as_data(transaction.data),
        **_signed_fields(signed),
        **_fees(transaction.type, transaction.max_fee, transaction.max_priority_fee, None),
    }


def _transaction(candidate: Candidate, chain_id: int, base_fee: int | None, location: dict[str, Any]) -> dict[str, Any]:
    message = candidate.bare
    shown: dict[str, Any] = {
        "hash": as_data(candidate.hash),
        "nonce": as_quantity(message.nonce),
        **location,
        "from": as_data(candidate.sender),
        "to": None if candidate.to is None else as_data(candidate.to),
        "value": as_quantity(message.value),
        "gas": as_quantity(message.gas_limit),
    }
    fees = _fees(candidate.type, message.gas_fee_cap, message.gas_premium, base_fee)
    signed = candidate.transaction
    if signed is None:
        return {**shown, "input": as_data(display_calldata(message)), **_native_fields(chain_id), **fees}
    return {**shown, "input": as_data(signed.transaction.data), **_signed_fields(signed), **fees}


def _native_fields(chain_id: int) -> dict[str, Any]:
    """Return the transaction fields of a native message: type 2 without a signature."""
    return {
        "type": as_quantity(DYNAMIC_FEE), "chainId": as_quantity(chain_id), "accessList": [],
        "v": "0x0", "r": "0x0", "s": "0x0", "yParity": "0x0",
    }  # fmt: skip


def _signed_fields(signed: SignedTransaction) -> dict[str, Any]:
    transaction = signed.transaction
    shown: dict[str, Any] = {
        "type": as_quantity(transaction.type),
        "chainId": as_quantity(transaction.chain_id or 0),
        "v": as_quantity(signed.v),
        "r": as_quantity(signed.r),
        "s": as_quantity(signed.s),
    }
    if transaction.type != LEGACY:
        shown |= {"accessList": access_json(transaction.access_list), "yParity": as_quantity(signed.y_parity)}
    if transaction.type == BLOB:
        shown["maxFeePerBlobGas"] = as_quantity(transaction.max_fee_per_blob_gas)
        shown["blobVersionedHashes"] = [as_data(blob_hash) for blob_hash in transaction.blob_hashes]
    if transaction.type == SET_CODE:
        shown["authorizationList"] = [_authorization(item) for item in transaction.authorizations]
    return shown


def access_json(entries: Iterable[tuple[EthAddress, Iterable[int]]]) -> list[dict[str, Any]]:
    """Return an access list."""
    return [
        {"address": as_data(address), "storageKeys": [as_data(slot.to_bytes(32, "big")) for slot in slots]}
        for address, slots in entries
    ]


def _authorization(item: Authorization) -> dict[str, Any]:
    return {
        "chainId": as_quantity(item.chain_id), "address": as_data(item.address), "nonce": as_quantity(item.nonce),
        "yParity": as_quantity(item.y_parity), "r": as_quantity(item.r), "s": as_quantity(item.s),
    }  # fmt: skip


def _fees(kind: int, cap: int, premium: int, base_fee: int | None) -> dict[str, Any]:
    if kind in (LEGACY, ACCESS_LIST):
        return {"gasPrice": as_quantity(cap)}
    price = cap if base_fee is None else min(cap, base_fee + premium)
    return {
        "maxFeePerGas": as_quantity(cap), "maxPriorityFeePerGas": as_quantity(premium), "gasPrice": as_quantity(price)
    }  # fmt: skip


def receipt_json(receipt: TransactionReceipt, rules: NetworkRules) -> dict[str, Any]:
    """Return a transaction's receipt."""
    execution, tipset = receipt.execution, receipt.tipset
    logs = execution.indexed_logs()
    contract = rules.views.receipt_contract(receipt)
    return {
        "transactionHash": as_data(receipt.hash),
        "transactionIndex": _index(receipt),
        "blockHash": as_data(tipset.hash),
        "blockNumber": as_quantity(tipset.height),
        # A number rather than a quantity, unlike in logs: cast expects the form of anvil.
        "blockTimestamp": tipset.timestamp,
        "from": as_data(execution.candidate.sender),
        "to": None if execution.candidate.to is None else as_data(execution.candidate.to),
        "status": as_quantity(int(receipt.succeeded)),
        "contractAddress": None if contract is None else as_data(contract),
        "cumulativeGasUsed": "0x0",
        "gasUsed": as_quantity(receipt.gas_used),
        "effectiveGasPrice": as_quantity(receipt.gas_price),
        "logsBloom": as_data(bloom(emitted for _, emitted in logs)),
        "logs": [log_json(receipt, index, emitted) for index, emitted in logs],
        "type": as_quantity(receipt.candidate.type),
        **rules.views.receipt_fields(receipt),
    }


def log_json(receipt: TransactionReceipt, index: int, emitted: EmittedLog) -> dict[str, Any]:
    """Return a log and its index among the receipt's events.

    Its `logIndex` counts all events of the tipset (lotus chain/index/events.go).
    """
    return {
        "address": as_data(emitted.address),
        "data": as_data(emitted.log.data),
        "topics": [as_data(topic) for topic in emitted.log.topics],
        "removed": False,
        "logIndex": as_quantity(receipt.first_event + index),
        "transactionIndex": as_quantity(receipt.index),
        "transactionHash": as_data(receipt.hash),
        "blockHash": as_data(receipt.tipset.hash),
        "blockNumber": as_quantity(receipt.tipset.height),
        "blockTimestamp": as_quantity(receipt.tipset.timestamp),
    }
