"""Proofs about words in compiled regions: for all inputs, the WASM computes what the Yellow Paper defines.

Each proof generates a region's code for one operation on words of unknown or bounded size, executes it on bit vectors,
and queries the solver for an input with a different result.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import z3

from runtimes.evm.regions.words import ZERO, Limb, Limbs, Local, WordEmitter, constant
from tests.verification.wasm_execution import Model

_BITS: Final = 256
_LIMITS: Final = 600_000
"""Milliseconds that the solver has for one question."""
_ADDRESS: Final = (1 << 160) - 1
_SIZES: Final = (4, 1)
"""Numbers of limbs of which nothing is known; those above are known to be zero."""

Operation = Callable[[WordEmitter, Limbs, Limbs], Limbs]
Meaning = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Proof:
    """A claim, and what looks for an input at which it does not hold: None where there is none."""

    name: str
    counterexample: Callable[[], str | None]


class Unproven(Exception):
    """The solver has come to no answer in its time."""


def proofs() -> Iterator[Proof]:
    """Every proof of what WordEmitter writes."""
    for name, operation, meaning in _OPERATIONS:
        for sizes in ((a, b) for a in _SIZES for b in _SIZES):
            yield Proof(f"{name} of words of {sizes[0]} and {sizes[1]} limbs", _of(operation, meaning, sizes))
    for name, shown, meaning in _CONSTANT:
        for by in shown[1]:
            yield Proof(f"{name} by {by}", _of(_fixed(shown[0], by), _fixed_meaning(meaning, by), (4, 1)))
    for sizes in ((4, 1), (1, 1)):
        yield Proof(f"MUL of words of {sizes[0]} and {sizes[1]} limbs", _product(sizes))
    for place in range(4):
        yield Proof(f"MUL, row {place} of the written product", _row(place, begins=place == 0))


def _truth(condition: Any) -> Any:
    return z3.If(condition, z3.BitVecVal(1, _BITS), z3.BitVecVal(0, _BITS))


_OPERATIONS: Final[tuple[tuple[str, Operation, Meaning], ...]] = (
    ("ADD", lambda w, a, b: w.add(a, b), lambda a, b: a + b),
    ("SUB", lambda w, a, b: w.subtract(a, b), lambda a, b: a - b),
    ("LT", lambda w, a, b: w.less(a, b), lambda a, b: _truth(z3.ULT(a, b))),
    ("GT", lambda w, a, b: w.less(b, a), lambda a, b: _truth(z3.UGT(a, b))),
    ("SLT", lambda w, a, b: w.less(a, b, is_signed=True), lambda a, b: _truth(a < b)),
    ("SGT", lambda w, a, b: w.less(b, a, is_signed=True), lambda a, b: _truth(a > b)),
    ("EQ", lambda w, a, b: w.equal(a, b), lambda a, b: _truth(a == b)),
    ("ISZERO", lambda w, a, b: w.is_zero(a), lambda a, b: _truth(a == 0)),
    ("AND", lambda w, a, b: w.and_(a, b), lambda a, b: a & b),
    ("OR", lambda w, a, b: w.or_(a, b), lambda a, b: a | b),
    ("XOR", lambda w, a, b: w.xor(a, b), lambda a, b: a ^ b),
    ("NOT", lambda w, a, b: w.inverse(a), lambda a, b: ~a),
    ("ADD of a constant", lambda w, a, b: w.add(a, constant((1 << 200) - 5)), lambda a, b: a + ((1 << 200) - 5)),
    ("SUB from a constant", lambda w, a, b: w.subtract(constant(3 << 128), a), lambda a, b: (3 << 128) - a),
    ("LT a constant", lambda w, a, b: w.less(a, constant(1 << 64)), lambda a, b: _truth(z3.ULT(a, 1 << 64))),
    ("AND with an address' mask", lambda w, a, b: w.and_(a, constant(_ADDRESS)), lambda a, b: a & _ADDRESS),
)  # fmt: skip


_Fixed = Callable[[WordEmitter, Limbs, int], Limbs]
_CONSTANT: Final[tuple[tuple[str, tuple[_Fixed, range], Callable[[Any, int], Any]], ...]] = (
    ("SHL", (lambda w, a, by: w.shift_left(a, by), range(257)), lambda a, by: a << by),
    ("SHR", (lambda w, a, by: w.shift_right(a, by), range(257)), z3.LShR),
)


def _fixed(operation: _Fixed, by: int) -> Operation:
    return lambda words, a, _: operation(words, a, by)


def _fixed_meaning(meaning: Callable[[Any, int], Any], by: int) -> Meaning:
    return lambda a, _: meaning(a, by)


def _of(operation: Operation, meaning: Meaning, sizes: tuple[int, int]) -> Callable[[], str | None]:
    def counterexample() -> str | None:
        model, (a, b) = _model(sizes, _no_product)
        found = WordEmitter(8, multiply=-1)
        limbs = operation(found, _limbs(0, sizes[0]), _limbs(4, sizes[1]))
        model.run(bytes(found.code))
        return _differs(_joined(model, limbs), meaning(a, b), a, b)

    return counterexample


def _row(place: int, begins: bool) -> Callable[[], str | None]:
    """A row of a written multiplication: sums + (a * b << 64 * place), where each product of limbs may be anything.

    The product of two words is the sum of four such rows, from zero on (`multiplication`): that much is algebra.
    """

    def counterexample() -> str | None:
        model, products, (a, b) = _with_products((4, 4))
        found = WordEmitter(9, multiply=-1)
        sums = ZERO if begins else _limbs(4, 4)
        limbs = found.add_row(sums, _limbs(0, 4), (Local(8),), place)
        model.run(bytes(found.code))
        meant = z3.BitVecVal(0, _BITS) if begins else b
        for at in range(4 - place):
            meant += z3.ZeroExt(128, products[at, 8]) << 64 * (at + place)
        return _differs(_joined(model, limbs), meant, a, b, *_bounds(products))

    return counterexample


def _product(sizes: tuple[int, int]) -> Callable[[], str | None]:

    def counterexample() -> str | None:
        model, products, (a, b) = _with_products(sizes)
        found = WordEmitter(9, multiply=-1)
        limbs = found.multiply(_limbs(0, sizes[0]), _limbs(4, sizes[1]))
        model.run(bytes(found.code))
        meant = z3.BitVecVal(0, _BITS)
        for at in range(sizes[0]):
            meant += z3.ZeroExt(128, products[at, 4]) << 64 * at
        return _differs(_joined(model, limbs), meant, a, b, *_bounds(products))

    return counterexample


_Products = dict[tuple[int, int], Any]


def _with_products(sizes: tuple[int, int]) -> tuple[Model, _Products, tuple[Any, Any]]:
    products: _Products = {}

    def product(x: Any, y: Any) -> Any:
        first, second = sorted((int(str(x)[1:]), int(str(y)[1:])))
        return products.setdefault((first, second), z3.BitVec(f"p{first},{second}", 128))

    model, words = _model(sizes, product)
    return model, products, words


def _bounds(products: _Products) -> list[Any]:
    return [z3.ULE(value, ((1 << 64) - 1) ** 2) for value in products.values()]


def _no_product(_: Any, __: Any) -> Any:
    raise ValueError("no product is expected here")


def _limbs(first: int, size: int) -> Limbs:
    limbs: list[Limb] = [(Local(first + place),) if place < size else 0 for place in range(4)]
    return limbs[0], limbs[1], limbs[2], limbs[3]


def _model(sizes: tuple[int, int], product: Callable[[Any, Any], Any]) -> tuple[Model, tuple[Any, Any]]:
    names = {place: z3.BitVec(f"x{place}", 64) for place in range(9)}
    zero = z3.BitVecVal(0, 64)
    words = [
        z3.Concat(*(names[first + place] if place < size else zero for place in (3, 2, 1, 0)))
        for first, size in zip((0, 4), sizes, strict=True)
    ]
    return Model(dict(names), product), (words[0], words[1])


def _joined(model: Model, limbs: Limbs) -> Any:
    parts = [z3.BitVecVal(limb, 64) if isinstance(limb, int) else model.locals[limb[0]] for limb in limbs]
    return z3.Concat(*reversed(parts))


def _differs(found: Any, meant: Any, a: Any, b: Any, *given: Any) -> str | None:
    solver = z3.SolverFor("QF_BV")
    solver.set("timeout", _LIMITS)
    solver.add(*given, found != meant)
    result = solver.check()
    if result == z3.unsat:
        return None
    if result != z3.sat:
        raise Unproven(f"no answer in {_LIMITS // 1000} s: {solver.reason_unknown()}")
    model = solver.model()
    at = ", ".join(f"0x{model.eval(word, model_completion=True).as_long():x}" for word in (a, b))
    return f"at {at}: 0x{model.eval(found, model_completion=True).as_long():x}"


def prove_all(claims: Iterable[Proof]) -> tuple[int, list[str], float]:
    """Return the number of proofs, the failed ones, and the duration in seconds."""
    started, count, wrong = time.monotonic(), 0, list[str]()
    for proof in claims:
        count += 1
        found = proof.counterexample()
        if found is not None:
            wrong.append(f"{proof.name}: {found}")
    return count, wrong, time.monotonic() - started
