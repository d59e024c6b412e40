"""Consensus faults reported to the official miner actor; amounts by hand from builtin-actors miner/src/monies.rs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.bindings import reward, storageminer
from hypervisor import Address
from hypervisor.types import BURNT_FUNDS_ACTOR, EAM_NAMESPACE, REWARD_ACTOR, ActorID
from localnet import Network, TransactionFailed
from localnet.miners.miner import Miner
from localnet.replay.replay import heights, replay
from store.cid import cid_of
from store.codec import encode
from tests.conftest import data_file
from tests.hypervisor.test_proofs import OTHER_SECRET, WORKER, header, signed
from tests.localnet.conftest import Clock

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
