"""Calls and gas estimates: messages that are executed and taken back.

A call pays nothing and may come from anybody: an account that does not exist yet, a contract. An estimate runs the
message as a block would. Rules: lotus node/impl/eth (calls at the block gas limit and without fees; an estimate is a
quarter above what was used, tried out, and searched for where it does not suffice).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from bridge.addresses import ZERO_ADDRESS, EthAddress, to_filecoin
from bridge.receipts import return_bytes
from bridge.transactions import DYNAMIC_FEE, Transaction
from hypervisor.address import Address, Protocol
from hypervisor.executor import ApplyResult
from hypervisor.exit_codes import ExitCode
from hypervisor.machine import Hypervisor
from hypervisor.message import Message, SignedMessage
from hypervisor.state_tree import ActorState
from hypervisor.tracing import Tracer
from hypervisor.types import Gas, TokenAmount
from localnet.base_fee import BLOCK_GAS_LIMIT
from localnet.errors import CallFailed
from localnet.execution import inclusion_gas, may_send
from localnet.overrides import NONE, Overrides, supposed

T = TypeVar("T")
_HEADROOM: Final = (5, 4)
_ACCURACY: Final = 100


@dataclass(frozen=True, slots=True)
class CallRequest:
    """What is to be called: `to` is None where a contract is to be created. Value in attoFIL."""

    to: EthAddress | None
    data: bytes = b""
    value: TokenAmount = TokenAmount(0)
    sender: EthAddress = ZERO_ADDRESS
    gas: Gas | None = None


def call(machine: Hypervisor, request: CallRequest, overrides: Overrides = NONE) -> bytes:
    """What the call returns, with nothing kept. Raises CallFailed; the errors of `supposed`."""
    with supposed(machine, overrides):
        message = _message(machine, request, Gas(BLOCK_GAS_LIMIT))
        return _succeed(message, machine.apply_implicit(message))


def listened(
    machine: Hypervisor, request: CallRequest, tracer: Tracer, read: Callable[[], T], overrides: Overrides = NONE
) -> T:
    """What `read` answers after a call with a tracer, before the call is taken back.

    The call may fail; raises what the tracer raises, with nothing kept either, and the errors of `supposed`.
    """
    with supposed(machine, overrides):
        message = _message(machine, request, Gas(BLOCK_GAS_LIMIT))
        before, machine.tracer = machine.tracer, tracer
        try:
            fatal = machine.apply_implicit(message).fatal
        finally:
            machine.tracer = before
        if fatal is not None:
            raise fatal
        return read()


def tried(machine: Hypervisor, request: CallRequest) -> ApplyResult:
    """What would come of the request in a block, whether it fails or not."""
    with machine.trial():
        result = _trial_run(machine, request, Gas(min(request.gas or BLOCK_GAS_LIMIT, BLOCK_GAS_LIMIT)))
    if result.fatal is not None:
        raise result.fatal
    return result


def estimate(
    machine: Hypervisor, request: CallRequest, pending: Sequence[SignedMessage] = (), overrides: Overrides = NONE
) -> Gas:
    """A gas limit that suffices for the message after the sender's `pending` ones.

    Raises CallFailed, and the errors of `supposed`.
    """
    with supposed(machine, overrides):
        for message in pending:
            result = machine.apply(message)
            if result.fatal is not None:
                raise result.fatal
        highest = Gas(min(request.gas or BLOCK_GAS_LIMIT, BLOCK_GAS_LIMIT))
        first = _trial_run(machine, request, highest)
        _succeed(_message(machine, request, highest), first)
        limit = _with_headroom(first.gas_used, highest)
        if limit == highest or _suffices(machine, request, limit):
            return limit
        return _with_headroom(_search(machine, request, limit, highest), highest)


def _search(machine: Hypervisor, request: CallRequest, low: Gas, highest: Gas) -> Gas:
    """The smallest limit that suffices, to one per cent; `low` does not, `highest` does."""
    high = Gas(min(2 * low, highest))
    while high < highest and not _suffices(machine, request, high):
        low, high = high, Gas(min(2 * high, highest))
    while (high - low) * _ACCURACY > high:
        middle = Gas((low + high) // 2)
        low, high = (low, middle) if _suffices(machine, request, middle) else (middle, high)
    return high


def _suffices(machine: Hypervisor, request: CallRequest, limit: Gas) -> bool:
    return _trial_run(machine, request, limit).exit_code == ExitCode.OK


def _trial_run(machine: Hypervisor, request: CallRequest, limit: Gas) -> ApplyResult:
    """The message as a block would execute it, without fees; taken back."""
    with machine.trial():
        message = _message(machine, request, limit)
        length = message.chain_length()
        sender = machine.actor(message.from_)
        if sender is not None and may_send(machine, sender):
            return machine.apply(message, length)
        # A contract or a built-in actor sends no messages: the same call without the sender's checks, and the price
        # of carrying it added.
        inclusion = inclusion_gas(machine, length)
        if limit <= inclusion:
            return machine.apply(message, length)
        result = machine.apply_implicit(replace(message, gas_limit=Gas(limit - inclusion)))
        return replace(result, receipt=replace(result.receipt, gas_used=Gas(result.gas_used + inclusion)))


def _message(machine: Hypervisor, request: CallRequest, limit: Gas) -> Message:
    """The request as a message; a sender that nobody is yet becomes a placeholder (inside a trial)."""
    sender = to_filecoin(request.sender)
    state = sender_of(machine, sender)
    transaction = Transaction(
        type=DYNAMIC_FEE,
        chain_id=machine.context.chain_id,
        nonce=state.nonce if state is not None else 0,
        to=request.to,
        value=request.value,
        data=request.data,
        gas_limit=limit,
        max_fee=0,
        max_priority_fee=0,
    )
    return transaction.message_from(sender)


def sender_of(machine: Hypervisor, sender: Address) -> ActorState | None:
    """The actor that a call comes from; whoever is nobody yet becomes a placeholder, to be taken back."""
    state = machine.actor(sender)
    if state is None and sender.protocol is Protocol.DELEGATED:
        tree = machine.state_tree
        state = ActorState(machine.manifest.code("placeholder"), delegated_address=sender)
        tree.set_actor(tree.register_address(sender), state)
    return state


def _succeed(message: Message, result: ApplyResult) -> bytes:
    if result.fatal is not None:
        raise result.fatal
    data = return_bytes(message, result.receipt)
    if result.exit_code != ExitCode.OK:
        raise CallFailed(result.exit_code, data, result.message)
    return data


def _with_headroom(gas: int, highest: int) -> Gas:
    numerator, denominator = _HEADROOM
    return Gas(min(gas * numerator // denominator, highest))
