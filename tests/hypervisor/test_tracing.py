"""The event stream, and the call tree built from it."""

from bridge.ethereum.addresses import EthAddress
from bridge.evm_steps import CodeBorrowed, SlotWritten
from hypervisor.errors import Fatal
from hypervisor.exit_codes import ErrorNumber
from hypervisor.kernel import Kernel
from hypervisor.machine.registry import Outcome
from hypervisor.messages.address import Address
from hypervisor.messages.events import EventEntry
from hypervisor.tracing import (
    ActorCreated,
    BlockLinked,
    BlockOpened,
    CallEnded,
    CallNode,
    CallSpan,
    CallStarted,
    CallTrees,
    DebugLog,
    Dispatched,
    EventEmitted,
    Flushed,
    GasCharged,
    KernelSend,
    MessageEnded,
    Recorder,
    TraceEvent,
    call_tree,
    walk,
)
from hypervisor.types import METHOD_SEND, ActorID, BlockId, MethodNumber, TokenAmount
from store.cid import CBOR, RAW, cid_of
from tests.hypervisor.world import GAS, NEW_ETH, SENDER, SENDER_ID, World, charging, exiting, refused, returning


def test_call_trace_events_report_parties_params_and_result() -> None:
    recorder = Recorder()
    world = World(tracer=recorder)
    to = world.actor(returning(b"pong", RAW, 33))
    world.machine.apply(world.message(to, 7, params=b"\x80", value=TokenAmount(3)), 0)
    [start] = [event for event in recorder.events if isinstance(event, CallStarted)]
    [end] = [event for event in recorder.events if isinstance(event, CallEnded)]
    assert start == CallStarted(
        SENDER_ID, to, MethodNumber(7), TokenAmount(3), b"\x80", CBOR, False, (10_000_000_000 - 560_663) * GAS
    )
    # transfer and the receiver's update, the call, 40 for the block, 1,300 a byte of the return
    assert end == CallEnded(33, b"pong", RAW, (6_000 + 475_000 + 75_000 + 40 + 5_200) * GAS)
    assert Dispatched(ActorID(1000), world.code("multisig"), "wasm") in recorder.events


def test_a_call_tree_has_every_call_under_its_caller_in_order() -> None:
    recorder = Recorder()
    world = World(tracer=recorder)
    leaf = world.actor(exiting(16))

    def middle(kernel: Kernel, _params: BlockId) -> None:
        kernel.events.emit([EventEntry(3, "k", RAW, b"v")])
        kernel.send(leaf, MethodNumber(5), gas_limit=2_000_000)

    middle_at = world.actor(middle)

    def top(kernel: Kernel, _params: BlockId) -> None:
        kernel.send(middle_at, MethodNumber(4))
        kernel.send(NEW_ETH, METHOD_SEND, value=TokenAmount(1))
        kernel.debug_log("done")

    world.send(world.actor(top, balance=1))
    [root] = call_tree(recorder.events)
    assert [node.start.method for node in root.calls] == [4, 0]
    assert (root.actor, root.runtime, root.succeeded) == (1002, "wasm", True)
    [inner] = root.calls[0].calls
    assert (inner.start.to, inner.start.gas_available, inner.succeeded) == (leaf, 2_000_000 * GAS, False)
    assert inner.end is not None
    assert inner.end.exit_code == 16
    assert root.calls[0].events == [EventEmitted(ActorID(1001), ((3, "k", RAW, b"v"),))]
    assert (root.calls[1].created, root.calls[1].code) == (101, None)
    assert ActorCreated(ActorID(101), NEW_ETH) in recorder.events
    assert DebugLog(ActorID(1002), "done") in recorder.events
    assert [e.to for e in recorder.events if isinstance(e, KernelSend)] == [middle_at, leaf, NEW_ETH]


def test_calls_that_end_without_an_exit_code_say_why() -> None:
    recorder = Recorder()
    world = World(tracer=recorder)
    greedy = world.actor(charging(10**9))

    def broken(_kernel: Kernel, _params: BlockId) -> None:
        raise Fatal("the state is broken")

    broken_at = world.actor(broken)

    def top(kernel: Kernel, _params: BlockId) -> None:
        refused(ErrorNumber.NOT_FOUND, kernel, lambda: kernel.send(Address.id(77_777), METHOD_SEND))
        too_much = TokenAmount(1)
        refused(ErrorNumber.INSUFFICIENT_FUNDS, kernel, lambda: kernel.send(SENDER, METHOD_SEND, value=too_much))
        kernel.send(greedy, MethodNumber(2), gas_limit=3_000_000)
        kernel.send(broken_at, MethodNumber(2))

    result = world.send(world.actor(top))
    assert result.exit_code == 10
    [root] = call_tree(recorder.events)
    ends = [node.end for node in root.calls]
    assert [(end.exit_code, end.error) for end in ends if end] == [
        (0, "NOT_FOUND"),
        (0, "INSUFFICIENT_FUNDS"),
        (7, ""),  # the call's own limit: an exit code for the caller
        (10, "FATAL"),
    ]
    assert root.end is not None
    assert (root.end.error, root.end.message) == ("FATAL", "the state is broken")
    assert not any(node.succeeded for node in [root, *root.calls])


