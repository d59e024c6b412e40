"""Costs of one message per call (`CostTracer`), and totals: by charge, syscall, actor, method, call path and cron call.

Costs are computed from the machine's trace events. Amounts are milligas; a total is a pair of a count and milligas. A
charge that runs out of gas counts with the remaining gas. Tallies of several processes are merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from bridge.actors.schemas import actor_method
from bridge.ethereum.addresses import checksummed, from_delegated
from hypervisor.bundles.manifest import Manifest
from hypervisor.machine.registry import traits_of
from hypervisor.messages.address import Address
from hypervisor.tracing import (
    CallEnded,
    CallNode,
    CallStarted,
    CallTrees,
    GasCharged,
    MessageEnded,
    MessageStarted,
    RuntimeEvent,
    SyscallEntered,
    TraceEvent,
    walk,
)
from hypervisor.types import ActorID, MethodNumber, TokenAmount
from localnet.ledger.call_tree import is_native
from store.cid import Cid, show

EXECUTION: Final = "wasm_exec"
"""Name of the charge for instructions, which the machine settles before each syscall."""
MESSAGE: Final = "message"
"""Label for charges of a message before its first call."""
Key = tuple[str, str]
"""The name of a syscall, "" for none, and of a charge."""
Event = tuple[tuple[int, str, int, bytes], ...]


@dataclass(slots=True)
class CallCosts(RuntimeEvent):
    """The own costs of a recorded call, its first item."""

    own: dict[Key, list[int]] = field(default_factory=dict)
    """Count and milligas, by syscall and charge."""
    syscalls: dict[str, int] = field(default_factory=dict)
    """Number of calls of each syscall."""
    last: Key = ("", "")
    syscall: str = ""

    def charge(self, name: str, milligas: int) -> None:
        """Record a charge under the current syscall."""
        if name == EXECUTION:
            self.syscall = ""
        key = self.last = self.syscall, name
        found = self.own.get(key)
        if found is None:
            self.own[key] = [1, milligas]
        else:
            found[0] += 1
            found[1] += milligas

    def enter(self, syscall: str) -> None:
        """Record a call of a syscall."""
        self.syscall = syscall
        self.syscalls[syscall] = self.syscalls.get(syscall, 0) + 1


def costs_of(call: CallNode) -> CallCosts:
    """Return the own costs of a call that a `CostTracer` recorded."""
    found = call.items[0]
    assert isinstance(found, CallCosts)
    return found


def end_of(call: CallNode) -> CallEnded:
    """Return the end of a call; exit code 0 without gas if an error ended the execution before it."""
    return call.end or _NO_END


def receiver_of(call: CallNode) -> str:
    """Return the address of a call: of a contract the Ethereum address."""
    address = from_delegated(call.start.to)
    return str(call.start.to) if address is None else checksummed(address)


_HEAD: Final = CallStarted(ActorID(0), Address.id(ActorID(0)), MethodNumber(0), TokenAmount(0), b"", 0, False, 0)
_NO_END: Final = CallEnded(0, b"", 0, 0)


@dataclass(slots=True)
class MessageCost:
    """A message: its calls, and the gas of its receipt. The costs of `head` are the charges before the first call."""

    implicit: bool
    calls: list[CallNode]
    exit_code: int = 0
    gas_used: int = 0
    head: CallNode = field(default_factory=lambda: CallNode(_HEAD, items=[CallCosts()]))

    def every(self) -> Iterator[CallNode]:
        """Yield the part before the calls, then every call before its nested calls."""
        yield self.head
        yield from walk(self.calls)


class CostTracer(CallTrees):
    """A tracer that collects the costs of each message."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[MessageCost] = []

    def event(self, event: TraceEvent, /) -> None:
        """Add an event to the costs."""
        if isinstance(event, GasCharged):  # most are
            if event.milligas:
                self._innermost.charge(event.name, event.milligas)
        elif isinstance(event, SyscallEntered):
            self._innermost.enter(event.name)
        elif isinstance(event, MessageStarted):
            self.roots, self._open = [], []
            self.messages.append(MessageCost(event.implicit, self.roots))
        elif isinstance(event, MessageEnded):
            self.messages[-1].exit_code, self.messages[-1].gas_used = event.exit_code, event.gas_used
            self._open = []
        else:
            super().event(event)

    def take(self) -> list[MessageCost]:
        """Return the messages recorded so far and clear them."""
        taken, self.messages = self.messages, []
        return taken

    @property
    def _innermost(self) -> CallCosts:
        return costs_of(self._open[-1] if self._open else self.messages[-1].head)

    def _begin(self, node: CallNode) -> None:
        node.items.insert(0, CallCosts())
        super()._begin(node)

    def _end(self, event: CallEnded) -> None:
        call = self._open[-1]
        super()._end(event)
        costs = costs_of(call)
        own = sum(milligas for _, milligas in costs.own.values())
        excess = own + sum(end_of(inner).gas_used for inner in call.calls) - event.gas_used
        if excess > 0 and costs.own:  # the last charge exceeded the remaining gas
            last = costs.own[costs.last]
            last[1] = max(0, last[1] - excess)


