"""The two networks, served by this project's node under Ethereum's rules."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import pytest

from bridge.ethereum.addresses import EthAddress
from localnet import Network
from localnet.rpc.server.server import serving
from tests.hypervisor_tools.soltest.forks import chains
from tests.hypervisor_tools.soltest.forks.golden import GOLDEN

CREATION = GOLDEN["artifacts"]["test/Counter.sol:Counter"]["bytecode"]["object"]


@contextmanager
def served_chain(balances: Mapping[EthAddress, int] = MappingProxyType({})) -> Iterator[str]:
    """Serve the first network with chain ID 777 and these balances at genesis: blocks 1 to 7, a counter at 86016."""
    with Network(rules="ethereum", chain_id=777, clock=lambda: 1_700_000_000) as network:
        for address, balance in balances.items():
            network.set_balance(address, balance)
        with serving(network) as served:
            chains.build(served, CREATION, 8601)
            yield served


@pytest.fixture(scope="session")
def networks() -> Iterator[Mapping[str, str]]:
    """The environment that the contracts read: the nodes, and the content of their blocks."""
    first, second = Network(rules="ethereum"), Network(rules="ethereum", chain_id=777)
    with serving(first) as one, serving(second) as two:
        hashes = chains.build(one, CREATION, 8601)
        chains.build(two, CREATION, 8602)
        yield chains.environment(one, hashes, two)
