"""The EVM runtime: contracts are actors whose code is Ethereum bytecode.

The machine loads `EvmRuntime` through the entry point `evm`.
"""

from runtimes.evm.runtime import EvmRuntime

__all__ = ["EvmRuntime"]
