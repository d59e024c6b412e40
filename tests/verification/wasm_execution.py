"""Symbolic execution of WASM on z3 bit vectors.

- Symbolic execution of WASM instruction sequences on z3 bit vectors, for all inputs at once.
- Decodes a WASM module into functions whose instructions have their operands and the ends of their blocks.
- Executes WASM functions with branches, calls and memory on bit vectors of z3, along every path that is possible.

The bytes are decoded here according to the tables of the specification, independently of the encoder under test. An
opcode that is encoded wrongly therefore has another meaning here, as it has for wasmtime. Unknown opcodes are errors.

Sections that arithmetic does not need are skipped. An unknown instruction is an error.

Addresses, and the selectors of tables, must be known numbers. A called function is executed too, unless it has a
contract: its effect in one step. `Divisions` defines the division instructions. Code that is not modelled raises
ValueError.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import z3

from runtimes.wasmtime.encoding import u32

z3.Z3_enable_concurrent_dec_ref(z3.main_ctx().ref())  # for the reason in soltest/symbolic/words.py

BINARY: Final[dict[int, Callable[[Any, Any], Any]]] = {
    0x6A: lambda a, b: a + b,
    0x6B: lambda a, b: a - b,
    0x71: lambda a, b: a & b,
    0x72: lambda a, b: a | b,
    0x73: lambda a, b: a ^ b,
    0x74: lambda a, b: a << (b & 31),
    0x76: lambda a, b: z3.LShR(a, b & 31),
    0x7C: lambda a, b: a + b,
    0x7D: lambda a, b: a - b,
    0x83: lambda a, b: a & b,
    0x84: lambda a, b: a | b,
    0x85: lambda a, b: a ^ b,
    0x86: lambda a, b: a << (b & 63),
    0x87: lambda a, b: a >> (b & 63),
    0x88: lambda a, b: z3.LShR(a, b & 63),
}
_ORDERED: Final[tuple[Callable[[Any, Any], Any], ...]] = (
    lambda a, b: a == b,
    lambda a, b: a != b,
    lambda a, b: a < b,
    z3.ULT,
    lambda a, b: a > b,
    z3.UGT,
    lambda a, b: a <= b,
    z3.ULE,
    lambda a, b: a >= b,
    z3.UGE,
)
COMPARED: Final = {first + at: compare for first in (0x46, 0x51) for at, compare in enumerate(_ORDERED)}
"""Comparisons of 32 bits from 0x46 on, of 64 bits from 0x51 on."""

LIMB: Final = 64
_FIXED: Final = frozenset((0x7E, 0x86, 0x87, 0x88))
"""Multiplication, which has products of a fixed width, and shifts, which take amounts modulo 64."""


@dataclass(slots=True)
class Model:
    """The locals and the operand stack of a WASM function."""

    locals: dict[int, Any]
    product: Callable[[Any, Any], Any]
    """Function that returns the 128-bit product of two limbs, possibly as an uninterpreted value."""
    stack: list[Any] = field(default_factory=list)
    bits: int = LIMB
    """Width of WASM's 64-bit numbers in the model; smaller for code whose result does not depend on the width."""

    def run(self, code: bytes) -> None:
        """Execute a sequence without branches. Raises ValueError for an unknown instruction."""
        place = 0
        while place < len(code):
            opcode = code[place]
            place += 1
            if opcode in (0x20, 0x21, 0x22):
                number, place = unsigned(code, place)
                self.local(opcode, number)
            elif opcode in (0x41, 0x42):
                value, place = signed(code, place)
                self.stack.append(z3.BitVecVal(value, 32 if opcode == 0x41 else 64))
            elif opcode == 0xFC:
                number, place = unsigned(code, place)
                self.wide(number)
            else:
                self.plain(opcode)

    def local(self, opcode: int, number: int) -> None:
        """Execute local.get, local.set or local.tee."""
        if opcode == 0x20:
            self.stack.append(self.locals[number])
        elif opcode == 0x21:
            self.locals[number] = self.stack.pop()
        else:
            self.locals[number] = self.stack[-1]

    def plain(self, opcode: int) -> None:
        """Execute an instruction without immediate operands."""
        stack = self.stack
        if self.bits != LIMB and opcode in _FIXED:
            raise ValueError(f"the result of opcode 0x{opcode:02x} depends on the width of numbers")
        if opcode in BINARY:
            b, a = stack.pop(), stack.pop()
            stack.append(BINARY[opcode](a, b))
        elif opcode in COMPARED:
            b, a = stack.pop(), stack.pop()
            stack.append(_bit(COMPARED[opcode](a, b)))
        elif opcode in (0x45, 0x50):
            stack.append(_bit(stack.pop() == 0))
        elif opcode == 0x1B:
            condition, second, first = stack.pop(), stack.pop(), stack.pop()
            stack.append(z3.If(condition != 0, first, second))
        elif opcode == 0x1A:
            stack.pop()
        elif opcode == 0xA7:
            value = stack.pop()
            stack.append(z3.Extract(31, 0, value) if self.bits > 32 else z3.ZeroExt(32 - self.bits, value))
        elif opcode == 0xAD:
            value = stack.pop()  # a truth value, if numbers are narrow
            stack.append(z3.ZeroExt(32, value) if self.bits > 32 else z3.Extract(self.bits - 1, 0, value))
        elif opcode == 0x7E:
            b, a = stack.pop(), stack.pop()
            stack.append(z3.Extract(63, 0, self.product(a, b)))
        else:
            raise ValueError(f"opcode 0x{opcode:02x} is not modelled")

    def wide(self, number: int) -> None:
        """Execute an instruction of the wide-arithmetic proposal."""
        stack = self.stack
        if number in (0x13, 0x14):
            high, low, upper, lower = stack.pop(), stack.pop(), stack.pop(), stack.pop()
            a, b = z3.Concat(upper, lower), z3.Concat(high, low)
            self._put_wide(a + b if number == 0x13 else a - b)
        elif number == 0x16:
            b, a = stack.pop(), stack.pop()
            self._put_wide(self.product(a, b))
        else:
            raise ValueError(f"opcode 0xfc {number} is not modelled")

    def _put_wide(self, value: Any) -> None:
        bits = self.bits
        self.stack += [z3.Extract(bits - 1, 0, value), z3.Extract(2 * bits - 1, bits, value)]


