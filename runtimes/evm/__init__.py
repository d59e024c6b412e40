"""The EVM runtime: contracts are actors whose code is Ethereum bytecode.

The machine loads `EvmRuntime` by its name in `hypervisor.machine.registry`. Packages above the runtimes import only the
names below, not the modules. Each name loads its module on first use.

Translation of values is in `bridge`. Read `contracts`, `revm` and `forks` first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from runtimes.evm.contracts.actor import ContractRuntime
    from runtimes.evm.contracts.calls import INVOKE_CONTRACT_DELEGATE
    from runtimes.evm.contracts.code import CODE_TOO_LONG, Code
    from runtimes.evm.contracts.engine import (
        CallInputs,
        CallKind,
        CreateInputs,
        Engine,
        Frame,
        FrameOutcome,
        FrameStopped,
        Host,
        Status,
        Step,
        SubcallInputs,
        SubcallOutcome,
    )
    from runtimes.evm.contracts.host import NATIVE_CODE, FilecoinHost
    from runtimes.evm.contracts.opcodes import OPCODE_NUMBERS
    from runtimes.evm.contracts.rules import CodeLimit, EvmRules, filecoin_evm_rules
    from runtimes.evm.engines import PLAIN_ENGINE, check_engine
    from runtimes.evm.runtime import ENGINE_OPTION, EvmRuntime

__all__ = [
    "CODE_TOO_LONG",
    "ENGINE_OPTION",
    "INVOKE_CONTRACT_DELEGATE",
    "NATIVE_CODE",
    "OPCODE_NUMBERS",
    "PLAIN_ENGINE",
    "CallInputs",
    "CallKind",
    "Code",
    "CodeLimit",
    "ContractRuntime",
    "CreateInputs",
    "Engine",
    "EvmRules",
    "EvmRuntime",
    "FilecoinHost",
    "Frame",
    "FrameOutcome",
    "FrameStopped",
    "Host",
    "Status",
    "Step",
    "SubcallInputs",
    "SubcallOutcome",
    "check_engine",
    "filecoin_evm_rules",
]

_MODULES: Final = {
    "CODE_TOO_LONG": "runtimes.evm.contracts.code",
    "CallInputs": "runtimes.evm.contracts.engine",
    "CallKind": "runtimes.evm.contracts.engine",
    "Code": "runtimes.evm.contracts.code",
    "CodeLimit": "runtimes.evm.contracts.rules",
    "ContractRuntime": "runtimes.evm.contracts.actor",
    "CreateInputs": "runtimes.evm.contracts.engine",
    "ENGINE_OPTION": "runtimes.evm.runtime",
    "Engine": "runtimes.evm.contracts.engine",
    "EvmRules": "runtimes.evm.contracts.rules",
    "EvmRuntime": "runtimes.evm.runtime",
    "FilecoinHost": "runtimes.evm.contracts.host",
    "Frame": "runtimes.evm.contracts.engine",
    "FrameOutcome": "runtimes.evm.contracts.engine",
    "FrameStopped": "runtimes.evm.contracts.engine",
    "Host": "runtimes.evm.contracts.engine",
    "INVOKE_CONTRACT_DELEGATE": "runtimes.evm.contracts.calls",
    "NATIVE_CODE": "runtimes.evm.contracts.host",
    "OPCODE_NUMBERS": "runtimes.evm.contracts.opcodes",
    "PLAIN_ENGINE": "runtimes.evm.engines",
    "Status": "runtimes.evm.contracts.engine",
    "Step": "runtimes.evm.contracts.engine",
    "SubcallInputs": "runtimes.evm.contracts.engine",
    "SubcallOutcome": "runtimes.evm.contracts.engine",
    "check_engine": "runtimes.evm.engines",
    "filecoin_evm_rules": "runtimes.evm.contracts.rules",
}


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'runtimes.evm' has no attribute '{name}'")
    from importlib import import_module

    value: object = getattr(import_module(module), name)
    globals()[name] = value
    return value
