"""Instructions of the same call under two forks of Ethereum: their gas, the first one that differs, and limits reached.

The own gas of an instruction is what its frame loses from it to the next one, without the gas of the call it makes.
So the rows of a run add up to its gas before refunds. Gas is that of the fork, of which state gas is a part.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Final, NamedTuple

from bridge.ethereum.addresses import EthAddress
from bridge.evm_steps import EvmCost, EvmFault, EvmStep
from hypervisor.errors import OutOfGas
from hypervisor.exit_codes import ExitCode
from hypervisor.tracing import CallEnded, CallNode, CallStarted, Detail, GasCharged, RuntimeEvent, TraceEvent
from hypervisor.versions.changes import RuleChange
from hypervisor_tools.laboratory.compare.tally import CostTracer, MessageCost, end_of
from hypervisor_tools.soltest.trace.frames import address_of
from localnet.calls.time_limit import OutOfTime
from runtimes.evm.forks import changes_of_creation, changes_of_opcode, changes_of_precompile, changes_of_transaction

MAX_STEPS: Final = 2_000_000
"""Maximum number of instructions that are compared."""
_CALLS: Final = frozenset((0xF1, 0xF2, 0xF4, 0xFA))
_CHARGE: Final = 0xFFFFFFFF
"""Program counter of a row that is no instruction, but a charge of its frame."""
STATE_GAS, NEW_ACCOUNT, DEPOSIT, PRECOMPILE = "OnStateGas", "OnNewAccount", "OnCodeDeposit", "OnPrecompile"
TRANSACTION: Final = "OnTransaction"
"""Charge for a call of a test that is a transaction of its own."""
_SKIPPED: Final = ("OnEvmGas", "OnIntrinsicGas")
"""Charges that are the sum of a frame's instructions, or a part of `TRANSACTION`."""
OUT_OF_GAS: Final = "OutOfGas"
KEEPING_GAS: Final = (ExitCode.OK, ExitCode.EVM_CONTRACT_REVERTED)
"""Ends of calls and transactions that leave gas that was not used."""


class CallGas(NamedTuple):
    """Gas that an instruction gives to the call it makes: its gas argument, and what the call got with its stipend."""

    argument: int
    given: int


@dataclass(slots=True)
class _Frame:
    number: int
    last: int = -1
    """Row of the last instruction."""
    left: int = 0
    """Gas before it."""
    inner: int = 0
    """Gas of the calls since it."""
    spent: int = 0
    """Gas of the rows before it, of charges, and of calls."""


