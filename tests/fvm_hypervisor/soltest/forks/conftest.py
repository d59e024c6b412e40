"""The two networks, served by this project's node under Ethereum's rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from localnet import Network
from localnet.rpc.server import serving
from tests.fvm_hypervisor.soltest.forks import chains
from tests.fvm_hypervisor.soltest.forks.golden import GOLDEN

CREATION = GOLDEN["artifacts"]["test/Counter.sol:Counter"]["bytecode"]["object"]


@pytest.fixture(scope="session")
def networks() -> Iterator[Mapping[str, str]]:
    """The environment that the contracts read: the nodes, and the content of their blocks."""
    first, second = Network(rules="ethereum"), Network(rules="ethereum", chain_id=777)
    with serving(first) as one, serving(second) as two:
        hashes = chains.build(one, CREATION, 8601)
        chains.build(two, CREATION, 8602)
        yield chains.environment(one, hashes, two)
