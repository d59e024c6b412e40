"""A storage miner with sectors, on the own and an official bundle, and its view from Solidity."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bridge.bindings import reward, storageminer
from bridge.filecoin.method_numbers import method_number
from hypervisor import Address, Message
from hypervisor.errors import InvalidInput
from hypervisor.exit_codes import ExitCode
from hypervisor.types import (
    BURNT_FUNDS_ACTOR,
    DATACAP_ACTOR,
    EAM_NAMESPACE,
    POWER_ACTOR,
    REWARD_ACTOR,
    ActorID,
    ChainEpoch,
    MethodNumber,
    decode_bigint,
    encode_bigint,
)
from localnet import CallFailed, Contract, GenesisOptions, Network, TransactionFailed
from localnet.calls.simulate import call
from localnet.miners.miner import Miner, SectorState
from localnet.miners.policy import PROVING_PERIOD
from localnet.replay.replay import heights, replay
from localnet.rules.facts import CallRequest
from store.blockstore import get_object
from store.cid import cid_of
from store.codec import encode
from tests.conftest import data_file
from tests.hypervisor.test_proofs import OTHER_SECRET, WORKER, header, signed
from tests.localnet.conftest import ARTIFACTS, BUNDLE, Clock

DEAD, ACTIVE, FAULTY = 0, 1, 2
PLEDGE = 59_604_643_840
"""Pledge for 2 KiB in attoFIL, at the cap of 1 FIL for 32 GiB: actors.md 4.15."""
LARGER_SECTORS = (8 << 20, 512 << 20, 32 << 30, 64 << 30)
"""Sizes of sectors in bytes, without the smallest one."""

DEFERRED_EVENT = MethodNumber(12)
ESTIMATE = [encode_bigint(1 << 128), b""]


@dataclass
class Stage:
    """A network with a miner of three sectors, and a contract that reads them."""

    network: Network
    miner: Miner
    contract: Contract
    quality: int
    """Power multiplier of a sector without a claim: ten from network version 29 on (FIP-0118)."""

    def locate(self, sector: int) -> tuple[int, bytes]:
        status, location = self.contract.call("locate", self.miner.id, sector)
        return status, location

    def is_still(self, sector: int, status: int, location: bytes) -> bool:
        result: bool = self.contract.call("isStill", self.miner.id, sector, status, location)
        return result

    def ask_at(self, epoch: int, function: str, *arguments: Any) -> Any:
        """Return the contract's result after the end of a deadline at a later epoch."""
        machine = self.network.machine.fork()
        machine.advance(epoch=ChainEpoch(epoch))
        event = encode([encode([1]), ESTIMATE, ESTIMATE])
        ended = machine.apply_implicit(
            Message(self.miner.address, Address.id(POWER_ACTOR), method=DEFERRED_EVENT, params=event)
        )
        assert ended.exit_code == 0, ended.message
        interface = self.contract.interface
        request = CallRequest(self.contract.address, interface.encode_call(function, self.miner.id, *arguments))
        return interface.decode_result(function, call(machine, request))

    def end_of_deadline(self, deadline: int, since: int) -> int:
        """Return the last epoch of a deadline's first window that ends at or after an epoch."""
        end = self.miner.opening(deadline) + 59
        return end + -(-(since - end) // PROVING_PERIOD) * PROVING_PERIOD


@pytest.fixture(scope="module", params=["own", "own-nv28", pytest.param("official", marks=pytest.mark.long)])
def first_stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    bundle = data_file(BUNDLE) if request.param == "official" else None
    with Network(bundle=bundle, network=29 if request.param == "own" else 28, clock=Clock()) as network:
        contract = network.deploy(ARTIFACTS / "SectorStatus.json")
        miner = network.create_miner(network.accounts[1], sectors=3)
        network.mine(null_rounds=60)  # the first proofs' deadline is over
        yield Stage(network, miner, contract, 10 if network.version == 29 else 1)


@pytest.fixture
def stage(first_stage: Stage) -> Iterator[Stage]:
    snapshot = first_stage.network.snapshot()
    yield first_stage
    first_stage.network.revert(snapshot)


@pytest.mark.slow
def test_the_miner_has_live_sectors_power_and_pledge(stage: Stage) -> None:
    assert stage.miner.sectors == (0, 1, 2)
    assert stage.miner.power() == (3 * 2048, 3 * 2048 * stage.quality)
    assert stage.miner.pledge() == 3 * PLEDGE * stage.quality
    assert {stage.miner.sector(number).status for number in (0, 1, 2)} == {"active"}
    assert stage.miner.sector(3) == SectorState("dead", -1, -1)


@pytest.mark.slow
def test_solidity_reads_sector_location_and_status(stage: Stage) -> None:
    for number in (0, 1, 2):
        status, location = stage.locate(number)
        place = stage.miner.sector(number)
        assert (status, location) == (ACTIVE, encode([place.deadline, place.partition]))
        assert [stage.is_still(number, status, location) for status in (DEAD, ACTIVE, FAULTY)] == [False, True, False]
        assert stage.contract.call("expiration", stage.miner.id, number) > stage.network.block_number
    assert stage.locate(3) == (DEAD, encode([-1, -1]))
    assert stage.is_still(3, DEAD, encode([-1, -1]))


def test_solidity_sees_declared_fault(stage: Stage) -> None:
    location = stage.locate(0)[1]
    stage.miner.declare_faults(0)
    assert [stage.locate(number)[0] for number in (0, 1, 2)] == [FAULTY, ACTIVE, ACTIVE]
    assert [stage.is_still(0, status, location) for status in (DEAD, ACTIVE, FAULTY)] == [False, False, True]
    assert stage.miner.power() == (2 * 2048, 2 * 2048 * stage.quality)


def test_solidity_sees_missed_proof_as_fault(stage: Stage) -> None:
    place = stage.miner.sector(2)
    end = stage.end_of_deadline(place.deadline, stage.network.block_number + PROVING_PERIOD)
    status, location = stage.ask_at(end, "locate", 2)
    assert status == FAULTY
    assert stage.ask_at(end, "isStill", 2, FAULTY, location)


def test_solidity_sees_expired_sector_as_dead(stage: Stage) -> None:
    expiration = stage.contract.call("expiration", stage.miner.id, 1)
    place = stage.miner.sector(1)
    end = stage.end_of_deadline(place.deadline, expiration)
    status, location = stage.ask_at(end, "locate", 1)
    assert (status, location) == (DEAD, encode([place.deadline, place.partition]))
    assert stage.ask_at(end, "isStill", 1, DEAD, location)
    assert not stage.ask_at(end, "isStill", 1, ACTIVE, location)
    assert stage.ask_at(end, "expiration", 1) == expiration


def test_sectors_with_claims_count_tenfold_until_all_do(stage: Stage) -> None:
    if stage.quality == 10:
        with pytest.raises(InvalidInput, match="DataCap is frozen on this network"):
            stage.network.create_miner(sectors=2, claims=True)
        return
    miner = stage.network.create_miner(sectors=2, claims=True)
    assert miner.power() == (2 * 2048, 2 * 20480)
    assert miner.pledge() == 2 * 10 * PLEDGE


def test_the_deposit_is_part_of_the_networks_pledge(stage: Stage) -> None:
    """The official actors omit it and fail when it vests: actors.md 8.4. By hand: 5,937,181,320 attoFIL."""
    before = total_pledge(stage.network)
    stage.network.create_miner(sectors=0)
    assert total_pledge(stage.network) - before == 5_937_181_320


def total_pledge(network: Network) -> int:
    power = network.machine.actor(Address.id(POWER_ACTOR))
    assert power is not None
    return decode_bigint(get_object(network.machine.store, power.head)[4])


def test_a_miner_without_sectors_has_no_power(network: Network) -> None:
    miner = network.create_miner(sectors=0)
    assert (miner.sectors, miner.power(), miner.pledge()) == ((), (0, 0), 0)
    with pytest.raises(TransactionFailed, match=r"\(16\)"):
        miner.commit(1, expiration=network.block_number)


@pytest.mark.slow
@pytest.mark.parametrize("size", [2 << 10, *LARGER_SECTORS])
def test_created_miner_has_requested_sector_size(size: int) -> None:
    """Every sector counts tenfold since FIP-0118; at most 1 FIL is pledged for 32 GiB of adjusted power."""
    with Network() as network:
        miner = network.create_miner(sectors=2, sector_size=size)
        assert miner.power() == (2 * size, 20 * size)
        assert network.ask(miner.address, storageminer.get_sector_size()) == size
        assert 0 < miner.pledge() <= 20 * size * 10**18 // (32 << 30)
        miner.prove()
        assert miner.sector(1).status == "active"


def test_a_size_that_no_sector_has_is_refused(network: Network) -> None:
    with pytest.raises(InvalidInput, match="4096 bytes is not a sector size: expected one of 2048, 8388608"):
        network.create_miner(sector_size=4096)


@pytest.mark.long
def test_sectors_stay_well_while_they_are_proven(network: Network) -> None:
    """Deadlines end in the epoch's cron; a missing proof removes the power."""
    miner = network.create_miner(sectors=1)
    miner.prove()
    network.mine(null_rounds=60)
    assert miner.power() == (2048, 20480)
    assert miner.sector(0).status == "active"
    with pytest.raises(TransactionFailed, match=r"\(18\)"):
        network.invoke(miner.address, storageminer.development_only_prove_deadline(), sender=network.accounts[2])


@pytest.mark.slow
@pytest.mark.parametrize("bundle", [None, pytest.param(BUNDLE, marks=pytest.mark.long)], ids=["own", "official"])
def test_more_sectors_than_a_message_holds_come_in_several(bundle: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localnet.miners.miner._MESSAGE_SECTORS", 2)
    with Network(bundle=bundle and data_file(bundle), network=28, clock=Clock()) as network:
        miner = network.create_miner(sectors=5, claims=True)
        assert miner.sectors == (0, 1, 2, 3, 4)
        assert {miner.sector(number).status for number in miner.sectors} == {"active"}
        assert miner.power() == (5 * 2048, 5 * 20480)


def test_nonexistent_sectors_are_reported(network: Network) -> None:
    with pytest.raises(InvalidInput, match="-1 cannot be a number of sectors"):
        network.create_miner(sectors=-1)
    with pytest.raises(InvalidInput, match="has no sector 7"):
        network.create_miner(sectors=1).declare_faults(0, 7)


def test_number_of_sectors_is_limited(network: Network) -> None:
    """Ten million sectors would occupy the chain for hours. The limit is documented at `Network.create_miner`."""
    head = network.block_number
    limit = "10000001 cannot be a number of sectors: expected a whole number, 0 to 10000; add more with Miner.commit"
    with pytest.raises(InvalidInput, match=limit):
        network.create_miner(sectors=10_000_001)
    assert network.block_number == head
    with pytest.raises(
        InvalidInput,
        match="10001 cannot be a number of sectors: expected a whole number, 1 to 10000"
        "; commit at most 10,000 sectors per call",
    ):
        network.create_miner(sectors=0).commit(10_001)
    with pytest.raises(InvalidInput, match="10001 cannot be a miner's number of sectors"):
        Network(genesis=GenesisOptions(miners=[1, 10_001]))


def test_unknown_miner_is_reported(network: Network) -> None:
    miner = network.create_miner(sectors=0)
    with pytest.raises(CallFailed) as refused:
        Miner(network, POWER_ACTOR, miner.owner).power()
    assert refused.value.exit_code == ExitCode.USR_NOT_FOUND


def test_datacap_is_granted(before_nv29: Network) -> None:
    either = before_nv29
    client = either.accounts[2].native
    either.grant_datacap(client, 256)
    either.grant_datacap(client, 1000)
    balance = either.send_native(Address.id(DATACAP_ACTOR), method_number("Balance"), encode(client.to_bytes()))
    assert decode_bigint(balance.return_data) == 1256 * 10**18


def test_from_network_version_29_on_none_is(network: Network) -> None:
    before = network.machine.root
    with pytest.raises(InvalidInput, match="use a network at nv28 to grant DataCap"):
        network.grant_datacap(network.accounts[2].native, 256)
    assert network.machine.root == before


def test_refused_datacap_grant_leaves_state_unchanged() -> None:
    """255 bytes are less than a piece; the registry's own root key cannot be a client."""
    network = Network(network=28, clock=Clock())
    before = network.machine.root
    for client, size in ((network.accounts[2].native, 255), (Address.id(80), 1000)):
        with pytest.raises(InvalidInput, match="the verified registry rejected the grant with exit code 16"):
            network.grant_datacap(client, size)
        assert network.machine.root == before


PARENTS = [cid_of(b"parent")]
FINALITY = 900


@dataclass
class ConsensusFaultsStage:
    """A network with a miner that the lookback knows."""

    network: Network
    miner: Miner
    folder: Path

    def balance(self, actor: ActorID) -> int:
        found = self.network.machine.actor(Address.id(actor))
        assert found is not None
        return int(found.balance)

    def report(self, *epochs: int, secret: int = 1) -> None:
        one, other = (signed(header(self.miner.address, epoch, PARENTS, key=secret)) for epoch in epochs)
        call = storageminer.report_consensus_fault(one, other, b"")
        self.network.invoke(self.miner.address, call, sender=self.network.accounts[3])


@pytest.fixture
def consensus_faults_stage(tmp_path: Path) -> Iterator[ConsensusFaultsStage]:
    bundle = data_file("bundles/v18-devnet.car")
    with Network(tmp_path / "net", bundle=bundle, network=28, clock=Clock()) as network:
        miner = network.create_miner(sectors=0)
        network.mine(null_rounds=FINALITY + 10)
        yield ConsensusFaultsStage(network, miner, tmp_path / "net")


def test_report_burns_and_rewards(consensus_faults_stage: ConsensusFaultsStage) -> None:
    network, miner = consensus_faults_stage.network, consensus_faults_stage.miner
    network.send_native(miner.address, value=10**21)
    now = network.block_number
    estimate = network.ask(Address.id(REWARD_ACTOR), reward.this_epoch_reward()).this_epoch_reward_smoothed.position
    epoch_reward = estimate >> 128
    penalty, share = epoch_reward * 5 // 5, epoch_reward // (5 * 4)
    reporter, burnt, held = (
        network.balance(network.accounts[3].native),
        consensus_faults_stage.balance(BURNT_FUNDS_ACTOR),
        consensus_faults_stage.balance(miner.id),
    )
    consensus_faults_stage.report(now - 1, now)
    assert held - consensus_faults_stage.balance(miner.id) == penalty
    assert 0 < share - (network.balance(network.accounts[3].native) - reporter) < 10**17  # the reporter's gas
    assert consensus_faults_stage.balance(BURNT_FUNDS_ACTOR) - burnt >= penalty - share
    with pytest.raises(TransactionFailed, match=f"last exclusion period ended at {now + 1 + FINALITY}"):
        consensus_faults_stage.report(now - 1, now)
    network.close()
    assert [
        replay(consensus_faults_stage.folder, height).difference
        for height in heights(consensus_faults_stage.folder, now)
    ] == [""] * 3


def test_refused_report_names_the_reason(consensus_faults_stage: ConsensusFaultsStage) -> None:
    now = consensus_faults_stage.network.block_number
    with pytest.raises(TransactionFailed, match="no consensus fault: the first header is not signed by the worker"):
        consensus_faults_stage.report(now - 1, now, secret=OTHER_SECRET)
    with pytest.raises(TransactionFailed, match="no consensus fault: the first header's epoch"):
        consensus_faults_stage.report(now, now - 1)
    with pytest.raises(TransactionFailed, match="more than 900 epochs before the current epoch"):
        consensus_faults_stage.report(now - FINALITY, now)


def test_miner_unknown_at_the_lookback_is_refused(consensus_faults_stage: ConsensusFaultsStage) -> None:
    miner = consensus_faults_stage.network.create_miner(sectors=0)
    now = consensus_faults_stage.network.block_number
    with pytest.raises(TransactionFailed, match=f"the miner f0{miner.id} does not exist at the lookback"):
        ConsensusFaultsStage(consensus_faults_stage.network, miner, consensus_faults_stage.folder).report(now - 1, now)


@pytest.mark.slow
@pytest.mark.parametrize(
    "state",
    [encode([0, WORKER.to_bytes()]), bytes.fromhex("82008100")],
    ids=["information of a miner", "a list in place of an address"],
)
def test_contract_whose_code_looks_like_a_miners_state_is_refused(
    consensus_faults_stage: ConsensusFaultsStage, state: bytes
) -> None:
    network = consensus_faults_stage.network
    created = network.send(None, 0, bytes.fromhex(f"61{len(state):04x}80600a5f395ff3") + state)
    assert created.contract_address is not None
    contract = network.machine.state_tree.lookup_id(Address.delegated(EAM_NAMESPACE, created.contract_address))
    assert contract is not None
    network.mine(null_rounds=FINALITY + 10)
    now = network.block_number
    one, other = (signed(header(Address.id(contract), epoch, PARENTS)) for epoch in (now - 1, now))
    call = storageminer.report_consensus_fault(one, other, b"")
    with pytest.raises(TransactionFailed, match=f"no consensus fault: f0{contract} is not a miner"):
        network.invoke(consensus_faults_stage.miner.address, call, sender=network.accounts[3])
