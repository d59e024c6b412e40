"""The quick engine: an EVM interpreter in WASM on wasmtime, one frame or a whole tree of calls at a time.

The guest is `runtimes/evm/guests/evm`; docs/engines.md explains how the two sides work together. Importing this package
loads nothing: the module is loaded when the first contract runs.
"""

from runtimes.evm.fast.engine import FastEngine, FastTable

__all__ = ["FastEngine", "FastTable"]
