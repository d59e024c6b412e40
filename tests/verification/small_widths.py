"""Long division and powers: the algorithms at small widths for all inputs, the compiled code by samples.

The interpreter divides as ruint does. Words are normalised. Each limb of the quotient is estimated from the three upper
limbs of the dividend and the two upper limbs of the divisor, by the divisor's reciprocal (Moeller and Granlund,
"Improved division by invariant integers", 2011, algorithms 4 and 5). An estimate that is one too large is corrected
(Knuth, TAOCP 4.3.1 D). Their theorems hold for limbs of any size; here every input is executed for limbs of few bits.
The compiled code is tested with limbs at the bounds, where corrections happen.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product
from typing import Final

import wasmtime

from tests.verification.division_proofs import INTERPRETER
from tests.verification.proofs import Proof
from tests.verification.wasm_code import Module

_BITS: Final = 256
_WORD: Final = (1 << _BITS) - 1
_PAGE: Final = 1 << 16
EXP: Final = 0x0A
LIMBS: Final = (0, 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)


# --- the algorithms, with limbs of any width ----------------------------------------------------------------------


def reciprocal(divisor: int, bits: int) -> int:
    """Return the reciprocal of a limb whose highest bit is set."""
    return ((1 << 2 * bits) - 1) // divisor - (1 << bits)


def wide_reciprocal(high: int, low: int, bits: int) -> int:
    """Return the reciprocal of two limbs; algorithm 6."""
    base = 1 << bits
    value = reciprocal(high, bits)
    part = (high * value + low) % base
    if part < low:
        value -= 1
        if part >= high:
            value -= 1
            part -= high
        part = (part - high) % base
    carry, rest = divmod(value * low, base)
    part = (part + carry) % base
    if part < carry:
        value -= 1
        if part << bits | rest >= (high << bits | low):
            value -= 1
    return value


def divide_short(high: int, low: int, divisor: int, inverse: int, bits: int) -> tuple[int, int]:
    """Divide two limbs by one; algorithm 4."""
    base = 1 << bits
    total = (inverse * high + (high << bits | low)) % (base * base)
    quotient, rest = (total // base + 1) % base, total % base
    remainder = (low - quotient * divisor) % base
    if remainder > rest:
        quotient, remainder = (quotient - 1) % base, (remainder + divisor) % base
    if remainder >= divisor:
        quotient, remainder = quotient + 1, remainder - divisor
    return quotient, remainder


def divide_wide(upper: tuple[int, int, int], divisor: int, inverse: int, bits: int) -> tuple[int, int]:
    """Divide three limbs by two; algorithm 5. The remainder has two limbs."""
    base = 1 << bits
    high, middle, low = upper
    total = (inverse * high + (high << bits | middle)) % (base * base)
    quotient, rest = total // base, total % base
    part = (middle - quotient * (divisor >> bits)) % base
    remainder = ((part << bits | low) - quotient * (divisor % base) - divisor) % (base * base)
    quotient = (quotient + 1) % base
    if remainder >> bits >= rest:
        quotient, remainder = (quotient - 1) % base, (remainder + divisor) % (base * base)
    if remainder >= divisor:
        quotient, remainder = quotient + 1, remainder - divisor
    return quotient, remainder


def divide(number: int, divisor: int, limbs: int, bits: int) -> tuple[int, int]:
    """Divide a number of `limbs` limbs by one that is not zero: quotient and remainder."""
    base = 1 << bits
    size = -(-divisor.bit_length() // bits)
    shift = size * bits - divisor.bit_length()
    number, divisor = number << shift, divisor << shift
    top = divisor >> bits * max(size - 2, 0)
    inverse = reciprocal(top, bits) if size == 1 else wide_reciprocal(top >> bits, top % base, bits)
    quotient, remainder = 0, number >> bits * limbs
    for at in range(limbs - 1, -1, -1):
        remainder = remainder << bits | (number >> bits * at) % base
        if size == 1:
            digit, remainder = divide_short(remainder >> bits, remainder % base, divisor, inverse, bits)
        else:
            digit, remainder = _digit(remainder, divisor, size, inverse, bits)
        quotient = quotient << bits | digit
    return quotient, remainder >> shift


def _digit(remainder: int, divisor: int, size: int, inverse: int, bits: int) -> tuple[int, int]:
    """Return a limb of the quotient, and what remains, for a divisor of at least two limbs."""
    base, place = 1 << bits, bits * (size - 2)
    top, upper = divisor >> place, remainder >> place
    if upper >> bits >= top:
        digit = base - 1
    else:
        limbs = (upper >> 2 * bits, (upper >> bits) % base, upper % base)
        digit, _ = divide_wide(limbs, top, inverse, bits)
    remainder -= digit * divisor
    while remainder < 0:
        digit, remainder = digit - 1, remainder + divisor
    return digit, remainder


def power(base: int, exponent: int, multiply: Callable[[int, int], int]) -> int:
    """Return a power by squaring; the products may be those of any commutative ring."""
    result = 1
    while exponent:
        if exponent & 1:
            result = multiply(result, base)
        base, exponent = multiply(base, base), exponent >> 1
    return result


def wrong_divisions(limbs: int, size: int, bits: int) -> Iterator[tuple[int, int]]:
    """Yield all numbers of `limbs` limbs and divisors of `size` limbs that are divided wrongly."""
    for divisor in range(1, 1 << size * bits):
        for number in range(1 << limbs * bits):
            if divide(number, divisor, limbs, bits) != divmod(number, divisor):
                yield number, divisor


def wrong_powers(bits: int) -> Iterator[tuple[int, int]]:
    """Yield all bases and exponents of `bits` bits whose power is wrong."""
    modulus = 1 << bits
    for base, exponent in product(range(modulus), repeat=2):
        if power(base, exponent, lambda a, b: a * b % modulus) != pow(base, exponent, modulus):
            yield base, exponent


# --- the compiled code --------------------------------------------------------------------------------------------


class Operate:
    """The interpreter's own functions for arithmetic, called with words."""

    def __init__(self, wasm: bytes | None = None) -> None:
        code = Module(INTERPRETER.read_bytes() if wasm is None else wasm)
        config = wasmtime.Config()
        config.wasm_wide_arithmetic = True
        engine = wasmtime.Engine(config)
        self._store = wasmtime.Store(engine)
        module = wasmtime.Module(engine, code.exporting("power", exponentiation(code)))
        kinds = [each.type for each in module.imports]
        nothing = [
            wasmtime.Func(self._store, kind, _unexpected) for kind in kinds if isinstance(kind, wasmtime.FuncType)
        ]
        exports = wasmtime.Instance(self._store, module, nothing).exports(self._store)
        memory, operate, power = exports["memory"], exports["operate"], exports["power"]
        assert isinstance(memory, wasmtime.Memory)
        assert isinstance(operate, wasmtime.Func)
        assert isinstance(power, wasmtime.Func)
        self._memory, self._operate, self._power = memory, operate, power
        self._place = memory.grow(self._store, 1) * _PAGE

    def __call__(self, opcode: int, *words: int) -> int:
        """Return what an opcode makes of words, the upper one first."""
        data = b"".join(word.to_bytes(32, "little") for word in reversed(words))
        self._memory.write(self._store, data, self._place)
        if opcode == EXP:
            self._power(self._store, self._place, self._place + 32, self._place)
        else:
            self._operate(self._store, opcode, self._place + len(data) - 32)
        return int.from_bytes(self._memory.read(self._store, self._place, self._place + 32), "little")


