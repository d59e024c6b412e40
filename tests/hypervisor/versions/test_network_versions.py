"""Network versions are rows: no other module compares version numbers, and a new row defines a new version."""

import re

import pytest

from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.bundle_library import find_release
from hypervisor.errors import BundleError, InvalidInput
from hypervisor.installation import parse_version
from hypervisor.versions.network_versions import (
    NETWORK_VERSIONS,
    NV18,
    NV27,
    NV29,
    BaseFee,
    Layouts,
    newest_with_actors,
    versions_between,
)
from localnet import Network
from localnet.rpc.filecoin_network import state_get_network_params
from localnet.rpc.node import Node
from tests.localnet.conftest import ARTIFACTS, Clock


def test_name_of_a_version_is_neither_a_number_nor_a_drafts_file() -> None:
    with pytest.raises(InvalidInput, match="'mainnet' is neither a version such as nv29 nor a file of a draft"):
        Network(network="mainnet")


@pytest.mark.parametrize(("text", "number"), [
    ("nv29", 29), ("29", 29), ("nv", None), ("nvnv29", None), ("-1", None), ("٢٩", None), ("9" * 5_000, None),
])  # fmt: skip
def test_version_is_parsed(text: str, number: int | None) -> None:
    assert parse_version(text) == number


@pytest.mark.parametrize("version", [28, "28", "nv28"])
def test_a_version_may_be_text(version: int | str) -> None:
    with Network(network=version, bare=True) as network:
        assert network.version == 28


def test_a_row_more_is_a_network_of_that_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """A synthetic version with the base fee rule of full blocks and one opcode less; its state layout is unchanged."""
    newest = NETWORK_VERSIONS[max(NETWORK_VERSIONS)]
    made_up = newest.successor(base_fee=BaseFee.FULLNESS, evm=newest.evm - {"CLZ"}, layouts=Layouts.UNCHANGED)
    monkeypatch.setitem(NETWORK_VERSIONS, made_up.number, made_up)
    with Network(network=made_up.number, clock=Clock()) as network:
        assert network.version == made_up.number == newest.number + 1
        assert network.machine.manifest == Bundle.embedded(f"v{newest.actors}").manifest
        counter = network.deploy(ARTIFACTS / "Counter.json")
        counter.send("increment")
        assert counter.call("number") == 1
        network.send_native(network.accounts[1].native, value=1, gas_limit=9_000_000_000)
        # By hand: nine tenths of a block is four fifths above the target of a half; times an eighth of 100.
        assert network.base_fee == 110
    with Network(network=newest.number, clock=Clock()) as network:
        heights = state_get_network_params(Node(network))["ForkUpgradeParams"]
        assert heights["UpgradeXxHeight"] == 9_999_999_999  # lotus: an unscheduled upgrade
        manifest = network.machine.manifest
        network.upgrade(made_up.number)
        network.send_native(network.accounts[1].native, value=1, gas_limit=9_000_000_000)
        assert (network.version, network.base_fee) == (made_up.number, 110)
        assert network.machine.manifest == manifest


def test_state_layout_change_is_not_inherited_by_successor() -> None:
    """Otherwise a version after nv29 would split the rewards again."""
    assert NV29.layouts is Layouts.STREAMS
    assert NV29.successor().layouts is Layouts.UNKNOWN


def test_version_without_included_actors_needs_a_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    newest = NETWORK_VERSIONS[max(NETWORK_VERSIONS)]
    added = newest.successor(actors=newest.actors + 1)
    monkeypatch.setitem(NETWORK_VERSIONS, added.number, added)
    with pytest.raises(BundleError, match=f"does not include built-in actors v{added.actors}; pass a bundle"):
        Network(network=added.number, clock=Clock())
    monkeypatch.setattr("hypervisor.migrations.migration.actors_version", lambda manifest: None)
    with pytest.raises(InvalidInput, match=f"nv{added.number} changes the layout of states, and its migration is not"):
        Network(network=newest.number, clock=Clock(), upgrades={1: (added.number, f"own-v{newest.actors}")})
    with pytest.raises(InvalidInput, match=f"our own bundle runs on nv21 to nv{added.number}, not on nv18"):
        Network(network=18, clock=Clock())


@pytest.mark.parametrize("number", [row.number for row in NETWORK_VERSIONS.values() if not row.rules.events_in_buffers])
def test_version_needing_official_actors_names_fetchable_release(number: int) -> None:
    with pytest.raises(InvalidInput, match=f"not on nv{number}: use an official one") as refused:
        Network(network=number, clock=Clock())
    advised = re.search(r"`hypervisor bundle fetch (v\d+)`", str(refused.value))
    assert advised is not None
    release = find_release(advised[1])
    assert release.version == NETWORK_VERSIONS[number].actors
    assert release.url is not None


def test_versions_are_found_by_range_and_by_actors() -> None:
    assert [row.number for row in versions_between(26, 29)] == [27, 28, 29]
    assert versions_between(28, 28) == versions_between(29, 28) == []
    assert newest_with_actors(NV18.actors) is NV18
    assert newest_with_actors(NETWORK_VERSIONS[25].actors) is NETWORK_VERSIONS[26]
    assert newest_with_actors(NV27.actors) is NV27
    assert newest_with_actors(9) is None
