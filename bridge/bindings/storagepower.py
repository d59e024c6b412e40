"""f04: storage power by miner. Versions 10 and 11 have no ramp (15 fields).

Generated from fvm_hypervisor/builtin_actors/schemas/storagepower.ipldsch: `make bindings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bridge.binding import Call, Codec, Struct
from bridge.bindings import common
from bridge.bindings.common import FilterEstimate
from hypervisor.address import Address
from hypervisor.types import ActorID, ChainEpoch, MethodNumber, TokenAmount

CODEC: Final = Codec("storagepower", common.CODEC)

CONSTRUCTOR: Final = MethodNumber(1)
UPDATE_CLAIMED_POWER: Final = MethodNumber(3)
ENROLL_CRON_EVENT: Final = MethodNumber(4)
ON_EPOCH_TICK_END: Final = MethodNumber(5)
UPDATE_PLEDGE_TOTAL: Final = MethodNumber(6)
CURRENT_TOTAL_POWER: Final = MethodNumber(9)
MINER_POWER: Final = MethodNumber(36284446)
MINER_CONSENSUS_COUNT: Final = MethodNumber(196739875)
NETWORK_RAW_POWER: Final = MethodNumber(931722534)
CREATE_MINER: Final = MethodNumber(1173380165)
MINER_COUNT: Final = MethodNumber(1987646258)
MINER_RAW_POWER: Final = MethodNumber(3753401894)


@dataclass(frozen=True, slots=True)
class CreateMinerParams(Struct, codec=CODEC):
    """Parameters of CreateMiner."""

    owner: Address
    worker: Address
    window_post_proof_type: int
    peer: bytes
    multiaddrs: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class CreateMinerReturn(Struct, codec=CODEC):
    """Return value of CreateMiner."""

    id_address: Address
    robust_address: Address


@dataclass(frozen=True, slots=True)
class UpdateClaimedPowerParams(Struct, codec=CODEC):
    """Parameters of UpdateClaimedPower."""

    raw_byte_delta: int
    quality_adjusted_delta: int


@dataclass(frozen=True, slots=True)
class EnrollCronEventParams(Struct, codec=CODEC):
    """Parameters of EnrollCronEvent. `event_epoch`: an epoch. `payload`: CBOR or empty."""

    event_epoch: ChainEpoch
    payload: bytes


@dataclass(frozen=True, slots=True)
class CurrentTotalPowerReturn(Struct, codec=CODEC):
    """Return value of CurrentTotalPower. `pledge_collateral`: attoFIL. `ramp_start_epoch`: an epoch."""

    raw_byte_power: int
    quality_adj_power: int
    pledge_collateral: TokenAmount
    quality_adj_power_smoothed: FilterEstimate
    ramp_start_epoch: ChainEpoch
    ramp_duration_epochs: int


@dataclass(frozen=True, slots=True)
class MinerRawPowerReturn(Struct, codec=CODEC):
    """Return value of MinerRawPower."""

    raw_byte_power: int
    meets_consensus_minimum: bool


@dataclass(frozen=True, slots=True)
class MinerPowerReturn(Struct, codec=CODEC):
    """Return value of MinerPower."""

    raw_byte_power: int
    quality_adj_power: int


def constructor() -> Call[None]:
    """Call Constructor, method 1."""
    return CODEC.call(CONSTRUCTOR, None, None, None)


def update_claimed_power(raw_byte_delta: int, quality_adjusted_delta: int) -> Call[None]:
    """Call UpdateClaimedPower, method 3."""
    return CODEC.call(
        UPDATE_CLAIMED_POWER,
        "UpdateClaimedPowerParams",
        UpdateClaimedPowerParams(raw_byte_delta, quality_adjusted_delta),
        None,
    )


def enroll_cron_event(event_epoch: int, payload: bytes) -> Call[None]:
    """Call EnrollCronEvent, method 4. `event_epoch`: an epoch. `payload`: CBOR or empty."""
    return CODEC.call(
        ENROLL_CRON_EVENT, "EnrollCronEventParams", EnrollCronEventParams(ChainEpoch(event_epoch), payload), None
    )


def on_epoch_tick_end() -> Call[None]:
    """Call OnEpochTickEnd, method 5."""
    return CODEC.call(ON_EPOCH_TICK_END, None, None, None)


def update_pledge_total(value: int) -> Call[None]:
    """Call UpdatePledgeTotal, method 6. `value`: attoFIL."""
    return CODEC.call(UPDATE_PLEDGE_TOTAL, "UpdatePledgeTotalParams", TokenAmount(value), None)


def current_total_power() -> Call[CurrentTotalPowerReturn]:
    """Call CurrentTotalPower, method 9."""
    return CODEC.call(CURRENT_TOTAL_POWER, None, None, "CurrentTotalPowerReturn")


def miner_power(actor: int) -> Call[MinerPowerReturn]:
    """Call MinerPower, method 36284446."""
    return CODEC.call(MINER_POWER, "MinerPowerParams", ActorID(actor), "MinerPowerReturn")


def miner_consensus_count() -> Call[int]:
    """Call MinerConsensusCount, method 196739875."""
    return CODEC.call(MINER_CONSENSUS_COUNT, None, None, "MinerConsensusCountReturn")


def network_raw_power() -> Call[int]:
    """Call NetworkRawPower, method 931722534."""
    return CODEC.call(NETWORK_RAW_POWER, None, None, "NetworkRawPowerReturn")


def create_miner(
    owner: Address, worker: Address, window_post_proof_type: int, peer: bytes, multiaddrs: Sequence[bytes]
) -> Call[CreateMinerReturn]:
    """Call CreateMiner, method 1173380165 (2 between actors)."""
    return CODEC.call(
        CREATE_MINER,
        "CreateMinerParams",
        CreateMinerParams(owner, worker, window_post_proof_type, peer, tuple(multiaddrs)),
        "CreateMinerReturn",
    )


def miner_count() -> Call[int]:
    """Call MinerCount, method 1987646258."""
    return CODEC.call(MINER_COUNT, None, None, "MinerCountReturn")


def miner_raw_power(actor: int) -> Call[MinerRawPowerReturn]:
    """Call MinerRawPower, method 3753401894."""
    return CODEC.call(MINER_RAW_POWER, "MinerRawPowerParams", ActorID(actor), "MinerRawPowerReturn")
