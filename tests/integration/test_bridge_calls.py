"""Gas of calls between runtimes: charges add up to the receipt; out-of-gas at any charge leaves a consistent state."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from bridge.ethereum.addresses import to_filecoin
from bridge.filecoin.cbor import byte_string
from bridge.filecoin.parameters import INVOKE_EVM
from hypervisor import Message
from hypervisor.bundles.bundle import Bundle
from hypervisor.exit_codes import ExitCode
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.machine.executor import ApplyResult
from hypervisor.state.state_tree import ActorState
from hypervisor.tracing import CallEnded, CallStarted, GasCharged, Recorder, TraceEvent, call_tree
from hypervisor.types import ActorID, Gas, TokenAmount
from runtimes.evm.ethereum.alloc import install_alloc
from store.cid import codec_of
from store.links import links_of
from tests.conftest import bundle_file, evms
from tests.crossing.trees import SENDER, Tree
from tests.crossing.twins import Stage, call_counts
from tests.differential.comparison import BUNDLE
from tests.differential.twins import GAS_LIMIT

SEED = 21
TO_AND_FRO = (1, 9, 18)
"""Successful trees with at least three calls between runtimes on one path."""
SWEPT = 24
"""Number of out-of-gas positions per tree in `make test`; `make bridge` tests all."""


@pytest.fixture(scope="module", params=evms())
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    ready = Stage(Bundle.open(bundle_file(BUNDLE)), request.param)
    yield ready
    ready.machine.close()


def prepare(stage: Stage, tree: Tree) -> dict[ActorID, ActorState]:
    """Install a tree's contracts and return the initial state of all actors."""
    stage.machine.restore(stage._empty)
    install_alloc(stage.machine, tree.case.accounts)
    return actors(stage)


def actors(stage: Stage) -> dict[ActorID, ActorState]:
    stage.machine.state_tree.flush()
    return dict(stage.machine.state_tree.actors())


def send(stage: Stage, tree: Tree, gas_limit: int = GAS_LIMIT) -> tuple[ApplyResult, Sequence[TraceEvent]]:
    """Send the tree's message and return its result."""
    call = tree.case.calls[0]
    assert call.to is not None
    message = Message(
        to_filecoin(call.to), to_filecoin(SENDER), value=TokenAmount(call.value), method=INVOKE_EVM,
        params=byte_string(call.data), gas_limit=Gas(gas_limit),
    )  # fmt: skip
    recorder = stage.machine.tracer = Recorder()
    try:
        return stage.machine.apply(message), recorder.events
    finally:
        stage.machine.tracer = None


def charges(events: Sequence[TraceEvent]) -> list[int]:
    return [event.milligas for event in events if isinstance(event, GasCharged)]


@pytest.mark.parametrize("number", range(12))
def test_bridge_gas_of_all_charges_is_the_gas_of_the_receipt(stage: Stage, number: int) -> None:
    tree = Tree(SEED, number)
    prepare(stage, tree)
    result, events = send(stage, tree)
    assert result.exit_code != ExitCode.SYS_OUT_OF_GAS
    assert result.gas_used == -(-sum(charges(events)) // MILLIGAS_PER_GAS)


@pytest.mark.parametrize("number", range(12))
def test_bridge_call_gas_includes_own_and_nested_charges(stage: Stage, number: int) -> None:
    tree = Tree(SEED, number)
    prepare(stage, tree)
    _, events = send(stage, tree)
    used: list[int] = []
    left: list[int] = []
    for event in events:
        if isinstance(event, CallStarted):
            assert not left or event.gas_available <= left[-1] - used[-1], "a call has more than its caller"
            used.append(0)
            left.append(event.gas_available)
        elif isinstance(event, GasCharged) and used:
            used[-1] += event.milligas
        elif isinstance(event, CallEnded):
            mine = used.pop()
            left.pop()
            assert event.gas_used == mine
            if used:
                used[-1] += mine
    assert used == []


def test_bridge_gas_that_runs_out_anywhere_leaves_a_whole_state(stage: Stage) -> None:
    sweep(stage, Tree(SEED, TO_AND_FRO[0]), SWEPT)


@pytest.mark.long
@pytest.mark.parametrize("number", TO_AND_FRO)
def test_bridge_out_of_gas_at_each_charge_keeps_state_consistent(stage: Stage, number: int) -> None:
    sweep(stage, Tree(SEED, number), None)


@pytest.mark.parametrize("number", TO_AND_FRO)
def test_bridge_gas_is_swept_over_trees_that_go_to_and_fro(number: int) -> None:
    stage = Stage(Bundle.open(bundle_file(BUNDLE)), "py-evm")
    prepare(stage, Tree(SEED, number))
    result, events = send(stage, Tree(SEED, number))
    assert result.exit_code == ExitCode.OK
    assert call_counts(call_tree(events))["deepest"] >= 3
    stage.machine.close()


def sweep(stage: Stage, tree: Tree, points: int | None) -> None:
    """Run out of gas at each charge, or at about `points` evenly spread ones."""
    first = prepare(stage, tree)
    _, events = send(stage, tree)
    needed = points_of(charges(events))
    chosen = needed if points is None else needed[:: max(len(needed) // points, 1)]
    for limit in chosen:
        assert prepare(stage, tree) == first
        result, _ = send(stage, tree, limit)
        after = actors(stage)
        assert result.fatal is None
        assert result.gas_used <= limit
        assert sum(actor.balance for actor in after.values()) == sum(actor.balance for actor in first.values())
        sender = stage.machine.state_tree.lookup_id(to_filecoin(SENDER))
        assert sender is not None
        included = after[sender].nonce == 1  # a limit that does not pay for this much is the block producer's loss
        if result.exit_code == ExitCode.SYS_OUT_OF_GAS:
            assert result.gas_used == (limit if included else 0)
        if result.exit_code != ExitCode.OK:
            assert after == {**first, sender: replace(first[sender], nonce=int(included))}
            assert result.events == ()
        assert_reachable(stage, after)


def points_of(milligas: Sequence[int]) -> list[int]:
    """Return the gas limits under which each charge in turn is the first unaffordable one."""
    total, limits = 0, []
    for charge in milligas:
        total += charge
        limits.append((total - 1) // MILLIGAS_PER_GAS)
    return sorted({limit for limit in limits if limit > 0})


def assert_reachable(stage: Stage, after: dict[ActorID, ActorState]) -> None:
    """Assert that every actor's state and all blocks below it, except code, are in the store."""
    open_, known = [state.head for state in after.values()], set()
    while open_:
        cid = open_.pop()
        if cid not in known:
            known.add(cid)
            open_ += links_of(stage.machine.store.get(cid), codec_of(cid))