def _bit(condition: Any) -> Any:
    return z3.If(condition, z3.BitVecVal(1, 32), z3.BitVecVal(0, 32))


def unsigned(code: bytes, place: int) -> tuple[int, int]:
    """Decode LEB128 at a position; return the number and the position behind it."""
    number = shift = 0
    while True:
        byte = code[place]
        place += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, place


def signed(code: bytes, place: int) -> tuple[int, int]:
    """Decode signed LEB128, in the same way."""
    begin = place
    number, place = unsigned(code, place)
    bits = 7 * (place - begin)
    return (number - (1 << bits) if number >> (bits - 1) else number), place


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
        return self._types[self._signatures[index]][0]

    def callees(self, index: int) -> list[int]:
        found = (each.operands[0] for each in self.function(index).code if each.opcode == CALL)
        return sorted(set(found))

    def _read_sections(self) -> dict[int, int]:
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


_LOADS: Final = {0x28: 4, 0x29: 8, 0x35: 4, 0xFD00: 16}
_STORES: Final = {0x36: 4, 0x37: 8, 0x3A: 1, 0xFD0B: 16}
"""Bytes that are read and written, by opcode."""
_EXTENDS: Final = 0x35
_STORE_BYTE: Final = 0x3A
_WIDEST: Final = 16
_I32, _V128 = 0x7F, 0x7B
_MAX_STEPS: Final = 20_000


class Divisions(Protocol):
    def machine(self, opcode: int, a: Any, b: Any) -> Any:
        """Return the result of i64.div_s, div_u, rem_s or rem_u (0x7F to 0x82)."""


class Violated(Exception):
    """Raised if an input breaks a condition that must hold, such as a divisor that is not zero."""


