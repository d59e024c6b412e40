"""Syscalls about actors, the actor's own state, and interceptors of calls.

- Operations on other actors: results, access gas, and creation by the init actor.
- The actor's own root and balance, and self-destruct.
- Interceptors: the calls they see, and how they respond to or change them.

Errors and charges from network version 21 on are those of the reference in tests/golden/actor.jsonl.gz.

Errors and charges from network version 21 on are those of the reference in tests/golden/self.jsonl.gz.
"""

import json
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from hypervisor.errors import Fatal, OutOfGas
from hypervisor.exit_codes import ErrorNumber, ExitCode
from hypervisor.kernel import Kernel
from hypervisor.kernel.call import Backtrace, BacktraceFrame, Call, CallResult
from hypervisor.machine.call_manager import CallManager
from hypervisor.machine.registry import Outcome
from hypervisor.messages.address import Address
from hypervisor.messages.events import EventEntry, StampedEvent
from hypervisor.messages.message import Message
from hypervisor.state.state_tree import ActorState
from hypervisor.tracing import CallEnded, CallStarted, Recorder
from hypervisor.types import BURNT_FUNDS_ACTOR, INIT_ACTOR, ActorID, BlockId, MethodNumber, TokenAmount
from store.cid import EMPTY_ARRAY_CID, RAW, cid_of
from store.codec import decode, encode
from tests.conftest import data_file
from tests.hypervisor.world import (
    GAS,
    NEW_ETH,
    NEW_KEY,
    SENDER,
    SENDER_ID,
    Notes,
    World,
    exiting,
    number_of,
    refused,
    sends,
    used,
)

LOOKUP, UPDATE, CREATE = 500_000 * GAS, 475_000 * GAS, 650_000 * GAS
NEW_ID = ActorID(5_000)


# --- new addresses ------------------------------------------------------------------------------------------------


def test_created_miner_addresses_match_mainnet() -> None:
    paths = sorted(data_file("vectors/fvm-nv18/fil_10_storagepower/CreateMiner").rglob("*.json"))
    assert paths
    for path in paths:
        vector = json.loads(path.read_text())
        message = Message.from_cbor(b64decode(vector["apply_messages"][0]["bytes"]))
        _, robust = decode(b64decode(vector["postconditions"]["receipts"][0]["return"]))
        kernel = World().kernel(nonce=message.nonce, origin=message.from_)
        assert kernel.next_actor_address() == Address.from_bytes(robust)


def test_next_address_depends_on_origin_nonce_and_actor_count() -> None:
    world = World()

    def next_address(nonce: int, origin: Address, created: int) -> Address:
        kernel = world.kernel(nonce=nonce, origin=origin)
        kernel.calls.actors_created = created
        assert used(kernel, kernel.next_actor_address) == 0
        return kernel.next_actor_address()

    cases = [(0, SENDER, 0), (1, SENDER, 0), (0, SENDER, 1), (0, Address.id(SENDER_ID), 0)]
    assert len({next_address(*case) for case in cases}) == 4


# --- creation -----------------------------------------------------------------------------------------------------


def init_kernel(world: World, *, read_only: bool = False, limit: int = 10**15) -> Kernel:
    return world.kernel(INIT_ACTOR, read_only=read_only, limit=limit)


def test_create_actor_charges_lookup_creation_and_update() -> None:
    world = World()
    kernel = init_kernel(world)
    create = kernel.create_actor
    assert used(kernel, lambda: create(NEW_ID, world.code("multisig"), None)) == LOOKUP + CREATE + UPDATE
    assert world.tree.get_actor(NEW_ID) == ActorState(world.code("multisig"), EMPTY_ARRAY_CID)
    assert kernel.calls.actors_created == 1


def test_a_created_actor_keeps_its_delegated_address() -> None:
    world = World()
    init_kernel(world).create_actor(NEW_ID, world.code("evm"), NEW_ETH)
    assert world.tree.get_actor(NEW_ID) == ActorState(world.code("evm"), delegated_address=NEW_ETH)


