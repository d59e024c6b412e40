"""`eth_simulateV1`: simulated blocks of calls on top of a block. Shapes: execution-apis, execute.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from bridge.ethereum.addresses import ZERO_ADDRESS
from bridge.ethereum.block import Withdrawal
from bridge.ethereum.patricia import list_root
from bridge.ethereum.reverts import REVERTED
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from bridge.traces.tracers import revert_reason
from hypervisor.exit_codes import ExitCode
from localnet.calls.simulation import (
    MAX_BLOCKS,
    BlockCalls,
    SimulatedBlock,
    SimulatedCall,
    SimulatedResult,
    SimulationRefused,
    simulate_blocks,
)
from localnet.chain.block_production import has_pending
from localnet.ledger.records import TransactionReceipt
from localnet.rpc.blocks_and_null_rounds import LATEST, PENDING, BlockRef, block, state_tipset
from localnet.rpc.errors import EXECUTION_REVERTED, RpcError, invalid_params
from localnet.rpc.methods import Method, optional
from localnet.rpc.node import NodeReader
from localnet.rpc.override_values import NO_ACCOUNTS, accounts, simulated_block_override
from localnet.rpc.requests import TransactionRequest, check_access_list, transaction
from localnet.rpc.shapes import block_fields, log_json, transaction_json
from localnet.rpc.values import as_data, as_quantity, boolean, field, fields, list_of
from localnet.rules.facts import SAME_BLOCK
from localnet.rules.parts import NetworkRules, vm_error

_MAX_CALLS: Final = 5_000
_EXECUTION_ERROR: Final = -32015
_CALL_FIELDS: Final = ("blockStateCalls", "traceTransfers", "validation", "returnFullTransactions")


@dataclass(frozen=True, slots=True)
class SimulationRequest:
    """Blocks to simulate, and the shape of the response."""

    blocks: list[BlockCalls]
    transfers: bool
    validation: bool
    full: bool


def simulation(value: Any) -> SimulationRequest:
    """Read the payload of eth_simulateV1."""
    request = fields(value, "simulation")
    block_calls = request.get("blockStateCalls")
    if isinstance(block_calls, list) and len(block_calls) > MAX_BLOCKS:
        raise RpcError(-38026, f"too many blocks: {len(block_calls)}, at most {MAX_BLOCKS}")
    blocks = field(request, "blockStateCalls", list_of(_block, MAX_BLOCKS))
    if not blocks:
        raise invalid_params("empty input: blockStateCalls must have at least one block")
    transfers, validation, full = (field(request, name, boolean) or False for name in _CALL_FIELDS[1:])
    return SimulationRequest(blocks, transfers, validation, full)


def simulate_v1(node: NodeReader, request: SimulationRequest, at: BlockRef = LATEST) -> list[dict[str, Any]]:
    """Simulate consecutive blocks of calls without effect. Null rounds between them run cron."""
    base, machine = None, None
    if at.tag == PENDING and has_pending(node.network):
        pending = node.pending_block()
        base, machine = pending.tipset, pending.machine.fork()
    base = state_tipset(node.network, at) if base is None else base
    for block_of_calls in request.blocks:
        for call in block_of_calls.calls:
            if call.transaction.type != DYNAMIC_FEE:  # the default, which stands for any fee
                node.network.rules.features.check_type(call.transaction.type)
            check_access_list(call.transaction.access_list, node.network.rules)
    try:
        simulated = simulate_blocks(
            node.network.chain,
            base,
            request.blocks,
            machine=machine,
            validation=request.validation,
            transfers=request.transfers,
        )
    except SimulationRefused as error:
        raise RpcError(error.code, str(error)) from None
    return [
        _block_json(found, node.network.chain.index.chain_id_of(found.tipset), node.network.rules, request.full)
        for found in simulated
    ]


def _block(value: Any) -> BlockCalls:
    request = fields(value, "block of calls")
    return BlockCalls(
        calls=field(request, "calls", list_of(_call, _MAX_CALLS)) or (),
        accounts=field(request, "stateOverrides", accounts) or NO_ACCOUNTS,
        block=field(request, "blockOverrides", simulated_block_override) or SAME_BLOCK,
    )


def _call(value: Any) -> SimulatedCall:
    # As in geth, the other fields determine the type.
    request: TransactionRequest = transaction({**fields(value, "transaction"), "type": None})
    price = request.gas_price or 0
    return SimulatedCall(
        sender=request.sender or ZERO_ADDRESS,
        transaction=Transaction(
            type=DYNAMIC_FEE if request.type is None else request.type,
            chain_id=request.chain_id,
            nonce=0,
            to=request.to,
            value=request.value,
            data=request.data,
            gas_limit=0,
            max_fee=request.max_fee or price,
            max_priority_fee=request.max_priority_fee or price,
            access_list=request.access_list or (),
            authorizations=request.authorizations,
            max_fee_per_blob_gas=request.max_fee_per_blob_gas or 0,
            blob_hashes=request.blob_hashes,
        ),
        gas=request.gas,
        nonce=request.nonce,
    )


def _block_json(found: SimulatedBlock, chain_id: int, rules: NetworkRules, full: bool) -> dict[str, Any]:
    receipts, before = [], 0
    for index, result in enumerate(found.results):
        receipts.append(TransactionReceipt(result.execution, found.tipset, index, before, chain_id))
        before += max(len(result.logs), len(result.execution.events))  # as in a block, except for logs of transfers
    transactions: list[Any] = [as_data(receipt.hash) for receipt in receipts]
    if full:
        transactions = [transaction_json(receipt) for receipt in receipts]
    calls = [_call_json(result, receipt, rules) for result, receipt in zip(found.results, receipts, strict=True)]
    shown = block_fields(found.tipset, found.parent.hash, transactions, rules)
    if found.override.withdrawals is not None:
        shown["withdrawals"] = [_withdrawal_json(each) for each in found.override.withdrawals]
        shown["withdrawalsRoot"] = as_data(list_root(each.rlp() for each in found.override.withdrawals))
    if found.override.beacon_root is not None:
        shown["parentBeaconBlockRoot"] = as_data(found.override.beacon_root)
    return {**shown, "calls": calls}


def _withdrawal_json(item: Withdrawal) -> dict[str, Any]:
    return {
        "index": as_quantity(item.index),
        "validatorIndex": as_quantity(item.validator),
        "address": as_data(item.address),
        "amount": as_quantity(item.amount),
    }


def _call_json(result: SimulatedResult, receipt: TransactionReceipt, rules: NetworkRules) -> dict[str, Any]:
    outcome = {
        "returnData": as_data(result.output),
        "gasUsed": as_quantity(receipt.gas_used),
        "maxUsedGas": as_quantity(result.max_gas_used),
        "logs": [log_json(receipt, position, log) for position, log in result.logs],
    }
    if receipt.succeeded:
        return {**outcome, "status": "0x1"}
    if receipt.exit_code == ExitCode.EVM_CONTRACT_REVERTED:
        reason = revert_reason(receipt.return_data)
        error: dict[str, Any] = {
            "code": EXECUTION_REVERTED,
            "message": f"{REVERTED}: {reason}" if reason else REVERTED,
            "data": as_data(receipt.return_data),
        }
    else:
        done, creates = result.execution, result.execution.candidate.to is None
        text = vm_error(rules, receipt.exit_code, receipt.return_data, done.error_message, creates=creates)
        error = {"code": _EXECUTION_ERROR, "message": text}
    return {**outcome, "returnData": "0x", "logs": [], "status": "0x0", "error": error}


METHODS = (Method("eth_simulateV1", (simulation, optional(block)), simulate_v1, reads=True),)
