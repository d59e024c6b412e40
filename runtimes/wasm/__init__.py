"""The native runtime: actors as WASM modules on wasmtime, with the network's gas and syscalls.

A module is parsed and checked (`module`, `validate`), instrumented (`stack_limiter`, `gas_metering`, `encode`),
compiled and kept (`engine`, `modules`, `cache`), and run (`runtime`) over a raw boundary (`raw`) with the syscalls of
`abi`. What an operation means is the kernel's.
"""

from runtimes.wasm.runtime import WasmRuntime

__all__ = ["WasmRuntime"]
