"""Translated constraints have all solutions of the constraints; those of linear terms have no others."""

import subprocess
import sys
from collections.abc import Callable
from itertools import product
from typing import Any, Final

import pytest
import z3
from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor_tools.soltest.symbolic import solver
from hypervisor_tools.soltest.symbolic.solver import Solver, TooLarge, Translation

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
    "high part of a product": (lambda a, b: z3.Extract(15, 8, z3.ZeroExt(8, a) * z3.ZeroExt(8, b)),
                               lambda a, b: a * b >> 8),
    "product of joined parts": (lambda a, b: z3.Concat(z3.Extract(3, 0, a), z3.Extract(3, 0, b)) * b,
                                lambda a, b: ((a & 15) << 4 | b & 15) * b % TOP),
    "product of a part": (lambda a, b: z3.ZeroExt(4, z3.Extract(3, 0, a)) * b, lambda a, b: (a & 15) * b % TOP),
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
NO_OVERFLOW: Final[dict[str, tuple[Callable[[Any, Any], Any], Callable[[int, int], bool]]]] = {
    "product without overflow": (lambda a, b: z3.BVMulNoOverflow(a, b, signed=False), lambda a, b: a * b < TOP),
}  # fmt: skip
CONNECTIVES: Final[dict[str, tuple[Callable[[Any, Any], Any], Callable[[bool, bool], bool]]]] = {
    "and": (z3.And, lambda a, b: a and b), "or": (z3.Or, lambda a, b: a or b),
    "implies": (z3.Implies, lambda a, b: b or not a), "xor": (z3.Xor, lambda a, b: a != b),
    "same": (lambda a, b: a == b, lambda a, b: a == b), "not": (lambda a, _: z3.Not(a), lambda a, _: not a),
    "choice": (lambda a, b: z3.If(a, z3.BoolVal(False), b), lambda a, b: b and not a),
}  # fmt: skip


def conditions(terms: st.SearchStrategy[Term], is_linear: bool) -> st.SearchStrategy[tuple[Any, bool]]:
    """Return conditions on these terms, and whether they hold."""
    comparisons = COMPARISONS if is_linear else {**COMPARISONS, **NO_OVERFLOW}

    def compared(drawn: tuple[str, Term, Term]) -> tuple[Any, bool]:
        (term, value), (a, x), (b, y) = comparisons[drawn[0]], *drawn[1:]
        return term(a, b), value(x, y)

    def connected(drawn: tuple[str, tuple[Any, bool], tuple[Any, bool]]) -> tuple[Any, bool]:
        (term, value), (a, x), (b, y) = CONNECTIVES[drawn[0]], *drawn[1:]
        return term(a, b), value(x, y)

    basic = st.tuples(st.sampled_from([*comparisons]), terms, terms).map(compared)
    return basic | st.tuples(st.sampled_from([*CONNECTIVES]), basic, basic).map(connected)


@st.composite
def cases(draw: st.DrawFn, kinds: tuple[str, ...]) -> tuple[list[int], tuple[Any, bool]]:
    """Return values of the inputs, and a condition that uses these operations."""
    values = draw(
        st.lists(st.sampled_from([0, 1, 2, 127, 128, 254, 255]) | st.integers(0, 255), min_size=3, max_size=3)
    )
    known, is_linear = {**SUMS, **OTHERS}, set(kinds) <= {*SUMS}

    def made(drawn: tuple[str, Term, Term]) -> Term:
        (term, value), (a, x), (b, y) = known[drawn[0]], *drawn[1:]
        return term(a, b), value(x, y)

    def chosen(drawn: tuple[tuple[Any, bool], Term, Term]) -> Term:
        (holds, is_true), (a, x), (b, y) = drawn
        return z3.If(holds, a, b), x if is_true else y

    leaves = st.sampled_from([*zip(INPUTS, values, strict=True), (z3.BitVecVal(100, BITS), 100)])
    terms = st.recursive(leaves, lambda part: st.tuples(st.sampled_from(kinds), part, part).map(made)
                         | st.tuples(conditions(part, is_linear), part, part).map(chosen), max_leaves=6)  # fmt: skip
    return values, draw(conditions(terms, is_linear))


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


EDGES: Final = (0, 1, 2, 3, 126, 127, 128, 129, 254, 255)
PAIRS: Final = frozenset(product(EDGES, EDGES))


class Translated:
    """The translation of a condition on the inputs."""

    def __init__(self, condition: Any) -> None:
        translation = Translation()
        translation.add([condition, *(z3.ULE(word, TOP - 1) for word in INPUTS)])
        numbers = {word.get_id(): number for word, number in translation.inputs}
        self._numbers = [numbers[word.get_id()] for word in INPUTS]
        self._solver = z3.SimpleSolver()
        self._solver.add(*translation.conditions)

    def holds_for(self, *values: int) -> bool:
        """Return True if there is a solution with these values of the first inputs."""
        self._solver.push()
        self._solver.add(*(number == value for number, value in zip(self._numbers, values, strict=False)))
        found = self._solver.check()
        self._solver.pop()
        assert found != z3.unknown
        return bool(found == z3.sat)

    def pairs(self) -> frozenset[tuple[int, int]]:
        """Return the edge cases of the first two inputs for which there is a solution."""
        return frozenset(pair for pair in PAIRS if self.holds_for(*pair))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*COMPARISONS, *NO_OVERFLOW])
