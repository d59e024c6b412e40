"""Proofs about operations that a region leaves to the interpreter's function `operate`, in two steps.

First, the region's module: it puts the operands where `operate` reads them, calls it with the right opcode, and leaves
the result, the gas counter and the position as the interpreter would. Second, `operate` in the interpreter's module:
its WASM computes the operation, given that the functions for long division compute quotients and remainders.

Quotients and remainders are functions of which the solver only knows the facts in `_Division`; these hold for integers
of any size. So a proof does not depend on the width of words.

The interpreter divides as ruint does. Words are normalised. Each limb of the quotient is estimated from the three upper
limbs of the dividend and the two upper limbs of the divisor, by the divisor's reciprocal (Moeller and Granlund,
"Improved division by invariant integers", 2011, algorithms 4 and 5). An estimate that is one too large is corrected
(Knuth, TAOCP 4.3.1 D). Their theorems hold for limbs of any size; here every input is executed for limbs of few bits.
The compiled code is tested with limbs at the bounds, where corrections happen.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any, Final

import wasmtime
import z3

from runtimes.evm.regions import wasm
from runtimes.evm.regions.blocks import choose
from runtimes.evm.regions.emitter import emit
from runtimes.evm.regions.operations import OPERATE, REGION
from tests.verification.proofs import Proof
from tests.verification.wasm_execution import LIMB, Contract, Execution, Module, Violated, World

INTERPRETER: Final = Path("runtimes/evm/guests/frames/frames.wasm")
_BITS: Final = 256
_PRICE: Final = 5
_RUNNING, _STACK, _NATIVE_STACK = 0x1000, 0x20000, 0x100000
"""Addresses of the shared data, of the lowest word on the stack, and of the interpreter's own stack."""
_TIMEOUT: Final = 600_000
"""Milliseconds that the solver has for one path."""
_LOWEST: Final = 1 << (_BITS - 1)

_MULMOD = z3.Function("mulmod", *(z3.BitVecSort(_BITS),) * 4)


class _Division:
    """Quotients and remainders of unsigned integers, with facts about each requested one."""

    def __init__(self, limb: int = LIMB) -> None:
        self.facts: list[Any] = []
        self.wide = 5 * limb
        """Bits of all operands: enough for the sum of two words."""
        sorts = (z3.BitVecSort(self.wide),) * 3
        self._quotients, self._remainders = z3.Function("quotient", *sorts), z3.Function("remainder", *sorts)

    def quotient(self, a: Any, b: Any) -> Any:
        x, y = self.widened(a), self.widened(b)
        found = self._quotients(x, y)
        self.facts += [
            z3.ULE(found, x),
            z3.Implies(y == 1, found == x),
            z3.Implies(z3.UGT(y, 1), z3.ULE(found, z3.LShR(x, 1))),
        ]
        return z3.Extract(a.size() - 1, 0, found)

    def remainder(self, a: Any, b: Any) -> Any:
        x, y = self.widened(a), self.widened(b)
        found = self._remainders(x, y)
        self.facts += [
            z3.Implies(y != 0, z3.ULT(found, y)),
            z3.Implies(z3.ULT(x, y), found == x),
            z3.Implies(z3.And(z3.UGE(x, y), z3.ULT(x - y, y)), found == x - y),
        ]
        return z3.Extract(b.size() - 1, 0, found)

    def machine(self, opcode: int, a: Any, b: Any) -> Any:
        """Return the result of a division instruction. Correct code only uses the unsigned ones."""
        if opcode in (0x80, 0x82):
            return self.quotient(a, b) if opcode == 0x80 else self.remainder(a, b)
        return a / b if opcode == 0x7F else z3.SRem(a, b)

    def widened(self, value: Any) -> Any:
        """Return a number with the width of all operands."""
        return z3.ZeroExt(self.wide - value.size(), value)


_Meaning = Callable[[_Division, list[Any]], Any]


def _or_zero(divisor: Any, result: Any) -> Any:
    return z3.If(divisor == 0, z3.BitVecVal(0, result.size()), result)


def _magnitude(value: Any) -> Any:
    return z3.If(value < 0, -value, value)


