"""The lab `libraries`: which modules may be libraries, and which libraries a module is linked with.

A module names a library by its CID, as the module of an import: `lib:<cid>`. Here is what can be said of modules by
reading them; `linked_modules` compiles and links them, `linked_runtime` runs what
is linked. Rules: docs/labs/libraries.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from hypervisor.errors import InvalidModule
from hypervisor.types import Gas
from runtimes.wasm.encode import GAS_EXPORT, START_EXPORT
from runtimes.wasm.module import FUNCREF, ExternKind, FunctionType, Import, Limits, WasmModule, parse
from runtimes.wasm.opcodes import PAGE_BYTES
from runtimes.wasm.validate import ENTRY_POINT, MAX_TABLE_ELEMENTS, ModuleFacts, check
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
LIBRARY_GAS: Final = Gas(30_000)
"""For each library of an actor, in each call: what it takes to make an instance, besides its memory's pages."""
IMPORT_GAS: Final = Gas(2_000)
"""For each import that a library answers, those of libraries among them."""

Load = Callable[[Cid], bytes | None]
"""What finds a library's module by its CID; None where there is none."""


@dataclass(frozen=True, slots=True)
class LinkedUnit:
    """A module of a program: a library, or the actor, with the places in the program of the libraries it imports from.

    `code` names it among imports, `digest` is the CID of its bytes (a machine of tests may have others under a CID).
    """

    code: Cid
    digest: Cid
    wasm: bytes
    module: WasmModule
    facts: ModuleFacts
    needs: dict[str, int]


def is_linked(item: Import) -> bool:
    """Whether an import is answered by a library."""
    return item.module.startswith(PREFIX)


def linked_imports(module: WasmModule) -> frozenset[Import]:
    """The imports that libraries answer."""
    return frozenset(filter(is_linked, module.imports))


def linking_gas(units: Sequence[LinkedUnit]) -> Gas:
    """What linking a program costs in each call: the actor's module is the last of `units`."""
    imports = sum(len(linked_imports(unit.module)) for unit in units)
    return Gas(LIBRARY_GAS * (len(units) - 1) + IMPORT_GAS * imports)


def is_library(module: WasmModule) -> bool:
    """Whether a module is held to the rules of libraries: it cannot be entered, and asks nothing of the machine."""
    return module.export(ENTRY_POINT) is None and all(map(is_linked, module.imports))


def concerns(wasm: bytes) -> bool:
    """Whether a module is a library or imports from one. Raises InvalidModule; most modules are not parsed."""
    if PREFIX.encode() not in wasm and ENTRY_POINT.encode() in wasm:
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


def resolve(code: Cid, wasm: bytes, load: Load) -> list[LinkedUnit]:
    """A module with all its libraries, each after those that it imports from: itself is the last one.

    Raises InvalidModule, with a sentence, for a library that is not there, breaks a rule or is imported in a circle,
    for too many or too deep ones, and for an import that a library does not answer.
    """
    units: list[LinkedUnit] = []
    _add(code, wasm, load, units, {}, ())
    return units


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
    return sum(memory.maximum or 0 for memory in unit.module.memories)


def memory_of(units: Sequence[LinkedUnit], unit: LinkedUnit) -> Limits | None:
    """The limits of the memory that a unit uses: its own, or that of the library whose memory it imports."""
    for item in unit.module.imports:
        if item.kind == ExternKind.MEMORY:
            return memory_of(units, units[unit.needs[item.module]])
    return unit.module.memories[0] if unit.module.memories else None


def _library_facts(module: WasmModule) -> ModuleFacts:
    """What a call must know of a library. Raises InvalidModule where the rules refuse it."""
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