def test_a_comparison_holds_for_the_same_words(name: str) -> None:
    term, value = {**COMPARISONS, **NO_OVERFLOW}[name]
    wanted = frozenset(pair for pair in PAIRS if value(*pair))
    found, negated = (Translated(one).pairs() for one in (term(*INPUTS[:2]), z3.Not(term(*INPUTS[:2]))))
    if name in NO_OVERFLOW:  # the bounds of a product are not exact
        assert found >= wanted
        assert negated >= PAIRS - wanted
    else:
        assert (found, negated) == (wanted, PAIRS - wanted)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONNECTIVES)
def test_a_connective_holds_for_the_same_conditions(name: str) -> None:
    term, value = CONNECTIVES[name]
    condition = term(INPUTS[0] == 1, INPUTS[1] == 2)
    wanted = {(x, y) for x, y in PAIRS if value(x == 1, y == 2)}
    assert Translated(condition).pairs() == wanted
    assert Translated(z3.Not(condition)).pairs() == PAIRS - wanted


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SUMS, *OTHERS])
def test_an_operation_has_its_result(name: str) -> None:
    term, value = {**SUMS, **OTHERS}[name]
    found = Translated(term(*INPUTS[:2]) == INPUTS[2])
    assert all(found.holds_for(*pair, value(*pair)) for pair in PAIRS)
    if name in SUMS:
        assert not any(found.holds_for(*pair, (value(*pair) + 1) % TOP) for pair in PAIRS)


def test_a_product_of_256_overflows_8_bits() -> None:
    a, b, _ = INPUTS
    overflows = z3.Not(z3.BVMulNoOverflow(a, b, signed=False))
    assert is_satisfiable([a == 2, b == 128, a * b == 0, overflows])
    assert not is_satisfiable([a == 2, b == 128, a * b == 0, z3.Not(overflows)])


@pytest.mark.slow
def test_a_product_is_within_its_bounds() -> None:
    """Factors 0 and 1 fix a product; otherwise it is at least each factor, before it overflows."""
    a, b, _ = INPUTS
    wide = z3.ZeroExt(8, a) * z3.ZeroExt(8, b)
    for wrong in (
        z3.And(a == 0, wide != 0), z3.And(b == 1, z3.ZeroExt(8, a) != wide),
        z3.And(a != 0, z3.ULT(z3.Extract(15, 4, wide), z3.Extract(15, 4, z3.ZeroExt(8, b)))),
        z3.And(a == 3, z3.UGT(wide, 3 * 255)), z3.And(a * b == 7, z3.Extract(7, 0, wide) == 8),
    ):  # fmt: skip
        assert not is_satisfiable([wrong])
        assert not is_satisfiable([wrong], simplified=False)


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
    monkeypatch.setattr(solver, "_MAX_TERMS", 5)
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
    monkeypatch.setattr(solver, "_MAX_TERMS", 500)
    Translation().add([shared(60) == 1])
    with pytest.raises(TooLarge):
        Translation().add([shared(200) == 1])


@pytest.mark.slow
def test_deep_terms_are_left_to_the_bit_vectors() -> None:
    equation = shared(400) == 12
    model = Solver(60, 20).model([equation, INPUTS[1] == 3])
    assert model is not None
    assert z3.is_true(model.eval(equation, model_completion=True))


@pytest.mark.slow
def test_each_search_agrees_with_the_values() -> None:
    """The check runs in a new process, because other tests of this one may have damaged z3's terms."""
    program = f"from {__name__} import searches_agree; searches_agree()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr


@settings(max_examples=100, deadline=None, database=None)
@given(cases((*SUMS, *OTHERS)))
def searches_agree(case: tuple[list[int], tuple[Any, bool]]) -> None:
    values, (condition, holds) = case
    solver = Solver(20, 60)
    for search in (solver._check, solver._check_bits, solver._check_integers):
        for wanted in (condition, z3.Not(condition)):
            constraints = [*fixed(values), wanted]
            found, model = search(constraints, 10)
            assert found != (z3.unsat if holds == (wanted is condition) else z3.sat)
            assert found != z3.unknown or search == solver._check_integers
            if found == z3.sat:
                assert all(z3.is_true(model.eval(one, model_completion=True)) for one in constraints)


def test_arrays_are_left_to_another_search() -> None:
    array = z3.Array("words", z3.BitVecSort(8), z3.BitVecSort(8))
    a, b, _ = INPUTS
    solver = Solver(20, 60)
    constraints = [array[a] == 1, array[b] == 2, z3.ULE(a, b), z3.ULE(b, a)]
    assert solver._check_bits(constraints, 1)[0] == z3.unknown
    solver._prefers_bits = True
    assert solver.model(constraints) is None
    assert solver.model(constraints[:2]) is not None
    assert not solver._prefers_bits


def test_the_next_query_begins_with_the_search_that_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    solver, searches = Solver(20, 60), list[str]()
    usual = solver._check

    def failing(constraints: Any, seconds: float, chosen: Any = None) -> tuple[Any, Any]:
        searches.append("bits" if chosen is not None else "usual")
        return usual(constraints, seconds, chosen) if chosen is not None else (z3.unknown, None)

    monkeypatch.setattr(solver, "_check", failing)
    for _ in range(2):
        assert solver.model([INPUTS[0] == 1]) is not None
    assert searches == ["usual", "bits", "bits"]
