"""A campaign: steps that run until the time is over, or until rounds find nothing new.

The first step is a round of fuzz and invariant tests, the second runs symbolic tests, the third mutants, and all others
are rounds. A round runs each test with several seeds, from the common corpus. A test with a finding is left out of
later rounds. Each step depends only on the sources, the campaign's seed and the state before it, not on the number of
workers; an interrupted step is repeated.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Final

from fvm_hypervisor.soltest.campaign.state import TESTS, CampaignFolder, CampaignState, Finding
from fvm_hypervisor.soltest.compile.compiler import CompileError
from fvm_hypervisor.soltest.execution.discovery import COUNTEREXAMPLES, SuiteFilter
from fvm_hypervisor.soltest.execution.job import Options
from fvm_hypervisor.soltest.execution.results import CaseKind, CaseStatus, SuiteResult, TestResult
from fvm_hypervisor.soltest.mutate.results import MutantStatus, MutationResult
from fvm_hypervisor.soltest.mutate.run import BaselineFailed, MutationRun
from fvm_hypervisor.soltest.project.project import Project
from fvm_hypervisor.soltest.project.test_settings import MutationSettings
from fvm_hypervisor.soltest.report.counterexample_tests import write_tests
from fvm_hypervisor.soltest.run.session import SuiteSession
from fvm_hypervisor.soltest.run.workers import run_suites
from hypervisor.errors import InvalidInput
from hypervisor.text import printable

SEEDS: Final = 4
"""Number of seeds with which a round runs each test."""
QUIET_ROUNDS: Final = 5
"""Number of rounds without anything new after which a campaign ends."""
_MAX_LINE: Final = 4096
_LISTED: Final = 1000
"""Maximum number of living mutants in the state."""


class TimeOver(Exception):  # an event rather than an error
    """The time of the campaign is over."""


@dataclass(slots=True)
class Campaign:
    """A campaign of a project. `seconds` and `rounds` limit this run of it.

    `tell` gets lines about the progress, `show` those of new findings.
    """

    project: Project
    wanted: SuiteFilter
    options: Options
    folder: CampaignFolder
    state: CampaignState
    seconds: float | None = None
    rounds: int | None = None
    tell: Callable[[str], None] = lambda _: None
    show: Callable[[str], None] = lambda _: None
    _begun: float = field(default_factory=monotonic)
    _before: float = 0.0
    """Seconds of earlier runs."""

    def run(self) -> None:
        """Run steps. Raises InvalidInput, CompileError, and KeyboardInterrupt in the middle of a step."""
        self._begun, self._before = monotonic(), self.state.seconds
        session = self._session(self.project, self._filter())
        self._check_sources(session)
        done = 0
        try:
            while self.state.quiet < QUIET_ROUNDS:
                step = self.state.steps
                if step == 1:
                    self._prove()
                elif step == 2:
                    self._mutate()
                elif (self.rounds is not None and done >= self.rounds) or not self._round(session):
                    return
                else:
                    done += 1
        except TimeOver:
            return

    def _elapsed(self) -> float:
        return self._before + monotonic() - self._begun

    def _watch(self, *_: object) -> None:
        """Raise TimeOver after the time of this run."""
        if self.seconds is not None and monotonic() - self._begun > self.seconds:
            raise TimeOver

    def _filter(self) -> SuiteFilter:
        """Return the filter without the tests that the campaign has written."""
        if self.wanted.no_path is not None:
            return self.wanted
        return self.wanted._replace(no_path=f"**/*{COUNTEREXAMPLES}")

    def _session(self, project: Project, wanted: SuiteFilter) -> SuiteSession:
        session = SuiteSession(project, wanted, self.options, self.tell)
        session.prepare()
        return session

    def _check_sources(self, session: SuiteSession) -> None:
        """Begin again, with the corpus, if the sources have changed since the last run."""
        texts = sorted(session.sources().texts.items())
        digest = sha256(repr([item for item in texts if not item[0].endswith(COUNTEREXAMPLES)]).encode()).hexdigest()
        state = self.state
        if state.sources and state.sources != digest:
            self.tell("The sources have changed: the campaign begins again with its corpus")
            self.state = replace(
                state, steps=0, quiet=0, findings=[], proofs=None, mutants=None, notes=[], history=state.history
            )
        self.state.sources = digest

    # --- rounds -----------------------------------------------------------------------------------------------------

    def _round(self, session: SuiteSession) -> bool:
        """Run each test with new seeds; return False if there is none."""
        state, found = self.state, self.state.tests_done()
        number = state.steps if state.steps == 0 else state.steps - 2
        suites = [
            suite._replace(tests=(test,), seed=state.seed + number * SEEDS + offset)
            for suite in session.suites
            for test in suite.tests
            if test.kind in (CaseKind.FUZZ, CaseKind.INVARIANT)
            if (f"{suite.file}:{suite.contract}", test.signature) not in found
            for offset in range(SEEDS)
        ]
        if not suites:
            return self._no_round(session)
        corpus = self.folder.corpus
        project = replace(
            session.project,
            fuzz=replace(session.project.fuzz, corpus_dir=corpus, failures=os.devnull),
            invariant=replace(session.project.invariant, corpus_dir=corpus, failures=os.devnull, shows_metrics=False),
        )
        job = replace(session.begun_job(), project=project)
        results = run_suites(job, suites, self.options.workers, self._watch, keeps_corpus=True)
        self._finish_round(sorted(results, key=lambda suite: (suite.name, *_first(suite))))
        return True

    def _no_round(self, session: SuiteSession) -> bool:
        """Count an empty first round, so that the other steps run; return False for any other."""
        if self.state.steps:
            return False
        if not session.suites and not session.has_symbolic_tests:
            raise InvalidInput("the project has no tests for a campaign")
        self._commit({})
        return True

    def _finish_round(self, results: Sequence[SuiteResult]) -> None:
        state, files = self.state, dict[str, bytes]()
        added, dropped = dict[str, bytes](), set[str]()
        for suite in results:
            for path, data in suite.corpus:
                if data:
                    added.setdefault(_place(path), data)
                else:
                    dropped.add(path)
        known = self._known_inputs(added)
        files = {path: data for path, data in added.items() if _name(path) not in known}
        found = len(state.findings)
        for suite in results:
            self._add_findings(suite)
        state.runs += sum(test.calls or test.runs for suite in results for test in suite.tests)
        is_quiet = not files and len(state.findings) == found
        state.quiet = state.quiet + 1 if is_quiet else 0
        kept = self.folder.inputs() + len(files) - len(dropped)
        state.history.append((round(self._elapsed(), 1), kept, len(state.findings)))
        self._commit(files | dict.fromkeys(sorted(dropped), b""))
        self.tell(f"{len(state.history)} rounds, {state.runs:,} runs, {kept:,} inputs, {len(state.findings)} findings")

    def _known_inputs(self, added: dict[str, bytes]) -> set[str]:
        """Return the names of inputs of the same tests that the corpus has."""
        folders = {(self.folder.root / path).parent for path in added}
        return {_name(file.name) for folder in folders if folder.is_dir() for file in folder.iterdir()}

    def _add_findings(self, suite: SuiteResult) -> None:
        """Add the tests of a suite that fail, the first time that they do."""
        known = self.state.tests_done()
        for test in suite.tests:
            if test.status is not CaseStatus.FAILURE or (suite.name, test.signature) in known:
                continue
            known.add((suite.name, test.signature))
            calls, seconds = [call.text() for call in test.counterexample], round(self._elapsed(), 1)
            reason = test.reason or ""
            finding = Finding(suite.name, test.signature, test.kind.value, reason, calls, test.seed, seconds)
            finding.file = self._write_test(suite, test)
            self.state.findings.append(finding)
            for line in finding_lines(finding):
                self.show(line)

    def _write_test(self, suite: SuiteResult, test: TestResult) -> str:
        """Write the unit test of a finding; return its file, empty if it has no input."""
        name = re.sub(r"\W+", "_", test.signature).strip("_")
        folder = self.folder.folder / TESTS / name
        files = write_tests([SuiteResult(suite.file, suite.contract, [test])], self.folder.root, folder)
        return files[0].relative_to(self.folder.root).as_posix() if files else ""

    def _commit(self, files: dict[str, bytes]) -> None:
        self.state.steps += 1
        self.state.seconds = round(self._elapsed(), 1)
        self.folder.commit(self.state, files)

    # --- symbolic tests and mutants ---------------------------------------------------------------------------------

    def _prove(self) -> None:
        """Run the symbolic tests."""
        state = self.state
        project = replace(self.project, isolate=bool(self.project.isolate), dynamic_test_linking=False)
        session = self._session(project, self._filter()._replace(symbolic="checks"))
        if session.suites and find_spec("z3") is None:
            state.notes.append("symbolic tests were not run: install z3 with `pip install z3-solver`")
        elif session.suites:
            self.tell("Running symbolic tests")
            state.proofs = {}
            job = session.begun_job()
            for suite in sorted(
                run_suites(job, session.suites, self.options.workers, self._watch), key=lambda suite: suite.name
            ):
                self._add_findings(suite)
                for test in suite.tests:
                    state.proofs[f"{suite.name} {test.signature}"] = _outcome(test)
        self._commit({})

    def _mutate(self) -> None:
        """Test mutants with the tests that have no finding."""
        state, wanted = self.state, self._filter()
        names = {re.escape(test.partition("(")[0]) for _, test in state.tests_done()}
        excluded = [f"^({'|'.join(sorted(names))})\\("] if names else []
        patterns = [*([wanted.no_test] if wanted.no_test else []), *excluded]
        run = MutationRun(
            self.project, wanted._replace(no_test="|".join(patterns) or None), self.options,
            MutationSettings(jobs=self.options.workers), self.tell, self._watch,
        )  # fmt: skip
        try:
            found = run.run()
        except (BaselineFailed, InvalidInput, CompileError) as error:
            state.notes.append(f"mutants were not run: {error}")
        else:
            if found.untested:
                raise KeyboardInterrupt
            state.mutants = _mutants(found)
            self.tell(f"{len(found.results)} mutants: {state.mutants['counts']}")
        self._commit({})


def finding_lines(finding: Finding) -> Iterator[str]:
    """Yield the lines that show a finding. Control codes of the test's texts are escaped."""
    yield printable(f"FOUND {finding.suite} {finding.test}: {finding.reason or 'fails'}", _MAX_LINE)
    yield from (f"  {printable(call.strip(), _MAX_LINE)}" for call in finding.calls)
    if finding.file:
        yield f"  reproduced by {finding.file}"


