"""Methods for block producers. Expected values: by hand from rust-fil-proofs and lotus; rules of consensus faults."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from bridge.bindings import storageminer, storagepower
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, Signature, SignatureType, SignedMessage
from hypervisor.messages.signatures import verify_bls_aggregate
from hypervisor.proofs.consensus_faults import DOUBLE_FORK, find_fault
from hypervisor.types import POWER_ACTOR, ActorID, TokenAmount, encode_bigint
from localnet import Network, TransactionFailed
from localnet.accounts import BLS_ACCOUNT
from localnet.ledger.blocks import beacon_entry
from localnet.miners.miner import SECTOR_SIZE, Miner, window_proof
from localnet.miners.sectors import winning_sector
from localnet.rpc.lotus_values import base64_bytes, cid, message_json
from localnet.rpc.node import Node
from store.blockstore import get_object, put_object
from store.codec import encode, link, unlink
from store.trees.hamt import Hamt
from tests.conftest import data_file
from tests.hypervisor.test_proofs import bls_signature, public_key
from tests.localnet.conftest import Clock, network_fixture
from tests.localnet.rpc.conftest import Client, Failed, refusal
from tests.localnet.rpc.filecoin.test_sectors import change

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


@pytest.mark.slow
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


@pytest.mark.slow
def test_base_info_is_null_or_an_error_without_a_lookback(mined: tuple[Network, Miner], rpc: Client) -> None:
    network, miner = mined
    new = network.create_miner(network.accounts[2], sectors=1)
    now = network.block_number
    assert rpc(INFO, f"f0{new.id}", now + 1, head(rpc)) is None
    for address, height, key, words in (
        ("f01", now + 1, head(rpc), "f01 is not a storage miner"),
        ("f099999", now + 1, head(rpc), "actor not found"),
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


MINIMUM = 2048
"""Minimum power for consensus of this project's actors, in bytes (builtin-actors' feature min-power-2k)."""
ABOVE, CLAIMS = 10, 15
"""Places of miner_above_min_power_count and of the claims in the power actor's state."""
FEE_DEBT, FAULT_ELAPSED = 4, 9
"""Places in the state of a miner and in its information."""


network = network_fixture(lambda: Network(clock=Clock()))


@pytest.fixture
def filecoin_power_rpc(network: Network) -> Client:
    return Client(Node(network))


def claim(network: Network, powers: Mapping[ActorID, tuple[int, int]], above: int) -> None:
    """Set raw and adjusted power of miners, and the number of miners above the minimum."""
    machine = network.machine
    state = machine.state_tree.get_actor(POWER_ACTOR)
    assert state is not None
    claims = Hamt(machine.store, unlink(get_object(machine.store, state.head)[CLAIMS]))
    for number, (raw, adjusted) in powers.items():
        fields = claims.get(Address.id(number).to_bytes()) or [5, b"", b""]
        claims.set(Address.id(number).to_bytes(), [fields[0], encode_bigint(raw), encode_bigint(adjusted)])
    change(network, POWER_ACTOR, {ABOVE: above, CLAIMS: link(claims.flush())})


@pytest.mark.parametrize(
    ("raw", "above", "meets"),
    [
        (MINIMUM, 0, True), (MINIMUM, 4, True), (MINIMUM - 1, 3, True), (MINIMUM - 1, 4, False), (1, 3, True),
        (1, 4, False), (0, 0, False), (0, 4, False),
    ],
)  # fmt: skip
def test_a_small_miner_has_min_power_with_fewer_than_four_large_ones(
    network: Network, filecoin_power_rpc: Client, raw: int, above: int, meets: bool
) -> None:
    miner = network.create_miner()
    claim(network, {miner.id: (raw, 10 * raw)}, above)
    found = filecoin_power_rpc("Filecoin.StateMinerPower", f"f0{miner.id}")
    assert found["HasMinPower"] is meets
    assert found["MinerPower"] == {"RawBytePower": str(raw), "QualityAdjPower": str(10 * raw)}


@pytest.mark.slow
@pytest.mark.parametrize(("raw", "above", "eligible"), [(MINIMUM - 1, 3, True), (MINIMUM - 1, 4, False)])
def test_a_block_needs_min_power_at_the_lookback(
    network: Network, filecoin_power_rpc: Client, raw: int, above: int, eligible: bool
) -> None:
    miner = network.create_miner()
    claim(network, {miner.id: (raw, raw)}, above)
    network.mine(null_rounds=910)
    claim(network, {miner.id: (MINIMUM, MINIMUM)}, 0)
    key = filecoin_power_rpc("Filecoin.ChainHead")["Cids"]
    found = filecoin_power_rpc("Filecoin.MinerGetBaseInfo", f"f0{miner.id}", network.block_number + 1, key)
    assert found["EligibleForMining"] is eligible


