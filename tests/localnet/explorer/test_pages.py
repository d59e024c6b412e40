"""The pages' common frame: addresses, errors, headers, browser permissions."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from hypervisor.errors import InvalidInput
from hypervisor.messages.address import Address
from localnet import Network
from localnet.contracts.named_interface import MAX_INTERFACES
from localnet.explorer.application import explorer
from localnet.rpc.node import Node, NodeLimits
from localnet.rpc.server.server import serving
from localnet.state.controls import contract_state
from store.blockstore import StoreCorrupt
from store.cid import show
from tests.explorer.stage import ARTIFACTS, FIL, Stage
from tests.localnet.explorer.conftest import Visit, Visitor
from tests.localnet.rpc.server.test_http import ask, request

NO_HASH = "0x" + "99" * 32
NO_CID = "bafy2bzacea3wsdh6y3a36tb3skempjoxqpuyompjbmfeyf34fi3uy6uue42v4"


@pytest.mark.slow
def test_the_home_page_lists_the_newest_messages_and_tipsets(stage: Stage, visit: Visitor) -> None:
    stage.network.mine(null_rounds=3)
    home = visit("/")
    assert home.status == 200
    for hash_ in stage.messages.values():
        assert f"/tx/{hash_}" in home.links
    assert "3 null rounds" in home.text
    assert f"/epoch/{stage.network.block_number}" in home.links
    assert "tryFail" in home.text
    assert "account 0" in home.text


@pytest.mark.slow
def test_an_epoch_has_its_messages_and_its_neighbours(stage: Stage, visit: Visitor) -> None:
    receipt = stage.network.receipt(bytes.fromhex(stage.messages["caught"][2:]))
    epoch = visit(f"/epoch/{receipt.block_number}")
    assert f"/tx/{stage.messages['caught']}" in epoch.links
    assert {f"/epoch/{receipt.block_number + step}" for step in (-1, 1)} <= set(epoch.links)
    assert f"{receipt.gas_used:,}" in epoch.text


def test_a_null_round_is_a_page_that_names_its_neighbours(stage: Stage, visit: Visitor) -> None:
    before = stage.network.block_number
    stage.network.mine(null_rounds=2)
    null = visit(f"/epoch/{before + 1}")
    assert null.status == 200
    assert "null round" in null.text
    assert {f"/epoch/{before}", f"/epoch/{before + 3}"} <= set(null.links)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/nothing/here", "no page at this address"),
        ("/epoch/1000000", "above the head"),
        (f"/tx/{NO_HASH}", "is not on this chain"),
        (f"/tx/{NO_HASH}/calls.svg", "is not on this chain"),
        (f"/message/{NO_CID}", "no executed message of this chain"),
        (f"/block/{NO_CID}", "the store has no block"),
        ("/search?q=nosuchthing", "Nothing on this chain"),
        (f"/search?q={NO_HASH}", "Nothing on this chain"),
        ("/epoch/1000000/cron", "no tipset was executed"),
    ],
)
def test_missing_page_has_status_404(visit: Visitor, address: str, words: str) -> None:
    found = visit(address)
    assert (found.status, words in found.text) == (404, True), found.text
    assert found.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/epoch/-1", "expected a number"),
        ("/epoch/1e3", "expected a number"),
        ("/epoch/" + "9" * 300, "300 characters"),
        ("/tx/0x12", "64 hex digits"),
        ("/tx/<script>", "64 hex digits"),
        ("/message/bafy", "is not a CID"),
        ("/block/Qm", "is not a CID"),
        ("/search?q=f1zzz", "invalid address: "),
        ("/search?q=" + "a" * 300, "the limit is 200"),
        ("/epoch/1?from=x", "expected a number"),
        ("/?" + "&".join(f"a{number}=1" for number in range(30)), "more than 20 fields"),
        ("/" + "a" * 5000, "the limit is 4,096"),
    ],
)
def test_unreadable_address_returns_page_with_status_400(visit: Visitor, address: str, words: str) -> None:
    found = visit(address)
    assert (found.status, words in found.text) == (400, True), found.text


def test_search_redirects_to_page_of_query(stage: Stage, visit: Visitor) -> None:
    receipt = stage.network.receipt(bytes.fromhex(stage.messages["deposit"][2:]))
    tipset = receipt.tipset
    for text, place in {
        "3": "/epoch/3",
        stage.messages["deposit"]: f"/tx/{stage.messages['deposit']}",
        f"0x{tipset.hash.hex()}": f"/epoch/{tipset.height}",
        show(receipt.candidate.message.cid()): f"/message/{show(receipt.candidate.message.cid())}",
        show(tipset.block): f"/block/{show(tipset.block)}",
        "f04": "/actor/f04",
        "t04": "/actor/f04",
        "0x" + "12" * 20: "/actor/0x" + "12" * 20,
        "CreateMiner": "/search?q=storagepower",
    }.items():
        found = visit(f"/search?q={text}")
        assert (found.status, found.headers.get("location")) == (302, place), text


def test_a_search_for_a_topic_lists_the_messages_that_logged_it(stage: Stage, visit: Visitor) -> None:
    logs = stage.network.receipt(bytes.fromhex(stage.messages["caught"][2:])).logs
    found = visit(f"/search?q=0x{logs[0].log.topics[0].hex()}")
    assert (found.status, found.headers["location"]) == (302, f"/tx/{stage.messages['caught']}#events")


def test_pages_forbid_everything_but_our_own_script_and_style(visit: Visitor) -> None:
    page = visit("/")
    policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["cache-control"] == "no-store"
    assert not [attrs for _, attrs in page.tags for name in attrs if name.startswith("on") or name == "style"]


def test_flame_svg_content_security_policy_forbids_scripts(stage: Stage, visit: Visitor) -> None:
    picture = visit(f"/tx/{stage.messages['caught']}/flame.svg")
    assert picture.headers["content-type"] == "image/svg+xml"
    assert picture.headers["content-security-policy"].startswith(
        "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    )


def test_page_assets_exist_and_are_cached_by_tag(visit: Visitor) -> None:
    loaded = [
        attrs.get("src") or attrs.get("href") or "" for tag, attrs in visit("/").tags if tag in ("script", "link")
    ]
    assets = [address for address in loaded if address.startswith("/assets/")]
    assert len(assets) == 2
    for address in assets:
        assert (visit(address).status, visit(address).headers["cache-control"]) == (200, "max-age=31536000, immutable")
    assert visit("/assets/nothing.js").status == 404
    assert visit("/assets/../pages.py").status == 404


def test_other_methods_are_refused_and_head_has_no_body(visit: Visitor) -> None:
    assert (visit("/epoch/1", "DELETE").status, visit("/epoch/1", "DELETE").headers["allow"]) == (405, "GET, HEAD")
    head = visit("/epoch/1", "HEAD")
    assert (head.status, head.body, int(head.headers["content-length"]) > 500) == (200, b"", True)


def test_corrupt_data_returns_error_page(
    visit: Visitor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def damaged(*_: object) -> None:
        raise StoreCorrupt("the chain's index has no entry for height 3")

    index = visit.node.network.chain.index
    monkeypatch.setattr(type(index), "at", damaged)
    found = visit("/epoch/3")
    assert (found.status, "no entry for height 3" in found.text) == (500, True)
    assert "no entry for height 3" in caplog.text


def test_internal_error_is_logged_but_not_shown_to_the_visitor(
    visit: Visitor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(type(visit.node.network.chain.index), "at", lambda *_: 1 / 0)
    found = visit("/epoch/3")
    assert (found.status, "ZeroDivisionError" in found.text, "division" in found.text) == (500, True, False)
    assert "division by zero" in caplog.text


@pytest.mark.slow
def test_node_serves_pages_beside_rpc_and_keeps_its_checks() -> None:
    with Network() as network, serving(network, pages=explorer()) as url:
        network_id = ask(url, "eth_chainId")
        assert network_id == "0x1df5e76"
        status, headers, body = request(url, "GET", "/")
        assert (status, headers["content-type"], b"<!doctype html>" in body) == (200, "text/html; charset=utf-8", True)
        assert request(url, "GET", "/healthz")[0] == 200
        assert request(url, "GET", "/", Host="attacker.example")[0] == 403
        assert request(url, "GET", "/epoch/0", Origin="https://attacker.example")[0] == 403
        assert request(url, "POST", "/epoch/0", "{}")[0] == 405


@pytest.mark.slow
@pytest.mark.slow
def test_a_node_imports_pages_and_templates_on_first_use() -> None:
    program = """
