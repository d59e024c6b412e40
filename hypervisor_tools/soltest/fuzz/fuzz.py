"""Fuzz tests: a test runs with many inputs, each from the state after `setUp`; a failing input is shrunk.

Rules: forge's. Inputs rejected by an assumption do not count as runs, and too many of them fail the test. The seed and
the test's name determine every input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from random import Random
from time import monotonic
from typing import Any, Final

from bridge.ethereum.block import ETHEREUM
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.state import VM_ADDRESS
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.cheatcodes.values import decode, encode
from hypervisor_tools.soltest.execution.discovery import TestFunction
from hypervisor_tools.soltest.execution.executor import ExecutorSettings, ExecutorSnapshot, RawCallResult, is_rejected
from hypervisor_tools.soltest.execution.results import CaseKind, CaseStatus, CounterExample, TestResult
from hypervisor_tools.soltest.execution.stage import SuiteStage
from hypervisor_tools.soltest.execution.values import Dictionary, Values, simpler, types
from hypervisor_tools.soltest.fuzz.corpus import INPUT_MUTATION_SHARE, Corpus, CorpusFolder, CorpusInput
from hypervisor_tools.soltest.fuzz.fixtures import find_fixtures
from hypervisor_tools.soltest.fuzz.mutations import mutate_arguments
from hypervisor_tools.soltest.fuzz.stored_failures import StoredCall
from hypervisor_tools.soltest.project.project import FuzzSettings
from hypervisor_tools.soltest.trace.frames import FrameTracer, acts_as, frames_by_end, is_reverted_call
from hypervisor_tools.soltest.value_text import arguments_text

_MAX_SHRINKS: Final = 5000
_SHRINK_GAS: Final = 4_000_000_000
"""Gas that shrinking a failure may use: some seconds of the fast engine. A limit in time would depend on the load."""
_SLOW_SHRINK_GAS: Final = 40_000_000
"""The same for the engine `py-evm`."""
_FILECOIN_SHRINK_GAS: Final = 20_000_000_000
"""The same under Filecoin's rules, whose gas of a call is a thousand times as much."""
_LEAST_GAS: Final = 40_000
"""Gas that a call counts for at least, since some, such as `vm.ffi`, take time without gas."""
_PROGRESS_SECONDS: Final = 0.5
BATCH: Final = 10
"""Number of inputs drawn together: words from their runs serve the next ones."""


class ShrinkLimit:
    """Limit of the gas that shrinking one failure uses."""

    def __init__(self, setting: ExecutorSettings) -> None:
        fast = _SHRINK_GAS if setting.rules == ETHEREUM else _FILECOIN_SHRINK_GAS
        self._left = _SLOW_SHRINK_GAS if setting.evm == "py-evm" else fast

    def count(self, outcome: RawCallResult) -> None:
        """Count a call."""
        self._left -= max(outcome.gas_used, _LEAST_GAS)

    def is_over(self) -> bool:
        """Return True if shrinking must end."""
        return self._left <= 0


class Deadline:
    """Timer of a long test: reports progress at the start and then about twice a second, and ends it at the timeout."""

    def __init__(self, timeout: float | None = None) -> None:
        self._next = monotonic()
        self._end = None if timeout is None else self._next + timeout

    def is_over(self) -> bool:
        """Return True if the timeout has passed."""
        return self._end is not None and monotonic() >= self._end

    def is_progress_due(self) -> bool:
        """Return True if progress is to be reported. Cheap to call."""
        time = monotonic()
        if time < self._next:
            return False
        self._next = time + _PROGRESS_SECONDS
        return True


