"""The lab `libraries`: validation of library modules, and resolution of the libraries that a module imports.

A module names a library by its CID, as the module name of an import: `lib:<cid>`. This module contains the checks that
need only the parsed modules. `linked` compiles and links them, and runs the result.
Rules: docs/labs/libraries.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from hypervisor.errors import InvalidModule
from hypervisor.types import Gas
from runtimes.wasm.module.encode import GAS_EXPORT, START_EXPORT
from runtimes.wasm.module.opcodes import PAGE_BYTES
from runtimes.wasm.module.parser import (
    FUNCREF,
    ExternKind,
    FunctionType,
    Import,
    Limits,
    WasmModule,
    export_names,
    parse_module,
)
from runtimes.wasm.syscalls.abi import SYSCALL_REVISIONS
from runtimes.wasm.validate import ENTRY_POINT, MAX_TABLE_ELEMENTS, ModuleFacts, missing_syscall, validate_module
from store.cid import BLAKE2B_CID_LENGTH, RAW, RAW_CID_PREFIX, Cid, CidError, cid_of, parse_cid, show

PREFIX: Final = "lib:"
MAX_LIBRARIES: Final = 16
"""Maximum number of libraries of an actor, including indirect ones."""
MAX_LIBRARY_DEPTH: Final = 4
"""Maximum number of libraries on a path of imports from an actor."""
MAX_LIBRARY_BYTES: Final = 1 << 20
"""Maximum size of a library's module in bytes."""
MAX_LIBRARY_PAGES: Final = 256
"""Maximum size of a library's memory in pages; its declared maximum is reserved when a call begins."""
MAX_IMPORTS: Final = 1_000
"""Maximum number of imports of a linked module; each is looked up in each call."""
MAX_EXPORTS: Final = 1_000
"""Maximum number of exports of a library; their names are cached for importing modules."""
LIBRARY_GAS: Final = Gas(30_000)
"""Gas per library of an actor and call, for its instance without the pages of its memory."""
LIBRARY_BYTE_GAS: Final = Gas(10)
"""Gas per byte of a library's module and call, since the library must be read again if it is not cached."""
IMPORT_GAS: Final = Gas(2_000)
"""Gas per import resolved by a library and call, including imports of libraries."""
INSTALL_BYTE_GAS: Final = Gas(100)
"""Gas per byte of a module that is installed and of its libraries, all of which are read."""

Load = Callable[[Cid], bytes | None]
"""Returns an installed module by its CID, or None."""
Work = Callable[[int, int], None]
"""Called before work is done, with the bytes of the library to read and the number of imports to resolve."""


@dataclass(frozen=True, slots=True)
class LinkableModule:
    """The facts about a module that linking needs. They depend only on its bytes, so they can be cached.

    `types` are those of the imports, None for a memory. `functions` and `memories` are the exports of a library;
    `memory` is the module's own, if any. `revisions` are the ABI revisions with all syscalls that it imports.
    """

    facts: ModuleFacts
    is_library: bool
    imports: tuple[Import, ...]
    types: tuple[FunctionType | None, ...]
    functions: Mapping[str, FunctionType]
    memories: frozenset[str]
    memory: Limits | None
    revisions: frozenset[str]
    linked: tuple[Import, ...] = field(init=False)
    """The imports that libraries resolve."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "linked", tuple(filter(is_linked, self.imports)))

    @property
    def cache_size(self) -> int:
        """Approximate size in bytes of this entry in a cache."""
        names = (*self.functions, *self.memories, *(item.module + item.name for item in self.imports))
        return 1_000 + sum(300 + len(name) for name in names)


@dataclass(frozen=True, slots=True)
class LinkedUnit:
    """A module of a program: a library or the actor, with the positions of its libraries in the program.

    `code` is its name in imports, `digest` the CID of its bytes (test machines may store other bytes under a CID).
    """

    code: Cid
    digest: Cid
    wasm: bytes
    module: LinkableModule
    needs: dict[str, int]


def is_linked(item: Import) -> bool:
    """Return True if a library resolves this import."""
    return item.module.startswith(PREFIX)


def linked_imports(module: WasmModule) -> frozenset[Import]:
    """Return the imports that libraries resolve."""
    return frozenset(filter(is_linked, module.imports))


def linking_gas(size: int, imports: int) -> Gas:
    """Return the gas charged for `Work` in each call."""
    return Gas((LIBRARY_GAS if size else 0) + LIBRARY_BYTE_GAS * size + IMPORT_GAS * imports)


def install_gas(size: int, imports: int) -> Gas:
    """Return the gas charged for `Work` at installation, which includes the module's own bytes."""
    return Gas(INSTALL_BYTE_GAS * size + IMPORT_GAS * imports)


