"""A wallet with several signers.

Generated from fvm_hypervisor/builtin_actors/schemas/multisig.ipldsch: `make bindings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bridge.binding import Call, Codec, Struct
from bridge.bindings import common
from hypervisor.address import Address
from hypervisor.types import ChainEpoch, MethodNumber, TokenAmount

CODEC: Final = Codec("multisig", common.CODEC)

CONSTRUCTOR: Final = MethodNumber(1)
PROPOSE: Final = MethodNumber(2)
APPROVE: Final = MethodNumber(3)
CANCEL: Final = MethodNumber(4)
ADD_SIGNER: Final = MethodNumber(5)
REMOVE_SIGNER: Final = MethodNumber(6)
SWAP_SIGNER: Final = MethodNumber(7)
CHANGE_NUM_APPROVALS_THRESHOLD: Final = MethodNumber(8)
LOCK_BALANCE: Final = MethodNumber(9)


@dataclass(frozen=True, slots=True)
class ConstructorParams(Struct, codec=CODEC):
    """Parameters of Constructor. `unlock_duration`, `start_epoch`: an epoch."""

    signers: tuple[Address, ...]
    num_approvals_threshold: int
    unlock_duration: ChainEpoch
    start_epoch: ChainEpoch


@dataclass(frozen=True, slots=True)
class ProposeParams(Struct, codec=CODEC):
    """Parameters of Propose. `value`: attoFIL. `params`: CBOR or empty."""

    to: Address
    value: TokenAmount
    method: MethodNumber
    params: bytes


@dataclass(frozen=True, slots=True)
class ProposeReturn(Struct, codec=CODEC):
    """Return value of Propose. `ret`: CBOR or empty."""

    txn_id: int
    applied: bool
    code: int
    ret: bytes


@dataclass(frozen=True, slots=True)
class ApproveParams(Struct, codec=CODEC):
    """Parameters of Approve."""

    id: int
    proposal_hash: bytes


@dataclass(frozen=True, slots=True)
class ApproveReturn(Struct, codec=CODEC):
    """Return value of Approve. `ret`: CBOR or empty."""

    applied: bool
    code: int
    ret: bytes


@dataclass(frozen=True, slots=True)
class AddSignerParams(Struct, codec=CODEC):
    """Parameters of AddSigner."""

    signer: Address
    increase: bool


@dataclass(frozen=True, slots=True)
class RemoveSignerParams(Struct, codec=CODEC):
    """Parameters of RemoveSigner."""

    signer: Address
    decrease: bool


@dataclass(frozen=True, slots=True)
class SwapSignerParams(Struct, codec=CODEC):
    """Parameters of SwapSigner."""

    from_: Address
    to: Address


@dataclass(frozen=True, slots=True)
class ChangeNumApprovalsThresholdParams(Struct, codec=CODEC):
    """Parameters of ChangeNumApprovalsThreshold."""

    new_threshold: int


@dataclass(frozen=True, slots=True)
class LockBalanceParams(Struct, codec=CODEC):
    """Parameters of LockBalance. `start_epoch`, `unlock_duration`: an epoch. `amount`: attoFIL."""

    start_epoch: ChainEpoch
    unlock_duration: ChainEpoch
    amount: TokenAmount


@dataclass(frozen=True, slots=True)
class ProposalHashData(Struct, codec=CODEC):
    """The value whose hash identifies a proposal. `value`: attoFIL. `params`: CBOR or empty."""

    requester: Address | None
    to: Address
    value: TokenAmount
    method: MethodNumber
    params: bytes


def constructor(
    signers: Sequence[Address], num_approvals_threshold: int, unlock_duration: int, start_epoch: int
) -> Call[None]:
    """Call Constructor, method 1. `unlock_duration`, `start_epoch`: an epoch."""
    return CODEC.call(
        CONSTRUCTOR,
        "ConstructorParams",
        ConstructorParams(
            tuple(signers), num_approvals_threshold, ChainEpoch(unlock_duration), ChainEpoch(start_epoch)
        ),
        None,
    )


def propose(to: Address, value: int, method: int, params: bytes) -> Call[ProposeReturn]:
    """Call Propose, method 2. `value`: attoFIL. `params`: CBOR or empty."""
    return CODEC.call(
        PROPOSE, "ProposeParams", ProposeParams(to, TokenAmount(value), MethodNumber(method), params), "ProposeReturn"
    )


def approve(id: int, proposal_hash: bytes) -> Call[ApproveReturn]:
    """Call Approve, method 3."""
    return CODEC.call(APPROVE, "ApproveParams", ApproveParams(id, proposal_hash), "ApproveReturn")


def cancel(id: int, proposal_hash: bytes) -> Call[None]:
    """Call Cancel, method 4."""
    return CODEC.call(CANCEL, "CancelParams", ApproveParams(id, proposal_hash), None)


def add_signer(signer: Address, increase: bool) -> Call[None]:
    """Call AddSigner, method 5."""
    return CODEC.call(ADD_SIGNER, "AddSignerParams", AddSignerParams(signer, increase), None)


def remove_signer(signer: Address, decrease: bool) -> Call[None]:
    """Call RemoveSigner, method 6."""
    return CODEC.call(REMOVE_SIGNER, "RemoveSignerParams", RemoveSignerParams(signer, decrease), None)


def swap_signer(from_: Address, to: Address) -> Call[None]:
    """Call SwapSigner, method 7."""
    return CODEC.call(SWAP_SIGNER, "SwapSignerParams", SwapSignerParams(from_, to), None)


def change_num_approvals_threshold(new_threshold: int) -> Call[None]:
    """Call ChangeNumApprovalsThreshold, method 8."""
    return CODEC.call(
        CHANGE_NUM_APPROVALS_THRESHOLD,
        "ChangeNumApprovalsThresholdParams",
        ChangeNumApprovalsThresholdParams(new_threshold),
        None,
    )


def lock_balance(start_epoch: int, unlock_duration: int, amount: int) -> Call[None]:
    """Call LockBalance, method 9. `start_epoch`, `unlock_duration`: an epoch. `amount`: attoFIL."""
    return CODEC.call(
        LOCK_BALANCE,
        "LockBalanceParams",
        LockBalanceParams(ChainEpoch(start_epoch), ChainEpoch(unlock_duration), TokenAmount(amount)),
        None,
    )
