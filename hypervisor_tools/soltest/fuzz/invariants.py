"""Invariant tests: targets, sequences of calls, shrinking, and maximizing.

Rules: forge's. By default (without `targetContracts` and the like) every state-changing function of every contract that
`setUp` created is called, by any sender; `targetSelectors` narrows the functions of its contract only. Of the test
contract itself, reserved functions are only called if their selectors are targeted.

The invariant is checked after each successful call that may have changed the state or that follows a delay. A sequence
that breaks it is shrunk by delta debugging: halves are removed, then quarters, down to single calls (Zeller and
Hildebrandt, "Simplifying and isolating failure-inducing input", 2002).

A test that returns an `int256` is maximized: no return value makes it fail, and its result is the largest value found,
with the call sequence that produced it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import takewhile
from random import Random
from typing import Any, Final, Generic, NamedTuple, TypeVar

from bridge.ethereum.addresses import EthAddress, checksummed
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.state import CONSOLE_ADDRESS, CREATE2_DEPLOYER, VM_ADDRESS
from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.cheatcodes.values import decode as decode_arguments
from hypervisor_tools.soltest.cheatcodes.values import encode
from hypervisor_tools.soltest.compile.artifact import ContractArtifact
from hypervisor_tools.soltest.execution.discovery import TestFunction, has_special, is_reserved, signature
from hypervisor_tools.soltest.execution.executor import ExecutorCall, ExecutorSnapshot, RawCallResult, is_rejected
from hypervisor_tools.soltest.execution.results import (
    NO_DELAY,
    BlockDelay,
    CallMetrics,
    CaseKind,
    CaseStatus,
    CounterExample,
    TestResult,
    apply_delay,
    random_delay,
)
from hypervisor_tools.soltest.execution.stage import SuiteStage, is_failed_assertion
from hypervisor_tools.soltest.execution.values import Dictionary, Values, types
from hypervisor_tools.soltest.fuzz.corpus import SEQUENCE_MUTATION_SHARE, Corpus, CorpusFolder, CorpusInput
from hypervisor_tools.soltest.fuzz.fixtures import find_fixtures
from hypervisor_tools.soltest.fuzz.fuzz import BATCH, Deadline, ShrinkLimit
from hypervisor_tools.soltest.fuzz.mutations import mutate_arguments, mutate_sequence
from hypervisor_tools.soltest.fuzz.stored_failures import StoredCall
from hypervisor_tools.soltest.project.project import InvariantSettings
from hypervisor_tools.soltest.value_text import arguments_text
from localnet.contracts.debug_info import CodePattern, without_metadata

_READING: Final = ("view", "pure")
_ADDRESSES, _TEXTS = "address[]", "string[]"
_SELECTORS, _INTERFACES, _ARTIFACT_SELECTORS = "(address,bytes4[])[]", "(address,string[])[]", "(string,bytes4[])[]"
_NONE: Final = (32).to_bytes(32, "big") + bytes(32)
"""An encoded array without items."""


class FuzzTarget(NamedTuple):
    """A function that sequences may call."""

    address: EthAddress
    contract: str
    entry: Mapping[str, Any]
    selector: bytes
    types: tuple[str, ...]


class NoTargets(Exception):
    """Raised with forge's reason if sequences have no function to call, or a filter names an unknown one."""


@dataclass(slots=True)
class _Contract:
    """A target with its functions; if some are `chosen`, only these are called."""

    name: str
    abi: Sequence[Mapping[str, Any]]
    chosen: list[bytes] = field(default_factory=list)
    refused: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, artifact: ContractArtifact) -> _Contract:
        return cls(f"{artifact.file}:{artifact.name}", artifact.abi)

    def functions(self) -> Iterator[tuple[bytes, Mapping[str, Any]]]:
        """Yield the functions to call by selector."""
        known = _functions(self.abi)
        if self.chosen:
            yield from ((short, known[short]) for short in dict.fromkeys(self.chosen))
        else:
            yield from ((short, entry) for short, entry in _changing(self.abi) if short not in self.refused)

    def check(self, selectors: Iterable[bytes], name: str = "") -> list[bytes]:
        """Return the selectors. Raises NoTargets, with the name in the filter, if the contract lacks one."""
        found, known = list(selectors), _functions(self.abi)
        for short in found:
            if short not in known:
                raise NoTargets(f"{name or self.name} does not have the selector 0x{short.hex()}")
        return found


