"""Actors of labs by name: methods, parameters and states, typed by schemas that the network stores."""

import json
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest

from bridge.ethereum.addresses import to_filecoin
from fvm_hypervisor.laboratory.profiles.outbox import CODE, OUTBOX, entries
from fvm_hypervisor.laboratory.profiles.rent_actor import RENT, RentState
from hypervisor import fil
from hypervisor.errors import InvalidInput
from hypervisor.messages.address import Address
from hypervisor.types import ActorID
from localnet import Network
from localnet.rpc.node import Node
from localnet.rpc.server import serving
from localnet.state.named_code import stored_interface
from tests.command import run
from tests.fvm_hypervisor.explorer.conftest import Visitor
from tests.labs.rent_ledger import EXAMPLE
from tests.labs.test_accounts import NOTES, Stage
from tests.localnet.conftest import Clock

TO = Address.id(ActorID(99))
RULES = "lab:accounts,async,rent"


def post(network: Network, **changed: Any) -> Any:
    fields = {
        "to": str(TO), "method": 0, "params": "0x", "value": "7", "gas": 10_000_000,
        "expiry": network.block_number + 9, "receipt_method": 0, "receipt_gas": 0,
    } | changed  # fmt: skip
    return network.actors.at(f"f0{OUTBOX}").send("Post", fields, value=10**17)


@pytest.mark.slow
def test_the_outbox_is_called_by_name_and_its_state_is_typed(tmp_path: Path) -> None:
    with Network(tmp_path / "chain", rules="lab:async", clock=Clock()) as network:
        outbox = network.actors.at(f"f0{OUTBOX}")
        receipt = post(network)
        assert receipt.succeeded
        assert outbox.return_value("Post", receipt) == 1
        assert (outbox.state.next, outbox.state.first) == (2, 1)
        actor = network.machine.state_tree.get_actor(OUTBOX)
        assert actor is not None
        ((_, entry),) = entries(network.machine.store, actor.head)
        text = str(network.trace(receipt.hash))
        assert "outbox Post(to=f099, method=0, params=0x, value=7, gas=10000000" in text, text
        visit = Visitor(Node(network))
        assert "outbox" in visit(f"/actor/f0{OUTBOX}").text
        assert "Post" in visit(f"/tx/0x{receipt.hash.hex()}").text
        receipt_block = receipt.block_number
    shown = run("inspect", tmp_path / "chain", f"f0{OUTBOX}/state/queue/1", "--json")
    assert shown.exit_code == 0, shown.output
    fields = json.loads(shown.output)
    assert list(fields) == list(entry.__slots__)
    assert (fields["to"], fields["value"], fields["posted"]) == (str(TO), "7", receipt_block)
    assert len(fields) == len(astuple(entry))


def test_rent_actor_reports_contract_payment() -> None:
    with Network(rules="lab:rent=all", clock=Clock()) as network:
        contract = network.deploy(EXAMPLE / "Tenant.json")
        network.mine(10)
        rent, actor = network.actors.at(f"f0{RENT}"), str(contract.address)
        paid = rent.send("Pay", {"actor": actor}, value=fil(1))
        state = network.machine.state_tree.get_actor(RENT)
        found = network.machine.state_tree.lookup_id(to_filecoin(contract.address))
        assert state is not None
        assert found is not None
        tenancy = RentState(network.machine.store, state.head).tenancy(found)
        assert tenancy is not None
        assert rent.return_value("Pay", paid).due == tenancy.due
        looked = rent.call("Look", {"actor": actor})
        assert (looked.deposit, looked.size, looked.archived_since) == (fil(1), tenancy.size, 0)
        assert (rent.state.terms.period, rent.state.terms.rates[0].rate) == (2880, 1_000_000)


def test_the_nonces_of_authorizations_are_a_map_by_address() -> None:
    stage = Stage("fip")
    try:
        stage.lend(stage.bob, NOTES)
        stage.machine.state_tree.flush()
        found = stage.network.inspect("f022/state/nonces").value
        assert found == {f"0x{stage.bob.address.hex()}": 1}
    finally:
        stage.network.close()


@pytest.mark.slow
def test_fork_resolves_interfaces_of_named_codes() -> None:
    with (
        Network(rules=RULES, clock=Clock()) as network,
        serving(network) as url,
        Network.fork(url, clock=Clock()) as forked,
    ):
        assert post(forked).succeeded
        assert forked.actors.at("f022").interface.methods.keys() == {"Constructor"}


def test_nothing_is_stored_without_labs() -> None:
    with Network() as network:
        assert stored_interface(network.machine.base, CODE) is None
        with pytest.raises(InvalidInput, match="there is no actor f020"):
            network.actors.at(f"f0{OUTBOX}")
