"""Re-executed chains: each tipset has the receipts and the state of the chain."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from hypervisor.bundles.bundle import Bundle
from hypervisor.errors import InvalidInput
from localnet import Network
from localnet.chain.retention import FolderCollector, chain_roots, forget_states
from localnet.ledger.genesis import GenesisOptions
from localnet.ledger.index import changed_entries
from localnet.replay.folder_source import begin_from, network_of, read_chain_snapshot
from localnet.replay.past_replay import close_sources, replay_in_folder
from localnet.replay.replay import _OPEN, heights, replay
from store.blocks.memory import MemoryStore
from store.blockstore import put_object
from store.car.files import read_car, write_car
from store.car.transfer import export_car
from store.cid import Cid, show
from store.codec import decode, link, unlink
from store.rocks.collector import GarbageCollector
from store.rocks.database import RocksStore
from tests.command import run
from tests.conftest import bundle_file, data_file, kinds
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


@pytest.mark.slow
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


@pytest.mark.slow
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
@pytest.mark.parametrize("kind", kinds())
def test_parallel_blocks_and_replays_match_single_process(tmp_path: Path, kind: str) -> None:
    bundle = data_file(BUNDLE) if kind == "official" else None
    tipsets, gas = [], 50_000_000
    for workers in (1, 2):
        with Network(tmp_path / str(workers), bundle=bundle, clock=Clock(), parallel=workers) as network:
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


COUNTER = ARTIFACTS / "Counter.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, Cid, Network]:
    """Create a snapshot of a network on official actors; return the counter's address, the head header, the network."""
    folder = tmp_path_factory.mktemp("made")
    network = Network(folder / "chain", bundle=bundle_file(BUNDLE), clock=Clock())
    with network:
        counter = network.deploy(COUNTER)
        counter.send("increment")
        network.mine()
        head = network.head.block
    with RocksStore.open(folder / "chain", read_only=True) as store, (folder / "snapshot.car").open("wb") as file:
        export_car(store, [head], file)
    return folder / "snapshot.car", counter.address, head, network


def second_form(car: Path, folder: Path) -> Path:
    """Return the same snapshot with the map of FRC-0108 as its root."""
    with car.open("rb") as file:
        reader = read_car(file)
        (head,) = reader.roots
        blocks = list(reader)
    root = MemoryStore()
    metadata = put_object(root, {"Version": 2, "HeadTipsetKey": [link(head)], "F3Data": None})
    with (folder / "second.car").open("wb") as file:
        write_car(file, [metadata], [(metadata, root.get(metadata)), *blocks])
    return folder / "second.car"


@pytest.mark.slow
@pytest.mark.parametrize("form", [1, 2])
def test_a_network_begins_with_the_state_of_a_snapshot(made: Any, tmp_path: Path, form: int) -> None:
    data_file(BUNDLE)  # the network version is that of a known release
    car, counter, _, network = made
    found = run("car", "import", tmp_path / "chain", car if form == 1 else second_form(car, tmp_path), "--chain")
    assert found.exit_code == 0, found.output
    with Network(tmp_path / "chain", clock=Clock()) as again:
        assert again.block_number == network.head.height - 1
        assert again.contract(counter, COUNTER).call("number") == 1
        assert again.contract(counter, COUNTER).send("increment").succeeded
        assert (again.version, again.chain.record.name) == (28, network.chain.record.name)
    with Network(tmp_path / "chain", clock=Clock()) as again:
        assert again.contract(counter, COUNTER).call("number") == 2
        again.mine(2)
        folder_collector = FolderCollector(again)
        while (turn := folder_collector.collect(1, 1)).done is None:
            pass
        assert turn.done.dropped > 0
        assert again.contract(counter, COUNTER).send("increment").succeeded
    assert run("gc", tmp_path / "chain", "--states", 1).exit_code == 0
    with Network(tmp_path / "chain", clock=Clock()) as again:
        assert again.contract(counter, COUNTER).call("number") == 3