import sys
import localnet.explorer.application, localnet.rpc.server.server
assert not {"jinja2", "localnet.explorer.pages"} & {*sys.modules}
import localnet.explorer.pages
assert not {"jinja2", "rich", "localnet.explorer.messages"} & {*sys.modules}
from localnet.explorer.site import render
render("bare.html", title="t", text="w")
assert "jinja2" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_explorer_pages_are_absent_from_plain_node() -> None:
    with Network() as network, serving(network) as url:
        assert request(url, "GET", "/")[0] == 405
        assert request(url, "GET", "/epoch/0")[0] == 404


@pytest.mark.slow
def test_a_page_that_takes_too_long_is_given_up() -> None:
    with Network() as network, serving(network, limits=NodeLimits(query=1e-9), pages=explorer()) as url:
        responses = (request(url, "GET", "/") for _ in range(100))  # one may be made before the time is looked at
        status, _, body = next(result for result in responses if result[0] != 200)
    assert (status, b"may take no longer" in body, b"--query-time" in body) == (503, True, True)


def test_transaction_page_disappears_with_reverted_block(stage: Stage, visit: Visitor) -> None:
    network = stage.network
    snapshot = network.snapshot()
    sent = network.send(network.accounts[2].address, FIL).hash.hex()
    assert visit(f"/tx/0x{sent}").status == 200
    network.revert(snapshot)
    assert visit(f"/tx/0x{sent}").status == 404


