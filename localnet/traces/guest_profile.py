"""A profile of a message: gas and time by function of its native actors, and by syscall.

The message is executed again on its original state with a profiler (`hypervisor.machine.profile`). Gas is exact, in
milligas. The time of syscalls is measured; the remaining time of an invocation is distributed over its functions in
proportion to gas. Contracts have no functions in this profile: each call of a contract is one entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bridge.actors.interfaces import Interface
from bridge.traces.flame import FlameBox, flame_html, flame_svg
from hypervisor.errors import InvalidInput
from hypervisor.gas import MILLIGAS_PER_GAS
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.profile import ProfiledInvocation, ProfileNode, ProfileRecorder, profile_actors
from hypervisor.text import printable
from localnet.chain.view import ChainReader
from localnet.ledger.records import TransactionReceipt
from localnet.state.named_code import stored_interface
from localnet.traces.trace import Replay
from store.cid import Cid

MAX_ROWS: Final = 40
"""Maximum number of functions in the table; the data has all."""
_MAX_IN_A_ROW: Final = 10_000
"""Maximum number of boxes in a row of the flame graph; the smallest are omitted."""
_DEEPEST: Final = 200


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """A function or syscall of an actor: count, milligas without and with callees, and nanoseconds."""

    actor: str
    name: str
    is_syscall: bool
    count: int
    milligas: int
    total_milligas: int
    nanoseconds: int


@dataclass(frozen=True, slots=True)
class GuestProfile:
    """A profile: rows by own gas, boxes of the flame graph, and the message's gas. `print` shows the table."""

    rows: tuple[ProfileRow, ...]
    boxes: tuple[FlameBox, ...]
    gas_used: int
    reproduced: bool
    """True if re-execution produced the recorded receipt."""

    def __str__(self) -> str:
        """Return the table as lines."""
        return "\n".join(profile_lines(self.as_json()))

    def as_json(self) -> dict[str, Any]:
        """Return gas used and the rows of functions and syscalls as JSON; gas in milligas, time in nanoseconds."""
        return {
            "gasUsed": self.gas_used,
            "reproduced": self.reproduced,
            "rows": [
                {
                    "actor": row.actor, "name": row.name, "syscall": row.is_syscall, "count": row.count,
                    "milligas": row.milligas, "wholeMilligas": row.total_milligas, "nanoseconds": row.nanoseconds,
                }
                for row in self.rows
            ],
            "tree": [_box_json(box) for box in self.boxes],
        }  # fmt: skip

    def save_flame(self, file: str | Path) -> None:
        """Write the flame graph, as wide as gas: an .svg, or an .html page. Raises InvalidInput for other names."""
        save_profile_flame(self.as_json(), Path(file))


def guest_profile(chain: ChainReader, receipt: TransactionReceipt) -> GuestProfile:
    """Return the profile of a transaction, without rows under rules that run no native actors."""
    replay = Replay(chain, receipt.tipset, receipt.index)
    with profile_actors(replay.machine) as recorder:
        same = replay.next(None) == receipt.execution.receipt
    reading = _Reading(replay.machine, recorder)
    return GuestProfile(reading.rows(), reading.boxes(), receipt.gas_used, same)


def profile_lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield a profile as a table: the rows with the most self gas."""
    whole = max(1, found["gasUsed"] * MILLIGAS_PER_GAS)
    yield f"gas used: {found['gasUsed']:,}"
    if not found["reproduced"]:
        yield "re-execution produced another receipt: another version or other options created the chain"
    yield f"{'own gas':>14} {'%':>5} {'with callees':>14} {'calls':>8} {'ms':>9}  function"
    rows = found["rows"]
    for row in rows[:MAX_ROWS]:
        own, total = row["milligas"] // MILLIGAS_PER_GAS, row["wholeMilligas"] // MILLIGAS_PER_GAS
        mark = "syscall " if row["syscall"] else ""
        name = printable(f"{row['actor']}: {mark}{row['name']}")
        yield (
            f"{own:>14,} {100 * row['milligas'] / whole:>5.1f} {total:>14,} {row['count']:>8,} "
            f"{row['nanoseconds'] / 1e6:>9.3f}  {name}"
        )
    if len(rows) > MAX_ROWS:
        yield f"... and {len(rows) - MAX_ROWS} more, which --json has"
    if not rows:
        yield "no native actor ran: a contract's gas is in `hypervisor trace --flame`"


def check_profile(found: Any) -> dict[str, Any]:
    """Decode an imported profile's data. Raises Python's errors for another shape."""
    for _ in profile_lines(found):
        pass
    for box in found["tree"]:
        _read_box(box)
    checked: dict[str, Any] = found
    return checked


def save_profile_flame(found: dict[str, Any], file: Path) -> None:
    """Write the flame graph of a profile's data; raises InvalidInput unless the name ends with .svg or .html."""
    if file.suffix not in (".svg", ".html"):
        raise InvalidInput(f"the flame graph {file} must be a .svg or .html file")
    boxes, title = [_read_box(box) for box in found["tree"]], "gas by function of native actors"
    gas = found["gasUsed"]
    text = flame_html(title, boxes, gas, ()) if file.suffix == ".html" else flame_svg(title, boxes, gas)
    file.write_text(text, encoding="utf-8")


# --- rows and boxes ---------------------------------------------------------------------------------------------------


