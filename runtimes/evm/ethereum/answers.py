"""The CALL and CREATE families: their prices, and the calls between actors that implement them.

Rules: the execution specifications' system instructions; EIP-150 (63/64), 2929 (access), 3860 (init code), 7610 (slots
collide too), 7702 (delegations). The engine manages memory and has charged for it before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bridge.addresses import EthAddress, create2_address, create_address
from bridge.cbor import byte_string
from bridge.evm_steps import CodeBorrowed, EvmCost, FundsMissing
from bridge.method_numbers import INVOKE_EVM
from bridge.params import DelegateCallParams, unwrap_return
from hypervisor.address import Address
from hypervisor.blocks import Block
from hypervisor.call import Call, CallResult
from hypervisor.errors import OutOfGas, SyscallError
from hypervisor.exit_codes import ErrorNumber, ExitCode
from hypervisor.types import EAM_NAMESPACE, METHOD_CONSTRUCTOR, ActorID, TokenAmount
from runtimes.evm.calls import INVOKE_CONTRACT_DELEGATE
from runtimes.evm.code import code_too_long
from runtimes.evm.engine import Answer, Ask, CallAsk, CallKind, CreateAsk
from runtimes.evm.ethereum.filecoin import call_filecoin_precompile
from runtimes.evm.ethereum.host import EthereumHost
from runtimes.evm.ethereum.prices import all_but_one_64th, words
from store.cid import CBOR, DAG_CBOR, RAW

MAX_NONCE: Final = (1 << 64) - 1

Send = Callable[[EthereumHost, Call], Answer]
"""Executes a call whose price has been charged."""


@dataclass(frozen=True, slots=True)
class CallingAccount:
    """The account on whose behalf a frame makes a call."""

    actor: ActorID
    address: EthAddress


def answer(host: EthereumHost, ask: Ask, asker: CallingAccount | None = None, send: Send | None = None) -> Answer:
    """Execute a frame's call or creation on behalf of its contract or of the account `asker`.

    A delegate call for another account uses that account as caller and its storage. `send` replaces the default
    execution of the call once its price has been charged.
    """
    who = CallingAccount(host.actor, host.address) if asker is None else asker
    make = send_call if send is None else send
    return _answer_call(host, ask, who, make) if isinstance(ask, CallAsk) else _answer_create(host, ask, who, make)


def outcome(result: CallResult) -> Answer:
    """Return a call's result as seen by a contract: only success and revert carry data."""
    block = result.block
    if block is None:
        return Answer(result.exit_code == ExitCode.OK)
    return Answer(result.exit_code == ExitCode.OK, block.data if block.codec == RAW else unwrap_return(block.data))


# --- calls ----------------------------------------------------------------------------------------------------------


def _answer_call(host: EthereumHost, ask: CallAsk, who: CallingAccount, send: Send) -> Answer:
    cost = host.access(ask.address)
    code_address = ask.address
    if host.fork.delegations:
        delegate = host.accounts.delegate_of(host.accounts.find(ask.address))
        if delegate is not None:
            cost += host.access(delegate)
            code_address = delegate
    if ask.value:
        cost += host.prices.call_value
        if ask.kind is CallKind.CALL and not host.accounts.is_alive(ask.address):
            cost += host.prices.new_account
    host.charge(cost)
    limit = min(ask.gas, all_but_one_64th(host.gas.left))
    if host.steps is not None:
        host.steps.step(EvmCost(cost + limit))
    if ask.value:
        limit += host.prices.call_stipend
        host.gas.remaining += host.prices.call_stipend
        balance = host.accounts.balance(who.actor)
        if ask.value > balance:
            if host.calls.tracer is not None:
                host.calls.tracer.event(FundsMissing(ask.address, ask.data, ask.value, balance))
            return Answer(False)
    name = host.calls.filecoin_precompiles.get(ask.address)
    if name is not None and not host.accounts.has_code(ask.address):  # false if a test put code there
        return call_filecoin_precompile(host, name, ask, limit)
    return send(host, _call(host, ask, code_address, limit, who))