def find_targets(stage: SuiteStage) -> list[FuzzTarget]:
    """Return the functions that sequences may call, filtered by the test contract. Raises NoTargets."""
    filters = TargetFilters(stage)
    targeted, refused = _artifact_filters(stage, filters)
    chosen, excluded = (set(filters.addresses(name)) for name in ("targetContracts", "excludeContracts"))
    codes = dict(stage.executor.contracts(stage.first_actor))

    @cache
    def contract_of(address: EthAddress) -> _Contract | None:
        artifact = _running(stage, codes.get(address, b""))
        return None if artifact is None else _Contract.of(artifact)

    def is_target(address: EthAddress) -> bool:
        if address == stage.address or address in stage.libraries.values():
            return address in chosen
        if (chosen and address not in chosen) or address in excluded:
            return False
        contract = contract_of(address)
        if contract is None or contract.name in refused or not any(_changing(contract.abi)):
            return False
        return not targeted or contract.name in targeted

    contracts = {address: contract for address in codes if is_target(address) and (contract := contract_of(address))}
    contracts |= _interfaces(stage, filters)

    def contract_at(address: EthAddress, name: str) -> _Contract:
        contract = contracts.get(address) or contract_of(address)
        if contract is None:
            raise NoTargets(f"[{name}] address does not have an associated contract: {checksummed(address)}")
        return contracts.setdefault(address, contract)

    for address in codes if any(targeted.values()) else ():
        contract = contract_of(address)
        if contract is not None and targeted.get(contract.name):
            contract_at(address, "targetSelectors").chosen += targeted[contract.name]
    for address, selectors in filters.selectors("targetSelectors"):
        if selectors:
            contract = contract_at(address, "targetSelectors")
            contract.chosen += contract.check(selectors)
    for address, selectors in filters.selectors("excludeSelectors"):
        if selectors:
            contract = contract_at(address, "excludeSelectors")
            contract.refused += contract.check(selectors)
    test = contracts.get(stage.address)
    if test is not None and not test.chosen:
        test.refused += [short for short, entry in _changing(test.abi) if is_reserved(entry)]
    targets = [
        FuzzTarget(address, contract.name, entry, short, tuple(types(entry["inputs"])))
        for address, contract in contracts.items()
        for short, entry in contract.functions()
    ]
    if not targets:
        raise NoTargets("No contracts to fuzz.")
    return targets


def _artifact_filters(stage: SuiteStage, filters: TargetFilters) -> tuple[dict[str, list[bytes]], set[str]]:
    """Return the selectors of targeted artifacts (none for all), and the excluded artifacts, as `file:name`."""
    targeted: dict[str, list[bytes]] = {}
    for wanted, selectors in filters.read("targetArtifactSelectors", _ARTIFACT_SELECTORS):
        artifact = _artifact(stage, wanted)
        targeted.setdefault(artifact.name, []).extend(artifact.check(selectors, wanted))
    refused = {_artifact(stage, wanted).name for wanted in filters.read("excludeArtifacts", _TEXTS)}
    for wanted in filters.read("targetArtifacts", _TEXTS):
        artifact = _artifact(stage, wanted)
        if artifact.name not in refused and any(_changing(artifact.abi)):
            targeted.setdefault(artifact.name, [])
    return targeted, refused


def _artifact(stage: SuiteStage, wanted: str) -> _Contract:
    """Return the contract for `Name` or `path/File.sol:Name`. Raises NoTargets."""
    found = list(_named(stage, wanted))
    if len(found) > 1:
        raise NoTargets(f"{wanted} has more than one implementation.")
    if not found:
        raise NoTargets(
            f"{wanted} not found in the project. Allowed format: `contract_name` or `contract_path:contract_name`."
        )
    return _Contract.of(found[0])


def _named(stage: SuiteStage, wanted: str) -> Iterator[ContractArtifact]:
    for location in stage.artifacts.locations:
        if wanted in (location.name, f"{location.file}:{location.name}"):
            yield stage.artifacts.load(location)


def _interfaces(stage: SuiteStage, filters: TargetFilters) -> dict[EthAddress, _Contract]:
    """Return the contracts of `targetInterfaces`: addresses with the functions of the named artifacts."""
    found: dict[EthAddress, _Contract] = {}
    for text, names in filters.read("targetInterfaces", _INTERFACES):
        address = EthAddress(bytes.fromhex(text[2:]))
        for name in names:
            artifact = next(_named(stage, name), None)
            if artifact is not None:
                contract = found.setdefault(address, _Contract(name, ()))
                contract.abi = (*contract.abi, *artifact.abi)
    return found


