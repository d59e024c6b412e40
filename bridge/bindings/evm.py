"""An EVM contract. Versions 10 and 11 have no transient data (5 fields).

Generated from fvm_hypervisor/builtin_actors/schemas/evm.ipldsch: `make bindings`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bridge.binding import Call, Codec, Struct
from bridge.bindings import common
from hypervisor.types import MethodNumber, TokenAmount
from store.cid import Cid

CODEC: Final = Codec("evm", common.CODEC)

CONSTRUCTOR: Final = MethodNumber(1)
RESURRECT: Final = MethodNumber(2)
GET_BYTECODE: Final = MethodNumber(3)
GET_BYTECODE_HASH: Final = MethodNumber(4)
GET_STORAGE_AT: Final = MethodNumber(5)
INVOKE_CONTRACT_DELEGATE: Final = MethodNumber(6)
INVOKE_EVM: Final = MethodNumber(3844450837)


class Exit(IntEnum):
    """Exit codes specific to this actor; `hypervisor.exit_codes.ExitCode` has the common ones."""

    CONTRACT_REVERTED = 33
    CONTRACT_INVALID_INSTRUCTION = 34
    CONTRACT_UNDEFINED_INSTRUCTION = 35
    CONTRACT_STACK_UNDERFLOW = 36
    CONTRACT_STACK_OVERFLOW = 37
    CONTRACT_ILLEGAL_MEMORY_ACCESS = 38
    CONTRACT_BAD_JUMPDEST = 39
    CONTRACT_SELFDESTRUCT_FAILED = 40


@dataclass(frozen=True, slots=True)
class ConstructorParams(Struct, codec=CODEC):
    """Parameters of Constructor."""

    creator: bytes
    initcode: bytes


@dataclass(frozen=True, slots=True)
class GetStorageAtParams(Struct, codec=CODEC):
    """Parameters of GetStorageAt."""

    storage_key: bytes


@dataclass(frozen=True, slots=True)
class InvokeContractDelegateParams(Struct, codec=CODEC):
    """Parameters of InvokeContractDelegate. `value`: attoFIL."""

    code: Cid
    input: bytes
    caller: bytes
    value: TokenAmount


def constructor(creator: bytes, initcode: bytes) -> Call[None]:
    """Call Constructor, method 1."""
    return CODEC.call(CONSTRUCTOR, "ConstructorParams", ConstructorParams(creator, initcode), None)


def resurrect(creator: bytes, initcode: bytes) -> Call[None]:
    """Call Resurrect, method 2."""
    return CODEC.call(RESURRECT, "ResurrectParams", ConstructorParams(creator, initcode), None)


def get_bytecode() -> Call[Cid | None]:
    """Call GetBytecode, method 3."""
    return CODEC.call(GET_BYTECODE, None, None, "GetBytecodeReturn")


def get_bytecode_hash() -> Call[bytes]:
    """Call GetBytecodeHash, method 4."""
    return CODEC.call(GET_BYTECODE_HASH, None, None, "GetBytecodeHashReturn")


def get_storage_at(storage_key: bytes) -> Call[bytes]:
    """Call GetStorageAt, method 5."""
    return CODEC.call(GET_STORAGE_AT, "GetStorageAtParams", GetStorageAtParams(storage_key), "GetStorageAtReturn")


def invoke_contract_delegate(code: Cid, input: bytes, caller: bytes, value: int) -> Call[bytes]:
    """Call InvokeContractDelegate, method 6. `value`: attoFIL."""
    return CODEC.call(
        INVOKE_CONTRACT_DELEGATE,
        "InvokeContractDelegateParams",
        InvokeContractDelegateParams(code, input, caller, TokenAmount(value)),
        "InvokeContractDelegateReturn",
    )


def invoke_evm(value: bytes) -> Call[bytes]:
    """Call InvokeEVM, method 3844450837."""
    return CODEC.call(INVOKE_EVM, "InvokeEVMParams", value, "InvokeEVMReturn")
