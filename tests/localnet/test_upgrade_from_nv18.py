"""A network that begins at version 18 on official actors v10 and is upgraded through every version, to 29."""

from pathlib import Path

import pytest

from bridge.bindings import storageminer
from hypervisor.bundles.bundle import Bundle
from hypervisor.bundles.bundle_library import actors_version
from localnet import Network
from localnet.ledger.upgrades import UpgradePlan
from localnet.replay.replay import replay
from tests.conftest import data_file
from tests.localnet.conftest import ARTIFACTS, Clock

VERSIONS = {21: 12, 22: 13, 23: 14, 24: 15, 25: 16, 27: 17, 28: 18}
"""Versions of the actors by network version. There is no bundle of v11 here, so that nv21 runs two migrations."""


def bundle(actors: int) -> Path:
    return data_file(f"bundles/v{actors}-testing-fake-proofs.car")


@pytest.mark.slow
def test_contracts_and_miners_survive_every_upgrade(tmp_path: Path) -> None:
    plan: UpgradePlan = {
        **{10 * version: (version, bundle(actors)) for version, actors in VERSIONS.items()},
        290: (29, Bundle.embedded("v19")),
    }
    with Network(
        tmp_path, bundle=data_file("bundles/v10-mainnet.car"), network=18, evm="fast", upgrades=plan, clock=Clock()
    ) as network:
        counter = network.deploy(ARTIFACTS / "Counter.json")
        miner = network.create_miner(sectors=0, sector_size=32 << 30)
        for number, (epoch, wanted) in enumerate(sorted(plan.items())):
            network.mine(epoch - network.block_number)
            counter.send("increment")
            expected = wanted[0] if isinstance(wanted, tuple) else wanted
            assert network.version == expected
            assert actors_version(network.machine.manifest) == {**VERSIONS, 29: 19}[expected]
            assert counter.call("number") == number + 1
            assert network.ask(miner.address, storageminer.get_sector_size()) == 32 << 30
    for epoch in plan:
        assert replay(tmp_path, epoch + 1).difference == ""


@pytest.mark.slow
def test_an_upgrade_can_follow_earlier_ones() -> None:
    """The upgrades of the past are not checked again: their actors could not read the present state."""
    with Network(bundle=bundle(12), network=21, evm="fast", clock=Clock()) as network:
        for version in (22, 23, 24):
            network.upgrade(version, bundle(VERSIONS[version]))
            assert (network.version, actors_version(network.machine.manifest)) == (version, VERSIONS[version])
