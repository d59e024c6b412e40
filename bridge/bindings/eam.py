"""f010: deploys contracts.

Generated from fvm_hypervisor/builtin_actors/schemas/eam.ipldsch: `make bindings`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bridge.binding import Call, Codec, Struct
from bridge.bindings import common
from hypervisor.address import Address
from hypervisor.types import ActorID, MethodNumber

CODEC: Final = Codec("eam", common.CODEC)

CONSTRUCTOR: Final = MethodNumber(1)
CREATE: Final = MethodNumber(2)
CREATE2: Final = MethodNumber(3)
CREATE_EXTERNAL: Final = MethodNumber(4)


@dataclass(frozen=True, slots=True)
class CreateParams(Struct, codec=CODEC):
    """Parameters of Create."""

    initcode: bytes
    nonce: int


@dataclass(frozen=True, slots=True)
class CreateReturn(Struct, codec=CODEC):
    """Return value of Create."""

    actor_id: ActorID
    robust_address: Address | None
    eth_address: bytes


@dataclass(frozen=True, slots=True)
class Create2Params(Struct, codec=CODEC):
    """Parameters of Create2."""

    initcode: bytes
    salt: bytes


def constructor() -> Call[None]:
    """Call Constructor, method 1."""
    return CODEC.call(CONSTRUCTOR, None, None, None)


def create(initcode: bytes, nonce: int) -> Call[CreateReturn]:
    """Call Create, method 2."""
    return CODEC.call(CREATE, "CreateParams", CreateParams(initcode, nonce), "CreateReturn")


def create2(initcode: bytes, salt: bytes) -> Call[CreateReturn]:
    """Call Create2, method 3."""
    return CODEC.call(CREATE2, "Create2Params", Create2Params(initcode, salt), "Create2Return")


def create_external(value: bytes) -> Call[CreateReturn]:
    """Call CreateExternal, method 4."""
    return CODEC.call(CREATE_EXTERNAL, "CreateExternalParams", value, "CreateExternalReturn")
