"""The line of Solidity at which a transaction failed, found by re-execution, instruction by instruction.

Only this project's EVM runtime reports instructions. If the official EVM actor runs the contracts, the transaction is
executed on this project's runtime, which makes the same calls. If the outcome differs, as it can near the gas limit,
no line is reported.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypervisor.machine.machine import Hypervisor
from hypervisor.tracing import CallNode
from localnet.calls.simulate import traced_call
from localnet.calls.time_limit import TimeLimit
from localnet.chain.chain import Chain
from localnet.contracts.artifacts import ArtifactFolders
from localnet.ledger.records import TransactionReceipt
from localnet.rules.call_request import CallRequest
from localnet.traces.call_places import Counters, InstructionPlaces, code_of_call, line_of_code
from localnet.traces.console_log import is_log
from localnet.traces.trace import Replay


class FailurePlaces:
    """Finds the lines where transactions of a chain failed, with the compiled contracts of some folders."""

    def __init__(self, chain: Chain, artifacts: ArtifactFolders) -> None:
        self._chain, self._artifacts = chain, artifacts
        self._instructions = InstructionPlaces()

    def of(self, receipt: TransactionReceipt, path: Sequence[int], limit: TimeLimit) -> str | None:
        """Return the `file.sol:line` of the innermost contract on the path to a failure's cause; None if unknown.

        `path` has the index of each call among its siblings (`localnet.traces.trace_report`), without calls of
        `console.log`. Raises the error of the limit.
        """
        if not self._artifacts.contracts():
            return None  # no source is known
        listener = Counters(limit)
        replay = Replay(self._chain, receipt.tipset, receipt.index, limit)
        replay.machine = self._instructions.machine_for(replay.machine)
        replay.rehearse(listener, lambda: None)
        return self._find(replay.machine, listener, receipt.exit_code, path)

    def of_call(
        self, machine: Hypervisor, request: CallRequest, exit_code: int, path: Sequence[int], limit: TimeLimit
    ) -> str | None:
        """Return the location of a failed call on a machine, whose effects were reverted."""
        if not self._artifacts.contracts():
            return None
        listener, machine = Counters(limit), self._instructions.machine_for(machine)
        traced_call(machine, request, listener, lambda _: None)
        return self._find(machine, listener, exit_code, path)

    def _find(self, machine: Hypervisor, listener: Counters, exit_code: int, path: Sequence[int]) -> str | None:
        ends = [call.end.exit_code for call in listener.roots if call.end is not None]
        if ends[-1:] != [exit_code]:
            return None  # our own runtime's gas differs from the official actor's
        for call in reversed(_on_path(listener.roots, path)):
            counters = listener.failed.get(id(call), ())
            found = line_of_code(self._artifacts, *code_of_call(machine, call), counters) if counters else None
            if found is not None:
                return found
        return None


def _on_path(roots: Sequence[CallNode], path: Sequence[int]) -> list[CallNode]:
    calls, found = roots, list[CallNode]()
    for index in path:
        own = [call for call in calls if not is_log(str(call.start.to))]
        if index >= len(own):
            break
        found.append(own[index])
        calls = own[index].calls
    return found
