"""A council that governs a stream of the block reward: a contract writes the streams of f02 and pays from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bridge.actors.schemas import actor_schema
from bridge.ethereum.addresses import EthAddress, create_address
from examples.conftest import Refused, actor_id, masked
from hypervisor.types import REWARD_ACTOR, decode_bigint
from localnet import Contract, Network, stream_settings
from store.blockstore import get_object

HERE = Path(__file__).parent
WHOLE = 10**18
TIMELOCK, RAMP, QUARTER = 5, 90, 60
MINERS, FIRST, OWN = 1, 2, 3
FIVE_PERCENT = (WHOLE // 20, 0, 0, WHOLE // 20, WHOLE // 20)


@pytest.fixture(scope="module")
def governed() -> Iterator[Network]:
    """A network whose streams the council governs: the miners' stream falls from 95 % by 0.5 % per epoch.

    The second stream reaches 10 % after ten epochs; after ten more, 5 % are unassigned.
    """
    with Network(network=28) as network:
        council = network.deploy(HERE / "StreamCouncil.json", *(one.address for one in network.accounts[1:3]))
        network.set_producer(network.create_miner(sectors=1).address)
        orchestrator = network.accounts[9].native
        network.upgrade(29, streams=stream_settings(council, council, orchestrator, ramp=RAMP, timelock=TIMELOCK))
        yield network


@pytest.fixture
def network(governed: Network) -> Iterator[Network]:
    before = governed.snapshot()
    yield governed
    governed.revert(before)


@pytest.fixture
def council(network: Network) -> Contract:
    return network.contract(create_address(network.accounts[0].address, 0), HERE / "StreamCouncil.json")


@pytest.fixture
def wallets(network: Network) -> tuple[EthAddress, ...]:
    """Dora, Emil and Faye; Emil is known to contracts by the ID of a native account."""
    dora, emil, faye = network.accounts[4:7]
    return dora.address, masked(actor_id(network, emil.native)), faye.address


def by_both(network: Network, council: Contract, function: str, *arguments: Any) -> int:
    """Send the same call from both owners; return what the stream received in the two blocks."""
    parts = 0
    for owner in network.accounts[1:3]:
        parts += award(network, partial(council.send, function, *arguments, sender=owner))
    return parts


def award(network: Network, action: Callable[[], object] | None = None) -> int:
    """Mine a block, and return 5 % of its reward, rounded down: the amount that the stream received."""
    before = minted(network)
    (action or network.mine)()
    return (minted(network) - before) * 5 // 100


def minted(network: Network) -> int:
    state = network.machine.state_tree.get_actor(REWARD_ACTOR)
    assert state is not None
    fields = actor_schema("reward").read("StateV19", get_object(network.machine.store, state.head))
    return decode_bigint(fields["total_minted_reward"])


def open_stream(network: Network, council: Contract, shares: list[tuple[EthAddress, int]]) -> None:
    """Register the council's stream, and mine up to its activation; the next award is its first one."""
    activation = network.head.height + 30
    by_both(network, council, "registerStream", OWN, FIVE_PERCENT, shares, activation)
    network.mine(activation - 1 - network.head.height)


def paid(network: Network, council: Contract, *wallets: EthAddress) -> list[int]:
    """Claim from an account that receives nothing; return the increase of each wallet's balance."""
    before = [network.balance(wallet) for wallet in wallets]
    receipt = council.send("claim", OWN, list(wallets), sender=network.accounts[8])
    amounts = [network.balance(wallet) - had for wallet, had in zip(wallets, before, strict=True)]
    assert [event.arguments["amount"] for event in council.events(receipt)] == [one for one in amounts if one]
    return amounts


