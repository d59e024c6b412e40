"""Power: our actor compared with the official one, with miners of the same code on both sides."""

from typing import Any

import pytest

from bridge.filecoin.method_numbers import method_number
from hypervisor import Address, Hypervisor
from hypervisor.state.state_tree import ActorState
from hypervisor.types import CRON_ACTOR, POWER_ACTOR, REWARD_ACTOR, SYSTEM_ACTOR, ActorID, TokenAmount
from store.codec import decode, encode
from tests.hypervisor.builtin_actors.contracts import READ_ONLY, Forwarder
from tests.hypervisor.builtin_actors.people import ALICE, BOB, ETHEL, FIL, STRANGER, WORKER, amount, packed, raw
from tests.hypervisor.builtin_actors.twins import Twins

POWER, CRON = Address.id(POWER_ACTOR), Address.id(CRON_ACTOR)
CREATE_MINER, UPDATE_CLAIM, ENROLL, TICK_END, UPDATE_PLEDGE, TOTAL = 2, 3, 4, 5, 6, 9
GETTERS = ("NetworkRawPower", "MinerCount", "MinerConsensusCount")
WINDOW_2K = 10


def create_miner(twins: Twins, owner: Address = ALICE, value: int = FIL, **fields: Any) -> Any:
    """Create a miner through the power actor; `fields` replace worker, proof, peer or multiaddrs."""
    wanted = {"worker": raw(WORKER), "proof": WINDOW_2K, "peer": b"peer", "multiaddrs": [b"somewhere"], **fields}
    method = fields.get("method", CREATE_MINER)
    params = packed(raw(owner), *(wanted[name] for name in ("worker", "proof", "peer", "multiaddrs")))
    return twins.send(POWER, method, params, value, owner)


def miner_of(result: Any) -> int:
    """Return the new miner's ID."""
    assert result.exit_code == 0, result.message
    actor = Address.from_bytes(decode(result.return_data)[0]).actor_id()
    assert actor is not None
    return int(actor)


def call_getters(twins: Twins, *miners: int) -> None:
    """Call every getter."""
    for name in GETTERS:
        twins.send(POWER, method_number(name), b"", 0, BOB)
    twins.send(POWER, TOTAL, b"", 0, BOB)
    for miner in miners:
        for name in ("MinerRawPower", "MinerPower"):
            twins.send(POWER, method_number(name), encode(miner), 0, BOB)


def claim(twins: Twins, miner: int, power: int, quality: int) -> int:
    return int(twins.send_as(miner, POWER, UPDATE_CLAIM, packed(amount(power), amount(quality))).exit_code)


def tick(twins: Twins, epoch: int) -> None:
    twins.advance(epoch=epoch)
    assert twins.send_as(SYSTEM_ACTOR, CRON, 2).exit_code == 0


@pytest.mark.slow
@pytest.mark.parametrize("method", [CREATE_MINER, method_number("CreateMiner")])
def test_anybody_creates_miners(twins: Twins, method: int) -> None:
    call_getters(twins, miner_of(create_miner(twins, method=method)))
    refused: tuple[dict[str, Any], ...] = (
        {"proof": 5}, {"proof": 99}, {"proof": -1}, {"peer": bytes(129)}, {"peer": "text"}, {"multiaddrs": [b""]},
        {"multiaddrs": [bytes(1025)]}, {"worker": raw(ALICE)}, {"worker": raw(STRANGER)}, {"multiaddrs": []},
    )  # fmt: skip
    for fields in refused:
        create_miner(twins, method=method, **fields)
    create_miner(twins, value=5)
    create_miner(twins, owner=ETHEL)
    create_miner(twins, value=0)


@pytest.mark.slow
def test_a_contract_creates_a_miner(twins: Twins) -> None:
    contract = Forwarder(twins)
    params = packed(raw(ALICE), raw(WORKER), WINDOW_2K, b"", [])
    twins.send(contract.address, 0, b"", FIL, ALICE)
    for flags in (READ_ONLY, 0):
        for method in (CREATE_MINER, method_number("CreateMiner")):
            contract.call(POWER_ACTOR, method, params, flags, value=0 if flags else FIL)
    for name in GETTERS:
        contract.call(POWER_ACTOR, method_number(name), b"", READ_ONLY)


