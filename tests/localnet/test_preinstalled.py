"""Contracts of genesis: their code equals that on every chain; and the chain ID."""

from pathlib import Path

import pytest

from bridge.ethereum.addresses import to_filecoin
from hypervisor.errors import InvalidInput
from localnet import Network
from localnet.preinstalled import CREATE2_DEPLOYER, MULTICALL3
from localnet.state.contract_state import code_of
from store.keccak import keccak

CODE_HASHES = {  # what explorers and deployment scripts of many chains pin
    MULTICALL3: "d5c15df687b16f2ff992fc8d767b4216323184a2bbc6ee2f9c398c318e770891",
    CREATE2_DEPLOYER: "2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989",
}


@pytest.mark.parametrize("address", CODE_HASHES, ids=lambda address: address.hex()[:8])
def test_the_code_is_the_networks_on_both_bundles(either: Network, address: bytes) -> None:
    code = code_of(either.machine, to_filecoin(either.address(address)))
    assert keccak(code).hex() == CODE_HASHES[either.address(address)]


def test_multicall3_aggregates_chain_id_query(either: Network) -> None:
    data = bytes.fromhex(  # aggregate3([(MULTICALL3, false, getChainId())])
        "82ad56cb" + f"{32:064x}{1:064x}{32:064x}" + MULTICALL3.hex().rjust(64, "0") + f"{0:064x}{96:064x}{4:064x}"
        "3408e470".ljust(64, "0")
    )  # fmt: skip
    result = either.call(MULTICALL3, data)
    assert result[-32:] == (31415926).to_bytes(32, "big")


def test_deployer_creates_at_create2_address(either: Network) -> None:
    init_code = bytes.fromhex("6001600c60003960016000f300")  # leaves one byte of code: STOP
    receipt = either.send(CREATE2_DEPLOYER, 0, bytes(32) + init_code)
    expected = keccak(b"\xff" + CREATE2_DEPLOYER + bytes(32) + keccak(init_code))[12:]  # EIP-1014
    assert receipt.return_data == expected
    assert code_of(either.machine, to_filecoin(either.address(expected))) == b"\0"


@pytest.mark.slow
def test_bare_network_lacks_preinstalled_code_and_keeps_chain_id(tmp_path: Path) -> None:
    with Network(tmp_path / "chain", bare=True, chain_id=31337, network=24) as network:
        assert network.chain_id == 31337
        assert [code_of(network.machine, to_filecoin(address)) for address in CODE_HASHES] == [b"", b""]
    with Network(tmp_path / "chain") as network:
        assert network.chain_id == 31337
        network.set_code(MULTICALL3, bytes.fromhex("465f5260205ff3"))  # answers CHAINID
        assert network.call(MULTICALL3) == (31337).to_bytes(32, "big")
    with pytest.raises(InvalidInput, match="chain ID is 31337, not 5"):
        Network(tmp_path / "chain", chain_id=5)


@pytest.mark.parametrize("number", [0, -1, 1 << 53])
def test_a_number_that_no_tool_takes_is_no_chain_id(number: int) -> None:
    with pytest.raises(InvalidInput, match="cannot be a chain id"):
        Network(chain_id=number)
