"""The storage miner without sectors: our actor compared with the official one."""

from typing import Any

import pytest

from bridge.filecoin.method_numbers import method_number
from hypervisor import Address
from hypervisor.types import POWER_ACTOR, REWARD_ACTOR, SYSTEM_ACTOR, TokenAmount
from store.codec import decode, encode
from tests.hypervisor.builtin_actors.contracts import READ_ONLY, Forwarder
from tests.hypervisor.builtin_actors.people import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    ETHEL,
    FIL,
    OTHER_WORKER,
    STRANGER,
    WORKER,
    amount,
    packed,
    raw,
)
from tests.hypervisor.builtin_actors.test_same_power import UPDATE_PLEDGE, create_miner, miner_of, tick
from tests.hypervisor.builtin_actors.twins import Twins

CONTROL, CHANGE_WORKER, CHANGE_PEER, DECLARE_FAULTS, EVENT, PROVEN = 2, 3, 4, 10, 12, 13
APPLY_REWARDS, WITHDRAW, CHANGE_MULTIADDRS, CONFIRM_WORKER, REPAY, CHANGE_OWNER = 14, 16, 18, 21, 22, 23
CHANGE_BENEFICIARY, GET_BENEFICIARY = 30, 31
AWARD = 2
ABSENT = (5, 6, 7, 8, 9, 11, 15, 17, 19, 20, 24, 25, 26, 27, 28, 29, 32, 33, 34, 35, 36, 37)
GETTERS = (
    "GetOwner", "GetSectorSize", "GetAvailableBalance", "GetVestingFunds", "GetPeerID", "GetMultiaddrs",
    "GetBeneficiary", "InitialPledge",
)  # fmt: skip
DAY = 2880


class Miner:
    """A miner of ALICE's; its worker is f0105, OTHER_WORKER is f0106."""

    def __init__(self, twins: Twins, value: int = 10 * FIL, **fields: Any) -> None:
        self.twins = twins
        self.id = miner_of(create_miner(twins, value=value, **fields))
        self.address = Address.id(self.id)

    def send(self, sender: Address, method: int | str, params: bytes = b"", value: int = 0) -> int:
        number = method_number(method) if isinstance(method, str) else method
        return int(self.twins.send(self.address, number, params, value, sender).exit_code)

    def call_getters(self) -> None:
        """Call every getter that works without sectors."""
        for name in GETTERS:
            assert self.send(BOB, name) == 0
        assert self.send(BOB, CONTROL) == 0

    def award(self, wins: int = 1, penalty: int = 0, gas: int = 0) -> None:
        """Win a block."""
        params = packed(raw(self.address), amount(penalty), amount(gas), wins)
        assert self.twins.send_as(SYSTEM_ACTOR, Address.id(REWARD_ACTOR), AWARD, params).exit_code == 0


@pytest.fixture
def miner(twins: Twins) -> Miner:
    twins.advance(epoch=5, circulating_supply=TokenAmount(10**26))
    miner = Miner(twins)
    pledge_something(twins, miner.id)
    return miner


def pledge_something(twins: Twins, miner: int) -> None:
    """Add a pledge to power's total, from which a vesting deposit is subtracted although it was never added."""
    assert twins.send_as(miner, Address.id(POWER_ACTOR), UPDATE_PLEDGE, encode(amount(FIL))).exit_code == 0


@pytest.mark.slow
def test_getters_match(miner: Miner) -> None:
    miner.call_getters()
    for name in (*GETTERS, "MaxTerminationFee", "IsControllingAddress", "GetNominalSectorExpiration"):
        miner.send(BOB, name, encode([]))
    for who in (ALICE, WORKER, BOB, STRANGER, ETHEL, Address.id(100), Address.id(9_999), miner.address):
        assert miner.send(BOB, "IsControllingAddress", encode(raw(who))) == 0
    for power, pledge in ((0, 0), (2048, 10**18), (10 << 35, 3 * 10**18), (1, -5), (-4096, 10**9)):
        assert miner.send(BOB, "MaxTerminationFee", packed(amount(power), amount(pledge))) == 0


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [0, 1, 2879, 2880, 100_000])
@pytest.mark.parametrize("supply", [0, 10**9, 10**27])
def test_proving_periods_and_deposits_of_new_miners(twins: Twins, epoch: int, supply: int) -> None:
    twins.advance(epoch=epoch, circulating_supply=TokenAmount(supply))
    for proof in (10, 11, 12, 13, 14):
        Miner(twins, proof=proof).call_getters()