def _first(suite: SuiteResult) -> tuple[str, int]:
    test = suite.tests[0] if suite.tests else None
    return ("", 0) if test is None else (test.signature, test.seed or 0)


def _place(path: str) -> str:
    """Return the path of an input without its time, so that the same input has one file."""
    return re.sub(r"-\d+(\.json(?:\.gz)?)$", r"-0\1", path)


def _name(path: str) -> str:
    """Return the digest in the file name of an input."""
    return path.rpartition("/")[2].rpartition("-")[0]


def _outcome(test: TestResult) -> str:
    status = {CaseStatus.SUCCESS: "proven", CaseStatus.FAILURE: "fails", CaseStatus.SKIPPED: "skipped"}
    return status.get(test.status, f"undecided: {test.reason}")


def _mutants(found: MutationResult) -> dict[str, object]:
    alive = [each.mutant for each in found.results if each.status in (MutantStatus.SURVIVED, MutantStatus.NOT_COVERED)]
    return {
        "score": found.score(),
        "counts": {status.value: found.count(status) for status in MutantStatus if found.count(status)},
        "alive": [
            f"{mutant.file}:{mutant.line}:{mutant.column} {mutant.operator}: {mutant.original} -> {mutant.replacement}"
            for mutant in alive[:_LISTED]
        ],
    }


def open_campaign(project: Project, folder: Path, seed: int | None) -> tuple[CampaignFolder, CampaignState]:
    """Return the folder and the state of a campaign, or of a new one with a seed. Raises InvalidInput."""
    where = CampaignFolder(project.root.resolve(), folder.resolve())
    state = where.load()
    if state is not None and seed not in (None, state.seed):
        raise InvalidInput(f"the campaign in {folder} has the seed {state.seed}, not {seed}: name a new folder")
    return where, state or CampaignState(_new_seed(project) if seed is None else seed)


def _new_seed(project: Project) -> int:
    return int.from_bytes(os.urandom(4), "big") if project.fuzz.seed is None else project.fuzz.seed
