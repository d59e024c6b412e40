"""The page of an actor: found under each of its addresses, with its messages."""

from __future__ import annotations

import pytest

from bridge.addresses import checksummed, masked_id
from hypervisor import Address
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
def test_an_address_without_an_actor_is_404_and_what_is_none_is_400(visit: Visitor, address: str, status: int) -> None:
    assert visit(f"/actor/{address}").status == status


def test_all_actors_are_listed(stage: Stage, visit: Visitor) -> None:
    machine = stage.network.machine
    links = set(visit("/actors").links)
    assert {f"/actor/f0{actor}" for actor, _ in machine.state_tree.actors()} <= links