@pytest.mark.slow
def test_the_deposit_is_the_least_that_a_miner_brings(twins: Twins) -> None:
    """5,937,181,320 attoFIL on a fresh chain: actors.md 8.4."""
    assert create_miner(twins, value=5_937_181_319).exit_code == 19
    Miner(twins, value=5_937_181_320).call_getters()


def test_the_constructor_is_inits(miner: Miner) -> None:
    params = packed(raw(ALICE), raw(WORKER), [], 10, b"", [])
    assert miner.send(ALICE, 1, params) == 18


@pytest.mark.slow
def test_workers_come_into_office_after_a_delay(miner: Miner) -> None:
    change = packed(raw(OTHER_WORKER), [raw(BOB), raw(CAROL)])
    for by in (WORKER, BOB, CAROL):
        assert miner.send(by, CHANGE_WORKER, change) == 18
    assert miner.send(ALICE, CHANGE_WORKER, change) == 0
    miner.call_getters()
    assert miner.send(ALICE, "ChangeWorkerAddress", packed(raw(WORKER), [])) == 0
    assert miner.send(ALICE, CHANGE_WORKER, packed(raw(WORKER), [raw(DAVE)] * 10)) == 0
    assert miner.send(ALICE, CHANGE_WORKER, packed(raw(WORKER), [raw(DAVE)] * 11)) == 16
    for worker in (ALICE, STRANGER, ETHEL, Address.id(9_999), Address.id(POWER_ACTOR)):
        assert miner.send(ALICE, CHANGE_WORKER, packed(raw(worker), [])) == 16
    assert miner.send(ALICE, CHANGE_WORKER, packed(raw(Address.id(105)), [raw(STRANGER)])) == 16
    for epoch in (904, 905, 906):
        miner.twins.advance(epoch=epoch)
        assert miner.send(BOB, CONFIRM_WORKER) == 18
        assert miner.send(ALICE, CONFIRM_WORKER if epoch % 2 else "ConfirmChangeWorkerAddress") == 0
        miner.call_getters()
    assert miner.send(OTHER_WORKER, CHANGE_PEER, packed(b"mine")) == 0
    assert miner.send(WORKER, CHANGE_PEER, packed(b"mine")) == 18


@pytest.mark.slow
def test_peer_and_multiaddrs(miner: Miner) -> None:
    miner.send(ALICE, CHANGE_WORKER, packed(raw(WORKER), [raw(DAVE)]))
    for by, code in ((ALICE, 0), (WORKER, 0), (DAVE, 0), (BOB, 18)):
        for method in (CHANGE_PEER, "ChangePeerID"):
            assert miner.send(by, method, packed(b"peer of " + raw(by))) == code
        for method in (CHANGE_MULTIADDRS, "ChangeMultiaddrs"):
            assert miner.send(by, method, packed([raw(by), b"x"])) == code
        miner.call_getters()
    for peer, code in ((bytes(128), 0), (bytes(129), 16), (b"", 0), ("text", 21)):
        assert miner.send(ALICE, CHANGE_PEER, packed(peer)) == code
    for addresses, code in (([bytes(1024)], 0), ([bytes(1000), bytes(25)], 16), ([b"", b"x"], 16), ([], 0)):
        assert miner.send(ALICE, CHANGE_MULTIADDRS, packed(addresses)) == code


