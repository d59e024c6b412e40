"""Paths into state, by the names of the actors' schemas."""

from typing import Any

import pytest

from hypervisor.errors import InvalidInput
from hypervisor.messages.address import Address
from hypervisor.state.state_tree import ActorState, StateTree
from hypervisor.types import ActorID
from localnet import Network
from localnet.state.inspection import PathNotFound, StateInspector
from store.blockstore import put_object
from store.cid import RAW, cid_of, show
from tests.conftest import bundle_file

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
