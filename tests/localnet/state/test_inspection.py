"""Paths into state, by the names of the actors' schemas."""

from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress, to_filecoin
from hypervisor.errors import InvalidInput
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState, StateTree
from hypervisor.types import ActorID
from localnet import Network
from localnet.state.inspection import PathNotFound, StateInspector
from localnet.state.state_differences import StateChange, state_differences
from store.blockstore import put_object
from store.cid import RAW, Cid, cid_of, show
from tests.conftest import bundle_file
from tests.localnet.conftest import ARTIFACTS

FIL = 10**18


@pytest.fixture(scope="module")
def inspection_network() -> Any:
    """Return a network on the official actors, with a contract whose slot 0 holds 42."""
    with Network(bundle=bundle_file("bundles/v18-testing-fake-proofs.car")) as network:
        # PUSH1 42 PUSH0 SSTORE STOP
        network.send(None, data=bytes.fromhex("602a5f5500"))
        yield network


@pytest.fixture(scope="module")
def inspector(inspection_network: Network) -> StateInspector:
    return StateInspector(inspection_network.machine.store, inspection_network.machine.root)


def test_the_root_lists_the_actors(inspector: StateInspector) -> None:
    actors = inspector.read_path("")
    assert [actors[f"f0{number}"]["type"] for number in (0, 1, 2, 3, 4, 5, 6, 7, 10)] == [
        "system", "init", "reward", "cron", "storagepower", "storagemarket", "verifiedregistry", "datacap", "eam",
    ]  # fmt: skip
    assert len(inspector.read_path("", limit=3)) == 3


def test_an_actor_has_its_fields_under_each_of_its_addresses(
    inspector: StateInspector, inspection_network: Network
) -> None:
    account = inspection_network.accounts[3]
    shown = inspector.read_path(f"0x{account.address.hex()}")
    assert shown == inspector.read_path(str(account.delegated)) == inspector.read_path(shown["id"])
    assert shown["type"] == "ethaccount"
    assert shown["delegated_address"] == str(account.delegated)
    assert inspector.read_path(f"{account.delegated}/balance") == str(10_000 * FIL)


def test_state_has_the_names_of_the_schema(inspector: StateInspector) -> None:
    # who is called in each epoch: power's OnEpochTickEnd and the market's CronTick
    assert inspector.read_path("f03/state") == {
        "entries": [{"receiver": "f04", "method_num": 5}, {"receiver": "f05", "method_num": 9}]
    }
    assert inspector.read_path("f03/state/entries/1/receiver") == "f05"
    assert inspector.read_path("f07/state/governor") == "f06"
    assert inspector.read_path("f04/state/total_pledge_collateral") == "0"


def test_maps_over_several_blocks_are_entered_by_key(inspector: StateInspector, inspection_network: Network) -> None:
    account = inspection_network.accounts[0]
    actor = inspection_network.machine.state_tree.lookup_id(account.delegated)
    assert inspector.read_path(f"f01/state/address_map/{account.delegated}") == actor
    assert inspector.read_path("f01/state/address_map")[str(account.delegated)] == actor
    assert len(inspector.read_path("f01/state/address_map", limit=2)) == 2


def test_a_contracts_slot_is_a_step(inspector: StateInspector, inspection_network: Network) -> None:
    contract = inspection_network.receipt(inspection_network.head.transactions[0]).contract_address
    assert contract is not None
    path = f"0x{contract.hex()}/state"
    assert (
        inspector.read_path(f"{path}/contract_state/0") == inspector.read_path(f"{path}/contract_state/0x00") == "0x2a"
    )
    assert inspector.read_path(f"{path}/contract_state") == {"0x" + "00" * 32: "0x2a"}
    assert inspector.read_path(f"{path}/nonce") == 1
    with pytest.raises(PathNotFound, match="there is no entry 1"):
        inspector.read_path(f"{path}/contract_state/1")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("f0999", "there is no actor f0999"),
        ("f07/nonsense", "an actor has no 'nonsense': expected one of id, type"),
        ("f07/state/nope", "f07/state: there is no 'nope', only governor, token"),
        ("f03/state/entries/9", "f03/state/entries: there is no entry 9 in a list of 2"),
        ("f07/state/governor/x", "f07/state/governor: there is no 'x' in bytes"),
    ],
)
def test_path_to_missing_value_reports_where_it_ends(inspector: StateInspector, path: str, words: str) -> None:
    with pytest.raises(PathNotFound, match=words):
        inspector.read_path(path)


@pytest.mark.parametrize("path", ["nobody", "0x12", "f04/state/claims/x", "f01/state/address_map/f0x"])
def test_a_malformed_step_is_refused(inspector: StateInspector, path: str) -> None:
    with pytest.raises(InvalidInput):
        inspector.read_path(path)


def test_an_actor_without_a_schema_is_shown_as_it_is(inspection_network: Network) -> None:
    store = inspection_network.machine.fork().store
    tree = StateTree(store, inspection_network.machine.root)
    inner = put_object(store, {"deep": [1, 2]})
    head = put_object(store, {"name": b"\x01\x02", "more": [True, None]})
    code = cid_of(b"someone's module", RAW)
    tree.set_actor(ActorID(5000), ActorState(code, head))
    inspector = StateInspector(store, tree.flush())
    assert inspector.read_path("f05000/type") == show(code)
    assert inspector.read_path("f05000/state") == {"name": "0x0102", "more": [True, None]}
    assert inspector.read_path("f05000/state/more/0") is True
    assert show(inner) not in str(inspector.read_path(str(Address.id(5000))))


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
