"""The state of a network under Ethereum's rules as a state file of anvil.

Only accounts with an Ethereum address are written; the format has no place for built-in actors. Format:
crates/anvil/src/eth/backend/db.rs, `SerializableState`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from bridge.ethereum.addresses import from_delegated, to_filecoin
from bridge.filecoin.receipts import display_calldata
from hypervisor.machine.machine import Hypervisor
from hypervisor.state.state_tree import ActorState
from localnet.chain.anvil_state import header_hash
from localnet.chain.reading import NetworkReader
from localnet.ledger.records import IMPERSONATED, Tipset, TransactionReceipt
from localnet.rpc.shapes import block_json, receipt_json, transaction_json
from localnet.rpc.values import as_data, as_quantity
from localnet.state.contract_state import code_of, code_of_contract, nonce_of_actor, state_with_storage

_BODY = ("size", "totalDifficulty", "transactions", "uncles", "withdrawals")
"""Fields of a block in JSON-RPC that are not in its header. anvil ignores the hash: it computes its own."""
_ADDED_BY_NODE = ("blockHash", "blockNumber", "blockTimestamp", "transactionIndex", "from")
"""Fields of a transaction in JSON-RPC that are not part of the signed transaction; anvil recovers the sender."""


def anvil_state(network: NetworkReader) -> bytes:
    """Return the head's state with the chain's blocks and transactions, as JSON."""
    head = network.head
    blocks, transactions, parent = list[Any](), list[Any](), bytes(32)
    for tipset in _tipsets(network):
        entry, parent = _block(network, tipset, parent)
        blocks.append(entry)
        transactions += [_transaction(network, receipt, parent) for receipt in network.chain.index.receipts(tipset)]
    header, excess = blocks[-1]["header"], head.settings.excess_blob_gas
    state = {
        "block": {
            "number": as_quantity(head.height),
            "beneficiary": header["miner"],
            "timestamp": header["timestamp"],
            "gas_limit": int(header["gasLimit"], 16),
            "basefee": head.base_fee,
            "difficulty": "0x0",
            "prevrandao": header["mixHash"],
            "blob_excess_gas_and_price": {
                "excess_blob_gas": excess,
                "blob_gasprice": network.rules.blob_base_fee(excess),
            },
            "slot_num": 0,
        },
        "accounts": dict(_accounts(network.machine)),
        "best_block_number": head.height,
        "blocks": blocks,
        "transactions": transactions,
        "historical_states": None,
    }
    return json.dumps(state, separators=(",", ":")).encode()


def _tipsets(network: NetworkReader) -> Iterator[Tipset]:
    """Yield the tipsets after the newest null round up to the head, oldest first."""
    index, heights = network.chain.index, list[int]()
    height = int(network.head.height)
    while isinstance(index.at(height), Tipset):
        heights.append(height)
        height -= 1
    return map(index.tipset, reversed(heights))


def _accounts(machine: Hypervisor) -> Iterator[tuple[str, dict[str, Any]]]:
    for _, actor in machine.state_tree.actors():
        address = from_delegated(actor.delegated_address)
        if address is not None:
            yield as_data(address), _account(machine, actor)


def _account(machine: Hypervisor, actor: ActorState) -> dict[str, Any]:
    state = state_with_storage(machine, actor)
    slots = {} if state is None or state.storage is None else dict(machine.state_tree.words(state.storage).items())
    return {
        "nonce": nonce_of_actor(machine, actor),
        "balance": as_quantity(actor.balance),
        "code": "0x" if state is None else as_data(code_of_contract(machine, state)),
        "storage": {as_data(_word(slot)): as_data(_word(value)) for slot, value in sorted(slots.items())},
    }


def _block(network: NetworkReader, tipset: Tipset, parent: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the file's entry for a block, and the block's hash as anvil computes it from the header."""
    index, rules = network.chain.index, network.rules
    shown = block_json(index, tipset, rules, full=False)
    header = {name: value for name, value in shown.items() if name not in _BODY} | {"parentHash": as_data(parent)}
    sent = [_sent(receipt) for receipt in index.receipts(tipset)]
    return {"header": header, "transactions": sent, "ommers": [], "withdrawals": None}, header_hash(header)


def _sent(receipt: TransactionReceipt) -> dict[str, Any]:
    fields = {name: value for name, value in transaction_json(receipt).items() if name not in _ADDED_BY_NODE}
    if "maxFeePerGas" in fields:
        del fields["gasPrice"]
    impersonated = as_data(receipt.execution.sender) if receipt.execution.kind == IMPERSONATED else None
    return {"transaction": fields, "impersonated_sender": impersonated}


def _transaction(network: NetworkReader, receipt: TransactionReceipt, block_hash: bytes) -> dict[str, Any]:
    shown, execution = receipt_json(receipt, network.rules), receipt.execution
    logs = [{name: log[name] for name in ("address", "topics", "data")} for log in shown["logs"]]
    exit_name = "Return" if receipt.succeeded else "Revert"
    output = as_data(_output(network, receipt))
    call = {
        "depth": 0, "success": receipt.succeeded, "caller": shown["from"],
        "address": shown["to"] or shown["contractAddress"], "maybe_precompile": None, "selfdestruct_address": None,
        "selfdestruct_refund_target": None, "selfdestruct_transferred_value": None,
        "kind": "CREATE" if execution.to is None else "CALL", "value": as_quantity(execution.message.message.value),
        "data": as_data(display_calldata(execution.message.message)), "output": output, "gas_used": receipt.gas_used,
        "gas_limit": execution.message.message.gas_limit, "gas_refund_counter": 0, "status": exit_name, "steps": [],
        "decoded": None,
    }  # fmt: skip
    info = {
        "transaction_hash": shown["transactionHash"],
        "transaction_index": receipt.index,
        "from": shown["from"],
        "to": shown["to"],
        "contract_address": shown["contractAddress"],
        "traces": [{"parent": None, "children": [], "idx": 0, "trace": call, "logs": [], "ordering": []}],
        "exit": exit_name,
        "out": output,
        "nonce": execution.message.message.nonce,
        "gas_used": receipt.gas_used,
    }
    common = {name: shown[name] for name in ("type", "status", "cumulativeGasUsed", "logsBloom")}
    return {
        "info": info,
        "receipt": {**common, "logs": logs},
        "block_hash": as_data(block_hash),
        "block_number": receipt.block_number,
    }


def _output(network: NetworkReader, receipt: TransactionReceipt) -> bytes:
    """Return a transaction's return data, or the code of the contract that it created (empty if it was destroyed)."""
    created = receipt.contract_address
    if created is None:
        return receipt.return_data
    return code_of(network.machine, to_filecoin(created))


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")
