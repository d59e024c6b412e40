"""Chain snapshots in both forms of Filecoin's nodes, and networks that start from them."""

from pathlib import Path
from typing import Any

import pytest

from hypervisor.errors import InvalidInput
from localnet import Network
from localnet.chain.chain_snapshot import begin_from, network_of, read_chain_snapshot
from localnet.chain.retention import FolderCollector
from localnet.ledger.genesis import GenesisOptions
from store.blocks.memory import MemoryStore
from store.blockstore import put_object
from store.car.files import read_car, write_car
from store.car.transfer import export_car
from store.cid import Cid
from store.codec import decode, link, unlink
from store.rocks.database import RocksStore
from tests.command import run
from tests.conftest import bundle_file, data_file
from tests.localnet.conftest import ARTIFACTS, BUNDLE, Clock

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
