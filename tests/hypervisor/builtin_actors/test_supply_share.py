"""Pledges as a share of the supply: the example of docs/actors.md, computed by hand.

1,000,000 FIL are available; all miners hold 200,000 FIL by power and 50,000 FIL in equal parts.
"""

from collections.abc import Iterator

import pytest

from bridge.filecoin.method_numbers import method_number
from hypervisor import Address, Hypervisor
from hypervisor.bundles.bundle import Bundle
from hypervisor.errors import BundleError
from hypervisor.types import CRON_ACTOR, POWER_ACTOR, REWARD_ACTOR, SYSTEM_ACTOR, ChainEpoch, TokenAmount, decode_bigint
from store.codec import decode
from tests.hypervisor.builtin_actors.people import ALICE, BOB, FIL, GENESIS, WORKER, amount, packed, raw
from tests.hypervisor.builtin_actors.world import World

COMMIT = method_number("DevelopmentOnlyCommitSectors")
AVAILABLE = 1_000_000 * FIL
DEPOSIT = 5_937_181_320
"""Deposit of a new miner in attoFIL, which is also collateral: actors.md 8.4."""

LOCKED, PLEDGE = 2, 5


class Network:
    """A machine with the supply-share rule and a constant supply share."""

    def __init__(self, machine: Hypervisor) -> None:
        self.world, self.epoch = World(machine), 1
        self.advance()

    def advance(self, available: int = AVAILABLE) -> None:
        """End an epoch. Locked funds do not circulate."""
        assert self.world.send_as(SYSTEM_ACTOR, Address.id(CRON_ACTOR), 2).exit_code == 0
        self.epoch += 1
        locked = decode_bigint(self.world.state_of(POWER_ACTOR)[4])
        self.world.machine.advance(epoch=ChainEpoch(self.epoch), circulating_supply=TokenAmount(available - locked))

    def create_miner(self, owner: Address, value: int = FIL) -> Address:
        params = packed(raw(owner), raw(WORKER), 10, b"", [])
        created = self.world.send(Address.id(POWER_ACTOR), method_number("CreateMiner"), params, value, owner)
        assert created.exit_code == 0, created.message
        return Address.from_bytes(decode(created.return_data)[0])

    def commit(self, miner: Address, owner: Address, sectors: int = 1, value: int = 0) -> int:
        """Commit sectors with attoFIL attached; return the exit code."""
        params = packed([[]] * sectors, 600_000)
        return int(self.world.send(miner, COMMIT, params, value, owner).exit_code)

    def bound(self, miner: Address) -> tuple[int, int]:
        """Return the pledge in attoFIL, and the amount locked until it vests."""
        state = self.world.state_of(self.world.id_of(miner))
        return decode_bigint(state[PLEDGE]), decode_bigint(state[LOCKED])

    def award(self, miner: Address) -> int:
        """Win a block and return the reward in attoFIL."""
        before = self.world.balance_of(miner)
        params = packed(raw(miner), amount(0), amount(0), 1)
        assert self.world.send_as(SYSTEM_ACTOR, Address.id(REWARD_ACTOR), 2, params).exit_code == 0
        return self.world.balance_of(miner) - before

    def withdraw(self, miner: Address, owner: Address) -> int:
        """Withdraw the available balance and return it in attoFIL."""
        result = self.world.send(miner, method_number("WithdrawBalance"), packed(amount(10**30)), 0, owner)
        assert result.exit_code == 0, result.message
        return decode_bigint(decode(result.return_data))


@pytest.fixture(scope="module")
def first_machine() -> Iterator[Hypervisor]:
    with Hypervisor.open(bundle=Bundle.embedded("supply-share"), genesis=GENESIS) as machine:
        yield machine


@pytest.fixture
def network(first_machine: Hypervisor) -> Network:
    return Network(first_machine.fork())


@pytest.fixture
def two(network: Network) -> tuple[Network, Address, Address]:
    """ALICE's miner has the network's only sector, which required no pledge; BOB's has none."""
    first, second = network.create_miner(ALICE), network.create_miner(BOB)
    assert network.commit(first, ALICE) == 0
    assert network.bound(first) == (0, DEPOSIT)
    network.advance()
    return network, first, second


@pytest.mark.slow
def test_sector_commit_locks_pledge_beyond_miner_deposit(two: tuple[Network, Address, Address]) -> None:
    """Half of the power and one of two miners: 100,000 + 25,000 FIL, minus the existing deposit."""
    network, _, second = two
    assert network.commit(second, BOB, value=125_000 * FIL) == 0
    assert network.bound(second) == (124_999_999_999_994_062_818_680, DEPOSIT)