@dataclass(slots=True)
class World:
    """Symbolic state: memory cells of 1, 4 or 8 bytes, globals, and path conditions.

    With fewer than 64 `bits`, a cell of 8 bytes holds a number of that many bits, and a word consists of four such
    numbers. Instructions whose meaning depends on the width raise ValueError, so that a result holds for any width.
    """

    memory: dict[int, tuple[int, Any]] = field(default_factory=dict)
    globals: dict[int, Any] = field(default_factory=dict)
    path: tuple[Any, ...] = ()
    bits: int = LIMB

    def copy(self) -> "World":
        return World(dict(self.memory), dict(self.globals), self.path, self.bits)

    def read(self, address: int, size: int) -> Any:
        """Read a cell, or two cells of 8 bytes. Raises ValueError if nothing of this size was written here."""
        if size == _WIDEST:
            return z3.Concat(self.read(address + 8, 8), self.read(address, 8))
        written, value = self.memory.get(address, (0, None))
        if written != size:
            raise ValueError(f"{size} bytes at {address:#x} were not written as such")
        return value

    def write(self, address: int, size: int, value: Any) -> None:
        """Write a cell, or two cells of 8 bytes; cells that it overlaps are gone."""
        if size == _WIDEST:
            self.write(address, 8, z3.Extract(self.bits - 1, 0, value))
            self.write(address + 8, 8, z3.Extract(2 * self.bits - 1, self.bits, value))
            return
        for other in range(address - 7, address + size):
            if other in self.memory and other + self.memory[other][0] > address:
                del self.memory[other]
        self.memory[address] = (size, value)

    def word(self, address: int) -> Any:
        """Read a word of four limbs, lowest first."""
        return z3.Concat(*(self.read(address + 8 * limb, 8) for limb in (3, 2, 1, 0)))

    def put_word(self, address: int, value: Any) -> None:
        for limb in range(4):
            low = self.bits * limb
            self.write(address + 8 * limb, 8, z3.Extract(low + self.bits - 1, low, value))

    def holds(self, condition: Any, *facts: Any) -> None:
        """Raise Violated if `condition` can be false here."""
        if possible((*self.path, *facts, z3.Not(condition))):
            raise Violated(str(z3.simplify(condition))[:200])


Contract = Callable[[World, list[Any]], None]
"""Effect of a function without results on the world, by its arguments."""


@dataclass(slots=True)
class _Frame:
    """One function on one path. `labels` are the positions of the open blocks, with the height of the stack there."""

    model: Model
    world: World
    place: int = 0
    labels: list[tuple[int, int]] = field(default_factory=list)

    def copy(self) -> "_Frame":
        model = Model(dict(self.model.locals), self.model.product, list(self.model.stack), self.model.bits)
        return _Frame(model, self.world.copy(), self.place, list(self.labels))


