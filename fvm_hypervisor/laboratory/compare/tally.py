"""Total costs of messages: by charge, syscall, actor, method, call path, and calls of cron.

Each total is a pair of a count and milligas. Tallies of several processes are merged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from fvm_hypervisor.laboratory.profile import EXECUTION, CallCost, CallNames, Key, MessageCost

MAX_DEPTH: Final = 60
"""Maximum depth of the tree; deeper calls are counted with their ancestor at this depth."""
NO_SYSCALL: Final = "(no syscall)"
"""Name for charges outside syscalls: of a message, of invoking an actor, and all of contracts in this project's EVM."""
INSTRUCTIONS: Final = "(instructions)"

Sums = dict[str, list[int]]
Path = tuple[str, ...]


@dataclass(slots=True)
class CallSum:
    """The total of all calls with one call path, from the outermost method."""

    runtime: str
    calls: int = 0
    failed: int = 0
    own: dict[str, int] = field(default_factory=dict)
    """Milligas by charge, without subcalls."""

    @property
    def own_milligas(self) -> int:
        """Milligas without subcalls."""
        return sum(self.own.values())


@dataclass(slots=True)
class CostTally:
    """Total costs over messages."""

    messages: int = 0
    implicit: int = 0
    milligas: int = 0
    keys: dict[Key, list[int]] = field(default_factory=dict)
    """Count and total, by syscall and charge."""
    entered: dict[str, int] = field(default_factory=dict)
    """Number of calls of each syscall."""
    actors: Sums = field(default_factory=dict)
    methods: Sums = field(default_factory=dict)
    cron: Sums = field(default_factory=dict)
    """Costs of the calls of implicit messages, including nested calls."""
    tree: dict[Path, CallSum] = field(default_factory=dict)

    @property
    def charges(self) -> Sums:
        sums: Sums = {}
        for (_, charge), (count, milligas) in self.keys.items():
            add_sum(sums, charge, count, milligas)
        return sums

    @property
    def syscalls(self) -> Sums:
        """Return the totals and call counts by syscall."""
        sums: Sums = {name: [count, 0] for name, count in self.entered.items()}
        for (syscall, charge), (_, milligas) in self.keys.items():
            add_sum(sums, syscall or (INSTRUCTIONS if charge == EXECUTION else NO_SYSCALL), 0, milligas)
        return sums

    def add(self, message: MessageCost, names: CallNames) -> None:
        self.messages += 1
        self.implicit += message.implicit
        waiting: list[tuple[CallCost, Path]] = [(message.head, ()), *((call, ()) for call in message.calls)]
        for call, above in waiting:  # grows during iteration instead of recursion: calls are up to 1,024 deep
            label = names.method(call)
            path = (*above, label) if len(above) < MAX_DEPTH else above
            self._count(call, label, names.actor(call), path)
            waiting += [(inner, path) for inner in call.calls]
        if message.implicit:
            for call in message.calls:
                for each in (call, *call.calls):
                    name = names.method(each) if each is call else f"{names.method(call)} > {names.method(each)}"
                    add_sum(self.cron, name, 1, each.milligas)

    def _count(self, call: CallCost, method: str, actor: str, path: Path) -> None:
        node = self.tree.get(path)
        if node is None:
            node = self.tree[path] = CallSum(call.runtime)
        node.calls += 1
        node.failed += bool(call.exit_code or call.error)
        own, keys, charges = 0, self.keys, node.own
        for key, (count, milligas) in call.own.items():
            own += milligas
            charges[key[1]] = charges.get(key[1], 0) + milligas
            found = keys.get(key)
            if found is None:
                keys[key] = [count, milligas]
            else:
                found[0] += count
                found[1] += milligas
        for syscall, count in call.syscalls.items():
            self.entered[syscall] = self.entered.get(syscall, 0) + count
        add_sum(self.methods, method, 1, own)
        add_sum(self.actors, actor, 1, own)
        self.milligas += own

    def merge(self, other: CostTally) -> None:
        self.messages += other.messages
        self.implicit += other.implicit
        self.milligas += other.milligas
        for mine, others in zip(self._tables(), other._tables(), strict=True):
            for name, (count, milligas) in others.items():
                add_sum(mine, name, count, milligas)
        for key, (count, milligas) in other.keys.items():
            sums = self.keys.setdefault(key, [0, 0])
            sums[0] += count
            sums[1] += milligas
        for syscall, count in other.entered.items():
            self.entered[syscall] = self.entered.get(syscall, 0) + count
        for path, found in other.tree.items():
            node = self.tree.setdefault(path, CallSum(found.runtime))
            node.calls += found.calls
            node.failed += found.failed
            for charge, milligas in found.own.items():
                node.own[charge] = node.own.get(charge, 0) + milligas

    def _tables(self) -> Iterable[Sums]:
        return self.actors, self.methods, self.cron


def add_sum(sums: Sums, name: str, count: int, milligas: int) -> None:
    """Add an amount under a name."""
    found = sums.get(name)
    if found is None:
        sums[name] = [count, milligas]
    else:
        found[0] += count
        found[1] += milligas


def largest_first(sums: Sums) -> list[tuple[str, int, int]]:
    """Return (name, count, milligas), the largest amount first."""
    rows = ((name, count, milligas) for name, (count, milligas) in sums.items())
    return sorted(rows, key=lambda row: (-row[2], -row[1], row[0]))