@pytest.mark.slow
def test_a_new_owner_has_to_agree(miner: Miner) -> None:
    bob, carol = (Address.id(actor) for actor in (101, 102))
    assert miner.send(ALICE, CHANGE_OWNER, encode(raw(BOB))) == 16
    assert miner.send(BOB, CHANGE_OWNER, encode(raw(bob))) == 18
    assert miner.send(ALICE, CHANGE_OWNER, encode(raw(bob))) == 0
    miner.call_getters()
    assert miner.send(CAROL, CHANGE_OWNER, encode(raw(bob))) == 18
    assert miner.send(BOB, CHANGE_OWNER, encode(raw(carol))) == 16
    assert miner.send(ALICE, "ChangeOwnerAddress", encode(raw(Address.id(100)))) == 0
    assert miner.send(BOB, CHANGE_OWNER, encode(raw(bob))) == 18
    assert miner.send(ALICE, CHANGE_BENEFICIARY, packed(raw(CAROL), amount(FIL), 5000)) == 0
    assert miner.send(ALICE, CHANGE_OWNER, encode(raw(bob))) == 0
    assert miner.send(BOB, "ChangeOwnerAddress", encode(raw(bob))) == 0
    miner.call_getters()
    assert miner.send(ALICE, WITHDRAW, packed(amount(1))) == 18
    assert miner.send(BOB, WITHDRAW, packed(amount(1))) == 0


@pytest.mark.slow
def test_a_beneficiary_is_agreed_on(miner: Miner) -> None:
    def change(by: Address, to: Address, quota: int, until: int, method: int | str = CHANGE_BENEFICIARY) -> int:
        code = miner.send(by, method, packed(raw(to), amount(quota), until))
        miner.call_getters()
        return code

    for to, quota, until in ((BOB, 0, 5), (BOB, -1, 5), (ALICE, 1, 0), (ALICE, 0, 1), (STRANGER, 1, 5)):
        assert change(ALICE, to, quota, until) == 16
    assert change(BOB, BOB, 1, 100) == 18
    assert change(ALICE, BOB, 3 * FIL, 100) == 0
    for to, quota, until in ((CAROL, 3 * FIL, 100), (BOB, 2 * FIL, 100), (BOB, 3 * FIL, 99)):
        assert change(BOB, to, quota, until) == 16
    assert change(CAROL, BOB, 3 * FIL, 100) == 18
    assert change(BOB, BOB, 3 * FIL, 100, "ChangeBeneficiary") == 0
    assert miner.send(CAROL, WITHDRAW, packed(amount(1))) == 18
    assert miner.send(BOB, WITHDRAW, packed(amount(FIL))) == 0
    assert miner.send(ALICE, WITHDRAW, packed(amount(FIL))) == 0
    assert change(ALICE, CAROL, FIL, 2**60) == 0
    assert change(CAROL, CAROL, FIL, 2**60) == 0  # BOB has a right left
    assert miner.send(BOB, "WithdrawBalance", packed(amount(5 * FIL))) == 0
    assert miner.send(BOB, WITHDRAW, packed(amount(1))) == 18  # used up
    assert change(BOB, CAROL, FIL, 2**60) == 0
    assert miner.send(CAROL, WITHDRAW, packed(amount(1))) == 0
    assert change(ALICE, ALICE, 0, 0) == 0
    assert change(CAROL, ALICE, 0, 0) == 0
    assert change(ALICE, BOB, FIL, 50) == 0
    assert change(BOB, BOB, FIL, 50) == 0
    miner.twins.advance(epoch=50)
    assert miner.send(BOB, WITHDRAW, packed(amount(1))) == 18  # over
    assert change(ALICE, BOB, 7, 60) == 0
    assert change(BOB, BOB, 7, 60) == 0


@pytest.mark.slow
def test_withdrawals_match(miner: Miner) -> None:
    for wanted, code in ((-1, 16), (0, 0), (FIL, 0), (10**30, 0), (1, 0)):
        assert miner.send(ALICE, WITHDRAW, packed(amount(wanted))) == code
        miner.call_getters()
    assert miner.send(WORKER, WITHDRAW, packed(amount(1))) == 18


