"""Address and gas conversions for every input at once.

- Symbolic numbers and bytes, and execution of the project's functions on them along every path.
- Address and gas conversions for every input at once: round trips, injectivity, no gas created or lost.

At each branch the solver determines which directions are possible, and each of these is executed in a run of its own. A
claim that holds at the end of every path therefore holds for every input. The functions are the project's own; only the
built-in types that require concrete values are replaced (`exchanged`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, SupportsIndex, cast

import pytest
import z3

from bridge import gas
from bridge.ethereum import addresses
from bridge.ethereum.addresses import EthAddress
from hypervisor import types
from hypervisor.errors import HypervisorError, OutOfGas
from hypervisor.gas import GasTracker
from hypervisor.messages.address import Address, Protocol
from runtimes.evm.contracts import syscalls

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
    return Bytes([z3.ZeroExt(BITS - 8, z3.BitVec(f"{name}{place}", 8)) for place in range(length)])


def exchanged(patch: pytest.MonkeyPatch, module: Any, **names: Any) -> None:
    """Replace built-in types in the namespace of a module."""
    for name, stand_in in names.items():
        patch.setattr(module, name, stand_in, raising=False)


U64 = 1 << 64


@pytest.fixture(autouse=True)
def _unknowns(monkeypatch: pytest.MonkeyPatch) -> None:
    exchanged(monkeypatch, addresses, int=Integers)
    exchanged(monkeypatch, types, bytes=Bytes, bytearray=Growing)


def ethereum(name: str) -> EthAddress:
    return cast(EthAddress, unknown(name, 20))


def masked(address: Any) -> Any:
    """Return whether an address matches the pattern of masked IDs in the specification."""
    return z3.And([plain(part) == (0xFF if place == 0 else 0) for place, part in enumerate(address.parts[:12])])


def test_masking_is_undone_by_unmasking_for_every_id() -> None:
    actor = word("actor")
    ended = list(paths(lambda: addresses.unmask_id(addresses.masked_id(cast(int, actor))), actor < U64))
    assert ended
    for conditions, result in ended:
        assert isinstance(result, Number)
        assert always(result == actor, conditions)


def test_unmask_id_round_trips_and_rejects_unmasked_addresses() -> None:
    address = ethereum("a")
    kinds = set()
    for conditions, result in paths(lambda: addresses.unmask_id(address)):
        kinds.add(type(result))
        if result is None:
            assert always(z3.Not(masked(address)), conditions)
            continue
        assert always(masked(address), conditions)
        ((_, again),) = paths(partial(addresses.masked_id, cast(int, result)), *conditions)
        assert always(again == address, conditions)
    assert kinds == {type(None), Number}


def test_filecoin_round_trip_is_injective_and_prefers_f410() -> None:
    first, second = ethereum("a"), ethereum("b")
    outside = [z3.Not(masked(first)), z3.Not(masked(second))]
    ((conditions, pair),) = paths(lambda: (addresses.to_filecoin(first), addresses.to_filecoin(second)), *outside)
    assert [address.protocol for address in pair] == [Protocol.DELEGATED] * 2
    same = (pair[0].payload == pair[1].payload).term
    assert always(z3.Implies(same, plain(Bytes(first) == second)), conditions)
    for conditions, back in paths(lambda: addresses.to_ethereum(cast(Any, word("actor")), pair[0]), *outside):
        assert always(back == first, conditions)


def test_masked_f410_payload_yields_no_ethereum_address() -> None:
    address = ethereum("a")
    delegated = Address(Protocol.DELEGATED, cast(bytes, b"\x0a" + cast(Any, address)))
    for conditions, result in paths(lambda: addresses.from_delegated(delegated), masked(address)):
        assert result is None, conditions


def test_word_to_address_ignores_upper_bits() -> None:
    asked = word("word")
    for conditions, result in paths(lambda: addresses.word_to_address(cast(int, asked))):
        assert always(Integers.from_bytes(result, "big") == asked & ((1 << 160) - 1), conditions)


@pytest.mark.slow
def test_every_actor_id_survives_leb128_round_trip() -> None:
    actor = word("actor")
    lengths = set()
    for conditions, written in paths(lambda: types.encode_uleb128(cast(int, actor)), actor < U64):
        lengths.add(len(written))
        for deeper, (number, end) in paths(partial(types.decode_uleb128, written), *conditions):
            assert end == len(written)
            assert always(number == actor, deeper)
    assert lengths == set(range(1, 11))


def test_call_gas_limit_is_requested_amount_capped_at_63_64ths() -> None:
    wanted, left = amount("wanted"), amount("left")
    host = SimpleNamespace(get_gas_left=lambda: left)
    ended = list(paths(lambda: syscalls.gas_limit(cast(Any, host), cast(int, wanted)), wanted >= 0, left >= 0))
    assert len(ended) > 1
    for conditions, limit in ended:
        assert always(limit <= wanted, conditions)
        assert always(Number(plain(limit) * 64) <= left * 63, conditions)
        kept = z3.Implies(plain(wanted * 64 <= left * 63), z3.Or(plain(limit) == plain(wanted), plain(wanted) >= U64))
        assert always(kept, conditions)


@pytest.mark.parametrize("rate", [1, 999, gas.DEFAULT_RATE])
def test_gas_budget_charges_used_gas_and_never_exceeds_limit(rate: int) -> None:
    limit, used, share = amount("limit"), amount("used"), amount("share")
    seen = set()

    def spend() -> tuple[GasTracker, gas.GasBudget]:
        tracker = GasTracker(cast(int, limit))
        budget = gas.GasBudget(tracker, rate)
        budget.refill()
        if used > budget.remaining:
            budget.overdraw(cast(int, used))
        budget.remaining -= cast(int, used)
        budget.settle()
        tracker.push(cast(int, share))  # a call with its own limit uses all of it
        tracker.charge("callee", tracker.limit)
        tracker.pop()
        budget.refill()
        return tracker, budget

    for conditions, result in paths(spend, limit >= 0, used >= 0, share >= 0):
        seen.add(OutOfGas if isinstance(result, OutOfGas) else tuple)
        if isinstance(result, OutOfGas):
            assert always(used * rate > limit, conditions)
            continue
        tracker, budget = result
        rest = limit - used * rate
        callee = z3.If(plain(share < rest), plain(share), plain(rest))
        assert always(Number(plain(tracker.used)) == used * rate + Number(callee), conditions)
        assert always(Number(plain(tracker.available)) >= 0, conditions)
        assert always(Number(plain(budget.remaining)) * rate <= tracker.available, conditions)
    assert seen == {tuple, OutOfGas}