def _add(
    code: Cid, wasm: bytes, load: Load, units: list[LinkedUnit], places: dict[Cid, int], path: tuple[Cid, ...]
) -> int:
    """Add a module behind its libraries; its place."""
    module = parse(wasm)
    library = is_library(module)
    if library and len(wasm) > MOST_LIBRARY_BYTES:
        raise InvalidModule(f"{_named(code)} has {len(wasm):,} bytes, at most {MOST_LIBRARY_BYTES:,} are taken")
    if path and not library:
        foreign = next((item for item in module.imports if not is_linked(item)), None)
        had = f"exports `{ENTRY_POINT}`" if foreign is None else f"imports {foreign.module}.{foreign.name}"
        raise InvalidModule(f"{_named(code)} is no library: it {had}, which is for actors")
    try:
        facts = linked_facts(module)
    except InvalidModule as error:
        if not path:
            raise
        raise InvalidModule(f"{_named(code)}: {error}") from None
    needs: dict[str, int] = {}
    for item in module.imports:
        if is_linked(item) and item.module not in needs:
            needs[item.module] = _place(library_of(item.module), load, units, places, (*path, code))
    unit = LinkedUnit(code, cid_of(wasm, RAW), wasm, module, facts, needs)
    for item in module.imports:
        if is_linked(item):
            _check_import(module, item, units, units[needs[item.module]])
    units.append(unit)
    places[code] = len(units) - 1
    return places[code]


def _place(code: Cid, load: Load, units: list[LinkedUnit], places: dict[Cid, int], path: tuple[Cid, ...]) -> int:
    """The place of a library, which is added where it is not there yet."""
    if code in path:
        raise InvalidModule(f"{_named(code)} imports itself, by {len(path) - path.index(code)} steps")
    if code in places:
        _check_depth(units, places[code], len(path))
        return places[code]
    if len(path) > DEEPEST:
        raise InvalidModule(f"{_named(code)} is imported by {DEEPEST} libraries in a row, which is as deep as it goes")
    wasm = load(code)
    if wasm is None:
        raise InvalidModule(f"{_named(code)} is not installed: install it first")
    place = _add(code, wasm, load, units, places, path)
    if len(units) > MOST_LIBRARIES:
        raise InvalidModule(f"the module needs more than {MOST_LIBRARIES} libraries, those of libraries among them")
    return place


def _check_depth(units: list[LinkedUnit], place: int, depth: int) -> None:
    """A library that is there already may be deeper on another path."""
    if depth > DEEPEST:
        said = f"is imported by {DEEPEST} libraries in a row, which is as deep as it goes"
        raise InvalidModule(f"{_named(units[place].code)} {said}")
    for needed in units[place].needs.values():
        _check_depth(units, needed, depth + 1)


def _check_import(module: WasmModule, item: Import, units: list[LinkedUnit], library: LinkedUnit) -> None:
    """Whether a library has what is imported from it, of the same type."""
    where = f"the import {item.module}.{item.name}"
    export = library.module.export(item.name)
    if item.kind not in (ExternKind.FUNCTION, ExternKind.MEMORY):
        raise InvalidModule(f"{where} is neither a function nor a memory: a library gives nothing else")
    if export is None or export.kind != item.kind:
        kind = "function" if item.kind == ExternKind.FUNCTION else "memory"
        raise InvalidModule(f"{where}: the library exports no {kind} of that name")
    if item.kind == ExternKind.FUNCTION:
        wanted = module.types[item.type_index]
        found = library.module.types[library.module.function_type_indices()[export.index]]
        if wanted != found:
            raise InvalidModule(f"{where} is of the type {_type(wanted)}, the library's function is {_type(found)}")
        if FUNCREF in wanted.params + wanted.results:
            raise InvalidModule(f"{where} takes or returns a reference: numbers alone go from module to module")
        return
    have, want = memory_of(units, library), item.limits
    if have is None or want is None:
        raise InvalidModule(f"{where}: the library has no memory")
    if want.minimum > have.minimum or (want.maximum is not None and want.maximum < (have.maximum or 0)):
        said = f"the library's has {have.minimum} to {have.maximum}"
        raise InvalidModule(f"{where} wants {want.minimum} to {want.maximum} pages of memory, {said}")


_LETTERS: Final = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", FUNCREF: "funcref"}


def _type(kind: FunctionType) -> str:
    params, results = (", ".join(_LETTERS[one] for one in some) for some in (kind.params, kind.results))
    return f"({params}) -> ({results})"


def _named(code: Cid) -> str:
    return f"the library {show(code)}"
