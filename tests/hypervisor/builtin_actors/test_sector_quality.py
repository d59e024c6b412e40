"""Sectors at network version 29: quality is tenfold for new ones, and for older ones after the miner's method 37."""

import pytest

from bridge.bindings import storageminer
from hypervisor.types import ChainEpoch
from localnet import Network
from localnet.errors import TransactionFailed
from localnet.miners.miner import Miner
from store.trees.bitfield import encode_members
from tests.localnet.conftest import network_fixture

KIB = 1024
SIZE = 2 * KIB
DAY = 2880


network = network_fixture(lambda: Network(network=28))


@pytest.fixture
def miner(network: Network) -> Miner:
    """Create a miner with two 2 KiB sectors from before the upgrade, with simple quality."""
    made = network.create_miner(sectors=2)
    network.mine()
    network.upgrade(29, "own-v19")
    assert made.power() == (2 * SIZE, 2 * SIZE)
    return made


def upgrade(miner: Miner, *numbers: int, until: int | None = None, deadline: int | None = None) -> None:
    place = miner.sector(numbers[0])
    wanted = storageminer.SectorQualityUpgrade(
        place.deadline if deadline is None else deadline,
        max(place.partition, 0),
        encode_members(numbers),
        None if until is None else ChainEpoch(until),
    )
    miner.invoke(storageminer.upgrade_sector_quality([wanted]))


def test_new_sectors_count_tenfold(network: Network, miner: Miner) -> None:
    other = network.create_miner(sectors=2)
    assert other.power() == (2 * SIZE, 20 * SIZE)


def test_an_upgraded_sector_counts_tenfold(miner: Miner) -> None:
    """Its pledge is that of a new tenfold sector, which is more than before."""
    before = miner.pledge()
    upgrade(miner, 0)
    assert miner.power() == (2 * SIZE, 11 * SIZE)
    assert miner.pledge() > before
    upgrade(miner, 1)
    assert miner.power() == (2 * SIZE, 20 * SIZE)


def test_an_upgraded_sector_is_not_upgraded_again(miner: Miner) -> None:
    upgrade(miner, 0, 1)
    state = miner.network.machine.actor(miner.address)
    assert state is not None
    upgrade(miner, 0, 1)
    after = miner.network.machine.actor(miner.address)
    assert after is not None
    assert after.head == state.head


def test_a_sector_is_extended_with_its_upgrade(miner: Miner) -> None:
    until = miner.network.block_number + 600 * DAY
    upgrade(miner, 0, until=until)
    ask = storageminer.get_nominal_sector_expiration(0)
    assert miner.network.ask(miner.address, ask) == until
    assert miner.power() == (2 * SIZE, 11 * SIZE)


@pytest.mark.parametrize(
    ("numbers", "until", "deadline"),
    [((7,), None, 0), ((0,), 5, None), ((0,), None, 48), ((0,), 10**6 * DAY, None)],
    ids=["no such sector", "shortened", "no such deadline", "beyond all limits"],
)
def test_invalid_sector_upgrade_is_refused_as_a_whole(
    miner: Miner, numbers: tuple[int, ...], until: int | None, deadline: int | None
) -> None:
    with pytest.raises(TransactionFailed, match="16"):
        upgrade(miner, *numbers, until=until, deadline=deadline)
    assert miner.power() == (2 * SIZE, 2 * SIZE)


def test_nothing_to_upgrade_is_refused(miner: Miner) -> None:
    with pytest.raises(TransactionFailed, match="16"):
        miner.invoke(storageminer.upgrade_sector_quality([]))


def test_a_faulty_sector_is_not_upgraded(miner: Miner) -> None:
    miner.declare_faults(0)
    with pytest.raises(TransactionFailed, match="16"):
        upgrade(miner, 0, 1)
    assert miner.power() == (SIZE, SIZE)


def test_only_its_people_upgrade_a_miners_sectors(miner: Miner) -> None:
    place = miner.sector(0)
    wanted = storageminer.SectorQualityUpgrade(place.deadline, place.partition, encode_members([0]), None)
    with pytest.raises(TransactionFailed, match="18"):
        miner.network.invoke(
            miner.address,
            storageminer.upgrade_sector_quality([wanted]),
            sender=miner.network.accounts[3],
        )


def test_the_upgraded_power_is_lost_and_found_as_a_whole(miner: Miner) -> None:
    """The partition's totals match its sectors: a fault removes the tenfold power."""
    upgrade(miner, 0, 1)
    miner.declare_faults(0)
    assert miner.power() == (SIZE, 10 * SIZE)
