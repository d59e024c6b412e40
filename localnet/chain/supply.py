"""Circulating supply in attoFIL, which determines deposits, pledges, fees and deals.

It is the sum of vested, mined and released reserve funds, minus burnt funds and pledges. Funds locked by the market
do not count since FIP-0065. All vesting is complete at genesis here.

Source: lotus chain/stmgr/supply.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from hypervisor.bigint import decode_bigint
from hypervisor.errors import Fatal
from hypervisor.genesis import RESERVE_ACTOR, RESERVE_FUNDS
from hypervisor.machine import Hypervisor
from hypervisor.types import BURNT_FUNDS_ACTOR, POWER_ACTOR, REWARD_ACTOR, ActorID, TokenAmount
from store.codec import decode

_MINED: Final = 8
"""`total_storage_power_reward` of the reward actor's state."""
_PLEDGED: Final = 4
"""`total_pledge_collateral` of the power actor's."""


@dataclass(frozen=True, slots=True)
class Supply:
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


def supply_of(machine: Hypervisor, vested: TokenAmount) -> Supply:
    """Return the parts of the supply in a machine's state."""
    return Supply(
        vested=vested,
        mined=_field(machine, REWARD_ACTOR, _MINED),
        disbursed=TokenAmount(RESERVE_FUNDS - _balance(machine, RESERVE_ACTOR)),
        burnt=_balance(machine, BURNT_FUNDS_ACTOR),
        locked=_field(machine, POWER_ACTOR, _PLEDGED),
    )


def _balance(machine: Hypervisor, actor: ActorID) -> TokenAmount:
    state = machine.state_tree.get_actor(actor)
    return TokenAmount(0) if state is None else state.balance


def _field(machine: Hypervisor, actor: ActorID, index: int) -> TokenAmount:
    state = machine.state_tree.get_actor(actor)
    if state is None:
        raise Fatal(f"the state has no actor f0{actor}")
    return _number(machine.store.get(state.head), index)


@lru_cache(16)
def _number(block: bytes, index: int) -> TokenAmount:
    # Cached, because consecutive blocks without mining use the same states.
    return TokenAmount(decode_bigint(decode(block)[index]))
