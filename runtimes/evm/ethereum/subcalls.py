"""The CALL and CREATE families: their prices, and the calls between actors that implement them.

Rules: the execution specifications' system instructions; EIP-150 (63/64), 2929 (access), 3860 (init code), 7610 (slots
collide too, before Amsterdam), 7702 (delegations). The engine manages memory and has charged for it before.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bridge.ethereum.addresses import EthAddress, create2_address, create_address
from bridge.evm_steps import CodeBorrowed, CreationCollision, EvmCost, FundsMissing, PrecompileRefusal
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import DelegateCallParams, unwrap_return
from bridge.gas import DEFAULT_RATE
from hypervisor.context import InvocationContext
from hypervisor.errors import ActorExit, OutOfGas, SyscallError
from hypervisor.exit_codes import ErrorNumber, ExitCode
from hypervisor.kernel import Kernel, SendResult
from hypervisor.kernel.blocks import Block
from hypervisor.kernel.call import Call, CallResult
from hypervisor.messages.address import Address
from hypervisor.types import (
    EAM_NAMESPACE,
    METHOD_CONSTRUCTOR,
    METHOD_SEND,
    NO_BLOCK,
    ActorID,
    BlockId,
    Gas,
    MethodNumber,
    TokenAmount,
)
from runtimes.evm.calls import INVOKE_CONTRACT_DELEGATE
from runtimes.evm.code import code_too_long
from runtimes.evm.engine import CallInputs, CallKind, CreateInputs, SubcallInputs, SubcallOutcome
from runtimes.evm.ethereum.calls import EthereumCalls
from runtimes.evm.ethereum.forks import code_limits
from runtimes.evm.ethereum.host import EthereumHost
from runtimes.evm.gas_table import all_but_one_64th, words
from runtimes.evm.precompiles.failure import PrecompileFailure
from runtimes.evm.precompiles.filecoin import FILECOIN
from runtimes.evm.rules import filecoin_evm_rules
from runtimes.evm.syscalls import Syscalls, hold
from store.cid import CBOR, DAG_CBOR, RAW

if TYPE_CHECKING:
    from runtimes.evm.ethereum.host import EthereumHost

_ALL_GAS: Final = (1 << 64) - 1


class PrecompileContext:
    """The host interface for precompiles: a kernel at the network's prices, and sends from the contract."""

    def __init__(self, kernel: Kernel) -> None:
        self.syscalls = Syscalls(kernel, DEFAULT_RATE)
        self.rules = filecoin_evm_rules(kernel.machine.context.network)

    @property
    def contract(self) -> "PrecompileContext":
        return self

    def send(
        self,
        to: Address,
        method: MethodNumber,
        params: BlockId = NO_BLOCK,
        value: TokenAmount = TokenAmount(0),
        gas_limit: int | None = None,
        read_only: bool = False,
    ) -> SendResult:
        """Call another actor. The contract's state is in the journal, so nothing has to be written first."""
        return self.syscalls.send(to, method, params, value, gas_limit, read_only)

    def hold(self, size: int, copies: int) -> None:
        """Charge for `copies` copies of `size` bytes, which the official actor keeps in memory."""
        hold(self.syscalls, self.rules, size, copies)

    def get_gas_left(self) -> Gas:
        """Return the remaining gas in the network's unit."""
        return self.syscalls.gas_left()


def call_filecoin_precompile(
    calls: EthereumCalls, context: InvocationContext, name: str, inputs: CallInputs, limit: int
) -> SubcallOutcome:
    """Execute a call of one of Filecoin's precompiles with at most `limit` gas, in the context of the calling contract.

    Its gas in milligas is converted like that of a native call and charged in whole Ethereum gas, rounded up. A failure
    costs only the gas used so far, as on Filecoin.
    """
    try:
        with calls.atomically():  # rolled back if the result cannot be paid for
            with calls.ethereum_rules.in_milligas(calls, limit):
                precompile = PrecompileContext(Kernel(calls, context))
                output = FILECOIN[name](precompile, replace(inputs, gas=_ALL_GAS))
                precompile.syscalls.gas.settle()
            if inputs.value:
                to = calls.accounts.filecoin_address(inputs.address)
                calls.send(Call(context.receiver, to, METHOD_SEND, None, TokenAmount(inputs.value)))
        return SubcallOutcome(True, output)
    except (PrecompileFailure, OutOfGas, SyscallError, ActorExit) as error:
        calls.backtrace.set_cause(f"precompile 0x{inputs.address.hex()}: {error}")
        if calls.tracer is not None:
            calls.tracer.event(PrecompileRefusal(inputs.address, name, str(error)))
        return SubcallOutcome(False)


