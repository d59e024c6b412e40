"""The native runtime: actors as WASM modules on wasmtime, with the network's gas and syscalls.

A module is parsed and checked (`module`, `validate`), instrumented (`stack_limiter`, `gas_metering`, `encode`),
compiled and cached (`engine`, `modules`, `cache`), and run (`runtime`) over ctypes (`raw`) with the syscalls of `abi`.
The kernel defines what each operation does.
"""

from runtimes.wasm.runtime import WasmRuntime

__all__ = ["WasmRuntime"]
