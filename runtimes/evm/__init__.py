"""The EVM as a runtime: contracts are actors whose code is Ethereum bytecode.

`EvmRuntime` is what the machine finds under the entry point `evm`.
"""

from runtimes.evm.runtime import EvmRuntime

__all__ = ["EvmRuntime"]