class InstructionTracer(CostTracer):
    """A tracer that records the instructions of one call with their gas. Raises OutOfTime after MAX_STEPS."""

    detail = Detail.STEPS

    def __init__(self) -> None:
        super().__init__()
        self.messages.append(MessageCost(True, self.roots))
        self.frames: list[CallNode] = []
        self.callers: list[int] = []
        """Row of the instruction that made each frame's call; -1 for none."""
        self.numbers, self.places, self.costs = array("I"), array("I"), array("q")
        """Frame, program counter and own gas of each row."""
        self.names: list[str] = []
        self.faults: dict[int, str] = {}
        self.arguments: dict[int, int] = {}
        self._stack: list[_Frame] = []

    def event(self, event: TraceEvent, /) -> None:
        """Add an event to the calls and charges."""
        super().event(event)
        if isinstance(event, CallStarted):
            self.callers.append(self._stack[-1].last if self._stack else -1)
            self._stack.append(_Frame(len(self.frames)))
            self.frames.append(self._open[-1])
        elif isinstance(event, CallEnded):
            self._finish(self._stack.pop(), event)
            if self._stack:
                self._stack[-1].inner += event.gas_used
                self._stack[-1].spent += event.gas_used
        elif isinstance(event, GasCharged) and event.milligas and self._stack and event.name not in _SKIPPED:
            frame, gas = self._stack[-1], event.milligas
            if event.name == TRANSACTION:  # all of its gas, of which the rows of the call are a part
                gas -= sum(self.costs[frame.last + 1 :])
                since = zip(self.numbers[frame.last + 1 :], self.costs[frame.last + 1 :], strict=True)
                frame.spent -= sum(cost for number, cost in since if number == frame.number)  # part of the call's gas
            else:
                frame.spent += gas
            self._add(frame.number, _CHARGE, event.name, gas)

    def _finish(self, frame: _Frame, end: CallEnded) -> None:
        """Correct the last row by the gas that the frame used, and add the state gas that it got back."""
        excess = frame.spent + (self.costs[frame.last] if frame.last >= 0 else 0) - end.gas_used
        row = len(self.names) - 1
        if end.exit_code in KEEPING_GAS and not end.error:
            if excess > 0:  # less: a transaction of its own, whose price is a charge of the caller
                self._add(frame.number, _CHARGE, STATE_GAS, -excess)
        elif row >= 0 and self.numbers[row] == frame.number and self.places[row] == _CHARGE and excess > 0:
            self.costs[row] -= excess
            self.faults[row] = OUT_OF_GAS
        elif frame.last in self.faults:
            self.costs[frame.last] -= excess

    def step(self, event: RuntimeEvent, /) -> None:
        """Record an instruction, or the cost or the fault of the last one."""
        frame = self._stack[-1]
        match event:
            case EvmStep():
                self._settle(frame, event.gas)
                self._add(frame.number, event.pc, event.name, 0)
                frame.last, frame.left, frame.inner = len(self.names) - 1, event.gas, 0
                if event.opcode in _CALLS and event.stack:
                    self.arguments[frame.last] = event.stack[-1]
            case EvmCost():
                self.costs[frame.last] += event.gas
            case EvmFault():
                self.faults[frame.last] = OUT_OF_GAS if event.reason == OutOfGas.__name__ else event.reason
                self.costs[frame.last] = 0  # a charge follows for the gas that is left
            case _:
                pass

    def _settle(self, frame: _Frame, left: int) -> None:
        if frame.last >= 0:
            cost = self.costs[frame.last] = frame.left - left - frame.inner
            frame.spent += cost

    def _add(self, number: int, place: int, name: str, gas: int) -> None:
        if len(self.names) >= MAX_STEPS:
            raise OutOfTime(f"after {MAX_STEPS:,} instructions")
        self.numbers.append(number)
        self.places.append(place)
        self.costs.append(gas)
        self.names.append(name)

    def rows(self) -> dict[str, tuple[int, int]]:
        """Return count and own gas by name of instruction or charge."""
        gas: Counter[str] = Counter()
        for name, cost in zip(self.names, self.costs, strict=True):
            gas[name] += cost
        return {name: (count, gas[name]) for name, count in Counter(self.names).items()}

    def call_gas(self, number: int) -> CallGas | None:
        """Return the gas given to a frame if its caller's gas argument limits it, else None."""
        caller = self.callers[number]
        given = self.frames[number].start.gas_available
        argument = self.arguments.get(caller)
        is_limit = argument is not None and given in (argument, argument + _STIPEND)
        return CallGas(argument, given) if argument is not None and is_limit else None

    def place(self, row: int) -> int | None:
        """Return the program counter of a row; None past the end."""
        return self.places[row] if row < len(self.places) else None

    def callee(self, row: int) -> CallNode | None:
        """Return the call that the instruction of a row made."""
        number = bisect_left(self.callers, row)
        return self.frames[number] if number < len(self.callers) and self.callers[number] == row else None


_STIPEND: Final = 2300


class GasRow(NamedTuple):
    """Instructions or charges with one name: count and gas on both sides, and the changes that they depend on."""

    name: str
    counts: tuple[int, int]
    gas: tuple[int, int]
    changes: tuple[RuleChange, ...] = ()


CountedGas = tuple[int, int]
"""Number of instructions or charges with one name, and their gas."""


def gas_rows(
    one: Mapping[str, CountedGas], other: Mapping[str, CountedGas],
    changes_of: Callable[[str, int], tuple[RuleChange, ...]],
) -> tuple[GasRow, ...]:  # fmt: skip
    """Return the names whose gas differs, largest difference first. `changes_of` takes a name and the difference."""
    found = []
    for name in {**one, **other}:
        (count, gas), (other_count, other_gas) = one.get(name, (0, 0)), other.get(name, (0, 0))
        if gas != other_gas:
            reasons = changes_of(name, other_gas - gas)
            found.append(GasRow(name, (count, other_count), (gas, other_gas), reasons))
    return tuple(sorted(found, key=lambda row: (-abs(row.gas[1] - row.gas[0]), row.name)))


