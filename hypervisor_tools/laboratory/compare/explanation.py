"""Why a test or a message differs under two sets of rules: the first difference, gas by instruction, and the proposals.

Under Ethereum's rules instructions are compared (`instructions`), under Filecoin's the charges of calls (`execution`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.versions.changes import RuleChange, changes_of_charge
from hypervisor_tools.laboratory.compare.instructions import (
    CountedGas,
    GasRow,
    LimitReached,
    Spot,
    StepComparison,
    gas_rows,
)
from hypervisor_tools.laboratory.compare.tally import MessageCost, costs_of
from runtimes.evm.forks import changes_of_end

MAX_ROWS: Final = 5
"""Maximum number of rows of gas in a text report."""


class Explanation(NamedTuple):
    """Why a test or a message differs, as text and as data.

    `first` is the first instruction or charge with another price, `divergence` where the runs diverge, `limits` calls
    whose fixed gas no longer suffices. Each is text with the source line if it is known.
    """

    first: str = ""
    reasons: tuple[RuleChange, ...] = ()
    divergence: str = ""
    divergence_reasons: tuple[RuleChange, ...] = ()
    """Rules that may explain the divergence, beyond `reasons`."""
    limits: tuple[str, ...] = ()
    rows: tuple[GasRow, ...] = ()
    state_gas: int = 0
    """Difference of the gas for new state (EIP-8037), a part of the difference of gas."""
    event: str = ""
    """The first event that differs."""
    calls: tuple[str, ...] = ()
    """Path of calls to the first difference, under Filecoin's rules."""
    details: tuple[str, ...] = ()
    note: str = ""


def explain_steps(
    found: StepComparison, changes: Mapping[str, RuleChange], ends: tuple[int, int], place: Callable[[Spot], str]
) -> Explanation:
    """Return the explanation of a comparison of instructions.

    `ends` is what both runs paid beyond their instructions: less than 0 for refunds, more for the calldata floor.
    """
    rows, first = found.rows, found.first
    for name, gas in (
        ("refunds", (min(0, ends[0]), min(0, ends[1]))), ("calldata floor", (max(0, ends[0]), max(0, ends[1]))),
    ):  # fmt: skip
        if gas[0] != gas[1]:
            rows = (*rows, GasRow(name, (1, 1), gas, changes_of_end(changes, name)))
    text, reasons = "", tuple[RuleChange, ...]()
    if first is not None:
        text, reasons = f"{place(first.spot)}: {first.gas[0]:,} -> {first.gas[1]:,} gas", first.changes
    elif rows:
        text, reasons = f"{rows[0].name}: {rows[0].gas[0]:,} -> {rows[0].gas[1]:,} gas", rows[0].changes
    limits = tuple(_limit_text(each, place) for each in found.limits)
    known = Explanation(text, reasons, limits=limits, rows=rows, state_gas=found.state_gas)
    if found.divergence is None:
        return known
    others = tuple(change for change in found.divergence.changes if change not in reasons)
    return known._replace(divergence=place(found.divergence.spot), divergence_reasons=others)


def _limit_text(limit: LimitReached, place: Callable[[Spot], str]) -> str:
    call = "the outermost call has" if limit.call is None else f"{place(limit.call)} gives"
    return f"{call} {limit.given:,} gas (the call used {limit.used:,}), and {place(limit.failed)} runs out of it"


def charge_rows(
    one: Sequence[MessageCost], other: Sequence[MessageCost], changes: Mapping[str, RuleChange]
) -> tuple[GasRow, ...]:
    """Return the charges of messages whose gas differs, largest difference first."""
    rows = gas_rows(_charges(one), _charges(other), lambda name, _: changes_of_charge(changes, name))
    return tuple(
        row._replace(gas=(row.gas[0] // MILLIGAS_PER_GAS, row.gas[1] // MILLIGAS_PER_GAS)) for row in rows
    )  # fmt: skip


def _charges(messages: Sequence[MessageCost]) -> dict[str, CountedGas]:
    """Return number and milligas of charges by name."""
    sums: dict[str, CountedGas] = {}
    for message in messages:
        for call in message.every():
            for (_, name), (count, milligas) in costs_of(call).own.items():
                known = sums.get(name, (0, 0))
                sums[name] = known[0] + count, known[1] + milligas
    return sums


def explanation_lines(found: Explanation) -> Iterator[str]:
    """Yield the lines of a text report, without the event."""
    if found.calls:
        yield f"in {' > '.join(found.calls)}"
    if found.first:
        yield f"first difference: {found.first}"
    yield from (f"  {line}" for line in found.details)
    yield from (f"  {change.text()}" for change in found.reasons)
    if found.divergence:
        yield f"the runs diverge after {found.divergence}"
    yield from (f"  {change.text()}" for change in found.divergence_reasons)
    yield from (f"limit reached: {line}" for line in found.limits)
    rows = [row for row in found.rows if row.changes or not found.divergence]  # after it, both run other instructions
    if rows:
        yield "gas by instruction and charge:"
        yield from (f"  {_row_text(row)}" for row in rows[:MAX_ROWS])
        if len(rows) > MAX_ROWS:
            yield f"  and {len(rows) - MAX_ROWS} more: --json has all of them"
    if found.note:
        yield f"({found.note})"


def _row_text(row: GasRow) -> str:
    count = f"{row.counts[0]:,}" if row.counts[0] == row.counts[1] else f"{row.counts[0]:,} -> {row.counts[1]:,}"
    sources = dict.fromkeys(source for change in row.changes for source in change.sources)
    text = f" ({', '.join(sources)})" if sources else ""
    return f"{row.name} {count} times: {row.gas[0]:,} -> {row.gas[1]:,} ({row.gas[1] - row.gas[0]:+,}){text}"


def explanation_json(found: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON data; gas in the unit of the rules."""
    return {
        "first_event": found.event or None,
        "first_difference": found.first or None,
        "calls": list(found.calls),
        "details": list(found.details),
        "reasons": [_reason_json(each) for each in found.reasons],
        "diverged_after": found.divergence or None,
        "divergence_reasons": [_reason_json(each) for each in found.divergence_reasons],
        "limits": list(found.limits),
        "state_gas": found.state_gas,
        "rows": [
            {
                "name": row.name,
                "counts": list(row.counts),
                "gas": list(row.gas),
                "reasons": [_reason_json(each) for each in row.changes],
            }
            for row in found.rows
        ],
        "note": found.note or None,
    }


def _reason_json(change: RuleChange) -> dict[str, Any]:
    values = (value if isinstance(value, int | str | None) else str(value) for value in (change.before, change.after))
    return {"name": change.name, "values": list(values), "sources": list(change.sources)}
