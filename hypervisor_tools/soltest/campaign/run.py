"""Steps of a campaign, until its time is over or rounds find nothing new.

The first step is a round of fuzz and invariant tests, the second runs symbolic tests, the third mutants, and all others
are rounds. A round runs each test with several seeds, from the common corpus. A test with a finding or a proof is left
out of later rounds. Each step depends only on the sources, the campaign's seed and the state before it, not on the
number of workers. A step that is interrupted keeps the results of the jobs that have ended, and the next run executes
the rest; the corpus changes when a step is done. A limit in time is an exception: each job of a round has a share of
what is left, at least a second, and ends with the runs done by then.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any, Final

from bridge.ethereum.block import ETHEREUM
from hypervisor.errors import InvalidInput
from hypervisor.installation import exists
from hypervisor.text import printable
from hypervisor_tools.soltest.campaign.state import TESTS, CampaignFolder, CampaignState, Finding
from hypervisor_tools.soltest.compile.compiler import CompileError
from hypervisor_tools.soltest.execution.discovery import COUNTEREXAMPLES, Suite, SuiteFilter, TestFunction
from hypervisor_tools.soltest.execution.job import Job, Options
from hypervisor_tools.soltest.execution.results import CaseKind, CaseStatus, SuiteResult, TestResult
from hypervisor_tools.soltest.fuzz.corpus import BEST, best_value, stored_value
from hypervisor_tools.soltest.mutate.results import MutantStatus, MutationResult
from hypervisor_tools.soltest.mutate.run import BaselineFailed, MutationRun
from hypervisor_tools.soltest.project.consent import config_file, read_utf8
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.project.test_settings import MutationSettings
from hypervisor_tools.soltest.report.counterexample_tests import write_tests
from hypervisor_tools.soltest.run.session import SuiteSession
from hypervisor_tools.soltest.run.workers import run_suites

SEEDS: Final = 4
"""Number of seeds with which a round runs each test."""
QUIET_ROUNDS: Final = 5
"""Number of rounds without anything new after which a campaign ends."""
_MAX_LINE: Final = 4096
_SEARCH_SECONDS: Final = 30.0
"""Processor time in seconds of the solver for a fuzz or invariant test."""
_PROVEN: Final = "proven"
_DYNAMIC: Final = re.compile(r"\[\]|\b(?:bytes|string)\b")
"""A parameter type whose lengths bound a proof."""
_USED: Final = 0.8
"""Share of the remaining time for the tests of a round; the rest is for `setUp` and the start of processes."""
LEFT_OUT: Final = "Mutants are tested without tests of these names, which have findings"
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
    _unshown: set[tuple[str, str]] = field(default_factory=set)
    """Tests with a finding that is not shown yet, because a job with a lower seed may replace it."""

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
        return self.wanted._replace(no_path=f"**/*{COUNTEREXAMPLES}")

    def _session(self, project: Project, wanted: SuiteFilter) -> SuiteSession:
        session = SuiteSession(project, wanted, self.options, self.tell)
        session.prepare()
        return session

    def _check_sources(self, session: SuiteSession) -> None:
        """Begin again, with the corpus, if sources or settings have changed since the last run."""
        texts = [item for item in session.sources().texts.items() if not item[0].endswith(COUNTEREXAMPLES)]
        config, options = config_file(self.project.root), self.options
        settings = (
            read_utf8(config) if exists(config) else "",
            sorted(item for item in os.environ.items() if item[0].startswith("FOUNDRY_")),
            tuple(self.wanted), options.rules, options.evm, options.network, options.use,
        )  # fmt: skip
        digest = sha256(repr((sorted(texts), settings)).encode()).hexdigest()
        state = self.state
        if state.sources and state.sources != digest:
            self.tell("Sources or settings have changed: the campaign begins again with its corpus")
            self.state, self._before = CampaignState(state.seed), 0.0
        elif state.quiet >= QUIET_ROUNDS:
            state.quiet = 0
        self.state.sources = digest

    # --- rounds -----------------------------------------------------------------------------------------------------

    def _round(self, session: SuiteSession) -> bool:
        """Run each test with new seeds; return False if there is none."""
        state, found, proofs = self.state, self.state.tests_done(), self.state.proofs or {}
        number = state.steps if state.steps == 0 else state.steps - 2
        wanted = [
            suite._replace(tests=(test,), seed=state.seed + number * SEEDS + offset)
            for suite in session.suites
            for test in suite.tests
            if test.kind in (CaseKind.FUZZ, CaseKind.INVARIANT)
            if (f"{suite.file}:{suite.contract}", test.signature) not in found
            if proofs.get(_proof_name(suite, test)) != _PROVEN or _DYNAMIC.search(test.signature)
            for offset in range(SEEDS)
        ]
        suites = sorted((suite for suite in wanted if _job_of(suite) not in state.ended), key=_sort_key)
        if not wanted:
            return self._no_round(session)
        self._run(self._within_time(self._job(session), len(suites)), suites)
        self._finish_round()
        return True

    def _job(self, session: SuiteSession) -> Job:
        """Return the job of a session, with the campaign's corpus."""
        corpus, project = self.folder.corpus, session.project
        fuzz = replace(project.fuzz, corpus_dir=corpus, failures=os.devnull)
        invariant = replace(project.invariant, corpus_dir=corpus, failures=os.devnull, shows_metrics=False)
        return replace(session.begun_job(), project=replace(project, fuzz=fuzz, invariant=invariant))

    def _within_time(self, job: Job, count: int) -> Job:
        """Return the job of a round with `count` jobs, each with an equal share of the remaining time.

        A share is at least a second.
        """
        if self.seconds is None or not count:
            return job
        left = self.seconds - (monotonic() - self._begun)
        share = max(1, int(_USED * left * min(self.options.workers, count) / count))
        fuzz, invariant = job.project.fuzz, job.project.invariant
        fuzz = replace(fuzz, timeout=min(share, fuzz.timeout or share))
        invariant = replace(invariant, timeout=min(share, invariant.timeout or share))
        return replace(job, project=replace(job.project, fuzz=fuzz, invariant=invariant))

    def _run(self, job: Job, suites: Sequence[Suite]) -> None:
        """Run suites, and store what has ended, even if others are interrupted."""
        if not suites:
            return
        try:
            with closing(run_suites(job, suites, self.options.workers, self._watch, keeps_corpus=True)) as results:
                for suite in results:
                    self._take(suite)
                    if self._unshown:
                        self._show_findings([each for each in suites if _job_of(each) not in self.state.ended])
        finally:
            self._store()
            self._show_findings(())

    def _no_round(self, session: SuiteSession) -> bool:
        """Count an empty first round, so that the other steps run; return False for any other."""
        if self.state.steps:
            return False
        if not session.suites and not session.has_symbolic_tests:
            raise InvalidInput("the project has no tests for a campaign")
        self._commit({})
        return True

    def _take(self, suite: SuiteResult) -> None:
        """Add the results of a job to the unfinished step. Neither their order nor a repetition matters."""
        state = self.state
        for path, data in suite.corpus:
            place, text = (_place(path) if data else path), b64encode(data).decode()
            state.waiting[place] = min(text, state.waiting.get(place, text), key=_order(place))
        has_changed = self._add_findings(suite)
        for test in suite.tests:
            if test.kind is CaseKind.SYMBOLIC:
                state.proofs = {**(state.proofs or {}), _proof_name(suite, test): _outcome(test)}
            else:
                state.ended[_job_name(suite.name, test.signature, test.seed)] = test.calls or test.runs
        if has_changed:
            self._store()

    def _store(self) -> None:
        """Store an unfinished step, which the next run continues."""
        self.state.seconds = round(self._elapsed(), 1)
        self.folder.commit(self.state, {})

    def _finish_round(self) -> None:
        state = self.state
        files, dropped = self._corpus_changes()
        is_quiet = not files and len(state.findings) == state.found
        added = sum(not path.endswith(f"/{BEST}") for path in files)
        kept, runs = self.folder.inputs() + added - len(dropped), state.runs + sum(state.ended.values())
        history = [*state.history, (round(self._elapsed(), 1), kept, len(state.findings))]
        self._commit(files | dropped, quiet=state.quiet + 1 if is_quiet else 0, runs=runs, history=history)
        self.tell(f"{len(history)} rounds, {runs:,} runs, {kept:,} inputs, {len(state.findings)} findings")

    def _corpus_changes(self) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """Return the new inputs of a step, and the superfluous ones, which are empty."""
        inputs = {path: b64decode(text) for path, text in self.state.waiting.items()}
        added = {path: data for path, data in sorted(inputs.items()) if data}
        known, dropped = self._known_inputs(added), dict.fromkeys(sorted(inputs.keys() - added), b"")
        return {path: data for path, data in added.items() if self._is_new(path, data, known)}, dropped

    def _is_new(self, path: str, data: bytes, known: Container[tuple[str, str]]) -> bool:
        """Return True for an input that is not known, and for a better sequence of a maximizing test."""
        file = self.folder.root / path
        if file.name != BEST:
            return _name(path) not in known
        stored = stored_value(file)
        return stored is None or (best_value(data) or 0) > stored

    def _known_inputs(self, added: Iterable[str]) -> set[tuple[str, str]]:
        """Return the inputs, by `_name`, that the folders of these have."""
        folders = {path.rpartition("/")[0] for path in added}
        return {
            _name(f"{folder}/{file.name}")
            for folder in folders
            if (self.folder.root / folder).is_dir()
            for file in (self.folder.root / folder).iterdir()
        }

    def _add_findings(self, suite: SuiteResult) -> bool:
        """Add the tests of a suite that fail; return True if one was added.

        That of the lowest seed of a round stays.
        """
        state, done, has_changed = self.state, self.state.tests_done(), False
        for test in suite.tests:
            key = suite.name, test.signature
            if test.status is not CaseStatus.FAILURE or key in done:
                continue
            place = next((at for at, other in enumerate(state.findings) if other.key == key), None)
            if place is not None and (state.findings[place].seed or 0) <= (test.seed or 0):
                continue
            calls, seconds = [call.text() for call in test.counterexample], round(self._elapsed(), 1)
            finding = Finding(*key, test.kind.value, test.reason or "", calls, test.seed, seconds)
            finding.file = self._write_test(suite, test)
            if place is None:
                state.findings.append(finding)
            else:
                state.findings[place] = finding
            self._unshown.add(key)
            has_changed = True
        return has_changed

    def _show_findings(self, todo: Iterable[Suite]) -> None:
        """Show new findings, except those that a job of `todo` with a lower seed may replace, with the unit test."""
        lowest: dict[tuple[str, str], int] = {}
        for suite in todo:
            key, seed = (f"{suite.file}:{suite.contract}", suite.tests[0].signature), suite.seed or 0
            lowest[key] = min(lowest.get(key, seed), seed)
        for finding in self.state.findings:
            seed = finding.seed or 0
            if finding.key in self._unshown and lowest.get(finding.key, seed) >= seed:
                self._unshown.remove(finding.key)
                for line in finding_lines(finding):
                    self.show(line)

    def _write_test(self, suite: SuiteResult, test: TestResult) -> str:
        """Write the unit test of a finding; return its file, empty if it has no input."""
        name = re.sub(r"\W+", "_", test.signature).strip("_")
        folder = self.folder.folder / TESTS / name
        files = write_tests([SuiteResult(suite.file, suite.contract, [test])], self.folder.root, folder)
        return files[0].relative_to(self.folder.root).as_posix() if files else ""

    def _commit(self, files: Mapping[str, bytes], **changes: Any) -> None:
        """Store the state after a step."""
        state, found = self.state, self.state.found
        findings = [*state.findings[:found], *sorted(state.findings[found:], key=lambda finding: finding.key)]
        done = replace(
            state, steps=state.steps + 1, seconds=round(self._elapsed(), 1), findings=findings, found=len(findings),
            ended={}, waiting={}, **changes,
        )  # fmt: skip
        self.folder.commit(done, files)
        self.state = done

    # --- symbolic tests and mutants ---------------------------------------------------------------------------------

    def _prove(self) -> None:
        """Run the symbolic tests, and fuzz and invariant tests without a finding, which the solver may prove or fail.

        Its inputs that reach what no earlier input reached are added to the corpus.
        """
        state = self.state
        project = replace(self.project, isolate=bool(self.project.isolate), dynamic_test_linking=False)
        session = self._session(project, self._filter()._replace(symbolic="fuzz"))
        if session.suites and find_spec("z3") is None:
            state.notes.append("symbolic tests were not run: install z3 with `pip install z3-solver`")
        elif session.suites and self.options.rules != ETHEREUM:
            state.notes.append("symbolic tests were not run: they need the rules ethereum")
        elif session.suites:
            self.tell("Running symbolic tests")
            known, done, job = state.proofs or {}, state.tests_done(), self._job(session)
            suites = [
                suite._replace(tests=(test,))
                for suite in session.suites
                for test in suite.tests
                if _proof_name(suite, test) not in known
                if (f"{suite.file}:{suite.contract}", test.signature) not in done
            ]
            self._run(job, [suite for suite in suites if _is_check(suite)])
            bounds = job.project.symbolic._replace(seconds=_SEARCH_SECONDS)
            job = replace(job, project=replace(job.project, symbolic=bounds))
            self._run(job, [suite for suite in suites if not _is_check(suite)])
        files, dropped = self._corpus_changes()
        proofs = None if state.proofs is None else dict(sorted(state.proofs.items()))
        self._commit(files | dropped, proofs=proofs, quiet=0 if files else state.quiet)

    def _mutate(self) -> None:
        """Test mutants with the tests that have no finding."""
        state, wanted = self.state, self._filter()
        names = sorted({test.partition("(")[0] for _, test in state.tests_done()})
        excluded = [f"^({'|'.join(map(re.escape, names))})\\("] if names else []
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
            state.mutants = {**_mutants(found), "left_out": names}
            self.tell(f"{len(found.results)} mutants: {state.mutants['counts']}")
            if names:
                self.tell(f"{LEFT_OUT}: {', '.join(names)}")
        self._commit({})


