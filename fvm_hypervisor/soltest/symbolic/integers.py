"""Constraints over bit vectors as constraints over integers, which z3 decides faster if they are sums and comparisons.

Each bit vector becomes an integer below `2^width`. Sums, multiples, comparisons, choices, slices and concatenations are
translated exactly: a sum gets an unknown number of overflows, `sum - 2^width * overflows`. A product of two unknown
words becomes an unknown number with bounds, such as `product >= left` unless `right` is 0; its overflows are unknown,
too. Any other term, such as an element of an array, becomes an unknown number in its range. It is the same number
wherever the term occurs.

So each solution of the constraints gives a solution of the translation: if the translation has no solution, neither do
the constraints. The reverse does not hold: numbers that satisfy the translation must be tried in the constraints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import z3

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
