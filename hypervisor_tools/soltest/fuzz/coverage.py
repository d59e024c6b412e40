"""Coverage of a campaign's calls beside the jumps that the guest records (`guests/revm/src/campaign/coverage.rs`).

It has the basic blocks of native actors, and the jumps of calls whose frames the guest does not run: with the engine
`py-evm`, under Filecoin's rules, and with a tracer of each instruction. They are the same jumps: executed JUMPDESTs of
all contracts in one call, except those of init code.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from bridge.evm_steps import EvmFrame
from hypervisor.machine.profile import ProfileRecorder, cover_actors
from hypervisor.tracing import CallEnded, CallStarted, Detail, TraceEvent, Tracer
from hypervisor.types import METHOD_CONSTRUCTOR
from hypervisor_tools.soltest.execution.executor import RawCallResult, TestExecutor, Wrapper, is_rejected
from hypervisor_tools.soltest.project.project import CorpusSettings
from runtimes.evm.revm import Campaign

_MAX_INPUTS: Final = 1024
"""Maximum number of inputs in memory, unless `corpus_min_size` is larger."""
_MAX_JUMPS: Final = 1 << 17
"""Maximum number of recorded jumps of a call, as in the guest."""
_MAX_CODES: Final = 1 << 10
"""Codes whose contracts are remembered; those of others are looked up again."""
_CODE_SHIFT: Final = 32
_JUMPDEST: Final = 0x5B


class _Frame(NamedTuple):
    creates: bool
    number: int
    code: bytes
    """Empty if its jumps are not recorded."""


class JumpTracer(Tracer):
    """A tracer that records jumps of calls, and forwards to another one."""

    detail = Detail.COUNTERS

    def __init__(self, number_of: Callable[[bytes], int]) -> None:
        """`number_of` returns the number of a code's contract."""
        self._number_of = lru_cache(_MAX_CODES)(number_of)
        self._open: list[_Frame] = []
        self._other = Tracer()
        self._jumps: array[int] | None = None

    def around(self, other: Tracer | None) -> JumpTracer:
        """Begin a call that another tracer may trace, too."""
        self._other, self._jumps = other or Tracer(), array("Q")
        self.takes_record = other is None or other.takes_record
        self._open.clear()
        return self

    def take(self) -> array[int] | None:
        """Return the jumps of the call, each with its contract's number in the upper 32 bits; None if not traced."""
        found, self._jumps = self._jumps, None
        return found

    def event(self, event: TraceEvent, /) -> None:
        """Track the code that is being executed."""
        if isinstance(event, CallStarted):
            self._open.append(_Frame(event.method == METHOD_CONSTRUCTOR, 0, b""))
        elif isinstance(event, EvmFrame) and self._open and not self._open[-1].creates:
            self._open[-1] = _Frame(False, self._number_of(event.code), event.code)
        elif isinstance(event, CallEnded) and self._open:
            self._open.pop()
        self._other.event(event)

    def visit(self, counter: int, /) -> None:
        """Record the next instruction if it is a JUMPDEST."""
        self.visit_all(array("I", (counter,)))

    def visit_all(self, counters: array[int], /) -> None:
        """Record the JUMPDESTs among the next instructions."""
        if self._open and self._jumps is not None and len(self._jumps) < _MAX_JUMPS:
            _, number, code = self._open[-1]
            code_size, base = len(code), number << _CODE_SHIFT
            self._jumps.extend(
                [base | counter for counter in counters if counter < code_size and code[counter] == _JUMPDEST]
            )
            del self._jumps[_MAX_JUMPS:]
        self._other.visit_all(counters)


class Coverage:
    """Gives a campaign what its calls have reached."""

    def __init__(self, executor: TestExecutor, campaign: Campaign, settings: CorpusSettings) -> None:
        self._campaign = campaign
        self._tracer = JumpTracer(campaign.number_of)
        self._actors: ProfileRecorder | None = None
        if settings.corpus_dir is not None:
            self._actors = cover_actors(executor.machine, built_in=True)
            self._actors.blocks.clear()  # those of an earlier test
        self._growths = 0

    def start(self) -> Wrapper | None:
        """Begin the next call: return the tracer of its jumps for `call_next`, None if they are not recorded."""
        self._growths = 0 if self._actors is None else self._actors.growths
        return self._tracer.around if self._campaign.records_jumps else None

    def take(self, outcome: RawCallResult, *, is_best: bool = False) -> None:
        """Note what the campaign's next call has reached; its outcome is not counted yet.

        With `is_best` it belongs to the corpus anyway: a maximizing test returns its largest value after it.
        """
        jumps = self._tracer.take()
        if self._campaign.records_jumps and not is_rejected(outcome):
            has_new = self._actors is not None and self._actors.growths != self._growths
            self._campaign.cover(is_best or has_new, jumps)


def coverage_plan(executor: TestExecutor, settings: CorpusSettings) -> dict[str, Any]:
    """Return the values of a `CampaignPlan` for a corpus: none if nothing is collected."""
    if not settings.collects_edges:
        return {}
    contracts = executor.cheatcodes.settings.contracts
    max_inputs = 0 if settings.corpus_dir is None else max(_MAX_INPUTS, settings.corpus_min_size)
    return {
        "contract_of": lambda code: contracts(code, False),
        "max_inputs": min(max_inputs, (1 << 32) - 1),
        "min_mutations": settings.corpus_min_mutations,
    }