def _signed_quotient(division: _Division, words: list[Any]) -> Any:
    a, b = words
    found = division.quotient(_magnitude(a), _magnitude(b))
    signed = z3.If((a < 0) != (b < 0), -found, found)
    overflow = z3.And(a == _LOWEST, b == -1)
    return _or_zero(b, z3.If(overflow, z3.BitVecVal(_LOWEST, _BITS), signed))


def _signed_remainder(division: _Division, words: list[Any]) -> Any:
    a, b = words
    found = division.remainder(_magnitude(a), _magnitude(b))
    return _or_zero(b, z3.If(a < 0, -found, found))


def _sum_modulo(division: _Division, words: list[Any]) -> Any:
    a, b, modulus = words
    return _or_zero(modulus, division.remainder(division.widened(a) + division.widened(b), modulus))


def _sum_of_remainders(division: _Division, words: list[Any]) -> Any:
    """Return the same, by (a + b) mod n = ((a mod n) + (b mod n)) mod n.

    Remainders of numbers from 2n on are unknown, so a path with such a number is proven by the first definition.
    """
    modulus = division.widened(words[2])

    def reduced(value: Any, name: str) -> Any:
        unknown = z3.BitVec(name, division.wide)
        less = z3.If(z3.ULT(value - modulus, modulus), value - modulus, unknown)
        return z3.If(z3.ULT(value, modulus), value, less)

    total = reduced(division.widened(words[0]), "a mod n") + reduced(division.widened(words[1]), "b mod n")
    return _or_zero(words[2], z3.Extract(words[2].size() - 1, 0, reduced(total, "sum mod n")))


def _byte(word: Any, place: Any) -> Any:
    shifted = z3.LShR(word, 8 * (31 - place)) & 0xFF
    return z3.If(z3.ULT(place, 32), shifted, z3.BitVecVal(0, _BITS))


def _extended(word: Any, last: Any) -> Any:
    shift = 8 * (31 - last)
    return z3.If(z3.ULT(last, 31), (word << shift) >> shift, word)


MEANINGS: Final[dict[int, tuple[str, int, _Meaning]]] = {
    0x04: ("DIV", 2, lambda d, w: _or_zero(w[1], d.quotient(w[0], w[1]))),
    0x05: ("SDIV", 2, _signed_quotient),
    0x06: ("MOD", 2, lambda d, w: _or_zero(w[1], d.remainder(w[0], w[1]))),
    0x07: ("SMOD", 2, _signed_remainder),
    0x08: ("ADDMOD", 3, _sum_modulo),
    0x09: ("MULMOD", 3, lambda d, w: _MULMOD(*w)),
    0x0B: ("SIGNEXTEND", 2, lambda d, w: _extended(w[1], w[0])),
    0x1A: ("BYTE", 2, lambda d, w: _byte(w[1], w[0])),
    0x1B: ("SHL", 2, lambda d, w: w[1] << w[0]),
    0x1C: ("SHR", 2, lambda d, w: z3.LShR(w[1], w[0])),
    0x1D: ("SAR", 2, lambda d, w: w[1] >> w[0]),
}
"""Name, number of operands and definition by opcode, following the Yellow Paper; the first operand is the top."""

_NARROW: Final = {0x08: 3}
"""Width of limbs with which the interpreter's function is proven: 64 is too wide for the solver."""
_SAME: Final[dict[int, _Meaning]] = {0x08: _sum_of_remainders}
"""Second definitions, equal to the first ones for integers of any size: each path may be shown to compute either."""


def operand_proofs() -> Iterator[Proof]:
    """Yield a proof for each opcode about the region's module."""
    for opcode, (name, _, _) in MEANINGS.items():
        yield Proof(f"{name} in a region", partial(_region, opcode, region_module(opcode)))


def interpreter_proofs() -> Iterator[Proof]:
    """Yield proofs about `operate` in the interpreter's module."""
    for opcode in (*range(0x04, 0x0A), 0x1B, 0x1C, 0x1D):
        yield Proof(f"{MEANINGS[opcode][0]} in the interpreter", partial(_interpret, opcode))


