"""`hypervisor replay`."""

import base64
import gzip
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from hypervisor.bundles.bundle import Bundle
from hypervisor_tools.laboratory.vectors.files import BundleFolder
from hypervisor_tools.laboratory.vectors.run_files import run_file
from localnet import Network
from localnet.replay.replay import heights
from localnet.rpc.server.server import serving
from store.car.files import read_car, write_car
from store.car.transfer import export_car
from store.cid import Cid, parse_cid, show
from store.rocks.database import RocksStore
from store.untrusted import gunzip
from tests.command import run
from tests.conftest import bundle_file, bundle_folder, fvm_data, kinds
from tests.hypervisor_tools.cli.lotus_node import LotusNode, served
from tests.localnet.conftest import ARTIFACTS, BUNDLE, Clock
from tests.localnet.replay.test_replay import live


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a chain of six blocks, the third of them changed by hand."""
    folder = tmp_path_factory.mktemp("chain")
    with Network(folder, clock=Clock()) as network:
        for _ in range(3):
            network.send(network.accounts[1], 5)
        network.set_balance(network.accounts[0], 10**21)
        for _ in range(3):
            network.send(network.accounts[1], 5)
    return folder


@pytest.mark.slow
def test_replay_command_reports_differing_tipsets(chain: Path) -> None:
    found = run("replay", chain, "--workers", 1)
    assert found.exit_code == 1
    line, summary = found.stdout.splitlines()
    assert line.startswith("3: state bafy")
    assert summary == "6 tipsets with 6 messages, 1 different"
    assert run("replay", chain, "--from", 4, "--workers", 1).exit_code == 0
    one = run("replay", chain, "--from", 4, "--to", 4, "--workers", 1).stdout
    assert one == "1 tipset with 1 message, 0 different\n"


@pytest.mark.slow
def test_processes_answer_as_one_process_does(chain: Path) -> None:
    serial = run("replay", chain, "--workers", 1, "--json").stdout
    assert [json.loads(line)["height"] for line in serial.splitlines()] == heights(chain)
    assert run("replay", chain, "--workers", 2, "--json").stdout == serial


@pytest.mark.slow
def test_parallel_replay_matches_serial_and_reports_conflicts(tmp_path: Path) -> None:
    with Network(tmp_path, clock=Clock(), parallel=2) as network:
        counter = network.deploy(ARTIFACTS / "Counter.json")
        network.automine = False
        data = counter.interface.encode_call("increment")
        for account in network.accounts:
            gas, nonce = 50_000_000, network.nonce(account)
            message = Transaction(DYNAMIC_FEE, network.chain_id, nonce, counter.address, 0, data, gas, 10**12, 10**5)
            network.submit(account.sign(message).raw())
        assert len(network.mine().transactions) == 10
    serial, beside = run("replay", tmp_path, "--json"), run("replay", tmp_path, "--parallel", 2, "--json")
    assert serial.exit_code == beside.exit_code == 0
    first, second = ([json.loads(line) for line in found.stdout.splitlines()] for found in (serial, beside))
    told = [tipset.pop("parallel") for tipset in second][-1]
    assert first == second
    assert (told["workers"], told["taken"], told["executed_again"]) == (2, 0, 5)
    actor = told["conflicts"][0]["actor"]
    assert told["conflicts"][0] == {"message": 1, "actor": actor, "fields": ["state"], "slots": ["0x0"]}
    shown = run("replay", tmp_path, "--parallel", 2).stdout.splitlines()
    assert shown[-3:-1] == [
        "2: of 10 messages 0 taken from workers, 5 executed again",
        f"  {actor} slot 0x0  .x.x.x.x.x",
    ]
    refused = run("replay", tmp_path, "--parallel", 257)
    assert refused.exit_code == 2


NETWORK = 28
CHANGED = 7
"""Epoch after which a state was changed by hand."""


@pytest.fixture(scope="module")
def made_chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
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


@pytest.mark.slow
def test_snapshot_replay_matches_headers(made_chain: Path, tmp_path: Path) -> None:
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
    with (folder / "snapshot.car").open("rb") as file:
        blocks = dict(read_car(file))
    with (folder / "headed.car").open("wb") as file:
        write_car(file, [head], blocks.items())
    return folder / "headed.car"


@pytest.mark.slow
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


@pytest.mark.slow
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


EPOCH, NULL_ROUND = 5, 3
"""A tipset after two null rounds, and one of those rounds; the next tipset has three messages (`live`)."""


@dataclass
class Made:
    """A closed folder with a chain, and the hashes of its transactions."""

    folder: Path
    bundle: Path | None
    hashes: list[str]
    head: int

    def open(self) -> Network:
        return Network(self.folder, clock=Clock(1_800_000_000), evm="official" if self.official else "fast")

    @property
    def official(self) -> bool:
        return self.bundle is not None


@pytest.fixture(scope="module", params=kinds())
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    bundle = bundle_file(BUNDLE) if request.param == "official" else None
    folder = tmp_path_factory.mktemp("made")
    with Network(folder, bundle=bundle, evm="fast" if bundle is None else "official", clock=Clock()) as network:
        live(network)
        network.mine()
        head = network.block_number
        heights = [height for height in range(1, head + 1) if height not in (3, 4)]
        hashes = [f"0x{one.hex()}" for height in heights for one in network.block(height).transactions]
        return Made(folder, bundle, hashes, head)


def extracted(what: Any, path: Path, *source: Any) -> dict[str, Any]:
    found = run("extract", what, "--out", path, "--bundle-dir", bundle_folder(), *source)
    assert found.exit_code == 0, found.output
    vector: dict[str, Any] = json.loads(path.read_text())
    return vector


def passed(path: Path) -> list[str]:
    """Return the error of each variant."""
    return [record["error"] for record in run_file(path, bundle_folder())]


def blocks_of(vector: dict[str, Any]) -> dict[Cid, bytes]:
    return dict(read_car(io.BytesIO(gunzip(base64.b64decode(vector["car"])))))


@pytest.mark.slow
def test_extracted_tipset_vector_passes(made: Made, tmp_path: Path) -> None:
    vector = extracted(EPOCH, tmp_path / "tipset.json", "--state", made.folder)
    assert passed(tmp_path / "tipset.json") == [""]
    (tipset,) = vector["apply_tipsets"]
    before = vector["preconditions"]
    assert (vector["class"], before["variants"][0]["epoch"], tipset["epoch_offset"]) == ("tipset", 2, 3)
    assert [null["epoch_offset"] for null in tipset["null_rounds"]] == [1, 2]
    (block,) = tipset["blocks"]
    assert (block["win_count"], block["messages"]) == (1, [])
    # cron of two null rounds, the reward, cron
    assert [receipt["exit_code"] for receipt in vector["postconditions"]["receipts"]] == [0] * 4
    with made.open() as network:
        tipset_of_chain = network.block(EPOCH)
        assert vector["postconditions"]["state_tree"]["root_cid"] == {"/": show(tipset_of_chain.state)}
        assert vector["postconditions"]["receipts_roots"] == [{"/": show(tipset_of_chain.receipts)}]
        assert before["state_tree"]["root_cid"] == {"/": show(tipset_of_chain.before)}
        assert before["chain_id"] == network.chain_id


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tipset", "message"])
def test_vector_holds_exactly_the_blocks_that_are_read(made: Made, tmp_path: Path, kind: str) -> None:
    what = EPOCH + 1 if kind == "tipset" else made.hashes[1]
    vector = extracted(what, tmp_path / "whole.json", "--state", made.folder)
    blocks = blocks_of(vector)
    root = parse_cid(vector["preconditions"]["state_tree"]["root_cid"]["/"])
    for left_out in blocks:
        car = io.BytesIO()
        write_car(car, [root], [(cid, data) for cid, data in blocks.items() if cid != left_out])
        lacking = tmp_path / "lacking.json"
        lacking.write_text(json.dumps({**vector, "car": base64.b64encode(gzip.compress(car.getvalue())).decode()}))
        (problem,) = passed(lacking)
        assert show(left_out) in problem or "state has no" in problem, problem


@pytest.mark.slow
def test_vector_omits_the_built_in_actors(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their code comes from the chain while the vector is made, if no bundle is at hand."""
    path, empty = tmp_path / "vector.json", tmp_path / "empty"
    empty.mkdir()
    known = BundleFolder(bundle_folder())
    for what in (made.hashes[0], EPOCH + 1):
        vector = extracted(what, path, "--state", made.folder)
        with monkeypatch.context() as patch:
            patch.setattr("hypervisor_tools.laboratory.vectors.files.own_bundles", dict)
            again = run("extract", what, "--out", path, "--bundle-dir", empty, "--state", made.folder)
            assert again.exit_code == 0, again.output
            assert f"with the bundle {vector['bundle']['/']}" in again.stdout
            assert json.loads(path.read_text()) == vector
            lacking = run("conformance", path, "--bundle-dir", empty, "--workers", 1, "--json")
            assert lacking.exit_code == 1
            assert f"no bundle with the manifest {vector['bundle']['/']}" in lacking.stdout
        assert passed(path) == [""]
        assert path.stat().st_size < 100_000
        bundle = known.find(parse_cid(vector["bundle"]["/"]))
        assert bundle is not None
        assert not [cid for cid in blocks_of(vector) if bundle.has(cid)]


