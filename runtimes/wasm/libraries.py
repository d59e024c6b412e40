"""The lab `libraries`: which modules may be libraries, and which libraries a module is linked with.

A module names a library by its CID, as the module of an import: `lib:<cid>`. Here is what can be said of modules by
reading them; `linked_modules` compiles and links them, `linked_runtime` runs what
is linked. Rules: docs/labs/libraries.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from hypervisor.errors import InvalidModule
from hypervisor.types import Gas
from runtimes.wasm.abi import REVISIONS
from runtimes.wasm.encode import GAS_EXPORT, START_EXPORT
from runtimes.wasm.module import FUNCREF, ExternKind, FunctionType, Import, Limits, WasmModule, export_names, parse
from runtimes.wasm.opcodes import PAGE_BYTES
from runtimes.wasm.validate import ENTRY_POINT, MAX_TABLE_ELEMENTS, ModuleFacts, check, lacks_syscall
from store.cid import RAW, USUAL_LENGTH, USUAL_RAW_PREFIX, Cid, CidError, cid_of, parse_cid, show

PREFIX: Final = "lib:"
MOST_LIBRARIES: Final = 16
"""Libraries of an actor, those of its libraries among them."""
DEEPEST: Final = 4
"""Libraries on a path of imports from an actor."""
MOST_LIBRARY_BYTES: Final = 1 << 20
"""Of a library's module."""
MOST_LIBRARY_PAGES: Final = 256
"""To which a library's memory may grow: what it may become is set aside when a call begins."""
MOST_IMPORTS: Final = 1_000
"""Of a module that is linked: each is looked up in each call."""
MOST_EXPORTS: Final = 1_000
"""Of a library: their names are kept for those that import from it."""
LIBRARY_GAS: Final = Gas(30_000)
"""For each library of an actor, in each call: what it takes to make an instance, besides its memory's pages."""
LIBRARY_BYTE_GAS: Final = Gas(10)
"""For each byte of a library's module, in each call: where this process has forgotten it, it is read again."""
IMPORT_GAS: Final = Gas(2_000)
"""For each import that a library answers, those of libraries among them."""
INSTALL_BYTE_GAS: Final = Gas(100)
"""For each byte of a module that is installed, and of its libraries: all of them are read."""

Load = Callable[[Cid], bytes | None]
"""What finds an installed module by its CID; None where there is none."""
Work = Callable[[int, int], None]
"""Hears of work before it is done: a library of so many bytes is read, so many imports are looked up."""


@dataclass(frozen=True, slots=True)
class LinkableModule:
    """What linking must know of a module, without the module: it depends on its bytes alone, so that it can be kept.

    `types` are those of the imports, None for a memory. `functions` and `memories` are what a library exports,
    `memory` is its own, if it has one. `revisions` are those of the ABI that have all syscalls which it imports.
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
    """The imports that libraries answer."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "linked", tuple(filter(is_linked, self.imports)))

    @property
    def room(self) -> int:
        """About how many bytes it takes to keep it."""
        names = (*self.functions, *self.memories, *(item.module + item.name for item in self.imports))
        return 1_000 + sum(300 + len(name) for name in names)


@dataclass(frozen=True, slots=True)
class LinkedUnit:
    """A module of a program: a library, or the actor, with the places in the program of the libraries it imports from.

    `code` names it among imports, `digest` is the CID of its bytes (a machine of tests may have others under a CID).
    """

    code: Cid
    digest: Cid
    wasm: bytes
    module: LinkableModule
    needs: dict[str, int]


def is_linked(item: Import) -> bool:
    """Whether an import is answered by a library."""
    return item.module.startswith(PREFIX)


def linked_imports(module: WasmModule) -> frozenset[Import]:
    """The imports that libraries answer."""
    return frozenset(filter(is_linked, module.imports))


def linking_gas(size: int, imports: int) -> Gas:
    """What `Work` costs in each call."""
    return Gas((LIBRARY_GAS if size else 0) + LIBRARY_BYTE_GAS * size + IMPORT_GAS * imports)


def install_gas(size: int, imports: int) -> Gas:
    """What `Work` costs where a module is installed, whose own bytes count as a library's."""
    return Gas(INSTALL_BYTE_GAS * size + IMPORT_GAS * imports)


def is_library(module: WasmModule) -> bool:
    """Whether a module is held to the rules of libraries: it cannot be entered, and asks nothing of the machine."""
    return module.export(ENTRY_POINT) is None and all(map(is_linked, module.imports))


def concerns(wasm: bytes) -> bool:
    """Whether a module is a library or imports from one. Raises InvalidModule; most modules are not parsed."""
    # not `in`: a compiled generator has no `__contains__`
    if PREFIX.encode() not in wasm and any(name == ENTRY_POINT for name in export_names(wasm)):
        return False
    module = parse(wasm)
    return is_library(module) or any(map(is_linked, module.imports))