def _functions(abi: Iterable[Mapping[str, Any]]) -> dict[bytes, Mapping[str, Any]]:
    return {selector(signature(entry)): entry for entry in abi if entry.get("type") == "function"}


def _changing(abi: Iterable[Mapping[str, Any]]) -> Iterator[tuple[bytes, Mapping[str, Any]]]:
    """Yield the functions that may change the state, by selector."""
    for short, entry in _functions(abi).items():
        if entry.get("stateMutability") not in _READING:
            yield short, entry


def _running(stage: SuiteStage, code: bytes) -> ContractArtifact | None:
    """Return the contract with this runtime code."""
    bare = without_metadata(code)
    for artifact in stage.artifacts.all():
        if artifact.runtime.object:
            pattern = CodePattern.of(artifact.runtime.object)
            if len(pattern.code) == len(bare) and pattern.begins(bare):
                return artifact
    return None


class TargetFilters:
    """The test contract's target filters, such as `targetContracts`."""

    def __init__(self, stage: SuiteStage) -> None:
        self._stage = stage
        self._names = {entry["name"] for entry in stage.artifact.abi if entry.get("type") == "function"}

    def addresses(self, name: str) -> list[EthAddress]:
        """Return a filter's list of addresses."""
        data = self._output(name)
        try:
            return list(decode_arguments([_ADDRESSES], data)[0]) if data else []
        except CheatcodeFailure:
            return []

    def selectors(self, name: str) -> list[tuple[EthAddress, tuple[bytes, ...]]]:
        """Return a filter's selectors by address."""
        found: dict[EthAddress, tuple[bytes, ...]] = {}
        for address, names in self.read(name, _SELECTORS):
            key = EthAddress(bytes.fromhex(address[2:]))
            found[key] = (*found.get(key, ()), *names)
        return list(found.items())

    def read(self, name: str, kind: str) -> Sequence[Any]:
        """Return a filter's values; empty if the contract lacks it or it fails."""
        data = self._output(name)
        if data in (b"", _NONE):  # of forge-std, without the time to load eth_abi
            return ()
        from eth_abi.abi import decode
        from eth_abi.exceptions import DecodingError

        try:
            values: Sequence[Any] = decode([kind], data)[0]
        except DecodingError:
            return ()
        return values

    def _output(self, name: str) -> bytes:
        """Return what a filter returns; empty if the contract lacks it or it fails."""
        outcome = self._stage.call(selector(f"{name}()")) if name in self._names else None
        return outcome.output if outcome is not None and outcome.success else b""


Step = TypeVar("Step")


@dataclass(frozen=True, slots=True)
class BestSequence(Generic[Step]):
    """The largest value that a test returned, and the call sequence that produced it."""

    value: int
    steps: Sequence[Step]


def is_maximizing(test: TestFunction) -> bool:
    """Return True if an invariant test's return value is to be maximized."""
    return [output["type"] for output in test.entry.get("outputs", ())] == ["int256"]


def returned_value(outcome: RawCallResult) -> int | None:
    """Return the value of a maximizing test's call; None if it reverted or returned less than 32 bytes."""
    if not outcome.success or len(outcome.output) < 32:
        return None
    return int.from_bytes(outcome.output[:32], "big", signed=True)


def shrink(
    steps: Sequence[Step],
    reason: str,
    fails: Callable[[Sequence[Step]], tuple[int, str] | None],
    limit: int,
    merge: Callable[[Step, Sequence[Step]], Step] = lambda step, _: step,
    is_over: Callable[[], bool] = lambda: False,
) -> tuple[Sequence[Step], str]:
    """Return a shorter sequence that still fails, and the reason, within `limit` tries, until `is_over`.

    Given enough tries, no single step of it can be removed. `fails` returns the number of steps until a
    sequence fails and the reason, or None. `merge` returns the replacement of a step whose predecessors are removed.
    """
    tries = 0
    size = len(steps) // 2
    while size:
        at, before = 0, len(steps)
        while at < len(steps) and len(steps) > 1:
            if tries >= limit or is_over():
                return steps, reason
            tries += 1
            removed, rest = steps[at : at + size], steps[at + size :]
            candidate = [*steps[:at], *([merge(rest[0], removed), *rest[1:]] if rest else ())]
            failure = fails(candidate) if candidate else None
            if failure is None:
                at += size
            else:
                length, reason = failure
                steps = candidate[:length]
        again = size == 1 and len(steps) < before  # steps that only a removed step needed may be removable now
        size = size if again else min(size, len(steps)) // 2
    return steps, reason


