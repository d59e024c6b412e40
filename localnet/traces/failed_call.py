"""The call tree of a failed call or estimate. No block contains the call, so it is executed again with a tracer.

The tree is that of `localnet.traces.trace`, explained by `localnet.traces.trace_report`. A call pays no gas, so the
report omits the gas breakdown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypervisor.exit_codes import ExitCode
from hypervisor.machine.machine import Hypervisor
from hypervisor.text import one_line, tree
from hypervisor.tracing import CallTrees
from localnet.calls.overrides import NONE, Overrides
from localnet.calls.simulate import traced_call
from localnet.calls.time_limit import TimeLimit
from localnet.contracts.named_interface import NamedInterface
from localnet.errors import CallFailed
from localnet.ledger.call_tree import every_call, exit_name_of
from localnet.rules.facts import CallRequest
from localnet.traces.trace import call_json


@dataclass(frozen=True, slots=True)
class FailedCall:
    """Call tree of a failed call, decoded by the registered interfaces; `str` formats it."""

    exit_code: int
    error_message: str
    calls: tuple[dict[str, Any], ...]
    interfaces: tuple[NamedInterface, ...]

    @property
    def failure_path(self) -> tuple[str, ...]:
        """Return the path of calls that explains the failure, from the outermost call."""
        why = self._report()["why"]
        return () if why is None else tuple(why["calls"])

    def __str__(self) -> str:
        """Return the tree as lines."""
        from localnet.traces.call_text import tree_text

        return tree_text(self._report()["calls"])

    def __repr__(self) -> str:
        return one_line("FailedCall", self._end, f"{len(every_call(self.calls))} calls")

    def _repr_html_(self) -> str:
        from localnet.traces.call_text import tree_lines

        title = f"{self._end}{''.join(f'; {words}' for words in self.failure_path[-1:])}"
        return tree(title, tree_lines(self._report()["calls"]), "print the tree")

    @property
    def _end(self) -> str:
        return f"exit {exit_name_of(self.exit_code, self.calls)}"

    def _report(self) -> dict[str, Any]:
        from localnet.traces.trace_report import explain_trace

        found = {"exitCode": self.exit_code, "words": self.error_message, "gasUsed": 0, "calls": list(self.calls)}
        return explain_trace(found, self.interfaces)


def failed_call(
    machine: Hypervisor, request: CallRequest, failure: CallFailed, interfaces: tuple[NamedInterface, ...]
) -> FailedCall:
    """Re-execute a failed call and revert it."""
    return FailedCall(failure.exit_code, failure.error_message, tuple(traced_calls(machine, request)), interfaces)


def call_trace(machine: Hypervisor, request: CallRequest) -> dict[str, Any]:
    """Return the call tree of a simulated call, like a transaction's; without calls if it is rejected."""
    calls = traced_calls(machine, request)
    exit_code = calls[-1]["exitCode"] if calls else int(ExitCode.OK)
    return {
        "exitCode": exit_code,
        "exit": exit_name_of(exit_code, calls),
        "gasUsed": calls[-1]["gas"] if calls else 0,
        "words": calls[-1]["words"] if calls else "",
        "calls": calls,
    }


def traced_calls(
    machine: Hypervisor, request: CallRequest, limit: TimeLimit | None = None, overrides: Overrides = NONE
) -> list[dict[str, Any]]:
    """Return the calls of a simulated call. Raises the errors of the limit and of `overridden`."""
    trees = CallTrees()
    tracer = trees if limit is None else limit.on(trees)
    return traced_call(
        machine, request, tracer, lambda _: [call_json(machine, call) for call in trees.roots], overrides
    )
