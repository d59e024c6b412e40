"""Receipts of all kinds of results, parameters of actors, implicit messages, lengths on chain.

Refusals and charges from network version 21 on are those of the reference in tests/golden/fees.jsonl.gz.
"""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from hypervisor.errors import Fatal, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.gas import GasOutputs
from hypervisor.kernel import Kernel
from hypervisor.machine.registry import Outcome
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, Signature, SignatureType, SignedMessage
from hypervisor.state.state_tree import ActorState
from hypervisor.tracing import MessageEnded, MessageStarted, Recorder
from hypervisor.types import METHOD_SEND, REWARD_ACTOR, SYSTEM_ACTOR, BlockId, Gas, MethodNumber, TokenAmount
from store.blockstore import StoreError
from store.cid import CBOR, Cid
from tests.hypervisor.machine.test_executor import BASE_FEE, UPDATE, apply, priced, world_at
from tests.hypervisor.world import FIL, GAS, NEW_KEY, SENDER, SENDER_BALANCE, SENDER_ID, charging, exiting, returning

# --- receipts ---------------------------------------------------------------------------------------------------------


def test_fatal_error_receipt_has_exit_10_full_gas_and_error() -> None:
    world = world_at()

    def script(kernel: Kernel, _params: BlockId) -> None:
        kernel.ipld.mark_reachable(MISSING)
        kernel.calls.set_actor(kernel.context.receiver, ActorState(world.code("evm")))
        kernel.ipld.open(MISSING)

    to = world.actor(script, balance=3)
    result = apply(world, priced(world, to, method=2, value=TokenAmount(5)))
    assert (result.exit_code, result.gas_used, result.return_data) == (10, 2_000_000, b"")
    assert isinstance(result.fatal, Fatal)
    assert "reachable state is missing" in result.message
    state = world.machine.actor(to)
    assert state is not None
    assert (state.code, state.balance) == (world.code("multisig"), 3)
    assert result.gas.base_fee_burn == BASE_FEE * 2_000_000


MISSING = Cid(bytes.fromhex("0171a0e40220") + bytes(32))


def test_ordinary_failures_are_not_fatal() -> None:
    world = world_at()
    for to in (world.actor(), world.actor(exiting(10)), world.actor(charging(10**9)), Address.actor(b"nobody")):
        assert apply(world, priced(world, to, method=2)).fatal is None


@pytest.mark.parametrize(
    ("number", "code"),
    [(number, {ErrorNumber.NOT_FOUND: 5, ErrorNumber.INSUFFICIENT_FUNDS: 6}.get(number, 10)) for number in ErrorNumber],
)
def test_failed_call_exits_with_code_of_its_syscall_error(number: ErrorNumber, code: int) -> None:
    world = world_at()

    def script(_kernel: Kernel, _params: BlockId) -> Outcome:
        raise SyscallError(number, "as if the call itself had failed")

    assert apply(world, priced(world, world.actor(script), method=2)).exit_code == code


class Broken(StoreError):
    """A store whose medium fails."""


def test_store_error_propagates_and_leaves_state_unchanged() -> None:
    world = world_at()

    def script(kernel: Kernel, _params: BlockId) -> None:
        kernel.calls.set_actor(kernel.context.receiver, ActorState(world.code("evm")))
        raise Broken("the disk is gone")

    to = world.actor(script)
    before = world.machine.root
    with pytest.raises(Broken):
        apply(world, priced(world, to, method=2, value=TokenAmount(5)))
    assert world.machine.root == before
    assert world.balance(SENDER) == SENDER_BALANCE
    assert apply(world, priced(world, SENDER)).exit_code == 0


def test_runtime_defect_is_raised_and_leaves_state_unchanged() -> None:
    world = world_at()

    def script(_kernel: Kernel, _params: BlockId) -> None:
        raise ZeroDivisionError("a defect of ours")

    to = world.actor(script)
    before = world.machine.root
    with pytest.raises(ZeroDivisionError):
        apply(world, priced(world, to, method=2, value=TokenAmount(5)))
    assert world.machine.root == before


# --- parameters -------------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    params: int = -1
    codec: int = -1
    data: bytes = b""


def test_params_arrive_as_cbor_in_handle_one_and_empty_as_zero() -> None:
    world, seen = world_at(), Seen()

    def script(kernel: Kernel, params: BlockId) -> None:
        seen.params = params
        if params:
            block = kernel.ipld.block(params)
            seen.codec, seen.data = block.codec, block.data
            assert block.links == ()

    to = world.actor(script)
    apply(world, priced(world, to, method=2, params=b"\x80"))
    assert (seen.params, seen.codec, seen.data) == (1, CBOR, b"\x80")
    apply(world, priced(world, to, method=2))
    assert seen.params == 0