def test_read_only_call_cannot_create_actor() -> None:
    world = World()
    kernel = init_kernel(world, read_only=True)
    create = kernel.create_actor
    assert refused(ErrorNumber.READ_ONLY, kernel, lambda: create(NEW_ID, world.code("multisig"), None)) == 0


def test_a_placeholder_is_not_created_by_name() -> None:
    world = World()
    kernel = init_kernel(world)
    create = kernel.create_actor
    assert refused(ErrorNumber.FORBIDDEN, kernel, lambda: create(NEW_ID, world.code("placeholder"), NEW_ETH)) == 0


def test_an_actor_that_exists_is_not_created_again() -> None:
    world = World()
    number = world.actor(balance=1).actor_id()
    assert number is not None
    kernel = init_kernel(world)
    create = kernel.create_actor
    assert refused(ErrorNumber.FORBIDDEN, kernel, lambda: create(number, world.code("evm"), NEW_ETH)) == LOOKUP
    assert kernel.calls.actors_created == 0


def test_a_placeholder_takes_code_and_keeps_everything_else() -> None:
    world = World()
    number = world.actor(balance=9, code="placeholder", delegated=NEW_ETH).actor_id()
    assert number is not None
    kernel = init_kernel(world)
    # the actor exists already: no creation charge
    assert used(kernel, lambda: kernel.create_actor(number, world.code("evm"), NEW_ETH)) == LOOKUP + UPDATE
    assert world.tree.get_actor(number) == ActorState(world.code("evm"), EMPTY_ARRAY_CID, 0, TokenAmount(9), NEW_ETH)
    assert kernel.calls.actors_created == 1


@pytest.mark.parametrize("given", [None, Address.delegated(10, bytes(20)), Address.delegated(32, b"x")], ids=str)
def test_a_placeholder_is_only_taken_under_its_own_address(given: Address | None) -> None:
    world = World()
    number = world.actor(code="placeholder", delegated=NEW_ETH).actor_id()
    assert number is not None
    kernel = init_kernel(world)
    create = kernel.create_actor
    assert refused(ErrorNumber.FORBIDDEN, kernel, lambda: create(number, world.code("evm"), given)) == LOOKUP
    assert world.tree.get_actor(number) == ActorState(world.code("placeholder"), delegated_address=NEW_ETH)


def test_a_placeholder_without_an_address_is_a_broken_state() -> None:
    world = World()
    number = world.actor(code="placeholder").actor_id()
    assert number is not None
    with pytest.raises(Fatal, match="no delegated address"):
        init_kernel(world).create_actor(number, world.code("evm"), None)


def test_create_actor_out_of_gas_creates_and_counts_nothing() -> None:
    world = World()
    kernel = init_kernel(world, limit=LOOKUP + CREATE + UPDATE - 1)
    with pytest.raises(OutOfGas):
        kernel.create_actor(NEW_ID, world.code("multisig"), None)
    assert world.tree.get_actor(NEW_ID) is None
    assert kernel.calls.actors_created == 0


STATE = encode(["state"])
STATE_CID = cid_of(STATE)
OWN_UPDATE = 475_000 * GAS


def actor_in(world: World, balance: int = 0) -> Kernel:
    address = world.actor(balance=balance)
    return world.kernel(address)


def own(kernel: Kernel) -> ActorState | None:
    return kernel.calls.tree.get_actor(kernel.context.receiver)


@pytest.mark.parametrize(("network", "gas"), [(18, 0), (28, 300)])
def test_root_is_reachable_once_requested(network: int, gas: int) -> None:
    world = World(network)
    kernel = actor_in(world)
    world.machine.store.put(EMPTY_ARRAY_CID, b"\x80")
    assert kernel.ipld.is_reachable(EMPTY_ARRAY_CID) == (network == 18)
    assert used(kernel, kernel.root) == gas * GAS
    assert kernel.root() == EMPTY_ARRAY_CID
    kernel.ipld.open(EMPTY_ARRAY_CID)


