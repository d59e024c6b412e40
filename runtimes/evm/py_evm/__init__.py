"""The reference engine, built from py-evm: its stack, memory and opcode functions, driven by our own loop.

Importing this package imports py-evm, which takes 0.3 seconds; so it is imported when the first contract runs.

Read `engine` and `opcodes`.
"""

from runtimes.evm.py_evm.engine import PyEvmEngine, PyEvmTable

__all__ = ["PyEvmEngine", "PyEvmTable"]