def is_library(module: WasmModule) -> bool:
    """Return True if the rules for libraries apply: no entry point and no imports but from libraries."""
    return module.export(ENTRY_POINT) is None and all(map(is_linked, module.imports))


def is_linkable(wasm: bytes) -> bool:
    """Return True if a module is a library or imports one. Raises InvalidModule; most modules are not parsed."""
    if PREFIX.encode() not in wasm and ENTRY_POINT in export_names(wasm):
        return False
    module = parse_module(wasm)
    return is_library(module) or any(map(is_linked, module.imports))


def linked_facts(module: WasmModule) -> ModuleFacts:
    """Return the facts of a linked module for its invocation. Raises InvalidModule if the rules reject it."""
    if len(module.imports) > MAX_IMPORTS:
        raise InvalidModule(f"the module has {len(module.imports):,} imports, the limit is {MAX_IMPORTS:,}")
    linked = linked_imports(module)
    if sum(item.kind == ExternKind.MEMORY for item in module.imports) + len(module.memories) > 1:
        raise InvalidModule("the module has several memories: it may import one from a library or define one, not both")
    return _library_facts(module) if is_library(module) else validate_module(module, linked)


def read_module(wasm: bytes) -> LinkableModule:
    """Parse a module for linking. Raises InvalidModule if the rules for libraries or linked actors reject it."""
    module = parse_module(wasm)
    facts, linked = linked_facts(module), linked_imports(module)
    indices = module.function_type_indices()
    exported = {item.name: module.types[indices[item.index]] for item in module.exports if item.kind == _FUNCTION}
    library = is_library(module)
    return LinkableModule(
        facts,
        library,
        tuple(module.imports),
        tuple(module.types[item.type_index] if item.kind == _FUNCTION else None for item in module.imports),
        exported if library else {},
        frozenset(item.name for item in module.exports if item.kind == ExternKind.MEMORY and library),
        module.memories[0] if module.memories else None,
        frozenset(
            name for name, revision in SYSCALL_REVISIONS.items() if not missing_syscall(module, revision, linked)
        ),
    )


def resolve(
    code: Cid,
    wasm: bytes,
    load: Load,
    work: Work | None = None,
    read: Callable[[Cid, bytes], LinkableModule] | None = None,
) -> list[LinkedUnit]:
    """Return a module with all its libraries, each after those that it imports; the module itself is last.

    `work` is called for libraries and imports in an order that depends only on the modules. `read` is `read_module` by
    the CID of the bytes, and may cache. Raises InvalidModule if a library is missing, breaks a rule or imports itself,
    if there are too many or they are nested too deeply, or if a library does not export what is imported.
    """
    return _Resolution(load, work or _ignore, read or _read).add(code, wasm, ())


def parse_library_cid(origin: str) -> Cid:
    """Return the CID in an import's module name `lib:<cid>`. Raises InvalidModule if it is not a code CID."""
    text = origin.removeprefix(PREFIX)
    try:
        cid = parse_cid(text)
    except CidError as error:
        raise InvalidModule(f"the import of {origin:.100} does not name a library: {error}") from None
    if len(cid) != BLAKE2B_CID_LENGTH or not cid.startswith(RAW_CID_PREFIX) or show(cid) != text:
        detail = "a code CID has codec raw and hash BLAKE2b-256, in base32"
        raise InvalidModule(f"the import of {origin:.100} does not name a library: {detail}")
    return cid