@pytest.mark.slow
def test_two_quarters_are_paid_to_the_attofil(
    network: Network, council: Contract, wallets: tuple[EthAddress, ...]
) -> None:
    dora, emil, faye = wallets
    quarter, third = WHOLE // 4, WHOLE // 3
    open_stream(network, council, [(dora, quarter), (emil, WHOLE - quarter)])
    first = sum(award(network) for _ in range(QUARTER))
    shares = [(dora, third), (emil, third), (faye, WHOLE - 2 * third)]
    first += award(network, lambda: council.send("setShares", OWN, shares, sender=network.accounts[1]))
    second = award(network, lambda: council.send("setShares", OWN, shares, sender=network.accounts[2]))
    second += sum(award(network) for _ in range(QUARTER))
    assert first > WHOLE
    assert paid(network, council, *wallets) == [
        first * quarter // WHOLE + second * third // WHOLE,
        first * (WHOLE - quarter) // WHOLE + second * third // WHOLE,
        second * (WHOLE - 2 * third) // WHOLE,
    ]


@pytest.mark.slow
def test_replaced_address_retains_earned_rewards(
    network: Network, council: Contract, wallets: tuple[EthAddress, ...]
) -> None:
    dora, emil, faye = wallets
    open_stream(network, council, [(dora, WHOLE // 2), (emil, WHOLE // 2)])
    first = award(network)
    second = award(network, lambda: council.send("replaceAddress", OWN, emil, faye, sender=network.accounts[2]))
    assert paid(network, council, *wallets) == [first // 2 + second // 2, first // 2, second // 2]


@pytest.mark.slow
def test_reward_actor_refusal_is_a_contract_error(
    network: Network, council: Contract, wallets: tuple[EthAddress, ...], refused: Refused
) -> None:
    dora, emil, faye = wallets
    owner, other = network.accounts[1:3]
    open_stream(network, council, [(dora, WHOLE)])
    for shares, exit_code in (
        ([(dora, WHOLE // 2), (emil, WHOLE // 2 - 1)], 16),  # the sum misses the whole by one
        ([(dora, WHOLE // 2), (dora, WHOLE // 2)], 16),
        ([(EthAddress(b"\x77" * 20), WHOLE)], 17),  # no actor has the address
    ):
        council.send("setShares", OWN, shares, sender=owner)
        failed = refused(council, "setShares", OWN, shares, sender=other)
        assert failed.reason == f"Refused(2414422607, {exit_code})"
        assert ("reward", exit_code) in failed.exits
    assert refused(council, "replaceAddress", OWN, faye, emil, sender=owner).reason.startswith(f"NoShare({OWN}, ")
    assert refused(council, "claim", MINERS, [dora]).reason == "Refused(4045527845, 16)"


@pytest.mark.slow
def test_single_owner_or_stranger_cannot_govern(
    network: Network, council: Contract, wallets: tuple[EthAddress, ...], refused: Refused
) -> None:
    stranger = network.accounts[7]
    record = (WHOLE // 2, 0, 0, WHOLE // 2, WHOLE // 2)
    assert (
        refused(council, "setWeight", MINERS, record, sender=stranger).reason
        == "NotAnOwner(0x14dC79964da2C08b23698B3D3cc7Ca32193d9955)"
    )
    for _ in range(2):
        receipt = council.send("setWeight", MINERS, record, sender=network.accounts[1])
        assert [event.event for event in council.events(receipt)] == ["Wanted"]
    other = network.deploy(HERE / "StreamCouncil.json", *(one.address for one in network.accounts[1:3]))
    other.send("setWeight", MINERS, record, sender=network.accounts[1])
    assert refused(other, "setWeight", MINERS, record, sender=network.accounts[2]).reason == "Refused(3362570548, 18)"


@pytest.mark.slow
def test_trace_shows_queued_change_and_payout(
    network: Network, council: Contract, wallets: tuple[EthAddress, ...]
) -> None:
    open_stream(network, council, [(wallets[0], WHOLE)])
    network.mine()
    words = str(council.send("claim", OWN, [wallets[0]]).trace)
    assert f"event claim-payout(stream-id={OWN}, recipient={actor_id(network, network.accounts[4].delegated)}" in words
    council.send("setWeight", OWN, FIVE_PERCENT, sender=network.accounts[1])
    words = str(council.send("setWeight", OWN, FIVE_PERCENT, sender=network.accounts[2]).trace)
    due = network.head.height + TIMELOCK
    assert f"event write-queued(op=SetWeightRecords, effective-epoch={due}, payload={{updates=[{{id={OWN}, " in words
