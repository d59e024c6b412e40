"""The page of an actor: found under each of its addresses, with its messages."""

import io
import json
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from bridge.ethereum.addresses import EthAddress, checksummed, masked_id, to_filecoin
from hypervisor import Address
from hypervisor.types import ActorID
from localnet import Network
from localnet.contracts.artifacts import ArtifactFolders
from localnet.explorer.actors import variables_of
from localnet.ledger.address_index import AddressIndex
from localnet.rpc.method_table import method_table
from localnet.rpc.node import Node
from store.car.files import read_car
from tests.explorer.stage import ARTIFACTS, FIL, Stage
from tests.localnet.conftest import Clock
from tests.localnet.explorer.conftest import Visit, Visitor
from tests.localnet.rpc.conftest import Client


@pytest.mark.slow
def test_an_actor_is_found_under_each_of_its_addresses(stage: Stage, visit: Visitor) -> None:
    network, contract = stage.network, stage.bridge.address
    actor = network.machine.state_tree.lookup_id(Address.delegated(10, contract))
    assert actor is not None
    forms = {
        f"f0{actor}",
        f"t0{actor}",
        checksummed(contract),
        f"0x{contract.hex()}",
        str(Address.delegated(10, contract)),
    }
    forms.add(f"0x{masked_id(actor).hex()}")
    titles = set()
    for form in forms:
        page = visit(f"/actor/{form}")
        assert page.status == 200, form
        titles.add(page.text.split("Type")[0])
        assert {f"f0{actor}", checksummed(contract), str(Address.delegated(10, contract))} <= set(page.text.split())
    assert len(titles) == 1
    assert "Bridge" in titles.pop()


@pytest.mark.slow
def test_an_account_is_found_under_its_key(stage: Stage, visit: Visitor) -> None:
    native = stage.network.accounts[1].native
    page = visit(f"/actor/{native}")
    assert (page.status, str(native) in page.text, "account 1" in page.text) == (200, True, True)
    assert "10,001 FIL" in page.text.replace("10001", "10,001")


def test_an_actor_has_its_messages_and_no_others(stage: Stage, visit: Visitor) -> None:
    links = visit(f"/actor/0x{stage.bridge.address.hex()}").links
    for name, hash_ in stage.messages.items():
        assert (f"/tx/{hash_}" in links) == (name != "native"), name


@pytest.mark.slow
def test_older_messages_are_searched_on(stage: Stage, visit: Visitor) -> None:
    network, target = stage.network, stage.network.accounts[7].address
    sent = [network.send(target, number + 1).hash.hex() for number in range(30)]
    page = visit(f"/actor/0x{target.hex()}")
    assert [f"/tx/0x{hash_}" in page.links for hash_ in sent] == [False] * 5 + [True] * 25
    (older,) = (link for link in page.links if "below=" in link)
    assert [f"/tx/0x{hash_}" in visit(older).links for hash_ in sent] == [True] * 5 + [False] * 25


@pytest.mark.parametrize(
    ("address", "status"),
    [("f0999999", 404), ("0x" + "77" * 20, 404), ("f1abc", 400), ("0x12", 400), ("%3Cscript%3E", 400), ("", 400)],
)
def test_address_without_actor_is_404_and_invalid_one_is_400(visit: Visitor, address: str, status: int) -> None:
    assert visit(f"/actor/{address}").status == status


def test_all_actors_are_listed(stage: Stage, visit: Visitor) -> None:
    machine = stage.network.machine
    links = set(visit("/actors").links)
    assert {f"/actor/f0{actor}" for actor, _ in machine.state_tree.actors()} <= links


def test_an_actor_has_its_events(stage: Stage, visit: Visitor) -> None:
    page = visit(f"/actor/0x{stage.bridge.address.hex()}")
    hash_ = stage.messages["caught"]
    (logged,) = stage.network.receipt(bytes.fromhex(hash_[2:])).logs
    assert logged.address == stage.bridge.address
    assert f"/tx/{hash_}#event-0" in page.links
    assert "Caught" in page.text.split("Events")[-1]
    assert "None emitted here" in visit(f"/actor/{stage.network.accounts[1].native}").text


@pytest.mark.slow
@pytest.mark.parametrize("indexed", [False, True])
def test_address_index_matches_chain_scan(stage: Stage, visit: Visitor, indexed: bool) -> None:
    network, bridge = stage.network, f"/actor/0x{stage.bridge.address.hex()}"
    expected = [link for link in visit(bridge).links if link.startswith("/tx/")]
    for _ in range(1_001):
        network.mine()
    with closing(AddressIndex()) as addresses:
        if indexed:
            visit.node.addresses = addresses
            while addresses.follow(network.chain.index):
                pass
        _check_both(stage, visit, bridge, expected, indexed)


