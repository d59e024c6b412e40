"""A payment channel between two parties, with lanes.

Generated from fvm_hypervisor/builtin_actors/schemas/paymentchannel.ipldsch: `make bindings`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bridge.binding import Call, Codec, Struct
from bridge.bindings import common
from hypervisor.address import Address
from hypervisor.types import ChainEpoch, MethodNumber, TokenAmount

CODEC: Final = Codec("paymentchannel", common.CODEC)

CONSTRUCTOR: Final = MethodNumber(1)
UPDATE_CHANNEL_STATE: Final = MethodNumber(2)
SETTLE: Final = MethodNumber(3)
COLLECT: Final = MethodNumber(4)
MOD_VERIFY: Final = MethodNumber(2344271157)


class Exit(IntEnum):
    """Exit codes specific to this actor; `hypervisor.exit_codes.ExitCode` has the common ones."""

    CHANNEL_STATE_UPDATE_AFTER_SETTLED = 32


@dataclass(frozen=True, slots=True)
class ConstructorParams(Struct, codec=CODEC):
    """Parameters of Constructor."""

    from_: Address
    to: Address


@dataclass(frozen=True, slots=True)
class UpdateChannelStateParams(Struct, codec=CODEC):
    """Parameters of UpdateChannelState."""

    sv: SignedVoucher
    secret: bytes


@dataclass(frozen=True, slots=True)
class SignedVoucher(Struct, codec=CODEC):
    """SignedVoucher, used in parameters and return values.

    `time_lock_min`, `time_lock_max`, `min_settle_height`: an epoch. `amount`: attoFIL. `signature`: a type byte,
    then the signature.
    """

    channel_addr: Address
    time_lock_min: ChainEpoch
    time_lock_max: ChainEpoch
    secret_pre_image: bytes
    extra: ModVerifyParams | None
    lane: int
    nonce: int
    amount: TokenAmount
    min_settle_height: ChainEpoch
    merges: tuple[Merge, ...]
    signature: bytes | None


@dataclass(frozen=True, slots=True)
class ModVerifyParams(Struct, codec=CODEC):
    """Parameters of ModVerify. `data`: CBOR or empty."""

    actor: Address
    method: MethodNumber
    data: bytes


@dataclass(frozen=True, slots=True)
class Merge(Struct, codec=CODEC):
    """Merge, used in parameters and return values."""

    lane: int
    nonce: int


def constructor(from_: Address, to: Address) -> Call[None]:
    """Call Constructor, method 1."""
    return CODEC.call(CONSTRUCTOR, "ConstructorParams", ConstructorParams(from_, to), None)


def update_channel_state(sv: SignedVoucher, secret: bytes) -> Call[None]:
    """Call UpdateChannelState, method 2."""
    return CODEC.call(UPDATE_CHANNEL_STATE, "UpdateChannelStateParams", UpdateChannelStateParams(sv, secret), None)


def settle() -> Call[None]:
    """Call Settle, method 3."""
    return CODEC.call(SETTLE, None, None, None)


def collect() -> Call[None]:
    """Call Collect, method 4."""
    return CODEC.call(COLLECT, None, None, None)


def mod_verify(actor: Address, method: int, data: bytes) -> Call[None]:
    """Call ModVerify, method 2344271157. `data`: CBOR or empty."""
    return CODEC.call(MOD_VERIFY, "ModVerifyParams", ModVerifyParams(actor, MethodNumber(method), data), None)
