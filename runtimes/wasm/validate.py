"""What consensus asks of a module beyond being valid WebAssembly.

wasmtime type-checks and refuses the features that are switched off; here is what its switches do not cover: no
imports outside the ABI, one memory that is exported, tables and memories of bounded size. Rules: ref-fvm
fvm/src/engine and fvm/src/syscalls; fvm-wasm-instrument 0.4.
"""

from dataclasses import dataclass

from hypervisor.errors import InvalidModule
from hypervisor.memory import MAX_INSTANCE_MEMORY
from runtimes.wasm.abi import REVISIONS, Revision
from runtimes.wasm.encode import GAS_EXPORT, START_EXPORT
from runtimes.wasm.module import I32, ExternKind, FunctionType, WasmModule
from runtimes.wasm.opcodes import PAGE_BYTES

MAX_TABLE_ELEMENTS = 20_000
ENTRY_POINT = "invoke"
ENTRY_TYPE = FunctionType(bytes((I32,)), bytes((I32,)))


@dataclass(frozen=True, slots=True)
class ModuleFacts:
    """What an invocation must know of a module: pages and table elements at the start, whether the table is paid for
    (it is if it is exported as `table`), whether there is an `invoke` to enter, and a start function before it."""

    pages: int
    table_elements: int
    table_is_paid: bool
    has_entry: bool
    has_start: bool = False


def check(module: WasmModule) -> ModuleFacts:
    """Raise InvalidModule, with a sentence, unless the rules allow the module."""
    _check_imports(module)
    if len(module.tables) > 1:
        raise InvalidModule(f"the module has {len(module.tables)} tables, at most one is allowed")
    elements = sum(table.minimum for table in module.tables)
    if elements > MAX_TABLE_ELEMENTS:
        raise InvalidModule(f"the module's table has {elements} elements, at most {MAX_TABLE_ELEMENTS} are allowed")
    pages = _check_memory(module)
    if module.export(GAS_EXPORT) is not None or module.export(START_EXPORT) is not None:
        raise InvalidModule("the module exports a name that is kept for the gas counter or the start function")
    if not module.bodies:
        raise InvalidModule("the module has no code")
    table = module.export("table")
    paid = table is not None and table.kind == ExternKind.TABLE
    return ModuleFacts(pages, elements, paid, _has_entry(module), module.start is not None)


def _check_imports(module: WasmModule) -> None:
    """Every import must be a syscall, and one revision of the ABI must have them all."""
    for item in module.imports:
        if item.kind != ExternKind.FUNCTION:
            raise InvalidModule(f"the import {item.module}.{item.name} is not a function")
    refusals = {name: _missing(module, revision) for name, revision in REVISIONS.items()}
    if all(refusals.values()):
        raise InvalidModule(next(iter(refusals.values())))


def _missing(module: WasmModule, revision: Revision) -> str:
    """The first import that a revision does not have, as a sentence; empty if it has them all."""
    for item in module.imports:
        syscall = revision.get((item.module, item.name))
        if syscall is None:
            return f"the import {item.module}.{item.name} is not a syscall"
        if module.types[item.type_index] != FunctionType(syscall.wasm_params, syscall.wasm_results):
            return f"the import {item.module}.{item.name} has another signature than the syscall"
    return ""


def _check_memory(module: WasmModule) -> int:
    if len(module.memories) != 1:
        raise InvalidModule(f"the module has {len(module.memories)} memories, exactly one is needed")
    export = module.export("memory")
    if export is None or export.kind != ExternKind.MEMORY:
        raise InvalidModule("the module does not export its memory as `memory`")
    pages = module.memories[0].minimum
    if pages * PAGE_BYTES > MAX_INSTANCE_MEMORY:
        raise InvalidModule(f"the module begins with {pages} pages of memory, {MAX_INSTANCE_MEMORY >> 20} MiB at most")
    return pages


def _has_entry(module: WasmModule) -> bool:
    export = module.export(ENTRY_POINT)
    if export is None or export.kind != ExternKind.FUNCTION:
        return False  # invoking such an actor exits with 5, it is not refused
    if module.types[module.function_type_indices()[export.index]] != ENTRY_TYPE:
        raise InvalidModule("the module's `invoke` does not take one i32 and return one")
    return True
