"""Executes WASM functions with branches, calls and memory on bit vectors of z3, along every path that is possible.

Addresses, and the selectors of tables, must be known numbers. A called function is executed too, unless it has a
contract: its effect in one step. `Divisions` defines the division instructions. Code that is not modelled raises
ValueError.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import z3

from tests.verification.wasm_code import (
    BLOCK,
    BRANCH,
    BRANCH_IF,
    BRANCH_TABLE,
    CALL,
    ELSE,
    END,
    IF,
    LOOP,
    RETURN,
    Function,
    Module,
)
from tests.verification.wasm_model import LIMB, Model

_LOADS: Final = {0x28: 4, 0x29: 8, 0x35: 4, 0xFD00: 16}
_STORES: Final = {0x36: 4, 0x37: 8, 0x3A: 1, 0xFD0B: 16}
"""Bytes that are read and written, by opcode."""
_EXTENDS: Final = 0x35
_STORE_BYTE: Final = 0x3A
_WIDEST: Final = 16
_I32, _V128 = 0x7F, 0x7B
_MAX_STEPS: Final = 20_000


class Divisions(Protocol):
    """Meaning of the division instructions."""

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
        """Write a word of four limbs."""
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
    """Return the width of a type."""
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
