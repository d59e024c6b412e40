"""The fast engine: an EVM interpreter in WASM on wasmtime, for one frame at a time.

The guest is `runtimes/evm/guests/evm`; docs/engines.md describes the design. The WASM module is not loaded at import
but when the first contract runs.

The interface is in `runtimes.evm.engine`, the guest in `runtimes/evm/guests/evm`. Read `engine` and `instance` first.
"""

from runtimes.evm.fast.engine import FastEngine, FastTable

__all__ = ["FastEngine", "FastTable"]
