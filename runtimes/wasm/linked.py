"""Programs of the lab `libraries`: an actor's module and its libraries, linked in each call, and their runtime.

Modules are compiled separately, so actors share the compiled code of a library. All parts of a program are instances in
one store, with their own memories and tables and common gas and stack counters.

The runtime of the lab `libraries`, a wrapper of the native runtime that runs actors which import from libraries.

Everything else is delegated to the native runtime. The charges and reservations at the beginning of a call cover the
actor and all its libraries; the rest of the call is as usual (`runtime.run_guest`). Rules: docs/labs/libraries.md.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from threading import get_ident
from typing import Final

from hypervisor.errors import ActorFatal, Fatal, InvalidModule, SyscallError, UnlinkableModule
from hypervisor.exit_codes import ErrorNumber, ExitCode
from hypervisor.gas import to_milligas
from hypervisor.kernel import Kernel
from hypervisor.kernel.call import MAX_INSTANCE_MEMORY, MAX_TOTAL_MEMORY
from hypervisor.machine.machine_state import MachineState
from hypervisor.machine.registry import NATIVE, InstallServices, Outcome, Runtime
from hypervisor.threads import BoundedCache
from hypervisor.types import BlockId, Gas
from runtimes.wasm.boundary import RawBoundary
from runtimes.wasm.libraries import (
    MAX_LIBRARY_PAGES,
    LinkableModule,
    LinkedUnit,
    Load,
    Work,
    install_gas,
    is_library,
    is_linkable,
    is_linked,
    linked_facts,
    linked_imports,
    linking_gas,
    max_pages,
    memory_of,
    read_module,
    resolve,
)
from runtimes.wasm.module import encode
from runtimes.wasm.module.encode import GAS_EXPORT
from runtimes.wasm.module.linked_encode import COUNTERS, COUNTERS_MODULE, HEIGHT_EXPORT, LinkedEncoder
from runtimes.wasm.module.opcodes import NETWORK_PRICES, PAGE_BYTES, WasmPrices
from runtimes.wasm.module.parser import WasmModule, parse_module
from runtimes.wasm.modules import GuestModule, GuestModules, code_prices, priced_key
from runtimes.wasm.runtime import TABLE_ELEMENT_BYTES, run_guest
from runtimes.wasm.syscalls.abi import revision_named
from runtimes.wasm.syscalls.invocation import WasmInvocation
from runtimes.wasm.validate import MAX_TABLE_ELEMENTS, ModuleFacts, check_entry, check_features, check_linked
from runtimes.wasmtime.cache import ModuleCache, default_folder
from runtimes.wasmtime.engine import guest_engine, trap_signals
from runtimes.wasmtime.instance import HOST, ImportSource, LinkedInstance, Part
from store.blockstore import BlockNotFound
from store.cid import RAW, Cid, cid_of, show

_LIBRARY_BYTES: Final = MAX_LIBRARY_PAGES * PAGE_BYTES
_SOURCE_BYTES: Final = 400
"""Approximate size in bytes of an import in a cached program, including its names."""


@dataclass(frozen=True, slots=True)
class LinkedProgram:
    """An actor's module linked with its libraries: the totals that a call needs.

    `linking` lists the charges for instantiation, in order. `pages` and `table_elements` are initial sizes,
    `charged_elements` those of tables that are charged for. `library_memory` is the maximum size in bytes of the
    libraries' memories, `shared` that of the one that the actor imports as its own.
    """

    actor: GuestModule
    libraries: tuple[Cid, ...]
    linking: tuple[Gas, ...]
    pages: int
    table_elements: int
    charged_elements: int
    library_memory: int
    shared: int


class LinkedModules(GuestModules):
    """The programs of all machines in this process, compiled for instances outside the pool."""

    def __init__(self, cache: ModuleCache) -> None:
        super().__init__(guest_engine().spare, cache)
        self._programs = _Programs(64 << 20)
        self._parsed: BoundedCache[Cid, LinkableModule] = BoundedCache(64 << 20, "linked_modules")
        self._counters = Part(self._engine.compile(COUNTERS), ())
        self._raw_boundaries: dict[str, RawBoundary] = {}
        self._raw_lock = threading.Lock()

    def program(self, code: Cid, revision: str, prices: WasmPrices = NETWORK_PRICES) -> LinkedProgram | None:
        """Return the cached result of `link` for the module with this digest, or None."""
        return self._programs.get(_program_name(code, revision, prices))

    def resolve(self, code: Cid, wasm: bytes, load: Load, work: Work | None = None) -> list[LinkedUnit]:
        """Resolve libraries as `libraries.resolve`, caching parsed modules by the CIDs of their bytes."""
        return resolve(code, wasm, load, work, self._read_module)

    def link(
        self, units: Sequence[LinkedUnit], linking: Sequence[Gas], revision: str, prices: WasmPrices = NETWORK_PRICES
    ) -> LinkedProgram:
        """Link the program of an actor, the last of `units`, for an ABI revision; each call charges `linking`.

        Raises InvalidModule.
        """
        actor, libraries = units[-1], units[:-1]
        if revision not in actor.module.revisions:
            module = parse_module(actor.wasm)
            check_linked(module, revision_named(revision), linked_imports(module))
        compiled = [self.compile(unit.digest, unit.wasm, prices) for unit in units]
        parts = [self._counters]
        parts += [Part(made.compiled, _sources(unit)) for made, unit in zip(compiled, units, strict=True)]
        memory, facts = memory_of(units, actor), [unit.module.facts for unit in units]
        program = LinkedProgram(
            GuestModule(_LinkedParts(self._boundary_of(revision), tuple(parts)), actor.module.facts),
            tuple(unit.code for unit in libraries),
            linking=tuple(linking),
            pages=sum(one.pages for one in facts),
            table_elements=sum(one.table_elements for one in facts),
            charged_elements=sum(one.table_elements for one in facts if one.charges_table),
            library_memory=PAGE_BYTES * sum(map(max_pages, libraries)),
            shared=0 if actor.module.memory or memory is None else PAGE_BYTES * (memory.maximum or 0),
        )
        name = _program_name(actor.digest, revision, prices)
        sizes = {priced_key(unit.digest, prices): len(unit.wasm) for unit in units}
        sizes[name] = _SOURCE_BYTES * sum(len(part.imports) for part in parts)
        return self._programs.put(name, program, sizes)

    def compile_unit(self, unit: LinkedUnit) -> None:
        """Compile a module. Raises InvalidModule, also if its `invoke` has the wrong type."""
        check_entry(self.compile(unit.digest, unit.wasm).facts)

    def _read_module(self, digest: Cid, wasm: bytes) -> LinkableModule:
        known = self._parsed.get(digest)
        if known is None:
            known = read_module(wasm)
            self._parsed.setdefault(digest, known, known.cache_size)
        return known

    def _boundary_of(self, revision: str) -> RawBoundary:
        with self._raw_lock:
            boundary = self._raw_boundaries.get(revision)
            if boundary is None:
                boundary = self._raw_boundaries[revision] = RawBoundary(self._engine, revision_named(revision))
        return boundary

    def _check(self, module: WasmModule) -> ModuleFacts:
        return linked_facts(module)

    def _instrument(self, module: WasmModule, prices: WasmPrices) -> bytes:
        return encode.instrument(module, prices, LinkedEncoder)

    def _key(self, code: Cid, prices: WasmPrices = NETWORK_PRICES) -> bytes:
        return super()._key(code, prices) + b"linked"


class _Programs:
    """A thread-safe LRU cache of programs, limited to `max_bytes` bytes of parts; shared parts count once."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[bytes, tuple[LinkedProgram, Mapping[bytes, int]]] = OrderedDict()
        self._references = Counter[bytes]()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, name: bytes) -> LinkedProgram | None:
        """Return a program and mark it as used most recently, or return None."""
        with self._lock:
            found = self._entries.get(name)
            if found is None:
                return None
            self._entries.move_to_end(name)
            return found[0]

    def put(self, name: bytes, program: LinkedProgram, sizes: Mapping[bytes, int]) -> LinkedProgram:
        """Store a program with the sizes of its parts, unless another thread has; return the stored one."""
        with self._lock:
            known = self._entries.get(name)
            if known is not None:
                return known[0]
            self._entries[name] = program, sizes
            self._max_bytes -= sum(size for part, size in sizes.items() if not self._references[part])
            self._references.update(sizes.keys())
            while self._max_bytes < 0 and len(self._entries) > 1:
                dropped = self._entries.popitem(last=False)[1][1]
                self._references.subtract(dropped.keys())
                self._max_bytes += sum(size for part, size in dropped.items() if not self._references[part])
                self._references = +self._references
        return program


