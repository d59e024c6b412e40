"""The solver of path conditions: z3 with a time limit per query and for the whole test.

Constraints over bit vectors are also tried as constraints over integers, which z3 decides faster if they are sums and
comparisons. Each bit vector becomes an integer below `2^width`. Sums, multiples, comparisons, choices, slices and
concatenations are translated exactly: a sum gets an unknown number of overflows, `sum - 2^width * overflows`. A product
of two unknown words becomes an unknown number with bounds, such as `product >= left` unless `right` is 0; its overflows
are unknown, too. Any other term, such as an element of an array, becomes an unknown number in its range. It is the same
number wherever the term occurs.

So each solution of the constraints gives a solution of the translation: if the translation has no solution, neither do
the constraints. The reverse does not hold: numbers that satisfy the translation must be tried in the constraints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from time import monotonic, process_time
from typing import Any, Final

import z3

from hypervisor_tools.soltest.symbolic.words import NotModelled, free_constants

HASH_NAME: Final = "keccak#"
"""Prefix of the names of hash variables. Solidity identifiers cannot contain `#`."""


@dataclass(slots=True)
class Constants:
    """Finds the symbolic constants that terms contain. Results are cached per subterm."""

    _found: dict[int, tuple[Any, frozenset[int]]] = field(default_factory=dict)
    """Term and constants by the identity of the term; the reference keeps the identity from being used again."""

    def of(self, term: Any) -> frozenset[int]:
        """Return the identities of the constants of a term."""
        todo = [term]
        while todo:
            one = todo[-1]
            name = one.get_id()
            if name in self._found:
                todo.pop()
                continue
            if z3.is_const(one):
                is_symbol = one.decl().kind() == z3.Z3_OP_UNINTERPRETED
                self._found[name] = (one, frozenset((name,) if is_symbol else ()))
                todo.pop()
                continue
            parts = one.children()
            missing = [part for part in parts if part.get_id() not in self._found]
            if missing:
                todo += missing
                continue
            self._found[name] = (one, frozenset().union(*(self._found[part.get_id()][1] for part in parts)))
            todo.pop()
        return self._found[term.get_id()][1]


_MAX_TERMS: Final = 20_000
"""Maximum number of terms that are translated; larger constraints are not."""
_MAX_DEPTH: Final = 200
"""Maximum nesting of translated terms. A RecursionError in z3's constructors would release a term that is in use."""


class TooLarge(Exception):
    """Raised if constraints have more than `_MAX_TERMS` terms, or deeper ones than `_MAX_DEPTH`."""


