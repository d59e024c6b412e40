"""What a collection keeps of a chain."""

from __future__ import annotations

from pathlib import Path

import pytest

from localnet import Network
from localnet.index import ChainIndex
from localnet.retention import chain_roots
from store.blockstore import BlockNotFound, get_object
from store.codec import unlink
from store.collector import Collected, Collector
from store.rocks import RocksStore
from tests.localnet.conftest import ARTIFACTS

FIL = 10**18


def collect(folder: Path, states: int | None = None) -> Collected:
    with RocksStore.open(folder) as store:
        done = Collector(store, lambda: chain_roots(store, states)).run()
    assert done is not None
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A chain whose second account got 1 FIL in each of five blocks."""
    with Network(tmp_path) as network:
        for _ in range(5):
            network.send(network.accounts[1].address, value=FIL)
    return tmp_path


def test_everything_that_a_chain_reached_is_there_after_a_collection(folder: Path) -> None:
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


def test_the_events_that_a_receipt_names_are_there_before_and_after_a_collection(tmp_path: Path) -> None:
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


def test_states_before_the_window_go_and_what_happened_then_is_still_known(folder: Path) -> None:
    whole = collect(folder)
    window = collect(folder, states=2)
    assert window.dropped > 0
    assert window.kept == whole.kept - window.dropped
    with Network(folder) as network:
        first = network.block(1)
        assert network.receipt(first.transactions[0]).succeeded
        with pytest.raises(BlockNotFound):
            network.chain.machine_at(first).actor(network.accounts[1].delegated)
        assert network.balance(network.accounts[1].address) == 10_005 * FIL
        network.send(network.accounts[1].address, value=FIL)
        assert network.balance(network.accounts[1].address) == 10_006 * FIL


def test_a_second_collection_finds_nothing_to_drop(folder: Path) -> None:
    collect(folder, states=1)
    assert collect(folder, states=1).dropped == 0


def test_what_was_reverted_goes(folder: Path) -> None:
    before = collect(folder).kept
    with Network(folder) as network:
        snapshot = network.snapshot()
        network.send(network.accounts[2].address, value=FIL)
        network.revert(snapshot)
    after = collect(folder)
    assert after.kept == before
    assert after.dropped > 0


def test_a_folder_without_a_chain_names_no_roots_of_its_own(tmp_path: Path) -> None:
    with RocksStore.open(tmp_path) as store:
        roots = chain_roots(store)
        assert list(roots.deep) == list(roots.shallow) == []
        with pytest.raises(ValueError, match="at least the head's"):
            chain_roots(store, 0)
