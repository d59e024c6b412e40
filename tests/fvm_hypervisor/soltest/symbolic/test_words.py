"""Rewritten terms: proofs that they are equal to the originals."""

from __future__ import annotations

import pytest
import z3

from fvm_hypervisor.soltest.symbolic.words import greater


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