def max_pages(unit: LinkedUnit) -> int:
    """Return the maximum size in pages of a library's own memory, 0 if it has none."""
    memory = unit.module.memory
    return 0 if memory is None else memory.maximum or 0


def memory_of(units: Sequence[LinkedUnit], unit: LinkedUnit) -> Limits | None:
    """Return the limits of the memory that a unit uses: its own, or the one it imports from a library."""
    for item in unit.module.imports:
        if item.kind == ExternKind.MEMORY:
            return memory_of(units, units[unit.needs[item.module]])
    return unit.module.memory


def _library_facts(module: WasmModule) -> ModuleFacts:
    """Return the facts of a library for a call. Raises InvalidModule if the rules reject it."""
    if len(module.data) > MAX_LIBRARY_BYTES:
        raise InvalidModule(f"the library {_too_large(module.data)}")
    if len(module.exports) > MAX_EXPORTS:
        raise InvalidModule(f"the library has {len(module.exports):,} exports, the limit is {MAX_EXPORTS:,}")
    if not module.bodies:
        raise InvalidModule("the library has no code")
    if module.start is not None:
        raise InvalidModule("the library has a start function, which is not allowed: export a function instead")
    if module.export(GAS_EXPORT) is not None or module.export(START_EXPORT) is not None:
        raise InvalidModule("the library exports a name that is reserved for the gas counter or the start function")
    if len(module.tables) > 1:
        raise InvalidModule(f"the library has {len(module.tables)} tables, at most one is allowed")
    elements = sum(table.minimum for table in module.tables)
    if elements > MAX_TABLE_ELEMENTS:
        raise InvalidModule(f"the library's table has {elements} elements, at most {MAX_TABLE_ELEMENTS} are allowed")
    for memory in module.memories:
        if memory.maximum is None or memory.maximum > MAX_LIBRARY_PAGES:
            had = "no maximum" if memory.maximum is None else f"a maximum of {memory.maximum:,} pages"
            raise InvalidModule(
                f"the library's memory has {had}, the limit is {MAX_LIBRARY_PAGES}: "
                f"link it with --max-memory={MAX_LIBRARY_PAGES * PAGE_BYTES}"
            )
    table = module.export("table")
    paid = table is not None and table.kind == ExternKind.TABLE
    return ModuleFacts(sum(memory.minimum for memory in module.memories), elements, paid, False)


class _Resolution:
    """The resolution of one program."""

    def __init__(self, load: Load, work: Work, read: Callable[[Cid, bytes], LinkableModule]) -> None:
        self._load = load
        self._work = work
        self._read = read
        self._units: list[LinkedUnit] = []
        self._places: dict[Cid, int] = {}

    def add(self, code: Cid, wasm: bytes, path: tuple[Cid, ...]) -> list[LinkedUnit]:
        """Add a module after its libraries and return all units so far."""
        digest = cid_of(wasm, RAW)
        try:
            module = self._read(digest, wasm)
        except InvalidModule as error:
            if not path:
                raise
            raise InvalidModule(f"{_library_name(code)}: {error}") from None
        if path and not module.is_library:
            foreign = next((item for item in module.imports if not is_linked(item)), None)
            had = f"exports `{ENTRY_POINT}`" if foreign is None else f"imports {foreign.module}.{foreign.name}"
            raise InvalidModule(f"{_library_name(code)} is not a library: it {had}, which is for actors")
        if module.linked:
            self._work(0, len(module.linked))
        needs: dict[str, int] = {}
        for item in module.linked:
            if item.module not in needs:
                needs[item.module] = self._add_library(parse_library_cid(item.module), (*path, code))
        unit = LinkedUnit(code, digest, wasm, module, needs)
        for item, wanted in zip(module.imports, module.types, strict=True):
            if is_linked(item):
                _check_import(item, wanted, self._units, self._units[needs[item.module]])
        self._places[code] = len(self._units)
        self._units.append(unit)
        return self._units

    def _add_library(self, code: Cid, path: tuple[Cid, ...]) -> int:
        """Return the position of a library, adding it if needed."""
        if code in path:
            raise InvalidModule(f"{_library_name(code)} imports itself through {len(path) - path.index(code)} modules")
        if code in self._places:
            _check_depth(self._units, self._places[code], len(path))
            return self._places[code]
        if len(path) > MAX_LIBRARY_DEPTH:
            raise InvalidModule(
                f"{_library_name(code)} is nested too deeply: "
                f"at most {MAX_LIBRARY_DEPTH} libraries may import each other"
            )
        wasm = self._load(code)
        if wasm is None:
            raise InvalidModule(f"{_library_name(code)} is not installed: install it first")
        if len(wasm) > MAX_LIBRARY_BYTES:
            raise InvalidModule(f"{_library_name(code)} {_too_large(wasm)}")
        self._work(len(wasm), 0)
        self.add(code, wasm, path)
        if len(self._units) > MAX_LIBRARIES:
            raise InvalidModule(f"the module needs more than {MAX_LIBRARIES} libraries, indirect ones included")
        return self._places[code]