@dataclass(slots=True)
class Translation:
    """The integers of a set of constraints. `conditions` are the translated constraints and the ranges."""

    conditions: list[Any] = field(default_factory=list)
    inputs: list[tuple[Any, Any]] = field(default_factory=list)
    """Pairs of a symbolic word of the constraints and its integer."""
    _numbers: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    _sums: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    _booleans: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    _products: dict[tuple[int, int], tuple[Any, Any, Any]] = field(default_factory=dict)
    """Factors without leading zeros, and their product, by the identities of the factors."""
    _depth: int = 0

    def add(self, constraints: Sequence[Any]) -> None:
        """Translate constraints. Raises TooLarge."""
        self.conditions += [self._boolean(one) for one in constraints]

    # --- conditions -------------------------------------------------------------------------------------------------

    def _boolean(self, expression: Any) -> Any:
        found = self._booleans.get(expression.get_id())
        if found is None:
            self._descend()
            found = self._booleans[expression.get_id()] = (expression, self._new_boolean(expression))
            self._depth -= 1
        return found[1]

    def _new_boolean(self, expression: Any) -> Any:
        if not z3.is_app(expression):  # a quantifier
            return z3.FreshBool()
        kind, children = expression.decl().kind(), expression.children()
        if kind in _CONNECTIVES:
            return _CONNECTIVES[kind](*map(self._boolean, children))
        if kind in _EQUALITIES and z3.is_bool(children[0]):
            return _EQUALITIES[kind](*map(self._boolean, children))
        if kind in _EQUALITIES and z3.is_bv(children[0]):
            return _EQUALITIES[kind](*map(self._number, children))
        if kind in _COMPARISONS:
            return _COMPARISONS[kind](*map(self._number, children))
        if kind in _SIGNED_COMPARISONS:
            return _SIGNED_COMPARISONS[kind](*map(self._signed, children))
        if kind == z3.Z3_OP_BUMUL_NO_OVFL:
            return self._product(*children) < 1 << children[0].size()
        return z3.FreshBool()

    # --- numbers ----------------------------------------------------------------------------------------------------

    def _number(self, expression: Any) -> Any:
        """Return the integer of a bit vector."""
        found = self._numbers.get(expression.get_id())
        if found is None:
            self._descend()
            found = self._numbers[expression.get_id()] = (expression, self._new_number(expression))
            self._depth -= 1
        return found[1]

    def _descend(self) -> None:
        self._depth += 1
        size = len(self._numbers) + len(self._sums) + len(self._booleans)
        if size >= _MAX_TERMS or self._depth > _MAX_DEPTH:
            raise TooLarge

    def _new_number(self, expression: Any) -> Any:
        kind, children, size = expression.decl().kind(), expression.children(), expression.size()
        if z3.is_bv_value(expression):
            return z3.IntVal(expression.as_long())
        if kind == z3.Z3_OP_ITE:
            return z3.If(self._boolean(children[0]), self._number(children[1]), self._number(children[2]))
        if kind in _SUMS or _is_product(expression):
            return self._wrapped(self._sum(expression), size)
        if kind == z3.Z3_OP_CONCAT:
            return self._joined(children)
        if kind == z3.Z3_OP_ZERO_EXT:
            return self._number(children[0])
        if kind == z3.Z3_OP_SIGN_EXT:
            return self._wrapped(self._signed(children[0]), size)
        if kind == z3.Z3_OP_EXTRACT:
            high, low = expression.params()
            return self._slice(children[0], high, low)
        if kind in _DIVISIONS and z3.is_bv_value(children[1]) and children[1].as_long():
            divided = self._divided(self._number(children[0]), children[1].as_long(), 1 << size)
            return divided[_DIVISIONS[kind]]
        number = self._unknown(1 << size)
        if z3.is_const(expression):
            self.inputs.append((expression, number))
        return number

    def _sum(self, expression: Any) -> Any:
        """Return an integer that is congruent to a bit vector modulo `2^width`."""
        found = self._sums.get(expression.get_id())
        if found is None:
            self._descend()
            found = self._sums[expression.get_id()] = (expression, self._new_sum(expression))
            self._depth -= 1
        return found[1]

    def _new_sum(self, expression: Any) -> Any:
        kind, children = expression.decl().kind(), expression.children()
        if kind in _SUMS:
            return _SUMS[kind](*map(self._sum, children))
        if not _is_product(expression):
            return self._number(expression)
        factor = _factor(expression)
        if factor is None:
            return self._product(*children)
        product = children[1]
        for more in children[2:]:
            product = product * more
        return factor * self._sum(product)

    def _product(self, left: Any, right: Any) -> Any:
        """Return the product of two bit vectors, without overflow."""
        one, other = sorted(map(_without_leading_zeros, (left, right)), key=lambda factor: int(factor.get_id()))
        key = (one.get_id(), other.get_id())
        if key not in self._products:
            made = self._unknown(1 << (one.size() + other.size()))
            for factor, bits, second in (
                (self._number(one), one.size(), self._number(other)),
                (self._number(other), other.size(), self._number(one)),
            ):
                self.conditions += [
                    z3.Implies(factor == 0, made == 0), z3.Implies(factor == 1, made == second),
                    z3.Implies(factor >= 1, made >= second), made <= second * ((1 << bits) - 1),
                ]  # fmt: skip
            self._products[key] = (one, other, made)
        return self._products[key][2]

    def _signed(self, expression: Any) -> Any:
        """Return the two's complement value of a bit vector."""
        number, size = self._number(expression), expression.size()
        return z3.If(number >= 1 << (size - 1), number - (1 << size), number)

    def _joined(self, parts: Sequence[Any]) -> Any:
        total, shift = z3.IntVal(0), 0
        for part in reversed(parts):
            total = total + self._number(part) * (1 << shift)
            shift += part.size()
        return total

    def _slice(self, expression: Any, high: int, low: int) -> Any:
        """Return the bits from `low` to `high`, both included."""
        number = self._number(expression)
        if high < expression.size() - 1:
            _, number = self._divided(number, 1 << (high + 1), 1 << expression.size())
        return self._divided(number, 1 << low, 1 << (high + 1))[0] if low else number

    def _divided(self, number: Any, divisor: int, limit: int) -> tuple[Any, Any]:
        """Return quotient and remainder of a number below `limit`."""
        quotient, rest = self._unknown(-(-limit // divisor)), self._unknown(divisor)
        self.conditions.append(number == quotient * divisor + rest)
        return quotient, rest

    def _wrapped(self, number: Any, size: int) -> Any:
        """Return a number modulo `2^size`."""
        wrapped, overflows = self._unknown(1 << size), z3.FreshInt()
        self.conditions.append(number == wrapped + overflows * (1 << size))
        return wrapped

    def _unknown(self, limit: int) -> Any:
        """Return a new integer from 0 to below `limit`."""
        made = z3.FreshInt()
        self.conditions += [made >= 0, made < limit]
        return made


def _is_product(expression: Any) -> bool:
    """Return True for a product of two bit vectors, or of a number and bit vectors."""
    is_product = z3.is_app_of(expression, z3.Z3_OP_BMUL)
    return is_product and (expression.num_args() == 2 or _factor(expression) is not None)


def _without_leading_zeros(expression: Any) -> Any:
    """Return the bit vector of which an expression is the extension by zeros."""
    while True:
        if z3.is_app_of(expression, z3.Z3_OP_ZERO_EXT):
            expression = expression.arg(0)
        elif z3.is_app_of(expression, z3.Z3_OP_CONCAT) and expression.num_args() == 2 and _is_zero(expression.arg(0)):
            expression = expression.arg(1)
        else:
            return expression


def _is_zero(expression: Any) -> bool:
    return bool(z3.is_bv_value(expression) and expression.as_long() == 0)


def _factor(expression: Any) -> int | None:
    """Return the first factor of a product if it is a number, which z3 puts first; otherwise None."""
    if not z3.is_app_of(expression, z3.Z3_OP_BMUL) or not z3.is_bv_value(expression.arg(0)):
        return None
    return int(expression.arg(0).as_signed_long())


_CONNECTIVES: Final[dict[int, Callable[..., Any]]] = {
    z3.Z3_OP_TRUE: lambda: z3.BoolVal(True), z3.Z3_OP_FALSE: lambda: z3.BoolVal(False), z3.Z3_OP_NOT: z3.Not,
    z3.Z3_OP_AND: z3.And, z3.Z3_OP_OR: z3.Or, z3.Z3_OP_XOR: z3.Xor,
    z3.Z3_OP_IMPLIES: z3.Implies, z3.Z3_OP_ITE: z3.If,
}  # fmt: skip
_EQUALITIES: Final[dict[int, Callable[..., Any]]] = {
    z3.Z3_OP_EQ: lambda a, b: a == b, z3.Z3_OP_DISTINCT: z3.Distinct,
}  # fmt: skip
_COMPARISONS: Final[dict[int, Callable[[Any, Any], Any]]] = {
    z3.Z3_OP_ULEQ: lambda a, b: a <= b, z3.Z3_OP_ULT: lambda a, b: a < b,
    z3.Z3_OP_UGEQ: lambda a, b: a >= b, z3.Z3_OP_UGT: lambda a, b: a > b,
}  # fmt: skip
_SIGNED_COMPARISONS: Final[dict[int, Callable[[Any, Any], Any]]] = {
    z3.Z3_OP_SLEQ: lambda a, b: a <= b, z3.Z3_OP_SLT: lambda a, b: a < b,
    z3.Z3_OP_SGEQ: lambda a, b: a >= b, z3.Z3_OP_SGT: lambda a, b: a > b,
}  # fmt: skip
_SUMS: Final[dict[int, Callable[..., Any]]] = {
    z3.Z3_OP_BADD: lambda *some: z3.Sum(some), z3.Z3_OP_BSUB: lambda first, *more: first - z3.Sum(more),
    z3.Z3_OP_BNEG: lambda a: -a, z3.Z3_OP_BNOT: lambda a: -1 - a,
}  # fmt: skip
_DIVISIONS: Final = {
    z3.Z3_OP_BUDIV: 0, z3.Z3_OP_BUDIV_I: 0, z3.Z3_OP_BUREM: 1, z3.Z3_OP_BUREM_I: 1,
}  # fmt: skip
"""Index of the operation's result in (quotient, remainder)."""


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
