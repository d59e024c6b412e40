"""`hypervisor replay` of external chains: snapshots in a folder, and ranges of a node's chain."""

import json
from pathlib import Path
from typing import Any

import pytest

from localnet import Network
from localnet.rpc.server import serving
from store.car.transfer import export_car
from store.cid import show
from store.rocks.database import RocksStore
from tests.command import run
from tests.conftest import bundle_file, fvm_data
from tests.fvm_hypervisor.cli.lotus_node import LotusNode, served
from tests.localnet.conftest import BUNDLE, Clock
from tests.localnet.test_replay import live

pytestmark = pytest.mark.slow

NETWORK = 28
CHANGED = 7
"""Epoch after which a state was changed by hand."""


@pytest.fixture(scope="module")
def made_chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a chain with messages, null rounds at 3 and 4, and a manual change."""
    folder = tmp_path_factory.mktemp("made_chain") / "chain"
    official = fvm_data() is not None
    with Network(
        folder, bundle=bundle_file(BUNDLE), network=NETWORK, evm="official" if official else "fast", clock=Clock()
    ) as network:
        live(network)
        assert network.block_number == CHANGED
        network.set_balance(network.accounts[0], 10**21)
        network.mine()
        network.send(network.accounts[2], 5)
    return folder


def test_the_tipsets_of_a_snapshot_come_out_as_its_headers_say(made_chain: Path, tmp_path: Path) -> None:
    with Network(made_chain, clock=Clock(1_800_000_000), evm="official" if fvm_data() else "fast") as network:
        blocks = [network.block(height) for height in (1, 2, 5, 6, CHANGED, 8, 9)]
    with RocksStore.open(made_chain, read_only=True) as store, (tmp_path / "snapshot.car").open("wb") as file:
        kept = [cid for block in blocks for cid in (block.before, block.receipts)]
        export_car(store, [blocks[-1].block, *kept], file)
    folder = tmp_path / "imported"
    assert (
        run(
            "car", "import", folder, _headed(tmp_path, blocks[-1].block), "--chain", "--network", f"nv{NETWORK}"
        ).exit_code
        == 0
    )
    found = run("replay", folder, "--workers", 1)
    assert found.exit_code == 1, found.output
    *differences, summary = found.stdout.splitlines()
    assert [line.partition(":")[0] for line in differences] == [str(CHANGED)]
    assert f"state {show(blocks[4].state)}"[:10] in differences[0]
    assert summary == "6 tipsets with 6 messages, 1 different"
    assert (
        run("replay", folder, "--from", 1, "--to", 6, "--workers", 2).stdout
        == "4 tipsets with 5 messages, 0 different\n"
    )


def _headed(folder: Path, head: Any) -> Path:
    """Return the same file with only the head as its root, as exported by nodes."""
    from store.car.files import read_car, write_car

    with (folder / "snapshot.car").open("rb") as file:
        blocks = dict(read_car(file))
    with (folder / "headed.car").open("wb") as file:
        write_car(file, [head], blocks.items())
    return folder / "headed.car"


def test_node_range_replay_caches_fetched_blocks(made_chain: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with Network(made_chain, clock=Clock(1_800_000_000), evm="official" if fvm_data() else "fast") as network:
        node = LotusNode(network)
        with served(node) as url:
            first = run("replay", kept, "--fork-url", url, "--from", 1, "--workers", 1)
            assert first.exit_code == 1, first.output
            assert first.stdout.splitlines()[-1] == "6 tipsets with 6 messages, 1 different"
            assert first.stdout.startswith(f"{CHANGED}: state bafy")
            assert set(node.blocks.values()) == {1}
            node.blocks.clear()
            again = run("replay", kept, "--fork-url", url, "--from", 1, "--workers", 2, "--json")
            assert [json.loads(line)["height"] for line in again.stdout.splitlines()] == [1, 2, 5, 6, 7, 8]
            assert node.blocks == {}
            part = run("replay", "--fork-url", url, "--from", 3, "--to", 6, "--workers", 1)
            assert (part.exit_code, part.stdout) == (0, "2 tipsets with 3 messages, 0 different\n")
            assert node.blocks
            refused = run("replay", "--fork-url", url)
            assert (refused.exit_code, "needs a first epoch: pass --from" in refused.stderr) == (2, True)
            above = run("replay", "--fork-url", url, "--from", 99)
            assert (above.exit_code, "tipsets to execute from 1 to 9" in above.stderr) == (2, True)
        with serving(network) as url:  # our own node, whose head is executed already
            found = run("replay", "--fork-url", url, "--from", 8, "--to", 9, "--workers", 1)
            assert (found.exit_code, found.stdout) == (0, "2 tipsets with 1 message, 0 different\n")
    assert run("replay", tmp_path / "nowhere").exit_code == 2
    assert run("replay").exit_code == 2


def test_blocks_missing_on_node_are_reported_per_tipset(made_chain: Path) -> None:
    with Network(made_chain, clock=Clock(1_800_000_000), evm="official" if fvm_data() else "fast") as network:
        node = LotusNode(network)
        state = network.block(6).before
        read = node.methods["Filecoin.ChainReadObj"]

        def without(link: dict[str, str]) -> str:
            if link["/"] == show(state):
                raise LookupError(f"blockstore get: ipld: could not find {show(state)}")
            result: str = read(link)
            return result

        node.methods["Filecoin.ChainReadObj"] = without
        with served(node) as url:
            found = run("replay", "--fork-url", url, "--from", 5, "--to", 6, "--workers", 1)
    line, summary = found.stdout.splitlines()
    assert line.startswith("6: cannot be executed again: ")
    assert show(state) in line
    assert (found.exit_code, summary) == (1, "2 tipsets with 3 messages, 1 different")
