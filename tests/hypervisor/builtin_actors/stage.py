"""A state in which every method of every actor has something to do; its actor IDs are constants, used in tables.

It has two miners, a market with deals, a registry with allocations and claims, DataCap, a multisig with proposals, an
open payment channel and a collectable one, a contract, a placeholder, a user's actor, and one unconstructed actor of
each kind. The examples of `tests.hypervisor.builtin_actors.examples` are calls in it.
"""

from typing import Any, Final

from bridge.ethereum.addresses import EthAddress, to_filecoin
from bridge.filecoin.method_numbers import method_number
from hypervisor import Address, Hypervisor
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.state.state_tree import ActorState
from hypervisor.types import ActorID, TokenAmount
from store.cid import EMPTY_ARRAY_CID
from store.codec import encode
from tests.hypervisor.builtin_actors.contracts import Forwarder
from tests.hypervisor.builtin_actors.people import ALICE, BOB, CAROL, DAVE, FIL, OTHER_WORKER, amount, packed, raw
from tests.hypervisor.builtin_actors.test_same_market import ACTIVATE, ADD, MARKET, PUBLISH, SEAL_2K, Deal
from tests.hypervisor.builtin_actors.test_same_miner import (
    CHANGE_BENEFICIARY,
    CHANGE_OWNER,
    CHANGE_WORKER,
    Miner,
    pledge_something,
)
from tests.hypervisor.builtin_actors.test_same_multisig import Wallet
from tests.hypervisor.builtin_actors.test_same_paymentchannel import SETTLE, Channel
from tests.hypervisor.builtin_actors.test_same_power import UPDATE_CLAIM, create_miner, miner_of
from tests.hypervisor.builtin_actors.test_same_registry import (
    ADD_CLIENT,
    ADD_VERIFIER,
    BYTE,
    CLAIM,
    DATACAP,
    DAY,
    KIB,
    REGISTRY,
    ROOT,
    TERM_MIN,
    piece,
)  # fmt: skip
from tests.hypervisor.builtin_actors.twins import Twins
from tests.hypervisor.builtin_actors.world import PROJECT

EPOCH: Final = 3000
SUPPLY: Final = TokenAmount(10**19)
"""Circulating supply in attoFIL, low enough that the deals' collateral is above a devnet's minimum."""

WALLET, CHANNEL, SETTLED, CONTRACT, PLACEHOLDER, MINER, OTHER_MINER, USERS_ACTOR = range(107, 115)
UNUSED: Final = to_filecoin(EthAddress(b"\x77" * 20))
"""Address of the placeholder."""

RAW_ACTOR: Final = {name: ActorID(700 + place) for place, name in enumerate(ACTOR_NAMES)}
"""Actors without state, by kind."""

GOVERNOR: Final = 6
TERM: Final = TERM_MIN + 1000
"""Term in epochs of the sector that holds the claims."""


def deal(label: str, **fields: Any) -> Deal:
    """Return a deal of BOB's with the miner that starts at a later epoch."""
    return Deal(Address.id(MINER), label=label, start=5000, end=5000 + 200 * DAY, **fields)


def build(twins: Twins) -> None:
    """Build this state from a fresh genesis state."""
    twins.advance(epoch=10, circulating_supply=SUPPLY)
    _wallets_and_channels(twins)
    _others(twins)
    _miners(twins)
    twins.change(_users_actor)
    if twins.of.network < 29:  # FIP-0118: the market activates no deals, DataCap is frozen
        _deals(twins)
        _datacap(twins)
    twins.change(_funds)
    twins.advance(epoch=EPOCH)
    kinds = [twins.official.state_tree.get_actor(ActorID(actor)) for actor in range(WALLET, USERS_ACTOR + 1)]
    names = [state and twins.official.manifest.name_of(state.code) for state in kinds]
    assert names == ["multisig", *["paymentchannel"] * 2, "evm", "placeholder", *["storageminer"] * 2, None], names


