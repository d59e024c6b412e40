"""`isolate`: each call and creation by the test contract's own frame is a separate transaction, as in forge.

The transaction costs its intrinsic gas (21,000 and its data) in addition to the call's, begins with cold accounts, and
has its own transient storage and refunds. Its sender is the caller, whose nonce a call increments. It pays no fees. A
static call is not a transaction, but all accounts are made cold before it. The gas charged to the test's frame equals
forge 1.7.1 exactly: refunds count there once more, and gas beyond the call's limit is not charged.
"""

from __future__ import annotations

from typing import Final

from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from fvm_hypervisor.soltest.cheatcodes.context import Cheats
from fvm_hypervisor.soltest.cheatcodes.state import CallGas
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel.call import Call
from runtimes.evm import CallInputs, CallKind, SubcallInputs, SubcallOutcome
from runtimes.evm.ethereum import (
    Application,
    EthereumHost,
    InvalidTransaction,
    SendSubcall,
    contract_outcome,
    send_call,
)

_BASE: Final = 21_000
"""Gas added to the call's limit for the transaction's limit."""
_RETURNING: Final = (ExitCode.OK, ExitCode.EVM_CONTRACT_REVERTED)
_DEPTH: Final = 1
"""Depth of the test contract's own frame."""


def isolating_send(cheats: Cheats, host: EthereumHost, inputs: SubcallInputs) -> SendSubcall | None:
    """Return the function that makes a frame's call as a transaction; None for an ordinary call."""
    if not cheats.isolates or host.calls.depth != _DEPTH:
        return None
    if isinstance(inputs, CallInputs):
        if inputs.kind is CallKind.STATICCALL:
            return lambda host, call: _send_cold(cheats, host, call)
        if inputs.kind is not CallKind.CALL:
            return None
    elif inputs.salt is not None:
        return None
    return lambda host, call: _send_transaction(cheats, host, inputs, call)


def make_cold(cheats: Cheats, host: EthereumHost) -> None:
    """Make all accounts cold before a static call of the test contract."""
    if cheats.isolates and host.calls.depth == _DEPTH:
        environment = host.calls.environment
        host.gas.settle()
        coinbase = (environment.block.coinbase,) if environment.fork.warm_coinbase else ()
        host.accounts.make_cold((*environment.fork.precompiles, *host.calls.filecoin_precompiles, *coinbase))
        host.gas.refill()


def _send_cold(cheats: Cheats, host: EthereumHost, call: Call) -> SubcallOutcome:
    make_cold(cheats, host)
    return send_call(host, call)


def _send_transaction(cheats: Cheats, host: EthereumHost, inputs: SubcallInputs, call: Call) -> SubcallOutcome:
    calls, accounts, machine = host.calls, host.accounts, cheats.machine
    limit = call.gas_limit or 0
    host.gas.settle()
    accounts.commit_part()
    nonce = accounts.nonce(call.from_)
    if isinstance(inputs, CallInputs):
        to, data = inputs.address, inputs.data
    else:
        to, data, nonce = None, inputs.init_code, nonce - 1  # already incremented by the frame
    gas = min(limit + _BASE, calls.environment.block.gas_limit)
    transaction = Transaction(
        DYNAMIC_FEE, None, nonce, to, call.value, data, gas, 0, 0, access_list=cheats.state.access_list
    )
    sender, context = accounts.address_of(call.from_), machine.context
    application = Application(machine, transaction, sender, paid=False, accounts=accounts.for_inner_transaction())
    try:
        with cheats.isolated():
            part = application.apply_inner(calls, call.from_, limit)
    except InvalidTransaction:
        host.gas.refill()
        return SubcallOutcome(False)
    accounts.continue_after(part.slots, part.addresses)
    calls.gas.charge("OnTransaction", part.gas_used if part.result.exit_code in _RETURNING else limit)
    accounts.add_refund(part.refund)
    cheats.state.note_frame(CallGas(limit, part.gas_used, part.refund), creates=to is None)
    if machine.context is not context:
        cheats.renew(calls)
    host.gas.refill()
    if part.result.exit_code == ExitCode.SYS_INVALID_RECEIVER:
        return SubcallOutcome(True)  # a masked ID without an actor
    return contract_outcome(part.result)