def linked_facts(module: WasmModule) -> ModuleFacts:
    """What an invocation must know of a module that is linked. Raises InvalidModule where the rules refuse it."""
    if len(module.imports) > MOST_IMPORTS:
        raise InvalidModule(f"the module has {len(module.imports):,} imports, at most {MOST_IMPORTS:,} are linked")
    linked = linked_imports(module)
    if sum(item.kind == ExternKind.MEMORY for item in module.imports) + len(module.memories) > 1:
        raise InvalidModule("the module has several memories: it may import one of a library, or have one of its own")
    return _library_facts(module) if is_library(module) else check(module, linked)


def read_module(wasm: bytes) -> LinkableModule:
    """Parse a module for linking. Raises InvalidModule where the rules of libraries or of linked actors refuse it."""
    module = parse(wasm)
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
        frozenset(name for name, revision in REVISIONS.items() if not lacks_syscall(module, revision, linked)),
    )


def resolve(
    code: Cid,
    wasm: bytes,
    load: Load,
    work: Work | None = None,
    read: Callable[[Cid, bytes], LinkableModule] | None = None,
) -> list[LinkedUnit]:
    """A module with all its libraries, each after those that it imports from: itself is the last one.

    `work` hears of the libraries and the imports in an order that depends on the modules alone. `read` is `read_module`
    by the CID of the bytes, which may keep what it has read. Raises InvalidModule, with a sentence, for a library that
    is not there, breaks a rule or is imported in a circle, for too many or too deep ones, and for an import that a
    library does not answer.
    """
    return _Resolution(load, work or _ignore, read or _read).add(code, wasm, ())


def library_of(origin: str) -> Cid:
    """The CID in the module of an import, `lib:<cid>`. Raises InvalidModule for what names no code."""
    text = origin.removeprefix(PREFIX)
    try:
        cid = parse_cid(text)
    except CidError as error:
        raise InvalidModule(f"the import of {origin:.100} names no library: {error}") from None
    if len(cid) != USUAL_LENGTH or not cid.startswith(USUAL_RAW_PREFIX) or show(cid) != text:
        said = "a code CID is raw, of BLAKE2b-256, and written in base32"
        raise InvalidModule(f"the import of {origin:.100} names no library: {said}")
    return cid


def maximum_pages(unit: LinkedUnit) -> int:
    """To how many pages a library's own memory may grow: 0 where it has none."""
    memory = unit.module.memory
    return 0 if memory is None else memory.maximum or 0


def memory_of(units: Sequence[LinkedUnit], unit: LinkedUnit) -> Limits | None:
    """The limits of the memory that a unit uses: its own, or that of the library whose memory it imports."""
    for item in unit.module.imports:
        if item.kind == ExternKind.MEMORY:
            return memory_of(units, units[unit.needs[item.module]])
    return unit.module.memory


def _library_facts(module: WasmModule) -> ModuleFacts:
    """What a call must know of a library. Raises InvalidModule where the rules refuse it."""
    if len(module.data) > MOST_LIBRARY_BYTES:
        raise InvalidModule(f"the library {_too_large(module.data)}")
    if len(module.exports) > MOST_EXPORTS:
        raise InvalidModule(f"the library has {len(module.exports):,} exports, at most {MOST_EXPORTS:,} are taken")
    if not module.bodies:
        raise InvalidModule("the library has no code")
    if module.start is not None:
        raise InvalidModule("the library has a start function: a library has none, let its users call a function")
    if module.export(GAS_EXPORT) is not None or module.export(START_EXPORT) is not None:
        raise InvalidModule("the library exports a name that is kept for the gas counter or the start function")
    if len(module.tables) > 1:
        raise InvalidModule(f"the library has {len(module.tables)} tables, at most one is allowed")
    elements = sum(table.minimum for table in module.tables)
    if elements > MAX_TABLE_ELEMENTS:
        raise InvalidModule(f"the library's table has {elements} elements, at most {MAX_TABLE_ELEMENTS} are allowed")
    for memory in module.memories:
        if memory.maximum is None or memory.maximum > MOST_LIBRARY_PAGES:
            had = "no maximum" if memory.maximum is None else f"a maximum of {memory.maximum:,} pages"
            raise InvalidModule(
                f"the library's memory has {had}, at most {MOST_LIBRARY_PAGES} are allowed: "
                f"link it with --max-memory={MOST_LIBRARY_PAGES * PAGE_BYTES}"
            )
    table = module.export("table")
    paid = table is not None and table.kind == ExternKind.TABLE
    return ModuleFacts(sum(memory.minimum for memory in module.memories), elements, paid, False)


