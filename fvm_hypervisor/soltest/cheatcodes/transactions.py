"""Cheatcodes that execute signed transactions within a test, and that return block headers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from bridge.ethereum import rlp
from bridge.ethereum.transactions import ALL_TYPES, SignedTransaction, TransactionError, parse_transaction
from bridge.filecoin.parameters import unwrap_return
from fvm_hypervisor.soltest.cheatcodes.broadcasts import NOT_SENT, record_unsent
from fvm_hypervisor.soltest.cheatcodes.context import Context
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.fork.fork_states import active_fork
from fvm_hypervisor.soltest.cheatcodes.fork_transactions import execute_nested
from fvm_hypervisor.soltest.cheatcodes.table import cheatcode
from hypervisor.types import TokenAmount
from localnet.errors import NodeError
from runtimes.evm.ethereum import Application, InvalidTransaction, TransactionResult

_TYPES_END: Final = 0x80
"""Lowest first byte of an RLP item that no transaction type has."""


def _parse(raw: bytes) -> SignedTransaction:
    try:
        return parse_transaction(raw)
    except TransactionError:
        raise CheatcodeFailure(f"failed to decode RLP-encoded transaction: {_reason(raw)}") from None


def _reason(raw: bytes) -> str:
    """Return the reason in forge's words for refusing to decode a transaction."""
    is_typed = bool(raw) and raw[0] < _TYPES_END
    if is_typed and raw[0] not in ALL_TYPES[1:]:
        return "unexpected tx type"
    content = raw[1:] if is_typed else raw
    try:
        found = rlp.decode(content)
    except rlp.RlpError:
        return "input too short"
    if isinstance(found, bytes):
        return "unexpected string"
    return "input too short" if is_typed else "Unexpected type flag"


@cheatcode("executeTransaction(bytes)", returns="bytes")
def _execute(context: Context, raw: bytes) -> bytes:
    """Execute a transaction without fees, as forge does; a failed one reverts with its data."""
    signed = _parse(raw)
    context.ethereum("transactions in the middle of a message")
    before = context.machine.context
    context.machine.context = replace(before, base_fee=TokenAmount(0))
    free = replace(signed.transaction, max_fee=0, max_priority_fee=0)
    try:
        found = _apply(context, signed, free)
    except InvalidTransaction as error:
        raise CheatcodeFailure(f"transaction execution failed: {_invalid(error)}") from None
    finally:
        context.machine.context = before
    if not found.success:
        raise CheatcodeFailure("", unwrap_return(found.output) or b"")
    return unwrap_return(found.output)


@cheatcode("broadcastRawTransaction(bytes)", partial=NOT_SENT)
def _broadcast(context: Context, raw: bytes) -> None:
    """Execute a transaction with its fees, without sending it."""
    signed = _parse(raw)
    context.ethereum("transactions in the middle of a message")
    try:
        _apply(context, signed, signed.transaction)
    except InvalidTransaction as error:
        raise CheatcodeFailure(_invalid(error)) from None
    record_unsent(context, "broadcastRawTransaction")


def _apply(context: Context, signed: SignedTransaction, transaction: Any) -> TransactionResult:
    sender = signed.sender()
    return execute_nested(context, lambda: Application(context.machine, transaction, sender).apply())


def _invalid(error: InvalidTransaction) -> str:
    is_foreign = error.refusal.name == "INVALID_CHAINID"
    return f"transaction validation error: {'invalid chain ID' if is_foreign else error}"


@cheatcode("getRawBlockHeader(uint256)", returns="bytes")
def _header(context: Context, number: int) -> bytes:
    from localnet.fork.response_values import read_header

    active = active_fork(context)
    if active is None:
        raise CheatcodeFailure("no active fork")
    chain = context.cheats.remotes.chain(context.state.forks.forks[active].url)
    try:
        return chain.read(read_header, "eth_getBlockByNumber", hex(number), False)
    except NodeError as error:
        raise CheatcodeFailure(f"failed to get block: {error}") from None
