"""RISC-V contracts in PolkaVM's format: a runtime, and the compiler resolc.

Read `runtime`, `engine` and `guest` first; the interpreter in WASM is in `interpreter`.
"""

from hypervisor_riscv.runtime import RiscvRuntime

__all__ = ["RiscvRuntime"]
