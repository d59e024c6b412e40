"""Why a transaction or message differs under two sets of rules.

A transaction of a network under Ethereum's rules is executed again on both sides, with its instructions recorded.
"""

from __future__ import annotations

from collections.abc import Mapping

from hypervisor.types import SYSTEM_ACTOR
from hypervisor.versions.changes import RuleChange, changes_of_charge
from hypervisor_tools.laboratory.compare.execution import first_cost_difference
from hypervisor_tools.laboratory.compare.explanation import Explanation, charge_rows, explain_steps
from hypervisor_tools.laboratory.compare.instructions import (
    KEEPING_GAS,
    CountedGas,
    GasRow,
    InstructionTracer,
    Spot,
    compare_steps,
    explain,
    gas_rows,
)
from hypervisor_tools.laboratory.compare.jobs import Run
from hypervisor_tools.laboratory.compare.tally import CallNames, MessageCost, costs_of, receiver_of
from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.project.solidity_text import SourceTexts
from hypervisor_tools.soltest.trace.frames import creates
from hypervisor_tools.soltest.trace.known_code import KnownCode
from hypervisor_tools.soltest.trace.stack_trace import place_text
from localnet.calls.time_limit import OutOfTime
from runtimes.evm.forks import changes_of_transaction, fork_changes, fork_named


class SourcePlaces:
    """Text for instructions: with the source line in a known contract, else with the address."""

    def __init__(self, artifacts: Artifacts) -> None:
        self.known, self._sources = KnownCode(artifacts), SourceTexts(artifacts.root)

    def text(self, spot: Spot) -> str:
        """Return an instruction or charge with its place."""
        contract = self.known.of(spot.frame)
        if contract is None:
            where = receiver_of(spot.frame)
            return (
                f"{spot.name} of {where}" if spot.counter is None else f"{spot.name} at byte {spot.counter} of {where}"
            )
        if spot.counter is None:
            return f"{spot.name} of {contract.name}"
        spans = contract.creation_places if creates(spot.frame) else contract.runtime_places
        span = spans.get(spot.counter)
        text = "" if span is None else place_text(span, self._sources)
        return f"{spot.name} at {text or f'{contract.name}, byte {spot.counter}'}"


def explain_transaction(runs: tuple[Run, Run], hardforks: tuple[str, str], places: SourcePlaces) -> Explanation:
    """Execute a transaction on both sides and compare its instructions. Raises NotCompared."""
    tracers, used = (InstructionTracer(), InstructionTracer()), []
    for run, tracer in zip(runs, tracers, strict=True):
        try:
            with run.machine.traced(tracer):  # its gas is Ethereum's, not thousandths
                (outcome,) = run.steps()
        except OutOfTime as error:
            return Explanation(note=f"too long to compare its instructions: stopped {error}")
        used.append(outcome)
    forks = fork_named(hardforks[0]), fork_named(hardforks[1])
    changes = fork_changes(*forks)
    found = compare_steps(*tracers, changes, {**forks[0].precompiles, **forks[1].precompiles})
    ends = [0, 0]
    for index, (tracer, outcome) in enumerate(zip(tracers, used, strict=True)):
        if outcome.receipt is not None and outcome.receipt.exit_code in KEEPING_GAS:
            ends[index] = outcome.receipt.gas_used - sum(tracer.costs) - sum(gas for _, gas in _head(tracer).values())
    explained = explain_steps(found, changes, (ends[0], ends[1]), places.text)
    rows = (*_head_rows(*tracers, changes), *explained.rows)
    return _with_transfers(explained._replace(rows=rows), tracers, changes)


def _head(tracer: InstructionTracer) -> Mapping[str, CountedGas]:
    """Return the charges of a transaction before its first call, by name."""
    if not tracer.messages:
        return {}
    return {name: (count, gas) for (_, name), (count, gas) in costs_of(tracer.messages[-1].head).own.items()}


def _head_rows(
    one: InstructionTracer, other: InstructionTracer, changes: Mapping[str, RuleChange]
) -> tuple[GasRow, ...]:
    of_transaction = changes_of_transaction(changes)
    return gas_rows(_head(one), _head(other), lambda _, delta: explain(of_transaction, delta)[0])


def _with_transfers(
    found: Explanation, tracers: tuple[InstructionTracer, InstructionTracer], changes: Mapping[str, RuleChange]
) -> Explanation:
    """Return an explanation that names the rule by which transfers of value emit events (EIP-7708)."""
    counts = [
        sum(event.emitter == SYSTEM_ACTOR for frame in tracer.frames for event in frame.events) for tracer in tracers
    ]
    if counts[0] == counts[1] or "transfer_logs" not in changes:
        return found
    reasons = tuple(dict.fromkeys((*found.reasons, changes["transfer_logs"])))
    return found._replace(event=f"Transfer of value, {counts[0]} -> {counts[1]} times", reasons=reasons)


def explain_charges(
    costs: tuple[list[MessageCost], list[MessageCost]], names: CallNames | None, changes: Mapping[str, RuleChange]
) -> Explanation:
    """Return the explanation of a message or test under Filecoin's rules: the charges that differ, and their proposals.

    Without `names` there is no first difference.
    """
    found = None if names is None else first_cost_difference(*costs, names)
    rows = charge_rows(*costs, changes)
    if found is None:
        return Explanation(rows=rows)
    reasons = dict.fromkeys(reason for name in found.charges for reason in changes_of_charge(changes, name))
    return Explanation(found.lines[0], tuple(reasons), rows=rows, calls=found.path, details=found.lines[1:])