class _Reading:
    """Conversion of a recorder's call trees, without recursion because calls may be deep."""

    def __init__(self, machine: Hypervisor, recorder: ProfileRecorder) -> None:
        self._machine = machine
        self._roots = recorder.roots
        self._whole: dict[int, int] = {}
        """Milligas of each node with all below it, by its identity."""
        nodes = [root.root for root in recorder.roots]
        self._invocations = list(recorder.roots)
        for node in nodes:
            nodes += node.calls
            self._invocations += node.invocations
            nodes += [called.root for called in node.invocations]
        for node in reversed(nodes):
            below = [*node.calls, *(called.root for called in node.invocations)]
            self._whole[id(node)] = node.milligas + sum(self._whole[id(each)] for each in below)
        total = sum(self._whole[id(root.root)] for root in recorder.roots)
        self._narrowest = total // _MAX_IN_A_ROW

    def rows(self) -> tuple[ProfileRow, ...]:
        """Return the functions and syscalls, in descending order of self gas."""
        rows: dict[tuple[str, str, bool], list[int]] = {}
        for invocation in self._invocations:
            self._count(invocation, rows)
        ordered = sorted(rows.items(), key=lambda item: -item[1][1])
        return tuple(ProfileRow(*key, *found) for key, found in ordered)

    def boxes(self) -> tuple[FlameBox, ...]:
        """Return the root invocations, which no native actor made, with their children."""
        return tuple(self._box(root, 0) for root in self._roots)

    def _count(self, invocation: ProfiledInvocation, rows: dict[tuple[str, str, bool], list[int]]) -> None:
        """Add an invocation's nodes to the rows; recursive calls count once in a function's total."""
        actor, (guest, syscalls) = self._machine.name_of(invocation.code), _shares(invocation)
        around: dict[str, int] = {}
        waiting = [(node, False) for node in invocation.root.calls]
        while waiting:
            node, is_left = waiting.pop()
            if is_left:
                around[node.label] -= 1
                continue
            row = rows.setdefault((actor, node.label, node.is_syscall), [0, 0, 0, 0])
            row[0] += node.count
            row[1] += node.milligas
            row[2] += 0 if around.get(node.label) else self._whole[id(node)]
            row[3] += round(node.count * syscalls[node.label] if node.is_syscall else node.milligas * guest)
            around[node.label] = around.get(node.label, 0) + 1
            waiting.append((node, True))
            waiting += [(below, False) for below in node.calls]

    def _box(self, invocation: ProfiledInvocation, depth: int) -> FlameBox:
        actor, interface = self._machine.name_of(invocation.code), self._interface(invocation.code)
        known = None if interface is None else interface.method_at(invocation.method)
        label = f"f0{invocation.actor} {actor}.{invocation.method if known is None else known.name}"
        gas = self._whole[id(invocation.root)] // MILLIGAS_PER_GAS
        details = (label, f"{gas:,} gas in {invocation.total_ns / 1e6:.3f} ms")
        return FlameBox(label, details, gas, "wasm", inner=self._below(invocation.root, depth))

    def _node_box(self, node: ProfileNode, depth: int) -> FlameBox:
        own, whole = node.milligas // MILLIGAS_PER_GAS, self._whole[id(node)] // MILLIGAS_PER_GAS
        details = (node.label, f"{own:,} gas of its own, {whole:,} with what it calls, {node.count:,} calls")
        kind = "charge" if node.is_syscall else "function"
        return FlameBox(node.label, details, whole, kind, inner=self._below(node, depth))

    def _below(self, node: ProfileNode, depth: int) -> tuple[FlameBox, ...]:
        """Return the visible boxes under a node, as deep as the picture goes."""
        if depth >= _DEEPEST:
            return ()
        seen = [below for below in node.calls if self._whole[id(below)] > self._narrowest]
        called = [each for each in node.invocations if self._whole[id(each.root)] > self._narrowest]
        boxes = [self._node_box(below, depth + 1) for below in seen]
        return (*boxes, *(self._box(each, depth + 1) for each in called))

    def _interface(self, code: Cid) -> Interface | None:
        name = self._machine.manifest.name_of(code)
        return stored_interface(self._machine.base, code) if name is None else Interface.built_in(name)


def _shares(invocation: ProfiledInvocation) -> tuple[float, dict[str, float]]:
    """Return the time in nanoseconds per milligas of the guest's code, and per syscall."""
    code, counts = 0, dict[str, int]()
    waiting = [invocation.root]
    while waiting:
        node = waiting.pop()
        waiting += node.calls
        if node.is_syscall:
            counts[node.label] = counts.get(node.label, 0) + node.count
        else:
            code += node.milligas
    rest = max(0, invocation.total_ns - invocation.nested_ns - sum(invocation.syscall_ns.values()))
    return rest / max(1, code), {name: invocation.syscall_ns.get(name, 0) / count for name, count in counts.items()}


def _box_json(box: FlameBox) -> dict[str, Any]:
    return {
        "label": box.label, "details": list(box.details), "gas": box.gas, "kind": box.runtime,
        "calls": [_box_json(inner) for inner in box.inner],
    }  # fmt: skip


def _read_box(found: dict[str, Any]) -> FlameBox:
    inner: Sequence[dict[str, Any]] = found["calls"]
    return FlameBox(
        str(found["label"]), tuple(map(str, found["details"])), int(found["gas"]), str(found["kind"]),
        inner=tuple(map(_read_box, inner)),
    )  # fmt: skip
