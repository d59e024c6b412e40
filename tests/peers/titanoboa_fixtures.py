"""Fixture that runs titanoboa's tests in an environment of this project. The harness copies it into the suite."""

from collections.abc import Iterator

import boa
import pytest

from localnet import Network
from localnet.testing.titanoboa import HypervisorEnv


@pytest.fixture(scope="session", autouse=True)
def hypervisor() -> Iterator[None]:
    with Network(rules="ethereum") as network, boa.swap_env(HypervisorEnv(network)):
        yield
