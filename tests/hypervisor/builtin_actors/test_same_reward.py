"""Reward: our actor compared with the official one."""

import pytest

from hypervisor import Address, Hypervisor
from hypervisor.types import BURNT_FUNDS_ACTOR, CRON_ACTOR, POWER_ACTOR, REWARD_ACTOR, SYSTEM_ACTOR, TokenAmount
from store.codec import encode
from tests.hypervisor.builtin_actors.people import ALICE, BOB, ETHEL, FIL, STRANGER, amount, packed, raw
from tests.hypervisor.builtin_actors.test_same_multisig import Wallet
from tests.hypervisor.builtin_actors.twins import Twins

REWARD = Address.id(REWARD_ACTOR)
AWARD, THIS_EPOCH, UPDATE = 2, 3, 4
BASELINE = 2_888_888_880_000_000_000


def epoch_reward(twins: Twins) -> int:
    """Return the epoch's reward in attoFIL, the fifth field of the state."""
    field: bytes = twins.world().state_of(REWARD_ACTOR)[4]
    return int.from_bytes(field[1:], "big")


def end_epoch(twins: Twins, epoch: int, power: int) -> None:
    twins.advance(epoch=epoch)
    assert twins.send_as(POWER_ACTOR, REWARD, UPDATE, encode(amount(power))).exit_code == 0


def test_first_epochs_pay_network_reward(twins: Twins) -> None:
    for epoch, expected in ((1, 36266256322615261933), (2, 36266252337034982540), (3, 36266248351455141154)):
        end_epoch(twins, epoch, 0)
        assert epoch_reward(twins) == expected
    assert twins.send_as(POWER_ACTOR, REWARD, UPDATE, encode(None)).exit_code == 16


@pytest.mark.slow
@pytest.mark.parametrize("power", [0, 1, 2048, 10**15, BASELINE, BASELINE * 3, 2**80])
def test_the_reward_follows_power_over_a_long_time(twins: Twins, power: int) -> None:
    twins.shakes = 0
    epoch = 0
    for step in (1, 1, 1, 2, 7, 60, 1, 500, 1, 1, 2880, 1):
        epoch += step
        end_epoch(twins, epoch, power)
        twins.send_as(CRON_ACTOR, REWARD, THIS_EPOCH)


@pytest.mark.slow
def test_the_reward_follows_power_up_and_down(twins: Twins) -> None:
    twins.shakes = 0
    for epoch in range(1, 200):
        end_epoch(twins, epoch, epoch * epoch * 10**14 if epoch % 3 else 0)


def test_two_updates_in_one_epoch(twins: Twins) -> None:
    for epoch in (5, 5, 4, 5, 9):
        end_epoch(twins, epoch, 10**18)


def test_reward_methods_check_caller(twins: Twins) -> None:
    assert twins.send(REWARD, AWARD, packed(raw(ALICE), b"", b"", 1), 0, ALICE).exit_code == 18
    assert twins.send(REWARD, UPDATE, encode(b""), 0, ALICE).exit_code == 18
    assert twins.send_as(SYSTEM_ACTOR, REWARD, UPDATE, encode(b"")).exit_code == 18
    assert twins.send(REWARD, THIS_EPOCH, b"", 0, ALICE).exit_code == 0
    assert twins.send(REWARD, THIS_EPOCH, b"\x80", 0, ALICE).exit_code == 16
    assert twins.send_as(SYSTEM_ACTOR, REWARD, 1, encode(b"")).exit_code == 20
    assert twins.send_as(SYSTEM_ACTOR, REWARD, 1, encode(None)).exit_code == 16
    assert twins.send_as(SYSTEM_ACTOR, REWARD, 5).exit_code == 22


@pytest.mark.parametrize(
    ("winner", "penalty", "gas", "wins", "exit_code"),
    [
        (ALICE, 0, 0, 1, 0),  # no miner: burnt
        (ALICE, 5, 7, 5, 0),
        (BOB, 0, FIL, 3, 0),
        (ETHEL, 0, 0, 2**40, 0),  # more than there is
        (Address.id(99_999), 0, 0, 1, 0),
        (Address.id(REWARD_ACTOR), 0, 0, 1, 0),
        (STRANGER, 0, 0, 1, 17),
        (Address.actor(b"nobody"), 0, 0, 1, 17),
        (ALICE, -1, 0, 1, 16),
        (ALICE, 0, -1, 1, 16),
        (ALICE, 0, 0, 0, 16),
        (ALICE, 0, 0, -1, 16),
        (ALICE, 0, 2 * 10**27, 1, 20),
        (ALICE, 0, 2 * 10**27, 0, 20),
    ],
)
def test_awards_match(twins: Twins, winner: Address, penalty: int, gas: int, wins: int, exit_code: int) -> None:
    params = packed(raw(winner), amount(penalty), amount(gas), wins)
    assert twins.send_as(SYSTEM_ACTOR, REWARD, AWARD, params).exit_code == exit_code


def test_a_wallet_takes_no_reward(twins: Twins) -> None:
    before = twins.world().balance_of(Address.id(BURNT_FUNDS_ACTOR))
    wallet = Wallet(twins, [ALICE], 1)
    twins.send_as(SYSTEM_ACTOR, REWARD, AWARD, packed(raw(wallet.address), b"", b"", 5))
    assert twins.world().balance_of(Address.id(BURNT_FUNDS_ACTOR)) - before == epoch_reward(twins)


def test_exhausted_reward_balance_pays_nothing(twins: Twins) -> None:
    def spend(machine: Hypervisor) -> None:
        state = machine.state_tree.get_actor(REWARD_ACTOR)
        assert state is not None
        machine.state_tree.set_actor(REWARD_ACTOR, state.with_balance(TokenAmount(10 * FIL)))

    twins.change(spend)
    for gas in (0, FIL, 3 * FIL, FIL):
        twins.send_as(SYSTEM_ACTOR, REWARD, AWARD, packed(raw(ALICE), b"", amount(gas), 1))
