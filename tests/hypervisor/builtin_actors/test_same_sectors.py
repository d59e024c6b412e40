"""Sectors of a miner: committed by the official actor, then handled by ours and the official one."""

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from bridge.actors.binding import Call
from bridge.filecoin.method_numbers import method_number
from hypervisor import Address, Hypervisor
from hypervisor.types import POWER_ACTOR, REWARD_ACTOR, SYSTEM_ACTOR, ActorID, ChainEpoch, TokenAmount
from localnet.miners import onboarding
from localnet.miners.onboarding import NewSector, Piece
from store.cid import Cid
from store.codec import decode, encode, unlink
from store.trees.amt import Amt
from tests.hypervisor.builtin_actors.people import ALICE, BOB, FIL, WORKER, amount, packed, raw
from tests.hypervisor.builtin_actors.test_same_at_random import Sequences, run
from tests.hypervisor.builtin_actors.test_same_miner import (
    CONFIRM_WORKER,
    DECLARE_FAULTS,
    EVENT,
    PROVEN,
    REPAY,
    WITHDRAW,
    Miner,
    pledge_something,
)
from tests.hypervisor.builtin_actors.test_same_power import call_getters, tick
from tests.hypervisor.builtin_actors.test_same_registry import Registry, piece
from tests.hypervisor.builtin_actors.twins import Twins
from tests.hypervisor.builtin_actors.world import World

DAY = 2880
WINDOW_2K = 10
SECTORS = 7
"""Five sectors are empty, two hold a verified piece each; a partition has two sectors."""

ESTIMATES = (
    [amount(36_266_260_308_195_979_333 << 128), amount(-109_897_758_509 << 128)],
    [amount(750_000 << 30 + 128), amount(3_840 << 30 + 128)],
)
"""Smoothed estimates of reward and power on a fresh chain: actors.md 4.6 and 4.7."""

COMMITTED, EXPIRATION = 5, 5 + 215 * DAY


