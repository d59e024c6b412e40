"""Circulating supply in attoFIL, which determines deposits, pledges, fees and deals.

It is the sum of vested, mined and released reserve funds, minus burnt funds and pledges. Funds locked by the market
do not count since FIP-0065. All vesting is complete at genesis here.

Source: lotus chain/stmgr/supply.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from hypervisor.bundles.genesis import RESERVE_ACTOR, RESERVE_FUNDS
from hypervisor.state.state_tree import StateTree
from hypervisor.types import BURNT_FUNDS_ACTOR, POWER_ACTOR, REWARD_ACTOR, TokenAmount, decode_bigint
from store.blockstore import Blockstore
from store.cid import Cid
from store.codec import decode

_MINED: Final = 8
"""`total_storage_power_reward` of the reward actor's state."""
_PLEDGED: Final = 4
"""`total_pledge_collateral` of the power actor's."""


class Supply(NamedTuple):
    """The parts of the supply in attoFIL."""

    vested: TokenAmount
    mined: TokenAmount
    disbursed: TokenAmount
    burnt: TokenAmount
    locked: TokenAmount

    @property
    def circulating(self) -> TokenAmount:
        """Return the circulating supply."""
        return TokenAmount(max(0, self.vested + self.mined + self.disbursed - self.burnt - self.locked))


@dataclass(frozen=True, slots=True)
class StoredSupply:
    """The circulating supply in a stored state, computed at each call: few actors ask for it."""

    store: Blockstore = field(compare=False, repr=False)
    root: Cid
    vested: TokenAmount

    def __call__(self) -> TokenAmount:
        """Return the supply in attoFIL."""
        return supply_of(StateTree(self.store, self.root), self.vested).circulating


def supply_of(tree: StateTree, vested: TokenAmount) -> Supply:
    """Return the parts of the supply in a state."""
    store = tree.store
    reserve, burnt = tree.get_actor(RESERVE_ACTOR), tree.get_actor(BURNT_FUNDS_ACTOR)
    return Supply(
        vested,
        _number(store, tree.existing(REWARD_ACTOR).head, _MINED),
        TokenAmount(RESERVE_FUNDS - (0 if reserve is None else reserve.balance)),
        TokenAmount(0) if burnt is None else burnt.balance,
        _number(store, tree.existing(POWER_ACTOR).head, _PLEDGED),
    )


def _number(store: Blockstore, head: Cid, index: int) -> TokenAmount:
    """Return an amount of an actor's state."""
    return TokenAmount(decode_bigint(decode(store.get(head))[index]))
