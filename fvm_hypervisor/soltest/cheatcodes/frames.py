"""Calls of frames under Ethereum's rules: conversion of a request to an `InterceptedCall`, and its execution."""

from __future__ import annotations

from bridge.addresses import EthAddress, create2_address, create_address
from bridge.method_numbers import INVOKE_EVM
from bridge.params import DelegateCallParams
from fvm_hypervisor.soltest.cheatcodes.context import Cheats
from fvm_hypervisor.soltest.cheatcodes.failures import revert_text
from fvm_hypervisor.soltest.cheatcodes.intercepted_call import CallOperations, InterceptedCall
from fvm_hypervisor.soltest.cheatcodes.isolation import isolating_send
from fvm_hypervisor.soltest.cheatcodes.ledger import EthereumLedger
from hypervisor.address import Address
from hypervisor.blocks import Block
from hypervisor.call import Call, CallResult
from hypervisor.errors import SyscallError
from hypervisor.types import TokenAmount
from runtimes.evm.calls import INVOKE_CONTRACT_DELEGATE
from runtimes.evm.engine import Answer, Ask, CallAsk, CallKind
from runtimes.evm.ethereum import answers
from runtimes.evm.ethereum.host import EthereumHost
from runtimes.evm.ethereum.prices import all_but_one_64th
from store.cid import DAG_CBOR, RAW


def call_request(host: EthereumHost, ask: Ask) -> InterceptedCall:
    """Return the call that a frame requests."""
    depth = host.calls.depth
    if isinstance(ask, CallAsk):
        own = ask.kind in (CallKind.DELEGATECALL, CallKind.CALLCODE)
        gas = min(ask.gas, all_but_one_64th(host.gas.left)) + (host.prices.call_stipend if ask.value else 0)
        static = host.static or ask.kind is CallKind.STATICCALL
        receiver = host.address if own else ask.address
        return InterceptedCall(ask.kind, host.address, ask.address, receiver, ask.value, ask.data, gas, static, depth)
    nonce = host.accounts.nonce(host.actor)
    if ask.salt is None:
        made = create_address(host.address, nonce)
    else:
        made = create2_address(host.address, ask.salt.to_bytes(32, "big"), ask.init_code)
    second, salt = ask.salt is not None, b"" if ask.salt is None else ask.salt.to_bytes(32, "big")
    return InterceptedCall(
        None, host.address, made, made, ask.value, ask.init_code, host.gas.left, False, depth, second, salt
    )


def call_operations(cheats: Cheats, host: EthereumHost, ask: Ask) -> CallOperations:
    """Return the operations that execute the call."""
    accounts, calls = host.accounts, host.calls

    def proceed(sender: EthAddress | None, code: EthAddress | None) -> Answer:
        asker, cheats.unused = None, 0
        if sender is not None:
            actor = accounts.find(sender)
            asker = answers.CallingAccount(accounts.create_account(sender) if actor is None else actor, sender)
        if code is not None and isinstance(ask, CallAsk):
            return _with_code(host, ask, sender or host.address, code)
        return answers.answer(host, ask, asker, isolating_send(cheats, host, ask))

    return CallOperations(
        ledger=EthereumLedger(accounts),
        proceed=proceed,
        pay=lambda payer, amount: _pay(host, ask, payer, amount),
        give_back=lambda: _give_back(cheats, host),
        set_origin=lambda origin: cheats.set_origin(calls, origin),
        origin=calls.environment.origin,
        chain_id=calls.machine.context.chain_id,
        words=lambda data: revert_text(data, cheats.settings.errors),
        fork_url=lambda: cheats.fork_url,
        answered=lambda answer: trace_answer(host, ask, answer) if isinstance(ask, CallAsk) else answer,
    )


def _pay(host: EthereumHost, ask: Ask, payer: EthAddress, amount: int) -> bool:
    """Charge a call that is not made and transfer its value; return True if the value could be paid."""
    assert isinstance(ask, CallAsk), "creations are not mocked"
    host.charge(host.access(ask.address) + (host.prices.call_value - host.prices.call_stipend if ask.value else 0))
    ledger = EthereumLedger(host.accounts)
    try:
        host.calls.transfer(ledger.touch(payer), ledger.touch(ask.address), TokenAmount(amount))
    except SyscallError:
        return False
    return True


def _give_back(cheats: Cheats, host: EthereumHost) -> None:
    """Return to the frame the gas that its failed call had left."""
    host.gas.settle()
    host.calls.gas.used -= cheats.unused
    cheats.unused = 0
    host.gas.refill()


def _with_code(host: EthereumHost, ask: CallAsk, caller: EthAddress, code: EthAddress) -> Answer:
    """Call an account with another account's code, which runs as the account, on behalf of the caller."""
    accounts, ledger = host.accounts, EthereumLedger(host.accounts)
    host.charge(host.access(ask.address))
    if ask.value and ask.kind is CallKind.CALL:
        host.calls.transfer(ledger.touch(caller), ledger.touch(ask.address), TokenAmount(ask.value))
    to = host.actor if ask.kind is CallKind.DELEGATECALL else ledger.touch(ask.address)
    accounts.become_contract(to)
    cid = accounts.code_cid(accounts.find(code))
    params = DelegateCallParams(cid, ask.data, caller, TokenAmount(ask.value)).encode()
    limit = min(ask.gas, all_but_one_64th(host.gas.left))
    static = host.static or ask.kind is CallKind.STATICCALL
    call = Call(
        to, Address.id(to), INVOKE_CONTRACT_DELEGATE, Block(DAG_CBOR, params), gas_limit=limit, read_only=static
    )
    host.gas.settle()
    try:
        return answers.outcome(host.calls.send(call))
    except SyscallError:
        return Answer(False)
    finally:
        host.gas.refill()


def trace_answer(host: EthereumHost, ask: CallAsk, answer: Answer) -> Answer:
    """Trace a call that was answered by a mock."""
    if host.calls.tracer is not None:
        to = host.accounts.filecoin_address(ask.address)
        static = host.static or ask.kind is CallKind.STATICCALL
        call = Call(host.actor, to, INVOKE_EVM, Block(RAW, ask.data), read_only=static)
        host.calls.trace_intercepted(call, CallResult(0 if answer.success else 33, Block(RAW, answer.output)))
    return answer
