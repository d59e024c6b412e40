"""The rules of consensus for modules beyond valid WebAssembly.

wasmtime type-checks modules and rejects disabled features. This module checks the rest: imports must be in the ABI, one
memory must be exported, tables and memories are limited. Rules: ref-fvm fvm/src/engine and fvm/src/syscalls;
fvm-wasm-instrument 0.4.
"""

from collections.abc import Collection
from dataclasses import dataclass

from hypervisor.errors import InvalidModule, UnlinkableModule
from hypervisor.kernel.call import MAX_INSTANCE_MEMORY
from hypervisor.versions.features import FEATURES, feature_of_syscall
from runtimes.wasm.module.encode import GAS_EXPORT, START_EXPORT
from runtimes.wasm.module.instrumentation import decode
from runtimes.wasm.module.opcodes import PAGE_BYTES
from runtimes.wasm.module.parser import I32, ExternKind, FunctionType, Import, WasmModule, parse_module
from runtimes.wasm.syscalls.abi import ALL_FEATURES, SYSCALL_REVISIONS, Revision

MAX_TABLE_ELEMENTS = 20_000
MAX_INSPECTED = 350_000
"""Maximum number of instructions of control flow, calls and accesses to globals in a module to install.

Each label of a `br_table` counts. The largest official actor has 130,000 in 1.6 MB of code.
"""
MAX_INSPECTED_OF_FUNCTION = 10_000
"""Maximum number of these instructions in one function; official actors have up to 5,244.

Compiling a function takes up to 18 KB for each, and time that grows faster than their number.
"""
ENTRY_POINT = "invoke"
ENTRY_TYPE = FunctionType(bytes((I32,)), bytes((I32,)))
UPGRADE = "upgrade"
UPGRADE_TYPE = FunctionType(bytes((I32, I32)), bytes((I32,)))


@dataclass(frozen=True, slots=True)
class ModuleFacts:
    """The facts about a module that an invocation needs.

    These are the initial pages and table elements; whether the table is charged for (if it is exported as `table`);
    whether there are an `invoke` and a start function; whether `invoke` and `upgrade` have a wrong type, which is fatal
    when they are called.
    """

    pages: int
    table_elements: int
    charges_table: bool
    has_entry: bool
    has_start: bool = False
    has_wrong_entry: bool = False
    has_wrong_upgrade: bool = False


def validate_module(module: WasmModule, linked: Collection[Import] = ()) -> ModuleFacts:
    """Raise InvalidModule with an explanation unless the rules allow the module.

    `linked` are imports that are not syscalls (the lab `libraries`); they are checked when they are linked.
    """
    if not module.bodies:
        raise InvalidModule("the module has no code")
    _check_imports(module, linked)
    if len(module.tables) > 1:
        raise InvalidModule(f"the module has {len(module.tables)} tables, at most one is allowed")
    elements = sum(table.minimum for table in module.tables)
    if elements > MAX_TABLE_ELEMENTS:
        raise InvalidModule(f"the module's table has {elements} elements, at most {MAX_TABLE_ELEMENTS} are allowed")
    pages = _check_memory(module, linked)
    if module.export(GAS_EXPORT) is not None or module.export(START_EXPORT) is not None:
        raise InvalidModule("the module exports a name that is reserved for the gas counter or the start function")
    table = module.export("table")
    paid = table is not None and table.kind == ExternKind.TABLE
    entry, upgrade = _type_of(module, ENTRY_POINT), _type_of(module, UPGRADE)
    wrong_entry = entry is not None and entry != ENTRY_TYPE
    wrong_upgrade = upgrade is not None and upgrade != UPGRADE_TYPE
    # Calling an actor without `invoke` exits with 5; the module is valid.
    return ModuleFacts(pages, elements, paid, entry is not None, module.start is not None, wrong_entry, wrong_upgrade)


def check_entry(facts: ModuleFacts) -> None:
    """Raise UnlinkableModule for a valid module whose `invoke` has the wrong type."""
    if facts.has_wrong_entry:
        raise UnlinkableModule("the module's `invoke` does not take one i32 and return one")


def check_linked(module: WasmModule, revision: Revision, linked: Collection[Import] = ()) -> None:
    """Raise UnlinkableModule with an explanation unless an ABI revision has all syscalls that a module imports."""
    text = missing_syscall(module, revision, linked)
    if text:
        raise UnlinkableModule(text)