MAX_NONCE: Final = (1 << 64) - 1

SendSubcall = Callable[[EthereumHost, Call], SubcallOutcome]
"""Executes a call whose price has been charged."""


@dataclass(frozen=True, slots=True)
class CallingAccount:
    """The account on whose behalf a frame makes a call."""

    actor: ActorID
    address: EthAddress


def execute_subcall(
    host: EthereumHost, inputs: SubcallInputs, account: CallingAccount | None = None, send: SendSubcall | None = None
) -> SubcallOutcome:
    """Execute a frame's call or creation on behalf of `account`, by default the frame's contract.

    A delegate call for another account uses that account as caller and its storage. `send` replaces the default
    execution of the call once its price has been charged.
    """
    who = CallingAccount(host.actor, host.address) if account is None else account
    make = send_call if send is None else send
    return (
        _execute_call(host, inputs, who, make)
        if isinstance(inputs, CallInputs)
        else _execute_create(host, inputs, who, make)
    )


def contract_outcome(result: CallResult) -> SubcallOutcome:
    """Return a call's result as seen by a contract: only success and revert carry data."""
    block = result.block
    if block is None:
        return SubcallOutcome(result.exit_code == ExitCode.OK, exit_code=result.exit_code)
    data = block.data if block.codec == RAW else unwrap_return(block.data)
    return SubcallOutcome(result.exit_code == ExitCode.OK, data, exit_code=result.exit_code)


# --- calls ----------------------------------------------------------------------------------------------------------


def _execute_call(host: EthereumHost, inputs: CallInputs, who: CallingAccount, send: SendSubcall) -> SubcallOutcome:
    cost = host.access(inputs.address) + (host.prices.call_value if inputs.value else 0)
    host.charge(cost)  # an account is read once its access is paid for (EIP-7928)
    code_address = inputs.address
    if host.fork.delegations:
        delegate = host.accounts.delegate_of(host.accounts.find(inputs.address))
        if delegate is not None:
            cost += _charge(host, host.access(delegate))
            host.accounts.find(delegate)
            code_address = delegate
    may_create = inputs.kind is CallKind.CALL and (inputs.value or not host.fork.clears_empty)
    is_new = bool(may_create) and not host.accounts.exists(inputs.address)
    if is_new:
        cost += _charge(host, host.prices.new_account)
        host.charge_new_account()
    outcome = _send_paid(host, inputs, code_address, cost, who, send)
    if is_new and not outcome.success:
        host.refund_new_account()
    return outcome


def _send_paid(
    host: EthereumHost,
    inputs: CallInputs,
    code_address: EthAddress,
    cost: int,
    who: CallingAccount,
    send: SendSubcall,
) -> SubcallOutcome:
    """Execute a call whose price, `cost`, has been charged."""
    limit = min(inputs.gas, _subcall_gas(host, inputs.gas))
    if host.steps is not None:
        host.steps.step(EvmCost(cost + limit))
    if inputs.value:
        limit += host.prices.call_stipend
        host.gas.remaining += host.prices.call_stipend
        balance = host.accounts.balance(who.actor)
        if inputs.value > balance:
            if host.calls.tracer is not None:
                host.calls.tracer.event(FundsMissing(inputs.address, inputs.data, inputs.value, balance, gas=limit))
            return SubcallOutcome(False)
    name = host.calls.filecoin_precompiles.get(inputs.address)
    if name is not None and not host.accounts.has_code(inputs.address):  # false if a test put code there
        host.gas.settle()
        try:
            return call_filecoin_precompile(host.calls, host.kernel.context, name, inputs, limit)
        finally:
            host.gas.refill()
    return send(host, _call(host, inputs, code_address, limit, who))


def _charge(host: EthereumHost, amount: int) -> int:
    """Charge gas and return the amount."""
    host.charge(amount)
    return amount


def _subcall_gas(host: EthereumHost, wanted: int = 0) -> int:
    """Return the maximum gas for a call or creation.

    Before EIP-150, raises OutOfGas if `wanted` exceeds the gas that is left.
    """
    left = host.gas.left
    if host.fork.keeps_64th:
        return all_but_one_64th(left)
    if wanted > left:
        host.charge(wanted)
    return left


