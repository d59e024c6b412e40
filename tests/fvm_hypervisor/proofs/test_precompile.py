"""The precompile for Merkle Patricia proofs, with proofs recorded from anvil."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from eth_abi.abi import decode, encode

from bridge import rlp
from bridge.addresses import EthAddress
from fvm_hypervisor.proofs.precompile import ETHEREUM_PROOF
from localnet import CallFailed, Network
from store.keccak import keccak
from tests.fvm_hypervisor.proofs.test_ethereum import CONTRACT, NOBODY, ROOT
from tests.runtimes.evm.assembler import assemble, deployer

FORWARD = f"""
    CALLDATASIZE 0 0 CALLDATACOPY
    0 0 CALLDATASIZE 0 {ETHEREUM_PROOF.address} GAS STATICCALL
    RETURNDATASIZE 0 0 RETURNDATACOPY
    @ok JUMPI 0 0 REVERT
    ok: RETURNDATASIZE 0 RETURN
"""


@pytest.fixture(params=["filecoin", "ethereum"])
def contract(request: pytest.FixtureRequest) -> Iterator[tuple[Network, EthAddress]]:
    with Network(rules=request.param, precompiles=["ethereum_proof"]) as network:
        address = network.send(None, 0, deployer(assemble(FORWARD))).contract_address
        assert address is not None
        yield network, address


def asked(contract: tuple[Network, EthAddress], root: bytes, key: bytes, nodes: list[str]) -> bytes:
    network, address = contract
    raw = [bytes.fromhex(node[2:]) for node in nodes]
    data = encode(["bytes32", "bytes32", "bytes[]"], [root, keccak(key), raw])
    (value,) = decode(["bytes"], network.call(address, data))
    return bytes(value)


def test_contract_verifies_account_and_slot(contract: tuple[Network, EthAddress]) -> None:
    account = asked(contract, ROOT, bytes.fromhex(CONTRACT["address"][2:]), CONTRACT["accountProof"])
    _, _, storage, _ = rlp.read_list(rlp.decode(account), 4)
    assert isinstance(storage, bytes)
    slot = CONTRACT["storageProof"][0]
    assert asked(contract, storage, bytes.fromhex(slot["key"][2:]), slot["proof"]) == rlp.encode(b"\x01\x01")
    assert asked(contract, ROOT, bytes.fromhex(NOBODY["address"][2:]), NOBODY["accountProof"]) == b""


def test_altered_proof_fails_the_call(contract: tuple[Network, EthAddress]) -> None:
    nodes = [*CONTRACT["accountProof"][:-1], CONTRACT["accountProof"][-1] + "00"]
    with pytest.raises(CallFailed):
        asked(contract, ROOT, bytes.fromhex(CONTRACT["address"][2:]), nodes)
    network, address = contract
    with pytest.raises(CallFailed):
        network.call(address, b"\xff" * 100)


def test_price_is_by_word() -> None:
    assert ETHEREUM_PROOF.price(bytes(64)) == 3_024
