"""Decodes a WASM module into functions whose instructions have their operands and the ends of their blocks.

Sections that arithmetic does not need are skipped. An unknown instruction is an error.
"""

from dataclasses import dataclass, field
from typing import Final

from runtimes.wasmtime.encoding import u32
from tests.verification.wasm_model import signed, unsigned

BLOCK, LOOP, IF, ELSE, END = 0x02, 0x03, 0x04, 0x05, 0x0B
BRANCH, BRANCH_IF, BRANCH_TABLE, RETURN, CALL = 0x0C, 0x0D, 0x0E, 0x0F, 0x10
_EMPTY: Final = 0x40
_ONE_INDEX: Final = frozenset((BRANCH, BRANCH_IF, CALL, 0x20, 0x21, 0x22, 0x23, 0x24))
_MEMORY: Final = range(0x28, 0x3F)
_WITHOUT_OPERAND: Final = frozenset((0x00, 0x01, ELSE, END, RETURN, 0x1A, 0x1B, *range(0x45, 0xC5)))
_TYPES, _IMPORTS, _FUNCTIONS, _GLOBALS, _EXPORTS, _CODE = 1, 2, 3, 6, 7, 10


@dataclass(frozen=True, slots=True)
class Instruction:
    """An opcode, with its prefix in the upper byte, and its operands: an index, a number, an offset or depths."""

    opcode: int
    operands: tuple[int, ...] = ()


@dataclass(slots=True)
class Function:
    """The types of a function's own locals, and its instructions."""

    locals: list[int] = field(default_factory=list)
    code: list[Instruction] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    """Position of the `end` of each block, loop and if."""
    alternatives: dict[int, int] = field(default_factory=dict)
    """Position of the `else` of an if that has one."""


