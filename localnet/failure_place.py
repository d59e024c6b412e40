"""The line of Solidity where a transaction failed: found by executing it once more, instruction by instruction.

Only our own EVM runtime has instructions to listen to. Where the official EVM actor runs contracts, the transaction is
executed on ours, which makes the same calls; there is no line if it ends otherwise there, as at the edge of its gas.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from bridge.cbor import ParamsError
from bridge.evm_steps import EvmStep
from bridge.params import ConstructorParams
from bridge.traces.struct_logs import EnoughLogged
from hypervisor.address import Address
from hypervisor.machine import Hypervisor
from hypervisor.opening import registry_factory
from hypervisor.registry import Registry
from hypervisor.tracing import CallEnded, CallNode, CallStarted, CallTrees, RuntimeEvent, TraceEvent
from hypervisor.types import METHOD_CONSTRUCTOR
from localnet.artifacts import ArtifactFolders
from localnet.chain import Chain
from localnet.console_log import is_log
from localnet.contract_state import code_that_runs
from localnet.records import TransactionReceipt
from localnet.simulate import CallRequest, listened
from localnet.trace import Replay
from store.blockstore import BlockNotFound
from store.cid import Cid

LONGEST: Final = 3.0
"""Seconds that finding a line may take."""

_LAST: Final = 4_096
"""Program counters that are kept of a frame: the compiler's own helpers, which have no line, are shorter."""


class _Counters(CallTrees):
    """Keeps the calls, and of those that fail the last program counters."""

    def __init__(self) -> None:
        super().__init__()
        self.counters: dict[int, deque[int]] = {}
        self._end = time.monotonic() + LONGEST
        self._frames: list[deque[int]] = []

    def event(self, event: TraceEvent, /) -> None:
        """Keep track of the calls."""
        ended = self._open[-1] if isinstance(event, CallEnded) else None
        super().event(event)
        if isinstance(event, CallStarted):
            self._frames.append(deque(maxlen=_LAST))
        elif ended is not None:
            counters = self._frames.pop()
            if not ended.succeeded:
                self.counters[id(ended)] = counters

    def step(self, event: RuntimeEvent, /) -> None:
        """Keep an instruction's place."""
        if isinstance(event, EvmStep) and self._frames:
            if time.monotonic() > self._end:
                raise EnoughLogged("a line is not worth more time")
            self._frames[-1].append(event.pc)


class FailurePlaces:
    """Finds the lines where transactions of a chain failed, with the compiled contracts of some folders."""

    def __init__(self, chain: Chain, artifacts: ArtifactFolders) -> None:
        self._chain, self._artifacts = chain, artifacts
        self._registries: dict[Cid, Registry] = {}

    def of(self, receipt: TransactionReceipt, path: Sequence[int]) -> str | None:
        """`file.sol:line` of the innermost contract on the path to the call that explains a failure, None if not known.

        `path` has the place of each call among its siblings (`localnet.trace_report`), those to `console.log` left out.
        """
        listener = _Counters()
        replay = Replay(self._chain, receipt.tipset, receipt.index)
        replay.machine = self._with_instructions(replay.machine)
        try:
            replay.rehearse(listener, lambda: None)
        except EnoughLogged:
            return None
        return self._found(replay.machine, listener, receipt.exit_code, path)

    def of_call(self, request: CallRequest, exit_code: int, path: Sequence[int]) -> str | None:
        """The same of a call at the head that failed with an exit code, and of which nothing was kept."""
        listener, machine = _Counters(), self._with_instructions(self._chain.machine)
        try:
            listened(machine, request, listener, lambda: None)
        except EnoughLogged:
            return None
        return self._found(machine, listener, exit_code, path)

    def _found(self, machine: Hypervisor, listener: _Counters, exit_code: int, path: Sequence[int]) -> str | None:
        ends = [call.end.exit_code for call in listener.roots if call.end is not None]
        if ends[-1:] != [exit_code]:
            return None  # our own runtime's gas differs from the official actor's
        for call in reversed(_on_path(listener.roots, path)):
            counters = listener.counters.get(id(call))
            found = _line(machine, call, counters, self._artifacts) if counters else None
            if found is not None:
                return found
        return None

    def _with_instructions(self, machine: Hypervisor) -> Hypervisor:
        """The machine, or a fork of it on which our own runtime runs the contracts."""
        if machine.registry.options["evm"] != "official":
            return machine
        own = machine.fork()
        known = self._registries.get(own.manifest.data)
        if known is None:
            known = self._registries[own.manifest.data] = registry_factory("py-evm", {})(own.manifest, own.store)
        own.registry = known
        return own


def _on_path(roots: Sequence[CallNode], path: Sequence[int]) -> list[CallNode]:
    calls, found = roots, list[CallNode]()
    for place in path:
        own = [call for call in calls if not is_log(str(call.start.to))]
        if place >= len(own):
            break
        found.append(own[place])
        calls = own[place].calls
    return found


def _line(machine: Hypervisor, call: CallNode, counters: deque[int], artifacts: ArtifactFolders) -> str | None:
    """The line of a contract's call; None where its source is not known."""
    try:
        if call.start.method == METHOD_CONSTRUCTOR:
            init_code = ConstructorParams.decode(call.start.params).init_code
            made = artifacts.creating(init_code)
            code_map = None if made is None else made.debug().creation
        else:
            found = artifacts.running(_code(machine, call))
            code_map = None if found is None else found.debug().runtime
    except (ParamsError, BlockNotFound):
        return None
    return None if code_map is None else code_map.line(reversed(counters))


def _code(machine: Hypervisor, call: CallNode) -> bytes:
    if call.actor is None:
        return b""
    return code_that_runs(machine, Address.id(call.actor), call.start.method, call.start.params)