def _call(host: EthereumHost, ask: CallAsk, code_address: EthAddress, limit: int, who: CallingAccount) -> Call:
    static = host.static or ask.kind is CallKind.STATICCALL
    if ask.kind in (CallKind.CALL, CallKind.STATICCALL) or ask.address in host.fork.precompiles:
        value = ask.value if ask.kind is CallKind.CALL else 0
        to = host.accounts.filecoin_address(ask.address)
        params = Block(RAW, ask.data) if ask.data else None
        return Call(who.actor, to, INVOKE_EVM, params, TokenAmount(value), limit, static)
    if ask.kind is CallKind.DELEGATECALL:
        caller, shown = host.caller if who.actor == host.actor else who.address, host.value
    else:
        caller, shown = who.address, ask.value
    if host.calls.tracer is not None:
        host.calls.tracer.event(CodeBorrowed(ask.address, ask.kind.name))
    code = host.accounts.code_cid(host.accounts.find(code_address))
    params = Block(DAG_CBOR, DelegateCallParams(code, ask.data, caller, TokenAmount(shown)).encode())
    return Call(who.actor, Address.id(who.actor), INVOKE_CONTRACT_DELEGATE, params, gas_limit=limit, read_only=static)


# --- creations ------------------------------------------------------------------------------------------------------


def _answer_create(host: EthereumHost, ask: CreateAsk, who: CallingAccount, send: Send) -> Answer:
    size = len(ask.init_code)
    longest = host.calls.environment.block.code_limit
    if longest is not None and size > 2 * longest:
        reason = code_too_long(size, 2 * longest, "max initcode size exceeded")
        host.calls.backtrace.set_cause(reason)
        raise OutOfGas(reason)
    prices = host.prices
    per_word = prices.init_code_word if ask.salt is None else prices.init_code_word + prices.keccak_word
    cost = per_word * words(size)
    host.charge(cost)
    if host.steps is not None:
        host.steps.step(EvmCost(cost))
    limit = all_but_one_64th(host.gas.left)
    accounts, calls = host.accounts, host.calls
    nonce = accounts.nonce(who.actor)
    balance = accounts.balance(who.actor)
    if ask.value > balance:
        if calls.tracer is not None:
            made = _created_address(ask, who, nonce)
            calls.tracer.event(FundsMissing(made, ask.init_code, ask.value, balance, creates=True))
        return Answer(False)
    if nonce >= MAX_NONCE or calls.depth >= calls.max_depth:
        return Answer(False)
    address = _created_address(ask, who, nonce)
    accounts.warm(address)
    accounts.set_nonce(who.actor, nonce + 1)
    there = accounts.find(address)
    if there is not None and accounts.collides(there):
        host.charge(limit)
        return Answer(False)
    to, code = Address.delegated(EAM_NAMESPACE, address), Block(RAW, ask.init_code)
    creation = calls.creation(Call(who.actor, to, METHOD_CONSTRUCTOR, code, TokenAmount(ask.value), limit))
    created = send(host, creation)
    return Answer(True, created=address) if created.success else created


def _created_address(ask: CreateAsk, who: CallingAccount, nonce: int) -> EthAddress:
    if ask.salt is None:
        return create_address(who.address, nonce)
    return create2_address(who.address, ask.salt.to_bytes(32, "big"), ask.init_code)


# --- execution ------------------------------------------------------------------------------------------------------


def send_call(host: EthereumHost, call: Call) -> Answer:
    """Send the call; a call that cannot be made (depth, value) fails without consuming gas.

    If a masked ID's actor does not exist, the call succeeds without a transfer, as under Filecoin's rules.
    """
    host.gas.settle()
    try:
        return outcome(host.calls.send(call))
    except SyscallError as error:
        return Answer(error.number == ErrorNumber.NOT_FOUND)
    finally:
        host.gas.refill()


def returned(data: bytes) -> Block:
    """Return a frame's data as the actor's return value: one byte string."""
    return Block(CBOR, byte_string(data))