def _call(host: EthereumHost, inputs: CallInputs, code_address: EthAddress, limit: int, who: CallingAccount) -> Call:
    static = host.static or inputs.kind is CallKind.STATICCALL
    borrows_code = inputs.kind not in (CallKind.CALL, CallKind.STATICCALL)
    if not borrows_code or inputs.address in host.fork.precompiles:
        method = INVOKE_CONTRACT_DELEGATE if borrows_code else INVOKE_EVM
        value = inputs.value if inputs.kind is CallKind.CALL else 0
        to = host.accounts.filecoin_address(inputs.address)
        params = Block(RAW, inputs.data) if inputs.data else None
        return Call(who.actor, to, method, params, TokenAmount(value), limit, static)
    if inputs.kind is CallKind.DELEGATECALL:
        caller, shown = host.caller if who.actor == host.actor else who.address, host.value
    else:
        caller, shown = who.address, inputs.value
    if host.calls.tracer is not None:
        host.calls.tracer.event(CodeBorrowed(inputs.address, inputs.kind.name))
    code = host.accounts.code_cid(host.accounts.find(code_address))
    params = Block(DAG_CBOR, DelegateCallParams(code, inputs.data, caller, TokenAmount(shown)).encode())
    return Call(who.actor, Address.id(who.actor), INVOKE_CONTRACT_DELEGATE, params, gas_limit=limit, read_only=static)


# --- creations ------------------------------------------------------------------------------------------------------


def _execute_create(host: EthereumHost, inputs: CreateInputs, who: CallingAccount, send: SendSubcall) -> SubcallOutcome:
    size = len(inputs.init_code)
    _, longest = code_limits(host.calls.environment.block, host.fork)
    if longest is not None and size > longest:
        reason = code_too_long(size, longest, "max initcode size exceeded")
        host.calls.backtrace.set_cause(reason)
        raise OutOfGas(reason)
    prices = host.prices
    per_word = prices.init_code_word if inputs.salt is None else prices.init_code_word + prices.keccak_word
    cost = per_word * words(size)
    host.charge(cost)
    if host.steps is not None:
        host.steps.step(EvmCost(cost))
    accounts, calls, limit = host.accounts, host.calls, _subcall_gas(host)
    nonce = accounts.nonce(who.actor)
    balance = accounts.balance(who.actor)
    if inputs.value > balance:
        if calls.tracer is not None:
            made = _created_address(inputs, who, nonce)
            calls.tracer.event(FundsMissing(made, inputs.init_code, inputs.value, balance, creates=True, gas=limit))
        return SubcallOutcome(False)
    if nonce >= MAX_NONCE or calls.depth >= calls.max_depth:
        return SubcallOutcome(False)
    address = _created_address(inputs, who, nonce)
    is_new = calls.state_gas is not None and not accounts.exists(address)
    if is_new:
        host.charge_new_account()
        limit = _subcall_gas(host)
    outcome = _send_creation(host, inputs, who, address, limit, send)
    if is_new and not outcome.success:
        host.refund_new_account()
    return outcome


def _send_creation(
    host: EthereumHost, inputs: CreateInputs, who: CallingAccount, address: EthAddress, limit: int, send: SendSubcall
) -> SubcallOutcome:
    """Execute a creation whose price has been charged, with `limit` gas."""
    accounts, calls = host.accounts, host.calls
    accounts.warm(address)
    accounts.set_nonce(who.actor, accounts.nonce(who.actor) + 1)
    there = accounts.find(address)
    if there is not None and accounts.collides(there, host.fork.slots_collide):
        if calls.tracer is not None:
            calls.tracer.event(CreationCollision(address, inputs.init_code, inputs.value, limit))
        host.charge(limit)
        return SubcallOutcome(False)
    to, code = Address.delegated(EAM_NAMESPACE, address), Block(RAW, inputs.init_code)
    creation = calls.creation(Call(who.actor, to, METHOD_CONSTRUCTOR, code, TokenAmount(inputs.value), limit))
    created = send(host, creation)
    return SubcallOutcome(True, created=address) if created.success else created


def _created_address(inputs: CreateInputs, who: CallingAccount, nonce: int) -> EthAddress:
    if inputs.salt is None:
        return create_address(who.address, nonce)
    return create2_address(who.address, inputs.salt.to_bytes(32, "big"), inputs.init_code)


# --- execution ------------------------------------------------------------------------------------------------------


def send_call(host: EthereumHost, call: Call) -> SubcallOutcome:
    """Send a call. A call that cannot be made (depth or value) fails without consuming gas.

    If a masked ID's actor does not exist, the call succeeds without a transfer, as under Filecoin's rules.
    """
    host.gas.settle()
    try:
        return contract_outcome(host.calls.send(call))
    except SyscallError as error:
        return SubcallOutcome(error.number == ErrorNumber.NOT_FOUND)
    finally:
        host.gas.refill()


def return_block(data: bytes) -> Block:
    """Return a frame's data as the actor's return value: one byte string."""
    return Block(CBOR, byte_string(data))