def test_out_of_gas_is_traced_at_every_call_level() -> None:
    recorder = Recorder()
    world = World(tracer=recorder)
    greedy = world.actor(charging(10**12))

    def top(kernel: Kernel, _params: BlockId) -> Outcome:
        return Outcome(kernel.send(greedy, MethodNumber(2)).exit_code)

    assert world.send(world.actor(top)).exit_code == 7
    [root] = call_tree(recorder.events)
    assert [node.end.error for node in (root, *root.calls) if node.end] == ["OUT_OF_GAS", "OUT_OF_GAS"]


def test_call_gas_includes_subcalls() -> None:
    recorder = Recorder()
    world = World(tracer=recorder)
    leaf = world.actor(charging(1_000))

    def top(kernel: Kernel, _params: BlockId) -> None:
        kernel.send(leaf, MethodNumber(2), gas_limit=5_000_000)
        kernel.gas.charge("Test", 7 * GAS)

    world.send(world.actor(top))
    [root] = call_tree(recorder.events)
    assert root.end is not None
    assert root.calls[0].end is not None
    assert root.calls[0].end.gas_used == (500_000 + 75_000 + 1_000) * GAS
    assert root.end.gas_used == root.calls[0].end.gas_used + (75_000 + 7) * GAS


def test_two_messages_are_two_trees() -> None:
    recorder = Recorder()
    world = World(tracer=recorder)
    to = world.actor()
    world.send(to)
    world.send(to)
    assert len(call_tree(recorder.events)) == 2
    assert call_tree([]) == []


def started(to: int) -> CallStarted:
    return CallStarted(ActorID(1), Address.id(ActorID(to)), MethodNumber(2), TokenAmount(0), b"", 0, False, 0)


def recorded(trees: CallTrees, *events: TraceEvent) -> list[CallNode]:
    for event in events:
        trees.event(event)
    return trees.roots


ENDED = CallEnded(0, b"", 0, 0)


def test_items_of_a_call_are_in_order_and_those_about_the_next_call_in_it() -> None:
    borrowed, written = CodeBorrowed(EthAddress(bytes(20)), "DELEGATECALL"), SlotWritten(1, 0, 2)
    emitted = EventEmitted(ActorID(2), ())
    (root,) = recorded(CallTrees(), started(2), emitted, borrowed, started(3), written, ENDED, emitted, ENDED)
    (inner,) = root.calls
    assert root.items == [emitted, inner, emitted]
    assert inner.items == [borrowed, written]
    assert [node.number for node in walk([root])] == [0, 1]


def test_requested_details_are_items_also_before_the_outermost_call() -> None:
    before, inside = GasCharged("OnChainMessage", 5), GasCharged("OnBlockOpen", 7)
    trees = CallTrees((GasCharged,))
    (root,) = recorded(trees, before, started(2), inside, DebugLog(ActorID(2), "hello"), ENDED, MessageEnded(0, 1))
    assert root.items == [before, inside]
    assert (root.charges, root.logs, trees.ended) == ({"OnBlockOpen": 7}, ["hello"], [MessageEnded(0, 1)])


def test_calls_in_a_span_are_calls_of_the_call() -> None:
    (root,) = recorded(CallTrees(), started(2), started(3), ENDED, started(4), ENDED, ENDED)
    first, second = root.calls
    root.items = [CallSpan(items=(CallSpan(items=(first,)),)), second]
    assert root.calls == [first, second]
    assert [node.start.to for node in walk([root])] == [root.start.to, first.start.to, second.start.to]


def test_events_of_different_kinds_are_not_equal() -> None:
    block, party = (cid_of(b""), 5), (ActorID(5), SENDER)
    events: list[TraceEvent] = [BlockOpened(*block), BlockLinked(*block), Flushed(*block)]
    events += [ActorCreated(*party), KernelSend(*party), MessageEnded(0, 5)]
    for place, event in enumerate(events):
        assert [event == other for other in events] == [place == other for other in range(len(events))]
        assert [event != other for other in events] == [place != other for other in range(len(events))]
    assert [*map(hash, events)] == [*map(hash, (block, block, block, party, party, (0, 5)))]
    assert events[-1] != (0, 5)
    assert events[0] == BlockOpened(*block)
