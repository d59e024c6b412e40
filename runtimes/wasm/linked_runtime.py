"""The runtime of the lab `libraries`, a wrapper of the native runtime that runs actors which import from libraries.

Everything else is delegated to the native runtime. The charges and reservations at the beginning of a call cover the
actor and all its libraries; the rest of the call is as usual (`runtime.run_guest`). Rules: docs/labs/libraries.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from enum import Enum
from typing import Final

from hypervisor.errors import Fatal, InvalidModule, SyscallError, UnlinkableModule
from hypervisor.exit_codes import ErrorNumber, ExitCode
from hypervisor.gas import to_milligas
from hypervisor.kernel import Kernel
from hypervisor.machine.machine_state import MachineState
from hypervisor.machine.registry import NATIVE
from hypervisor.memory import MAX_INSTANCE_MEMORY, MAX_TOTAL_MEMORY
from hypervisor.prices import PriceList
from hypervisor.runtime import InstallServices, Outcome, Runtime
from hypervisor.types import BlockId, Gas
from runtimes.wasm.libraries import Work, install_gas, is_library, is_linkable, linking_gas
from runtimes.wasm.linked import LinkedModules, LinkedProgram, linked_modules
from runtimes.wasm.module.opcodes import NETWORK_PRICES, PAGE_BYTES, WasmPrices
from runtimes.wasm.module.parser import parse_module
from runtimes.wasm.runtime import TABLE_ELEMENT_BYTES, run_guest
from runtimes.wasm.validate import MAX_TABLE_ELEMENTS, check_features
from runtimes.wasmtime.cache import default_folder
from runtimes.wasmtime.engine import trap_signals
from store.blockstore import BlockNotFound
from store.cid import RAW, Cid, cid_of, show

_CHARGE: Final = "wasm_link"


def link_libraries(machine: MachineState) -> None:
    """Enable linked actors for a machine and those that share its runtimes."""
    is_cached = machine.registry.options.get("module_cache") != "off"
    machine.registry.wrap(NATIVE, _with_folder if is_cached else _without_folder, once=True)


class _Kind(Enum):
    """The kind of a code CID for this runtime."""

    OTHER = 0
    LIBRARY = 1
    LINKED = 2


class LinkedRuntime:
    """A `hypervisor.runtime.Runtime` for linked actors. Its caches depend only on code and on installed libraries."""

    def __init__(self, inner: Runtime, modules: LinkedModules) -> None:
        self._inner = inner
        self._modules = modules
        self._kinds: dict[Cid, _Kind] = {}
        self._digests: dict[Cid, Cid] = {}
        self._trap_signals = trap_signals()

    def prepare(
        self,
        modules: Mapping[Cid, bytes],
        features: Collection[str] | None = None,
        services: InstallServices | None = None,
    ) -> None:
        """Check and compile modules: libraries, and actors with their installed libraries. Raises InvalidModule."""
        own = {code: wasm for code, wasm in modules.items() if is_linkable(wasm)}
        others = {code: wasm for code, wasm in modules.items() if code not in own}
        if others or not own:
            self._inner.prepare(others, features, services)
        for code, wasm in own.items():
            if features is not None:
                check_features(wasm, features)
                self._modules.check_installable(code, wasm)
            load, charge = (_no_module, None) if services is None else (services.load, services.charge)
            work = None if charge is None else _charging(charge, install_gas)
            if work is not None:
                work(len(wasm), 0)
            self._modules.compile_unit(self._modules.resolve(code, wasm, load, work)[-1])

    def invoke(self, kernel: Kernel, code: Cid, params: BlockId) -> Outcome:
        """Run the actor's `invoke`; a library has none and exits with 5."""
        kind = self._kinds.get(code) or self._find_kind(kernel, code)
        if kind is _Kind.OTHER:
            return self._inner.invoke(kernel, code, params)
        return self._run(kernel, code, params, None, kind)

    def upgrade(self, kernel: Kernel, code: Cid, params: BlockId, info: BlockId) -> Outcome:
        """Run the actor's `upgrade` with two blocks; otherwise like `invoke`."""
        kind = self._kinds.get(code) or self._find_kind(kernel, code)
        if kind is _Kind.OTHER:
            return self._inner.upgrade(kernel, code, params, info)
        return self._run(kernel, code, params, info, kind)

    def _find_kind(self, kernel: Kernel, code: Cid) -> _Kind:
        """Determine and cache the kind of a code; missing or invalid code is left to the native runtime to reject."""
        try:
            wasm = kernel.machine.store.get(code)
            found = _Kind.OTHER
            if is_linkable(wasm):
                found = _Kind.LIBRARY if is_library(parse_module(wasm)) else _Kind.LINKED
        except (BlockNotFound, InvalidModule):
            return _Kind.OTHER
        return self._kinds.setdefault(code, found)

    def _run(self, kernel: Kernel, code: Cid, params: BlockId, info: BlockId | None, kind: _Kind) -> Outcome:
        if kind is _Kind.LIBRARY:
            return Outcome(ExitCode.SYS_INVALID_RECEIVER, message="the actor's code is a library, which cannot be run")
        prices = _code_prices(kernel.machine.context.network.prices)
        program = self._program(kernel, code, prices)
        if program.charged_elements:
            kernel.gas.charge("wasm_table_init", prices.table_entry * program.charged_elements)
        kernel.gas.charge("wasm_memory_init", prices.page * program.pages)
        budget, facts = kernel.memory, program.actor.facts
        reserved = TABLE_ELEMENT_BYTES * program.table_elements + program.library_memory
        memory_limit = min(MAX_INSTANCE_MEMORY - program.library_memory, MAX_TOTAL_MEMORY - budget.used - reserved)
        size = PAGE_BYTES * facts.pages
        if size > memory_limit or not budget.grow(0, reserved) or not budget.grow(0, size):
            return Outcome(
                ExitCode.SYS_ILLEGAL_INSTRUCTION, message="no memory is left for the actor and its libraries"
            )
        linked = program.actor.linked
        invocation = linked.begin(kernel, memory_limit, MAX_TABLE_ELEMENTS)
        try:
            invocation.counted = size or program.shared  # a library's memory counts with its maximum size
            if invocation.outer is None:
                self._trap_signals.restore()
            return run_guest(invocation, program.actor, code, params, info)
        finally:
            linked.end(invocation)

    def _program(self, kernel: Kernel, code: Cid, prices: WasmPrices) -> LinkedProgram:
        """Link the actor's module with its libraries, which must be installed on this machine, and charge for it.

        The charges are identical whether this process has linked the program before or links it now.
        """
        rules, machine = kernel.machine.context.network.rules, kernel.machine
        digest = self._digests.get(code)
        program = None if digest is None else self._modules.program(digest, rules.revision, prices)
        is_stored = program is not None and (not rules.installs_code or machine.store.has(code))
        if program is not None and is_stored and all(map(machine.has_installed, program.libraries)):
            for gas in program.linking:
                kernel.gas.charge(_CHARGE, to_milligas(gas))
            return program
        wasm = kernel.load_code(code)
        linking: list[Gas] = []
        try:
            units = self._modules.resolve(
                code, wasm, machine.installed_module, _charging(kernel.gas.charge, linking_gas, linking)
            )
            program = self._modules.link(units, linking, rules.revision, prices)
        except InvalidModule as error:
            text = f"code {show(code)} of f0{kernel.context.receiver} cannot be run: {error}"
            if rules.installs_code and not isinstance(error, UnlinkableModule):
                raise SyscallError(ErrorNumber.NOT_FOUND, text) from error
            raise Fatal(text) from error
        self._digests.setdefault(code, cid_of(wasm, RAW))
        return program


def _with_folder(inner: Runtime) -> Runtime:
    """Wrap a runtime; compiled modules are cached on disk."""
    return LinkedRuntime(inner, linked_modules(default_folder()))


def _without_folder(inner: Runtime) -> Runtime:
    """Wrap a runtime; compiled modules are not cached on disk."""
    return LinkedRuntime(inner, linked_modules(None))


def _code_prices(prices: PriceList) -> WasmPrices:
    """Return the code prices of a price list; NETWORK_PRICES itself if they are equal to it."""
    found = WasmPrices(prices.wasm_instruction, prices.wasm_memory_per_byte)
    return NETWORK_PRICES if found == NETWORK_PRICES else found


def _charging(
    charge: Callable[[str, int], None], price: Callable[[int, int], Gas], charged: list[Gas] | None = None
) -> Work:
    """Return a `Work` that charges for work before it is done, and appends the charge to `charged`."""

    def work(size: int, imports: int) -> None:
        gas = price(size, imports)
        if charged is not None:
            charged.append(gas)
        charge(_CHARGE, to_milligas(gas))

    return work


def _no_module(_: Cid) -> bytes | None:
    """Return None: no module is installed."""
    return None