def region_module(opcode: int) -> bytes:
    """Return the region of a code with this opcode only."""
    code = bytes((0x5B, opcode, 0x00))
    return emit(choose(code, [0], {0x5B: 0, opcode: _PRICE}), len(code))


@cache
def interpreter() -> Module:
    return Module(INTERPRETER.read_bytes())


def _words(count: int, limb: int = LIMB) -> list[Any]:
    return [z3.BitVec(name, 4 * limb) for name in ("a", "b", "n")[:count]]


def _stacked(words: list[Any]) -> World:
    world = World(bits=words[0].size() // 4)
    for depth, word in enumerate(words):
        world.put_word(_STACK + 32 * (len(words) - 1 - depth), word)
    return world


def _region(opcode: int, code: bytes) -> str | None:
    _, count, meaning = MEANINGS[opcode]
    words, division, top = _words(count), _Division(), _STACK + 32 * count
    world, gas = _stacked(words), z3.BitVec("gas", 64)
    world.write(_RUNNING + wasm.GAS, 8, gas)
    for offset, value in ((wasm.PC, 0), (wasm.TOP, top), (wasm.BASE, _STACK), (wasm.LIMIT, _STACK + 0x8000)):
        world.write(_RUNNING + offset, 4, z3.BitVecVal(value, 32))
    for offset in (wasm.MEMORY, wasm.MEMORY_SIZE):
        world.write(_RUNNING + offset, 4, z3.BitVec(f"unknown{offset}", 32))
    execution = Execution(Module(code), {OPERATE: _operate_contract(division)}, division)
    expected = meaning(division, words)

    def wrong(after: World) -> list[Any]:
        paid = z3.UGE(gas, _PRICE)
        left = after.read(_RUNNING + wasm.GAS, 8)
        found_top = after.read(_RUNNING + wasm.TOP, 4)
        pc = after.read(_RUNNING + wasm.PC, 4)
        done = z3.And(after.word(_STACK) == expected, left == gas - _PRICE, found_top == _STACK + 32, pc == 2)
        refused = z3.And(left == gas, found_top == top, pc == 0, after.word(top - 32) == words[0])
        return [z3.Not(z3.If(paid, done, refused))]

    return _search(execution, REGION, [z3.BitVecVal(_RUNNING, 32)], world, division, wrong, [*words, gas])


def _operate_contract(division: _Division) -> Contract:
    """Replace the words below a position by what the opcode makes of them."""

    def operate(world: World, arguments: list[Any]) -> None:
        opcode, place = (z3.simplify(each).as_long() for each in arguments)
        if opcode not in MEANINGS:
            raise Violated(f"`operate` has no opcode {opcode:#x}")
        _, count, meaning = MEANINGS[opcode]
        lowest = place - 32 * (count - 1)
        words = [world.word(place - 32 * depth) for depth in range(count)]
        world.put_word(lowest, meaning(division, words))

    return operate


def _interpret(opcode: int) -> str | None:
    module = interpreter()
    _, count, meaning = MEANINGS[opcode]
    limb = _NARROW.get(opcode, LIMB)
    words, division = _words(count, limb), _Division(limb)
    world = _stacked(words)
    world.globals[0] = z3.BitVecVal(_NATIVE_STACK, 32)
    arguments = [z3.BitVecVal(opcode, 32), z3.BitVecVal(_STACK + 32 * (count - 1), 32)]
    execution = Execution(module, _long_functions(module, division), division)
    expected = [each(division, words) for each in (meaning, _SAME.get(opcode)) if each is not None]

    def wrong(after: World) -> list[Any]:
        restored = after.globals[0] == _NATIVE_STACK
        return [z3.Not(z3.And(after.word(_STACK) == each, restored)) for each in expected]

    return _search(execution, module.exports["operate"], arguments, world, division, wrong, words)


def _search(
    execution: Execution,
    index: int,
    arguments: list[Any],
    world: World,
    division: _Division,
    wrong: Callable[[World], list[Any]],
    inputs: list[Any],
) -> str | None:
    """Return an input of a path that ends wrongly, or a condition that is violated; None if there is none."""
    try:
        ends = list(execution.run(index, arguments, world))
    except Violated as reason:
        return f"violated: {reason}"
    if not ends:
        return "no path reaches the end"
    for after in ends:
        results = []
        for claim in wrong(after):
            solver = z3.SolverFor("QF_UFBV")
            solver.set("timeout", _TIMEOUT)
            solver.add(*after.path, *division.facts, claim)
            results.append(solver.check())
            if results[-1] == z3.unsat:
                break
        else:
            if z3.unknown in results:
                raise TimeoutError(f"no answer of the solver: {solver.reason_unknown()}")
            found = solver.model()
            return "at " + ", ".join(f"0x{found.eval(each, model_completion=True).as_long():x}" for each in inputs)
    return None


def _long_functions(module: Module, division: _Division) -> dict[int, Contract]:
    """Return the contracts of the interpreter's functions for long division, found by which operations call them."""
    quotient = _only(module.callees(function_of(module, 0x04)))
    remainder = _only(module.callees(function_of(module, 0x06)))
    modular_sum = _only(module.callees(function_of(module, 0x08)))
    wide = _only(each for each in module.callees(modular_sum) if each != remainder)
    product = _only(module.callees(function_of(module, 0x09)))
    return {
        quotient: _divides(lambda a, b: (division.quotient(a, b), division.remainder(a, b))),
        remainder: _divides(lambda a, b: (z3.FreshConst(a.sort()), division.remainder(a, b))),
        wide: _divides(lambda a, b: (z3.FreshConst(a.sort()), division.remainder(a, b)), words=2),
        product: _multiplies,
    }


def _divides(result: Callable[[Any, Any], tuple[Any, Any]], words: int = 1) -> Contract:
    """Replace a dividend of one or two words by the quotient and the divisor by the remainder."""

    def divide(world: World, arguments: list[Any]) -> None:
        first, second = (z3.simplify(each).as_long() for each in arguments)
        dividend, divisor = world.word(first), world.word(second)
        if words == 2:
            high = world.word(first + 32)
            world.holds(z3.LShR(high, world.bits) == 0)
            dividend = z3.Concat(z3.Extract(world.bits - 1, 0, high), dividend)
        world.holds(divisor != 0)
        quotient, remainder = result(dividend, divisor)
        for at in range(words):
            part = quotient if words == 1 else z3.FreshConst(z3.BitVecSort(4 * world.bits))
            world.put_word(first + 32 * at, part)
        world.put_word(second, remainder)

    return divide


def _multiplies(world: World, arguments: list[Any]) -> None:
    """Replace the modulus by the product's remainder."""
    places = [z3.simplify(each).as_long() for each in arguments]
    world.put_word(places[2], _MULMOD(*(world.word(place) for place in places)))


def function_of(module: Module, opcode: int) -> int:
    """Return the function that `operate` calls for an opcode."""
    called: list[int] = []

    def contract(index: int) -> Contract:
        def call(world: World, arguments: list[Any]) -> None:
            called.append(index)
            world.put_word(z3.simplify(arguments[0]).as_long(), z3.FreshConst(z3.BitVecSort(_BITS)))

        return call

    operate, division, count = module.exports["operate"], _Division(), MEANINGS[opcode][1]
    execution = Execution(module, {index: contract(index) for index in module.callees(operate)}, division)
    world = _stacked(_words(count))
    world.globals[0] = z3.BitVecVal(_NATIVE_STACK, 32)
    list(execution.run(operate, [z3.BitVecVal(opcode, 32), z3.BitVecVal(_STACK + 32 * (count - 1), 32)], world))
    return _only(set(called))


def _only(found: Any) -> int:
    each, *more = found
    if more:
        raise ValueError(f"expected one function, found {[each, *more]}")
    return int(each)


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

    def __init__(self) -> None:
        code = interpreter()
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
    """Return the index of the interpreter's function for powers: a loop, whose calls are products."""
    found = [
        index
        for index in range(module.imported, module.count)
        if module.parameters(index) == 3
        and not any(module.callees(callee) for callee in module.callees(index))
        and {0x03, 0x7E} <= {each.opcode for each in module.function(index).code}
    ]
    (only,) = found
    return only
