"""The plain engine, made of py-evm's pieces: its stack, memory and opcode functions, driven by a loop of our own.

Importing this package imports py-evm (a third of a second), so it is imported when the first contract runs.
"""

from runtimes.evm.py_evm.engine import PyEvmEngine, PyEvmTable

__all__ = ["PyEvmEngine", "PyEvmTable"]
