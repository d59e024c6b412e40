"""Vyper contracts in titanoboa, on a network in this process and on a node (`make integrations`)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localnet import Network
from tests.clients.conftest import node_process

boa = pytest.importorskip("boa", reason="titanoboa is not installed: run `make integrations`")

CONTRACT = Path(__file__).parents[2] / "examples/vyper/DataCapName.vy"
FIL = 10**18
COUNTER = """
count: public(uint256)

@external
def add(amount: uint256) -> uint256:
    assert amount < 10, "too much"
    self.count += amount
    return self.count
"""


@pytest.fixture(scope="module", params=["in process", "over HTTP"])
def env(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from localnet.testing.titanoboa import HypervisorEnv

    if request.param == "in process":
        with Network() as network, boa.swap_env(HypervisorEnv(network)):
            yield boa.env
    else:
        with node_process(tmp_path_factory.mktemp("node")) as url, boa.swap_env(HypervisorEnv(url)):
            yield boa.env


def test_a_vyper_contract_calls_a_built_in_actor(env: Any) -> None:
    contract = boa.load(CONTRACT)
    assert contract.keep(simulate=True) == "DataCap"
    assert contract.kept() == ""
    assert contract.keep() == "DataCap"
    assert contract.kept() == "DataCap"


def test_a_failed_assertion_reverts_with_its_reason(env: Any) -> None:
    contract = boa.loads(COUNTER)
    with boa.reverts("too much"):
        contract.add(10)
    assert contract.count() == 0


def test_an_anchor_restores_the_state_without_stale_reads(env: Any) -> None:
    contract = boa.loads(COUNTER)
    for amount in (1, 2, 3):  # each pass mines blocks of the same numbers with another content
        with env.anchor():
            contract.add(amount)
            assert contract.add(amount) == contract.count() == 2 * amount
        assert contract.count() == 0


def test_balances_code_and_storage_can_be_set(env: Any) -> None:
    contract = boa.loads(COUNTER)
    env.set_storage(contract.address, 0, 7)
    assert contract.count() == 7
    env.set_balance(contract.address, 3 * FIL)
    assert env.get_balance(contract.address) == 3 * FIL
    env.set_code(contract.address, bytes.fromhex("5f5ffd"))
    assert env.get_code(contract.address) == bytes.fromhex("5f5ffd")


def test_time_travel_moves_the_network(env: Any) -> None:
    before = env.timestamp
    env.time_travel(seconds=1000)
    assert env.timestamp >= before + 1000
    number = env.evm.patch.block_number
    env.time_travel(blocks=3, block_delta=30)
    assert env.evm.patch.block_number == number + 3
    with pytest.raises(ValueError, match="either seconds or blocks"):
        env.time_travel()


def test_any_address_can_send(env: Any) -> None:
    """Source: titanoboa's own environment; its tests deploy from new addresses."""
    sender = env.generate_address()
    with env.anchor(), env.prank(sender):
        assert boa.loads(COUNTER).add(1) == 1
    with env.prank(sender):
        assert boa.loads(COUNTER).add(2) == 2


def test_injected_and_internal_functions_run_on_the_network(env: Any) -> None:
    contract = boa.loads(COUNTER + "\n@internal\ndef _double(x: uint256) -> uint256:\n    return 2 * x + self.count\n")
    contract.add(1)
    assert contract.internal._double(4) == 9
    contract.inject_function("@external\ndef take(amount: uint256):\n    self.count -= amount\n")
    contract.inject.take(1)
    assert contract.count() == 0
    assert contract.add(3) == 3


def test_tracers_do_not_pile_up_with_blocks(env: Any) -> None:
    contract = boa.loads(COUNTER)
    for _ in range(3):
        contract.add(1)
    tracer = env.evm.vm.state.computation_class.opcodes[0x55]
    assert getattr(tracer.sstore, "env", None) is not env
