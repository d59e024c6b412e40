"""Forks of a node that only supports Lotus's methods, in the documented shapes (lotus_node.py)."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bridge.ethereum.addresses import EthAddress
from fvm_hypervisor.soltest.cheatcodes.interceptor import Cheatcodes
from fvm_hypervisor.soltest.executor import TestExecutor
from fvm_hypervisor.soltest.executor_settings import ExecutorSettings
from hypervisor.installation import FILECOIN
from localnet import Network
from localnet.contracts.contract import Contract
from store.blocks.overlay import RemoteHashMismatch
from tests.fvm_hypervisor.cli.lotus_node import LotusNode, served
from tests.localnet.conftest import ARTIFACTS, START, Clock

COUNTER = ARTIFACTS / "Counter.json"
INCREMENT, NUMBER = bytes.fromhex("d09de08a"), bytes.fromhex("8381f58a")
CALLER = EthAddress(bytes([7] * 20))


class Lotus:
    def __init__(self, network: Network, url: str, node: LotusNode, counter: Contract) -> None:
        self.network, self.url, self.node, self.counter = network, url, node, counter


@pytest.fixture
def lotus() -> Iterator[Lotus]:
    with Network(clock=Clock()) as network:
        counter = network.deploy(COUNTER)
        counter.send("increment")
        network.mine(null_rounds=1)
        counter.send("increment")
        node = LotusNode(network)
        with served(node) as url:
            yield Lotus(network, url, node, counter)


@pytest.mark.slow
def test_head_state_is_fetched_block_by_block(lotus: Lotus) -> None:
    with Network.fork(lotus.url, clock=Clock(START + 100)) as network:
        assert (network.machine.root, network.base_fee) == (lotus.network.machine.root, lotus.network.base_fee)
        counter = network.contract(lotus.counter.address, COUNTER)
        assert counter.call("number") == 2
        assert counter.send("increment").succeeded
        assert (counter.call("number"), lotus.counter.call("number")) == (3, 2)
    assert set(lotus.node.blocks.values()) == {1}, "a block was asked for twice"


@pytest.mark.slow
def test_an_earlier_epochs_state_is_that_of_the_next_header(lotus: Lotus, tmp_path: Path) -> None:
    with Network.fork(lotus.url, 2, tmp_path, clock=Clock(START + 100)) as network:
        assert network.contract(lotus.counter.address, COUNTER).call("number") == 1
    with Network(tmp_path, clock=Clock(START + 200)) as network:
        assert network.contract(lotus.counter.address, COUNTER).call("number") == 1


@pytest.mark.slow
def test_solidity_tests_under_filecoins_rules_begin_there(lotus: Lotus) -> None:
    with closing(TestExecutor(ExecutorSettings(rules=FILECOIN, fork_url=lotus.url), Cheatcodes())) as executor:
        assert executor.call(CALLER, lotus.counter.address, INCREMENT).success
        assert executor.call(CALLER, lotus.counter.address, NUMBER).output == (3).to_bytes(32, "big")


@pytest.mark.slow
def test_a_block_of_other_bytes_is_refused(lotus: Lotus) -> None:
    lotus.node.damaged[lotus.network.machine.root] = b"\x80"
    with pytest.raises(RemoteHashMismatch):
        Network.fork(lotus.url, clock=Clock(START + 100))