def _funds(machine: Hypervisor) -> None:
    """Add 10 FIL to every actor's balance, so that any of them can send value."""
    for actor, state in list(machine.state_tree.actors()):
        machine.state_tree.set_actor(actor, state.with_balance(TokenAmount(state.balance + 10 * FIL)))


def _wallets_and_channels(twins: Twins) -> None:
    wallet = Wallet(twins, [ALICE, BOB, CAROL], 2, 10 * FIL)
    for value in (1, 2):
        wallet.propose(ALICE, DAVE, value)
    Channel(twins)
    assert Channel(twins).call(SETTLE, ALICE) == 0


def _others(twins: Twins) -> None:
    Forwarder(twins)
    assert twins.send(UNUSED, 0, b"", 5, ALICE).exit_code == 0

    def unconstructed(machine: Hypervisor) -> None:
        for name, actor in RAW_ACTOR.items():
            delegated = Address.delegated(10, bytes([actor % 256]) * 20) if name == "ethaccount" else None
            state = ActorState(machine.manifest.code(name), EMPTY_ARRAY_CID, delegated_address=delegated)
            machine.state_tree.set_actor(actor, state)

    twins.change(unconstructed)


def _users_actor(machine: Hypervisor) -> None:
    code = machine.install((PROJECT / "examples" / "counter" / "counter.wasm").read_bytes())
    assert machine.create(code).id == USERS_ACTOR


def _miners(twins: Twins) -> None:
    miner = Miner(twins)
    assert miner_of(create_miner(twins, BOB)) == OTHER_MINER
    pledge_something(twins, miner.id)
    assert twins.send_as(MINER, Address.id(4), UPDATE_CLAIM, packed(amount(4096), amount(40_960))).exit_code == 0
    for method, params in (
        (CHANGE_WORKER, packed(raw(OTHER_WORKER), [raw(CAROL)])),
        (CHANGE_OWNER, encode(raw(Address.id(101)))),
        (CHANGE_BENEFICIARY, packed(raw(CAROL), amount(FIL), 10**6)),
    ):
        assert miner.send(ALICE, method, params) == 0
    miner.award(2, penalty=FIL // 100)


def _deals(twins: Twins) -> None:
    for to, sender in ((Address.id(MINER), ALICE), (BOB, BOB)):
        assert twins.send(MARKET, ADD, encode(raw(to)), 10**9, sender).exit_code == 0
    deals = [deal(str(number)).signed() for number in range(4)]
    assert twins.send(MARKET, PUBLISH, packed(deals), 0, ALICE).exit_code == 0
    params = packed([[1, SEAL_2K, 1300 * DAY, [0]]], False)
    assert twins.send_as(MINER, MARKET, ACTIVATE, params).exit_code == 0


def _datacap(twins: Twins) -> None:
    """Allocations 1 and 2 are open, 3 has expired at EPOCH; 4 and 5 are claims."""
    for verifier in (ALICE, CAROL):
        params = packed(raw(verifier), amount(10**9))
        assert twins.send_as(ROOT, REGISTRY, ADD_VERIFIER, params).exit_code == 0
    assert twins.send(REGISTRY, ADD_CLIENT, packed(raw(BOB), amount(10**6)), 0, ALICE).exit_code == 0
    expirations = (50 * DAY, 50 * DAY, 100, 50 * DAY, 50 * DAY)
    requests = [[MINER, piece(n), KIB, TERM_MIN, TERM, end] for n, end in enumerate(expirations, 1)]
    params = packed(raw(REGISTRY), amount(5 * KIB * BYTE), packed(requests, []))
    assert twins.send(DATACAP, method_number("Transfer"), params, 0, BOB).exit_code == 0
    claims = [[101, number, piece(number), KIB] for number in (4, 5)]
    assert twins.send_as(MINER, REGISTRY, CLAIM, packed([[1, 10 + TERM_MIN, claims]], True)).exit_code == 0
    allowance = packed(raw(CAROL), amount(50 * KIB * BYTE))
    assert twins.send(DATACAP, method_number("IncreaseAllowance"), allowance, 0, BOB).exit_code == 0
