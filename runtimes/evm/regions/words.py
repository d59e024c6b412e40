"""256-bit words in WASM: four limbs of 64 bits each, lowest first; a limb is a constant or a local.

Constants are folded when a region is compiled: comparisons have three zero limbs, masks remove limbs.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final, NewType

from runtimes.evm.regions import wasm

Local = NewType("Local", int)
Limb = int | tuple[Local]
"""A 64-bit part of a word: a constant, or the local that holds it."""
Limbs = tuple[Limb, Limb, Limb, Limb]

ONES: Final = (1 << 64) - 1
ZERO: Final[Limbs] = (0, 0, 0, 0)
_BITS: Final = 256
_WORD: Final = (1 << _BITS) - 1


def constant(value: int) -> Limbs:
    """Return the limbs of a number."""
    return value & ONES, value >> 64 & ONES, value >> 128 & ONES, value >> 192 & ONES


def constant_value(limbs: Limbs) -> int | None:
    """Return the number if all limbs are constants, else None."""
    a, b, c, d = limbs
    if isinstance(a, int) and isinstance(b, int) and isinstance(c, int) and isinstance(d, int):
        return a | b << 64 | c << 128 | d << 192
    return None


def size(limbs: Limbs) -> int:
    """Return the number of limbs without the upper ones that are known to be zero."""
    return next((4 - index for index, limb in enumerate(reversed(limbs)) if limb != 0), 0)


class WordEmitter:
    """Encodes operations on words into `code`; temporary locals are numbered from `first` on.

    `next` is the number of the next free local, and `peak` its highest value so far.
    """

    def __init__(self, first: int, multiply: int) -> None:
        self.code = bytearray()
        self.first = self.next = self.peak = first
        self._multiply = multiply
        """Index of the function that multiplies two words: eight limbs to four."""

    def local(self) -> Local:
        """Allocate a local."""
        number = self.next
        self.next += 1
        self.peak = max(self.peak, self.next)
        return Local(number)

    def push(self, limb: Limb) -> None:
        """Push a limb on WASM's stack."""
        self.code += wasm.i64(limb) if isinstance(limb, int) else wasm.get(limb[0])

    def pop(self) -> tuple[Local]:
        """Pop a limb from WASM's stack into a new local."""
        local = self.local()
        self.code += wasm.put(local)
        return (local,)

    # --- numbers ----------------------------------------------------------------------------------------------

    def add(self, a: Limbs, b: Limbs) -> Limbs:
        """Encode a + b."""
        limbs: list[Limb] = []
        carry: Limb = 0
        limb: Limb
        for left, right in zip(a[:3], b[:3], strict=True):
            if isinstance(left, int) and isinstance(right, int) and isinstance(carry, int):
                total = left + right + carry
                limb, carry = total & ONES, total >> 64
            elif left == 0 and right == 0:
                limb, carry = carry, 0
            elif carry == 0 and 0 in (left, right):
                limb = right if left == 0 else left
            else:
                limb, carry = self._add_with_carry(left, right, carry)
            limbs.append(limb)
        limbs.append(self.add_limbs(self.add_limbs(a[3], b[3]), carry))
        return limbs[0], limbs[1], limbs[2], limbs[3]

    def _add_with_carry(self, left: Limb, right: Limb, carry: Limb) -> tuple[Limb, Limb]:
        self._wide(left, 0)
        self._wide(right, 0)
        self.code += wasm.ADD128
        if carry != 0:
            self._wide(carry, 0)
            self.code += wasm.ADD128
        high = self.pop()
        return self.pop(), high

    def subtract(self, a: Limbs, b: Limbs) -> Limbs:
        """Encode a - b."""
        limbs: list[Limb] = []
        limb: Limb
        borrow: Limb = 0  # 0 or, after a borrow, all ones
        for left, right in zip(a[:3], b[:3], strict=True):
            if isinstance(left, int) and isinstance(right, int) and isinstance(borrow, int):
                difference = left - right - (borrow & 1)
                limb, borrow = difference & ONES, ONES if difference < 0 else 0
            elif right == 0 and borrow == 0:
                limb = left
            else:
                self._wide(left, 0)
                self._wide(right, 0)
                self.code += wasm.SUB128
                if borrow != 0:
                    self._wide(borrow, borrow)
                    self.code += wasm.ADD128
                borrow = self.pop()
                limb = self.pop()
            limbs.append(limb)
        difference_limb = a[3] if b[3] == 0 else self._limb(wasm.I64_SUB, a[3], b[3], lambda x, y: x - y)
        limbs.append(self.add_limbs(difference_limb, borrow))
        return limbs[0], limbs[1], limbs[2], limbs[3]

    def multiply(self, a: Limbs, b: Limbs) -> Limbs:
        """Encode a * b."""
        if size(a) < size(b):
            a, b = b, a
        if size(b) == 0:
            return ZERO
        if constant_value(b) == 1:
            return a
        if size(b) == 1:
            return self._multiply_short(a, b[0])
        for limb in (*a, *b):
            self.push(limb)
        self.code += wasm.call(self._multiply)
        limbs = [self.pop() for _ in range(4)]
        return limbs[3], limbs[2], limbs[1], limbs[0]

    def _multiply_short(self, a: Limbs, b: Limb) -> Limbs:
        limbs: list[Limb] = []
        carry: Limb = 0
        for limb in a[:3]:
            if limb == 0:
                limbs.append(carry)
                carry = 0
                continue
            self.push(limb)
            self.push(b)
            self.code += wasm.MUL_WIDE_U
            if carry != 0:
                self._wide(carry, 0)
                self.code += wasm.ADD128
            carry = self.pop()
            limbs.append(self.pop())
        last = 0 if a[3] == 0 else self._limb(wasm.I64_MUL, a[3], b, lambda x, y: x * y)
        limbs.append(self.add_limbs(last, carry))
        return limbs[0], limbs[1], limbs[2], limbs[3]

    def add_row(self, sums: Limbs, a: Limbs, b: Limb, row: int) -> Limbs:
        """Encode sums + (a * b << 64 * row), one row of a long multiplication."""
        added: list[Limb] = list(sums)
        carry: Limb = 0
        for at, limb in zip(range(row, 3), a, strict=False):
            self.push(limb)
            self.push(b)
            self.code += wasm.MUL_WIDE_U
            for more in (sums[at], carry):
                if more != 0:
                    self._wide(more, 0)
                    self.code += wasm.ADD128
            carry = self.pop()
            added[at] = self.pop()
        last = self._limb(wasm.I64_MUL, a[3 - row], b, lambda x, y: x * y)
        added[3] = self.add_limbs(self.add_limbs(last, sums[3]), carry)
        return added[0], added[1], added[2], added[3]

    def add_limbs(self, a: Limb, b: Limb) -> Limb:
        """Encode the sum of two limbs modulo 2^64."""
        if a == 0:
            return b
        return a if b == 0 else self._limb(wasm.I64_ADD, a, b, lambda x, y: x + y)

    def _wide(self, low: Limb, high: Limb) -> None:
        self.push(low)
        self.push(high)

    def _limb(self, opcode: bytes, a: Limb, b: Limb, fold: Callable[[int, int], int]) -> Limb:
        if isinstance(a, int) and isinstance(b, int):
            return fold(a, b) & ONES
        self.push(a)
        self.push(b)
        self.code += opcode
        return self.pop()

    # --- bits -------------------------------------------------------------------------------------------------

    def and_(self, a: Limbs, b: Limbs) -> Limbs:
        """Encode a & b."""
        return self._each(a, b, self._and)

    def or_(self, a: Limbs, b: Limbs) -> Limbs:
        """Encode a | b."""
        return self._each(a, b, self._or)

    def xor(self, a: Limbs, b: Limbs) -> Limbs:
        """Encode a ^ b."""
        return self._each(a, b, self._xor)

    @staticmethod
    def _each(a: Limbs, b: Limbs, operation: Callable[[Limb, Limb], Limb]) -> Limbs:
        return operation(a[0], b[0]), operation(a[1], b[1]), operation(a[2], b[2]), operation(a[3], b[3])

    def _and(self, a: Limb, b: Limb) -> Limb:
        if 0 in (a, b):
            return 0
        if a == ONES:
            return b
        return a if b == ONES else self._limb(wasm.I64_AND, a, b, lambda x, y: x & y)

    def _or(self, a: Limb, b: Limb) -> Limb:
        if a == 0:
            return b
        return a if b == 0 else self._limb(wasm.I64_OR, a, b, lambda x, y: x | y)

    def _xor(self, a: Limb, b: Limb) -> Limb:
        if a == 0:
            return b
        return a if b == 0 else self._limb(wasm.I64_XOR, a, b, lambda x, y: x ^ y)

    def inverse(self, a: Limbs) -> Limbs:
        """Encode ~a."""
        return self.xor(a, (ONES, ONES, ONES, ONES))

    def shift_left(self, a: Limbs, by: int) -> Limbs:
        """Encode a << by, for a constant shift."""
        whole, bits = divmod(min(by, _BITS), 64)
        return self._shift([a[index - whole] if index >= whole else 0 for index in range(-1, 4)], bits)

    def shift_right(self, a: Limbs, by: int) -> Limbs:
        """Encode a >> by, unsigned, for a constant shift."""
        if by == 0:
            return a
        whole, bits = divmod(min(by, _BITS), 64)
        moved = [a[index + whole] if index + whole < 4 else 0 for index in range(5)]
        if bits == 0:
            return moved[0], moved[1], moved[2], moved[3]
        return self._shift(moved, 64 - bits)

    def _shift(self, limbs: list[Limb], bits: int) -> Limbs:
        """Encode the upper four of five limbs, lowest first, shifted left by less than 64 bits."""
        if bits == 0:
            return limbs[1], limbs[2], limbs[3], limbs[4]
        found: list[Limb] = []
        for low, limb in pairwise(limbs):
            upper = 0 if limb == 0 else self._limb(wasm.I64_SHL, limb, bits, lambda x, y: x << y)
            lower = 0 if low == 0 else self._limb(wasm.I64_SHR_U, low, 64 - bits, lambda x, y: x >> y)
            found.append(self._or(upper, lower))
        return found[0], found[1], found[2], found[3]

    # --- comparisons ------------------------------------------------------------------------------------------

    def less(self, a: Limbs, b: Limbs, is_signed: bool = False) -> Limbs:
        """Encode a < b."""
        x, y = constant_value(a), constant_value(b)
        if x is not None and y is not None:
            return int(_signed(x) < _signed(y) if is_signed else x < y), 0, 0, 0
        count = 4 if is_signed else max(size(a), size(b), 1)
        self._compare(wasm.I64_LT_S if is_signed and count == 1 else wasm.I64_LT_U, a[0], b[0])
        for index in range(1, count):
            self._compare(wasm.I64_LT_S if is_signed and index == 3 else wasm.I64_LT_U, a[index], b[index])
            self._compare(wasm.I64_EQ, a[index], b[index])
            # if these limbs are equal, select the comparison of the lower limbs
            self.code += wasm.SELECT
        self.code += wasm.EXTEND_U
        return self.pop(), 0, 0, 0

    def equal(self, a: Limbs, b: Limbs) -> Limbs:
        """Encode a == b."""
        return self.is_zero(self.xor(a, b))

    def is_zero(self, a: Limbs) -> Limbs:
        """Encode a == 0."""
        if any(isinstance(limb, int) and limb for limb in a):
            return ZERO
        if constant_value(a) == 0:
            return 1, 0, 0, 0
        self.push_nonzero(a)
        self.code += wasm.I64_EQZ + wasm.EXTEND_U
        return self.pop(), 0, 0, 0

    def push_nonzero(self, limbs: tuple[Limb, ...]) -> None:
        """Push a number on WASM's stack that is zero if all of these limbs are."""
        nonzero = [limb for limb in limbs if limb != 0] or [0]
        self.push(nonzero[0])
        for limb in nonzero[1:]:
            self.push(limb)
            self.code += wasm.I64_OR

    def _compare(self, opcode: bytes, a: Limb, b: Limb) -> None:
        self.push(a)
        self.push(b)
        self.code += opcode


def _signed(number: int) -> int:
    return number - (1 << _BITS) if number >> (_BITS - 1) else number


def multiplication(first: int) -> tuple[bytes, int]:
    """Return the instructions of the multiplication (eight parameters, four results) and its number of locals."""
    words = WordEmitter(first, multiply=-1)
    a: Limbs = (Local(0),), (Local(1),), (Local(2),), (Local(3),)
    sums = ZERO
    for index in range(4):
        sums = words.add_row(sums, a, (Local(4 + index),), index)
    for limb in sums:
        words.push(limb)
    return bytes(words.code), words.peak - first
