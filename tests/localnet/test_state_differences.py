"""State differences by actor and path, compared with the known effects of messages."""

from bridge.ethereum.addresses import EthAddress, to_filecoin
from hypervisor.types import ActorID
from localnet import Network
from localnet.state.state_differences import StateChange, state_differences
from store.cid import Cid
from tests.localnet.conftest import ARTIFACTS

FIL = 10**18
NEW = EthAddress(bytes.fromhex("ab" * 20))


def between(network: Network, before: Cid) -> list[StateChange]:
    return list(state_differences(network.machine.store, before, network.head.state))


def test_transfer_to_new_address_diff_lists_every_change(either: Network) -> None:
    before, sender = either.head.state, either.accounts[0].address
    receipt = either.send(NEW, FIL)
    found = {(each.actor, each.path): (each.before, each.after) for each in between(either, before)}
    state = either.machine.state_tree
    of_sender, of_new = state.lookup_id(to_filecoin(sender)), state.lookup_id(to_filecoin(NEW))
    old, new = found[f"f0{of_sender}", "nonce"]
    assert int(new or 0) == int(old or 0) + 1
    old, new = found[f"f0{of_sender}", "balance"]
    assert int(old or 0) - int(new or 0) == FIL + receipt.execution.paid
    assert found[f"f0{of_new}", "balance"] == (None, str(FIL))
    assert found[f"f0{of_new}", "delegated_address"] == (None, str(to_filecoin(NEW)))
    assert found["f01", f"state/address_map/{to_filecoin(NEW)}"] == (None, str(of_new))
    assert found["f01", "state/next_id"] == (str(of_new), str(int(of_new or 0) + 1))


def test_balance_changes_sum_to_zero(either: Network) -> None:
    before = either.head.state
    either.send(NEW, FIL)
    either.deploy(ARTIFACTS / "Counter.json").send("increment")
    balances = [each for each in between(either, before) if each.path == "balance"]
    assert balances
    assert sum(int(each.after or 0) - int(each.before or 0) for each in balances) == 0


def test_contract_state_diff_shows_only_the_changed_slot(either: Network) -> None:
    counter = either.deploy(ARTIFACTS / "Counter.json")
    counter.send("increment")
    before = either.head.state
    counter.send("increment")
    actor = either.machine.state_tree.lookup_id(to_filecoin(counter.address))
    own = [each for each in between(either, before) if each.actor == f"f0{actor}"]
    assert [(each.type, each.path, each.before, each.after) for each in own] == [
        ("evm", f"state/contract_state/0x{0:064x}", "0x01", "0x02")
    ]


def test_a_state_does_not_differ_from_itself(network: Network) -> None:
    assert between(network, network.head.state) == []


def test_backwards_the_values_change_places(network: Network) -> None:
    before = network.head.state
    network.send(NEW, FIL)
    after = network.head.state
    there = list(state_differences(network.machine.store, before, after))
    back = list(state_differences(network.machine.store, after, before))
    assert {(each.actor, each.path, each.before, each.after) for each in there} == {
        (each.actor, each.path, each.after, each.before) for each in back
    }


def test_deleted_actor_is_reported_as_state_difference(network: Network) -> None:
    tree, before = network.machine.state_tree, network.machine.root
    gone = tree.lookup_id(to_filecoin(network.accounts[5].address))
    tree.delete_actor(ActorID(gone or 0))
    after = tree.flush()
    found = {each.path: each.after for each in state_differences(network.machine.store, before, after)}
    assert found["balance"] is None
