"""Explains why a vector differs: the first differing charge, the gas by name, and the first differing state nodes.

Official vectors contain only the sum of the charges. For these, the explanation lists the names whose charges could
add up to the difference, and the charges with running totals.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from fvm_hypervisor.laboratory.vectors.charges import Trace, charges_of, first_difference, totals
from fvm_hypervisor.laboratory.vectors.conformance import VectorResult
from fvm_hypervisor.laboratory.vectors.state_diff import state_differences
from hypervisor.gas import in_gas
from hypervisor.manifest import ACTOR_NAMES

MAX_CHARGES = 200
MAX_STATE_LINES = 20


def explain(result: VectorResult, trace: Trace, expected: Trace | None) -> list[str]:
    """Return the explanation of one variant's differences; empty if outcome and charges are as expected."""
    lines: list[str] = []
    for number, (got, wanted) in enumerate(result.receipts):
        message = trace[number] if number < len(trace) else []
        difference = got.gas_used - wanted.gas_used
        found = (
            [] if expected is None else first_difference(message, expected[number] if number < len(expected) else [])
        )
        if found or difference:
            lines.append(f"gas of message {number + 1}: {got.gas_used:,}, expected {wanted.gas_used:,}")
            lines += found or _by_name(message, difference)
    if result.state_root != result.expected_root:
        lines += _state(result)
    return lines


def _by_name(message: list[Any], difference: int) -> Iterator[str]:
    """Yield the sums by name, with hints where they explain the difference, and the charges in order."""
    sums = totals(message)
    yield "charges by name:"
    for name, (count, milligas) in sums.items():
        each, rest = divmod(difference, count)
        hint = f"   {abs(each)} too {'much' if each > 0 else 'little'} each would explain it" if not rest else ""
        yield f"  {in_gas(milligas):>18} {name} ({count}){hint}"
    charges = list(charges_of(message))
    yield "charges in order, with the sum so far:"
    for charge in charges[:MAX_CHARGES]:
        yield f"  {in_gas(charge.total):>18} {in_gas(charge.milligas):>16} {charge.name} ({' > '.join(charge.calls)})"
    if len(charges) > MAX_CHARGES:
        yield f"  and {len(charges) - MAX_CHARGES} more: --trace FILE keeps them all"


def _state(result: VectorResult) -> Iterator[str]:
    machine = result.machine
    names = dict(zip(machine.manifest.codes, ACTOR_NAMES, strict=True))
    found = state_differences(machine.store, result.state_root, result.expected_root, names)
    yield "state:"
    for line in islice(found, MAX_STATE_LINES):
        yield f"  {line}"
    if next(found, None) is not None:
        yield "  and more"