_FAILED = "assertion failed"
_NO_SET_UP = "failed to set up invariant testing environment"
_END = "afterInvariant()"
_SENDERS: Final = 64
"""Number of random senders of a test without `targetSenders`.

Each gets an account in advance, which costs as much as a call.
"""
_PREFIX_SHARE: Final = 0.4
"""Share of sequences that begin with calls of an earlier one."""
_MAX_PREFIXES: Final = 64
_MAX_SEEN: Final = 4096
_NEW_SENDER_SHARE: Final = 0.05
"""Share of calls by a new random sender."""
_NEVER_SENDERS: Final = frozenset((
    VM_ADDRESS, CONSOLE_ADDRESS, CREATE2_DEPLOYER,
    *(EthAddress(number.to_bytes(20, "big")) for number in (*range(0x12), 0x100)),
))  # fmt: skip
"""Addresses that forge never uses as senders: 0, its own ones, and Ethereum's precompiles."""


class SequenceStep(NamedTuple):
    """One call of a sequence."""

    sender: EthAddress
    target: FuzzTarget
    arguments: tuple[Any, ...]
    delay: BlockDelay = NO_DELAY
    """Delay before the call."""

    @property
    def calldata(self) -> bytes:
        """Calldata of the call."""
        return self.target.selector + (encode(self.target.types, self.arguments) if self.arguments else b"")

    @property
    def call(self) -> ExecutorCall:
        """The call without its delay."""
        return ExecutorCall(self.sender, self.target.address, self.calldata)

    def example(self) -> CounterExample:
        """Return the call in the form of results."""
        return CounterExample(
            self.calldata,
            arguments_text(self.target.entry["inputs"], self.arguments),
            checksummed(self.sender),
            self.target.contract,
            checksummed(self.target.address),
            signature(self.target.entry),
            arguments_text(self.target.entry["inputs"], self.arguments, raw=True),
            delay=self.delay,
        )

    def with_delays_of(self, removed: Sequence[SequenceStep]) -> SequenceStep:
        """Return the step with the delays of removed steps added to its own."""
        delay = self.delay.plus([step.delay for step in removed])
        return self if delay == self.delay else self._replace(delay=delay)