@pytest.mark.slow
def test_node_and_its_folder_give_the_same_vectors(made: Made, tmp_path: Path) -> None:
    for name, what in (("tipset", EPOCH + 1), ("message", made.hashes[4])):
        of_folder = extracted(what, tmp_path / f"{name}.json", "--state", made.folder)
        with made.open() as network, serving(network) as url:
            of_node = extracted(what, tmp_path / f"{name}-node.json", "--rpc-url", url)
        assert of_node == of_folder
    assert passed(tmp_path / "message-node.json") == passed(tmp_path / "tipset-node.json") == [""]


@pytest.mark.slow
def test_extracted_message_starts_after_preceding_messages(made: Made, tmp_path: Path) -> None:
    """The fourth message is the second of its tipset's three."""
    vector = extracted(made.hashes[3], tmp_path / "message.json", "--state", made.folder)
    with made.open() as network:
        receipt = network.receipt(bytes.fromhex(made.hashes[3][2:]))
        message = receipt.candidate.message
        assert vector["preconditions"]["state_tree"]["root_cid"] != {"/": show(receipt.tipset.before)}
        assert vector["preconditions"]["basefee"] == receipt.tipset.base_fee
        (applied,), (stated,) = vector["apply_messages"], vector["postconditions"]["receipts"]
        assert base64.b64decode(applied["bytes"]) == message.message.to_cbor()
        assert applied["raw_length"] == message.chain_length()
        assert (stated["exit_code"], stated["gas_used"]) == (receipt.exit_code, receipt.gas_used)
        by_cid = extracted(show(message.cid()), tmp_path / "by-cid.json", "--state", made.folder)
    assert by_cid == vector


