"""Frames: the engines that run one frame at a time, for `runtimes.evm.contracts.engine`.

`fast_engine` runs an interpreter in WASM (`runtimes/evm/guests/frames`), whose module is loaded when the first contract
runs. `py_evm` is the reference engine, on py-evm's stack, memory and opcode functions; importing it takes 0.3 seconds.
docs/engines.md describes the design.

Read `fast_engine`, `instance` and `py_evm` first.
"""