class SequencePrefixes:
    """Prefixes for later sequences: calls that reached something new, so that multi-step states are found stepwise.

    Something new is a function that succeeds and writes values of other magnitudes than before.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[EthAddress, bytes, frozenset[int]]] = set()
        self._prefixes: list[tuple[SequenceStep, ...]] = []

    def add(self, rng: Random, steps: Sequence[SequenceStep], outcome: RawCallResult) -> None:
        """Store the calls, all of which succeeded, if the last one reached something new."""
        target = steps[-1].target
        key = (target.address, target.selector, frozenset([word.bit_length() for word in outcome.touched_words]))
        if key in self._seen or len(self._seen) == _MAX_SEEN:
            return
        self._seen.add(key)
        if len(self._prefixes) < _MAX_PREFIXES:
            self._prefixes.append(tuple(steps))
        else:
            self._prefixes[rng.randrange(_MAX_PREFIXES)] = tuple(steps)

    def choose(self, rng: Random) -> tuple[SequenceStep, ...]:
        """Return the calls that a sequence begins with; usually none."""
        return rng.choice(self._prefixes) if self._prefixes and rng.random() < _PREFIX_SHARE else ()


def call_sequence(
    stage: SuiteStage, test: TestFunction, fails_on_revert: bool, steps: Sequence[CounterExample]
) -> bool:
    """Repeat a failed sequence, check the invariant once at the end, and return True if it fails again."""
    fails = False
    for step in steps:
        sender, address = (EthAddress(bytes.fromhex(text[2:])) for text in (step.sender, step.address))
        apply_delay(stage.executor.machine, step.delay)
        outcome = stage.executor.call(sender, address, step.calldata)
        ends = fails_on_revert or is_failed_assertion(outcome)
        fails = not outcome.success and ends
    for name in (test.signature, _END) if _has_end(stage) else (test.signature,):
        if not stage.call(selector(name)).success or stage.has_failed():
            return True
    return fails


def _has_no_delay(step: SequenceStep) -> bool:
    return step.delay == NO_DELAY


def _has_end(stage: SuiteStage) -> bool:
    return has_special(stage.artifact, "afterInvariant")


@dataclass(slots=True)
class InvariantRun:
    """A running invariant test. `ready` is the state after `setUp`."""

    stage: SuiteStage
    test: TestFunction
    settings: InvariantSettings
    seed: int
    ready: ExecutorSnapshot
    dictionary: Dictionary
    progress: Callable[[TestResult], None] = lambda _: None
    stored: Sequence[StoredCall] = ()
    """Sequence of an earlier failure, which is replayed first."""
    corpus_folder: CorpusFolder | None = None
    runs: int = 0
    calls: int = 0
    reverts: int = 0
    targets: list[FuzzTarget] = field(default_factory=list)
    """Functions that sequences call."""
    senders: list[EthAddress] = field(default_factory=list)
    excluded: frozenset[EthAddress] = frozenset()
    _new_sender_share: float = 0.0
    _deadline: Deadline = field(default_factory=Deadline)
    _prefixes: SequencePrefixes = field(default_factory=SequencePrefixes)
    _metrics: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    _corpus: Corpus[tuple[SequenceStep, ...]] | None = None
    _best: BestSequence[SequenceStep] | None = None
    _is_maximizing: bool = False
    _check_call: ExecutorCall | None = None
    """The call of the invariant, which the executor may make together with a step; None for a maximizing test."""
    _holds: bool = False
    """True if the invariant was checked in the current state, or in one that no call has changed since."""
    _last: list[SequenceStep] = field(default_factory=list)
    """Calls of the latest sequence that succeeded."""

    def run(self) -> TestResult:
        """Execute sequences until all runs are done or one breaks the invariant."""
        ended = self.begin()
        if ended is not None:
            return ended
        stage = self.stage
        name = f"{self.seed}:{stage.artifact.file}:{stage.artifact.name}:{self.test.signature}"
        rng = Random(name)  # noqa: S311  # repeatable
        values = Values(rng, self.dictionary, self.settings.dictionary_weight, find_fixtures(stage))
        stage.executor.restore(self.ready)
        if not self.senders:
            self.senders, self._new_sender_share = [values.address() for _ in range(_SENDERS)], _NEW_SENDER_SHARE
            for sender in self.senders:
                stage.executor.touch(sender)
            self.ready = stage.executor.snapshot()
        again = self.failure_of(self.stored)
        if again is not None:
            return replace(again, runs=1, calls=1, reverts=1, is_replayed=True)  # forge's figures
        self._deadline = Deadline(self.settings.timeout)
        begun = self._begin_corpus()
        if begun is not None:
            return begun
        while self.runs < self.settings.runs and not self._deadline.is_over():
            self._begin_sequence()
            self.dictionary.forget_runs()
            stage.executor.records_slots = self.dictionary.takes_storage
            calls = self.calls
            try:
                failure = self._sequence(rng, values)
            finally:
                stage.executor.records_slots = False
            if failure is not None:
                self.calls = calls  # as in forge, the counts exclude the failing run
                return self._failure(*failure)
            self.runs += 1
        return self._result(CaseStatus.SUCCESS, None) if self._best is None else self._maximum(self._best)

    def begin(self) -> TestResult | None:
        """Find targets and senders, and check the invariant after `setUp`; return the result of a test that ends so."""
        stage = self.stage
        self._is_maximizing = is_maximizing(self.test)
        if not self._is_maximizing:
            self._check_call = ExecutorCall(stage.sender, stage.address, selector(self.test.signature))
        if self.test.entry["inputs"]:
            return self._result(CaseStatus.FAILURE, f"{_NO_SET_UP}: Invariant test function should have no inputs")
        outcome = stage.call(selector(self.test.signature), commit=False)
        if stage.is_skip(outcome):
            self.runs = self.calls = self.reverts = 1  # forge's figures for a skipped test
            return self._result(*stage.verdict(outcome))
        stage.executor.restore(self.ready)
        try:
            self.targets = find_targets(stage)
        except NoTargets as lack:
            return self._result(CaseStatus.FAILURE, f"{_NO_SET_UP}: {lack}")
        filters = TargetFilters(stage)
        self.excluded = _NEVER_SENDERS.union(filters.addresses("excludeSenders"))
        self.senders = [sender for sender in filters.addresses("targetSenders") if sender not in self.excluded]
        stage.executor.restore(self.ready)
        broken = self._check()
        return None if broken is None else self._result(CaseStatus.FAILURE, f"{_NO_SET_UP}: {broken}")

    def failure_of(self, calls: Sequence[StoredCall]) -> TestResult | None:
        """Return the failure of calls if they are calls of targets and break the invariant."""
        steps = self._steps_of(calls)
        found = self._replay(steps) if steps else None
        if found is None:
            return None
        count, why = found
        examples = tuple(step.example() for step in steps[:count])
        return self._result(CaseStatus.FAILURE, why, examples, len(steps))

    def _begin_corpus(self) -> TestResult | None:
        """Run the corpus, which does not count as runs; return a result if a sequence fails."""
        settings, stage = self.settings, self.stage
        folder = self.corpus_folder
        if folder is None or not settings.collects_edges:
            return None

        def write(steps: tuple[SequenceStep, ...]) -> None:
            folder.write([StoredCall(step.sender, step.target.address, step.calldata, step.delay) for step in steps])

        corpus = self._corpus = Corpus.of(settings, stage.executor, SEQUENCE_MUTATION_SHARE, write)
        for calls in folder.read():
            steps = self._steps_of(calls)[: settings.depth]
            if not steps:
                continue
            if self._deadline.is_over():
                break
            failure = self._replay(steps)
            if corpus.reached_new_edges():
                corpus.add(tuple(steps), written=False)
            else:
                folder.drop()
            if failure is not None:
                return self._failure(steps[: failure[0]], failure[1])
        return None

    def _steps_of(self, calls: Sequence[StoredCall]) -> list[SequenceStep]:
        """Return stored calls as steps; empty if one of them is not a call of a target."""
        targets = {(target.address, target.selector): target for target in self.targets}
        steps = []
        for call in calls:
            target = targets.get((EthAddress(call.address), call.calldata[:4]))
            if target is None:
                return []
            try:
                arguments = tuple(decode_arguments(target.types, call.calldata[4:]))
            except CheatcodeFailure:
                return []
            steps.append(SequenceStep(EthAddress(call.sender), target, arguments, call.delay))
        return steps

    def _sequence(self, rng: Random, values: Values) -> tuple[list[SequenceStep], str] | None:
        steps: list[SequenceStep] = []
        rejects = 0
        corpus = self._corpus
        of = None if corpus is None else corpus.choose(rng)
        begun = iter(self._prefixes.choose(rng) if of is None else self._mutate(rng, values, of))
        done: list[SequenceStep] = []
        newest: tuple[SequenceStep, ...] = ()
        for step, outcome in self._executed(self._batches(steps, begun, lambda: self._step(rng, values))):
            self._count(step, outcome)
            if is_rejected(outcome):
                rejects += 1
                if corpus is not None:
                    corpus.discard_edges()
                if rejects > self.settings.max_assume_rejects:
                    return [], f"`vm.assume` rejected too many inputs ({self.settings.max_assume_rejects} allowed)"
                continue
            steps.append(step)
            self.calls += 1
            self.reverts += not outcome.success
            if outcome.success:
                self.dictionary.add_outcome(outcome)
                done.append(step)
                self._prefixes.add(rng, done, outcome)
                self._record_best(done)
            if corpus is not None and corpus.reached_new_edges():
                newest = tuple(done) if outcome.success else (*done, step)
            why = self._end_reason(outcome)
            if why is not None:
                break
        else:
            why = self._check_after_invariant()
        if newest and corpus is not None:
            corpus.add(newest, of)
        self._last = done
        return None if why is None else (steps, why)

    def _batches(
        self, steps: Sequence[SequenceStep], begun: Iterator[SequenceStep], draw: Callable[[], SequenceStep]
    ) -> Iterator[list[SequenceStep]]:
        """Yield steps, drawn a batch at a time, until the sequence has its length."""
        while len(steps) < self.settings.depth and not self._deadline.is_over():
            if self._deadline.is_progress_due():
                self.progress(self._result(CaseStatus.SUCCESS, None, last=()))
            yield [next(begun, None) or draw() for _ in range(min(BATCH, self.settings.depth - len(steps)))]

    def _mutate(self, rng: Random, values: Values, of: CorpusInput[tuple[SequenceStep, ...]]) -> list[SequenceStep]:
        """Return a mutated sequence of the corpus."""
        assert self._corpus is not None

        def change(step: SequenceStep) -> SequenceStep:
            if not step.arguments:
                return self._step(rng, values)
            inputs = step.target.entry["inputs"]
            found = mutate_arguments(rng, values, inputs, step.arguments, values.arguments(inputs))
            return step._replace(arguments=tuple(found))

        return mutate_sequence(rng, of.input, self._corpus.other(rng), change, self.settings.depth)

    def _step(self, rng: Random, values: Values) -> SequenceStep:
        target = rng.choice(self.targets)
        sender = values.address() if rng.random() < self._new_sender_share else rng.choice(self.senders)
        while sender in self.excluded:
            sender = EthAddress(rng.randbytes(20))
        arguments = tuple(values.arguments(target.entry["inputs"]))
        delay = random_delay(rng, self.settings.max_time_delay, self.settings.max_block_delay)
        return SequenceStep(sender, target, arguments, delay)

    def _begin_sequence(self) -> None:
        """Restore the state after `setUp`, in which the invariant holds."""
        self.stage.executor.restore(self.ready)
        self._holds = True

    def _executed(self, batches: Iterable[Sequence[SequenceStep]]) -> Iterator[tuple[SequenceStep, RawCallResult]]:
        """Execute steps, and yield each with its outcome; the steps after it may have run, too.

        A rejected one changes neither the state, nor the block, nor what cheatcodes set.
        """
        for steps in batches:
            at = 0
            while at < len(steps):
                for outcome in self._execute(steps[at : at + BATCH]):
                    step = steps[at]
                    at += 1
                    if not is_rejected(outcome):
                        self._holds = self._holds and step.delay == NO_DELAY and not outcome.may_change_state
                    yield step, outcome

    def _execute(self, steps: Sequence[SequenceStep]) -> list[RawCallResult]:
        """Execute the first steps, at least one."""
        step, machine = steps[0], self.stage.executor.machine
        block = machine.context
        apply_delay(machine, step.delay)
        if self._corpus is not None:
            outcomes = [self._traced(self._corpus, step)]
        else:
            together = step.delay == NO_DELAY and not self._is_maximizing
            calls = [step.call for step in (takewhile(_has_no_delay, steps) if together else (step,))]
            outcomes = self.stage.executor.call_or_undo(calls, self._check_call, not (self._holds and together))
        if is_rejected(outcomes[0]) and step.delay != NO_DELAY:
            machine.context = block
        return outcomes

    def _traced(self, corpus: Corpus[tuple[SequenceStep, ...]], step: SequenceStep) -> RawCallResult:
        """Execute a step's call, and record its edges for the corpus; a rejected call has no effect."""
        executor, here = self.stage.executor, self.stage.executor.snapshot()
        function = step.target.address, step.target.selector
        outcome = corpus.trace(function, lambda: executor.call(*step.call), lambda: executor.restore(here))
        if is_rejected(outcome):
            executor.drop(here)
        else:
            executor.commit_snapshot()
        return outcome

    def _count(self, step: SequenceStep, outcome: RawCallResult) -> None:
        counts = self._metrics.setdefault((step.target.contract, str(step.target.entry["name"])), [0, 0, 0])
        is_discarded = is_rejected(outcome)
        counts[0] += 1
        counts[1] += not outcome.success and not is_discarded
        counts[2] += is_discarded

    def _end_reason(self, outcome: RawCallResult) -> str | None:
        """Return the reason to end the sequence, or None to continue."""
        if not outcome.success and (self.settings.fail_on_revert or is_failed_assertion(outcome)):
            return self.stage.reason(outcome)
        if outcome.can_have_failed and self.stage.has_failed():
            return _FAILED
        if self._is_maximizing:
            return None  # its return value or revert is not a failure
        if self._holds or not outcome.success:  # as in forge, since a reverted call changes no state
            return None
        why = None if outcome.has_passed else self._check()
        self._holds = why is None
        return why

    def _check(self, name: str | None = None) -> str | None:
        """Return the reason if the invariant does not hold; the state stays unchanged."""
        stage, data = self.stage, selector(name or self.test.signature)
        executor, console = stage.executor, stage.executor.cheatcodes.console
        lines, logs = len(console.lines), len(console.logs)
        here = None if executor.is_ethereum else executor.snapshot()
        try:
            return self._defect(executor.call(stage.sender, stage.address, data, commit=False))
        finally:
            del console.lines[lines:], console.logs[logs:]
            if here is not None:
                executor.drop(here)

    def _defect(self, outcome: RawCallResult) -> str | None:
        """Return the reason if the outcome of a check is a failure."""
        status, reason = self.stage.verdict(outcome)
        if status is CaseStatus.SKIPPED:
            return self.stage.reason(outcome)
        return reason or _FAILED if status is CaseStatus.FAILURE else None

    def _check_after_invariant(self) -> str | None:
        """Call `afterInvariant` if the contract has it."""
        return self._check(_END) if _has_end(self.stage) else None

    # --- the largest value ---------------------------------------------------------------------------------------

    def _value(self) -> int | None:
        """Return what the test returns in this state; None if it reverts."""
        here = self.stage.executor.snapshot()
        try:
            return returned_value(self.stage.call(selector(self.test.signature), commit=False))
        finally:
            self.stage.executor.drop(here)

    def _record_best(self, steps: Sequence[SequenceStep]) -> None:
        """Remember these calls if a maximizing test now returns its largest value."""
        value = self._value() if self._is_maximizing else None
        if value is not None and (self._best is None or value > self._best.value):
            self._best = BestSequence(value, tuple(steps))

    def _maximum(self, found: BestSequence[SequenceStep]) -> TestResult:
        """Return the result of a maximizing test, with its best sequence shortened."""
        best, limit = found, ShrinkLimit(self.stage.executor.setting)

        def reaches(steps: Sequence[SequenceStep]) -> tuple[int, str] | None:
            nonlocal best
            self._begin_sequence()
            for number, (_, outcome) in enumerate(self._executed([steps]), 1):
                limit.count(outcome)
                value = self._value() if outcome.success and not self.stage.has_failed() else None
                if value is not None and value >= best.value:
                    best = BestSequence(value, tuple(steps[:number]))
                    return number, ""
            return None

        shrink(found.steps, "", reaches, self.settings.shrink_run_limit, SequenceStep.with_delays_of, limit.is_over)
        examples = tuple(step.example() for step in best.steps)
        return replace(self._result(CaseStatus.SUCCESS, None, examples, len(found.steps)), best=best.value)

    # --- a failure ----------------------------------------------------------------------------------------------

    def _failure(self, steps: list[SequenceStep], reason: str) -> TestResult:
        limit, tries = ShrinkLimit(self.stage.executor.setting), self.settings.shrink_run_limit
        best, why = shrink(
            steps, reason, lambda rest: self._replay(rest, limit), tries, SequenceStep.with_delays_of, limit.is_over
        )
        return self._result(CaseStatus.FAILURE, why, tuple(step.example() for step in best), len(steps))

    def _replay(self, steps: Sequence[SequenceStep], limit: ShrinkLimit | None = None) -> tuple[int, str] | None:
        """Replay a sequence; return the number of steps until it fails and the reason, or None."""
        self._begin_sequence()
        for number, (_, outcome) in enumerate(self._executed([steps]), 1):
            if limit is not None:
                limit.count(outcome)
            if is_rejected(outcome):
                return None
            why = self._end_reason(outcome)
            if why is not None:
                return number, why
        why = self._check_after_invariant()
        return None if why is None else (len(steps), why)

    def _result(
        self,
        status: CaseStatus,
        reason: str | None,
        example: tuple[CounterExample, ...] = (),
        steps: int = 0,
        last: Sequence[SequenceStep] | None = None,
    ) -> TestResult:
        """Return a result; `last` are the calls of its last sequence, by default the latest ones of a success."""
        if last is None:
            last = self._last if status is CaseStatus.SUCCESS else ()
        return TestResult(
            self.test.signature, CaseKind.INVARIANT, status, reason, runs=self.runs, calls=self.calls,
            reverts=self.reverts, seed=self.seed, counterexample=example, shrunk_from=steps, metrics=self._table(),
            last_run=tuple(step.example() for step in last),
            edges=None if self._corpus is None else self._corpus.figures(),
            notices=() if self.corpus_folder is None else self.corpus_folder.notices,
        )  # fmt: skip

    def _table(self) -> tuple[CallMetrics, ...]:
        shown = self._metrics if self.settings.shows_metrics else {}
        return tuple(CallMetrics(*key, *counts) for key, counts in sorted(shown.items()))
