"""Execution of the same messages on two sides, and the differences by message and in total.

Both sides always run with a tracer, so that a difference is explained without another execution.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from typing import Final

from fvm_hypervisor.laboratory.compare.jobs import CaseJob, MessageOutcome, RecordedCase, Run, bad_case, fatal_outcome
from fvm_hypervisor.laboratory.compare.tally import CostTally
from fvm_hypervisor.laboratory.cost_differences import CostDifference, first_cost_difference
from fvm_hypervisor.laboratory.profile import CallNames, CostTracer, MessageCost, names_of
from fvm_hypervisor.laboratory.sides import Side
from fvm_hypervisor.laboratory.vectors.state_diff import state_differences
from hypervisor.bundles.manifest import ACTOR_NAMES
from hypervisor.errors import HypervisorError, InvalidInput
from store.blocks.buffered import BufferedStore
from store.blockstore import StoreError
from store.cid import Cid, show

EXIT, RETURN, GAS, EVENTS = "exit code", "return", "gas", "events"
KINDS: Final = (EXIT, RETURN, GAS, EVENTS)
MAX_STATE_LINES: Final = 20

Step = tuple[MessageOutcome, list[MessageCost]]


@dataclass(frozen=True, slots=True)
class MessageChange:
    """A message with different results: kinds of difference, gas and outcome on each side, and the first difference."""

    case: str
    label: str
    kinds: tuple[str, ...]
    gas: tuple[int, int]
    ends: tuple[str, str]
    difference: CostDifference | None


@dataclass(frozen=True, slots=True)
class RootChange:
    """A case with different final states: both roots and, for the first such case, the state difference."""

    case: str
    roots: tuple[str, str]
    state: tuple[str, ...] = ()


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


def compare_job(job: CaseJob, sides: tuple[Side, Side]) -> Comparison:
    """Execute the cases of a job on both sides. Raises InvalidInput, which can be pickled."""
    found = Comparison()
    try:
        for case in job.cases():
            _compare(case, sides, found)
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
            found.changes.append(change)
            found.kinds.update(change.kinds)
    for tally, side in zip((found.first, found.second), steps, strict=True):
        for _, costs in side:
            for cost in costs:
                tally.add(cost, names)
    roots = _root(runs[0]), _root(runs[1])
    if roots[0] != roots[1]:
        lines = () if found.roots else tuple(islice(_state_lines(runs, roots), MAX_STATE_LINES))
        found.roots.append(RootChange(case.name, (_format(roots[0]), _format(roots[1])), lines))


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
    return [call.events for cost in costs for call in cost.every() if call.events]


# --- states ---------------------------------------------------------------------------------------------------


def _root(run: Run) -> Cid | None:
    try:
        return run.machine.root
    except (HypervisorError, StoreError):
        return None


def _format(root: Cid | None) -> str:
    return "none" if root is None else show(root)


def _state_lines(runs: tuple[Run, Run], roots: tuple[Cid | None, Cid | None]) -> Iterator[str]:
    """Yield the differences between the final states of two runs."""
    if roots[0] is None or roots[1] is None:
        return
    machine, blocks = runs[0].machine, BufferedStore(runs[0].machine.base)
    for run in runs:
        blocks.put_many(run.machine.store.pending.items())
    names = dict(zip(machine.manifest.codes, ACTOR_NAMES, strict=True))
    yield from state_differences(blocks, roots[1], roots[0], names)
