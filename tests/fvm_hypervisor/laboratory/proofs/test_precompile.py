"""The precompile for Merkle Patricia proofs, with proofs recorded from anvil."""

import tracemalloc
from collections.abc import Iterator

import pytest
from eth_abi.abi import decode, encode

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.patricia import InvalidProof
from fvm_hypervisor.laboratory.proofs.precompile import ETHEREUM_PROOF, _verify_nodes
from localnet import CallFailed, Network
from store.keccak import keccak
from tests.fvm_hypervisor.laboratory.proofs.test_ethereum import CONTRACT, NOBODY, ROOT
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


def words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in numbers)


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


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (
            bytes(64) + words(96, 6_000, *[32 * 6_000] * 6_000, 192_000) + bytes(192_000),
            "the input has 384160 bytes, at most 70848",
        ),
        (bytes(64) + words(96, 2_000, *[32 * 2_000] * 2_000, 100), "the proof has 2000 nodes, at most 65 are possible"),
        (bytes(64) + words(2**256 - 1), "the input is not the encoding of"),
    ],
    ids=["too long", "too many nodes", "offset beyond the end"],
)
def test_input_is_bounded_before_it_is_decoded(data: bytes, reason: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidProof, match=reason):
            _verify_nodes(data)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_price_is_by_word() -> None:
    assert ETHEREUM_PROOF.price(bytes(64)) == 3_024