@pytest.mark.slow
def test_a_sector_is_refused_without_collateral(two: tuple[Network, Address, Address]) -> None:
    """One attoFIL is missing: the miner started with 1 FIL, of which the deposit is locked."""
    network, _, second = two
    needed = 124_999_999_999_994_062_818_680 - (FIL - DEPOSIT)
    assert network.commit(second, BOB, value=needed - 1) == 19
    assert network.bound(second) == (0, DEPOSIT)
    assert network.commit(second, BOB, value=needed) == 0


def test_parts_are_rounded_down(two: tuple[Network, Address, Address]) -> None:
    """Two of three sectors and one of three miners: 133,333.33.. + 16,666.66.. FIL, in two equal parts."""
    network, _, second = two
    network.create_miner(ALICE)
    assert network.commit(second, BOB, sectors=2, value=150_000 * FIL) == 0
    required = 133_333_333_333_333_333_333_333 + 16_666_666_666_666_666_666_666
    assert network.bound(second) == (required - DEPOSIT, DEPOSIT)


def test_rewards_of_undercollateralized_miner_are_garnished(two: tuple[Network, Address, Address]) -> None:
    """The first miner lacks 225,000 FIL, so none of its reward and balance is available."""
    network, first, _ = two
    reward = network.award(first)
    assert reward > 7 * FIL
    assert network.bound(first) == (0, DEPOSIT + reward)
    assert network.withdraw(first, ALICE) == 0


def test_reward_is_garnished_only_up_to_missing_collateral(two: tuple[Network, Address, Address]) -> None:
    """8 FIL more are available: the second miner must hold 0.1 and 0.025 of them, 1 FIL."""
    network, _, second = two
    assert network.commit(second, BOB, value=125_000 * FIL) == 0
    network.advance()
    free = FIL  # what came with the miner
    assert network.award(second) > 7 * FIL
    assert network.bound(second) == (124_999_999_999_994_062_818_680, DEPOSIT)
    free += network.world.balance_of(second) - 125_001 * FIL
    network.advance(AVAILABLE + 8 * FIL)
    reward = network.award(second)
    assert network.bound(second) == (124_999_999_999_994_062_818_680, DEPOSIT + FIL)
    assert network.withdraw(second, BOB) == free + reward - FIL


def test_free_funds_stay_while_collateral_is_missing(two: tuple[Network, Address, Address]) -> None:
    """16 FIL more are available: 2 FIL are missing, and 3 FIL are available."""
    network, _, second = two
    assert network.commit(second, BOB, value=125_002 * FIL) == 0
    network.advance(AVAILABLE + 16 * FIL)
    assert network.withdraw(second, BOB) == FIL
    assert network.withdraw(second, BOB) == 0


def test_more_miners_need_less_each(two: tuple[Network, Address, Address]) -> None:
    """A third miner: 16,666.66.. FIL instead of 25,000 FIL, and nothing is garnished."""
    network, _, second = two
    assert network.commit(second, BOB, value=125_000 * FIL) == 0
    network.create_miner(ALICE)
    network.advance()
    network.award(second)
    assert network.bound(second)[1] == DEPOSIT


def test_the_rules_differ_in_the_miner_alone() -> None:
    today, share = Bundle.embedded(), Bundle.embedded("supply-share")
    pairs = zip(today.manifest.codes, share.manifest.codes, strict=True)
    assert [place for place, (one, other) in enumerate(pairs) if one != other] == [5]
    assert (
        dict(share.blocks)[share.manifest.code("storageminer")]
        != dict(today.blocks)[today.manifest.code("storageminer")]
    )


def test_todays_rule_binds_a_sectors_own_pledge(first_machine: Hypervisor) -> None:
    """The first sector under the bundle's own rule: 59,604,643,840 attoFIL, actors.md 4.15."""
    with Hypervisor.open(bundle=Bundle.embedded(), genesis=GENESIS) as machine:
        network = Network(machine)
        miner = network.create_miner(ALICE)
        assert network.commit(miner, ALICE) == 0
        assert network.bound(miner) == (59_604_643_840, DEPOSIT)


def test_another_variant_is_refused_by_name() -> None:
    with pytest.raises(BundleError, match="no variant 'gold': expected supply-share, v19"):
        Bundle.embedded("gold")
