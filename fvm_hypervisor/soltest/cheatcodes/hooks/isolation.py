"""`isolate`: each call and creation by the test contract's own frame is a separate transaction.

The transaction costs its intrinsic gas (21,000 and its data) in addition to the call's, begins with cold accounts, and
has its own transient storage and refunds. Its sender is the caller, whose nonce a call increments. It pays no fees. A
static call is not a transaction, but all accounts are made cold before it. The gas charged to the test's frame equals
forge 1.7.1 exactly: refunds count there once more, and gas beyond the call's limit is not charged.

Calls of frames under Ethereum's rules are converted to `InterceptedCall` and executed here.
"""

from __future__ import annotations

from typing import Final

from bridge.ethereum.addresses import EthAddress, create2_address, create_address
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from bridge.evm_steps import EvmCost
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import DelegateCallParams
from fvm_hypervisor.soltest.cheatcodes.context import CallOperations, Cheats
from fvm_hypervisor.soltest.cheatcodes.failures import revert_text
from fvm_hypervisor.soltest.cheatcodes.ledger import EthereumLedger
from fvm_hypervisor.soltest.cheatcodes.state import CallGas
from hypervisor.errors import SyscallError
from hypervisor.exit_codes import ExitCode
from hypervisor.kernel.blocks import Block
from hypervisor.kernel.call import Call, CallResult
from hypervisor.messages.address import Address
from hypervisor.types import TokenAmount
from runtimes.evm import INVOKE_CONTRACT_DELEGATE, CallInputs, CallKind, SubcallInputs, SubcallOutcome
from runtimes.evm.ethereum import (
    Application,
    CallingAccount,
    EthereumHost,
    InterceptedCall,
    InvalidTransaction,
    SendSubcall,
    all_but_one_64th,
    contract_outcome,
    execute_subcall,
    send_call,
)
from store.cid import DAG_CBOR, RAW

_BASE: Final = 21_000
"""Gas added to the call's limit for the transaction's limit."""
_RETURNING: Final = (ExitCode.OK, ExitCode.EVM_CONTRACT_REVERTED, ExitCode.SYS_INVALID_RECEIVER)
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
    block = cheats.state.block
    try:
        with cheats.isolated():
            part = application.apply_inner(calls, call.from_, limit, block.gas_price or 0, block.base_fee or 0)
    except InvalidTransaction:
        host.gas.refill()
        return SubcallOutcome(False)
    accounts.continue_after(part.slots, part.addresses, part.created)
    returns_gas = part.result.exit_code in _RETURNING or (to is not None and _is_native(host, to))
    calls.gas.charge("OnTransaction", min(part.gas_used, limit) if returns_gas else limit)
    accounts.add_refund(part.refund)
    cheats.state.note_frame(CallGas(limit, part.gas_used, part.refund), creates=to is None)
    if machine.context is not context:
        cheats.renew(calls)
    host.gas.refill()
    if part.result.exit_code == ExitCode.SYS_INVALID_RECEIVER:
        return SubcallOutcome(True)  # a masked ID without an actor
    return contract_outcome(part.result)


def _is_native(host: EthereumHost, address: EthAddress) -> bool:
    """Return True for the address of a native actor, whose failures burn no gas."""
    accounts = host.accounts
    actor = accounts.find(address)
    state = None if actor is None else host.calls.tree.get_actor(actor)
    return state is not None and state.code != accounts.evm_code and state.code not in accounts.account_codes


def call_request(host: EthereumHost, inputs: SubcallInputs) -> InterceptedCall:
    """Return the call that a frame requests."""
    depth = host.calls.depth
    if isinstance(inputs, CallInputs):
        own = inputs.kind in (CallKind.DELEGATECALL, CallKind.CALLCODE)
        gas = min(inputs.gas, all_but_one_64th(host.gas.left)) + (host.prices.call_stipend if inputs.value else 0)
        static = host.static or inputs.kind is CallKind.STATICCALL
        receiver = host.address if own else inputs.address
        delegates = inputs.kind is CallKind.DELEGATECALL
        return InterceptedCall(
            inputs.kind, host.address, inputs.address, receiver, host.value if delegates else inputs.value, inputs.data,
            gas, static, depth, sender=host.caller if delegates else None,
        )  # fmt: skip
    nonce = host.accounts.nonce(host.actor)
    if inputs.salt is None:
        made = create_address(host.address, nonce)
    else:
        made = create2_address(host.address, inputs.salt.to_bytes(32, "big"), inputs.init_code)
    second, salt = inputs.salt is not None, b"" if inputs.salt is None else inputs.salt.to_bytes(32, "big")
    return InterceptedCall(
        None, host.address, made, made, inputs.value, inputs.init_code, host.gas.left, False, depth, second, salt
    )


