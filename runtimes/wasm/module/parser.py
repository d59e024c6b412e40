"""Parser of WASM modules for the instrumenter, with the names of their functions.

It splits the sections that change and copies all others. Only structure is read here, not instructions. `validate`
checks the rules of consensus; wasmtime type-checks every module before it is instrumented. Malformed input raises
InvalidModule with the offset. Format: WebAssembly core specification 2.0, sections 5.2 and 5.5.
(`runtimes.wasmtime.encoding` writes the binary format.)

Function names come from the custom section `name`, which compilers write unless it is stripped. They do not affect
execution, so a malformed section is not an error: such a module has no names. Rules: the specification's appendix on
custom sections.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache

from hypervisor.errors import InvalidModule
from hypervisor.machine.registry import ENTRY_POINT_GROUP

MAX_U32_BYTES = 5


class BinaryReader:
    """A cursor over part of a module's bytes."""

    __slots__ = ("data", "end", "position")

    def __init__(self, data: bytes, position: int = 0, end: int | None = None) -> None:
        self.data = data
        self.position = position
        self.end = len(data) if end is None else end

    @property
    def done(self) -> bool:
        return self.position >= self.end

    def fail(self, problem: str) -> InvalidModule:
        return InvalidModule(f"WASM module, offset {self.position}: {problem}")

    def byte(self) -> int:
        if self.position >= self.end:
            raise self.fail("unexpected end")
        value = self.data[self.position]
        self.position += 1
        return value

    def take(self, length: int) -> bytes:
        """Read the next `length` bytes."""
        if length > self.end - self.position:
            raise self.fail(f"{length} bytes expected, {self.end - self.position} left")
        start = self.position
        self.position = start + length
        return self.data[start : self.position]

    def u32(self) -> int:
        """Read an unsigned LEB128 number below 2^32; non-minimal encodings of up to five bytes are allowed."""
        value = 0
        for shift in range(0, 7 * MAX_U32_BYTES, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >> 32:
                    raise self.fail("number does not fit in 32 bits")
                return value
        raise self.fail("number is longer than 5 bytes")

    def count(self) -> int:
        """Read the length of a vector; each element takes at least one byte, so larger counts are invalid."""
        value = self.u32()
        if value > self.end - self.position:
            raise self.fail(f"{value} elements announced, {self.end - self.position} bytes left")
        return value

    def skip_leb(self, max_bytes: int) -> None:
        """Skip a LEB128 number of at most `max_bytes` bytes, signed or not."""
        for _ in range(max_bytes):
            if self.byte() < 0x80:
                return
        raise self.fail(f"number is longer than {max_bytes} bytes")

    def name(self) -> str:
        """Read a UTF-8 name."""
        raw = self.take(self.u32())
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise self.fail("name is not UTF-8") from None


MAGIC = b"\0asm\x01\0\0\0"
I32, I64, F32, F64 = 0x7F, 0x7E, 0x7D, 0x7C
FUNCREF = 0x70
VALUE_TYPES = frozenset({I32, I64, F32, F64, FUNCREF})
"""The value types of consensus: numbers, and function references, which only tables and globals produce."""
END, REF_NULL, REF_FUNC = 0x0B, 0xD0, 0xD2

MAX_LOCALS = 50_000
"""Maximum number of local variables of a function, as on the network: wasmparser's `MAX_WASM_FUNCTION_LOCALS`."""
MAX_FUNCTIONS = 20_000
"""Maximum number of functions; a limit of this project. The network's is 1,000,000, for which instrumenting would take
a minute here; the largest official actor has 1,821."""
MAX_ITEMS = 100_000
"""Maximum number of items of any other section; a limit of this project. The network's is mostly 1,000,000."""
MAX_CODE_BYTES = 4 << 20
"""Maximum size of code in bytes; a limit of this project. The largest official actor has 1.6 million."""


class Section(IntEnum):
    """Section numbers. Sections appear in the order of `SECTION_ORDER`, custom ones anywhere."""

    CUSTOM = 0
    TYPE = 1
    IMPORT = 2
    FUNCTION = 3
    TABLE = 4
    MEMORY = 5
    GLOBAL = 6
    EXPORT = 7
    START = 8
    ELEMENT = 9
    CODE = 10
    DATA = 11
    DATA_COUNT = 12


SECTION_ORDER = (*range(Section.TYPE, Section.CODE), Section.DATA_COUNT, Section.CODE, Section.DATA)


class ExternKind(IntEnum):
    """The kind of an import or export."""

    FUNCTION = 0
    TABLE = 1
    MEMORY = 2
    GLOBAL = 3


@dataclass(frozen=True, slots=True)
class FunctionType:
    """Value types of parameters and results, one byte each."""

    params: bytes
    results: bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """Minimum and maximum of a memory (pages) or a table (elements)."""

    minimum: int
    maximum: int | None


@dataclass(frozen=True, slots=True)
class Import:
    """An import; `type_index` is -1 for all kinds but functions, `limits` are those of a memory."""

    module: str
    name: str
    kind: int
    type_index: int
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class Global:
    """A global: its type (two bytes), its initial expression, and the function it refers to, if any."""

    type: bytes
    init: bytes
    function: int | None = None


@dataclass(frozen=True, slots=True)
class Export:
    """An export."""

    name: str
    kind: int
    index: int


@dataclass(frozen=True, slots=True)
class ElementSegment:
    """An element segment that lists functions; `head` is everything before the list (flags, table, offset, kind)."""

    head: bytes
    functions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FunctionBody:
    """The location of a function in the module: its local declarations (after their count), its code, its end."""

    local_groups: int
    locals: int
    locals_at: int
    code_at: int
    end: int


@dataclass(slots=True)
class WasmModule:
    """A parsed module; `raw` holds the payload of each section by number."""

    data: bytes
    raw: dict[int, bytes] = field(default_factory=dict)
    types: list[FunctionType] = field(default_factory=list)
    imports: list[Import] = field(default_factory=list)
    functions: list[int] = field(default_factory=list)
    tables: list[Limits] = field(default_factory=list)
    memories: list[Limits] = field(default_factory=list)
    globals: list[Global] = field(default_factory=list)
    exports: list[Export] = field(default_factory=list)
    start: int | None = None
    elements: list[ElementSegment] = field(default_factory=list)
    bodies: list[FunctionBody] = field(default_factory=list)

    @property
    def imported_functions(self) -> list[Import]:
        """The imports that have the first function indices."""
        return [item for item in self.imports if item.kind == ExternKind.FUNCTION]

    def function_type_indices(self) -> list[int]:
        """Return the type index of every function, imported ones first."""
        return [item.type_index for item in self.imported_functions] + self.functions

    def export(self, name: str) -> Export | None:
        return next((export for export in self.exports if export.name == name), None)


def parse_module(data: bytes) -> WasmModule:
    """Parse a module; raises InvalidModule if its structure is not that of a WASM 1 module."""
    if data[: len(MAGIC)] != MAGIC:
        raise InvalidModule(
            f"not a WASM module: the first eight bytes are {data[: len(MAGIC)]!r}, not its magic number and version 1;"
            f" code of another format needs the package that registers its runtime under '{ENTRY_POINT_GROUP}'"
        )
    module = WasmModule(data)
    reader = BinaryReader(data, len(MAGIC))
    position = -1
    while not reader.done:
        number = reader.byte()
        size = reader.u32()
        start = reader.position
        payload = reader.take(size)
        if number == Section.CUSTOM:
            continue
        if number not in SECTION_ORDER or SECTION_ORDER.index(number) <= position:
            raise reader.fail(f"section {number} is unknown, duplicated or out of order")
        position = SECTION_ORDER.index(number)
        module.raw[number] = payload
        read = _SECTIONS.get(number)
        if read is not None:
            section = BinaryReader(data, start, start + size)
            read(section, module)
            if not section.done:
                raise section.fail(f"section {number} has bytes left over")
    _check_indices(module)
    return module


def export_names(data: bytes) -> Iterator[str]:
    """Yield the names of a module's exports only. Raises InvalidModule if the module ends before them."""
    reader = BinaryReader(data, len(MAGIC))
    while data[: len(MAGIC)] == MAGIC and not reader.done:
        number, size = reader.byte(), reader.u32()
        start = reader.position
        reader.take(size)
        if number == Section.EXPORT:
            section = BinaryReader(data, start, start + size)
            for _ in range(_items(section, "exports")):
                yield section.name()
                section.byte()
                section.u32()
            return


def _items(reader: BinaryReader, what: str, limit: int = MAX_ITEMS) -> int:
    """Read the number of items of a section and check it against the limit."""
    count = reader.count()
    if count > limit:
        raise InvalidModule(f"the module has {count:,} {what}, the limit is {limit:,}")
    return count


def _types(reader: BinaryReader, module: WasmModule) -> None:
    for _ in range(_items(reader, "types")):
        if reader.byte() != 0x60:
            raise reader.fail("a type is not a function type")
        params, results = reader.take(reader.u32()), reader.take(reader.u32())
        if not VALUE_TYPES.issuperset(params + results) or len(results) > 1:
            raise reader.fail("a function has a value type that consensus does not allow, or several results")
        module.types.append(FunctionType(params, results))


def _imports(reader: BinaryReader, module: WasmModule) -> None:
    for _ in range(_items(reader, "imports")):
        origin, name, kind = reader.name(), reader.name(), reader.byte()
        type_index, limits = -1, None
        if kind == ExternKind.FUNCTION:
            type_index = reader.u32()
        elif kind == ExternKind.TABLE:
            reader.byte()
            _limits(reader)
        elif kind == ExternKind.MEMORY:
            limits = _limits(reader)
        elif kind == ExternKind.GLOBAL:
            reader.take(2)
        else:
            raise reader.fail(f"import {origin}.{name} has the unknown kind {kind}")
        module.imports.append(Import(origin, name, kind, type_index, limits))


def _functions(reader: BinaryReader, module: WasmModule) -> None:
    module.functions = [reader.u32() for _ in range(_items(reader, "functions", MAX_FUNCTIONS))]


def _limits(reader: BinaryReader) -> Limits:
    flags = reader.byte()
    if flags > 1:
        raise reader.fail("shared memory, 64-bit memory and custom page sizes are not allowed")
    minimum = reader.u32()
    return Limits(minimum, reader.u32() if flags else None)


def _tables(reader: BinaryReader, module: WasmModule) -> None:
    for _ in range(_items(reader, "tables")):
        if reader.byte() != FUNCREF:
            raise reader.fail("a table does not hold function references")
        module.tables.append(_limits(reader))


def _memories(reader: BinaryReader, module: WasmModule) -> None:
    module.memories = [_limits(reader) for _ in range(reader.count())]


def _globals(reader: BinaryReader, module: WasmModule) -> None:
    for _ in range(_items(reader, "globals")):
        kind = reader.take(2)
        if kind[0] not in VALUE_TYPES:
            raise reader.fail("a global has a value type that consensus does not allow")
        module.globals.append(
            _function_reference(reader, kind) if kind[0] == FUNCREF else Global(kind, _constant(reader))
        )


def _function_reference(reader: BinaryReader, kind: bytes) -> Global:
    """Read a global that refers to a function or to null."""
    start = reader.position
    opcode = reader.byte()
    if opcode not in (REF_NULL, REF_FUNC):
        raise reader.fail("a global of type funcref must begin with ref.null or ref.func")
    operand = reader.u32()
    if (opcode == REF_NULL and operand != FUNCREF) or reader.byte() != END:
        raise reader.fail("an initial value must be one constant instruction")
    init = reader.data[start : reader.position]
    return Global(kind, init, operand if opcode == REF_FUNC else None)


def _constant(reader: BinaryReader) -> bytes:
    """Read a constant expression of one instruction; extended constant expressions are not part of consensus."""
    start = reader.position
    opcode = reader.byte()
    if opcode in (0x41, 0x42):
        reader.skip_leb(5 if opcode == 0x41 else 10)
    elif opcode in (0x43, 0x44):
        reader.take(4 if opcode == 0x43 else 8)
    else:
        raise reader.fail("an initial value or an offset must be one constant instruction")
    if reader.byte() != END:
        raise reader.fail("an initial value or an offset must be one constant instruction")
    return reader.data[start : reader.position]


def _offset(reader: BinaryReader) -> None:
    if _constant(reader)[0] != 0x41:
        raise reader.fail("the offset of a segment must be an i32.const")


def _exports(reader: BinaryReader, module: WasmModule) -> None:
    for _ in range(_items(reader, "exports")):
        module.exports.append(Export(reader.name(), reader.byte(), reader.u32()))


def _start(reader: BinaryReader, module: WasmModule) -> None:
    module.start = reader.u32()


def _elements(reader: BinaryReader, module: WasmModule) -> None:
    for _ in range(_items(reader, "element segments")):
        start = reader.position
        flags = reader.u32()
        if flags > 3:
            raise reader.fail("an element segment holds expressions")
        if flags == 2 and reader.u32() != 0:
            raise reader.fail("an element segment is for a table other than the first")
        if flags in (0, 2):
            _offset(reader)
        if flags != 0 and reader.byte() != 0:
            raise reader.fail("an element segment does not list functions")
        head = reader.data[start : reader.position]
        module.elements.append(ElementSegment(head, tuple(reader.u32() for _ in range(reader.count()))))


def _code(reader: BinaryReader, module: WasmModule) -> None:
    count, size = _items(reader, "functions", MAX_FUNCTIONS), reader.end - reader.position
    if size > MAX_CODE_BYTES:
        raise InvalidModule(f"the module has {size:,} bytes of code, the limit is {MAX_CODE_BYTES:,}")
    for _ in range(count):
        size = reader.u32()
        end = reader.position + size
        if end > reader.end:
            raise reader.fail("a function reaches past the code section")
        body = BinaryReader(reader.data, reader.position, end)
        groups = body.count()
        locals_at, total = body.position, 0
        if groups > MAX_LOCALS:
            raise body.fail(f"a function has {groups:,} groups of local variables, the limit is {MAX_LOCALS:,}")
        for _ in range(groups):
            total += body.u32()
            if total > MAX_LOCALS:
                raise body.fail(f"a function has more than {MAX_LOCALS:,} local variables")
            if body.byte() not in VALUE_TYPES:
                raise body.fail("a local variable has a type that consensus does not allow")
        if body.done or body.data[end - 1] != END:
            raise body.fail("a function does not end with `end`")
        module.bodies.append(FunctionBody(groups, total, locals_at, body.position, end))
        reader.position = end


def _data(reader: BinaryReader, module: WasmModule) -> None:  # checks only: the payload is copied
    for _ in range(_items(reader, "data segments")):
        flags = reader.u32()
        if flags > 2:
            raise reader.fail("a data segment has unknown flags")
        if flags == 2 and reader.u32() != 0:
            raise reader.fail("a data segment is for a memory other than the first")
        if flags != 1:
            _offset(reader)
        reader.take(reader.u32())


_SECTIONS: dict[int, Callable[[BinaryReader, WasmModule], None]] = {
    Section.TYPE: _types,
    Section.IMPORT: _imports,
    Section.FUNCTION: _functions,
    Section.TABLE: _tables,
    Section.MEMORY: _memories,
    Section.GLOBAL: _globals,
    Section.EXPORT: _exports,
    Section.START: _start,
    Section.ELEMENT: _elements,
    Section.CODE: _code,
    Section.DATA: _data,
}


def _check_indices(module: WasmModule) -> None:
    """Check the indices that the instrumenter uses; wasmtime checks the rest."""
    if len(module.functions) != len(module.bodies):
        raise InvalidModule(f"{len(module.functions)} functions are declared and {len(module.bodies)} have code")
    indices = module.function_type_indices()
    if any(index >= len(module.types) for index in indices):
        raise InvalidModule("a function's type does not exist")
    used = [export.index for export in module.exports if export.kind == ExternKind.FUNCTION]
    used += [index for segment in module.elements for index in segment.functions]
    used += [item.function for item in module.globals if item.function is not None]
    if module.start is not None:
        used.append(module.start)
    if any(index >= len(indices) for index in used):
        raise InvalidModule("an export, an element, a global or the start names a function that does not exist")


MAX_NAME_LENGTH = 120
"""Maximum length of a name in characters; longer names are cut in the middle."""

_FUNCTIONS = 1
_DIGITS, _MAX_DIGITS = re.compile(r"[0-9]+"), 4
_ESCAPE = re.compile(r"\$(SP|BP|RF|LT|GT|LP|RP|C|u[0-9a-f]{1,4})\$")
_ESCAPES = {"SP": "@", "BP": "*", "RF": "&", "LT": "<", "GT": ">", "LP": "(", "RP": ")", "C": ","}
_RUST_HASH = re.compile(r"::h[0-9a-f]{16}$")


@lru_cache(16)
def function_names(wasm: bytes) -> dict[int, str]:
    """Return the function names by index, without Rust's hashes. An unnamed function gets the name of its export."""
    try:
        exported = {
            item.index: _printable(item.name) for item in parse_module(wasm).exports if item.kind == ExternKind.FUNCTION
        }
    except InvalidModule:
        return {}
    try:
        return exported | _names(wasm)
    except InvalidModule:
        return exported


@lru_cache(16)
def function_count(wasm: bytes) -> int:
    """Return the number of functions of a valid module, including imported ones."""
    return len(parse_module(wasm).function_type_indices())


def function_label(names: dict[int, str], index: int) -> str:
    """Return a function's name, or `function N`."""
    return names.get(index) or f"function {index}"


def _names(wasm: bytes) -> dict[int, str]:
    reader = BinaryReader(wasm, len(MAGIC))
    while not reader.done:
        number, size = reader.byte(), reader.u32()
        end = reader.position + size
        if number == Section.CUSTOM and end <= reader.end:
            section = BinaryReader(wasm, reader.position, end)
            if section.name() == "name":
                return _function_names(section)
        reader.take(size)
    return {}


def _function_names(section: BinaryReader) -> dict[int, str]:
    while not section.done:
        kind, size = section.byte(), section.u32()
        if kind == _FUNCTIONS:
            return {section.u32(): _printable(section.name()) for _ in range(section.count())}
        section.take(size)
    return {}


def _demangle(name: str) -> str:
    """Return a name in Rust's legacy mangling (`_ZN3cid4read17h...E`) as a path; other names unchanged."""
    if not (name.startswith("_ZN") and name.endswith("E")):
        return name
    parts, rest = [], name[3:-1]
    while rest:
        digits = _DIGITS.match(rest)
        if digits is None or len(digits[0]) > _MAX_DIGITS:
            return name
        start = digits.end()
        end = start + int(digits[0])
        if end > len(rest):
            return name
        parts.append(rest[start:end])
        rest = rest[end:]
    path = "::".join(part.removeprefix("_") if part.startswith("_$") else part for part in parts)
    return _ESCAPE.sub(_unescape, path.replace("..", "::"))


def _unescape(found: re.Match[str]) -> str:
    code = found[1]
    if code in _ESCAPES:
        return _ESCAPES[code]
    return chr(int(code[1:], 16)) if code[1:] else found[0]


def _printable(name: str) -> str:
    plain = _RUST_HASH.sub("", _demangle(name))
    text = "".join(char if char.isprintable() else "?" for char in plain)
    half = MAX_NAME_LENGTH // 2
    return text if len(text) <= MAX_NAME_LENGTH else f"{text[:half]}...{text[-half:]}"
