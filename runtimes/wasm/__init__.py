"""The native runtime: actors as WASM modules on wasmtime, with the network's gas and syscalls.

A module is parsed and checked (`module`, `validate`), instrumented (`module.instrumentation`, `module.encode`),
compiled and cached (`modules`, `runtimes.wasmtime`), and run (`runtime`) with the syscalls of `syscalls.abi`.
The kernel defines what each operation does. Packages above the runtimes import the names below, and none of the
modules.

The meaning of a syscall is in `hypervisor.kernel`. Read `runtime`, `boundary` and `validate` first.
"""

from runtimes.wasm.debug_lines import SourceLine, source_lines
from runtimes.wasm.module.blocks import code_blocks
from runtimes.wasm.module.mutants import CodeMutant, module_mutants, mutated
from runtimes.wasm.module.parser import ExternKind, function_label, function_names, parse_module
from runtimes.wasm.runtime import WasmRuntime
from runtimes.wasm.syscalls.abi import SYSCALL_REVISIONS
from runtimes.wasm.validate import validate_module

__all__ = [
    "SYSCALL_REVISIONS",
    "CodeMutant",
    "ExternKind",
    "SourceLine",
    "WasmRuntime",
    "code_blocks",
    "function_label",
    "function_names",
    "module_mutants",
    "mutated",
    "parse_module",
    "source_lines",
    "validate_module",
]
