"""Rewritten terms: proofs that they are equal to the originals."""

from collections.abc import Callable
from typing import Any, Final

import pytest
import z3
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor_tools.soltest.symbolic.words import (
    TOP,
    Condition,
    Word,
    choose,
    condition,
    equal,
    greater,
    negation,
    operate,
    truth,
)

EDGES: Final = (0, 1, 2, 3, 255, 1 << 128, (1 << 128) + 1, 1 << 255, TOP - 2, TOP - 1)
NAMES: Final = ("x", "y", "z")
OPERATIONS: Final[dict[int, Callable[[int, int], int]]] = {
    0x01: lambda a, b: (a + b) % TOP, 0x02: lambda a, b: a * b % TOP, 0x03: lambda a, b: (a - b) % TOP,
    0x04: lambda a, b: a // b if b else 0, 0x10: lambda a, b: int(a < b), 0x11: lambda a, b: int(a > b),
    0x14: lambda a, b: int(a == b), 0x16: lambda a, b: a & b, 0x17: lambda a, b: a | b,
}  # fmt: skip
"""Operations by opcode, as the Yellow Paper defines them for unsigned words."""
Pair = tuple[Word, int]
"""A word, and its value for the values of the inputs."""


@pytest.mark.parametrize("bits", [1, 2, 3, 8, 16, 256])
def test_the_forms_of_a_comparison_are_equal(bits: int) -> None:
    a, b = z3.BitVecs("a b", bits)
    for form in (z3.UGT(b - a, b), z3.UGT(b - a, ~a)):
        solver = z3.Solver()
        solver.add(z3.UGT(a, b) != form)
        assert solver.check() == z3.unsat


def test_overflow_checks_have_no_sum_or_difference() -> None:
    x, y = z3.BitVecs("x y", 256)
    for check, plain in (
        (greater(x - y, x), z3.UGT(y, x)),
        (greater(x, x + y), z3.UGT(y, ~x)),
        (greater(x + 1, x), x + 1 != 0),
    ):
        solver = z3.Solver()
        solver.add(check != plain)
        assert solver.check() == z3.unsat
    assert "bvadd" not in greater(x - y, x).sexpr() + greater(x, x + y).sexpr()


def both(opcode: int, left: Pair, right: Pair) -> Pair:
    return operate(opcode, left[0], right[0]), OPERATIONS[opcode](left[1], right[1])


def chosen(drawn: tuple[Pair, Pair, Pair]) -> Pair:
    asked, yes, no = drawn
    return choose(truth(asked[0]), yes[0], no[0]), yes[1] if asked[1] else no[1]


def quotient(drawn: tuple[Pair, Pair, bool]) -> Pair:
    """Return `left * right / left`, by which Solidity detects overflows; the product's order varies."""
    left, right, is_swapped = drawn
    return both(0x04, both(0x02, *((right, left) if is_swapped else (left, right))), left)


@st.composite
def words(draw: st.DrawFn) -> tuple[list[int], Pair, Pair]:
    """Return values of three inputs, and two words that use them, which often share terms."""
    numbers = st.just(0) | st.sampled_from(EDGES) | st.integers(0, TOP - 1)
    values = draw(st.lists(numbers, min_size=3, max_size=3))
    leaves = st.sampled_from([(z3.BitVec(name, 256), value) for name, value in zip(NAMES, values, strict=True)])
    basic = leaves | st.sampled_from([(edge, edge) for edge in EDGES])
    found = st.recursive(
        basic,
        lambda part: st.one_of(
            st.tuples(st.sampled_from([*OPERATIONS]), part, part).map(lambda drawn: both(*drawn)),
            st.tuples(part, part, part).map(chosen), st.tuples(part, part, st.booleans()).map(quotient),
        ),
        max_leaves=6,
    )  # fmt: skip
    return values, draw(found), draw(found | leaves)


def value_of(holds: Condition, values: list[int]) -> bool:
    """Return a condition's value for values of the inputs."""
    if isinstance(holds, bool):
        return holds
    pairs = [(z3.BitVec(name, 256), z3.BitVecVal(value, 256)) for name, value in zip(NAMES, values, strict=True)]
    found: Any = condition(z3.substitute(holds, *pairs))
    assert isinstance(found, bool)
    return found


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(words())
def test_conditions_have_the_value_of_the_concrete_words(case: tuple[list[int], Pair, Pair]) -> None:
    values, (left, a), (right, b) = case
    assert value_of(equal(left, right), values) is (a == b)
    assert value_of(equal(right, left), values) is (a == b)
    assert value_of(truth(left), values) is (a != 0)
    assert value_of(negation(truth(left)), values) is (a == 0)
    either, one_of = both(0x17, (left, a), (right, b))
    assert value_of(truth(either), values) is (one_of != 0)
    if not (isinstance(left, int) and isinstance(right, int)):
        assert value_of(greater(left, right), values) is (a > b)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(words(), st.sampled_from(EDGES))
def test_the_check_of_an_overflow_has_its_concrete_value(case: tuple[list[int], Pair, Pair], number: int) -> None:
    values, left, right = case
    for factor in (right, (number, number)):
        for swapped in (False, True):
            found, value = quotient((left, factor, swapped))
            assert value_of(equal(found, factor[0]), values) is (value == factor[1])
            other, result = chosen((right, (found, value), left))
            assert value_of(equal(other, factor[0]), values) is (result == factor[1])
