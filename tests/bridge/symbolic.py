"""Symbolic numbers and bytes, and execution of the project's functions on them along every path.

At each branch the solver determines which directions are possible, and each of these is executed in a run of its own. A
claim that holds at the end of every path therefore holds for every input. The functions are the project's own; only the
built-in types that require concrete values are replaced (`exchanged`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

import pytest
import z3

from hypervisor.errors import HypervisorError

z3.Z3_enable_concurrent_dec_ref(z3.main_ctx().ref())  # for the reason in soltest/symbolic/words.py

BITS = 264
"""Width of a word plus 8 bits, so that no carry is lost."""


@dataclass(slots=True)
class Path:
    """Decisions at branches: first those in `given`, then any possible one. `left` holds the paths not taken."""

    given: list[bool]
    conditions: list[Any]
    taken: list[bool]
    left: list[list[bool]]

    def decide(self, condition: Any) -> bool:
        place = len(self.taken)
        if place < len(self.given):
            way = self.given[place]
        else:
            way = possible(*self.conditions, condition)
            if way and possible(*self.conditions, z3.Not(condition)):
                self.left.append([*self.taken, False])
        self.taken.append(way)
        self.conditions.append(condition if way else z3.Not(condition))
        return way


_current: list[Path] = []


def possible(*conditions: Any) -> bool:
    """Return whether any input satisfies all conditions."""
    solver = z3.Solver()
    solver.add(*conditions)
    verdict = solver.check()
    assert verdict != z3.unknown, solver.reason_unknown()
    return bool(verdict == z3.sat)


def paths(function: Callable[[], Any], *assumed: Any) -> Iterator[tuple[list[Any], Any]]:
    """Yield the conditions of each path of a function, and its result or the error that ends it."""
    waiting: list[list[bool]] = [[]]
    while waiting:
        path = Path(waiting.pop(), [plain(condition) for condition in assumed], [], [])
        _current.append(path)
        try:
            result = function()
        except (HypervisorError, ValueError, OverflowError) as error:
            result = error
        finally:
            _current.pop()
        waiting += path.left
        yield path.conditions, result


def always(claim: Any, conditions: Sequence[Any]) -> bool:
    """Return whether a claim holds for all inputs that satisfy the conditions."""
    return not possible(*conditions, z3.Not(plain(claim)))


def plain(value: Any) -> Any:
    """Return the solver's term."""
    return value.term if isinstance(value, (Truth, Number)) else value


class Truth:
    """A comparison whose truth the path decides when it is used as a condition."""

    def __init__(self, term: Any) -> None:
        self.term = term

    def __bool__(self) -> bool:
        return _current[-1].decide(self.term)


class Number:
    """A natural number, with a bit width (`word`) or unbounded (`amount`)."""

    def __init__(self, term: Any) -> None:
        self.term = term
        self._sized = z3.is_bv(term)

    def _of(self, other: Any) -> Any:
        return plain(other)

    def __add__(self, other: Any) -> "Number":
        return Number(self.term + self._of(other))

    __radd__ = __add__

    def __sub__(self, other: Any) -> "Number":
        return Number(self.term - self._of(other))

    def __rsub__(self, other: Any) -> "Number":
        return Number(self._of(other) - self.term)

    def __mul__(self, other: Any) -> "Number":
        return Number(self.term * self._of(other))

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> "Number":
        return Number(z3.UDiv(self.term, self._of(other)) if self._sized else self.term / self._of(other))

    def __and__(self, other: Any) -> "Number":
        return Number(self.term & self._of(other))

    def __or__(self, other: Any) -> "Number":
        return Number(self.term | self._of(other))

    __ror__ = __or__

    def __lshift__(self, places: int) -> "Number":
        return Number(self.term << places)

    def __rshift__(self, places: int) -> "Number":
        return Number(z3.LShR(self.term, places))

    def __lt__(self, other: Any) -> Truth:
        return Truth(z3.ULT(self.term, self._of(other)) if self._sized else self.term < self._of(other))

    def __le__(self, other: Any) -> Truth:
        return Truth(z3.ULE(self.term, self._of(other)) if self._sized else self.term <= self._of(other))

    def __gt__(self, other: Any) -> Truth:
        return Truth(z3.UGT(self.term, self._of(other)) if self._sized else self.term > self._of(other))

    def __ge__(self, other: Any) -> Truth:
        return Truth(z3.UGE(self.term, self._of(other)) if self._sized else self.term >= self._of(other))

    def __eq__(self, other: object) -> Any:
        return Truth(self.term == self._of(other))

    def __bool__(self) -> bool:
        return bool(Truth(self.term != 0))

    def to_bytes(self, length: int, order: str) -> "Bytes":
        """Convert to big-endian bytes, or raise OverflowError, like `int.to_bytes`."""
        assert order == "big"
        if self >= 1 << 8 * length:
            raise OverflowError
        ends = range(8 * length - 1, 0, -8)
        return Bytes([z3.ZeroExt(BITS - 8, z3.Extract(end, end - 7, self.term)) for end in ends])


class Bytes:
    """Bytes of known length, each with a known or an unknown value."""

    def __init__(self, parts: Any = ()) -> None:
        self.parts: list[Any] = [plain(part) for part in parts]

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, place: SupportsIndex | slice) -> Any:
        if isinstance(place, slice):
            return Bytes(self.parts[place])
        part = self.parts[place]
        return part if isinstance(part, int) else Number(part)

    def __iter__(self) -> Iterator[Any]:
        return (self[place] for place in range(len(self)))

    def __add__(self, other: Any) -> "Bytes":
        return Bytes([*self.parts, *Bytes(other).parts])

    def __radd__(self, other: bytes) -> "Bytes":
        return Bytes([*other, *self.parts])

    def __eq__(self, other: object) -> Any:
        theirs = Bytes(other).parts
        if len(theirs) != len(self.parts):
            return Truth(z3.BoolVal(False))
        return Truth(z3.And([_term(a) == _term(b) for a, b in zip(self.parts, theirs, strict=True)]))

    def __ne__(self, other: object) -> Any:
        return Truth(z3.Not((self == other).term))


class Growing(Bytes):
    """Replacement of bytearray."""

    def append(self, part: Any) -> None:
        self.parts.append(plain(part))


class Integers:
    """Replacement of `int` where bytes are converted."""

    @staticmethod
    def from_bytes(data: Any, order: str) -> Number:
        assert order == "big"
        total = z3.BitVecVal(0, BITS)
        for part in Bytes(data).parts:
            total = total << 8 | _term(part)
        return Number(total)


def _term(part: Any) -> Any:
    return z3.BitVecVal(part, BITS) if isinstance(part, int) else part


def word(name: str) -> Number:
    """Create an unknown number of `BITS` bits."""
    return Number(z3.BitVec(name, BITS))


def amount(name: str) -> Number:
    """Create an unknown number without an upper limit; the caller assumes that it is not negative."""
    return Number(z3.Int(name))


def unknown(name: str, length: int) -> Bytes:
    """Create unknown bytes."""
    return Bytes([z3.ZeroExt(BITS - 8, z3.BitVec(f"{name}{place}", 8)) for place in range(length)])


def exchanged(patch: pytest.MonkeyPatch, module: Any, **names: Any) -> None:
    """Replace built-in types in the namespace of a module."""
    for name, stand_in in names.items():
        patch.setattr(module, name, stand_in, raising=False)
