"""Symbolic execution of WASM instruction sequences on z3 bit vectors, for all inputs at once.

The bytes are decoded here according to the tables of the specification, independently of the encoder under test. An
opcode that is encoded wrongly therefore has another meaning here, as it has for wasmtime. Unknown opcodes are errors.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import z3

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