class CallNames:
    """Names of actors and methods: built-in actors from a manifest, others from their code CID."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._actors: dict[Cid, str] = {}
        self._methods: dict[tuple[str, int], str] = {}

    def actor(self, call: CallNode) -> str:
        """Return a built-in actor's name, `actor` and the code CID of another actor, or the address if no code ran."""
        if call.code is None:
            return MESSAGE if call.start is _HEAD else "account" if call.start.method == 0 else receiver_of(call)
        known = self._actors.get(call.code)
        if known is None:
            known = self._actors[call.code] = self._manifest.name_of(call.code) or f"actor {show(call.code)}"
        return known

    def is_native(self, call: CallNode) -> bool:
        """Return True for a call of an actor whose own exit codes are not those of contracts."""
        return is_native({"actor": self.actor(call), "abi": self.speaks_abi(call)})

    def speaks_abi(self, call: CallNode) -> bool:
        """Return True for a call of an actor that is called as a contract."""
        return self.actor(call) == "evm" or traits_of(call.runtime).speaks_abi

    def method(self, call: CallNode) -> str:
        """Return a name such as `storagepower.EnrollCronEvent`, with the method's number if its name is unknown."""
        if call.start is _HEAD:
            return MESSAGE
        actor, number = self.actor(call), call.start.method
        known = self._methods.get((actor, number))
        if known is None:
            method = actor_method("evm" if self.speaks_abi(call) else actor, number)
            known = self._methods[actor, number] = f"{actor}.{number if method is None else method.name}"
        return known


@lru_cache(8)
def names_of(manifest: Manifest) -> CallNames:
    """Return call names that are resolved with a manifest."""
    return CallNames(manifest)


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
        waiting: list[tuple[CallNode, Path]] = [(message.head, ()), *((call, ()) for call in message.calls)]
        for call, above in waiting:  # grows during iteration instead of recursion: calls are up to 1,024 deep
            label = names.method(call)
            path = (*above, label) if len(above) < MAX_DEPTH else above
            self._count(call, label, names.actor(call), path)
            waiting += [(inner, path) for inner in call.calls]
        if message.implicit:
            for call in message.calls:
                for each in (call, *call.calls):
                    name = names.method(each) if each is call else f"{names.method(call)} > {names.method(each)}"
                    add_sum(self.cron, name, 1, end_of(each).gas_used)

    def _count(self, call: CallNode, method: str, actor: str, path: Path) -> None:
        node = self.tree.get(path)
        if node is None:
            node = self.tree[path] = CallSum(call.runtime)
        node.calls += 1
        node.failed += bool(end_of(call).exit_code or end_of(call).error)
        costs = costs_of(call)
        own, keys, charges = 0, self.keys, node.own
        for key, (count, milligas) in costs.own.items():
            own += milligas
            charges[key[1]] = charges.get(key[1], 0) + milligas
            found = keys.get(key)
            if found is None:
                keys[key] = [count, milligas]
            else:
                found[0] += count
                found[1] += milligas
        for syscall, count in costs.syscalls.items():
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
