"""z3 with a time limit per query and for the whole test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from time import monotonic, process_time
from typing import Any, Final

import z3

from fvm_hypervisor.soltest.symbolic.constants import HASH_NAME, Constants
from fvm_hypervisor.soltest.symbolic.integers import TooLarge, Translation
from fvm_hypervisor.soltest.symbolic.words import NotModelled, free_constants

_MEMORY_MB: Final = 4096
_QUICK_SECONDS: Final = 0.1
"""Time for a query before the next search is tried."""
_BIT_SECONDS: Final = 1.0
"""Time for a query in propositional logic before values are guessed."""
_INTEGER_SECONDS: Final = 2.0
"""Time for a query over integers before the next search is tried."""
_GUESS_SECONDS: Final = 0.1
"""Time for a query with guessed values."""
_MAX_SLOWDOWN: Final = 8.0
"""Maximum elapsed time that z3 gets per processor time, since waiting looks like load."""
_BIT_TACTICS: Final = ("simplify", "propagate-values", "solve-eqs", "elim-uncnstr", "simplify", "bit-blast", "sat")
_GUESSES: Final = 500
_MAX_GUESSED: Final = 8
"""Maximum number of inputs whose values are guessed."""
_EDGES: Final = (0, 1, 2, 1 << 128, 1 << 255, (1 << 256) - 1)
_EDGE_SHARE: Final = 0.4
"""Share of guessed values that are edge cases."""
_SIZES: Final = (2, 4, 8, 128)
"""Sizes in bits of the other guessed values."""


class OutOfBudget(Exception):
    """Raised if a test has used its time."""


class Solver:
    """Answers whether constraints can be satisfied. Limits are in seconds of processor time.

    `undecided` counts the sides of branches that were left out because z3 could not tell whether they are possible.
    """

    def __init__(self, query_seconds: float, seconds: float) -> None:
        self._query = query_seconds
        self._wall, self._processor = monotonic(), process_time()
        self._end = self._processor + seconds
        self.constants = Constants()
        self.undecided: Counter[str] = Counter()
        self._prefers_bits = False
        z3.set_param("memory_max_size", _MEMORY_MB)

    def check_time(self) -> None:
        """Raise OutOfBudget if the time of the test is over."""
        if process_time() > self._end:
            raise OutOfBudget

    def model(self, constraints: Sequence[Any]) -> Any:
        """Return a model, or None if there is none. Raises NotModelled if z3 cannot tell, OutOfBudget."""
        self.check_time()
        usual, bits = self._check, self._check_bits
        for search, seconds in (
            *((search, _QUICK_SECONDS) for search in ((bits, usual) if self._prefers_bits else (usual, bits))),
            (self._check_integers, _INTEGER_SECONDS), (bits, _BIT_SECONDS),
        ):  # fmt: skip
            found, model = search(constraints, seconds)
            if found != z3.unknown:
                # queries of a test are similar: the next one begins with the search that decided this one
                self._prefers_bits = search == self._check_bits
                break
        if found == z3.unknown:
            found, model = self._guess(constraints)
        if found == z3.unknown:
            found, model = self._check(constraints, self._query)
        if found == z3.unsat:
            return None
        if found == z3.sat:
            return model
        self.check_time()
        raise NotModelled(f"the solver did not answer within {self._query:g} seconds of processor time")

    def _slowdown(self) -> float:
        """Return the elapsed time per processor time, so that z3's limits do not depend on the machine's load."""
        return min(_MAX_SLOWDOWN, max(1.0, (monotonic() - self._wall) / max(0.1, process_time() - self._processor)))

    def _check_bits(self, constraints: Sequence[Any], seconds: float) -> tuple[Any, Any]:
        """Check the constraints in propositional logic; the result is unknown if they contain arrays."""
        return self._check(constraints, seconds, z3.Then(*_BIT_TACTICS).solver())

    def _check(self, constraints: Sequence[Any], seconds: float, solver: Any = None) -> tuple[Any, Any]:
        if solver is None:  # without preprocessing, which takes longer than most queries
            solver = z3.SimpleSolver()
        rest = max(0.1, min(seconds, self._query, self._end - process_time()))
        solver.set("timeout", int(rest * self._slowdown() * 1000))
        solver.add(*constraints)
        try:
            found = solver.check()
        except z3.Z3Exception as error:
            raise NotModelled(f"the solver failed: {error}") from None
        return found, solver.model() if found == z3.sat else None

    def _check_integers(self, constraints: Sequence[Any], seconds: float) -> tuple[Any, Any]:
        """Check the constraints as integers; a solution counts only if the constraints hold for its values."""
        translation = Translation()
        try:
            translation.add(constraints)
        except TooLarge:
            return z3.unknown, None
        found, model = self._check(translation.conditions, seconds)
        if found != z3.sat:
            return found, None
        values = [word == model.eval(number, model_completion=True).as_long() for word, number in translation.inputs]
        found, model = self._check([*constraints, *values], _GUESS_SECONDS)
        return (found, model) if found == z3.sat else (z3.unknown, None)

    def _guess(self, constraints: Sequence[Any]) -> tuple[Any, Any]:
        """Try values of all inputs; z3 often needs minutes to find a model of products and quotients."""
        whole = z3.And(*constraints)
        inputs = _inputs(whole)
        if len(inputs) > _MAX_GUESSED:
            return z3.unknown, None
        rng = Random(0)  # noqa: S311  # not for cryptography
        for _ in range(_GUESSES):
            pairs = [(one, z3.BitVecVal(_value(rng), one.size())) for one in inputs]
            if z3.is_false(z3.simplify(z3.substitute(whole, *pairs))):
                continue
            found, model = self._check([*constraints, *(one == value for one, value in pairs)], _GUESS_SECONDS)
            if found == z3.sat:
                return found, model
            self.check_time()
        return z3.unknown, None


def _value(rng: Random) -> int:
    return rng.choice(_EDGES) if rng.random() < _EDGE_SHARE else rng.getrandbits(rng.choice(_SIZES))


def _inputs(expression: Any) -> list[Any]:
    """Return the symbolic words of an expression, without hashes."""
    return [one for one in free_constants(expression) if z3.is_bv(one) and not str(one).startswith(HASH_NAME)]
