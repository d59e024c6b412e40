"""The page of an actor: found under each of its addresses, with its messages."""

from contextlib import closing

import pytest

from bridge.ethereum.addresses import checksummed, masked_id
from hypervisor import Address
from localnet.ledger.address_index import AddressIndex
from tests.explorer.stage import Stage
from tests.localnet.explorer.conftest import Visitor


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
