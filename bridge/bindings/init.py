"""f01: creates actors.

Generated from fvm_hypervisor/builtin_actors/schemas/init.ipldsch: `make bindings`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bridge.binding import Call, Codec, Struct
from bridge.bindings import common
from hypervisor.address import Address
from hypervisor.types import MethodNumber
from store.cid import Cid

CODEC: Final = Codec("init", common.CODEC)

CONSTRUCTOR: Final = MethodNumber(1)
EXEC: Final = MethodNumber(2)
EXEC4: Final = MethodNumber(3)


@dataclass(frozen=True, slots=True)
class ConstructorParams(Struct, codec=CODEC):
    """Parameters of Constructor."""

    network_name: str


@dataclass(frozen=True, slots=True)
class ExecParams(Struct, codec=CODEC):
    """Parameters of Exec. `constructor_params`: CBOR or empty."""

    code_cid: Cid
    constructor_params: bytes


@dataclass(frozen=True, slots=True)
class ExecReturn(Struct, codec=CODEC):
    """Return value of Exec."""

    id_address: Address
    robust_address: Address


@dataclass(frozen=True, slots=True)
class Exec4Params(Struct, codec=CODEC):
    """Parameters of Exec4. `constructor_params`: CBOR or empty."""

    code_cid: Cid
    constructor_params: bytes
    subaddress: bytes


def constructor(network_name: str) -> Call[None]:
    """Call Constructor, method 1."""
    return CODEC.call(CONSTRUCTOR, "ConstructorParams", ConstructorParams(network_name), None)


def exec(code_cid: Cid, constructor_params: bytes) -> Call[ExecReturn]:
    """Call Exec, method 2. `constructor_params`: CBOR or empty."""
    return CODEC.call(EXEC, "ExecParams", ExecParams(code_cid, constructor_params), "ExecReturn")


def exec4(code_cid: Cid, constructor_params: bytes, subaddress: bytes) -> Call[ExecReturn]:
    """Call Exec4, method 3. `constructor_params`: CBOR or empty."""
    return CODEC.call(EXEC4, "Exec4Params", Exec4Params(code_cid, constructor_params, subaddress), "Exec4Return")