class Spot(NamedTuple):
    """An instruction or charge: its frame and program counter (None for a charge), and its name."""

    frame: CallNode
    counter: int | None
    name: str


class FirstStep(NamedTuple):
    """The first instruction whose gas differs, with its own gas on both sides, and the changes that explain it."""

    spot: Spot
    gas: tuple[int, int]
    changes: tuple[RuleChange, ...]


class LimitReached(NamedTuple):
    """A call whose gas no longer suffices on the second side: where, how much it gets, and what runs out of it.

    `call` is None for the outermost call, if no caller limits the gas. `used` is the gas of the call on the first side.
    """

    call: Spot | None
    given: int
    used: int
    failed: Spot


class Divergence(NamedTuple):
    """The last instruction that both runs execute, or the one that fails in one of them, and what may explain it."""

    spot: Spot
    changes: tuple[RuleChange, ...]


@dataclass(frozen=True, slots=True)
class StepComparison:
    """The first price difference, where the runs diverge, rows with other gas, and limits reached."""

    first: FirstStep | None = None
    divergence: Divergence | None = None
    rows: tuple[GasRow, ...] = ()
    limits: tuple[LimitReached, ...] = ()
    state_gas: int = 0
    """Difference of state gas, as far as changes of single instructions and charges explain it."""


@dataclass(slots=True)
class _Comparison:
    one: InstructionTracer
    other: InstructionTracer
    changes: Mapping[str, RuleChange]
    precompiles: Mapping[EthAddress, str]
    ends: tuple[int, int] = (0, 0)
    """Rows at which the runs diverge, or their lengths."""

    def spot(self, side: InstructionTracer, row: int) -> Spot:
        place = side.places[row]
        return Spot(side.frames[side.numbers[row]], None if place == _CHARGE else place, side.names[row])

    def changes_of(self, side: InstructionTracer, row: int) -> tuple[RuleChange, ...]:
        """Return the changes that the instruction or charge of a row depends on."""
        name, found = side.names[row], self.new_precompile(side, row)
        if found or name == PRECOMPILE:
            return changes_of_precompile(self.changes, found or self.precompile(side.frames[side.numbers[row]]))
        if name in (STATE_GAS, NEW_ACCOUNT, DEPOSIT):
            return changes_of_creation(self.changes, name)
        return changes_of_transaction(self.changes) if name == TRANSACTION else changes_of_opcode(self.changes, name)

    def precompile(self, frame: CallNode) -> str:
        """Return the name of a called precompile of either side."""
        return self.precompiles.get(address_of(frame), "")

    def new_precompile(self, side: InstructionTracer, row: int) -> str:
        """Return the name of the precompile that an instruction calls, if only one side has it."""
        callee = side.callee(row)
        name = "" if callee is None else self.precompile(callee)
        return name if f"precompiles.{name}" in self.changes else ""

    def aligned(self) -> Iterator[tuple[int | None, int | None]]:
        """Yield the rows of both runs that belong together, up to the first one at which they differ in what they do.

        A charge that only one run has is yielded with None.
        """
        one, other = self.one, self.other
        row, other_row = 0, 0
        while row < len(one.names) or other_row < len(other.names):
            place, other_place = one.place(row), other.place(other_row)
            is_same = place == other_place and one.names[row] == other.names[other_row]
            if is_same and one.numbers[row] == other.numbers[other_row]:
                if one.faults.get(row) != other.faults.get(other_row):
                    self.ends = row, other_row
                    return
                yield row, other_row
                row, other_row = row + 1, other_row + 1
            elif place == _CHARGE and row not in one.faults:
                yield row, None
                row += 1
            elif other_place == _CHARGE and other_row not in other.faults:
                yield None, other_row
                other_row += 1
            else:
                break
        self.ends = row, other_row

    def divergence(self) -> Divergence | None:
        """Return where the runs diverge; None if they do not."""
        row, other_row = self.ends
        one, other = self.one, self.other
        if not one.names or (row == len(one.names) and other_row == len(other.names)):
            return None
        if row < len(one.names) and other_row < len(other.names) and one.places[row] == other.places[other_row]:
            changes = dict.fromkeys((*self.changes_of(one, row), *self.changes_of(other, other_row)))
            names = dict.fromkeys((one.names[row], other.names[other_row]))  # an opcode may exist in one fork only
            return Divergence(self.spot(one, row)._replace(name="/".join(names)), tuple(changes))
        for side, at in ((other, other_row), (one, row)):
            if at in side.faults and side.places[at] == _CHARGE:
                return Divergence(self.spot(side, at), self.changes_of(side, at))
        return Divergence(self.spot(one, max(0, row - 1)), ())

    def delta(self, row: int | None, other_row: int | None) -> tuple[int, int]:
        """Return the gas of rows that belong together."""
        return 0 if row is None else self.one.costs[row], 0 if other_row is None else self.other.costs[other_row]