class _Resolution:
    """A program in the making."""

    def __init__(self, load: Load, work: Work, read: Callable[[Cid, bytes], LinkableModule]) -> None:
        self._load = load
        self._work = work
        self._read = read
        self._units: list[LinkedUnit] = []
        self._places: dict[Cid, int] = {}

    def add(self, code: Cid, wasm: bytes, path: tuple[Cid, ...]) -> list[LinkedUnit]:
        """Add a module behind its libraries; all that are there."""
        digest = cid_of(wasm, RAW)
        try:
            module = self._read(digest, wasm)
        except InvalidModule as error:
            if not path:
                raise
            raise InvalidModule(f"{_named(code)}: {error}") from None
        if path and not module.is_library:
            foreign = next((item for item in module.imports if not is_linked(item)), None)
            had = f"exports `{ENTRY_POINT}`" if foreign is None else f"imports {foreign.module}.{foreign.name}"
            raise InvalidModule(f"{_named(code)} is no library: it {had}, which is for actors")
        if module.linked:
            self._work(0, len(module.linked))
        needs: dict[str, int] = {}
        for item in module.linked:
            if item.module not in needs:
                needs[item.module] = self._place(library_of(item.module), (*path, code))
        unit = LinkedUnit(code, digest, wasm, module, needs)
        for item, wanted in zip(module.imports, module.types, strict=True):
            if is_linked(item):
                _check_import(item, wanted, self._units, self._units[needs[item.module]])
        self._places[code] = len(self._units)
        self._units.append(unit)
        return self._units

    def _place(self, code: Cid, path: tuple[Cid, ...]) -> int:
        """The place of a library, which is added where it is not there yet."""
        if code in path:
            raise InvalidModule(f"{_named(code)} imports itself, by {len(path) - path.index(code)} steps")
        if code in self._places:
            _check_depth(self._units, self._places[code], len(path))
            return self._places[code]
        if len(path) > DEEPEST:
            raise InvalidModule(
                f"{_named(code)} is imported by {DEEPEST} libraries in a row, which is as deep as it goes"
            )
        wasm = self._load(code)
        if wasm is None:
            raise InvalidModule(f"{_named(code)} is not installed: install it first")
        if len(wasm) > MOST_LIBRARY_BYTES:
            raise InvalidModule(f"{_named(code)} {_too_large(wasm)}")
        self._work(len(wasm), 0)
        self.add(code, wasm, path)
        if len(self._units) > MOST_LIBRARIES:
            raise InvalidModule(f"the module needs more than {MOST_LIBRARIES} libraries, those of libraries among them")
        return self._places[code]


def _read(_: Cid, wasm: bytes) -> LinkableModule:
    return read_module(wasm)


def _ignore(size: int, imports: int) -> None:
    """Work without a price."""


def _too_large(wasm: bytes) -> str:
    return f"has {len(wasm):,} bytes, at most {MOST_LIBRARY_BYTES:,} are taken"


def _check_depth(units: list[LinkedUnit], place: int, depth: int) -> None:
    """A library that is there already may be deeper on another path."""
    if depth > DEEPEST:
        said = f"is imported by {DEEPEST} libraries in a row, which is as deep as it goes"
        raise InvalidModule(f"{_named(units[place].code)} {said}")
    for needed in units[place].needs.values():
        _check_depth(units, needed, depth + 1)


def _check_import(item: Import, wanted: FunctionType | None, units: list[LinkedUnit], library: LinkedUnit) -> None:
    """Whether a library has what is imported from it, of the same type."""
    where, exports = f"the import {item.module}.{item.name}", library.module
    if item.kind not in (ExternKind.FUNCTION, ExternKind.MEMORY):
        raise InvalidModule(f"{where} is neither a function nor a memory: a library gives nothing else")
    if wanted is not None:
        found = exports.functions.get(item.name)
        if found is None:
            raise InvalidModule(f"{where}: the library exports no function of that name")
        if wanted != found:
            raise InvalidModule(f"{where} is of the type {_type(wanted)}, the library's function is {_type(found)}")
        if FUNCREF in wanted.params + wanted.results:
            raise InvalidModule(f"{where} takes or returns a reference: numbers alone go from module to module")
        return
    if item.name not in exports.memories:
        raise InvalidModule(f"{where}: the library exports no memory of that name")
    have, want = memory_of(units, library), item.limits
    if have is None or want is None:
        raise InvalidModule(f"{where}: the library has no memory")
    if want.minimum > have.minimum or (want.maximum is not None and want.maximum < (have.maximum or 0)):
        said = f"the library's has {have.minimum} to {have.maximum}"
        raise InvalidModule(f"{where} wants {want.minimum} to {want.maximum} pages of memory, {said}")


_FUNCTION: Final = ExternKind.FUNCTION
_LETTERS: Final = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", FUNCREF: "funcref"}


def _type(kind: FunctionType) -> str:
    params, results = (", ".join(_LETTERS[one] for one in some) for some in (kind.params, kind.results))
    return f"({params}) -> ({results})"


def _named(code: Cid) -> str:
    return f"the library {show(code)}"
