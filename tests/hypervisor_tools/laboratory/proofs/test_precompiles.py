"""The precompile for Merkle Patricia proofs, with proofs recorded from anvil."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import decode, encode

from bridge.ethereum import rlp
from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.ethereum.patricia import InvalidProof
from hypervisor.precompiles import Precompile
from hypervisor_tools.laboratory.proofs.f3 import (
    Certificate,
    Committee,
    PowerDelta,
    encode_certificate,
    encode_power_table,
    power_table_cid,
)
from hypervisor_tools.laboratory.proofs.precompiles import (
    ETHEREUM_PROOF,
    F3_EVENT,
    MAX_CERTIFICATES,
    MAX_INPUT,
    _verify_nodes,
    event_proof,
)
from localnet import CallFailed, Network
from store import codec
from store.cid import cid_of
from store.keccak import keccak
from tests.hypervisor_tools.laboratory.proofs.test_ethereum import CONTRACT, NOBODY, ROOT
from tests.runtimes.evm.assembler import assemble, deployer


@contextmanager
def forwarder(precompile: Precompile, rules: str) -> Iterator[tuple[Network, EthAddress]]:
    """Deploy a contract that forwards its calldata to a precompile, and returns the result or reverts."""
    code = f"""
        CALLDATASIZE 0 0 CALLDATACOPY
        0 0 CALLDATASIZE 0 {precompile.address} GAS STATICCALL
        RETURNDATASIZE 0 0 RETURNDATACOPY
        @ok JUMPI 0 0 REVERT
        ok: RETURNDATASIZE 0 RETURN
    """
    with Network(rules=rules, precompiles=[precompile.name]) as network:
        address = network.send(None, 0, deployer(assemble(code))).contract_address
        assert address is not None
        yield network, address


@pytest.fixture(params=["filecoin", "ethereum"])
def contract(request: pytest.FixtureRequest) -> Iterator[tuple[Network, EthAddress]]:
    with forwarder(ETHEREUM_PROOF, request.param) as found:
        yield found


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


ARTIFACT = Path(__file__).parents[4] / "examples" / "solidity" / "artifacts" / "DataCapName.json"
COMMITTEE = Committee("source")
DIGEST = power_table_cid(COMMITTEE.table)[-32:]
OUTPUT = "(uint64,bytes32,uint64,uint64,uint64,uint64,bytes32[],bytes)"


@dataclass
class Source:
    """Certificates that finalize the header after an event, the proof, and the ID of the contract that emitted it."""

    certificates: list[Certificate]
    epoch: int
    emitter: int
    proof: bytes


@pytest.fixture(scope="module")
def source() -> Source:
    with Network() as network:
        contract = network.deploy(ARTIFACT)
        contract.send("keep")
        network.mine(1)
        head = network.chain.head
        emitter = network.machine.state_tree.lookup_id(to_filecoin(contract.address))
        assert emitter is not None
        base = COMMITTEE.tipset(0, [cid_of(b"base")])
        chain = [base, COMMITTEE.tipset(head.height, [head.block])]
        certificates = [COMMITTEE.certify(7, [base]), COMMITTEE.certify(8, chain)]
        proof = event_proof(COMMITTEE.table, certificates, network.machine.store, head.block, 0, 0)
        return Source(certificates, head.height, emitter, proof)


@pytest.fixture(scope="module", params=["filecoin", "ethereum"])
def event_contract(request: pytest.FixtureRequest) -> Iterator[tuple[Network, EthAddress]]:
    with forwarder(F3_EVENT, request.param) as found:
        yield found


def asked_event(
    event_contract: tuple[Network, EthAddress],
    proof: bytes,
    name: str = "source",
    instance: int = 7,
    digest: bytes = DIGEST,
) -> tuple[Any, ...]:
    network, address = event_contract
    data = encode(["string", "uint64", "bytes32", "bytes"], [name, instance, digest, proof])
    (found,) = decode([OUTPUT], network.call(address, data))
    return tuple(found)


def test_contract_verifies_an_event(event_contract: tuple[Network, EthAddress], source: Source) -> None:
    *place, topics, data = asked_event(event_contract, source.proof)
    assert place == [9, DIGEST, source.epoch, 0, 0, source.emitter]
    # keccak256("Kept(string)"), and the ABI encoding of the string
    assert [topic.hex() for topic in topics] == ["d8157b2069402a5dae3e97d4994734a7a6d45edb2e9cc09e22b37bb7762648ae"]
    assert decode(["string"], data) == ("DataCap",)


def parts(source: Source) -> list[Any]:
    found = codec.decode(source.proof)
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("wrong", [{"name": "other"}, {"instance": 8}, {"digest": bytes(32)}])
def test_other_trust_fails_the_call(
    event_contract: tuple[Network, EthAddress], source: Source, wrong: dict[str, Any]
) -> None:
    with pytest.raises(CallFailed):
        asked_event(event_contract, source.proof, **wrong)


@pytest.mark.slow
def test_each_altered_part_fails_the_call(event_contract: tuple[Network, EthAddress], source: Source) -> None:
    table, certificates, blocks, _, _ = parts(source)
    other = COMMITTEE.certify(8, source.certificates[0].chain)
    wrong: list[list[Any]] = [
        [table + b"\0", certificates, blocks, 0, 0],
        [table, [], blocks, 0, 0],
        [table, certificates[:1], blocks, 0, 0],
        [table, certificates[::-1], blocks, 0, 0],
        [table, [certificates[0]] * (MAX_CERTIFICATES + 1), blocks, 0, 0],
        [table, certificates, [], 0, 0],
        [table, certificates, blocks[1:], 0, 0],
        [table, certificates, blocks, 1, 0],
        [table, certificates, blocks, 0, 1],
        [table, certificates, blocks, 0, -1],
        [table, certificates, blocks, 0],
        [table, [certificates[0], encode_certificate(other)], blocks, 0, 0],
    ]
    for at in range(len(blocks)):
        before, after = blocks[:at], blocks[at + 1 :]
        wrong += [[table, certificates, [*before, *block, *after], 0, 0] for block in ([], [blocks[at] + b"\0"])]
    for one in wrong:
        with pytest.raises(CallFailed):
            asked_event(event_contract, codec.encode(one))


def test_weak_certificate_fails_the_call(event_contract: tuple[Network, EthAddress], source: Source) -> None:
    table, certificates, blocks, _, _ = parts(source)
    last = source.certificates[1]
    for weak in (COMMITTEE.certify(8, last.chain, [0, 1]), replace(last, signature=source.certificates[0].signature)):
        with pytest.raises(CallFailed):
            asked_event(
                event_contract, codec.encode([table, [certificates[0], encode_certificate(weak)], blocks, 0, 0])
            )
    enough = COMMITTEE.certify(8, last.chain, [0, 1, 3])
    proof = codec.encode([table, [certificates[0], encode_certificate(enough)], blocks, 0, 0])
    assert asked_event(event_contract, proof)[0] == 9


def test_hostile_input_fails_the_call(event_contract: tuple[Network, EthAddress]) -> None:
    network, address = event_contract
    for data in (
        b"",
        b"\xff" * 128,
        encode(["string", "uint64", "bytes32", "bytes"], ["a", 1, DIGEST, b"\x81" * 5000]),
    ):
        with pytest.raises(CallFailed):
            network.call(address, data)


def test_limits_are_checked_before_the_work(source: Source) -> None:
    assert F3_EVENT.function is not None
    with pytest.raises(ValueError, match="the limit is 262,144"):
        F3_EVENT.function(bytes(MAX_INPUT + 1))
    deltas = tuple(PowerDelta(1_000 + at, 1, bytes([at]) * 48) for at in range(200))
    growing = encode_certificate(replace(COMMITTEE.certify(0, source.certificates[0].chain), deltas=deltas))
    proof = codec.encode([encode_power_table(COMMITTEE.table), [growing] * 8, [], 0, 0])
    data = encode(["string", "uint64", "bytes32", "bytes"], ["source", 0, DIGEST, proof])
    with pytest.raises(ValueError, match=r"8 certificates with up to 160\d participants, deltas included"):
        F3_EVENT.function(data)
    large = Committee("source", 600)
    certificates = [encode_certificate(COMMITTEE.certify(at, source.certificates[0].chain)) for at in range(4)]
    proof = codec.encode([encode_power_table(large.table), certificates, [], 0, 0])
    data = encode(["string", "uint64", "bytes32", "bytes"], ["source", 0, power_table_cid(large.table)[-32:], proof])
    with pytest.raises(ValueError, match=r"4 certificates with up to 600 participants, .* may be at most 2048"):
        F3_EVENT.function(data)