@pytest.mark.parametrize(("network", "gas"), [(18, 0), (28, 300)])
def test_the_root_is_set_for_one_update_of_the_actor(network: int, gas: int) -> None:
    kernel = actor_in(World(network))
    kernel.ipld.reachable.add(STATE_CID)
    assert used(kernel, lambda: kernel.set_root(STATE_CID)) == gas * GAS + OWN_UPDATE
    assert used(kernel, lambda: kernel.set_root(STATE_CID)) == gas * GAS
    state = own(kernel)
    assert state is not None
    assert state.head == kernel.root() == STATE_CID


def test_burning_without_a_place_for_burnt_money_is_fatal() -> None:
    world = World()
    kernel = actor_in(world, balance=5)
    world.tree.delete_actor(BURNT_FUNDS_ACTOR)
    with pytest.raises(Fatal, match="burning"):
        kernel.self_destruct(burn=True)


def test_read_only_call_cannot_self_destruct() -> None:
    world = World()
    kernel = world.kernel(world.actor(), read_only=True)
    assert refused(ErrorNumber.READ_ONLY, kernel, lambda: kernel.self_destruct(burn=True)) == 0
    assert refused(ErrorNumber.READ_ONLY, kernel, lambda: kernel.self_destruct_to(SENDER)) == 0


def test_version_18_pays_a_beneficiary() -> None:
    world = World(18)
    kernel = actor_in(world, balance=5)
    heir = world.actor(balance=1)
    # the beneficiary is looked up and updated, the actor updated
    assert used(kernel, lambda: kernel.self_destruct_to(heir)) == (500_000 + 475_000) * GAS + OWN_UPDATE
    assert (own(kernel), world.balance(heir)) == (None, 6)


def test_version_18_requires_existing_and_different_beneficiary() -> None:
    world = World(18)
    kernel = actor_in(world, balance=5)
    refused(ErrorNumber.NOT_FOUND, kernel, lambda: kernel.self_destruct_to(NEW_KEY))
    refused(ErrorNumber.NOT_FOUND, kernel, lambda: kernel.self_destruct_to(Address.id(ActorID(4_711))))
    itself = Address.id(kernel.context.receiver)
    refused(ErrorNumber.FORBIDDEN, kernel, lambda: kernel.self_destruct_to(itself))
    assert own(kernel) is not None


def test_version_18_ignores_beneficiary_without_balance() -> None:
    kernel = actor_in(World(18))
    kernel.self_destruct_to(NEW_KEY)
    assert own(kernel) is None
    kernel.self_destruct_to(NEW_KEY)


METHOD = MethodNumber(2)


@dataclass
class Watcher:
    """Records the calls it sees; `change` responds to or changes the calls of an actor."""

    change: Callable[[CallManager, Call, Callable[[Call], CallResult]], CallResult] | None = None
    seen: list[tuple[ActorID, int]] = field(default_factory=list)
    is_armed: bool = True
    watched: frozenset[bytes] = frozenset()
    events: list[StampedEvent] = field(default_factory=list)

    def send(self, calls: CallManager, call: Call, proceed: Callable[[Call], CallResult]) -> CallResult:
        self.seen.append((call.from_, calls.depth))
        if self.change is not None and calls.depth == 1:
            return self.change(calls, call, proceed)
        return proceed(call)

    def on_event(self, calls: CallManager, event: StampedEvent) -> None:
        self.events.append(event)


def test_interceptor_sees_every_call_with_caller_depth() -> None:
    world, watcher = World(), Watcher()
    inner = world.actor(lambda kernel, params: None)
    middle = world.actor(sends(inner, METHOD))
    outer = world.actor(sends(middle, METHOD))
    world.machine.interceptor = watcher
    world.send(outer, METHOD)
    assert [depth for _, depth in watcher.seen] == [0, 1, 2]


def test_a_call_may_be_answered_without_being_made() -> None:
    world, notes = World(), Notes()
    callee = world.actor(exiting(40))
    caller = world.actor(lambda kernel, params: notes.add(kernel.send(callee, METHOD, value=TokenAmount(0)).exit_code))
    world.machine.interceptor = Watcher(lambda calls, call, proceed: CallResult(ExitCode.OK))
    world.send(caller, METHOD)
    assert notes.items == [0]