class TestPowerTable:
    @pytest.fixture
    def miners(self, network: Network) -> list[Miner]:
        return [network.create_miner(network.accounts[place], sectors=0) for place in range(4)]

    def table(self, rpc: Client) -> list[tuple[int, int]]:
        return [(entry["ID"], int(entry["Power"])) for entry in rpc("Filecoin.F3GetECPowerTable", None)]

    def test_entries_descend_by_adjusted_power_then_ascend_by_id(
        self, network: Network, filecoin_power_rpc: Client, miners: list[Miner]
    ) -> None:
        one, two, three, four = (miner.id for miner in miners)
        claim(network, {one: (9_000, 9_000), two: (3_000, 30_000), three: (9_000, 9_000), four: (5_000, 0)}, 3)
        assert self.table(filecoin_power_rpc) == [(two, 30_000), (one, 9_000), (three, 9_000)]
        (entry, *_) = filecoin_power_rpc("Filecoin.F3GetECPowerTable")
        assert base64_bytes(entry["PubKey"]) == BLS_ACCOUNT.payload

    @pytest.mark.slow
    def test_small_miners_are_left_out_once_four_are_large(
        self, network: Network, filecoin_power_rpc: Client, miners: list[Miner]
    ) -> None:
        one, two, three, four = (miner.id for miner in miners)
        powers = {one: (MINIMUM, 1), two: (MINIMUM - 1, 2), three: (10 * MINIMUM, 3), four: (5, 4)}
        claim(network, powers, 3)
        assert [number for number, _ in self.table(filecoin_power_rpc)] == [four, three, two, one]
        claim(network, {}, 4)
        assert [number for number, _ in self.table(filecoin_power_rpc)] == [three, one]

    @pytest.mark.slow
    def test_miners_with_debts_or_a_recent_fault_are_left_out(
        self, network: Network, filecoin_power_rpc: Client, miners: list[Miner]
    ) -> None:
        one, two, three, _ = (miner.id for miner in miners)
        claim(network, {one: (9_000, 1), two: (9_000, 2), three: (9_000, 3)}, 3)
        assert [number for number, _ in self.table(filecoin_power_rpc)] == [three, two, one]
        state = network.machine.state_tree.get_actor(ActorID(two))
        assert state is not None
        assert get_object(network.machine.store, state.head)[FEE_DEBT] == b""
        change(network, two, {FEE_DEBT: encode_bigint(1)})
        assert [number for number, _ in self.table(filecoin_power_rpc)] == [three, one]
        store, actor = network.machine.store, network.machine.state_tree.get_actor(ActorID(three))
        assert actor is not None
        info = get_object(store, unlink(get_object(store, actor.head)[0]))
        height = filecoin_power_rpc("Filecoin.ChainHead")["Height"]
        for elapsed, expected in ((height, [one]), (height - 1, [three, one])):
            info[FAULT_ELAPSED] = elapsed
            change(network, three, {0: link(put_object(store, info))})
            assert [number for number, _ in self.table(filecoin_power_rpc)] == expected

    def test_a_network_without_miners_has_no_entries(self, filecoin_power_rpc: Client) -> None:
        assert filecoin_power_rpc("Filecoin.F3GetECPowerTable") == []


@pytest.mark.parametrize("method", [
    "F3GetCertificate", "F3GetLatestCertificate", "F3GetManifest", "F3GetF3PowerTable", "F3GetF3PowerTableByInstance",
    "F3GetOrRenewParticipationTicket", "F3GetPowerTableByInstance", "F3GetProgress", "F3IsRunning",
    "F3ListParticipants", "F3Participate",
])  # fmt: skip
def test_f3_is_disabled(filecoin_power_rpc: Client, method: str) -> None:
    """Lotus' ErrF3Disabled: the code is its place in the list of errors, from 2 on, the third."""
    with refusal(4, "f3 is disabled"):
        filecoin_power_rpc(f"Filecoin.{method}")


class TestCreationDeposit:
    def deposit(self, network: Network) -> int:
        return int(Client(Node(network))("Filecoin.StateMinerCreationDeposit"))

    def accepts(self, network: Network, value: int) -> int:
        """Return the exit code of CreateMiner with a deposit."""
        owner = network.accounts[0].native
        call = storagepower.create_miner(owner, BLS_ACCOUNT, window_proof(network, SECTOR_SIZE), b"", [])
        message = Message(
            Address.id(POWER_ACTOR), owner, method=call.method, params=call.params, value=TokenAmount(value)
        )
        return network.machine.call(message).exit_code

    def test_new_miner_needs_exactly_the_deposit(self, network: Network) -> None:
        """On a fresh chain 5,937,181,320 attoFIL: the most per byte for 204 bytes, a tenth of 2 KiB."""
        deposit = self.deposit(network)
        network.send_native(BLS_ACCOUNT, sender=network.accounts[0])
        assert deposit == (10**18 // (32 << 30)) * 204 == 5_937_181_320
        assert [self.accepts(network, value) for value in (deposit - 1, deposit)] == [19, 0]

    @pytest.mark.slow
    @pytest.mark.parametrize(("bundle", "deposit"), [
        ("v18-testing-fake-proofs", 5_937_181_320), ("v18-mainnet", 31_999_999_497_815_982_080),
    ])  # fmt: skip
    def test_official_actors_need_it_too(self, bundle: str, deposit: int) -> None:
        """The amounts are those of facts about the official actors on a fresh chain."""
        path = str(data_file(f"bundles/{bundle}.car"))
        with Network(network=28, bundle=path, evm="fast", clock=Clock()) as network:
            network.send_native(BLS_ACCOUNT, sender=network.accounts[0])
            assert self.deposit(network) == deposit
            if "testing" in bundle:  # mainnet's actors have no sectors of 2 KiB
                assert [self.accepts(network, value) for value in (deposit - 1, deposit)] == [19, 0]

    def test_there_is_none_before_version_27(self) -> None:
        with Network(network=26, clock=Clock()) as network:
            assert self.deposit(network) == 0