def check_features(wasm: bytes, features: Collection[str]) -> None:
    """Raise UnlinkableModule for a module that needs a feature which the network does not have."""
    lacking = [feature for feature in FEATURES.values() if feature.name not in features]
    if not any(feature.syscall.partition(".")[2].encode() in wasm for feature in lacking):
        return  # most modules: parsing takes a while
    for item in parse_module(wasm).imported_functions:
        feature = feature_of_syscall(f"{item.module}.{item.name}")
        if feature in lacking:
            raise UnlinkableModule(_not_a_syscall(item.module, item.name))


def check_inspected(module: WasmModule) -> None:
    """Raise InvalidModule for a valid module that exceeds `MAX_INSPECTED` or `MAX_INSPECTED_OF_FUNCTION`."""
    total = 0
    for body in module.bodies:
        found = decode(module.data, body.code_at, body.end, MAX_INSPECTED_OF_FUNCTION)
        count = len(found.globals) + sum(max(1, len(operands)) for *_, operands in found.marks)
        total += count
        if count > MAX_INSPECTED_OF_FUNCTION or total > MAX_INSPECTED:
            one = count > MAX_INSPECTED_OF_FUNCTION
            where, limit = ("a function", MAX_INSPECTED_OF_FUNCTION) if one else ("the module", MAX_INSPECTED)
            raise InvalidModule(
                f"{where} has more than {limit:,} instructions of control flow, calls and accesses to globals, the "
                "limit for an installation: split it"
            )


def _not_a_syscall(module: str, name: str) -> str:
    """Return why an import cannot be resolved."""
    feature = feature_of_syscall(f"{module}.{name}")
    if feature is None and (module, name) in SYSCALL_REVISIONS[ALL_FEATURES]:
        return f"the import {module}.{name} is a syscall that this network version does not have"
    if feature is None:
        return f"the import {module}.{name} is not a syscall"
    return (
        f"the import {module}.{name} is a syscall of the feature {feature.name}, which this network does not have: "
        f"create a new one with `hypervisor node --feature {feature.name}`"
    )


def _check_imports(module: WasmModule, linked: Collection[Import]) -> None:
    """Raise UnlinkableModule unless one revision of the ABI has all imports as syscalls."""
    for item in module.imports:
        if item.kind != ExternKind.FUNCTION and item not in linked:
            # The network's instrumentation rejects an imported global, because it would shift the gas counter's index.
            error = InvalidModule if item.kind == ExternKind.GLOBAL else UnlinkableModule
            raise error(f"the import {item.module}.{item.name} is not a function")
    refusals = {name: missing_syscall(module, revision, linked) for name, revision in SYSCALL_REVISIONS.items()}
    if all(refusals.values()):
        raise UnlinkableModule(refusals[ALL_FEATURES])


def missing_syscall(module: WasmModule, revision: Revision, linked: Collection[Import]) -> str:
    """Return a message about the first import that a revision does not have, or an empty string."""
    for item in module.imports:
        if item in linked:
            continue
        syscall = revision.get((item.module, item.name))
        if syscall is None:
            return _not_a_syscall(item.module, item.name)
        if module.types[item.type_index] != FunctionType(syscall.wasm_params, syscall.wasm_results):
            return f"the import {item.module}.{item.name} has another signature than the syscall"
    return ""


def _check_memory(module: WasmModule, linked: Collection[Import]) -> int:
    count = len(module.memories) + sum(item.kind == ExternKind.MEMORY and item in linked for item in module.imports)
    if count != 1:
        error = InvalidModule if count else UnlinkableModule
        raise error(f"the module has {count} memories, exactly one is needed")
    export = module.export("memory")
    if export is None or export.kind != ExternKind.MEMORY:
        raise UnlinkableModule("the module does not export its memory as `memory`")
    pages = sum(memory.minimum for memory in module.memories)
    if pages * PAGE_BYTES > MAX_INSTANCE_MEMORY:
        raise InvalidModule(f"the module has {pages} initial pages, the limit is {MAX_INSTANCE_MEMORY >> 20} MiB")
    return pages


def _type_of(module: WasmModule, name: str) -> FunctionType | None:
    export = module.export(name)
    if export is None or export.kind != ExternKind.FUNCTION:
        return None
    return module.types[module.function_type_indices()[export.index]]