def _read(_: Cid, wasm: bytes) -> LinkableModule:
    return read_module(wasm)


def _ignore(size: int, imports: int) -> None:
    """Do nothing: this work has no price."""


def _too_large(wasm: bytes) -> str:
    return f"has {len(wasm):,} bytes, the limit is {MAX_LIBRARY_BYTES:,}"


def _check_depth(units: list[LinkedUnit], index: int, depth: int) -> None:
    """Check the depth of a library again, since it may be deeper on another path."""
    if depth > MAX_LIBRARY_DEPTH:
        detail = f"is nested too deeply: at most {MAX_LIBRARY_DEPTH} libraries may import each other"
        raise InvalidModule(f"{_library_name(units[index].code)} {detail}")
    for needed in units[index].needs.values():
        _check_depth(units, needed, depth + 1)


def _check_import(item: Import, wanted: FunctionType | None, units: list[LinkedUnit], library: LinkedUnit) -> None:
    """Raise InvalidModule unless a library exports an imported item with the same type."""
    where, exports = f"the import {item.module}.{item.name}", library.module
    if item.kind not in (ExternKind.FUNCTION, ExternKind.MEMORY):
        raise InvalidModule(f"{where} is neither a function nor a memory, and a library exports nothing else")
    if wanted is not None:
        found = exports.functions.get(item.name)
        if found is None:
            raise InvalidModule(f"{where}: the library does not export a function of that name")
        if wanted != found:
            raise InvalidModule(f"{where} has the type {_type(wanted)}, the library's function has {_type(found)}")
        if FUNCREF in wanted.params + wanted.results:
            raise InvalidModule(f"{where} takes or returns a reference: only numbers can be passed between modules")
        return
    if item.name not in exports.memories:
        raise InvalidModule(f"{where}: the library does not export a memory of that name")
    have, want = memory_of(units, library), item.limits
    if have is None or want is None:
        raise InvalidModule(f"{where}: the library does not have a memory")
    if want.minimum > have.minimum or (want.maximum is not None and want.maximum < (have.maximum or 0)):
        detail = f"the library's has {have.minimum} to {have.maximum}"
        raise InvalidModule(f"{where} wants {want.minimum} to {want.maximum} pages of memory, {detail}")


_FUNCTION: Final = ExternKind.FUNCTION
_LETTERS: Final = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", FUNCREF: "funcref"}


def _type(kind: FunctionType) -> str:
    params, results = (", ".join(_LETTERS[one] for one in some) for some in (kind.params, kind.results))
    return f"({params}) -> ({results})"


def _library_name(code: Cid) -> str:
    return f"the library {show(code)}"
