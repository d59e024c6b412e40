"""Methods for block producers. Expected values: by hand from rust-fil-proofs and lotus; rules of consensus faults."""

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from bridge.bindings import storageminer
from hypervisor.integers import encode_bigint
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, Signature, SignatureType, SignedMessage
from hypervisor.messages.signatures import verify_bls_aggregate
from hypervisor.proofs.consensus_faults import DOUBLE_FORK, find_fault
from hypervisor.types import ActorID
from localnet import Network, TransactionFailed
from localnet.accounts import BLS_ACCOUNT
from localnet.ledger.blocks import beacon_entry
from localnet.miners.miner import Miner
from localnet.miners.mining import winning_sector
from localnet.rpc.lotus_shapes import message_json
from localnet.rpc.lotus_values import base64_bytes, cid
from localnet.rpc.node import Node
from store.codec import encode, link
from tests.conftest import data_file
from tests.hypervisor.test_proofs import bls_signature, public_key
from tests.localnet.conftest import Clock
from tests.localnet.rpc.conftest import Client, Failed

FINALITY = 900
INFO, CREATE = "Filecoin.MinerGetBaseInfo", "Filecoin.MinerCreateBlock"


@pytest.fixture(scope="module")
def mined() -> Iterator[tuple[Network, Miner]]:
    """Return a network whose miner has three sectors, one of them faulty, since before the lookback."""
    with Network(clock=Clock()) as network:
        miner = network.create_miner(sectors=3)
        place = miner.sector(0)
        while network.block_number + 75 > miner.opening(place.deadline):  # not near the deadline
            network.mine(null_rounds=60)
        miner.declare_faults(1)
        network.mine(null_rounds=FINALITY + 10)
        yield network, miner


@pytest.fixture
def rpc(mined: tuple[Network, Miner]) -> Client:
    return Client(Node(mined[0]))


def head(rpc: Client) -> Any:
    return rpc("Filecoin.ChainHead")["Cids"]


def test_base_info_selects_the_sector_of_the_winning_post(mined: tuple[Network, Miner], rpc: Client) -> None:
    network, miner = mined
    found = [rpc(INFO, f"f0{miner.id}", network.block_number + ahead, head(rpc)) for ahead in range(1, 9)]
    numbers = []
    for ahead in range(1, 9):
        height = network.block_number + ahead
        base = hashlib.blake2b(beacon_entry(height), digest_size=32).digest()
        entropy = encode(miner.address.to_bytes())
        seed = hashlib.blake2b(
            (3).to_bytes(8, "big") + base + height.to_bytes(8, "big") + entropy, digest_size=32
        ).digest()
        prover = miner.address.payload + bytes(32 - len(miner.address.payload))
        digest = hashlib.sha256(prover + seed[:31] + bytes([seed[31] & 63]) + (0).to_bytes(8, "little")).digest()
        numbers.append([0, 2][int.from_bytes(digest[:8], "little") % 2])
    assert [info["Sectors"][0]["SectorNumber"] for info in found] == numbers
    assert set(numbers) == {0, 2}, "the faulty sector is never selected"
    first = found[0]
    power = rpc("Filecoin.StateMinerPower", f"f0{miner.id}", head(rpc))
    assert (first["MinerPower"], first["NetworkPower"]) == (
        power["MinerPower"]["QualityAdjPower"], power["TotalPower"]["QualityAdjPower"]
    )  # fmt: skip
    assert (first["SectorSize"], first["WorkerKey"], first["EligibleForMining"]) == (
        2048,
        f"t{str(BLS_ACCOUNT)[1:]}",
        True,
    )
    rounds = [found[1]["PrevBeaconEntry"]["Round"], *(entry["Round"] for entry in found[1]["BeaconEntries"])]
    assert rounds == [network.block_number, network.block_number + 2]
    assert base64_bytes(first["BeaconEntries"][0]["Data"]) == beacon_entry(network.block_number + 1)


def test_base_info_is_null_or_an_error_without_a_lookback(mined: tuple[Network, Miner], rpc: Client) -> None:
    network, miner = mined
    new = network.create_miner(network.accounts[2], sectors=1)
    now = network.block_number
    assert rpc(INFO, f"f0{new.id}", now + 1, head(rpc)) is None
    for address, height, key, words in (
        ("f01", now + 1, head(rpc), "f01 is not a storage miner"),
        ("f099999", now + 1, head(rpc), "actor not found"),
        (f"f0{miner.id}", now, head(rpc), "is not after the tipset's"),
        (f"f0{miner.id}", now + 1, [], "zero length array of blocks"),
        (f"f0{miner.id}", now + FINALITY + 1, head(rpc), "the lookback of epoch .* pass a later tipset"),
    ):
        with pytest.raises(Failed, match=words):
            rpc(INFO, address, height, key)


@pytest.mark.parametrize(("miner", "count"), [(1000, 1), (1000, 7), (2**40, 12345)])
def test_the_winning_sector_is_one_of_the_sectors(miner: int, count: int) -> None:
    owner = ActorID(miner)
    assert {winning_sector(owner, bytes([number] * 32), count) < count for number in range(256)} == {True}
    seeds = (bytes(31) + b"\x3f", bytes(31) + b"\xff")
    assert winning_sector(owner, seeds[0], count) == winning_sector(owner, seeds[1], count)


def template(network: Network, miner: Miner, rpc: Client, **changed: Any) -> dict[str, Any]:
    return {
        "Miner": f"f0{miner.id}",
        "Parents": head(rpc),
        "Ticket": {"VRFProof": "dGlja2V0"},
        "Eproof": {"WinCount": 1, "VRFProof": "dnJm"},
        "BeaconValues": [{"Round": 8, "Data": "ZW50cnk="}],
        "Messages": [],
        "Epoch": network.block_number + 1,
        "Timestamp": 5,
        "WinningPoStProof": [{"PoStProof": 3, "ProofBytes": "cHJvb2Y="}],
    } | changed


