"""The EVM runtime: contracts are actors whose code is Ethereum bytecode.

The machine loads `EvmRuntime` through the entry point `evm`. Packages above the runtimes import only the names below,
not the modules.
"""

from runtimes.evm.calls import INVOKE_CONTRACT_DELEGATE
from runtimes.evm.code import CODE_TOO_LONG
from runtimes.evm.engine import CallInputs, CallKind, CreateInputs, FrameStopped, SubcallInputs, SubcallOutcome
from runtimes.evm.engines import PLAIN_ENGINE, check_engine
from runtimes.evm.filecoin_rules import filecoin_evm_rules
from runtimes.evm.opcodes import OPCODE_NUMBERS
from runtimes.evm.rules import CodeLimit
from runtimes.evm.runtime import ENGINE_OPTION, EvmRuntime

__all__ = [
    "CODE_TOO_LONG",
    "ENGINE_OPTION",
    "INVOKE_CONTRACT_DELEGATE",
    "OPCODE_NUMBERS",
    "PLAIN_ENGINE",
    "CallInputs",
    "CallKind",
    "CodeLimit",
    "CreateInputs",
    "EvmRuntime",
    "FrameStopped",
    "SubcallInputs",
    "SubcallOutcome",
    "check_engine",
    "filecoin_evm_rules",
]