def _unexpected(*_: object) -> int:
    raise AssertionError("arithmetic asks the host for nothing")


def _signed(word: int) -> int:
    return word - (word >> 255 << 256)


def _signed_division(opcode: int, a: int, b: int) -> int:
    x, y = _signed(a), _signed(b)
    if y == 0:
        return 0
    quotient, remainder = divmod(abs(x), abs(y))
    found = (-quotient if (x < 0) != (y < 0) else quotient) if opcode == 0x05 else (-remainder if x < 0 else remainder)
    return found & _WORD


def expected(opcode: int, a: int, b: int, modulus: int = 0) -> int:
    """Return the result of a division, modular operation or power, by Python's integers."""
    if opcode == EXP:
        return pow(a, b, 1 << _BITS)
    if opcode in (0x05, 0x07):
        return _signed_division(opcode, a, b)
    divisor = modulus if opcode in (0x08, 0x09) else b
    if divisor == 0:
        return 0
    number = {0x08: a + b, 0x09: a * b}.get(opcode, a)
    return number // divisor if opcode == 0x04 else number % divisor


def words(limbs: tuple[int, ...] = LIMBS) -> list[int]:
    """Return all words of these limbs."""
    return [sum(limb << 64 * at for at, limb in enumerate(each)) for each in product(limbs, repeat=4)]


def wrong_results(operate: Operate, opcode: int, step: int) -> Iterator[tuple[int, ...]]:
    """Yield operands of limbs at the bounds, every `step`-th combination, for which the compiled code is wrong."""
    found = words()
    count = 3 if opcode in (0x08, 0x09) else 2
    total = len(found) ** count
    for number in range(0, total, step):
        operands = tuple(found[number // len(found) ** at % len(found)] for at in range(count))
        if operate(opcode, *operands) != expected(opcode, *operands):
            yield operands


_NAMES: Final = {0x04: "DIV", 0x05: "SDIV", 0x06: "MOD", 0x07: "SMOD", 0x08: "ADDMOD", 0x09: "MULMOD", EXP: "EXP"}
_STEPS: Final = {0x08: 4001, 0x09: 4001, EXP: 31}
"""Share of the combinations that is executed, by opcode; 7 for others."""


@cache
def _compiled() -> Operate:
    return Operate()


def small_proofs() -> Iterator[Proof]:
    """Yield a claim for each algorithm and width, and one for the compiled code of each opcode."""
    for limbs, size, bits in ((4, 4, 2), (3, 2, 3), (6, 3, 2), (8, 4, 1)):
        name = f"division of {limbs} limbs by up to {size}, of {bits} bits"
        yield Proof(name, partial(_first_division, limbs, size, bits))
    yield Proof("powers of 8 bits", lambda: _first(wrong_powers(8)))
    for opcode, name in _NAMES.items():
        step = _STEPS.get(opcode, 7)
        yield Proof(f"{name} of limbs at the bounds, compiled", partial(_first_result, opcode, step))


def _first(found: Iterator[tuple[int, ...]]) -> str | None:
    return next((f"at {each}" for each in found), None)


def _first_division(limbs: int, size: int, bits: int) -> str | None:
    return _first(wrong_divisions(limbs, size, bits))


def _first_result(opcode: int, step: int) -> str | None:
    return _first(wrong_results(_compiled(), opcode, step))


def exponentiation(module: Module) -> int:
    """Return the index of the interpreter's function for powers: it has products and a loop, and no calls."""
    found = [
        index
        for index in range(module.imported, module.count)
        if module.parameters(index) == 3
        and not module.callees(index)
        and {0x03, 0xFC16} <= {each.opcode for each in module.function(index).code}
    ]
    (only,) = found
    return only