def _check_both(stage: Stage, visit: Visitor, bridge: str, expected: list[str], indexed: bool) -> None:
    page = visit(bridge)
    assert [link for link in page.links if link.startswith("/tx/")] == (expected if indexed else [])
    older = [link for link in page.links if "below=" in link]
    assert bool(older) is not indexed
    if older:
        assert [link for link in visit(older[0]).links if link.startswith("/tx/")] == expected
    topic = stage.network.receipt(bytes.fromhex(stage.messages["caught"][2:])).logs[0].log.topics[0]
    assert visit(f"/search?q=0x{topic.hex()}").status == (302 if indexed else 404)


def at(stage: Stage, **query: str) -> str:
    return f"/actor/0x{stage.inbox.address.hex()}/call?{urlencode(query)}"


def request_of(page: Visit) -> tuple[str, Any]:
    """Return the request that the page's button sends."""
    (button,) = (attrs for tag, attrs in page.tags if tag == "button" and "data-rpc" in attrs)
    return str(button["data-rpc"]), json.loads(button["data-params"] or "")


def test_a_contract_has_a_form_for_each_function(stage: Stage, visit: Visitor) -> None:
    page = visit(at(stage))
    named = {attrs["value"] for tag, attrs in page.tags if tag == "input" and attrs.get("name") == "f"}
    assert {"greet(string)", "refuse(string)", "greetings()"} <= named


def test_a_function_that_reads_answers(stage: Stage, visit: Visitor) -> None:
    page = visit(at(stage, f="greetings()"))
    assert (page.status, page.text.split("greetings read ask ")[1].split()[0]) == (200, "1")  # of `two borders`
    assert not [attrs for tag, attrs in page.tags if tag == "button" and "data-rpc" in attrs]


def test_writing_function_is_simulated_then_sent_by_its_request(stage: Stage, visit: Visitor) -> None:
    account = stage.network.accounts[2].address
    query = {"f": "greet(string)", "a0": "hello, world", "value": "2fil", "from": checksummed(account)}
    page = visit(at(stage, **query))
    assert page.status == 200
    method, params = request_of(page)
    before, height = stage.network.balance(stage.inbox), stage.network.block_number
    sent = Client(visit.node)(method, *params)
    receipt = stage.network.receipt(bytes.fromhex(sent[2:]))
    assert (receipt.succeeded, receipt.candidate.sender) == (True, account)
    assert (stage.network.balance(stage.inbox) - before, receipt.block_number) == (2 * FIL, height + 1)
    assert stage.inbox.call("greetings") == 2


def test_failed_call_page_shows_revert_reason(stage: Stage, visit: Visitor) -> None:
    assert "not today" in visit(at(stage, f="refuse(string)", a0="not today")).text


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"f": "nothing()"}, 404),
        ({"f": "greet(string)", "a0": "x", "value": "1"}, 400),  # 1 what?
        ({"f": "greet(string)", "a0": "x", "from": "nobody"}, 400),
    ],
)
def test_invalid_call_form_is_refused(stage: Stage, visit: Visitor, query: dict[str, str], status: int) -> None:
    assert visit(at(stage, **query)).status == status


def test_a_native_method_answers_by_its_schema(visit: Visitor) -> None:
    page = visit("/actor/f07/call?f=Name")
    assert (page.status, "DataCap" in page.text) == (200, True)
    total = visit("/actor/f04/call?f=NetworkRawPower")
    assert total.status == 200, total.text


def test_a_native_method_is_sent_by_its_button(stage: Stage, visit: Visitor) -> None:
    account = stage.network.accounts[1]
    params = json.dumps({"to": "f06", "operator_data": "0x"})
    query = urlencode({"f": "Balance", "a0": '"f06"', "from": checksummed(account.address)})
    page = visit(f"/actor/f07/call?{query}")
    assert page.status == 200, page.text
    method, sent = request_of(page)
    assert method == "Filecoin.MpoolPushMessage"
    assert sent[0]["From"] == str(account.native)
    response = Client(visit.node)(method, *sent)
    found = visit(f"/message/{response['CID']['/']}")
    assert (found.status, "Succeeded" in found.text) == (200, True)
    assert "is not JSON" in visit(f"/actor/f07/call?f=Balance&a0={quote('{')}").text
    del params


def test_contract_page_without_abi_suggests_hypervisor_add_abi(stage: Stage, visit: Visitor) -> None:
    created = stage.network.send(None, 0, bytes.fromhex("600a80600b6000396000f3" + "00" * 10))
    assert created.contract_address is not None
    page = visit(f"/actor/0x{created.contract_address.hex()}/call")
    assert "hypervisor_addAbi" in page.text


def test_controls_page_forms_match_node_methods_and_parameters(visit: Visitor) -> None:
    page, methods = visit("/controls"), method_table()
    forms = [attrs for tag, attrs in page.tags if tag == "form" and "data-rpc" in attrs]
    assert len(forms) >= 9
    assert all(str(form["data-rpc"]) in methods for form in forms)


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
