"""Translated constraints have all solutions of the constraints; those of linear terms have no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
import z3
from hypothesis import given, settings
from hypothesis import strategies as st

from fvm_hypervisor.soltest.symbolic import integers
from fvm_hypervisor.soltest.symbolic.integers import TooLarge, Translation
from fvm_hypervisor.soltest.symbolic.solver import Solver

BITS: Final = 8
TOP: Final = 1 << BITS
INPUTS: Final = tuple(z3.BitVec(name, BITS) for name in "abc")
Term = tuple[Any, int]
"""A bit vector, and its value for the values of the inputs."""


def signed(value: int) -> int:
    return value - TOP if value >= TOP // 2 else value


SUMS: Final[dict[str, tuple[Callable[[Any, Any], Any], Callable[[int, int], int]]]] = {
    "sum": (lambda a, b: a + b, lambda a, b: (a + b) % TOP),
    "difference": (lambda a, b: a - b, lambda a, b: (a - b) % TOP),
    "negation": (lambda a, _: -a, lambda a, _: -a % TOP),
    "complement": (lambda a, _: ~a, lambda a, _: a ^ (TOP - 1)),
    "multiple": (lambda a, _: z3.BitVecVal(200, BITS) * a, lambda a, _: 200 * a % TOP),
    "slices": (lambda a, b: z3.Concat(z3.Extract(2, 0, a), z3.Extract(6, 2, b)),
               lambda a, b: (a & 7) << 5 | (b >> 2 & 31)),
    "high slice": (lambda a, _: z3.ZeroExt(3, z3.Extract(7, 3, a)), lambda a, _: a >> 3),
    "extended sign": (lambda a, _: z3.SignExt(4, z3.Extract(3, 0, a)),
                      lambda a, _: ((a & 15) - 16 if a & 8 else a & 15) % TOP),
    "quotient": (lambda a, _: z3.UDiv(a, z3.BitVecVal(7, BITS)), lambda a, _: a // 7),
    "remainder": (lambda a, _: z3.URem(a, z3.BitVecVal(7, BITS)), lambda a, _: a % 7),
}  # fmt: skip
OTHERS: Final[dict[str, tuple[Callable[[Any, Any], Any], Callable[[int, int], int]]]] = {
    "product": (lambda a, b: a * b, lambda a, b: a * b % TOP),
    "multiple of a product": (lambda a, b: z3.BitVecVal(3, BITS) * a * b, lambda a, b: 3 * a * b % TOP),
    "and": (lambda a, b: a & b, lambda a, b: a & b),
    "shift": (lambda a, b: z3.LShR(a, b), lambda a, b: a >> b if b < BITS else 0),
}  # fmt: skip
COMPARISONS: Final[dict[str, tuple[Callable[[Any, Any], Any], Callable[[int, int], bool]]]] = {
    "equal": (lambda a, b: a == b, lambda a, b: a == b),
    "distinct": (lambda a, b: z3.Distinct(a, b), lambda a, b: a != b),
    "at most": (z3.ULE, lambda a, b: a <= b), "less": (z3.ULT, lambda a, b: a < b),
    "at least": (z3.UGE, lambda a, b: a >= b), "more": (z3.UGT, lambda a, b: a > b),
    "signed at most": (lambda a, b: a <= b, lambda a, b: signed(a) <= signed(b)),
    "signed less": (lambda a, b: a < b, lambda a, b: signed(a) < signed(b)),
    "signed at least": (lambda a, b: a >= b, lambda a, b: signed(a) >= signed(b)),
    "signed more": (lambda a, b: a > b, lambda a, b: signed(a) > signed(b)),
}  # fmt: skip
CONNECTIVES: Final[dict[str, tuple[Callable[[Any, Any], Any], Callable[[bool, bool], bool]]]] = {
    "and": (z3.And, lambda a, b: a and b), "or": (z3.Or, lambda a, b: a or b),
    "implies": (z3.Implies, lambda a, b: b or not a), "xor": (z3.Xor, lambda a, b: a != b),
    "same": (lambda a, b: a == b, lambda a, b: a == b), "not": (lambda a, _: z3.Not(a), lambda a, _: not a),
    "choice": (lambda a, b: z3.If(a, z3.BoolVal(False), b), lambda a, b: b and not a),
}  # fmt: skip


def conditions(terms: st.SearchStrategy[Term]) -> st.SearchStrategy[tuple[Any, bool]]:
    """Return conditions on these terms, and whether they hold."""

    def compared(drawn: tuple[str, Term, Term]) -> tuple[Any, bool]:
        (term, value), (a, x), (b, y) = COMPARISONS[drawn[0]], *drawn[1:]
        return term(a, b), value(x, y)

    def connected(drawn: tuple[str, tuple[Any, bool], tuple[Any, bool]]) -> tuple[Any, bool]:
        (term, value), (a, x), (b, y) = CONNECTIVES[drawn[0]], *drawn[1:]
        return term(a, b), value(x, y)

    basic = st.tuples(st.sampled_from([*COMPARISONS]), terms, terms).map(compared)
    return basic | st.tuples(st.sampled_from([*CONNECTIVES]), basic, basic).map(connected)


@st.composite
def cases(draw: st.DrawFn, kinds: tuple[str, ...]) -> tuple[list[int], tuple[Any, bool]]:
    """Return values of the inputs, and a condition that uses these operations."""
    values = draw(
        st.lists(st.sampled_from([0, 1, 2, 127, 128, 254, 255]) | st.integers(0, 255), min_size=3, max_size=3)
    )
    known = {**SUMS, **OTHERS}

    def made(drawn: tuple[str, Term, Term]) -> Term:
        (term, value), (a, x), (b, y) = known[drawn[0]], *drawn[1:]
        return term(a, b), value(x, y)

    def chosen(drawn: tuple[tuple[Any, bool], Term, Term]) -> Term:
        (holds, is_true), (a, x), (b, y) = drawn
        return z3.If(holds, a, b), x if is_true else y

    leaves = st.sampled_from([*zip(INPUTS, values, strict=True), (z3.BitVecVal(100, BITS), 100)])
    terms = st.recursive(leaves, lambda part: st.tuples(st.sampled_from(kinds), part, part).map(made)
                         | st.tuples(conditions(part), part, part).map(chosen), max_leaves=6)  # fmt: skip
    return values, draw(conditions(terms))


def is_satisfiable(constraints: list[Any], *, simplified: bool = True) -> bool:
    """Return True if the translation of constraints has a solution."""
    translation = Translation()
    translation.add([z3.simplify(one) for one in constraints] if simplified else constraints)
    solver = z3.Solver()
    solver.add(*translation.conditions)
    found = solver.check()
    assert found != z3.unknown
    return bool(found == z3.sat)


def fixed(values: list[int]) -> list[Any]:
    return [word == value for word, value in zip(INPUTS, values, strict=True)]


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(cases((*SUMS, *OTHERS)), st.booleans())
def test_no_solution_is_lost(case: tuple[list[int], tuple[Any, bool]], simplified: bool) -> None:
    values, (condition, holds) = case
    assert is_satisfiable([*fixed(values), condition if holds else z3.Not(condition)], simplified=simplified)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(cases(tuple(SUMS)), st.booleans())
def test_linear_constraints_have_no_other_solution(case: tuple[list[int], tuple[Any, bool]], simplified: bool) -> None:
    values, (condition, holds) = case
    assert not is_satisfiable([*fixed(values), z3.Not(condition) if holds else condition], simplified=simplified)


def test_terms_that_are_not_linear_may_have_any_value_but_one_at_a_time() -> None:
    a, b, _ = INPUTS
    assert is_satisfiable([a == 2, b == 3, a * b == 7])
    assert not is_satisfiable([a * b == 7, a * b - 1 == 7])
    assert not is_satisfiable([z3.BitVecVal(255, BITS) * a * b + 1 == 7, a * b == 7])
    array = z3.Array("words", z3.BitVecSort(BITS), z3.BitVecSort(BITS))
    assert is_satisfiable([array[a] == 1, array[b] == 2, a == b])
    assert not is_satisfiable([array[a] == 1, array[a] == 2])


def test_too_many_terms_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integers, "_MAX_TERMS", 5)
    a, b, c = INPUTS
    Translation().add([a == b])
    with pytest.raises(TooLarge):
        Translation().add([a + b + c == b - c, z3.ULT(a, b), z3.ULT(b, c)])


def shared(rounds: int) -> Any:
    """Return a term whose parts occur twice in each round: 2^rounds of them if it is walked as a tree."""
    a, b, _ = INPUTS
    found = a
    for _ in range(rounds):
        found = found + found + ~(found + b)
    return found


def test_shared_terms_are_translated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integers, "_MAX_TERMS", 500)
    Translation().add([shared(60) == 1])
    with pytest.raises(TooLarge):
        Translation().add([shared(200) == 1])


@pytest.mark.slow
def test_deep_terms_are_left_to_the_bit_vectors() -> None:
    equation = shared(400) == 12
    model = Solver(60, 20).model([equation, INPUTS[1] == 3])
    assert model is not None
    assert z3.is_true(model.eval(equation, model_completion=True))
