"""Re-executed chains: each tipset has the receipts and the state of the chain."""

import dataclasses
from pathlib import Path

import pytest

from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from hypervisor.bundles.bundle import Bundle
from hypervisor.errors import InvalidInput
from localnet import Network
from localnet.chain.retention import chain_roots, forget_states
from localnet.ledger.index import changed_entries
from localnet.replay.past_replay import close_sources, replay_in_folder
from localnet.replay.replay import _OPEN, heights, replay
from store.cid import show
from store.rocks.collector import GarbageCollector
from store.rocks.database import RocksStore
from tests.conftest import data_file, kinds
from tests.localnet.conftest import ARTIFACTS, BUNDLE, Clock


def live(network: Network) -> None:
    """Make a chain with a contract, several messages in a block, and null rounds."""
    counter = network.deploy(ARTIFACTS / "Counter.json")
    counter.send("increment")
    network.mine(null_rounds=2)
    network.automine = False
    nonce = network.nonce(network.accounts[0])
    for number in range(3):
        message = Transaction(
            type=DYNAMIC_FEE,
            chain_id=network.chain_id,
            nonce=nonce + number,
            to=network.accounts[5].address,
            value=7,
            data=b"",
            gas_limit=5_000_000,
            max_fee=10**12,
            max_priority_fee=10**9,
        )
        network.submit(network.accounts[0].sign(message).raw())
    network.mine()
    network.automine = True
    network.send(network.accounts[1], 5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*kinds(), "ethereum"])
def test_replay_of_every_tipset_equals_the_chain(tmp_path: Path, kind: str) -> None:
    bundle = data_file(BUNDLE) if kind == "official" else None
    rules = "ethereum" if kind == "ethereum" else None
    with Network(tmp_path, bundle=bundle, rules=rules, clock=Clock()) as network:
        live(network)
        head = network.block_number
    found = heights(tmp_path)
    assert found[-1] == head
    assert 0 not in found
    done = [replay(tmp_path, height) for height in found]
    assert [tipset.difference for tipset in done] == [""] * len(found)
    assert sum(tipset.messages for tipset in done) == 6


def test_a_replayed_folder_is_closed_with_the_sources(tmp_path: Path) -> None:
    with Network(tmp_path, clock=Clock()) as network:
        height = network.send(network.accounts[1], 5).block_number
    assert replay_in_folder(tmp_path, height).difference == ""
    assert list(_OPEN) == [tmp_path]
    close_sources()
    assert not _OPEN


@pytest.mark.slow
def test_upgraded_chain_replays_with_actors_of_each_version(tmp_path: Path) -> None:
    plan = {3: (28, Bundle.embedded("supply-share"))}
    with Network(tmp_path, network=27, clock=Clock(), upgrades=plan) as network:
        counter = network.deploy(ARTIFACTS / "Counter.json")
        network.mine(4)
        counter.send("increment")
        assert network.version == 28
    assert [replay(tmp_path, height).difference for height in heights(tmp_path)] == [""] * 6


def test_replay_differs_after_manual_state_change(tmp_path: Path) -> None:
    with Network(tmp_path, clock=Clock()) as network:
        network.mine()
        network.set_balance(network.accounts[0], 5)
        network.mine()
    first, second = (replay(tmp_path, height) for height in (1, 2))
    assert "the chain has bafy" in first.difference
    assert second.difference == ""


@pytest.mark.slow
def test_replay_reports_different_receipts(tmp_path: Path) -> None:
    with Network(tmp_path, clock=Clock()) as network:
        network.send(network.accounts[1], 5)
        network.mine()
        one, other = network.block(1), network.block(2)
    with RocksStore.open(tmp_path) as store:
        store.commit((), {}, changed_entries(dataclasses.replace(one, receipts=other.receipts)))
    assert replay(tmp_path, 1).difference == f"receipts {show(one.receipts)}, the chain has {show(other.receipts)}"


@pytest.mark.slow
def test_replay_range_covers_heights_with_states(tmp_path: Path) -> None:
    with Network(tmp_path, clock=Clock()) as network:
        network.mine(5)
    assert heights(tmp_path, 2, 4) == [2, 3, 4]
    with RocksStore.open(tmp_path) as store:
        forget_states(store, 2)
        GarbageCollector(store, lambda: chain_roots(store)).run()
    assert heights(tmp_path, 2) == [4, 5]
    assert [replay(tmp_path, height).difference for height in heights(tmp_path)] == ["", ""]
    with pytest.raises(InvalidInput, match=r"has nothing to execute from 9 to 5: it has states from epoch [34] to 5"):
        heights(tmp_path, 9)
    with RocksStore.open(tmp_path / "empty") as store:
        assert store.metadata(b"head") is None
    with pytest.raises(InvalidInput, match="contains no chain"):
        heights(tmp_path / "empty")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*kinds(), "ethereum"])
def test_parallel_blocks_and_replays_match_single_process(tmp_path: Path, kind: str) -> None:
    bundle = data_file(BUNDLE) if kind == "official" else None
    rules = "ethereum" if kind == "ethereum" else None
    tipsets, gas = [], 1_200_000 if kind == "ethereum" else 50_000_000
    for workers in (1, 2):
        with Network(tmp_path / str(workers), bundle=bundle, rules=rules, clock=Clock(), parallel=workers) as network:
            network.automine = False
            for number in range(24):
                sender, receiver = network.accounts[number % 8], network.accounts[number % 8 ^ 1]
                message = Transaction(
                    DYNAMIC_FEE, network.chain_id, number // 8, receiver.address, 7, b"", gas, 10**12, 10**9
                )
                network.submit(sender.sign(message).raw())
            tipset = network.mine()
            assert len(tipset.transactions) == 24
            tipsets.append(tipset)
    assert tipsets[0] == tipsets[1]
    (height,) = heights(tmp_path / "1", 1)
    done = replay(tmp_path / "1", height, parallel=2)
    assert done.difference == ""
    assert done.parallel is not None
    assert done.parallel["workers"] == 2
    assert done.parallel["taken"] + done.parallel["executed_again"] > 0