@pytest.mark.slow
def test_rewards_vest_over_half_a_year(miner: Miner) -> None:
    epoch = 5
    for step, wins in ((1, 1), (0, 5), (1, 2), (700, 1), (DAY, 3), (20 * DAY + 7, 1), (200 * DAY, 2), (1, 1)):
        epoch += step
        miner.twins.advance(epoch=epoch)
        miner.award(wins, penalty=wins * 10**15, gas=10**12)
        miner.call_getters()
        assert miner.send(ALICE, WITHDRAW, packed(amount(FIL // 3))) == 0
    for step in (300, 1, DAY, 100 * DAY, 100 * DAY):
        epoch += step
        miner.twins.advance(epoch=epoch)
        assert miner.send(ALICE, REPAY) == 0
        assert miner.send(ALICE, "WithdrawBalance", packed(amount(10**30))) == 0
        miner.call_getters()


@pytest.mark.slow
def test_funds_are_free_from_the_epoch_after_theirs_on(miner: Miner) -> None:
    """The withdrawal is in the epoch of the second entry, which is still locked, and in a later one, with a reward."""
    miner.award(3)
    epochs = vesting_epochs(miner)
    for epoch in (epochs[1], epochs[1] + 1, epochs[2], epochs[3] + 1, epochs[5]):
        miner.twins.advance(epoch=epoch)
        assert miner.send(ALICE, WITHDRAW, packed(amount(10**30))) == 0
        miner.call_getters()
    for epoch in (epochs[8], epochs[8], epochs[9] + 1):
        miner.twins.advance(epoch=epoch)
        miner.award(1, penalty=10**15)
        miner.call_getters()
    for epoch in (epochs[12], epochs[12] + 1, epochs[14]):
        miner.twins.advance(epoch=epoch)
        miner.award(1, penalty=30 * FIL)
        miner.call_getters()


def vesting_epochs(miner: Miner) -> list[int]:
    result = miner.twins.send(miner.address, method_number("GetVestingFunds"), b"", 0, BOB)
    return [epoch for epoch, _ in decode(result.return_data)[0]]


@pytest.mark.slow
@pytest.mark.parametrize("penalty", [0, 1, FIL, 3 * FIL, 7 * FIL, 50 * FIL])
def test_penalties_are_paid_from_earliest_vesting_funds(miner: Miner, penalty: int) -> None:
    for epoch in (6, 3000, 9000):
        miner.twins.advance(epoch=epoch)
        miner.award(1, penalty=penalty)
        miner.call_getters()
        miner.send(ALICE, WITHDRAW, packed(amount(FIL)))
    assert miner.send(BOB, REPAY) == 18
    for epoch in (9001, 20_000, 60_000):
        miner.twins.advance(epoch=epoch)
        assert miner.send(WORKER, "RepayDebt") == 0
        miner.call_getters()
    assert miner.send(WORKER, REPAY, value=1000 * FIL) == 0
    miner.call_getters()
    assert miner.send(ALICE, WITHDRAW, packed(amount(10**30))) == 0


@pytest.mark.slow
def test_rewards_come_from_the_reward_actor(miner: Miner) -> None:
    params = packed(amount(FIL), amount(0))
    assert miner.send(ALICE, APPLY_REWARDS, params) == 18
    for reward, penalty, value, code in ((-1, 0, 0, 16), (0, -1, 0, 16), (100 * FIL, 0, 0, 19), (FIL, 5, FIL, 0)):
        sent = miner.twins.send_as(
            REWARD_ACTOR, miner.address, APPLY_REWARDS, packed(amount(reward), amount(penalty)), value
        )
        assert sent.exit_code == code


@pytest.mark.slow
def test_a_reward_while_another_is_owed(twins: Twins) -> None:
    """The deposit alone cannot pay the debt, and power's total of pledges must not become negative."""
    miner = Miner(twins, value=5_937_181_320)
    twins.advance(epoch=DAY * 3)
    miner.award(1, penalty=100 * FIL)
    assert miner.send(ALICE, REPAY) in (0, 20)
    assert miner.send(ALICE, WITHDRAW, packed(amount(1))) in (19, 20)
    miner.call_getters()


@pytest.mark.slow
def test_events_without_sectors(miner: Miner) -> None:
    rates = [amount(1 << 128), amount(0)], [amount(1 << 140), amount(7)]
    assert miner.send(ALICE, EVENT, packed(packed(1), *rates)) == 18
    miner.award(2)
    miner.send(ALICE, CHANGE_WORKER, packed(raw(OTHER_WORKER), []))
    for epoch in (5, 6, 59, 60, 1000, 2000, 2879, 2880, 5000, 10_000, 300_000, 900_000):
        miner.twins.advance(epoch=epoch)
        for payload in (packed(1), packed(2), packed(0), packed(99), packed(-1), b"", b"\xff", encode(1)):
            code = miner.twins.send_as(POWER_ACTOR, miner.address, EVENT, packed(payload, *rates)).exit_code
            assert code == (0 if payload[:1] == b"\x81" else 20)
        miner.call_getters()


@pytest.mark.slow
def test_events_that_power_brings(miner: Miner) -> None:
    miner.award(1, penalty=8 * FIL)
    enroll = packed(60, packed(1))
    assert miner.twins.send_as(miner.id, Address.id(POWER_ACTOR), 4, enroll).exit_code == 0
    miner.twins.shakes = 0
    for epoch in (*range(59, 70), 500, 3000, 3001, 3100, 10_000):
        tick(miner.twins, epoch)
        miner.call_getters()


@pytest.mark.slow
def test_contract_owner_calls_miner_methods(twins: Twins) -> None:
    contract = Forwarder(twins)
    owner = Address.id(int(twins.world().id_of(contract.address)))
    miner = Miner(twins)
    miner.send(ALICE, CHANGE_OWNER, encode(raw(owner)))
    for name in GETTERS:
        contract.call(miner.id, method_number(name), b"", READ_ONLY)
    contract.call(miner.id, CONTROL)
    contract.call(miner.id, CHANGE_OWNER, encode(raw(owner)))
    for flags in (READ_ONLY, 0):
        contract.call(miner.id, method_number("ChangeOwnerAddress"), encode(raw(owner)), flags)
        contract.call(miner.id, method_number("WithdrawBalance"), packed(amount(FIL)), flags)
        contract.call(miner.id, method_number("ChangePeerID"), packed(b"solid"), flags)
        contract.call(miner.id, method_number("ChangeWorkerAddress"), packed(raw(OTHER_WORKER), []), flags)
        contract.call(miner.id, method_number("RepayDebt"), b"", flags)
        contract.call(miner.id, method_number("GenerateSectorLocation"), packed(3), flags)
    miner.call_getters()


@pytest.mark.slow
def test_sectors_that_were_never_there(miner: Miner) -> None:
    nowhere, somewhere = packed(-1, -1), packed(3, 0)
    for number in (0, 7, 2**63 - 1, 2**63, 2**64 - 1):
        miner.send(BOB, "GenerateSectorLocation", packed(number))
        miner.send(BOB, "GetNominalSectorExpiration", encode(number))
        miner.send(BOB, PROVEN, packed(number))
        for status in (0, 1, 2, 3):
            for place in (nowhere, somewhere, packed(-1, 0), packed(48, 0), packed(-2, -2), b"", b"\x80"):
                miner.send(BOB, "ValidateSectorStatus", packed(number, status, place))
    for deadline, partition in ((0, 0), (47, 0), (48, 0), (2**63, 1)):
        assert miner.send(ALICE, DECLARE_FAULTS, packed([[deadline, partition, b"\x0c"]])) in (16, 17)
    assert miner.send(BOB, DECLARE_FAULTS, packed([])) == 18
    assert miner.send(ALICE, DECLARE_FAULTS, packed([])) == 0


def test_unsupported_methods_exit_with_22(miner: Miner) -> None:
    """The official actor has some of these methods; ours exits with 22 and changes nothing."""
    for number in ABSENT:
        before = miner.twins.own.root
        result = miner.twins.world().send_as(100, miner.address, number, packed([]))
        assert (result.exit_code, miner.twins.own.root) == (22, before)