@pytest.mark.slow
def test_lotus_node_is_queried_once_for_each_block(made: Made, tmp_path: Path) -> None:
    with made.open() as network:
        for what in (EPOCH + 1, EPOCH, made.hashes[4]):
            node = LotusNode(network)
            with served(node) as url:
                vector = extracted(what, tmp_path / "lotus.json", "--rpc-url", url)
            assert passed(tmp_path / "lotus.json") == [""]
            assert node.blocks
            assert set(node.blocks.values()) == {1}
            if made.official:  # the bundle is at hand: no actor's code is fetched
                bundle = BundleFolder(bundle_folder()).find(parse_cid(vector["bundle"]["/"]))
                assert bundle is not None
                assert not [cid for cid in node.blocks if bundle.has(cid)]


@pytest.mark.slow
def test_missing_epoch_or_message_is_one_error_and_no_file(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "none.json"
    empty = tmp_path / "empty"
    empty.mkdir()
    cases = {
        str(NULL_ROUND): "epoch 3 is a null round: the tipset before it is at 2",
        "99": f"has no epoch 99: it reaches from 0 to {made.head}",
        "0": "epoch 0 is the chain's first, where nothing is executed: name a later epoch",
        "0x" + "11" * 32: f"no message 0x{'11' * 32} was executed on the chain in",
        "nothing": "'nothing' is not a transaction's hash or a message's CID; pass 0x and 64 hex digits, or a CID",
    }
    with made.open() as network:
        node = LotusNode(network)
        with served(node) as url:
            for what, words in cases.items():
                found = run("extract", what, "--state", made.folder, "--out", out, "--bundle-dir", bundle_folder())
                assert (found.exit_code, words in found.stderr) == (2, True), found.stderr
                found = run("extract", what, "--rpc-url", url, "--out", out, "--bundle-dir", bundle_folder())
                assert (found.exit_code, found.stderr.count("\n")) == (2, 1), found.stderr
            node.methods["Filecoin.StateNetworkName"] = lambda: 7
            found = run("extract", "1", "--rpc-url", url, "--out", out)
            assert "returned a malformed result of Filecoin.StateNetworkName" in found.stderr
    found = run("extract", "1", "--state", empty / "none", "--out", out)
    assert (found.exit_code, "there is no folder" in found.stderr) == (2, True)
    found = run("extract", "1", "--state", made.folder, "--out", tmp_path / "no" / "file.json")
    assert (found.exit_code, f"the folder {tmp_path / 'no'} for the vector file.json" in found.stderr) == (2, True)
    assert list(tmp_path.glob("*.json*")) == []


@pytest.mark.slow
def test_block_that_is_not_its_cids_is_refused_by_name(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "none.json"
    with made.open() as network:
        node = LotusNode(network)
        with served(node) as url:
            extracted(EPOCH, tmp_path / "whole.json", "--rpc-url", url)
            for cid in [*node.blocks][::4]:
                node.damaged = {cid: b"damaged"}
                found = run("extract", EPOCH, "--rpc-url", url, "--out", out, "--bundle-dir", bundle_folder())
                assert found.exit_code == 1
                assert f"the remote returned bytes for block {show(cid)} that do not match its hash" in found.stderr
                assert not out.exists()
            lacking = next(iter(node.blocks))
            node.damaged = {}
            read = node.methods["Filecoin.ChainReadObj"]

            def without(link: dict[str, str]) -> str:
                if link["/"] == show(lacking):
                    raise LookupError(f"blockstore get: ipld: could not find {show(lacking)}")
                result: str = read(link)
                return result

            node.methods["Filecoin.ChainReadObj"] = without
            found = run("extract", EPOCH, "--rpc-url", url, "--out", out, "--bundle-dir", bundle_folder())
            assert (found.exit_code, f"block {show(lacking)} is not in the store" in found.stderr) == (1, True)
    assert not out.exists()


@pytest.fixture
def by_hand(tmp_path: Path) -> Path:
    """Create a chain whose head state was changed without a message."""
    with Network(tmp_path / "chain", clock=Clock()) as network:
        network.send(network.accounts[1], 5)
        network.set_balance(network.accounts[3], 7)
        network.mine()
    return tmp_path / "chain"


@pytest.mark.slow
def test_manually_edited_state_is_not_extracted(by_hand: Path, tmp_path: Path) -> None:
    out = tmp_path / "none.json"
    found = run("extract", 1, "--state", by_hand, "--out", out)
    assert found.exit_code == 1
    assert "epoch 1 differs from the chain after re-execution, state bafy" in found.stderr
    assert "no vector is written" in found.stderr
    assert not out.exists()
    assert run("extract", 2, "--state", by_hand, "--out", out).exit_code == 0


@pytest.mark.slow
def test_upgrade_and_other_rules_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "none.json"
    plan = {2: (28, Bundle.embedded("supply-share"))}
    with Network(tmp_path / "upgraded", network=27, clock=Clock(), upgrades=plan) as network:
        network.mine(3)
    found = run("extract", 3, "--state", tmp_path / "upgraded", "--out", out)
    assert (found.exit_code, "the network went from nv27 to nv28 before epoch 3" in found.stderr) == (2, True)
    with Network(tmp_path / "ethereum", rules="ethereum", clock=Clock()) as network:
        network.mine()
    found = run("extract", 1, "--state", tmp_path / "ethereum", "--out", out)
    assert (found.exit_code, "is under the rules 'ethereum': tipsets are Filecoin's" in found.stderr) == (2, True)
    assert not out.exists()


@pytest.mark.slow
def test_bundle_option_replaces_actors_named_by_vector(made: Made, tmp_path: Path) -> None:
    """Another build may differ in gas; the same build passes under any name."""
    path = tmp_path / "tipset.json"
    extracted(EPOCH + 1, path, "--state", made.folder)
    common = ["conformance", path, "--bundle-dir", bundle_folder(), "--workers", 1]
    assert run(*common, "--bundle", made.bundle or "own-v19").exit_code == 0
    found = run(*common, "--bundle", "own", "--json")
    (record,) = map(json.loads, found.stdout.splitlines())
    assert (found.exit_code, record["pass"], record["error"] == "") == (1, False, False)
    refused = run(*common, "--bundle", tmp_path / "none.car")
    assert (refused.exit_code, "none.car cannot be read" in refused.stderr) == (2, True), refused.stderr
