"""Gas of a transaction by the size of a contract's storage: measurement, report and chart.

Used by `hypervisor gas grow` and `hypervisor test --gas-growth`.

The storage grows by entries of a mapping, which are written without transactions. The shape of a KAMT depends on its
keys only (`store.trees.kamt`), so transactions would leave the same tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

from hypervisor.machine.machine import Hypervisor
from hypervisor.text import printable
from hypervisor_tools.laboratory.compare.report import gas, table_lines
from hypervisor_tools.laboratory.compare.tally import CostTally, CostTracer, names_of
from localnet import Network
from localnet.addresses import Target
from localnet.errors import CallFailed, TransactionFailed
from localnet.ledger.records import TransactionReceipt
from localnet.traces.trace import Replay
from store.keccak import keccak

MAPPING: Final = (1 << 256) - 1
"""Slot of the mapping that gets the entries; compilers number variables from 0."""


@dataclass(frozen=True, slots=True)
class GrowthPoint:
    """A transaction while the storage has `slots` more slots: its gas and costs, or why it failed."""

    slots: int
    gas: int = 0
    failure: str = ""
    costs: CostTally = field(default_factory=CostTally)

    def count(self, charge: str) -> int:
        """Return how often a charge was made."""
        return self.costs.charges.get(charge, [0, 0])[0]


def mapping_entries(count: int, mapping: int = MAPPING) -> dict[int, int]:
    """Return the slots of the keys 0 to `count` - 1 of a mapping, as Solidity computes them. Each word is its slot."""
    tail = mapping.to_bytes(32, "big")
    slots = (int.from_bytes(keccak(key.to_bytes(32, "big") + tail), "big") for key in range(count))
    return {slot: slot for slot in slots}


def measure_growth(
    network: Network, contract: Target, sizes: Iterable[int], send: Callable[[], TransactionReceipt]
) -> Iterator[GrowthPoint]:
    """Yield the costs of the transaction that `send` mines, for each size of a contract's storage.

    The network is reverted after each. Raises InvalidInput for an actor that is not a contract.
    """
    for slots in sizes:
        before = network.snapshot()
        network.set_storage(contract, mapping_entries(slots))
        try:
            receipt = send()
        except (CallFailed, TransactionFailed) as error:
            yield GrowthPoint(slots, failure=str(error))
        else:
            tracer, replay = CostTracer(), Replay(network.chain, receipt.tipset, receipt.index)
            replay.next(tracer)
            yield GrowthPoint(slots, receipt.gas_used, costs=total_costs(tracer, replay.machine))
        network.revert(before)


def total_costs(tracer: CostTracer, machine: Hypervisor) -> CostTally:
    """Return the costs of the messages that a tracer has recorded."""
    costs = CostTally()
    for cost in tracer.take():
        costs.add(cost, names_of(machine.manifest))
    return costs


def growth_lines(points: Sequence[GrowthPoint]) -> Iterator[str]:
    """Yield the table of sizes, and the charges that differ between the first and the last one that succeeds."""
    yield f"{'more slots':>12} {'gas':>16} {'difference':>16} {'blocks read':>12} {'written':>8}"
    for point in points:
        if point.failure:
            yield f"{point.slots:>12,} fails: {printable(point.failure, 400)}"
        else:
            change = f"{point.gas - points[0].gas:+,}" if point is not points[0] and not points[0].failure else ""
            blocks = f"{point.count('OnBlockOpenBase'):>12,} {point.count('OnBlockLink'):>8,}"
            yield f"{point.slots:>12,} {point.gas:>16,} {change:>16} {blocks}"
    done = [point for point in points if not point.failure]
    if len(done) > 1:
        yield ""
        yield f"A: {done[0].slots:,} more slots, B: {done[-1].slots:,}"
        for title, table in (("by charge", "charges"), ("by syscall", "syscalls")):
            yield from table_lines(title, getattr(done[0].costs, table), getattr(done[-1].costs, table))


def growth_json(points: Sequence[GrowthPoint]) -> list[dict[str, Any]]:
    """Return the points as JSON data; charges and syscalls as count and milligas."""
    return [
        {"slots": point.slots, "gas": point.gas, "failure": point.failure or None}
        | {"charges": point.costs.charges, "syscalls": point.costs.syscalls}
        for point in points
    ]


_COLUMN: Final = 110
_HEIGHT: Final = 300
_TOP: Final = 70
_COLOURS: Final = ("#7fc4d6", "#c39be0", "#a5cf9a", "#e5b973", "#e57373", "#8fa8e0")
_OTHER: Final = "#c9c9c9"


def growth_svg(title: str, points: Sequence[GrowthPoint]) -> str:
    """Return a chart with a column for each size. The charges that change most have colours."""
    done = [point for point in points if not point.failure]
    charges = [point.costs.charges for point in done]
    spread = {
        name: max(amounts) - min(amounts)
        for name in dict.fromkeys(name for each in charges for name in each)
        if (amounts := [each.get(name, [0, 0])[1] for each in charges])
    }
    largest = sorted((name for name in spread if spread[name]), key=lambda name: -spread[name])[: len(_COLOURS)]
    width, highest = max(760, _COLUMN * (len(done) + 1)), max([1, *(point.costs.milligas for point in done)])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_TOP + _HEIGHT + 50}" font-size="12" '
        f'font-family="sans-serif"><rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="10" y="20" font-size="14">{escape(printable(title, 200))}</text>',
    ]
    for index, name in enumerate((*largest, "other charges")):
        left = 10 + index * (width - 20) // (len(largest) + 1)
        colour = (*_COLOURS[: len(largest)], _OTHER)[index]
        parts.append(f'<rect x="{left}" y="32" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{left + 14}" y="42">{escape(printable(name, 40))}</text>')
    for column, (point, sums) in enumerate(zip(done, charges, strict=True)):
        left, bottom = 30 + column * _COLUMN, float(_TOP + _HEIGHT)
        amounts = [sums.get(name, [0, 0])[1] for name in largest]
        heights = [point.costs.milligas - sum(amounts), *amounts]
        for colour, amount in zip((_OTHER, *_COLOURS), heights, strict=False):
            height = _HEIGHT * amount / highest
            bottom -= height
            parts.append(
                f'<rect x="{left}" y="{bottom:.1f}" width="{_COLUMN - 30}" height="{height:.1f}" fill="{colour}">'
                f"<title>{gas(amount)}</title></rect>"
            )
        parts.append(f'<text x="{left}" y="{bottom - 4:.1f}">{point.gas:,}</text>')
        parts.append(f'<text x="{left}" y="{_TOP + _HEIGHT + 18}">{point.slots:,}</text>')
    parts.append(f'<text x="30" y="{_TOP + _HEIGHT + 38}">more slots; heights: gas</text></svg>\n')
    return "\n".join(parts)
