"""Blocks, transactions and receipts as eth-tester's backends return them, from JSON-RPC objects.

Names are in snake case, quantities are `int`, other values `bytes`. Fields that eth-tester does not know are omitted,
because it rejects them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from bridge.ethereum.transactions import BLOB, DYNAMIC_FEE, LEGACY, SET_CODE

EthTesterDict = dict[str, Any]

_BLOCK: Final = [
    "number",
    "hash",
    "parent_hash",
    "nonce",
    "sha3_uncles",
    "logs_bloom",
    "transactions_root",
    "receipts_root",
    "state_root",
    "coinbase",
    "difficulty",
    "mix_hash",
    "total_difficulty",
    "size",
    "extra_data",
    "gas_limit",
    "gas_used",
    "timestamp",
    "transactions",
    "uncles",
    "base_fee_per_gas",
    "withdrawals",
    "withdrawals_root",
    "parent_beacon_block_root",
    "blob_gas_used",
    "excess_blob_gas",
    "requests_hash",
]
_TRANSACTION: Final = [
    "type",
    "hash",
    "nonce",
    "block_hash",
    "block_number",
    "transaction_index",
    "from",
    "to",
    "value",
    "gas",
    "gas_price",
    "data",
    "v",
    "r",
    "s",
]
_TYPED: Final = ["y_parity", "chain_id", "access_list"]
_FEE_NAMES: Final = ["max_fee_per_gas", "max_priority_fee_per_gas"]
_RECEIPT: Final = [
    "transaction_hash",
    "transaction_index",
    "block_number",
    "block_hash",
    "cumulative_gas_used",
    "effective_gas_price",
    "from",
    "gas_used",
    "contract_address",
    "logs",
    "status",
    "to",
    "type",
]
_BLOB_RECEIPT: Final = ["blob_gas_used", "blob_gas_price"]
_LOG: Final = [
    "log_index",
    "transaction_index",
    "transaction_hash",
    "block_hash",
    "block_number",
    "address",
    "data",
    "topics",
]

_NAMES: Final = {"miner": "coinbase", "input": "data"}
_OCTETS: Final = frozenset(
    [
        "hash",
        "parent_hash",
        "sha3_uncles",
        "transactions_root",
        "receipts_root",
        "state_root",
        "coinbase",
        "mix_hash",
        "extra_data",
        "uncles",
        "withdrawals_root",
        "parent_beacon_block_root",
        "requests_hash",
        "block_hash",
        "transaction_hash",
        "from",
        "to",
        "data",
        "address",
        "topics",
        "contract_address",
        "blob_versioned_hashes",
    ]
)
"""Names of fields whose values are bytes.

`nonce` is not listed: it is bytes in blocks and a quantity in transactions.
"""


def block_form(block: Mapping[str, Any], full_transactions: bool, pending: bool) -> EthTesterDict:
    """Return a block with its transactions or their hashes.

    In a pending block, the transactions' block fields are None.
    """
    form = _form({name: value for name, value in block.items() if name != "transactions"})
    form["nonce"] = form["nonce"].to_bytes(8)
    form["extra_data"] = form["extra_data"].rjust(32, b"\x00")
    form["transactions"] = tuple(
        transaction_form(each, pending) if full_transactions else bytes.fromhex(each["hash"][2:])
        for each in block["transactions"]
    )
    return _select_fields(form, [name for name in _BLOCK if name in form])


def transaction_form(transaction: Mapping[str, Any], pending: bool) -> EthTesterDict:
    """Return a transaction with the fields of its type."""
    form = _form(transaction)
    kind = form["type"]
    names = [*_TRANSACTION]
    if kind != LEGACY:
        names += _TYPED
        form["v"] = form["y_parity"]
        form["access_list"] = tuple(
            (bytes.fromhex(entry["address"][2:]), tuple(int(key, 16) for key in entry["storageKeys"]))
            for entry in transaction.get("accessList", ())
        )
    if kind >= DYNAMIC_FEE:
        names += _FEE_NAMES
    if kind == BLOB:
        names += ["max_fee_per_blob_gas", "blob_versioned_hashes"]
    if kind == SET_CODE:
        names.append("authorization_list")
        form["authorization_list"] = tuple(_form(each) for each in transaction["authorizationList"])
    form["to"] = form["to"] or b""
    return _select_fields(form, names, pending)


def receipt_form(receipt: Mapping[str, Any], pending: bool) -> EthTesterDict:
    """Return a receipt with its logs."""
    form = _form({name: value for name, value in receipt.items() if name not in ("logs", "logsBloom")})
    kind = "pending" if pending else "mined"
    form["logs"] = tuple({"type": kind, **_select_fields(_form(log), _LOG, pending)} for log in receipt["logs"])
    form["to"] = form["to"] or b""
    names = _RECEIPT + _BLOB_RECEIPT if form["type"] == BLOB else _RECEIPT
    return {**_select_fields(form, names, pending), "state_root": bytes([form["status"]])}


def _select_fields(form: EthTesterDict, names: list[str], pending: bool = False) -> EthTesterDict:
    chosen = {name: form[name] for name in names}
    if pending:
        chosen |= dict.fromkeys({"block_hash", "block_number", "transaction_index"} & chosen.keys())
    return chosen


def _form(item: Mapping[str, Any]) -> EthTesterDict:
    named = ((re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name), value) for name, value in item.items())
    return {_NAMES.get(name, name): _value(_NAMES.get(name, name), value) for name, value in named}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_value(name, each) for each in value)
    if isinstance(value, dict):
        return _form(value)
    if not isinstance(value, str):
        return value
    return bytes.fromhex(value[2:]) if name in _OCTETS else int(value, 16)
