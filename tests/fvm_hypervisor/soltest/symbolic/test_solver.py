"""Searches of the solver: each result agrees with the values that a constraint has."""

import subprocess
import sys
from typing import Any

import pytest
import z3
from hypothesis import given, settings

from fvm_hypervisor.soltest.symbolic.solver import Solver
from tests.fvm_hypervisor.soltest.symbolic.test_integers import INPUTS, OTHERS, SUMS, cases, fixed


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