class Module:
    """A module's functions by index, the first of them imported, and its exported functions by name."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._spans: dict[int, tuple[int, int]] = {}
        """Begin and end of each section, with its header."""
        sections = self._sections = self._read_sections()
        self._types = self._read_types(sections[_TYPES])
        self._signatures = self._read_imports(sections[_IMPORTS])
        self.imported = len(self._signatures)
        count, place = unsigned(data, sections[_FUNCTIONS])
        for _ in range(count):
            kind, place = unsigned(data, place)
            self._signatures.append(kind)
        self.exports = self._read_exports(sections[_EXPORTS])
        self._bodies = self._read_bodies(sections[_CODE])
        self.count = self.imported + len(self._bodies)
        self._decoded: dict[int, Function] = {}

    def exporting(self, name: str, index: int) -> bytes:
        """Return the module with one more exported function."""
        data, entry = self._data, bytes((len(name), *name.encode(), 0)) + u32(index)
        count, first = unsigned(data, self._sections[_EXPORTS])
        begin, end = self._spans[_EXPORTS]
        content = u32(count + 1) + data[first:end] + entry
        return data[:begin] + _EXPORTS.to_bytes() + u32(len(content)) + content + data[end:]

    def function(self, index: int) -> Function:
        """Return a function that is not imported."""
        if index not in self._decoded:
            self._decoded[index] = self._decode(index)
        return self._decoded[index]

    def parameters(self, index: int) -> int:
        """Return the number of a function's parameters."""
        return self._types[self._signatures[index]][0]

    def callees(self, index: int) -> list[int]:
        """Return the functions that a function calls by index, each once."""
        found = (each.operands[0] for each in self.function(index).code if each.opcode == CALL)
        return sorted(set(found))

    def _read_sections(self) -> dict[int, int]:
        """Return where the content of each section begins."""
        found, place = {}, 8
        while place < len(self._data):
            begin, kind = place, self._data[place]
            length, place = unsigned(self._data, place + 1)
            if kind:
                found[kind] = place
                self._spans[kind] = begin, place + length
            place += length
        return found

    def _read_types(self, place: int) -> list[tuple[int, int]]:
        count, place = unsigned(self._data, place)
        found = []
        for _ in range(count):
            parameters, place = unsigned(self._data, place + 1)
            place += parameters
            results, place = unsigned(self._data, place)
            place += results
            found.append((parameters, results))
        return found

    def _read_imports(self, place: int) -> list[int]:
        """Return the types of imported functions; memories, tables and globals are skipped."""
        count, place = unsigned(self._data, place)
        functions: list[int] = []
        for _ in range(count):
            for _ in range(2):
                length, place = unsigned(self._data, place)
                place += length
            kind = self._data[place]
            place += 1
            if kind == 0:
                signature, place = unsigned(self._data, place)
                functions.append(signature)
            elif kind == 3:
                place += 2
            else:
                place += kind == 1
                flags = self._data[place]
                place += 1
                for _ in range(1 + (flags & 1)):
                    _, place = unsigned(self._data, place)
        return functions

    def _read_exports(self, place: int) -> dict[str, int]:
        count, place = unsigned(self._data, place)
        found = {}
        for _ in range(count):
            length, place = unsigned(self._data, place)
            name = self._data[place : place + length].decode()
            kind = self._data[place + length]
            index, place = unsigned(self._data, place + length + 1)
            if kind == 0:
                found[name] = index
        return found

    def _read_bodies(self, place: int) -> list[tuple[int, int]]:
        count, place = unsigned(self._data, place)
        found = []
        for _ in range(count):
            size, place = unsigned(self._data, place)
            found.append((place, place + size))
            place += size
        return found

    def _decode(self, index: int) -> Function:
        function = Function()
        place, end = self._bodies[index - self.imported]
        groups, place = unsigned(self._data, place)
        for _ in range(groups):
            count, place = unsigned(self._data, place)
            function.locals += [self._data[place]] * count
            place += 1
        opened: list[int] = []
        while place < end:
            instruction, place = self._instruction(place)
            at = len(function.code)
            function.code.append(instruction)
            if instruction.opcode in (BLOCK, LOOP, IF):
                opened.append(at)
            elif instruction.opcode == ELSE:
                function.alternatives[opened[-1]] = at
            elif instruction.opcode == END and opened:
                function.ends[opened.pop()] = at
        return function

    def _instruction(self, place: int) -> tuple[Instruction, int]:
        data, opcode = self._data, self._data[place]
        place += 1
        if opcode in _WITHOUT_OPERAND:
            return Instruction(opcode), place
        if opcode in (BLOCK, LOOP, IF):
            if data[place] != _EMPTY:
                raise ValueError("a block with results is not modelled")
            return Instruction(opcode), place + 1
        if opcode in _ONE_INDEX:
            number, place = unsigned(data, place)
            return Instruction(opcode, (number,)), place
        if opcode in (0x41, 0x42):
            number, place = signed(data, place)
            return Instruction(opcode, (number,)), place
        if opcode in _MEMORY:
            _, place = unsigned(data, place)
            offset, place = unsigned(data, place)
            return Instruction(opcode, (offset,)), place
        if opcode == BRANCH_TABLE:
            count, place = unsigned(data, place)
            depths = []
            for _ in range(count + 1):
                depth, place = unsigned(data, place)
                depths.append(depth)
            return Instruction(opcode, tuple(depths)), place
        if opcode in (0xFC, 0xFD):
            return self._prefixed(opcode, place)
        if opcode == 0x11:
            kind, place = unsigned(data, place)
            table, place = unsigned(data, place)
            return Instruction(opcode, (kind, table)), place
        raise ValueError(f"opcode 0x{opcode:02x} is not decoded")

    def _prefixed(self, prefix: int, place: int) -> tuple[Instruction, int]:
        data = self._data
        number, place = unsigned(data, place)
        opcode = prefix << 8 | number
        if prefix == 0xFC:
            operands = {0x08: 2, 0x0A: 2, 0x0B: 1}.get(number, 0)
            return Instruction(opcode), place + operands
        if number <= 0x0B or number in (0x5C, 0x5D):
            _, place = unsigned(data, place)
            offset, place = unsigned(data, place)
            return Instruction(opcode, (offset,)), place
        if number in (0x0C, 0x0D):
            return Instruction(opcode, (int.from_bytes(data[place : place + 16], "little"),)), place + 16
        if 0x15 <= number <= 0x22:
            return Instruction(opcode, (data[place],)), place + 1
        if 0x54 <= number <= 0x5B:
            raise ValueError(f"opcode 0xfd {number} is not decoded")
        return Instruction(opcode), place
