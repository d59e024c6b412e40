"""Fixtures of the laboratory's tests: chains that are made once."""

from pathlib import Path

import pytest

from localnet import Network
from tests.hypervisor_tools.laboratory.small_actor import ADDRESS, METHOD, SmallActor
from tests.localnet.conftest import ARTIFACTS, Clock


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a chain of our own actors: a contract is deployed and called, FIL is sent, epochs pass."""
    folder = tmp_path_factory.mktemp("lab") / "chain"
    with Network(folder, clock=Clock()) as network:
        counter = network.deploy(ARTIFACTS / "Counter.json")
        for _ in range(3):
            counter.send("increment")
        network.send_native(network.accounts[1].native, value=5)
        network.mine()
    return folder


@pytest.fixture(scope="session")
def small_chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a chain on a bundle with the small actor, which is called three times."""
    folder = tmp_path_factory.mktemp("lab")
    with Network(folder / "chain", bundle=SmallActor().bundle(folder / "small.car"), clock=Clock()) as network:
        for _ in range(3):
            network.send_native(ADDRESS, METHOD)
        network.send_native(network.accounts[1].native, value=5)
    return folder / "chain"
