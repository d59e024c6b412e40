"""Executes WASM instructions on bit vectors of z3: what a sequence computes, for all inputs at once.

The bytes are decoded here, from the specification's tables, and not by what wrote them: so an opcode that is encoded
wrongly means something else here, as it does for wasmtime. Whatever is not known is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import z3

_BINARY: Final[dict[int, Callable[[Any, Any], Any]]] = {
    0x7C: lambda a, b: a + b,
    0x7D: lambda a, b: a - b,
    0x83: lambda a, b: a & b,
    0x84: lambda a, b: a | b,
    0x85: lambda a, b: a ^ b,
    0x86: lambda a, b: a << (b & 63),
    0x87: lambda a, b: a >> (b & 63),
    0x88: lambda a, b: z3.LShR(a, b & 63),
    0x72: lambda a, b: a | b,
}
_COMPARED: Final[dict[int, Callable[[Any, Any], Any]]] = {
    0x51: lambda a, b: a == b,
    0x52: lambda a, b: a != b,
    0x53: lambda a, b: a < b,
    0x54: z3.ULT,
    0x5A: z3.UGE,
}


@dataclass(slots=True)
class Model:
    """Locals and WASM's stack; `products` are what stands for the product of two limbs, by what is multiplied."""

    locals: dict[int, Any]
    product: Callable[[Any, Any], Any]
    """128 bits that stand for the product of two limbs."""
    stack: list[Any] = field(default_factory=list)

    def run(self, code: bytes) -> None:
        """Execute a sequence without branches. Raises ValueError for an instruction that is not known here."""
        place = 0
        while place < len(code):
            opcode = code[place]
            place += 1
            if opcode in (0x20, 0x21, 0x22):
                number, place = _unsigned(code, place)
                self._local(opcode, number)
            elif opcode in (0x41, 0x42):
                value, place = _signed(code, place)
                self.stack.append(z3.BitVecVal(value, 32 if opcode == 0x41 else 64))
            elif opcode == 0xFC:
                number, place = _unsigned(code, place)
                self._wide(number)
            else:
                self._plain(opcode)

    def _local(self, opcode: int, number: int) -> None:
        if opcode == 0x20:
            self.stack.append(self.locals[number])
        elif opcode == 0x21:
            self.locals[number] = self.stack.pop()
        else:
            self.locals[number] = self.stack[-1]

    def _plain(self, opcode: int) -> None:
        stack = self.stack
        if opcode in _BINARY:
            b, a = stack.pop(), stack.pop()
            stack.append(_BINARY[opcode](a, b))
        elif opcode in _COMPARED:
            b, a = stack.pop(), stack.pop()
            stack.append(_bit(_COMPARED[opcode](a, b)))
        elif opcode in (0x45, 0x50):
            stack.append(_bit(stack.pop() == 0))
        elif opcode == 0x1B:
            condition, second, first = stack.pop(), stack.pop(), stack.pop()
            stack.append(z3.If(condition != 0, first, second))
        elif opcode == 0xAD:
            stack.append(z3.ZeroExt(32, stack.pop()))
        elif opcode == 0x7E:
            b, a = stack.pop(), stack.pop()
            stack.append(z3.Extract(63, 0, self.product(a, b)))
        else:
            raise ValueError(f"an instruction that is not modelled: 0x{opcode:02x}")

    def _wide(self, number: int) -> None:
        stack = self.stack
        if number in (0x13, 0x14):
            high, low, upper, lower = stack.pop(), stack.pop(), stack.pop(), stack.pop()
            a, b = z3.Concat(upper, lower), z3.Concat(high, low)
            self._put_wide(a + b if number == 0x13 else a - b)
        elif number == 0x16:
            b, a = stack.pop(), stack.pop()
            self._put_wide(self.product(a, b))
        else:
            raise ValueError(f"an instruction that is not modelled: 0xfc {number}")

    def _put_wide(self, value: Any) -> None:
        self.stack += [z3.Extract(63, 0, value), z3.Extract(127, 64, value)]


def _bit(condition: Any) -> Any:
    return z3.If(condition, z3.BitVecVal(1, 32), z3.BitVecVal(0, 32))


def _unsigned(code: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = code[place]
        place += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, place


def _signed(code: bytes, place: int) -> tuple[int, int]:
    begin = place
    number, place = _unsigned(code, place)
    bits = 7 * (place - begin)
    return (number - (1 << bits) if number >> (bits - 1) else number), place