class Execution:
    """Executes functions of one module."""

    def __init__(self, module: Module, contracts: Mapping[int, Contract], divisions: Divisions) -> None:
        self._module = module
        self._contracts = contracts
        self._divisions = divisions

    def run(self, index: int, arguments: list[Any], world: World) -> Iterator[World]:
        """Execute a function without results; yield the world at the end of each path that is possible."""
        function = self._module.function(index)
        values = dict(enumerate(arguments))
        for kind in function.locals:
            values[len(values)] = z3.BitVecVal(0, _size(kind, world.bits))
        pending = [_Frame(Model(values, _no_product, bits=world.bits), world)]
        while pending:
            frame = pending.pop()
            if self._advance(function, frame, pending):
                yield frame.world

    def _advance(self, function: Function, frame: _Frame, pending: list[_Frame]) -> bool:
        """Execute until the function ends (True), or other frames continue it (False)."""
        stack = frame.model.stack
        for _ in range(_MAX_STEPS):
            instruction = function.code[frame.place]
            opcode, operands = instruction.opcode, instruction.operands
            if opcode in (BLOCK, LOOP):
                frame.labels.append((frame.place, len(stack)))
            elif opcode == ELSE:
                frame.place = function.ends[frame.labels.pop()[0]]
            elif opcode == END:
                if not frame.labels:
                    return True
                frame.labels.pop()
            elif opcode == RETURN:
                return True
            elif opcode == BRANCH:
                if self._branch(function, frame, operands[0]):
                    return True
                continue
            elif opcode == BRANCH_TABLE:
                selected = min(_number(stack.pop()), len(operands) - 1)
                if self._branch(function, frame, operands[selected]):
                    return True
                continue
            elif opcode in (BRANCH_IF, IF):
                self._fork(function, frame, pending)
                return False
            elif opcode == CALL:
                self._call(frame, operands[0], pending)
                return False
            else:
                self._execute(frame, opcode, operands)
            frame.place += 1
        raise ValueError(f"more than {_MAX_STEPS} instructions on one path")

    def _branch(self, function: Function, frame: _Frame, depth: int) -> bool:
        """Go to a label; return True if it is the function's end."""
        if depth == len(frame.labels):
            return True
        label, height = frame.labels[-1 - depth]
        del frame.labels[len(frame.labels) - 1 - depth :], frame.model.stack[height:]
        is_loop = function.code[label].opcode == LOOP
        frame.place = label if is_loop else function.ends[label] + 1
        return False

    def _fork(self, function: Function, frame: _Frame, pending: list[_Frame]) -> None:
        opcode, place = function.code[frame.place].opcode, frame.place
        condition = z3.simplify(frame.model.stack.pop() != 0)
        for truth, decided in ((True, condition), (False, z3.simplify(z3.Not(condition)))):
            if z3.is_false(decided) or not (z3.is_true(decided) or possible((*frame.world.path, decided))):
                continue
            taken = frame.copy()
            if not z3.is_true(decided):
                taken.world.path = (*taken.world.path, decided)
            if opcode == BRANCH_IF and truth:
                if self._branch(function, taken, function.code[place].operands[0]):
                    taken.labels, taken.place = [], len(function.code) - 1
            else:
                self._enter(function, taken, opcode, truth)
            pending.append(taken)

    def _enter(self, function: Function, frame: _Frame, opcode: int, truth: bool) -> None:
        """Continue behind a branch that is not taken, or in one part of an if."""
        place = frame.place
        if opcode == BRANCH_IF or truth:
            frame.place += 1
        else:
            frame.place = function.alternatives.get(place, function.ends[place] - 1) + 1
        if opcode == IF:
            frame.labels.append((place, len(frame.model.stack)))

    def _call(self, frame: _Frame, index: int, pending: list[_Frame]) -> None:
        frame.place += 1
        contract = self._contracts.get(index)
        if contract is None and index < self._module.imported:
            raise ValueError(f"the imported function {index} has no contract")
        count = self._module.parameters(index)
        stack = frame.model.stack
        arguments = stack[len(stack) - count :]
        del stack[len(stack) - count :]
        if contract is not None:
            contract(frame.world, arguments)
            pending.append(frame)
            return
        for world in self.run(index, arguments, frame.world.copy()):
            after = frame.copy()
            after.world = world
            pending.append(after)

    def _execute(self, frame: _Frame, opcode: int, operands: tuple[int, ...]) -> None:
        model, stack, world = frame.model, frame.model.stack, frame.world
        if opcode in (0x20, 0x21, 0x22):
            model.local(opcode, operands[0])
        elif opcode in (0x41, 0x42):
            if opcode == 0x42 and operands[0] not in (-1, 0, 1) and world.bits != LIMB:
                raise ValueError(f"the number {operands[0]} may depend on the width of numbers")
            stack.append(z3.BitVecVal(operands[0], 32 if opcode == 0x41 else world.bits))
        elif opcode == 0x23:
            stack.append(world.globals[operands[0]])
        elif opcode == 0x24:
            world.globals[operands[0]] = stack.pop()
        elif opcode in _LOADS:
            value = world.read(_number(stack.pop()) + operands[0], _LOADS[opcode])
            stack.append(z3.ZeroExt(32, value) if opcode == _EXTENDS else value)
        elif opcode in _STORES:
            value = stack.pop()
            value = z3.Extract(7, 0, value) if opcode == _STORE_BYTE else value
            world.write(_number(stack.pop()) + operands[0], _STORES[opcode], z3.simplify(value))
        elif opcode == 0xFD0C:
            if operands[0] and world.bits != LIMB:
                raise ValueError("a vector may depend on the width of numbers")
            stack.append(z3.BitVecVal(operands[0], 2 * world.bits))
        elif opcode in range(0x7F, 0x83):
            b, a = stack.pop(), stack.pop()
            world.holds(b != 0)
            stack.append(self._divisions.machine(opcode, a, b))
        elif opcode >> 8 == 0xFC:
            model.wide(opcode & 0xFF)
        else:
            model.plain(opcode)


def _size(kind: int, bits: int) -> int:
    if kind == _I32:
        return 32
    return 2 * bits if kind == _V128 else bits


def possible(conditions: tuple[Any, ...]) -> bool:
    """Return False if the solver shows that these conditions contradict each other."""
    solver = z3.SolverFor("QF_UFBV")
    solver.set("timeout", 20_000)
    solver.add(*conditions)
    return bool(solver.check() != z3.unsat)


def _number(value: Any) -> int:
    known = z3.simplify(value)
    if not z3.is_bv_value(known):
        raise ValueError(f"an address or selector is not a known number: {str(known)[:100]}")
    return int(known.as_long())


def _no_product(_: Any, __: Any) -> Any:
    raise ValueError("a product is not modelled here")