class Sectors:
    """A miner of ALICE's with proven sectors, and their deadlines and partitions."""

    def __init__(self, twins: Twins, miner: int) -> None:
        self.twins, self.miner = twins, Miner.__new__(Miner)
        self.miner.twins, self.miner.id, self.miner.address = twins, miner, Address.id(miner)
        self.period_start = int(twins.world().state_of(miner)[10])
        self.places = {number: self.place(number) for number in range(SECTORS)}

    def fork(self, shakes: int) -> "Sectors":
        return Sectors(self.twins.fork(shakes), self.miner.id)

    def place(self, number: int) -> tuple[int, int]:
        """Return deadline and partition."""
        result = self.twins.world().send_as(
            100, self.miner.address, method_number("GenerateSectorLocation"), packed(number)
        )
        assert result.exit_code == 0
        deadline, partition = decode(decode(result.return_data)[1])
        return deadline, partition

    def status(self, number: int) -> int:
        result = self.twins.send(self.miner.address, method_number("GenerateSectorLocation"), packed(number), 0, BOB)
        return int(decode(result.return_data)[0])

    def call_getters(self) -> None:
        """Call every getter of miner and sectors."""
        self.miner.call_getters()
        call_getters(self.twins, self.miner.id)
        for number in range(SECTORS + 1):
            self.status(number)
            self.miner.send(BOB, PROVEN, packed(number))
            self.miner.send(BOB, "GetNominalSectorExpiration", encode(number))
        for number, place in self.places.items():
            for status in (0, 1, 2):
                self.miner.send(BOB, "ValidateSectorStatus", packed(number, status, packed(*place)))

    def info(self, number: int) -> Any:
        """Return the fields of a sector's on-chain record."""
        machine = self.twins.own
        root = unlink(self.twins.world().state_of(self.miner.id)[9])
        return Amt(machine.store, root, 5).get(number)

    def end_of(self, deadline: int, now: int) -> int:
        """Return the last epoch of a deadline's next window that does not end before `now`."""
        end = self.period_start + deadline * 60 + 59
        return end + -(-(now - end) // DAY) * DAY

    def declare(self, *numbers: int, by: Address = ALICE) -> int:
        """Declare faults in the sectors' partitions."""
        faults = [[*self.places[number], bitfield(number)] for number in numbers]
        return self.miner.send(by, DECLARE_FAULTS, packed(faults))

    def pass_deadlines(self, since: int, periods: int) -> int:
        """Run the end of each deadline with sectors, without the other epochs' cron; return the last one."""
        epoch = since
        deadlines = sorted({deadline for deadline, _ in self.places.values()})
        for _ in range(periods):
            for epoch in sorted(self.end_of(deadline, epoch + 1) for deadline in deadlines):
                end_deadline(self.miner, epoch)
        return epoch


def end_deadline(miner: Miner, epoch: int) -> None:
    """Run the deadline event that the power actor sends."""
    miner.twins.advance(epoch=epoch)
    event = packed(packed(1), *ESTIMATES)
    assert miner.twins.send_as(POWER_ACTOR, miner.address, EVENT, event).exit_code == 0


def bitfield(*numbers: int) -> bytes:
    """Return RLE+ of a few small numbers with each run written out (fvm_ipld_bitfield)."""
    bits = [0, 0]  # version
    wanted, last = set(numbers), max(numbers)
    runs: list[tuple[bool, int]] = []
    for number in range(last + 1):
        is_set = number in wanted
        if runs and runs[-1][0] == is_set:
            runs[-1] = (is_set, runs[-1][1] + 1)
        else:
            runs.append((is_set, 1))
    bits.append(int(runs[0][0]))
    for _, length in runs:
        assert length < 16
        bits += [1] if length == 1 else [0, 1, *(length >> place & 1 for place in range(4))]
    bits += [0] * (-len(bits) % 8)
    packed_bits = bytes(
        sum(bit << place for place, bit in enumerate(bits[at : at + 8])) for at in range(0, len(bits), 8)
    )
    return packed_bits.rstrip(b"\0")


def bring_in(machine: Hypervisor, miner: int, pieces: dict[int, Piece]) -> None:
    """Commit and prove sectors with the official actor, owned by f0100."""
    world = World(machine)

    def send(call: Call[object]) -> None:
        result = world.send_as(100, Address.id(miner), call.method, call.params)
        assert result.exit_code == 0, result.message

    sectors = [NewSector(number, pieces.get(number)) for number in range(SECTORS)]
    send(onboarding.pre_commit(miner, WINDOW_2K, sectors, COMMITTED, EXPIRATION))
    machine.advance(epoch=ChainEpoch(COMMITTED + 11))
    send(onboarding.prove_commit(sectors))
    start = int(world.state_of(miner)[10])
    method = method_number("GenerateSectorLocation")
    results = [world.send_as(100, Address.id(miner), method, packed(number)) for number in range(SECTORS)]
    places = sorted({tuple(decode(decode(result.return_data)[1])) for result in results})
    now = COMMITTED + 12
    opening = {place: onboarding.next_opening(start, place[0], now + 60) for place in places}
    for (deadline, partition), epoch in sorted(opening.items(), key=lambda item: item[1]):
        machine.advance(epoch=ChainEpoch(epoch))
        before = ChainEpoch(epoch - 1)
        ticket = machine.externs.chain_randomness(before)
        send(onboarding.window_post(WINDOW_2K, deadline, [partition], before, ticket))
        machine.advance(epoch=ChainEpoch(epoch + 59))
        assert world.send_as(SYSTEM_ACTOR, Address.id(3), 2).exit_code == 0


@pytest.fixture(scope="module")
def first_sectors(first_twins: Twins, request: pytest.FixtureRequest) -> Sectors:
    """Create sectors with the official miner, or without it with our development methods."""
    if first_twins.of.alone:
        alone: Sectors = request.getfixturevalue("first_development_sectors")
        return alone
    twins = first_twins.fork()
    twins.advance(epoch=COMMITTED, circulating_supply=TokenAmount(10**26))
    registry = Registry(twins)
    miner = registry.miner
    twins.send_as(100, Address.id(miner), 0, b"", 1000 * FIL)
    pledge_something(twins, miner)
    requests = [registry.request(number, size=2048) for number in (1, 2)]
    assert registry.transfer(2 * 2048, requests).exit_code == 0
    pieces = {
        SECTORS - 2 + place: Piece(Cid(piece(number).value[1:]), 2048, ActorID(registry.bob), allocation)
        for place, (number, allocation) in enumerate(((1, 1), (2, 2)))
    }
    twins.only_official(lambda machine: bring_in(machine, miner, pieces))
    return Sectors(twins, miner)


@pytest.fixture
def sectors(first_sectors: Sectors) -> Sectors:
    return first_sectors.fork(shakes=1)


def now(sectors: Sectors) -> int:
    return int(sectors.twins.own.context.epoch)


@pytest.mark.slow
def test_sectors_are_active_with_expected_power(sectors: Sectors) -> None:
    """2048 bytes of raw power each, of verified clients tenfold."""
    sectors.call_getters()
    world = sectors.twins.world()
    raw_power, quality = (int.from_bytes(part, "big") for part in claim_of(sectors))
    assert (raw_power, quality) == (SECTORS * 2048, 5 * 2048 + 2 * 20480)
    assert all(sectors.status(number) == 1 for number in range(SECTORS))
    assert world.state_of(sectors.miner.id)[14] is True


def claim_of(sectors: Sectors) -> Any:
    result = sectors.twins.send(Address.id(POWER_ACTOR), method_number("MinerPower"), encode(sectors.miner.id), 0, BOB)
    return decode(result.return_data)


@pytest.mark.slow
def test_a_missed_proof_makes_sectors_faulty(sectors: Sectors) -> None:
    sectors.pass_deadlines(now(sectors), 1)
    sectors.call_getters()
    assert all(sectors.status(number) == 2 for number in range(SECTORS))
    assert claim_of(sectors) == [b"", b""]


@pytest.mark.slow
def test_faults_are_declared(sectors: Sectors) -> None:
    sectors.twins.advance(epoch=now(sectors) + 500)
    assert sectors.declare(0, by=BOB) == 18
    assert sectors.declare(0, 3) == 0
    assert [sectors.status(number) for number in (0, 1, 2, 3)] == [2, 1, 1, 2]
    assert sectors.declare(0, 1, 6, by=WORKER) == 0
    assert sectors.declare(*range(SECTORS)) == 0
    sectors.call_getters()
    place = sectors.places[0]
    for faults in ([[*place, bitfield(2)]], [[place[0], 9, bitfield(0)]], [[48, 0, bitfield(0)]], [[*place, b""]]):
        sectors.miner.send(ALICE, DECLARE_FAULTS, packed(faults))
    sectors.pass_deadlines(now(sectors), 2)
    sectors.call_getters()


@pytest.mark.slow
def test_fault_declaration_fails_after_cutoff_before_deadline(sectors: Sectors) -> None:
    deadline = sectors.places[0][0]
    end = sectors.end_of(deadline, now(sectors) + 1)
    for epoch, code in ((end - 59 - 71, 0), (end - 59 - 70, 16), (end - 59, 16), (end, 16), (end + 1, 0)):
        sectors.twins.advance(epoch=epoch)
        assert sectors.declare(0) == code
        sectors.call_getters()


@pytest.mark.slow
def test_sectors_that_stay_faulty_are_terminated(sectors: Sectors) -> None:
    """After 42 days their deals end, a fee is paid, and the pledge is returned."""
    sectors.twins.shakes = 0
    sectors.declare(0, 5)
    since = sectors.pass_deadlines(now(sectors), 3)
    sectors.call_getters()
    since = sectors.pass_deadlines(since + 35 * DAY, 8)
    sectors.call_getters()
    sectors.pass_deadlines(since, 4)
    sectors.call_getters()
    assert {sectors.status(number) for number in range(SECTORS)} == {0}
    assert sectors.miner.send(ALICE, WITHDRAW, packed(amount(FIL))) == 0


@pytest.mark.slow
def test_sectors_expire(sectors: Sectors) -> None:
    """Cron has not run for long: the first missed proof is in the proving period in which the sectors expire."""
    sectors.twins.shakes = 0
    end = EXPIRATION - EXPIRATION % DAY - DAY
    since = sectors.pass_deadlines(end, 1)
    sectors.call_getters()
    sectors.declare(*range(3))
    since = sectors.pass_deadlines(since, 3)
    sectors.call_getters()
    assert {sectors.status(number) for number in range(SECTORS)} == {0}
    assert claim_of(sectors) == [b"", b""]
    assert sectors.miner.send(BOB, "InitialPledge") == 0
    sectors.pass_deadlines(since, 2)
    sectors.call_getters()


@pytest.mark.slow
def test_money_of_a_miner_with_sectors(sectors: Sectors) -> None:
    epoch = now(sectors)
    for step, penalty in ((0, 0), (DAY, FIL), (9 * DAY, 900 * FIL), (90 * DAY, 0)):
        epoch += step
        sectors.twins.advance(epoch=epoch)
        sectors.miner.award(1, penalty=penalty)
        sectors.miner.send(ALICE, WITHDRAW, packed(amount(600 * FIL)))
        sectors.miner.send(WORKER, REPAY)
        sectors.miner.send(ALICE, CONFIRM_WORKER)
        sectors.pass_deadlines(epoch, 1)
        sectors.call_getters()


@pytest.fixture(scope="module")
def first_development_sectors(first_twins: Twins) -> Sectors:
    """Create sectors with our miner's development-only method, also for the official actor."""
    twins = first_twins.fork()
    twins.advance(epoch=COMMITTED, circulating_supply=TokenAmount(10**26))
    registry = Registry(twins)
    pledge_something(twins, registry.miner)
    twins.send_as(100, Address.id(registry.miner), 0, b"", 1000 * FIL)
    assert registry.transfer(2 * 2048, [registry.request(number, size=2048) for number in (1, 2)]).exit_code == 0
    wanted: list[Any] = [[] for _ in range(SECTORS - 2)] + [
        [[registry.bob, number, piece(number), 2048]] for number in (1, 2)
    ]

    def commit(machine: Hypervisor) -> None:
        params = packed(wanted, EXPIRATION)
        method = method_number("DevelopmentOnlyCommitSectors")
        result = World(machine).send_as(100, Address.id(registry.miner), method, params)
        assert decode(result.return_data) == list(range(SECTORS)), result.message
        machine.advance(epoch=ChainEpoch(COMMITTED + 1))

    twins.only_own(commit)
    return Sectors(twins, registry.miner)


@pytest.fixture
def development_sectors(first_development_sectors: Sectors) -> Sectors:
    return first_development_sectors.fork(shakes=1)


@pytest.mark.slow
def test_development_sectors_match_official_actor_sectors(development_sectors: Sectors, sectors: Sectors) -> None:
    """All fields but the replica, the activation epoch and derived values must be equal."""
    ours, theirs = (stage.info(number) for stage in (development_sectors, sectors) for number in (0,))
    places = (0, 1, 3, 5, 6, 8, 9, 10, 12, 13, 14, 15)
    assert [ours[place] for place in places] == [theirs[place] for place in places]
    assert claim_of(development_sectors) == claim_of(sectors)


@pytest.mark.slow
def test_official_actor_continues_with_development_sectors(development_sectors: Sectors) -> None:
    development_sectors.call_getters()
    assert all(development_sectors.status(number) == 1 for number in range(SECTORS))
    assert development_sectors.declare(0, 6) == 0
    since = development_sectors.pass_deadlines(now(development_sectors), 2)
    development_sectors.call_getters()
    development_sectors.miner.award(2, penalty=FIL)
    development_sectors.pass_deadlines(since + 43 * DAY, 3)
    development_sectors.call_getters()
    assert {development_sectors.status(number) for number in range(SECTORS)} == {0}


@pytest.mark.slow
def test_development_sectors_expire_on_the_official_actor(development_sectors: Sectors) -> None:
    since = development_sectors.pass_deadlines(EXPIRATION - DAY, 3)
    development_sectors.call_getters()
    assert {development_sectors.status(number) for number in range(SECTORS)} == {0}
    development_sectors.pass_deadlines(since, 1)
    assert development_sectors.miner.send(ALICE, WITHDRAW, packed(amount(FIL))) == 0


def test_unfulfilled_pre_commit_forfeits_its_deposit(first_twins: Twins) -> None:
    first_twins.of.bundle()  # only an official miner takes promises
    twins = first_twins.fork()
    twins.advance(epoch=COMMITTED, circulating_supply=TokenAmount(10**26))
    miner = Miner(twins)
    pledge_something(twins, miner.id)

    def promise(machine: Hypervisor) -> None:
        wanted = [NewSector(number) for number in (3, 4, 90)]
        call = onboarding.pre_commit(miner.id, WINDOW_2K, wanted, COMMITTED, EXPIRATION)
        result = World(machine).send_as(100, miner.address, call.method, call.params)
        assert result.exit_code == 0, result.message

    twins.only_official(promise)
    for epoch in (64, 3000, 30 * DAY, 31 * DAY, 31 * DAY + 60, 32 * DAY, 32 * DAY + 90):
        end_deadline(miner, epoch)
        assert miner.send(WORKER, REPAY) == 0
        miner.call_getters()


@pytest.mark.slow
def test_rewards_keep_power_and_pledge_in_step(sectors: Sectors) -> None:
    """Uses the reward actor's own code path, with a deadline event in between."""
    epoch = now(sectors)
    sectors.twins.shakes = 0
    for step in range(6):
        epoch += 61
        sectors.twins.advance(epoch=epoch)
        params = packed(raw(sectors.miner.address), amount(step * 10**17), amount(5), step + 1)
        assert sectors.twins.send_as(SYSTEM_ACTOR, Address.id(REWARD_ACTOR), 2, params).exit_code == 0
        tick(sectors.twins, epoch)
    sectors.call_getters()


class Lives(Sequences):
    """Sectors under random events."""

    stage: Sectors

    def prepare(self) -> None:
        self.sectors = self.stage.fork(shakes=0)
        self.sectors.twins = self.sectors.miner.twins = self.stage.twins.fork()
        self.twins, self.epoch = self.sectors.twins, now(self.stage)

    @rule(numbers=st.sets(st.integers(0, SECTORS - 1), min_size=1))
    def fail(self, numbers: set[int]) -> None:
        self.sectors.declare(*sorted(numbers))

    @rule(periods=st.sampled_from((0, 0, 0, 1, 9, 43, 170)))
    def end_deadlines(self, periods: int) -> None:
        self.epoch = self.sectors.pass_deadlines(self.epoch + periods * DAY, 1)

    @rule(wins=st.integers(1, 3), penalty=st.sampled_from((0, FIL, 500 * FIL)))
    def win(self, wins: int, penalty: int) -> None:
        self.sectors.miner.award(wins, penalty)

    @rule(wanted=st.sampled_from((1, FIL, 10**30)))
    def withdraw(self, wanted: int) -> None:
        self.sectors.miner.send(ALICE, WITHDRAW, packed(amount(wanted)))

    @rule()
    def call_getters(self) -> None:
        self.sectors.call_getters()


@pytest.mark.slow
@pytest.mark.parametrize("examples", [4, pytest.param(100, marks=pytest.mark.long)])
def test_random_sector_histories(first_sectors: Sectors, examples: int) -> None:
    Lives.stage = first_sectors
    run(Lives, first_sectors.twins, examples)
