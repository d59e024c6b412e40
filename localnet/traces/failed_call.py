"""The call tree of a call or an estimate that failed: no block holds it, so it is made again, with a tracer.

It is `localnet.traces.trace`'s tree, explained by `localnet.traces.trace_report`; a call pays no gas, so nothing is
said of gas by part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypervisor.machine import Hypervisor
from hypervisor.tracing import CallTrees
from localnet.calls.simulate import traced_call
from localnet.errors import CallFailed
from localnet.rules.call_request import CallRequest
from localnet.traces.trace import call_json
from localnet.traces.trace_words import NamedInterface


@dataclass(frozen=True, slots=True)
class FailedCall:
    """A call's tree, by the interfaces of the contracts that the network knows. `print` shows it."""

    exit_code: int
    words: str
    calls: tuple[dict[str, Any], ...]
    interfaces: tuple[NamedInterface, ...]

    @property
    def why(self) -> tuple[str, ...]:
        """Why the call failed: from itself to the innermost one that explains it."""
        why = self._report()["why"]
        return () if why is None else tuple(why["calls"])

    def __str__(self) -> str:
        """The tree as lines."""
        from localnet.traces.call_text import tree_text

        return tree_text(self._report()["calls"])

    def _report(self) -> dict[str, Any]:
        from localnet.traces.trace_report import explain_trace

        found = {"exitCode": self.exit_code, "words": self.words, "gasUsed": 0, "calls": list(self.calls)}
        return explain_trace(found, self.interfaces)


def failed_call(
    machine: Hypervisor, request: CallRequest, failure: CallFailed, interfaces: tuple[NamedInterface, ...]
) -> FailedCall:
    """Make a call again that has failed, and take it back."""
    trees = CallTrees()
    calls = traced_call(machine, request, trees, lambda: tuple(call_json(machine, call) for call in trees.roots))
    return FailedCall(failure.exit_code, failure.words, calls, interfaces)