def header_bytes(header: dict[str, Any]) -> bytes:
    """Return the CBOR of a header in Lotus' JSON (chain/types/blockheader.go)."""

    def seal(value: dict[str, Any]) -> bytes:
        return bytes([value["Type"]]) + base64_bytes(value["Data"])

    return encode([
        Address.parse(header["Miner"]).to_bytes(),
        [base64_bytes(header["Ticket"]["VRFProof"])],
        [header["ElectionProof"]["WinCount"], base64_bytes(header["ElectionProof"]["VRFProof"])],
        [[each["Round"], base64_bytes(each["Data"])] for each in header["BeaconEntries"]],
        [[each["PoStProof"], base64_bytes(each["ProofBytes"])] for each in header["WinPoStProof"]],
        [link(cid(each)) for each in header["Parents"]],
        encode_bigint(int(header["ParentWeight"])),
        header["Height"],
        link(cid(header["ParentStateRoot"])),
        link(cid(header["ParentMessageReceipts"])),
        link(cid(header["Messages"])),
        seal(header["BLSAggregate"]),
        header["Timestamp"],
        seal(header["BlockSig"]),
        header["ForkSignaling"],
        encode_bigint(int(header["ParentBaseFee"])),
    ])  # fmt: skip


def test_two_created_blocks_of_one_epoch_are_a_consensus_fault(mined: tuple[Network, Miner], rpc: Client) -> None:
    network, miner = mined
    one, other = (rpc(CREATE, template(network, miner, rpc, Timestamp=at)) for at in (5, 6))
    headers = [header_bytes(each["Header"]) for each in (one, other)]
    fault = find_fault(headers[0], headers[1], b"", lambda _miner, _epoch: BLS_ACCOUNT)
    assert (fault.target, fault.epoch, fault.kind) == (miner.id, network.block_number + 1, DOUBLE_FORK)
    header = one["Header"]
    latest = rpc("Filecoin.ChainHead")["Blocks"][0]
    assert (header["Parents"], header["Height"]) == (head(rpc), latest["Height"] + 1)
    assert base64_bytes(header["BLSAggregate"]["Data"]) == bytes([0xC0]) + bytes(95)  # the identity of G2
    network.mine()
    mined_one = rpc("Filecoin.ChainHead")["Blocks"][0]
    for name in ("ParentStateRoot", "ParentMessageReceipts", "ParentBaseFee", "Parents", "Height"):
        assert header[name] == mined_one[name], name


@pytest.mark.slow
def test_the_official_miner_accepts_two_created_blocks_as_a_fault() -> None:
    with Network(bundle=data_file("bundles/v18-devnet.car"), network=28, clock=Clock()) as network:
        miner = network.create_miner(sectors=0)
        network.send_native(miner.address, value=10**21)
        network.mine(null_rounds=FINALITY + 10)
        rpc = Client(Node(network))
        one, other = (rpc(CREATE, template(network, miner, rpc, Timestamp=at))["Header"] for at in (5, 6))
        network.mine()
        call = storageminer.report_consensus_fault(header_bytes(one), header_bytes(other), b"")
        network.invoke(miner.address, call, sender=network.accounts[3])
        with pytest.raises(TransactionFailed, match="last exclusion period ended"):
            network.invoke(miner.address, call, sender=network.accounts[3])


def test_messages_are_sorted_by_signature_and_bls_ones_aggregated(mined: tuple[Network, Miner], rpc: Client) -> None:
    network, miner = mined
    keys = [public_key(secret) for secret in (5, 6)]
    bare = [Message(Address.id(100), key) for key in keys]
    signed = [
        SignedMessage(each, Signature(SignatureType.BLS, bls_signature(secret, bytes(each.cid()))))
        for secret, each in zip((5, 6), bare, strict=True)
    ]
    native = network.accounts[1].sign_native(Message(Address.id(100), network.accounts[1].native))
    wanted = [message_json(each) for each in (signed[0], native, signed[1])]
    found = rpc(CREATE, template(network, miner, rpc, Messages=wanted))
    assert found["BlsMessages"] == [message_json(each)["CID"] for each in bare]
    assert found["SecpkMessages"] == [message_json(native)["CID"]]
    aggregate = base64_bytes(found["Header"]["BLSAggregate"]["Data"])
    assert verify_bls_aggregate(aggregate, [key.payload for key in keys], [bytes(each.cid()) for each in bare])


def test_a_template_that_cannot_be_completed_is_refused(mined: tuple[Network, Miner], rpc: Client) -> None:
    network, miner = mined
    new = network.create_miner(network.accounts[4])
    broken = message_json(SignedMessage(Message(Address.id(1), BLS_ACCOUNT), Signature(SignatureType.BLS, b"x")))
    for changed, words in (
        ({"Miner": f"f0{new.id}"}, "failed to load miner worker: .* does not exist at the lookback"),
        ({"Miner": "f01"}, "failed to load miner worker: .*not a miner"),
        ({"Parents": []}, "zero length array of blocks"),
        ({"Ticket": None}, "Ticket is missing"),
        ({"Eproof": {"WinCount": 1}}, "Eproof: VRFProof is missing"),
        ({"Messages": [broken]}, "a BLS signature is malformed"),
        ({"BeaconValues": [[1, ""]]}, "BeaconValues"),
    ):
        with pytest.raises(Failed, match=words):
            rpc(CREATE, template(network, miner, rpc, **changed))
