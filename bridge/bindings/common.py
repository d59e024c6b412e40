"""Types and methods shared by all actors.

Generated from fvm_hypervisor/builtin_actors/schemas/common.ipldsch: `make bindings`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bridge.binding import Call, Codec, Struct
from hypervisor.types import MethodNumber

CODEC: Final = Codec("common")

AUTHENTICATE_MESSAGE: Final = MethodNumber(2643134072)
BATCH: Final = MethodNumber(3255706879)
RECEIVE: Final = MethodNumber(3726118371)


@dataclass(frozen=True, slots=True)
class FilterEstimate(Struct, codec=CODEC):
    """Estimates of an alpha-beta filter in Q.128 format."""

    position: int
    velocity: int


@dataclass(frozen=True, slots=True)
class PowerPair(Struct, codec=CODEC):
    """PowerPair, used in parameters and return values."""

    raw: int
    qa: int


@dataclass(frozen=True, slots=True)
class BatchFailure(Struct, codec=CODEC):
    """A failed item: its index in the parameters and its exit code."""

    index: int
    code: int


@dataclass(frozen=True, slots=True)
class BatchReturn(Struct, codec=CODEC):
    """Result of a batch: the number of successes, and the failed items."""

    success_count: int
    fail_codes: tuple[BatchFailure, ...]


@dataclass(frozen=True, slots=True)
class EmptyTuple(Struct, codec=CODEC):
    """EmptyTuple, used in parameters and return values."""


@dataclass(frozen=True, slots=True)
class UniversalReceiverParams(Struct, codec=CODEC):
    """Parameters of UniversalReceiver. `payload`: CBOR or empty."""

    type: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class AuthenticateMessageParams(Struct, codec=CODEC):
    """Parameters of AuthenticateMessage."""

    signature: bytes
    message: bytes


def authenticate_message(signature: bytes, message: bytes) -> Call[bool]:
    """Call AuthenticateMessage, method 2643134072."""
    return CODEC.call(
        AUTHENTICATE_MESSAGE,
        "AuthenticateMessageParams",
        AuthenticateMessageParams(signature, message),
        "AuthenticateMessageReturn",
    )


def batch() -> Call[BatchReturn]:
    """Call Batch, method 3255706879."""
    return CODEC.call(BATCH, None, None, "BatchReturn")


def receive(type: int, payload: bytes) -> Call[None]:
    """Call Receive, method 3726118371. `payload`: CBOR or empty."""
    return CODEC.call(RECEIVE, "UniversalReceiverParams", UniversalReceiverParams(type, payload), None)