def compare_steps(
    one: InstructionTracer,
    other: InstructionTracer,
    changes: Mapping[str, RuleChange],
    precompiles: Mapping[EthAddress, str],
) -> StepComparison:
    """Compare the instructions of a call. `precompiles` are the names of both forks' by address."""
    both = _Comparison(one, other, changes, precompiles)
    first: FirstStep | None = None
    explained: dict[str, dict[RuleChange, None]] = {}
    known: dict[tuple[str, int, str], tuple[tuple[RuleChange, ...], int]] = {}
    state = 0
    for row, other_row in both.aligned():
        gas = both.delta(row, other_row)
        delta = gas[1] - gas[0]
        if not delta:
            continue
        side, at = (one, row) if row is not None else (other, other_row or 0)
        name, number = side.names[at], side.numbers[at]
        key = name, delta, both.precompile(side.frames[number]) if name == PRECOMPILE else both.new_precompile(side, at)
        if key not in known:
            known[key] = explain(both.changes_of(side, at), delta)
        reasons, share = known[key]
        state += delta if name in (STATE_GAS, NEW_ACCOUNT) else share
        explained.setdefault(name, {}).update(dict.fromkeys(reasons))
        if first is None:
            first = FirstStep(both.spot(side, at), gas, reasons)
    rows = gas_rows(one.rows(), other.rows(), lambda name, _: tuple(explained.get(name, ())))
    return StepComparison(first, both.divergence(), rows, tuple(_limits(both)), state)


def _limits(both: _Comparison) -> Iterator[LimitReached]:
    """Yield the call whose gas no longer suffices, if a frame runs out of gas on the second side only."""
    one, other = both.one, both.other
    row = both.ends[1]
    if other.faults.get(row) != OUT_OF_GAS or one.faults.get(both.ends[0]) == OUT_OF_GAS:
        return
    number, gas = other.numbers[row], None
    while other.callers[number] >= 0:
        gas = other.call_gas(number)
        if gas is not None:
            break
        number = other.numbers[other.callers[number]]
    call = None if gas is None else both.spot(other, other.callers[number])
    given = other.frames[number].start.gas_available
    yield LimitReached(call, given, end_of(one.frames[number]).gas_used, both.spot(other, row))


_UNITS: Final = {"state_byte": (64, 120, -64)}
"""Bytes of a new slot, of a new account, and of a slot that is cleared again (EIP-8037)."""
_PER_SIZE: Final = frozenset(
    ("exp_byte", "copy_word", "keccak_word", "log_byte", "init_code_word", "code_byte", "code_word")
)
_MAX_CHANGES: Final = 4


def explain(changes: Sequence[RuleChange], delta: int) -> tuple[tuple[RuleChange, ...], int]:
    """Return the fewest changes of prices whose differences add up to one of gas, and the part that is state gas.

    Return all of the changes if no few of them do.
    """
    priced = [change for change in changes if type(change.before or 0) is int and type(change.after or 0) is int]
    for count in range(1, min(len(priced), _MAX_CHANGES) + 1):
        for chosen in combinations(priced, count):
            for units in product(*(_UNITS.get(change.name, (1,)) for change in chosen)):
                parts = [unit * _step(change) for unit, change in zip(units, chosen, strict=True)]
                if sum(parts) == delta or _is_multiple(chosen, parts, delta):
                    states = (part for part, change in zip(parts, chosen, strict=True) if change.name == "state_byte")
                    return chosen, sum(states)
    return tuple(changes), 0


def _is_multiple(chosen: Sequence[RuleChange], parts: Sequence[int], delta: int) -> bool:
    return len(chosen) == 1 and chosen[0].name in _PER_SIZE and delta % parts[0] == 0 and delta // parts[0] > 0


def _step(change: RuleChange) -> int:
    before, after = (value if isinstance(value, int) else 0 for value in (change.before, change.after))
    return after - before
