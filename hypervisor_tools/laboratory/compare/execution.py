"""Execution of the same messages on two sides, and the differences by message and in total.

Both sides always run with a tracer, so that a difference is explained without another execution. Calls are compared
in this order: start, subcalls, own charges, events, end. So the first difference is the innermost call that differs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice, zip_longest
from typing import Any, Final, NamedTuple

from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.exit_codes import exit_meaning
from hypervisor.gas import in_gas
from hypervisor.text import printable
from hypervisor.tracing import CallNode
from hypervisor_tools.laboratory.compare.explanation import Explanation
from hypervisor_tools.laboratory.compare.jobs import (
    CaseJob,
    MessageCase,
    MessageOutcome,
    NotCompared,
    RecordedCase,
    Run,
    bad_case,
    fatal_outcome,
)
from hypervisor_tools.laboratory.compare.tally import (
    EXECUTION,
    MESSAGE,
    CallNames,
    CostTally,
    CostTracer,
    Event,
    Key,
    MessageCost,
    costs_of,
    end_of,
    names_of,
    receiver_of,
)
from hypervisor_tools.laboratory.sides import Side
from hypervisor_tools.laboratory.vectors.run_files import state_differences
from store.blocks.memory import BufferedStore
from store.blockstore import StoreError
from store.cid import Cid, show

EXIT, RETURN, GAS, EVENTS = "exit code", "return", "gas", "events"
KINDS: Final = (EXIT, RETURN, GAS, EVENTS)
MAX_STATE_LINES: Final = 20

Step = tuple[MessageOutcome, list[MessageCost]]


class EnoughGas(NamedTuple):
    """Result of a message with the highest gas limit."""

    succeeded: bool
    end: str
    gas: int


@dataclass(frozen=True, slots=True)
class MessageChange:
    """A message with different results: kinds of difference, gas and outcome on each side, and the first difference."""

    case: str
    label: str
    kinds: tuple[str, ...]
    gas: tuple[int, int]
    ends: tuple[str, str]
    difference: CostDifference | None
    enough_gas: EnoughGas | None = None
    """The second side with the highest gas limit, for a message that succeeds on the first side only."""
    explanation: Explanation | None = None
    """Why a case of one message differs, in place of `difference`."""


@dataclass(frozen=True, slots=True)
class RootChange:
    """A case with different final states: both roots and, for the first such case, the state difference."""

    case: str
    roots: tuple[str, str]
    state: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SkippedCase:
    """A case that was not compared, and the reason."""

    case: str
    reason: str


@dataclass(slots=True)
class Comparison:
    """Result of the same cases on two sides. `first` and `second` are the total costs of each side."""

    cases: int = 0
    messages: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    first: CostTally = field(default_factory=CostTally)
    second: CostTally = field(default_factory=CostTally)
    changes: list[MessageChange] = field(default_factory=list)
    roots: list[RootChange] = field(default_factory=list)
    skipped: list[SkippedCase] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """True if neither a receipt nor a state root differs."""
        return not self.changes and not self.roots

    def merge(self, other: Comparison) -> None:
        self.cases += other.cases
        self.messages += other.messages
        self.kinds.update(other.kinds)
        self.first.merge(other.first)
        self.second.merge(other.second)
        self.changes += other.changes
        self.roots += other.roots
        self.skipped += [each for each in other.skipped if each not in self.skipped]


def lost_comparison(job: CaseJob, error: Exception) -> Comparison:
    """Return the result for a job that cannot be executed."""
    return Comparison(skipped=[SkippedCase(job.name, str(error))])


def compare_job(job: CaseJob, sides: tuple[Side, Side]) -> Comparison:
    """Execute the cases of a job on both sides. Raises InvalidInput, which can be pickled."""
    found = Comparison()
    try:
        for case in job.cases():
            try:
                _compare(case, sides, found)
            except NotCompared as error:
                found.skipped.append(SkippedCase(case.name, str(error)))
    except (HypervisorError, StoreError) as error:
        raise InvalidInput(str(error)) from None
    return found


def _compare(case: RecordedCase, sides: tuple[Side, Side], found: Comparison) -> None:
    tracers = CostTracer(), CostTracer()
    runs = case.begin(sides[0], tracers[0]), case.begin(sides[1], tracers[1])
    steps = [list(steps_of(case.name, run, tracer)) for run, tracer in zip(runs, tracers, strict=True)]
    check_recorded(case.name, steps[0])
    names = names_of(runs[0].machine.manifest)
    found.cases += 1
    for one, other in zip_longest(*steps, fillvalue=(MessageOutcome("", refused="not reached"), [])):
        found.messages += 1
        change = _change(case.name, one, other, names)
        if change is not None:
            if isinstance(case, MessageCase):
                change = replace(change, explanation=case.explain(sides, (one[1], other[1])))
                if one[0].succeeded and not other[0].succeeded:
                    change = replace(change, enough_gas=_enough_gas(case, sides[1]))
            found.changes.append(change)
            found.kinds.update(change.kinds)
    for tally, side in zip((found.first, found.second), steps, strict=True):
        for _, costs in side:
            for cost in costs:
                tally.add(cost, names)
    if isinstance(case, MessageCase):
        return
    roots = _root(runs[0]), _root(runs[1])
    if roots[0] != roots[1]:
        lines = () if found.roots else tuple(islice(_state_lines(runs, roots), MAX_STATE_LINES))
        found.roots.append(RootChange(case.name, (_format(roots[0]), _format(roots[1])), lines))


def _enough_gas(case: MessageCase, side: Side) -> EnoughGas:
    (outcome,) = case.with_enough_gas(side).steps()
    return EnoughGas(outcome.succeeded, outcome.end(), 0 if outcome.receipt is None else outcome.receipt.gas_used)


def steps_of(name: str, run: Run, tracer: CostTracer) -> Iterator[Step]:
    """Yield the steps of a run with their costs. An error that ends the run is its last step."""
    steps = run.steps()
    while True:
        try:
            outcome = next(steps, None)
        except InvalidInput:
            raise
        except (HypervisorError, StoreError) as error:
            yield fatal_outcome(name, error), tracer.take()
            return
        if outcome is None:
            return
        yield outcome, tracer.take()


def check_recorded(name: str, steps: list[Step]) -> None:
    """Raise InvalidInput if the first side could not execute a message, because recorded blocks are missing."""
    for outcome, _ in steps:
        if outcome.lacks_block:
            raise bad_case(name, outcome.fatal)


def _change(case: str, one: Step, other: Step, names: CallNames) -> MessageChange | None:
    (mine, costs), (others, other_costs) = one, other
    difference = None
    if mine == others and (mine.receipt is not None or not costs):
        return None  # a receipt has exit code, return, gas and the root of its events
    difference = first_cost_difference(costs, other_costs, names)
    kinds = tuple(
        kind for kind, differs in zip(KINDS, _differ(mine, others, costs, other_costs), strict=True) if differs
    )
    if not kinds:
        return None
    gas = tuple(_gas_of(*step) for step in (one, other))
    native = all(names.is_native(call) for cost in costs for call in cost.calls)
    ends = mine.end(native=native), others.end(native=native)
    return MessageChange(case, mine.label or others.label, kinds, (gas[0], gas[1]), ends, difference)


def _differ(
    mine: MessageOutcome, others: MessageOutcome, costs: list[MessageCost], other_costs: list[MessageCost]
) -> tuple[bool, bool, bool, bool]:
    """Return whether exit, return, gas and events differ; a message without a receipt is compared by its trace."""
    one, other = mine.receipt, others.receipt
    gas = _gas_of(mine, costs) != _gas_of(others, other_costs)
    if one is not None and other is not None:
        ends = (one.exit_code, mine.end()) != (other.exit_code, others.end())
        return ends, one.return_data != other.return_data, gas, one.events_root != other.events_root
    ends = mine.end() != others.end() or [cost.exit_code for cost in costs] != [cost.exit_code for cost in other_costs]
    return ends, False, gas, _events(costs) != _events(other_costs)


def _gas_of(outcome: MessageOutcome, costs: list[MessageCost]) -> int:
    return sum(cost.gas_used for cost in costs) if outcome.receipt is None else outcome.receipt.gas_used


def _events(costs: list[MessageCost]) -> list[object]:
    return [_entries(call) for cost in costs for call in cost.every() if call.events]


def _entries(call: CallNode) -> list[Event]:
    return [event.entries for event in call.events]


def _root(run: Run) -> Cid | None:
    try:
        return run.machine.root
    except (HypervisorError, StoreError):
        return None


def _format(root: Cid | None) -> str:
    return "none" if root is None else show(root)


def _state_lines(runs: tuple[Run, Run], roots: tuple[Cid | None, Cid | None]) -> Iterator[str]:
    if roots[0] is None or roots[1] is None:
        return
    machine, blocks = runs[0].machine, BufferedStore(runs[0].machine.base)
    for run in runs:
        blocks.put_many(run.machine.store.pending.items())
    names = dict(zip(machine.manifest.codes, ACTOR_NAMES, strict=True))
    yield from state_differences(blocks, roots[1], roots[0], names)


MAX_LINES: Final = 12
_BEGIN: Final = "begin"
_END: Final = "end"


@dataclass(frozen=True, slots=True)
class CostDifference:
    """A difference: the path of calls from the outermost one, and one line per difference."""

    path: tuple[str, ...]
    lines: tuple[str, ...]
    charges: tuple[str, ...] = ()
    """Names of the charges that differ."""


def first_cost_difference(one: list[MessageCost], other: list[MessageCost], names: CallNames) -> CostDifference | None:
    """Return the first difference between two executions of the same messages, or None."""
    for mine, others in zip_longest(_call_boundaries(one), _call_boundaries(other)):
        if mine is None or others is None:
            call = (mine or others)[1]
            which = "A" if others is None else "B"
            return CostDifference(_path((mine or others)[2], names), (f"only {which} calls {_call_text(call, names)}",))
        lines = _differences(mine, others, names)
        if lines:
            charges = dict.fromkeys(name for _, name in _charged(mine[1], others[1]))
            return CostDifference(_path(mine[2], names), tuple(lines[:MAX_LINES]), tuple(charges))
    return None


CallBoundary = tuple[str, CallNode, tuple[CallNode, ...]]
"""The start or the end of a call, the call, and its path from the outermost call."""


def _call_boundaries(messages: list[MessageCost]) -> Iterator[CallBoundary]:
    for message in messages:
        yield _END, message.head, (message.head,)
        stack: list[CallBoundary] = [(_BEGIN, call, (call,)) for call in message.calls[::-1]]
        while stack:
            kind, call, path = stack.pop()
            yield kind, call, path
            if kind is _BEGIN:
                stack.append((_END, call, path))
                stack += [(_BEGIN, inner, (*path, inner)) for inner in call.calls[::-1]]


def _path(path: tuple[CallNode, ...], names: CallNames) -> tuple[str, ...]:
    return tuple(names.method(call) if names.method(call) == MESSAGE else _call_text(call, names) for call in path)


def _differences(mine: CallBoundary, others: CallBoundary, names: CallNames) -> list[str]:
    (kind, one, _), (other_kind, other, _) = mine, others
    if kind != other_kind:
        longer, which = (one, "A") if kind is _BEGIN else (other, "B")
        return [f"only {which} then calls {_call_text(longer, names)}", *_charges(one, other)]
    if kind is _BEGIN:
        return _call_start_differences(one, other, names)
    events = _event_texts(_entries(one), _entries(other))
    return [*_charges(one, other), *_syscalls(one, other), *events, *_ends(one, other, names)]


def _call_start_differences(one: CallNode, other: CallNode, names: CallNames) -> list[str]:
    lines, mine, others = [], one.start, other.start
    if (mine.to, mine.method) != (others.to, others.method):
        lines.append(f"A calls {_call_text(one, names)}, B {_call_text(other, names)}")
    if mine.value != others.value:
        lines.append(f"value: A {mine.value} attoFIL, B {others.value}")
    if mine.params != others.params:
        lines.append(f"parameters: A {_bytes(mine.params)}, B {_bytes(others.params)}")
    return lines


def _charged(one: CallNode, other: CallNode) -> list[Key]:
    """Return syscall and name of the charges whose number or amount differs."""
    mine, others = costs_of(one).own, costs_of(other).own
    return [key for key in {**mine, **others} if mine.get(key, [0, 0]) != others.get(key, [0, 0])]


def _charges(one: CallNode, other: CallNode) -> list[str]:
    """Return the charges whose number or amount differs, largest difference first."""
    found, mine, others = [], costs_of(one).own, costs_of(other).own
    for key in _charged(one, other):
        (times, milligas), (other_times, other_milligas) = mine.get(key, (0, 0)), others.get(key, (0, 0))
        if key[1] == EXECUTION:  # charged once per syscall; syscalls are compared separately
            line = f"{EXECUTION} (instructions): A {in_gas(milligas)}, B {in_gas(other_milligas)} gas"
        else:
            count = f"{times}" if times == other_times else f"A {times}, B {other_times}"
            where = f" in {key[0]}" if key[0] else ""
            line = f"{key[1]}{where} ({count} times): A {in_gas(milligas)}, B {in_gas(other_milligas)} gas"
        found.append((-abs(other_milligas - milligas), line))
    return [line for _, line in sorted(found)]


def _syscalls(one: CallNode, other: CallNode) -> list[str]:
    mine, others = costs_of(one).syscalls, costs_of(other).syscalls
    return [
        f"{name}: A calls it {mine.get(name, 0)} times, B {others.get(name, 0)}"
        for name in {**mine, **others}
        if mine.get(name, 0) != others.get(name, 0)
    ]


def _event_texts(one: list[Event], other: list[Event]) -> list[str]:
    lines = [f"events: A emits {len(one)}, B {len(other)}"] if len(one) != len(other) else []
    for number, (mine, others) in enumerate(zip(one, other, strict=False), 1):
        if mine != others:
            lines.append(f"event {number}: A {_event(mine)}, B {_event(others)}")
    return lines


def _ends(one: CallNode, other: CallNode, names: CallNames) -> list[str]:
    lines, mine, others = [], end_of(one), end_of(other)
    if (mine.exit_code, mine.error) != (others.exit_code, others.error):
        lines.append(f"end: A {_end(one, names)}, B {_end(other, names)}")
    if mine.return_data != others.return_data:
        lines.append(f"return: A {_bytes(mine.return_data)}, B {_bytes(others.return_data)}")
    return lines


def _end(call: CallNode, names: CallNames) -> str:
    end = end_of(call)
    return end.error or f"exit {exit_meaning(end.exit_code, native=names.is_native(call))}"


def _event(entries: Event) -> str:
    return "{" + ", ".join(f"{printable(key, 40)}: {_bytes(value)}" for _, key, _, value in entries) + "}"


def _call_text(call: CallNode, names: CallNames) -> str:
    return f"{receiver_of(call)} {names.method(call)}"


def _bytes(data: bytes) -> str:
    shown = f"0x{data[:24].hex()}"
    return shown if len(data) <= 24 else f"{shown}... ({len(data):,} bytes)"


def as_json(difference: CostDifference | None) -> dict[str, Any] | None:
    """Return the difference as a JSON object."""
    return None if difference is None else {"path": list(difference.path), "words": list(difference.lines)}
