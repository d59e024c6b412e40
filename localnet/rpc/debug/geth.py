"""Methods of geth for encoded receipts and for the storage of contracts.

Source: go-ethereum eth/api_debug.go, `StorageRangeAt`; internal/ethapi/api.go, `GetRawReceipts`.
"""

from __future__ import annotations

from heapq import nsmallest
from typing import Any, Final

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.receipts import encode_receipt
from localnet.ledger.records import TransactionReceipt
from localnet.rpc.blocks_and_null_rounds import PENDING, BlockRef, block, find
from localnet.rpc.debug.traces import machine_before
from localnet.rpc.errors import NOT_SUPPORTED, RpcError, invalid_params
from localnet.rpc.methods import Method
from localnet.rpc.node import NodeReader
from localnet.rpc.refused import RAW_RECEIPTS, REASONS
from localnet.rpc.values import address, as_data, data, number
from localnet.state.controls import slots_of
from store.keccak import keccak

_MAX_SLOTS: Final = 10_000


def raw_receipts(node: NodeReader, at: BlockRef) -> list[str] | None:
    """Return the encoded receipts of a block under Ethereum's rules (EIP-2718); the pending block has none.

    Null for an unknown height. Receipts have a status, also in forks whose receipts have a state root.
    """
    if not node.network.rules.hardfork:
        raise RpcError(NOT_SUPPORTED, REASONS[RAW_RECEIPTS])
    found = None if at.tag == PENDING else find(node.network, at)
    if found is None:
        return None if at.number is not None else []
    return [as_data(_encoded(receipt)) for receipt in node.network.chain.index.receipts(found)]


def _encoded(receipt: TransactionReceipt) -> bytes:
    status, gas = rlp.number(int(receipt.succeeded)), receipt.gas_before + receipt.gas_used
    logs = [emitted for _, emitted in receipt.execution.indexed_logs()]
    return encode_receipt(receipt.candidate.type, status, gas, logs)


def storage_range_at(
    node: NodeReader, at: BlockRef, index: int, contract: EthAddress, start: bytes, limit: int
) -> dict[str, Any]:
    """Return slots of a contract before a block's transaction, in the order of their hashes from `start` on.

    Of a fork's contracts only slots that were written here are known.
    """
    if limit > _MAX_SLOTS:
        raise invalid_params(f"maxResult: {limit:,} slots, at most {_MAX_SLOTS:,}")
    machine = machine_before(node, at, index)
    slots = slots_of(machine, machine.actor(to_filecoin(contract)))
    hashed = ((keccak(slot.to_bytes(32, "big")), slot, word) for slot, word in slots.items())
    found = nsmallest(limit + 1, (each for each in hashed if each[0] >= start))
    shown = {as_data(name): {"key": f"0x{slot:064x}", "value": f"0x{word:064x}"} for name, slot, word in found[:limit]}
    return {"storage": shown if slots else None, "nextKey": as_data(found[limit][0]) if len(found) > limit else None}


METHODS = (
    Method("debug_getRawReceipts", (block,), raw_receipts, reads=True),
    Method("debug_storageRangeAt", (block, number, address, data, number), storage_range_at, reads=True, traces=True),
)