def test_a_message_that_waits_has_a_page(stage: Stage, visit: Visitor) -> None:
    network = stage.network
    network.automine = False
    transaction = network.accounts[0].sign
    from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction

    waiting = network.submit(
        transaction(
            Transaction(
                type=DYNAMIC_FEE,
                chain_id=network.chain_id,
                nonce=network.nonce(network.accounts[0]),
                to=network.accounts[1].address,
                value=FIL,
                data=b"",
                gas_limit=10_000_000,
                max_fee=10**9,
                max_priority_fee=10**5,
            )
        ).raw()
    )
    assert "It waits for a block" in visit(f"/tx/0x{waiting.hex()}").text
    network.mine()
    assert "Succeeded" in visit(f"/tx/0x{waiting.hex()}").text


def test_a_search_finds_a_contract_by_its_own_name(stage: Stage, visit: Visitor) -> None:
    for contract, name in ((stage.inbox, "Inbox"), (stage.bridge, "bridge")):
        found = visit(f"/search?q={name}")
        assert (found.status, found.headers.get("location")) == (302, f"/actor/0x{contract.address.hex()}")


@pytest.mark.slow
def test_names_of_contracts_outlive_the_node(tmp_path: Path) -> None:
    """Given names are stored in the folder; names of compiled contracts are found by their code."""
    code = bytes.fromhex(json.loads((ARTIFACTS / "DataCapName.json").read_text(encoding="utf-8"))["bytecode"][2:])
    with Network(tmp_path / "chain") as network:
        given = network.deploy(ARTIFACTS / "Inbox.json")
        network.add_interface(given.interface.abi, "post box", given)
        receipt = network.send(None, 0, code)
    with Network(tmp_path / "chain") as network:
        visit, found = Visitor(Node(network)), receipt.contract_address
        assert found is not None
        assert [each.name for each in network.interfaces] == ["post box"]
        for name, address in (("post box", given.address), ("DataCapName", found)):
            assert visit(f"/search?q={quote(name)}").headers.get("location") == f"/actor/0x{address.hex()}"
            assert name in visit(f"/actor/0x{address.hex()}").text
        assert "DataCapName" in visit(f"/epoch/{receipt.block_number}").text