@lru_cache(8)
def linked_modules(folder: Path | None) -> LinkedModules:
    """Return the programs shared by all machines in this process with the same cache folder."""
    return LinkedModules(ModuleCache(folder))


def _program_name(code: Cid, revision: str, prices: WasmPrices) -> bytes:
    return priced_key(code, prices) + revision.encode()


def _sources(unit: LinkedUnit) -> tuple[ImportSource, ...]:
    """Return the sources of a unit's imports; the counters are part 0 of a program, so unit N is part N + 1."""
    sources = [
        ImportSource(unit.needs[item.module] + 1 if is_linked(item) else HOST, item.name.encode(), item.module.encode())
        for item in unit.module.imports
    ]
    counters = COUNTERS_MODULE.encode()
    return (*sources, *(ImportSource(0, name.encode(), counters) for name in (GAS_EXPORT, HEIGHT_EXPORT)))


class _LinkedParts:
    """A linked program (see `boundary.ResolvedModule`): each invocation creates an instance of each part."""

    def __init__(self, boundary: RawBoundary, parts: tuple[Part, ...]) -> None:
        self._boundary = boundary
        self._linker = boundary.linker(boundary.engine)
        self._parts = parts

    def begin(self, kernel: Kernel, memory_bytes: int, table_elements: int) -> WasmInvocation:
        engine, innermost, thread = self._boundary.engine, self._boundary.innermost, get_ident()
        instance = LinkedInstance(
            engine.lib, engine.pointer, memory_bytes, table_elements, count=len(self._parts),
            library_bytes=_LIBRARY_BYTES,
        )  # fmt: skip
        invocation = innermost[thread] = WasmInvocation(kernel, instance, innermost.get(thread))
        return invocation

    def instantiate(self, invocation: WasmInvocation) -> None:
        _instance_of(invocation).instantiate_parts(self._parts, self._linker)

    def end(self, invocation: WasmInvocation) -> None:
        innermost = self._boundary.innermost
        if invocation.outer is None:
            del innermost[get_ident()]
        else:
            innermost[get_ident()] = invocation.outer
        _instance_of(invocation).close()

    def detach(self, invocation: WasmInvocation) -> None:
        self._boundary.innermost[get_ident()] = None

    def attach(self, invocation: WasmInvocation) -> None:
        self._boundary.innermost[get_ident()] = invocation

    def take_unattached_call_error(self, invocation: WasmInvocation) -> BaseException | None:
        return self._boundary.unattached_call_errors.pop(get_ident(), None)


def _instance_of(invocation: WasmInvocation) -> LinkedInstance:
    instance = invocation.instance
    if not isinstance(instance, LinkedInstance):
        raise Fatal("an invocation of a linked program has another instance")
    return instance


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
    """A runtime (`registry.Runtime`) for linked actors. Its caches depend only on code and on installed libraries."""

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
        prices = code_prices(kernel.machine.context.network.prices)
        program = self._program(kernel, code, prices)
        if program.charged_elements:
            kernel.gas.charge("wasm_table_init", prices.memory_byte * TABLE_ELEMENT_BYTES * program.charged_elements)
        kernel.gas.charge("wasm_memory_init", prices.memory_byte * PAGE_BYTES * program.pages)
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
            raise ActorFatal(text) from error
        self._digests.setdefault(code, cid_of(wasm, RAW))
        return program


def _with_folder(inner: Runtime) -> Runtime:
    """Wrap a runtime; compiled modules are cached on disk."""
    return LinkedRuntime(inner, linked_modules(default_folder()))


def _without_folder(inner: Runtime) -> Runtime:
    """Wrap a runtime; compiled modules are not cached on disk."""
    return LinkedRuntime(inner, linked_modules(None))


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
