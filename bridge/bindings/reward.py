"""f02: mints and pays.

Generated from actors/schemas/reward.ipldsch: `make bindings`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bridge.binding import Call, Codec, Struct
from bridge.bindings import common
from bridge.bindings.common import FilterEstimate
from hypervisor.address import Address
from hypervisor.types import MethodNumber, TokenAmount

CODEC: Final = Codec("reward", common.CODEC)

CONSTRUCTOR: Final = MethodNumber(1)
AWARD_BLOCK_REWARD: Final = MethodNumber(2)
THIS_EPOCH_REWARD: Final = MethodNumber(3)
UPDATE_NETWORK_KPI: Final = MethodNumber(4)


@dataclass(frozen=True, slots=True)
class AwardBlockRewardParams(Struct, codec=CODEC):
    """Parameters of AwardBlockReward. `penalty`, `gas_reward`: attoFIL."""

    miner: Address
    penalty: TokenAmount
    gas_reward: TokenAmount
    win_count: int


@dataclass(frozen=True, slots=True)
class ThisEpochRewardReturn(Struct, codec=CODEC):
    """What ThisEpochReward answers."""

    this_epoch_reward_smoothed: FilterEstimate
    this_epoch_baseline_power: int


def constructor(value: int | None) -> Call[None]:
    """Constructor: method 1."""
    return CODEC.call(CONSTRUCTOR, "ConstructorParams", value, None)


def award_block_reward(miner: Address, penalty: int, gas_reward: int, win_count: int) -> Call[None]:
    """AwardBlockReward: method 2. `penalty`, `gas_reward`: attoFIL."""
    return CODEC.call(
        AWARD_BLOCK_REWARD,
        "AwardBlockRewardParams",
        AwardBlockRewardParams(miner, TokenAmount(penalty), TokenAmount(gas_reward), win_count),
        None,
    )


def this_epoch_reward() -> Call[ThisEpochRewardReturn]:
    """ThisEpochReward: method 3."""
    return CODEC.call(THIS_EPOCH_REWARD, None, None, "ThisEpochRewardReturn")


def update_network_kpi(value: int | None) -> Call[None]:
    """UpdateNetworkKPI: method 4."""
    return CODEC.call(UPDATE_NETWORK_KPI, "UpdateNetworkKPIParams", value, None)
