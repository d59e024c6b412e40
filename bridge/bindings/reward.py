"""f02: mints tokens and pays block rewards.

Generated from fvm_hypervisor/builtin_actors/schemas/reward.ipldsch: `make bindings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bridge.binding import Call, Codec, Struct
from bridge.bindings import common
from bridge.bindings.common import FilterEstimate
from hypervisor.address import Address
from hypervisor.types import ChainEpoch, MethodNumber, TokenAmount

CODEC: Final = Codec("reward", common.CODEC)

CONSTRUCTOR: Final = MethodNumber(1)
AWARD_BLOCK_REWARD: Final = MethodNumber(2)
THIS_EPOCH_REWARD: Final = MethodNumber(3)
UPDATE_NETWORK_KPI: Final = MethodNumber(4)
CANCEL_PENDING: Final = MethodNumber(187585191)
REGISTER_STREAM: Final = MethodNumber(386660827)
REMOVE_STREAM: Final = MethodNumber(1623858416)
SET_SHARES: Final = MethodNumber(2414422607)
REPLACE_ADDRESS: Final = MethodNumber(3068846150)
SET_WEIGHT_RECORDS: Final = MethodNumber(3362570548)
SET_DISTRIBUTION: Final = MethodNumber(3872725033)
STEP_WEIGHT_RECORDS: Final = MethodNumber(3951753085)
CLAIM: Final = MethodNumber(4045527845)


@dataclass(frozen=True, slots=True)
class WeightRecord(Struct, codec=CODEC):
    """A linear function of the epoch between a floor and a cap, in units of 10^-18. `t_start`: an epoch."""

    v_start: int
    slope: int
    t_start: ChainEpoch
    floor: int
    cap: int


@dataclass(frozen=True, slots=True)
class RecipientShare(Struct, codec=CODEC):
    """A recipient's share, in units of 10^-18."""

    recipient: Address
    share: int


@dataclass(frozen=True, slots=True)
class RegisterStreamPayload(Struct, codec=CODEC):
    """Payload of a pending registration."""

    weight: WeightRecord
    distribution: DistributionInit | None


@dataclass(frozen=True, slots=True)
class SetDistributionPayload(Struct, codec=CODEC):
    """Payload of a pending change of a stream's writer."""

    writer: Address


@dataclass(frozen=True, slots=True)
class AwardBlockRewardParams(Struct, codec=CODEC):
    """Parameters of AwardBlockReward. `penalty`, `gas_reward`: attoFIL."""

    miner: Address
    penalty: TokenAmount
    gas_reward: TokenAmount
    win_count: int


@dataclass(frozen=True, slots=True)
class ThisEpochRewardReturn(Struct, codec=CODEC):
    """Return value of ThisEpochReward."""

    this_epoch_reward_smoothed: FilterEstimate
    this_epoch_baseline_power: int


@dataclass(frozen=True, slots=True)
class SetWeightRecordsParams(Struct, codec=CODEC):
    """Parameters of SetWeightRecords."""

    updates: tuple[WeightRecordUpdate, ...]


@dataclass(frozen=True, slots=True)
class WeightRecordUpdate(Struct, codec=CODEC):
    """WeightRecordUpdate, used in parameters and return values."""

    id: int
    weight: WeightRecord


@dataclass(frozen=True, slots=True)
class StepWeightRecordsParams(Struct, codec=CODEC):
    """Parameters of StepWeightRecords."""

    updates: tuple[WeightRecordUpdate, ...]


@dataclass(frozen=True, slots=True)
class RegisterStreamParams(Struct, codec=CODEC):
    """Parameters of RegisterStream. `activation_epoch`: an epoch."""

    id: int
    weight: WeightRecord
    distribution: DistributionInit | None
    activation_epoch: ChainEpoch


@dataclass(frozen=True, slots=True)
class DistributionInit(Struct, codec=CODEC):
    """DistributionInit, used in parameters and return values."""

    writer: Address
    shares: tuple[RecipientShare, ...]


@dataclass(frozen=True, slots=True)
class RemoveStreamParams(Struct, codec=CODEC):
    """Parameters of RemoveStream."""

    id: int


@dataclass(frozen=True, slots=True)
class SetDistributionParams(Struct, codec=CODEC):
    """Parameters of SetDistribution."""

    id: int
    writer: Address


