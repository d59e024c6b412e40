"""The state of actors as a tree: schema names, paging, proofs."""

import io
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from bridge.ethereum.addresses import EthAddress, to_filecoin
from hypervisor.types import ActorID
from localnet import Network
from localnet.contracts.artifacts import ArtifactFolders
from localnet.explorer.state_pages import variables_of
from localnet.rpc.node import Node
from store.car.files import read_car
from tests.explorer.stage import ARTIFACTS, Stage
from tests.localnet.conftest import Clock
from tests.localnet.explorer.conftest import Visitor


def test_a_state_has_the_names_of_its_schema_and_leads_further(visit: Visitor) -> None:
    page = visit("/actor/f03/state")
    assert (page.status, "/actor/f03/state/entries" in page.links) == (200, True)
    entries = visit("/actor/f03/state/entries")
    assert "/actor/f03/state/entries/0" in entries.links
    receiver = visit("/actor/f03/state/entries/0")  # power's OnEpochTickEnd
    assert "f04" in receiver.text.split()
    assert "receiver" in receiver.text.split()
    assert visit("/actor/f03/state/entries/0/receiver").text.count("f04") >= 1


def test_the_slots_of_a_contract_are_entries_of_a_map(stage: Stage, visit: Visitor) -> None:
    page = visit(f"/actor/0x{stage.bridge.address.hex()}/state/contract_state")
    assert (page.status, "KAMT5" in page.text) == (200, True)
    assert "0x" + "00" * 32 in page.text  # lastExit, the first variable of the contract
    assert "0x2a" in page.text  # 42, the exit code that `tryFail` caught


def test_the_state_of_an_older_epoch_is_as_it_was(stage: Stage, visit: Visitor) -> None:
    caught = stage.network.receipt(bytes.fromhex(stage.messages["caught"][2:])).block_number
    at = f"/actor/0x{stage.bridge.address.hex()}/state/contract_state"
    assert "0x2a" not in visit(f"{at}?at={caught - 1}").text
    assert "0x2a" in visit(f"{at}?at={caught}").text
    assert visit(f"{at}?at=999999").status == 404


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/actor/f03/state/nothing", 404),
        ("/actor/f03/state/entries/99", 404),
        ("/actor/f0999/state", 404),
        ("/actor/x/state", 400),
        ("/actor/f04/state/claims/zzz", 400),
        ("/actor/f04/state/claims?after=zzz", 400),
        ("/actor/f03/state?at=x", 400),
        ("/actor/f03/state/" + quote("<script>"), 404),
    ],
)
def test_missing_path_returns_404_and_invalid_key_400(visit: Visitor, address: str, status: int) -> None:
    assert visit(address).status == status


def test_a_proof_has_the_blocks_from_the_root_to_the_place(stage: Stage, visit: Visitor) -> None:
    result = visit("/actor/f03/proof/entries")
    assert result.headers["content-type"] == "application/vnd.ipld.car"
    car = read_car(io.BytesIO(result.body))
    network = stage.network
    found = dict(car)
    actor = network.machine.state_tree.get_actor(ActorID(3))
    assert actor is not None
    assert (list(car.roots), {network.head.state, actor.head} <= found.keys()) == ([network.head.state], True)


@pytest.mark.slow
def test_multi_block_map_pages_have_no_gaps_or_duplicates(stage: Stage, visit: Visitor) -> None:
    new = [EthAddress(number.to_bytes(20, "big")) for number in range(5_000, 5_210)]
    for address in new:
        stage.network.send(address, 1)
    seen, address_of_page = list[str](), "/actor/f01/state/address_map"
    pages = 0
    while address_of_page:
        page = visit(address_of_page)
        assert (page.status, len(page.body) < 200_000) == (200, True), page.text
        seen += [text for text in page.text.split() if text.startswith(("f1", "f2", "f4"))]
        nexts = [attrs["href"] for tag, attrs in page.tags if tag == "a" and attrs.get("rel") == "next"]
        address_of_page, pages = (nexts[0] or "") if nexts else "", pages + 1
    assert pages >= 3
    assert len(seen) == len(set(seen))
    assert {str(to_filecoin(address)) for address in new} <= set(seen)


def test_slots_have_the_names_that_the_compiler_laid_out(tmp_path: Path) -> None:
    content = json.loads((ARTIFACTS / "Bridge.json").read_text())
    content["storageLayout"] = {  # as solc writes it
        "storage": [{"label": "lastExit", "slot": "0", "offset": 0, "type": "t_int256"}],
        "types": {"t_int256": {"encoding": "inplace", "label": "int256", "numberOfBytes": "32"}},
    }
    (tmp_path / "Bridge.json").write_text(json.dumps(content))
    with Network(clock=Clock()) as network:
        visit = Visitor(Node(network))
        bridge = network.deploy(tmp_path / "Bridge.json")
        network.set_storage(bridge.address, {0: 7})
        visit._pages._site.artifacts = ArtifactFolders([tmp_path])
        page = visit(f"/actor/0x{bridge.address.hex()}/state/contract_state")
        visit.node.close()
    assert "lastExit (int256)" in page.text


@pytest.mark.parametrize(
    "layout",
    [
        None,
        7,
        {"storage": 7},
        {"storage": [7, {}, {"label": 1}, {"label": "x", "slot": "-1"}, {"label": "x", "slot": "y"}]},
    ],
)
def test_invalid_storage_layout_yields_no_variables(layout: object) -> None:
    assert variables_of({"storageLayout": layout}) == {}
