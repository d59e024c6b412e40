"""Costs of messages on one side: totals, single messages, and a table of every charge for notebooks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from fvm_hypervisor.laboratory.compare import check_recorded, steps_of
from fvm_hypervisor.laboratory.profile import CallCost, CallNames, CostTracer, MessageCost, names_of
from fvm_hypervisor.laboratory.sides import Side
from fvm_hypervisor.laboratory.sources import CaseJob, RecordedCase
from fvm_hypervisor.laboratory.tally import CostTally
from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor.gas import MILLIGAS_PER_GAS
from store.blockstore import StoreError

COLUMNS: Final = (
    ("case", str), ("message", int), ("label", str), ("implicit", bool), ("exit_code", int), ("message_gas", int),
    ("call", str), ("depth", int), ("actor_id", int), ("actor", str), ("method", str), ("runtime", str),
    ("call_exit_code", int), ("syscall", str), ("charge", str), ("count", int), ("milligas", int),
)  # fmt: skip
"""Columns of the table, which has one row per charge and call, summed by syscall.

`call` is the path of indexes in the call tree, such as `0.2.1`; `actor_id` is -1 if no actor ran.
"""
NO_ACTOR: Final = -1

Row = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class MessageGas:
    """A message: its gas by the receipt, and the called method. Rewards and cron are implicit messages."""

    case: str
    label: str
    method: str
    gas: int
    exit_code: int
    implicit: bool


@dataclass(slots=True)
class CostReport:
    """Costs of a set of cases. `rows` is the table, if requested."""

    cases: int = 0
    tally: CostTally = field(default_factory=CostTally)
    messages: list[MessageGas] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def merge(self, other: CostReport) -> None:
        """Add the following costs to these."""
        self.cases += other.cases
        self.tally.merge(other.tally)
        self.messages += other.messages
        self.rows += other.rows

    def dearest(self, number: int) -> list[MessageGas]:
        """Return the `number` messages with the most gas; ties stay in order."""
        return sorted(self.messages, key=lambda message: -message.gas)[:number]


def costs_of_job(job: CaseJob, side: Side, with_rows: bool) -> CostReport:
    """Execute the cases of a job. Raises InvalidInput, which can be pickled."""
    found = CostReport()
    try:
        for case in job.cases():
            _add(case, side, found, with_rows)
    except (HypervisorError, StoreError) as error:
        raise InvalidInput(str(error)) from None
    return found


def _add(case: RecordedCase, side: Side, found: CostReport, with_rows: bool) -> None:
    tracer = CostTracer()
    run = case.begin(side, tracer)
    steps = list(steps_of(case.name, run, tracer))
    check_recorded(case.name, steps)
    names = names_of(run.machine.manifest)
    found.cases += 1
    number = 0
    for outcome, costs in steps:
        for cost in costs:
            found.tally.add(cost, names)
            method = names.method(cost.calls[0]) if cost.calls else "none"
            row = MessageGas(case.name, outcome.label, method, cost.gas_used, cost.exit_code, cost.implicit)
            found.messages.append(row)
            if with_rows:
                found.rows += _rows(row, number, cost, names)
            number += 1


def _rows(message: MessageGas, number: int, cost: MessageCost, names: CallNames) -> Iterator[Row]:
    head = message.case, number, message.label, message.implicit, message.exit_code, message.gas
    waiting: list[tuple[CallCost, str, int]] = [(cost.head, "", 0)]
    waiting += [(call, str(index), 1) for index, call in enumerate(cost.calls)]
    for call, path, depth in waiting:  # which grows: calls go 1,024 deep
        actor = NO_ACTOR if call.actor is None else call.actor
        what = path, depth, actor, names.actor(call), names.method(call), call.runtime, call.exit_code
        for (syscall, charge), (count, milligas) in call.own.items():
            yield *head, *what, syscall, charge, count, milligas
        waiting += [(inner, f"{path}.{index}", depth + 1) for index, inner in enumerate(call.calls)]


Bin = tuple[int, int, int]
"""Lower gas bound, upper gas bound (exclusive), number of messages."""


def histogram(gas: Iterable[int]) -> list[Bin]:
    """Return a histogram of messages by gas, with steps of 1, 2 and 5 times powers of ten, including empty ones."""
    values = sorted(gas)
    if not values:
        return []
    bins: list[Bin] = []
    low = index = 0
    for high in _edges():
        count = bisect_left(values, high) - index
        if count or bins:
            bins.append((low, high, count))
        low, index = high, index + count
        if index == len(values):
            break
    return bins


def _edges() -> Iterator[int]:
    power = 1
    while True:
        yield from (power, 2 * power, 5 * power)
        power *= 10


def gas_of(milligas: int) -> float:
    """Format milligas as gas."""
    return milligas / MILLIGAS_PER_GAS