@pytest.mark.slow
def test_claims_below_and_above_the_minimum(twins: Twins) -> None:
    miners = [miner_of(create_miner(twins)) for _ in range(5)]
    assert claim(twins, 99, 1, 1) == 18
    for step, (place, power, quality, expected) in enumerate([
        (0, 1024, 2048, 0), (1, 2048, 2048, 0), (2, 2047, 9999, 0), (2, 1, 1, 0), (3, 1 << 40, 10 << 40, 0),
        (4, 5000, 4, 0), (0, 1024, 0, 0), (1, -1, 0, 0), (1, -2048, 0, 20), (3, 0, -(11 << 40), 20), (1, 5, 5, 0),
        (4, -5000, -4, 0), (2, -2048, -10_000, 0), (2, -1, 0, 20), (3, -(1 << 40), -(10 << 40), 0), (0, 0, 0, 0),
    ]):  # fmt: skip
        assert claim(twins, miners[place], power, quality) == expected, step
        call_getters(twins, *miners)
        tick(twins, step + 1)


@pytest.mark.slow
def test_unknown_miner_can_enroll_cron_but_not_claim_power(twins: Twins) -> None:
    """The power actor does not know these miners: one was created by hand, the other removed."""

    def make(machine: Hypervisor) -> None:
        state = ActorState(machine.manifest.code("storageminer"))
        machine.state_tree.set_actor(ActorID(700), state)

    twins.change(make)
    assert claim(twins, 700, 1, 1) == 17
    assert twins.send_as(700, POWER, UPDATE_PLEDGE, encode(amount(1))).exit_code == 18
    assert twins.send_as(700, POWER, ENROLL, packed(3, b"")).exit_code == 0
    call_getters(twins, 700, 2**64 - 1)
    tick(twins, 5)


@pytest.mark.slow
def test_pledges_add_up(twins: Twins) -> None:
    miner = miner_of(create_miner(twins))
    for change, expected in ((5, 0), (-3, 0), (-3, 20), (0, 0), (10**30, 0), (-(10**30) - 2, 0)):
        assert twins.send_as(miner, POWER, UPDATE_PLEDGE, encode(amount(change))).exit_code == expected
    assert twins.send(POWER, UPDATE_PLEDGE, encode(amount(1)), 0, ALICE).exit_code == 18
    tick(twins, 1)
    call_getters(twins, miner)


@pytest.mark.slow
def test_cron_events_run_in_order_and_failing_miners_lose_claims(twins: Twins) -> None:
    miners = [miner_of(create_miner(twins)) for _ in range(3)]
    for miner in miners:
        claim(twins, miner, 4096, 4096)
    good = packed(2)  # early terminations: there are none
    for miner, epoch, payload in [
        (0, 7, good), (1, 7, good), (0, 3, good), (2, 5, b"\xff"), (2, 5, b""), (1, 0, good), (0, 500, good),
        (1, 2**40, good), (0, -1, good), *[(0, 20, good)] * 70,
    ]:  # fmt: skip
        twins.shakes = 1
        twins.send_as(miners[miner], POWER, ENROLL, packed(epoch, payload))
    for epoch in (1, 2, 4, 5, 6, 7, 19, 20, 21, 700):
        tick(twins, epoch)
        call_getters(twins, *miners)
    assert claim(twins, miners[2], 1, 1) == 17


def test_the_tick_is_crons(twins: Twins) -> None:
    assert twins.send(POWER, TICK_END, b"", 0, ALICE).exit_code == 18
    assert twins.send_as(CRON_ACTOR, POWER, TICK_END, b"\x80").exit_code == 16
    assert twins.send_as(CRON_ACTOR, POWER, TICK_END).exit_code == 0
    for method in (7, 8, 10, 1 << 24):
        assert twins.send(POWER, method, b"", 0, ALICE).exit_code == 22


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [500, pytest.param(5000, marks=pytest.mark.long)])
def test_thousands_of_epochs_of_power_and_reward(twins: Twins, epochs: int) -> None:
    """Power changes and blocks are won; every seventh epoch is a null round."""
    miners = [miner_of(create_miner(twins)) for _ in range(5)]
    twins.shakes = 0
    twins.advance(circulating_supply=TokenAmount(10**26))
    for epoch in range(1, epochs + 1):
        if epoch % 50 == 0:
            claim(twins, miners[epoch // 50 % 5], epoch << 40, epoch << 42)
        if epoch % 7 == 0:
            continue
        award = packed(raw(Address.id(miners[epoch % 5])), amount(0), amount(epoch), 1 + epoch % 3)
        assert twins.send_as(SYSTEM_ACTOR, Address.id(REWARD_ACTOR), 2, award).exit_code == 0
        tick(twins, epoch)
