"""Blocks that a garbage collection keeps."""

from pathlib import Path
from threading import Event
from typing import Any

import pytest

from hypervisor.errors import InvalidInput
from localnet import Network
from localnet.chain.retention import CollectionProgress, FolderCollector, chain_roots, forget_states
from localnet.ledger.index import ChainIndex
from store.blockstore import BlockNotFound, StoreFull, StoreIOError, get_object
from store.codec import unlink
from store.links import reachable
from store.rocks.collector import CollectionResult, GarbageCollector
from store.rocks.database import RocksStore
from tests.localnet.conftest import ARTIFACTS

FIL = 10**18


def collect(folder: Path, states: int | None = None) -> CollectionResult:
    with RocksStore.open(folder) as store:
        if states is not None:
            forget_states(store, states)
        done = GarbageCollector(store, lambda: chain_roots(store)).run()
    assert done is not None
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Create a chain whose second account got 1 FIL in each of five blocks."""
    with Network(tmp_path) as network:
        for _ in range(5):
            network.send(network.accounts[1].address, value=FIL)
    return tmp_path


@pytest.mark.slow
def test_all_reachable_chain_data_survives_garbage_collection(folder: Path) -> None:
    collect(folder)
    with Network(folder) as network:
        recipient = network.accounts[1].delegated
        balances = []
        for height in range(network.block_number + 1):
            state = network.chain.machine_at(network.block(height)).actor(recipient)
            assert state is not None
            balances.append(state.balance - 10_000 * FIL)
        assert balances == [number * FIL for number in range(6)]
        hashes = network.head.transactions
        assert network.trace(hashes[0]).as_json()["reproduced"]


@pytest.mark.slow
def test_receipt_events_survive_garbage_collection(tmp_path: Path) -> None:
    with Network(tmp_path) as network:
        inbox = network.deploy(ARTIFACTS / "Inbox.json")
        (event,) = inbox.send("greet", "hi").logs
    for _ in range(2):
        with RocksStore.open(tmp_path, read_only=True) as store:
            _, _, (_, _, (receipt,)) = get_object(store, ChainIndex(store).tipset(2).receipts)
            _, _, count, (_, _, ((_, entries),)) = get_object(store, unlink(receipt[3]))
        assert count == 1
        assert {key: value for _, key, _, value in entries}["t1"] == event.log.topics[0]
        collect(tmp_path)


@pytest.mark.slow
def test_states_before_window_are_dropped_but_history_remains(folder: Path) -> None:
    whole = collect(folder)
    window = collect(folder, states=2)
    assert window.dropped > 0
    assert window.retained == whole.retained - window.dropped
    with Network(folder) as network:
        first, oldest = network.block(1), network.block(4)
        assert network.trace(oldest.transactions[0]).as_json()["reproduced"]
        state = network.chain.machine_at(oldest).actor(network.accounts[1].delegated)
        assert state is not None
        assert state.balance == 10_004 * FIL
        assert network.receipt(first.transactions[0]).succeeded
        with pytest.raises(InvalidInput, match=r"the state of block 1 was collected: .* from block 4 on"):
            network.chain.machine_at(first)
        with pytest.raises(InvalidInput, match="block 3 was collected"):
            network.go_back(network.block(3))
        with pytest.raises(BlockNotFound):
            network.machine.store.get(first.state)
        assert network.balance(network.accounts[1].address) == 10_005 * FIL
        network.send(network.accounts[1].address, value=FIL)
        assert network.balance(network.accounts[1].address) == 10_006 * FIL


@pytest.mark.slow
def test_collection_keeps_genesis_state_for_reset(folder: Path) -> None:
    collect(folder, states=1)
    with Network(folder) as network:
        network.go_back(network.block(0))
        assert network.balance(network.accounts[1].address) == 10_000 * FIL
        assert network.send(network.accounts[1].address, value=FIL).succeeded
    assert collect(folder, states=1).dropped > 0


@pytest.mark.slow
def test_the_messages_of_all_blocks_stay(folder: Path) -> None:
    collect(folder, states=1)
    with RocksStore.open(folder, read_only=True) as store:
        index = ChainIndex(store)
        counts = []
        for height in range(index.head + 1):
            messages = unlink(get_object(store, index.tipset(height).block)[10])
            # the field's place: lotus BlockHeader; with messages there are more blocks below it
            counts.append(len(reachable(store, [messages])))
        assert counts[0] < min(counts[1:])


@pytest.mark.slow
def test_larger_state_window_restores_no_dropped_states(folder: Path) -> None:
    collect(folder, states=2)
    collect(folder, states=4)
    with RocksStore.open(folder, read_only=True) as store:
        assert ChainIndex(store).retained == 4


@pytest.mark.slow
def test_second_collection_drops_nothing(folder: Path) -> None:
    collect(folder, states=1)
    assert collect(folder, states=1).dropped == 0


@pytest.mark.slow
def test_reverted_blocks_are_collected(folder: Path) -> None:
    before = collect(folder).retained
    with Network(folder) as network:
        snapshot = network.snapshot()
        network.send(network.accounts[2].address, value=FIL)
        network.revert(snapshot)
    after = collect(folder)
    assert after.retained == before
    assert after.dropped > 0


def test_a_folder_without_a_chain_names_no_roots_of_its_own(tmp_path: Path) -> None:
    with RocksStore.open(tmp_path) as store:
        roots = chain_roots(store)
        assert list(roots.deep) == list(roots.shallow) == []
        with pytest.raises(InvalidInput, match="expected at least 1"):
            forget_states(store, 0)
        forget_states(store, 1)
        assert ChainIndex(store).retained == 0


# --- beside a network that goes on ------------------------------------------------------------------------------------


def finished(folder_collector: FolderCollector, states: int | None = None) -> CollectionResult:
    """Run a collection in the smallest steps."""
    while (turn := folder_collector.collect(0, states)).done is None:
        pass
    return turn.done


@pytest.mark.slow
def test_a_network_collects_its_own_folder_between_its_blocks(folder: Path) -> None:
    with Network(folder) as network:
        folder_collector = FolderCollector(network)
        turns = 0
        while (turn := folder_collector.collect(0, 2)).done is None:
            network.send(network.accounts[2].address, value=FIL)
            turns += 1
        assert turns > 2
        assert turn.done.dropped > 0
        assert network.balance(network.accounts[2].address) == (10_000 + turns) * FIL
        network.send(network.accounts[2].address, value=FIL)
    whole = collect(folder)
    with Network(folder) as network:
        assert network.balance(network.accounts[1].address) == 10_005 * FIL
    assert whole.retained == collect(folder).retained


@pytest.mark.slow
def test_failed_commit_that_was_applied_updates_retained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The collection reports the error and does not start. The released states count as collected."""
    with Network(folder) as network:
        collector = FolderCollector(network)
        with monkeypatch.context() as patch:
            patch.setattr(collector, "_store", _LateFailure(collector._store))
            with pytest.raises(StoreIOError):
                collector.collect(60, 1)
        assert network.chain.index.retained == network.block_number == 5
        with pytest.raises(InvalidInput, match="block 4 was collected"):
            network.go_back(network.block(4))
        assert collector._store.collection is None
        assert finished(collector, 1).dropped > 0