def finding_lines(finding: Finding) -> Iterator[str]:
    """Yield the lines that show a finding. Control codes of the test's texts are escaped."""
    yield printable(f"FOUND {finding.suite} {finding.test}: {finding.reason or 'fails'}", _MAX_LINE)
    yield from (f"  {printable(call.strip(), _MAX_LINE)}" for call in finding.calls)
    if finding.file:
        yield printable(f"  reproduced by {finding.file}", _MAX_LINE)


def _job_name(suite: str, test: str, seed: int | None) -> str:
    return f"{suite} {test} {seed}"


def _job_of(suite: Suite) -> str:
    return _job_name(f"{suite.file}:{suite.contract}", suite.tests[0].signature, suite.seed)


def _sort_key(suite: Suite) -> tuple[int, bool]:
    """Return the sort key of a round's jobs: each test runs once before any of them again, fuzz tests first."""
    return suite.seed or 0, suite.tests[0].kind is CaseKind.INVARIANT


def _proof_name(suite: Suite | SuiteResult, test: TestFunction | TestResult) -> str:
    return f"{suite.file}:{suite.contract} {test.signature}"


def _is_check(suite: Suite) -> bool:
    return suite.tests[0].name.startswith(("check_", "prove_"))


def _place(path: str) -> str:
    """Return the path of an input without its time, so that the same input has one file."""
    return re.sub(r"-\d+(\.json(?:\.gz)?)$", r"-0\1", path)