def call_operations(cheats: Cheats, host: EthereumHost, inputs: SubcallInputs) -> CallOperations:
    """Return the operations that execute the call."""
    accounts, calls = host.accounts, host.calls

    def proceed(sender: EthAddress | None, code: EthAddress | None) -> SubcallOutcome:
        asker, cheats.unused, cheats.undone_refund = None, 0, 0
        if sender is not None:
            actor = accounts.find(sender)
            asker = CallingAccount(accounts.create_account(sender) if actor is None else actor, sender)
        if code is not None and isinstance(inputs, CallInputs):
            return _with_code(host, inputs, sender or host.address, code)
        return execute_subcall(host, inputs, asker, isolating_send(cheats, host, inputs))

    return CallOperations(
        ledger=EthereumLedger(accounts),
        proceed=proceed,
        pay=lambda payer, amount: _pay(host, inputs, payer, amount),
        return_gas=lambda: _return_gas(cheats, host),
        set_origin=lambda origin: cheats.set_origin(calls, origin),
        origin=calls.environment.origin,
        chain_id=calls.machine.context.chain_id,
        reason_text=lambda data: revert_text(data, cheats.settings.errors),
        fork_url=lambda: cheats.fork_url,
        uses_deployer=cheats.settings.uses_deployer,
        answered=lambda outcome: (
            trace_mocked_call(host, inputs, outcome) if isinstance(inputs, CallInputs) else outcome
        ),
    )


def _pay(host: EthereumHost, inputs: SubcallInputs, payer: EthAddress, amount: int) -> bool:
    """Charge a call that is not made and transfer its value; return True if the value could be paid."""
    assert isinstance(inputs, CallInputs), "creations are not mocked"
    cost = host.access(inputs.address) + (host.prices.call_value - host.prices.call_stipend if inputs.value else 0)
    trace_cost(host, inputs, cost)
    ledger = EthereumLedger(host.accounts)
    try:
        host.calls.transfer(ledger.touch(payer), ledger.touch(inputs.address), TokenAmount(amount))
    except SyscallError:
        return False
    return True


def _return_gas(cheats: Cheats, host: EthereumHost) -> None:
    """Return to the frame the gas that its failed call had left, and count the call's refund, as forge does."""
    host.gas.settle()
    host.calls.gas.used -= cheats.unused
    host.gas.refill()
    host.accounts.add_refund(cheats.undone_refund)
    cheats.unused = cheats.undone_refund = 0


def _with_code(host: EthereumHost, inputs: CallInputs, caller: EthAddress, code: EthAddress) -> SubcallOutcome:
    """Call an account with another account's code, which runs as the account, on behalf of the caller."""
    accounts, ledger = host.accounts, EthereumLedger(host.accounts)
    host.charge(host.access(inputs.address))
    if inputs.value and inputs.kind is CallKind.CALL:
        host.calls.transfer(ledger.touch(caller), ledger.touch(inputs.address), TokenAmount(inputs.value))
    to = host.actor if inputs.kind is CallKind.DELEGATECALL else ledger.touch(inputs.address)
    accounts.become_contract(to)
    cid = accounts.code_cid(accounts.find(code))
    params = DelegateCallParams(cid, inputs.data, caller, TokenAmount(inputs.value)).encode()
    limit = min(inputs.gas, all_but_one_64th(host.gas.left))
    static = host.static or inputs.kind is CallKind.STATICCALL
    call = Call(
        to, Address.id(to), INVOKE_CONTRACT_DELEGATE, Block(DAG_CBOR, params), gas_limit=limit, read_only=static
    )
    host.gas.settle()
    try:
        return contract_outcome(host.calls.send(call))
    except SyscallError:
        return SubcallOutcome(False)
    finally:
        host.gas.refill()


def trace_cost(host: EthereumHost, inputs: CallInputs, cost: int) -> None:
    """Charge for a call that is handled without executing code, and record its cost including the gas passed to it."""
    host.charge(cost)
    if host.steps is not None:
        host.steps.step(EvmCost(cost + _passed_gas(host, inputs)))


def _passed_gas(host: EthereumHost, inputs: CallInputs) -> int:
    return min(inputs.gas, all_but_one_64th(host.gas.left))


def trace_mocked_call(host: EthereumHost, inputs: CallInputs, outcome: SubcallOutcome) -> SubcallOutcome:
    """Trace a call that was answered by a mock."""
    if host.calls.tracer is not None:
        to = host.accounts.filecoin_address(inputs.address)
        static = host.static or inputs.kind is CallKind.STATICCALL
        limit = _passed_gas(host, inputs)
        call = Call(host.actor, to, INVOKE_EVM, Block(RAW, inputs.data), gas_limit=limit, read_only=static)
        host.calls.trace_intercepted(call, CallResult(0 if outcome.success else 33, Block(RAW, outcome.output)))
    return outcome