def test_invocation_context_has_caller_method_and_value() -> None:
    world = world_at()
    to = world.actor(balance=1)
    message = priced(world, to, method=77, value=TokenAmount(5))
    apply(world, message)
    [context] = world.runtime.invoked
    assert (context.origin, context.caller, context.receiver) == (SENDER_ID, SENDER_ID, to.actor_id())
    assert (context.method, context.value, context.nonce) == (77, 5, 0)
    assert context.origin_address == SENDER
    assert context.read_only is False


# --- implicit messages ------------------------------------------------------------------------------------------------


def implicit(to: Address, **fields: Any) -> Message:
    return replace(Message(to, Address.id(SYSTEM_ACTOR), method=MethodNumber(2)), **fields)


def test_implicit_message_skips_sender_nonce_fees_and_inclusion() -> None:
    world = world_at()
    to = world.actor(charging(123))
    before = world.tree.get_actor(SYSTEM_ACTOR)
    result = world.machine.apply_implicit(implicit(to, nonce=77, gas_fee_cap=TokenAmount(FIL)))
    assert (result.exit_code, result.gas_used, result.gas) == (0, 75_000 + 123, GasOutputs())
    assert world.tree.get_actor(SYSTEM_ACTOR) == before
    assert world.runtime.invoked[0].nonce == 77


def test_implicit_message_from_unknown_sender_exits_with_1() -> None:
    world = world_at()
    result = world.machine.apply_implicit(replace(implicit(SENDER), from_=NEW_KEY))
    assert (result.exit_code, result.gas_used, result.gas) == (1, 0, GasOutputs())


def test_an_implicit_message_fails_like_any_other() -> None:
    world = world_at()
    assert world.machine.apply_implicit(implicit(world.actor(exiting(16)))).exit_code == 16
    assert world.machine.apply_implicit(implicit(Address.id(99_999))).exit_code == 5
    short = implicit(world.actor(), gas_limit=Gas(10))
    result = world.machine.apply_implicit(short)
    assert (result.exit_code, result.gas_used) == (7, 10)


def test_an_implicit_message_moves_the_money_of_its_sender() -> None:
    world = world_at()
    to = world.actor()
    message = replace(implicit(to), from_=Address.id(REWARD_ACTOR), value=TokenAmount(5), method=METHOD_SEND)
    result = world.machine.apply_implicit(message)
    assert (result.exit_code, result.gas_used) == (0, 6_000 + UPDATE)
    assert world.balance(to) == 5


# --- lengths on chain -------------------------------------------------------------------------------------------------


def test_the_length_on_chain_counts_signatures_that_are_carried() -> None:
    world = world_at()
    to = world.actor()
    message = priced(world, to)
    bare = len(message.to_cbor())
    assert world.machine.apply(message).gas_used == 560_663 + 1_300 * (bare + 69)
    signed = SignedMessage(replace(message, nonce=1), Signature(SignatureType.SECP256K1, bytes(65)))
    assert world.machine.apply(signed).gas_used == 560_663 + 1_300 * (bare + 69)
    aggregated = SignedMessage(replace(message, nonce=2), Signature(SignatureType.BLS, bytes(96)))
    assert world.machine.apply(aggregated).gas_used == 560_663 + 1_300 * bare
    assert world.machine.apply(aggregated, 0).exit_code == 2


# --- the stream -------------------------------------------------------------------------------------------------------


def test_a_tracer_hears_the_message_begin_and_end() -> None:
    recorder = Recorder()
    world = world_at(tracer=recorder)
    result = apply(world, priced(world, world.actor(exiting(33)), method=2))
    assert recorder.events[0] == MessageStarted(SENDER, Address.id(1_000), MethodNumber(2), 0, False)
    assert recorder.events[-1] == MessageEnded(33, result.gas_used)


def test_tracer_does_not_change_execution_result() -> None:
    outcomes = []
    for tracer in (None, Recorder()):
        world = world_at(tracer=tracer)
        to = world.actor(returning(b"hello"))
        result = apply(world, priced(world, to, method=2, value=TokenAmount(5)))
        outcomes.append((result.receipt, world.machine.root))
    assert outcomes[0] == outcomes[1]


def test_gas_limit_in_milligas_saturates_at_int64_max() -> None:
    world = world_at(base_fee=0)
    available: list[int] = []
    to = world.actor(lambda kernel, _params: available.append(kernel.gas.limit))
    world.send(to, gas_limit=Gas((1 << 63) - 1))
    world.send(to, gas_limit=Gas(2_000_000))
    assert available == [(1 << 63) - 1, 2_000_000 * GAS]