class _LateFailure:
    """A store whose commits fail after they were applied."""

    def __init__(self, store: RocksStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def commit(self, *changes: Any) -> None:
        self._store.commit(*changes)
        raise StoreIOError("the disk fails")


@pytest.mark.slow
def test_a_snapshot_keeps_its_own_state_alone(folder: Path) -> None:
    with Network(folder) as network:
        snapshot = network.snapshot()
        network.mine(5)
        finished(FolderCollector(network), 1)
        assert network.chain.index.retained == 10
        with pytest.raises(InvalidInput, match="block 5 was collected"):
            network.go_back(network.block(5))
        assert network.revert(snapshot)
        assert (network.block_number, network.chain.index.retained) == (5, 5)
        assert network.balance(network.accounts[1].address) == 10_005 * FIL
        assert network.trace(network.head.transactions[0]).as_json()["reproduced"]
        assert network.send(network.accounts[1].address, value=FIL).succeeded
        network.mine(5)
        network.go_back(network.block(5))
        network.mine(6)
        finished(FolderCollector(network), 1)
        assert network.chain.index.retained == network.block_number == 11


@pytest.mark.slow
def test_retention_collects_by_itself_once_it_is_worth_it(folder: Path) -> None:
    with Network(folder) as network:
        folder_collector = FolderCollector(network, 16)
        assert folder_collector.turn(0) is None
        network.mine(1)
        assert folder_collector.turn(0) is None
        network.mine(1)
        turn: CollectionProgress | None = folder_collector.turn(0)
        while turn is not None and turn.done is None:
            turn = folder_collector.turn(0)
        assert turn is not None
        assert folder_collector.turn(0) is None
        assert FolderCollector(network).turn(0) is None


@pytest.mark.slow
def test_network_continues_during_folder_compaction(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compaction rewrites the whole folder, which takes minutes for a large one."""
    may_end, compact = Event(), RocksStore.compact

    def held(store: RocksStore) -> None:
        assert may_end.wait(60)
        compact(store)

    monkeypatch.setattr(RocksStore, "compact", held)
    with Network(folder) as network:
        folder_collector = FolderCollector(network)
        while (turn := folder_collector.collect(0, 2)).phase != "compact":
            assert turn.done is None
        assert network.send(network.accounts[1].address, value=FIL).succeeded
        assert folder_collector.collect(0, 2) == turn
        assert folder_collector.turn(0) is None
        may_end.set()
        done = finished(folder_collector, 2)
        assert (done.retained, done.dropped) == (turn.retained, turn.dropped)
        assert done.dropped > 0
        assert finished(folder_collector, 2).dropped > 0  # of the block that was made meanwhile


@pytest.mark.slow
def test_compaction_failure_is_raised_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: RocksStore) -> None:
        raise StoreFull("no room")

    with Network(folder) as network:
        folder_collector = FolderCollector(network)
        with monkeypatch.context() as patched:
            patched.setattr(RocksStore, "compact", full)
            with pytest.raises(StoreFull, match="no room"):
                finished(folder_collector)
        finished(folder_collector)


@pytest.mark.slow
def test_automatic_retention_does_not_wait_for_compaction(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RocksStore, "compact", lambda _: pytest.fail("it compacts"))
    with Network(folder) as network:
        folder_collector = FolderCollector(network, 2)
        network.mine(4)
        while (turn := folder_collector.turn(0)) is not None and turn.done is None:
            pass
        assert turn is not None
        assert turn.done is not None
        assert turn.done.dropped > 0


@pytest.mark.slow
def test_collection_starts_after_proportional_chain_growth(tmp_path: Path) -> None:
    with Network(tmp_path) as network:
        network.mine(80)
        folder_collector = FolderCollector(network, 1)
        network.mine(10)
        assert folder_collector.turn(0) is None
        network.mine(2)  # 92, of which an eighth are 11.5
        turn = folder_collector.turn(0)
        assert turn is not None
        while turn is not None and turn.done is None:
            network.mine(1)
            turn = folder_collector.turn(0)
        assert network.chain.index.retained >= 91


@pytest.mark.slow
def test_a_folder_can_be_left_while_it_gives_space_back(folder: Path) -> None:
    network = Network(folder)
    folder_collector = FolderCollector(network)
    while folder_collector.collect(0, 2).phase != "compact":
        pass
    network.close()
    with Network(folder) as again:
        assert again.balance(again.accounts[1].address) == 10_005 * FIL


@pytest.mark.slow
def test_a_folder_under_ethereums_rules_can_be_collected(tmp_path: Path) -> None:
    with Network(tmp_path, rules="ethereum") as network:
        for _ in range(3):
            network.send(network.accounts[1].address, value=1)
        assert finished(FolderCollector(network), 1).dropped > 0
        balance = network.balance(network.accounts[1])
    with Network(tmp_path) as again:
        assert again.balance(again.accounts[1]) == balance


@pytest.mark.slow
def test_only_a_folder_of_its_own_has_garbage(folder: Path) -> None:
    with Network() as network, pytest.raises(InvalidInput, match="needs a network in a folder that is not a fork"):
        FolderCollector(network)
    with Network(folder) as network, pytest.raises(InvalidInput, match="retained states is 0"):
        FolderCollector(network, 0)
