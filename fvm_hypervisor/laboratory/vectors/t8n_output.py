"""Output of the transition tool as JSON values: the block's roots and receipts, and the accounts after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge import rlp
from bridge.addresses import EthAddress
from bridge.ethereum_block import EthereumBlock
from bridge.patricia import list_root
from bridge.receipts import EmittedLog, bloom
from runtimes.evm.ethereum import (
    AllocAccount,
    AppliedTransaction,
    BlockRun,
    Withdrawal,
    gas_price,
    logs_hash,
    requests_hash,
    state_root,
)


def result(
    run: BlockRun,
    rejected: list[dict[str, Any]],
    after: Mapping[EthAddress, AllocAccount],
    withdrawals: Sequence[Withdrawal] | None,
) -> dict[str, Any]:
    """Return the result of a block; `withdrawals` is None if the environment has none."""
    context, block = run.machine.context, run.machine.context.block
    assert isinstance(block, EthereumBlock)
    logs = [log for applied in run.applied for log in applied.logs()]
    fields: dict[str, Any] = {
        "stateRoot": _hex(state_root(after)),
        "txRoot": _hex(list_root(applied.signed.raw() for applied in run.applied)),
        "receiptsRoot": _hex(list_root(applied.receipt() for applied in run.applied)),
        "logsHash": _hex(logs_hash((emitted.address, emitted.log) for emitted in logs)),
        "logsBloom": _hex(bloom(logs)),
        "receipts": [_receipt(run, index, applied) for index, applied in enumerate(run.applied)],
        "rejected": rejected,
        "currentDifficulty": None,
        "gasUsed": hex(run.gas_used),
        "currentBaseFee": hex(context.base_fee),
        "currentExcessBlobGas": hex(block.excess_blob_gas),
        "blobGasUsed": hex(run.blob_gas_used),
    }
    if withdrawals is not None:
        fields["withdrawalsRoot"] = _hex(list_root(withdrawal.rlp() for withdrawal in withdrawals))
    if run.requests is not None:
        fields["requestsHash"] = _hex(requests_hash(run.requests))
        fields["requests"] = [_hex(request) for request in run.requests]
    return fields


def _receipt(run: BlockRun, index: int, applied: AppliedTransaction) -> dict[str, Any]:
    result, transaction = applied.result, applied.signed.transaction
    created = result.created
    return {
        "type": hex(transaction.type),
        "root": "0x",
        "status": hex(int(result.success)),
        "cumulativeGasUsed": hex(applied.cumulative_gas),
        "logsBloom": _hex(bloom(applied.logs())),
        "logs": [_log(applied, index, number, log) for number, log in enumerate(applied.logs())] or None,
        "transactionHash": _hex(applied.signed.hash()),
        "contractAddress": _hex(created or bytes(20)),
        "gasUsed": hex(result.gas_used),
        "effectiveGasPrice": hex(gas_price(transaction, run.machine.context.base_fee)),
        "blockHash": _hex(bytes(32)),
        "transactionIndex": hex(index),
    }


def _log(applied: AppliedTransaction, index: int, number: int, emitted: EmittedLog) -> dict[str, Any]:
    return {
        "address": _hex(emitted.address),
        "topics": [_hex(topic) for topic in emitted.log.topics],
        "data": _hex(emitted.log.data),
        "transactionHash": _hex(applied.signed.hash()),
        "transactionIndex": hex(index),
        "logIndex": hex(number),
    }


def alloc(accounts: Mapping[EthAddress, AllocAccount]) -> dict[str, Any]:
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