@dataclass(slots=True)
class FuzzRun:
    """A running fuzz test. `ready` is the state after `setUp`."""

    stage: SuiteStage
    test: TestFunction
    settings: FuzzSettings
    seed: int
    ready: ExecutorSnapshot
    dictionary: Dictionary
    progress: Callable[[TestResult], None] = lambda _: None
    stored: bytes | None = None
    """Calldata of an earlier failure, which is run first."""
    corpus_folder: CorpusFolder | None = None
    found: Sequence[bytes] = ()
    """Calldata to add to the corpus if it reaches something new."""
    gases: list[int] = field(default_factory=list)
    rejects: int = 0
    last: list[Any] = field(default_factory=list)
    """Inputs of the latest counted run."""
    first_stipend: int = 0
    """Intrinsic gas of the first counted run."""
    _corpus: Corpus[list[Any]] | None = None
    _is_ready: bool = False
    """True if the current state is known to be that after `setUp`."""
    _selector: bytes = b""
    _types: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._selector, self._types = selector(self.test.signature), tuple(types(self.test.entry["inputs"]))

    def run(self) -> TestResult:
        """Execute runs until all are done or one fails."""
        name = f"{self.seed}:{self.stage.artifact.file}:{self.stage.artifact.name}:{self.test.signature}"
        rng = Random(name)  # noqa: S311  # repeatable
        fixtures = find_fixtures(self.stage)
        self.stage.executor.restore(self.ready)
        values = Values(rng, self.dictionary, self.settings.dictionary_weight, fixtures)
        deadline, stored = Deadline(self.settings.timeout), self._arguments_of(self.stored)
        if stored is not None and self.settings.runs:
            ended = self._run_with([stored])
            if ended is not None:
                return ended
        broken = self._begin_corpus(deadline)
        if broken is not None:
            return broken
        corpus, inputs = self._corpus, self.test.entry["inputs"]
        while len(self.gases) < self.settings.runs and not deadline.is_over():
            if deadline.is_progress_due():
                self.progress(self._result(CaseStatus.SUCCESS, None))
            of = None if corpus is None else corpus.choose(rng)
            if corpus is None:
                size = min(BATCH, self.settings.runs - len(self.gases))
                drawn = [values.arguments(inputs) for _ in range(size)]
            elif of is None:
                drawn = [values.arguments(inputs)]
            else:
                drawn = [mutate_arguments(rng, values, inputs, of.input, corpus.other(rng))]
            ended = self._run_with(drawn, of)
            if ended is not None:
                return ended
        return self._result(CaseStatus.SUCCESS, None)

    def _run_with(self, drawn: list[list[Any]], of: CorpusInput[list[Any]] | None = None) -> TestResult | None:
        """Execute runs, with inputs that may be mutations `of` the corpus; return the result if one ends the test."""
        corpus, at = self._corpus, 0
        while at < len(drawn):
            outcomes = self._call(drawn[at:]) if corpus is None else [self._watched(corpus, drawn[at])]
            for outcome in outcomes:
                ended = self._take(drawn[at], outcome, of)
                if ended is not None:
                    return ended
                at += 1
        return None

    def _take(
        self, arguments: list[Any], outcome: RawCallResult, of: CorpusInput[list[Any]] | None
    ) -> TestResult | None:
        """Count a run; return the result if it ends the test."""
        corpus = self._corpus
        if is_rejected(outcome):
            self.rejects += 1
            if corpus is not None:
                corpus.discard_edges()
            if self.rejects > self.settings.max_test_rejects:
                return self._result(
                    CaseStatus.FAILURE,
                    f"`vm.assume` rejected too many inputs ({self.settings.max_test_rejects} allowed)",
                )
            return None
        if corpus is not None and corpus.reached_new_edges():
            corpus.add(arguments, of)
        status, reason = self._verdict(arguments, outcome)
        if status is CaseStatus.FAILURE:
            return self._failure(arguments, outcome, reason)
        if status is CaseStatus.SKIPPED:
            return self._result(status, reason)
        if not self.gases:
            self.first_stipend = self.stage.executor.intrinsic_gas(self.calldata(arguments))
        self.gases.append(outcome.gas_used)
        self.last = arguments
        if self.settings.learns:
            self.dictionary.add_outcome(outcome)
        return None

    def _begin_corpus(self, deadline: Deadline) -> TestResult | None:
        """Run the corpus, which does not count as runs; return a result if one of its inputs fails."""
        settings = self.settings
        folder = self.corpus_folder
        if folder is None or not settings.collects_edges:
            return None

        def write(arguments: list[Any]) -> None:
            folder.write([StoredCall(self.stage.sender, self.stage.address, self.calldata(arguments))])

        corpus = self._corpus = Corpus.of(settings, self.stage.executor, INPUT_MUTATION_SHARE, write)
        stored = ((calls[0].calldata if len(calls) == 1 else None, True) for calls in folder.read())
        for data, is_stored in chain(stored, ((data, False) for data in self.found)):
            arguments = self._arguments_of(data)
            if arguments is None:
                continue
            if deadline.is_over():
                break
            outcome = self._watched(corpus, arguments)
            if is_rejected(outcome):
                corpus.discard_edges()
                continue
            if corpus.reached_new_edges():
                corpus.add(arguments, written=not is_stored)
            elif is_stored:
                folder.drop()
            status, reason = self._verdict(arguments, outcome)
            if status is CaseStatus.FAILURE:
                return self._failure(arguments, outcome, reason)
        return None

    def _watched(self, corpus: Corpus[list[Any]], arguments: list[Any]) -> RawCallResult:
        """Execute a run, and record its edges if they may be new."""
        return corpus.trace(None, lambda: self._call([arguments])[0])

    def _arguments_of(self, data: bytes | None) -> list[Any] | None:
        """Return the inputs in earlier calldata, or None if there are none or the function is another one."""
        if data is None or not self._types or data[:4] != self._selector:
            return None
        try:
            return list(decode(self._types, data[4:]))
        except CheatcodeFailure:
            return None

    def calldata(self, arguments: list[Any]) -> bytes:
        """Return the calldata of the test."""
        return self._selector + encode(self._types, arguments)

    def _call(self, drawn: list[list[Any]]) -> list[RawCallResult]:
        """Execute the first runs, at least one."""
        if not self._is_ready:
            self.stage.executor.restore(self.ready)
        self._is_ready = False
        outcomes = self.stage.call_each([self.calldata(arguments) for arguments in drawn])
        self._is_ready = not outcomes[-1].may_change_state
        return outcomes

    def _verdict(self, arguments: list[Any], outcome: RawCallResult) -> tuple[CaseStatus, str | None]:
        """Return the status of a run, which succeeds if another contract reverted first, unless `fail_on_revert`.

        Rule: forge's.
        """
        status, reason = self.stage.verdict(outcome, self.test.should_fail)
        strict = self.settings.fail_on_revert or self.test.should_fail or outcome.success
        if status is CaseStatus.FAILURE and not strict and self._others_reverted(arguments):
            return CaseStatus.SUCCESS, None
        return status, reason

    def _others_reverted(self, arguments: list[Any]) -> bool:
        """Return True if the first call that reverted was not of the test contract; repeats the run to trace it."""
        machine, tracer = self.stage.executor.machine, FrameTracer(self.stage.executor.setting.rules)
        with machine.traced(tracer):
            self._call([arguments])
        first = next((frame for frame in frames_by_end(tracer.roots) if is_reverted_call(frame)), None)
        return first is not None and acts_as(first) not in (self.stage.address, VM_ADDRESS)

    def _failure(self, arguments: list[Any], outcome: RawCallResult, reason: str | None) -> TestResult:
        """Return the failure with the simplest inputs that still fail."""
        simple, outcome, reason = self._shrink(arguments, outcome, reason)
        inputs = self.test.entry["inputs"]
        text, raw = arguments_text(inputs, simple), arguments_text(inputs, simple, raw=True)
        example = CounterExample(self.calldata(simple), text, raw_arguments=raw)
        return self._result(CaseStatus.FAILURE, reason, outcome.gas_used, (example,))

    def _shrink(
        self, arguments: list[Any], outcome: RawCallResult, reason: str | None
    ) -> tuple[list[Any], RawCallResult, str | None]:
        entry = {"type": "tuple", "components": self.test.entry["inputs"]}

        limit = ShrinkLimit(self.stage.executor.setting)

        def fails(candidate: tuple[Any, ...]) -> tuple[RawCallResult, str | None] | None:
            tried = self._call([list(candidate)])[0]
            limit.count(tried)
            if is_rejected(tried):
                return None
            status, why = self._verdict(list(candidate), tried)
            return (tried, why) if status is CaseStatus.FAILURE else None

        best, last = shrink(
            lambda value: simpler(entry, value), fails, tuple(arguments), (outcome, reason), limit.is_over
        )
        return list(best), *last

    def _result(
        self, status: CaseStatus, reason: str | None, gas: int = 0, example: tuple[CounterExample, ...] = ()
    ) -> TestResult:
        return TestResult(
            self.test.signature, CaseKind.FUZZ, status, reason, gas, tuple(self.gases), len(self.gases),
            rejects=self.rejects, seed=self.seed, counterexample=example,
            last_run=(CounterExample(self.calldata(self.last), ""),) if self.gases and not example else (),
            edges=None if self._corpus is None else self._corpus.figures(), first_stipend=self.first_stipend,
            notices=() if self.corpus_folder is None else self.corpus_folder.notices,
        )  # fmt: skip


def shrink(
    better: Callable[[Any], Any],
    fails: Callable[[Any], Any],
    value: Any,
    found: Any,
    is_over: Callable[[], bool] = lambda: False,
) -> tuple[Any, Any]:
    """Return the simplest value that still fails, with the result of `fails`. Tries are limited, and end if `is_over`.

    After a simplification the search continues at the same position: candidates that passed before rarely fail now, and
    are tried again only at the end.
    """
    tries = 0
    at, is_whole_round = 0, True
    while True:
        for number, candidate in enumerate(islice(better(value), at, None), at):
            tries += 1
            if tries > _MAX_SHRINKS or is_over():
                return value, found
            failure = fails(candidate)
            if failure is not None:
                value, found, at, is_whole_round = candidate, failure, number, False
                break
        else:
            if is_whole_round:
                return value, found
            at, is_whole_round = 0, True
