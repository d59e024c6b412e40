"""z3 with a time limit per query and for the whole test."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any, Final

import z3

from fvm_hypervisor.soltest.symbolic.constants import Constants
from fvm_hypervisor.soltest.symbolic.words import NotModelled

_MEMORY_MB: Final = 4096


class OutOfBudget(Exception):
    """Raised if a test has used its time."""


class Solver:
    """Answers whether constraints can be satisfied."""

    def __init__(self, query_seconds: float, seconds: float) -> None:
        self._query = query_seconds
        self._end = monotonic() + seconds
        self.constants = Constants()
        z3.set_param("memory_max_size", _MEMORY_MB)

    def check_time(self) -> None:
        """Raise OutOfBudget if the time of the test is over."""
        if monotonic() > self._end:
            raise OutOfBudget

    def model(self, constraints: Sequence[Any]) -> Any:
        """Return a model, or None if there is none. Raises NotModelled if z3 cannot tell, OutOfBudget."""
        self.check_time()
        solver = z3.Solver()
        rest = max(0.1, min(self._query, self._end - monotonic()))
        solver.set("timeout", int(rest * 1000))
        solver.add(*constraints)
        try:
            found = solver.check()
        except z3.Z3Exception as error:
            raise NotModelled(f"the solver failed: {error}") from None
        if found == z3.unsat:
            return None
        if found == z3.sat:
            return solver.model()
        self.check_time()
        raise NotModelled(f"the solver did not answer within {self._query:g} seconds")