def _order(path: str) -> Callable[[str], tuple[int, str]]:
    """Return the order of a file's contents in Base64: the one with the best value is first, then the least text."""
    is_best = path.endswith(f"/{BEST}")
    return lambda text: (-(best_value(b64decode(text)) or 0) if is_best else 0, text)


def _name(path: str) -> tuple[str, str]:
    """Return the folder of an input, and the digest in its file name."""
    folder, _, name = path.rpartition("/")
    return folder, name.rpartition("-")[0]


def _outcome(test: TestResult) -> str:
    passed = f"holds to depth {test.depth}" if test.depth else _PROVEN
    status = {CaseStatus.SUCCESS: passed, CaseStatus.FAILURE: "fails", CaseStatus.SKIPPED: "skipped"}
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
    own = (project.src, project.test, project.script, project.out, project.cache, *project.libs)
    where = CampaignFolder(project.root.resolve(), folder.resolve(), own)
    state = where.load()
    if state is not None and seed not in (None, state.seed):
        raise InvalidInput(f"the campaign in {folder} has the seed {state.seed}, not {seed}: name a new folder")
    return where, state or CampaignState(_new_seed(project) if seed is None else seed)


def _new_seed(project: Project) -> int:
    return int.from_bytes(os.urandom(4), "big") if project.fuzz.seed is None else project.fuzz.seed