def test_a_call_may_be_made_in_another_name() -> None:
    world, notes = World(), Notes()

    def callee(kernel: Kernel, _: BlockId) -> None:
        notes.add(kernel.context.caller)

    at = world.actor(callee)
    caller = world.actor(sends(at, METHOD))
    world.machine.interceptor = Watcher(lambda calls, call, proceed: proceed(replace(call, from_=ActorID(1))))
    world.send(caller, METHOD)
    assert notes.items == [1]


def test_intercepted_call_is_traced_on_request() -> None:
    recorder = Recorder()
    world = World(tracer=recorder)
    callee = world.actor(lambda kernel, params: None)
    caller = world.actor(sends(callee, METHOD))
    world.machine.interceptor = Watcher(lambda calls, call, proceed: calls.trace_intercepted(call, CallResult(33)))
    world.send(caller, METHOD)
    started = [event for event in recorder.events if isinstance(event, CallStarted)]
    ended = [event.exit_code for event in recorder.events if isinstance(event, CallEnded)]
    assert (len(started), ended) == (2, [33, 33])  # the caller passes the exit code on


def test_events_are_reported_on_emit_even_if_call_fails() -> None:
    world, watcher = World(), Watcher()

    def emits(kernel: Kernel, _: BlockId) -> Outcome:
        kernel.events.emit([EventEntry(0, "key", RAW, b"")])
        return Outcome(16)

    at = world.actor(emits)
    world.machine.interceptor = watcher
    world.send(at, METHOD)
    assert [event.emitter for event in watcher.events] == [number_of(at)]


ACTOR, CONTRACT, CALLER = (Address.id(ActorID(number)) for number in (5, 101, 102))
REFUSED = BacktraceFrame(ACTOR, ExitCode.USR_ILLEGAL_ARGUMENT, "no such deal", b"")
REVERTED = ExitCode.EVM_CONTRACT_REVERTED
DATA = b"\x44\x7d\xd6\x0c\x21"


def after(*frames: BacktraceFrame, cause: str = "") -> str:
    found = Backtrace()
    if cause:
        found.set_cause(cause)
    for frame in frames:
        found.push_frame(frame)
    return found.reason


@pytest.mark.parametrize("returned", [b"", b"\x40"])
def test_a_revert_without_data_is_explained_by_the_call_before(returned: bytes) -> None:
    plain = BacktraceFrame(CONTRACT, REVERTED, "contract reverted", returned, is_plain=True)
    assert after(REFUSED, plain) == "f05: no such deal"
    assert after(plain, cause="f07: refused") == "f07: refused"
    assert after(plain) == ""


def test_revert_with_own_data_has_caught_the_earlier_cause() -> None:
    own = BacktraceFrame(CONTRACT, REVERTED, "contract reverted", DATA, is_plain=True)
    assert after(REFUSED, own) == after(own, cause="f07: refused") == ""


def test_forwarded_revert_data_is_attributed_to_original_callee() -> None:
    facade = BacktraceFrame(ACTOR, REVERTED, "no such deal", DATA)
    passed_on = BacktraceFrame(CONTRACT, REVERTED, "contract reverted", DATA, is_plain=True)
    assert after(facade, passed_on, passed_on._replace(source=CALLER)) == "f05: no such deal"


def test_own_fault_or_out_of_gas_is_not_blamed_on_callee() -> None:
    assert (
        after(REFUSED, BacktraceFrame(CONTRACT, ExitCode.EVM_CONTRACT_BAD_JUMPDEST, "BAD_JUMPDEST", b"", is_plain=True))
        == ""
    )
    ran_out = BacktraceFrame(CONTRACT, ExitCode.SYS_OUT_OF_GAS, "out of gas", b"")
    assert after(REFUSED, ran_out) == ""
    assert after(ran_out, cause="max code size exceeded") == "max code size exceeded"


def test_clear_empties_backtrace_after_successful_call() -> None:
    found = Backtrace()
    found.push_frame(REFUSED)
    found.clear()
    assert found.is_empty
    assert found.reason == ""
