"""Output of the transition tool as JSON values: the block's roots and receipts, and the accounts after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.patricia import list_root
from bridge.filecoin.receipts import EmittedLog, bloom
from fvm_hypervisor.laboratory.vectors.t8n_env import Environment
from runtimes.evm.ethereum import (
    AllocAccount,
    AppliedTransaction,
    BlockRun,
    logs_hash,
    requests_hash,
    state_root,
)

_BLOCK_HASH: Final = "0x1337" + "00" * 30
"""Block hash in the output of go-ethereum's tool."""


def result_json(
    run: BlockRun, block: Environment, rejected: list[dict[str, Any]], after: Mapping[EthAddress, AllocAccount]
) -> dict[str, Any]:
    """Return the result of a block, with go-ethereum's fields."""
    logs = [log for applied in run.applied for log in applied.logs()]
    fields: dict[str, Any] = {
        "stateRoot": _hex(state_root(after)),
        "txRoot": _hex(list_root(applied.signed.raw() for applied in run.applied)),
        "receiptsRoot": _hex(list_root(applied.receipt() for applied in run.applied)),
        "logsHash": _hex(logs_hash((emitted.address, emitted.log) for emitted in logs)),
        "logsBloom": _hex(bloom(logs)),
        "receipts": _receipts(run, block),
        "currentDifficulty": None if block.difficulty is None else hex(block.difficulty),
        "gasUsed": hex(run.gas_used),
        "requests": None,
    }
    if rejected:
        fields["rejected"] = rejected
    if block.base_fee is not None:
        fields["currentBaseFee"] = hex(block.base_fee)
    if block.withdrawals is not None:
        fields["withdrawalsRoot"] = _hex(list_root(withdrawal.rlp() for withdrawal in block.withdrawals))
    if block.has_blob_fee:
        fields["currentExcessBlobGas"] = hex(run.excess_blob_gas)
        fields["blobGasUsed"] = hex(run.blob_gas_used)
    if run.requests is not None:
        fields["requestsHash"] = _hex(requests_hash(run.requests))
        fields["requests"] = [_hex(request) for request in run.requests]
    if run.access_list is not None:
        fields["blockAccessList"] = _hex(run.access_list.rlp())
        fields["blockAccessListHash"] = _hex(run.access_list.hash())
    return fields


def _receipts(run: BlockRun, block: Environment) -> list[dict[str, Any]]:
    receipts, first_log = [], 0
    for index, applied in enumerate(run.applied):
        position = {
            "transactionHash": _hex(applied.signed.hash()),
            "transactionIndex": hex(index),
            "blockHash": _BLOCK_HASH,
            "blockNumber": hex(block.context.epoch),
        }
        receipts.append(_receipt(run, applied, position, first_log))
        first_log += len(applied.result.logs)
    return receipts


def _receipt(run: BlockRun, applied: AppliedTransaction, position: Mapping[str, str], first_log: int) -> dict[str, Any]:
    result, transaction = applied.result, applied.signed.transaction
    fields: dict[str, Any] = {
        "root": _hex(applied.state_root or b""),
        "status": hex(int(result.success)),
        "cumulativeGasUsed": hex(applied.cumulative_gas),
        "logsBloom": _hex(bloom(applied.logs())),
        "logs": [_log(run, first_log + index, log, position) for index, log in enumerate(applied.logs())],
        "contractAddress": _hex(applied.creates or bytes(20)),
        "gasUsed": hex(result.gas_used),
        "effectiveGasPrice": None,
        **position,
    }
    if transaction.type:
        fields["type"] = hex(transaction.type)
    if transaction.blob_gas:
        fields |= {"blobGasUsed": hex(transaction.blob_gas), "blobGasPrice": hex(run.blob_base_fee)}
    return fields


def _log(run: BlockRun, index: int, emitted: EmittedLog, position: Mapping[str, str]) -> dict[str, Any]:
    return {
        "address": _hex(emitted.address),
        "topics": [_hex(topic) for topic in emitted.log.topics],
        "data": _hex(emitted.log.data),
        "blockTimestamp": hex(run.machine.context.timestamp),
        "logIndex": hex(index),
        "removed": False,
        **position,
    }


def alloc_json(accounts: Mapping[EthAddress, AllocAccount]) -> dict[str, Any]:
    """Return accounts as JSON by address."""
    return {_hex(address): _account(account) for address, account in accounts.items()}


def _account(account: AllocAccount) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if account.code:
        fields["code"] = _hex(account.code)
    if account.storage:
        slots = sorted(account.storage.items())
        fields["storage"] = {_hex(key.to_bytes(32, "big")): _hex(word.to_bytes(32, "big")) for key, word in slots}
    fields["balance"] = hex(account.balance)
    if account.nonce:
        fields["nonce"] = hex(account.nonce)
    return fields


def body_item(raw: bytes) -> rlp.Item:
    """Return a transaction as a block body item: a list if it is legacy, else a byte string."""
    return rlp.decode(raw) if raw[0] > 0x7F else raw


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