@pytest.mark.slow
def test_chain_snapshot_head_is_read(made: Any, tmp_path: Path) -> None:
    data_file(BUNDLE)
    car, _, head, network = made
    with RocksStore.open(tmp_path / "store") as store:
        assert run("car", "verify", car).exit_code == 0
        with car.open("rb") as file:
            store.put_many(read_car(file))
        snapshot = read_chain_snapshot(store, [head])
        assert (snapshot.version, snapshot.height, snapshot.blocks) == (1, network.head.height, (head,))
        assert (snapshot.timestamp, snapshot.base_fee) == (network.head.timestamp, network.head.base_fee)
        assert snapshot.state == network.head.before
        assert network_of(store, snapshot) == 28
        begin_from(store, snapshot, 28)
        with pytest.raises(InvalidInput, match="already contains a state"):
            begin_from(store, snapshot, 28)


@pytest.mark.slow
def test_folder_with_state_imports_no_snapshot_and_no_blocks(made: Any, tmp_path: Path) -> None:
    car, _, head, _ = made
    with Network(tmp_path / "chain", clock=Clock()):
        pass
    found = run("car", "import", tmp_path / "chain", car, "--chain")
    assert (found.exit_code, "already contains a state" in found.stderr) == (2, True)
    with RocksStore.open(tmp_path / "chain") as store:
        assert not store.has(head)
    found = run("car", "import", tmp_path / "new", car, "--network", "nv28")
    assert "--network needs a chain snapshot: pass --chain" in found.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "value",
    [
        [1, 2],
        {"Version": 2},
        {"Version": 3, "HeadTipsetKey": []},
        {"Version": 2, "HeadTipsetKey": []},
        {"Version": "x", "HeadTipsetKey": []},
        "text",
    ],
)
def test_invalid_chain_snapshot_is_rejected(value: Any) -> None:
    store = MemoryStore()
    with pytest.raises(InvalidInput, match="snapshot"):
        read_chain_snapshot(store, [put_object(store, value)])
    with pytest.raises(InvalidInput, match="snapshot"):
        read_chain_snapshot(store, [])


@pytest.mark.slow
def test_blocks_of_different_tipsets_are_no_head(made: Any) -> None:
    car, _, head, _ = made
    store = MemoryStore()
    with car.open("rb") as file:
        store.put_many(read_car(file))
    other = decode(store.get(head))
    other[7] += 1
    with pytest.raises(InvalidInput, match="belong to different tipsets"):
        read_chain_snapshot(store, [head, put_object(store, other)])


@pytest.mark.slow
def test_snapshot_network_has_chain_id_of_name_and_fees_of_head(tmp_path: Path) -> None:
    genesis = GenesisOptions(name="calibrationnet")
    with Network(tmp_path / "made", bundle=data_file(BUNDLE), clock=Clock(), genesis=genesis) as network:
        network.mine()
        network.set_next_base_fee(5_000)
        network.mine()
        head = network.head
    with RocksStore.open(tmp_path / "made", read_only=True) as store, (tmp_path / "made.car").open("wb") as file:
        export_car(store, [head.block], file)
    assert run("car", "import", tmp_path / "new", tmp_path / "made.car", "--chain").exit_code == 0
    with Network(tmp_path / "new", clock=Clock()) as again:
        assert again.chain_id == 314159  # facts of the network: calibration's
        assert (again.base_fee, head.base_fee) == (5_000, 5_000)


def test_snapshot_without_parent_header_is_refused(made: Any) -> None:
    car, _, head, _ = made
    (parent,) = [unlink(parent) for parent in decode(dict_of(car)[head])[5]]
    store = MemoryStore()
    store.put_many((cid, data) for cid, data in dict_of(car).items() if cid != parent)
    with pytest.raises(InvalidInput, match="lacks the header bafy"):
        begin_from(store, read_chain_snapshot(store, [head]), 28)


def dict_of(car: Path) -> dict[Cid, bytes]:
    with car.open("rb") as file:
        return dict(read_car(file))


@pytest.mark.slow
def test_a_state_with_other_actors_needs_the_network_version(tmp_path: Path) -> None:
    with Network(tmp_path / "own", network=27, clock=Clock()) as network:
        network.mine(2)
        head = network.head.block
    with RocksStore.open(tmp_path / "own", read_only=True) as store, (tmp_path / "own.car").open("wb") as file:
        export_car(store, [head], file)
    found = run("car", "import", tmp_path / "new", tmp_path / "own.car", "--chain")
    assert (found.exit_code, "pass the network version" in found.stderr) == (2, True)
    assert run("car", "import", tmp_path / "new", tmp_path / "own.car", "--chain", "--network", "nv27").exit_code == 0
    with Network(tmp_path / "new", clock=Clock()) as again:
        assert again.version == 27
        again.mine()