@pytest.mark.slow
def test_interface_names_are_limited_but_known_one_may_change(tmp_path: Path) -> None:
    entry = {"type": "function", "name": "post", "inputs": [], "outputs": []}
    with Network(tmp_path / "chain") as network:
        given = network.deploy(ARTIFACTS / "Inbox.json")
        for number in range(MAX_INTERFACES - 1):
            network.add_interface([entry], f"name {number}")
        network.deploy(ARTIFACTS / "Inbox.json")  # one too many: it has no name
        with pytest.raises(InvalidInput, match="1000 interfaces are stored, which is the maximum"):
            network.add_interface([entry], "one more")
        network.add_interface(given.interface.abi, "post box", given)
        known = {each.name for each in network.interfaces}
    assert known == {"post box", *(f"name {number}" for number in range(MAX_INTERFACES - 1))}
    with Network(tmp_path / "chain") as network:
        assert {each.name for each in network.interfaces} == known


def test_a_search_finds_functions_events_and_code(stage: Stage, visit: Visitor) -> None:
    inbox, hash_ = f"0x{stage.inbox.address.hex()}", stage.messages["two borders"]
    calldata = stage.inbox.interface.encode_call("greet", "")
    for text in ("greet", "GREET", "greet(string)", f"0x{calldata[:4].hex()}"):
        assert visit(f"/search?q={text}").headers["location"] == f"/actor/{inbox}/call", text
    assert f"/tx/{hash_}" in visit("/search?q=callThrough").links
    caught = stage.network.receipt(bytes.fromhex(stage.messages["caught"][2:])).logs[0].log.topics[0].hex()
    event = next(
        each["name"]
        for each in stage.bridge.interface.abi
        if each["type"] == "event" and stage.bridge.interface.topics(each["name"])[0].hex() == caught
    )
    assert visit(f"/search?q={event}").headers["location"] == f"/tx/{stage.messages['caught']}#events"
    machine = stage.network.machine
    state = machine.actor(Address.delegated(10, stage.bridge.address))
    assert state is not None
    found = contract_state(machine, state)
    assert found is not None
    assert found.bytecode is not None
    actor = machine.state_tree.lookup_id(Address.delegated(10, stage.bridge.address))
    assert f"/actor/f0{actor}" in visit(f"/search?q={show(found.bytecode)}").links
    assert visit("/search?q=0x12345678").status == 404
    assert "evm Bridge" in visit("/search?q=evm").text


def test_an_epoch_has_every_field_of_its_block(stage: Stage, visit: Visitor) -> None:
    tipset, parent = stage.network.block(4), stage.network.block(3)
    page = visit("/epoch/4")
    fields = page.text.split("Every field of the block")[1]
    assert f"Height 4 ParentStateRoot {show(parent.state)} ParentMessageReceipts {show(parent.receipts)}" in fields
    assert f"Timestamp {tipset.timestamp} BlockSig null ForkSignaling 0 ParentBaseFee" in fields
    assert {f"/block/{show(parent.block)}", f"/block/{show(parent.state)}"} <= set(page.links)
    data = stage.network.machine.store.get(tipset.block)
    assert f"0x{data.hex()}" in page.body.decode()
    assert page.text == visit(f"/block/{show(tipset.block)}").text


MAX_CLICKS = 3
CAUSES = {
    "caught": ("exit 42, an actor-defined exit code", "refused on purpose"),
    "wrong method": ("exit 22 USR_UNHANDLED_MESSAGE, the actor has no such method", "this actor has no method"),
    "out of gas": ("exit 7 SYS_OUT_OF_GAS", "increment"),
}
"""Expected explanations: a native abort inside a caught Solidity call, a wrong method number, a nested out-of-gas."""


