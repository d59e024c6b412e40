"""A DAO contract that owns a storage miner and sets its beneficiary by vote."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.bindings import storageminer
from bridge.ethereum.addresses import checksummed
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import invoke_params
from examples.conftest import Refused, actor_id, masked
from hypervisor import Address
from hypervisor.types import ChainEpoch, TokenAmount
from localnet import Account, Artifact, CallFailed, Contract, Miner, Network, TransactionFailed

HERE = Path(__file__).parent
FIL = 10**18
VOTING_EPOCHS = 20


@pytest.fixture(scope="module")
def miner(chain: Network) -> Miner:
    return chain.create_miner(sectors=0)


@pytest.fixture
def members(network: Network) -> tuple[Account, ...]:
    return network.accounts[1:4]


@pytest.fixture
def dao(network: Network, miner: Miner, members: tuple[Account, ...]) -> Contract:
    """The DAO contract, which owns the miner."""
    deployed = network.deploy(HERE / "MinerDao.json", miner.id, [one.address for one in members], VOTING_EPOCHS)
    miner.invoke(storageminer.change_owner_address(Address.id(actor_id(network, deployed))))
    deployed.send("takeOwnership")
    return deployed


def test_the_dao_is_the_owner(network: Network, dao: Contract, miner: Miner) -> None:
    found = network.ask(miner.address, storageminer.get_owner())
    assert found == storageminer.GetOwnerReturn(Address.id(actor_id(network, dao)), None)


@pytest.mark.slow
def test_dao_majority_names_beneficiary_who_withdraws_funds(
    network: Network, dao: Contract, miner: Miner, members: tuple[Account, ...]
) -> None:
    heir = network.accounts[5]
    heir_id = actor_id(network, heir.native)
    dao.send("propose", heir_id, 2 * FIL, 100_000, sender=members[0])
    dao.send("vote", 0, sender=members[0])
    dao.send("vote", 0, sender=members[2])
    executed = dao.send("execute", 0, sender=network.accounts[8])
    assert [event.event for event in dao.events(executed)] == ["Executed"]

    # the miner actor requires the nominee's consent
    nominee = Address.id(heir_id)
    network.invoke(miner.address, storageminer.change_beneficiary(nominee, 2 * FIL, 100_000), sender=heir)
    found = network.ask(miner.address, storageminer.get_beneficiary())
    term = storageminer.BeneficiaryTerm(TokenAmount(2 * FIL), TokenAmount(0), ChainEpoch(100_000))
    assert found == storageminer.GetBeneficiaryReturn(storageminer.ActiveBeneficiary(nominee, term), None)

    network.send_native(miner.address, value=5 * FIL)
    taken = network.invoke(miner.address, storageminer.withdraw_balance(5 * FIL), sender=heir)
    assert taken == 2 * FIL  # limited to the quota


def test_proposal_without_majority_is_not_executed(
    network: Network, dao: Contract, members: tuple[Account, ...], refused: Refused
) -> None:
    dao.send("propose", actor_id(network, network.accounts[5].native), FIL, 100_000, sender=members[0])
    dao.send("vote", 0, sender=members[0])
    assert refused(dao, "execute", 0).reason == "NoMajority(0, 1, 2)"


def test_strangers_neither_propose_nor_vote(
    network: Network, dao: Contract, members: tuple[Account, ...], refused: Refused
) -> None:
    stranger = network.accounts[7]
    words = f"NotAMember({checksummed(stranger.address)})"
    assert refused(dao, "propose", 100, FIL, 100_000, sender=stranger).reason == words
    dao.send("propose", 100, FIL, 100_000, sender=members[0])
    assert refused(dao, "vote", 0, sender=stranger).reason == words


def test_a_member_votes_by_whichever_address_it_was_named(
    network: Network, miner: Miner, members: tuple[Account, ...]
) -> None:
    named = [masked(actor_id(network, members[0])), members[1].address, masked(actor_id(network, members[2].native))]
    dao = network.deploy(HERE / "MinerDao.json", miner.id, named, VOTING_EPOCHS)
    for member in members[:2]:
        assert dao.call("isMember", member.address) is True
    dao.send("propose", 100, FIL, 100_000, sender=members[0])
    dao.send("vote", 0, sender=members[1])
    call = invoke_params(dao.interface.encode_call("vote", 0))
    network.send_native(dao.address, INVOKE_EVM, call, sender=members[2])
    assert dao.call("proposals", 0)[4] == 2


def test_one_actor_cannot_be_two_members(network: Network, miner: Miner, members: tuple[Account, ...]) -> None:
    twice = [members[0].address, masked(actor_id(network, members[0]))]
    with pytest.raises(CallFailed) as failed:
        network.deploy(HERE / "MinerDao.json", miner.id, twice, VOTING_EPOCHS)
    dao = Artifact.load(HERE / "MinerDao.json").interface
    assert dao.decode_revert(failed.value.data) == f"MemberTwice({checksummed(members[0].address)})"


@pytest.mark.slow
def test_a_member_votes_once_and_in_time(
    network: Network, dao: Contract, members: tuple[Account, ...], refused: Refused
) -> None:
    dao.send("propose", 100, FIL, 100_000, sender=members[0])
    dao.send("vote", 0, sender=members[0])
    assert refused(dao, "vote", 0, sender=members[0]).reason.startswith("VotedAlready(0")
    network.mine(null_rounds=VOTING_EPOCHS)
    assert refused(dao, "vote", 0, sender=members[1]).reason == "VotingOver(0)"


def test_proposal_refused_by_miner_stays_unexecuted(
    network: Network, dao: Contract, miner: Miner, members: tuple[Account, ...], refused: Refused
) -> None:
    """Propose a beneficiary without a quota; the actor's exit code 16 must be in the error and in the trace."""
    dao.send("propose", actor_id(network, network.accounts[5].native), 0, 100_000, sender=members[0])
    for member in members[:2]:
        dao.send("vote", 0, sender=member)
    refusal = refused(dao, "execute", 0)
    assert refusal.reason == f"MinerRefused({miner.id}, 16)"
    assert refusal.exits == [("evm", 33), ("storageminer", 16)]
    assert dao.call("proposals", 0)[-1] is False


def test_nothing_is_executed_twice(
    network: Network, dao: Contract, members: tuple[Account, ...], refused: Refused
) -> None:
    dao.send("propose", actor_id(network, network.accounts[5].native), FIL, 100_000, sender=members[0])
    for member in members[:2]:
        dao.send("vote", 0, sender=member)
    dao.send("execute", 0)
    assert refused(dao, "execute", 0).reason == "ExecutedAlready(0)"


def test_the_old_owner_has_no_say_any_more(network: Network, dao: Contract, miner: Miner) -> None:
    with pytest.raises(TransactionFailed) as failed:
        miner.invoke(storageminer.change_beneficiary(miner.owner.native, FIL, 100_000))
    assert failed.value.exit_code == 18


def test_a_dao_that_was_not_proposed_cannot_take_a_miner(
    network: Network, miner: Miner, members: tuple[Account, ...], refused: Refused
) -> None:
    taker = network.deploy(HERE / "MinerDao.json", miner.id, [members[0].address], VOTING_EPOCHS)
    refusal = refused(taker, "takeOwnership")
    assert refusal.reason == f"MinerRefused({miner.id}, 18)"
    assert refusal.exits == [("evm", 33), ("storageminer", 18)]
