"""Execution of messages: fees, receipts, and refused input.

- Rejected gas limits, gas premium, and missing system actors; helpers for messages with fees.
- Receipts of all kinds of results, parameters of actors, implicit messages, lengths on chain.
- Malformed messages and states: rejected with an error, and without any change.

Refusals and charges from network version 21 on are those of the reference in tests/golden/fees.jsonl.gz.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.genesis import Genesis
from hypervisor.bundles.manifest import Manifest
from hypervisor.context import MachineContext
from hypervisor.errors import Fatal, InvalidInput, MessageError, SyscallError
from hypervisor.exit_codes import ErrorNumber
from hypervisor.gas import GasOutputs
from hypervisor.kernel import Kernel
from hypervisor.machine.executor import ApplyResult
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.registry import Outcome
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, Signature, SignatureType, SignedMessage
from hypervisor.state.state_tree import ActorState, StateTree
from hypervisor.tracing import MessageEnded, MessageStarted, Recorder
from hypervisor.types import (
    BURNT_FUNDS_ACTOR,
    INIT_ACTOR,
    METHOD_SEND,
    REWARD_ACTOR,
    SYSTEM_ACTOR,
    ActorID,
    BlockId,
    ChainEpoch,
    Gas,
    MethodNumber,
    TokenAmount,
)
from hypervisor.versions.network_versions import network_version
from hypervisor_tools.cli.demo.scenario import counter_module
from store.blocks.memory import MemoryStore
from store.blockstore import StoreError, put_object
from store.cid import CBOR, EMPTY_ARRAY_CID, Cid
from store.codec import link
from store.trees.hamt import Hamt
from tests.hypervisor.world import (
    FIL,
    GAS,
    NEW_KEY,
    SENDER,
    SENDER_BALANCE,
    SENDER_ID,
    World,
    charging,
    exiting,
    returning,
)

BASE_FEE = 100
LENGTH = 100
UPDATE = 475_000


def world_at(base_fee: int = BASE_FEE, **fields: Any) -> World:
    context = MachineContext(network_version(28), epoch=ChainEpoch(5), base_fee=TokenAmount(base_fee))
    return World(context=context, **fields)


def apply(world: World, message: Message) -> ApplyResult:
    return world.machine.apply(message, LENGTH)


def priced(world: World, to: Address, gas_limit: int = 2_000_000, **fields: Any) -> Message:
    fees = {"gas_limit": Gas(gas_limit), "gas_fee_cap": TokenAmount(2 * BASE_FEE), "gas_premium": TokenAmount(7)}
    return world.message(to, **{"method": METHOD_SEND, **fees, **fields})


@pytest.mark.parametrize("limit", [0, 1 << 63, (1 << 64) - 1])
def test_invalid_gas_limit_raises_message_error(limit: int) -> None:
    world = world_at()
    before = world.machine.root
    for ask in (world.machine.apply, world.machine.apply_implicit, world.machine.call):
        with pytest.raises(MessageError, match="gas limit"):
            ask(priced(world, SENDER, gas_limit=limit))
    assert world.machine.root == before


def test_actor_sees_nonnegative_premium_limited_by_fee_cap() -> None:
    world = world_at()
    to = world.actor()
    for cap, premium, seen in [(200, 7, 7), (105, 7, 5), (100, 7, 0), (60, 7, 0), (200, 0, 0)]:
        message = priced(world, to, method=2, gas_fee_cap=TokenAmount(cap), gas_premium=TokenAmount(premium))
        assert apply(world, message).exit_code == 0
        assert world.runtime.invoked[-1].gas_premium == seen


@pytest.mark.parametrize("missing", [BURNT_FUNDS_ACTOR, REWARD_ACTOR])
def test_unpayable_gas_outputs_are_fatal_and_revert_message(missing: ActorID) -> None:
    world = world_at()
    to = world.actor()
    world.tree.delete_actor(missing)
    before = world.machine.root
    with pytest.raises(Fatal, match="cannot credit"):
        apply(world, priced(world, to, value=TokenAmount(5)))
    assert world.machine.root == before
    assert world.tree.flush() == before  # no transaction is left open


# --- receipts ---------------------------------------------------------------------------------------------------------


def test_fatal_error_receipt_has_exit_10_full_gas_and_error() -> None:
    world = world_at()

    def script(kernel: Kernel, _params: BlockId) -> None:
        kernel.ipld.reachable.add(MISSING)
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


ALICE = Address.delegated(10, b"\xaa" * 20)
BOB = Address.delegated(10, b"\xbb" * 20)
TRANSFER = Message(BOB, ALICE, value=TokenAmount(1), gas_fee_cap=TokenAmount(1), gas_premium=TokenAmount(1))


@pytest.fixture(scope="module")
def machine() -> Hypervisor:
    return Hypervisor.open(genesis=Genesis(accounts={ALICE: TokenAmount(10**30)}))


new_genesis: Any = Genesis
new_machine: Any = Hypervisor.open


@pytest.mark.parametrize(
    ("create", "words"),
    [
        (lambda: new_genesis(network_name=7), "network_name has the type int: expected text"),
        (lambda: new_genesis(accounts=[ALICE]), "accounts has the type list: expected a mapping"),
        (lambda: new_genesis(accounts={str(ALICE): 1}), "an address of accounts has the type str: expected an Address"),
        (lambda: new_genesis(accounts={ALICE: "5"}), "a balance of accounts has the type str: expected a whole number"),
        (lambda: new_machine(7), "path has the type int: expected a path"),
        (lambda: new_machine(bundle=18), "bundle has the type int: expected a Bundle"),
        (lambda: new_machine(network="nv28"), "network has the type str: expected a number, such as 28"),
        (lambda: new_machine(overlay={"transfer": 1}), "overlay has the type dict: expected an Overlay"),
        (lambda: new_machine(rules=1), "rules has the type int: expected a name"),
        (lambda: new_machine(evm=None), "evm has the type NoneType: expected a name: one of py-evm"),
        (lambda: new_machine(genesis={ALICE: 1}), "genesis has the type dict: expected a Genesis"),
        (lambda: new_machine(context=28), "context has the type int: expected a MachineContext"),
    ],
)
def test_argument_of_another_type_is_named(create: Callable[[], Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        create()


untyped: Any = Address


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda machine: machine.balance("f0100"), "address has the type str: expected an Address; Address.parse"),
        (lambda machine: machine.actor("f0100"), "address has the type str: expected an Address; Address.parse"),
        (lambda machine: machine.storage("f0100"), "address has the type str: expected an Address; Address.parse"),
        (lambda machine: machine.restore("x"), "snapshot has the type str: expected a Snapshot"),
        (lambda machine: machine.upgrade(29), "network has the type int: expected a NetworkVersion"),
        (lambda _: untyped.id("5"), "actor has the type str: expected a whole number"),
        (lambda _: untyped.delegated("10", b""), "namespace has the type str: expected a whole number"),
        (lambda _: untyped.delegated(10, "0x" + "aa" * 20), "subaddress has the type str: expected bytes"),
        (lambda _: untyped.parse(None), "text has the type NoneType: expected text"),
    ],
)
def test_method_argument_of_another_type_is_named(machine: Hypervisor, use: Callable[[Any], Any], words: str) -> None:
    before = machine.root
    with pytest.raises(TypeError, match=words):
        use(machine)
    assert machine.root == before


@pytest.mark.parametrize("message", [None, "0x00", b"", {"to": ALICE}])
def test_only_messages_are_applied(machine: Hypervisor, message: Any) -> None:
    for apply in (machine.apply, machine.apply_implicit, machine.call):
        with pytest.raises(TypeError, match=f"message has the type {type(message).__name__}: expected a Message"):
            apply(message)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gas_premium": TokenAmount(-1)}, "gas premium is -1"),
        ({"gas_fee_cap": TokenAmount(-1)}, "gas fee cap is -1"),
        ({"method": -1}, "method is -1"),
        ({"method": 1 << 64}, "method is 18446744073709551616"),
        ({"method": "x"}, "method is 'x'"),
        ({"nonce": 1 << 64}, "nonce is"),
        ({"nonce": True}, "nonce is True"),
        ({"value": 1.5}, "value is 1.5"),
        ({"params": "x"}, "params is str"),
        ({"to": "f01"}, "must be addresses"),
    ],
)
@pytest.mark.parametrize("how", [Hypervisor.apply, Hypervisor.apply_implicit])
def test_a_message_with_an_impossible_field_is_refused(
    machine: Hypervisor, how: Callable[..., Any], changes: dict[str, Any], words: str
) -> None:
    before = machine.root
    with pytest.raises(MessageError, match=words):
        how(machine, replace(TRANSFER, **changes))
    assert machine.root == before


def test_a_length_on_chain_is_not_negative(machine: Hypervisor) -> None:
    with pytest.raises(MessageError, match="-1 bytes"):
        machine.apply(TRANSFER, -1)


def tree_with(fields: Any) -> StateTree:
    """Return a state tree whose actor f0100 is `fields`."""
    store = MemoryStore()
    actors = Hamt(store, None, 5)
    actors.set(b"\x00\x64", fields)
    return StateTree(store, put_object(store, [5, link(actors.flush()), link(EMPTY_ARRAY_CID)]))


CODE = link(EMPTY_ARRAY_CID)


@pytest.mark.parametrize(
    "fields",
    [
        [CODE, CODE, -1, b"", None],
        [CODE, CODE, True, b"", None],
        [CODE, CODE, 0, b"\x01\x05", None],
        [CODE, CODE, 0, "", None],
        [CODE, CODE, 0, b"", b"\x09"],
        [CODE, 7, 0, b"", None],
        [CODE],
        7,
    ],
)
def test_a_malformed_actor_is_fatal_however_it_is_read(fields: Any) -> None:
    with pytest.raises(Fatal, match="f0100"):
        tree_with(fields).get_actor(ActorID(100))
    with pytest.raises(Fatal, match="actors of the state tree"):
        list(tree_with(fields).actors())


@pytest.mark.parametrize("target", ["x", -3, (1 << 64) - 1, None, b"", True])
def test_an_address_that_leads_to_no_id_is_fatal(machine: Hypervisor, target: Any) -> None:
    tree = machine.fork().state_tree
    init = tree.init_state()
    addresses = Hamt(tree.store, init.address_map, 5)
    addresses.set(BOB.to_bytes(), target)
    tree.set_init_state(replace(init, address_map=addresses.flush()))
    if target is None:
        assert tree.lookup_id(BOB) is None
        return
    with pytest.raises(Fatal, match="is not an actor ID"):
        tree.lookup_id(BOB)


@pytest.mark.parametrize("next_id", [-1, "x", True, (1 << 64) - 1])
def test_an_init_state_without_a_next_id_is_fatal(machine: Hypervisor, next_id: Any) -> None:
    tree = machine.fork().state_tree
    state = [link(tree.init_state().address_map), next_id, "x"]
    actor = tree.get_actor(INIT_ACTOR)
    assert actor is not None
    tree.set_actor(INIT_ACTOR, replace(actor, head=put_object(tree.store, state)))
    with pytest.raises(Fatal, match="f01"):
        tree.init_state()


@pytest.mark.parametrize("state", [7, [], [7], {"a": 1}, [CODE, CODE]])
def test_a_system_state_that_names_no_manifest_is_fatal(machine: Hypervisor, state: Any) -> None:
    fork = machine.fork()
    actor = fork.state_tree.get_actor(SYSTEM_ACTOR)
    assert actor is not None
    fork.state_tree.set_actor(SYSTEM_ACTOR, replace(actor, head=put_object(fork.store, state)))
    with pytest.raises(Fatal, match="f00"):
        fork.fork()


@pytest.mark.slow
def test_a_folder_does_not_change_its_bundle(tmp_path: Any) -> None:
    Hypervisor.open(tmp_path / "state").close()
    own = Bundle.embedded("v19")
    other = Bundle(own.root, Manifest(EMPTY_ARRAY_CID, own.manifest.codes), own.blocks)
    with pytest.raises(InvalidInput, match="was made with the bundle"):
        Hypervisor.open(tmp_path / "state", bundle=other)
    Hypervisor.open(tmp_path / "state", bundle=own).close()


def test_fatal_error_in_constructor_is_raised(machine: Hypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    fork = machine.fork()
    code = fork.install(counter_module())
    monkeypatch.setattr(fork.store, "get", _without(fork, code))
    fork.registry._runtimes.clear()
    monkeypatch.setenv("FVM_CACHE_DIR", "off")
    with pytest.raises(Fatal, match="missing"):
        fork.create(code)


def _without(machine: Hypervisor, missing: bytes) -> Callable[[Any], bytes]:
    from store.blockstore import BlockNotFound

    found = machine.store.get

    def get(cid: Any) -> bytes:
        if cid == missing:
            raise BlockNotFound(cid)
        return found(cid)

    return get