@dataclass(frozen=True, slots=True)
class CancelPendingParams(Struct, codec=CODEC):
    """Parameters of CancelPending."""

    id: int | None
    op: int


@dataclass(frozen=True, slots=True)
class SetSharesParams(Struct, codec=CODEC):
    """Parameters of SetShares."""

    id: int
    shares: tuple[RecipientShare, ...]


@dataclass(frozen=True, slots=True)
class ReplaceAddressParams(Struct, codec=CODEC):
    """Parameters of ReplaceAddress."""

    id: int
    old: Address
    new: Address


@dataclass(frozen=True, slots=True)
class ClaimParams(Struct, codec=CODEC):
    """Parameters of Claim."""

    id: int
    wallets: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class ClaimReturn(Struct, codec=CODEC):
    """Return value of Claim."""

    amounts: tuple[TokenAmount, ...]


def constructor(value: int | None) -> Call[None]:
    """Call Constructor, method 1."""
    return CODEC.call(CONSTRUCTOR, "ConstructorParams", value, None)


def award_block_reward(miner: Address, penalty: int, gas_reward: int, win_count: int) -> Call[None]:
    """Call AwardBlockReward, method 2. `penalty`, `gas_reward`: attoFIL."""
    return CODEC.call(
        AWARD_BLOCK_REWARD,
        "AwardBlockRewardParams",
        AwardBlockRewardParams(miner, TokenAmount(penalty), TokenAmount(gas_reward), win_count),
        None,
    )


def this_epoch_reward() -> Call[ThisEpochRewardReturn]:
    """Call ThisEpochReward, method 3."""
    return CODEC.call(THIS_EPOCH_REWARD, None, None, "ThisEpochRewardReturn")


def update_network_kpi(value: int | None) -> Call[None]:
    """Call UpdateNetworkKPI, method 4."""
    return CODEC.call(UPDATE_NETWORK_KPI, "UpdateNetworkKPIParams", value, None)


def cancel_pending(id: int | None, op: int) -> Call[None]:
    """Call CancelPending, method 187585191."""
    return CODEC.call(CANCEL_PENDING, "CancelPendingParams", CancelPendingParams(id, op), None)


def register_stream(
    id: int, weight: WeightRecord, distribution: DistributionInit | None, activation_epoch: int
) -> Call[None]:
    """Call RegisterStream, method 386660827. `activation_epoch`: an epoch."""
    return CODEC.call(
        REGISTER_STREAM,
        "RegisterStreamParams",
        RegisterStreamParams(id, weight, distribution, ChainEpoch(activation_epoch)),
        None,
    )


def remove_stream(id: int) -> Call[None]:
    """Call RemoveStream, method 1623858416."""
    return CODEC.call(REMOVE_STREAM, "RemoveStreamParams", RemoveStreamParams(id), None)


def set_shares(id: int, shares: Sequence[RecipientShare]) -> Call[None]:
    """Call SetShares, method 2414422607."""
    return CODEC.call(SET_SHARES, "SetSharesParams", SetSharesParams(id, tuple(shares)), None)


def replace_address(id: int, old: Address, new: Address) -> Call[int]:
    """Call ReplaceAddress, method 3068846150."""
    return CODEC.call(
        REPLACE_ADDRESS, "ReplaceAddressParams", ReplaceAddressParams(id, old, new), "ReplaceAddressReturn"
    )


def set_weight_records(updates: Sequence[WeightRecordUpdate]) -> Call[None]:
    """Call SetWeightRecords, method 3362570548."""
    return CODEC.call(SET_WEIGHT_RECORDS, "SetWeightRecordsParams", SetWeightRecordsParams(tuple(updates)), None)


def set_distribution(id: int, writer: Address) -> Call[None]:
    """Call SetDistribution, method 3872725033."""
    return CODEC.call(SET_DISTRIBUTION, "SetDistributionParams", SetDistributionParams(id, writer), None)


def step_weight_records(updates: Sequence[WeightRecordUpdate]) -> Call[None]:
    """Call StepWeightRecords, method 3951753085."""
    return CODEC.call(STEP_WEIGHT_RECORDS, "StepWeightRecordsParams", StepWeightRecordsParams(tuple(updates)), None)


def claim(id: int, wallets: Sequence[Address]) -> Call[ClaimReturn]:
    """Call Claim, method 4045527845."""
    return CODEC.call(CLAIM, "ClaimParams", ClaimParams(id, tuple(wallets)), "ClaimReturn")