def clicks_to(visit: Visitor, found: Callable[[str, Visit], bool]) -> int | None:
    """Return the number of links from the home page to a matching page; None if it is further than the limit."""
    places, seen = ["/"], {"/"}
    for clicks in range(MAX_CLICKS + 1):
        pages = [(place, visit(place)) for place in places]
        if any(found(place, page) for place, page in pages):
            return clicks
        places = []
        for _, page in pages:
            for link in page.links:
                place = link.split("#")[0]
                if place.startswith("/tx/") and not place.endswith(".svg") and place not in seen:
                    seen.add(place)
                    places.append(place)
    return None


@pytest.mark.slow
@pytest.mark.parametrize("failure", CAUSES)
def test_failure_cause_is_within_three_clicks(stage: Stage, visit: Visitor, failure: str) -> None:
    for number in range(5):
        stage.network.send(stage.network.accounts[2], number + 1)
    sentence, words = CAUSES[failure]

    def says_why(place: str, page: Visit) -> bool:
        above = page.text.split(" Epoch ")[0]  # the verdict stands above the facts
        return place == f"/tx/{stage.messages[failure]}" and sentence in above

    def has_the_call(place: str, page: Visit) -> bool:
        return place.startswith(f"/tx/{stage.messages[failure]}/call/") and sentence in page.text and words in page.text

    assert clicks_to(visit, says_why) == 1
    assert clicks_to(visit, has_the_call) == 2
    home = visit("/").text
    assert home.index("SYS_OUT_OF_GAS") < home.index("EVM_CONTRACT_REVERTED")  # the newest first, each marked


def test_message_page_shows_written_slot_but_no_reverted_change(stage: Stage, visit: Visitor) -> None:
    page = visit(f"/tx/{stage.messages['caught']}/changes")
    assert page.status == 200
    assert f"state/contract_state/0x{0:064x}"[:60] in page.text  # lastExit of the contract
    assert "0x2a" in page.text.split()
    actors = {link for link in page.links if link.startswith("/actor/")}
    assert f"/actor/f0{stage.counter}" not in actors  # it aborted: nothing of it was kept


def test_failed_message_changes_only_fee_balances_and_nonce(stage: Stage, visit: Visitor) -> None:
    page = visit(f"/tx/{stage.messages['wrong method']}/changes")
    paths = {word for word in page.text.split() if word in ("balance", "nonce", "code") or word.startswith("state/")}
    assert paths == {"balance", "nonce"}


def test_an_epoch_changes_more_than_its_messages(stage: Stage, visit: Visitor) -> None:
    height = stage.network.receipt(bytes.fromhex(stage.messages["caught"][2:])).block_number
    page = visit(f"/epoch/{height}/changes")
    assert (page.status, "/actor/f02" in page.links) == (200, True)  # the reward actor pays the block


def test_two_epochs_are_compared(stage: Stage, visit: Visitor) -> None:
    network, target = stage.network, stage.network.accounts[6].address
    first = network.head.height
    network.send(target, FIL)
    network.mine(null_rounds=2)
    network.send(target, 2 * FIL)
    page = visit(f"/epoch/{network.head.height}/changes?since={first}")
    before = 10_000 * FIL
    assert {str(before), str(before + 3 * FIL)} <= set(page.text.split())
    assert "Nothing differs" in visit(f"/epoch/{first}/changes?since={first}").text


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/epoch/999999/changes", 404),
        ("/epoch/x/changes", 400),
        ("/epoch/1/changes?since=x", 400),
        ("/epoch/1/changes?since=999999", 404),
        ("/tx/0x" + "99" * 32 + "/changes", 404),
    ],
)
def test_missing_or_malformed_page_has_its_status(visit: Visitor, address: str, status: int) -> None:
    assert visit(address).status == status


def test_genesis_changes_page_is_served(visit: Visitor) -> None:
    assert visit("/epoch/0/changes").status == 200
