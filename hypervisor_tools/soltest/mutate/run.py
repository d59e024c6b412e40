"""A mutation run: each mutant is compiled and tested until a test fails.

The tests run twice on the unchanged sources: first as a baseline, whose durations give the time limits, then compiled
for coverage. For each mutant, the tests that cover it run until one fails.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, Final, NamedTuple

from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor_tools.jobs.executor import completed
from hypervisor_tools.jobs.run import open_executor
from hypervisor_tools.jobs.workers import JobLost, Stopped, Work, WorkerPool, dump, load
from hypervisor_tools.soltest.compile.artifact import Artifacts, ContractArtifact
from hypervisor_tools.soltest.compile.compiler import CompileError, CompilerFailed, CompilerTimeout
from hypervisor_tools.soltest.compile.syntax_trees import syntax_trees
from hypervisor_tools.soltest.execution.discovery import Suite, SuiteFilter, tests_of
from hypervisor_tools.soltest.execution.job import Job, Options
from hypervisor_tools.soltest.execution.results import CaseStatus, SuiteResult
from hypervisor_tools.soltest.mutate.builds import MutantCompiler, with_compiled
from hypervisor_tools.soltest.mutate.operators import Mutant, mutants_of
from hypervisor_tools.soltest.mutate.results import MutantResult, MutantStatus, MutationCache, MutationResult
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.project.test_settings import MutationSettings
from hypervisor_tools.soltest.report.collecting import CoverageIndex, TestName, code_spans
from hypervisor_tools.soltest.report.coverage import coverage_settings
from hypervisor_tools.soltest.report.gas import SEED
from hypervisor_tools.soltest.run.session import SuiteSession
from hypervisor_tools.soltest.run.workers import SuiteLost, SuiteRun, SuiteWork
from hypervisor_tools.soltest.trace.known_code import KnownCode
from localnet.fork.remote_chain import is_local

_MAX_DETAIL: Final = 500
"""Maximum number of characters of a compiler's messages, so that 100,000 results fit into the cache file."""


@dataclass(slots=True)
class MutantDrive:
    """Compiles a mutant and runs tests on it: the function that threads call for mutants."""

    compiler: MutantCompiler
    job: Job
    artifacts: Artifacts

    def __call__(self, pool: WorkerPool, _: Work[Any, Any], item: bytes) -> bytes:
        """Return the result of a mutant as bytes. Raises Stopped after an interruption."""
        mutant, suites, seconds = load(item)
        with TemporaryDirectory(prefix="mutant-") as folder:
            return dump(self.result(MutantTests(pool, Path(folder), seconds), mutant, suites))

    def close(self) -> None:
        """End the compilers."""
        self.compiler.stop()

    def result(self, tests: MutantTests, mutant: Mutant, suites: Sequence[Suite]) -> MutantResult:
        """Return the result of a mutant by some tests."""
        if not suites:
            return MutantResult(mutant, MutantStatus.NOT_COVERED)
        try:
            compiled = self.compiler.compile(mutant, {suite.file for suite in suites}, tests.folder)
        except CompilerTimeout as error:
            return MutantResult(mutant, MutantStatus.TIMED_OUT, str(error), is_stable=False)
        except CompileError as error:
            if self.compiler.is_stopped:
                raise Stopped from None
            is_stable = not isinstance(error, CompilerFailed)
            return MutantResult(mutant, MutantStatus.INVALID, str(error)[:_MAX_DETAIL], is_stable=is_stable)
        if compiled is None:
            return MutantResult(mutant, MutantStatus.EQUIVALENT)
        artifacts = with_compiled(self.artifacts, compiled)
        job = replace(
            self.job, locations=artifacts.locations, sources=dict(artifacts.sources),
            project=_for_mutants(self.job.project),
            options=self.job.options._replace(ends_at_failure=True, timeout=2 * tests.seconds, report="inputs"),
        )  # fmt: skip
        inputs: set[str] = set()
        failed = None
        try:
            for suite in tests.results(job, suites):
                inputs.update(*suite.collected)
                failed = next((test for test in suite.tests if test.status is CaseStatus.FAILURE), None)
                if failed is not None:
                    break
        except SuiteLost as error:
            return MutantResult(mutant, MutantStatus.TIMED_OUT, str(error), is_stable=False)
        status, detail = MutantStatus.SURVIVED, ""
        if failed is not None:
            status, detail = MutantStatus.KILLED, f"{suite.name}.{failed.signature}"
        return MutantResult(mutant, status, detail, is_stable=not inputs, inputs=frozenset(inputs))


class MutantTests(NamedTuple):
    """Workers and folders for the tests of a mutant, a folder for its artifacts, and the time limit in seconds."""

    pool: WorkerPool
    folder: Path
    seconds: float

    def results(self, job: Job, suites: Sequence[Suite]) -> Iterator[SuiteResult]:
        """Yield the results of suites. Raises SuiteLost after the time limit, Stopped after an interruption."""
        work, until = Work.of(SuiteWork(job)), monotonic() + self.seconds
        for suite in suites:
            yield SuiteRun(job, suite, until).run(self.pool, work)


def _for_mutants(project: Project) -> Project:
    """Return the project without stored failures, on which the results would depend, and without shrinking."""
    fuzz = replace(project.fuzz, failures=os.devnull)
    return replace(project, fuzz=fuzz, invariant=replace(project.invariant, failures=os.devnull, shrink_run_limit=0))


_FACTOR: Final = 10
"""Time limit of a mutant as a multiple of the baseline's duration."""
_MIN_SECONDS: Final = 20.0
"""Smallest time limit, which includes the start of a process."""
_COMPILE_SECONDS: Final = 300.0
"""Time limit of a compilation without --mutation-timeout."""
_TEST_FOLDERS: Final = frozenset(("test", "tests", "mock", "mocks"))
"""Folders below `src` whose sources serve the tests."""
Progress = Callable[[int, int], None]


class BaselineFailed(HypervisorError):
    """The tests fail without any change, so that no mutant can be tested."""


@dataclass(slots=True)
class MutationRun:
    """Mutation tests of a project. `notify` is called with lines of text, `progress` with mutants done and in total."""

    project: Project
    wanted: SuiteFilter
    options: Options
    settings: MutationSettings
    notify: Callable[[str], None] = lambda _: None
    progress: Progress = lambda _done, _total: None
    durations: dict[TestName, float] = field(default_factory=dict)
    """Seconds of each test in the baseline."""

    def run(self) -> MutationResult:
        """Return the results. Raises InvalidInput, CompileError, BaselineFailed.

        After Ctrl-C the results are those so far.
        """
        begin = monotonic()
        if self.settings.seconds is None and self.project.mutation.timeout:
            self.settings = self.settings._replace(seconds=float(self.project.mutation.timeout))
        self.settings.check()
        _check_permissions(self.project)
        if self.project.fuzz.seed is None:
            self.project = replace(self.project, fuzz=replace(self.project.fuzz, seed=SEED))
        self.project = replace(self.project, dynamic_test_linking=False)  # mutants are compiled with their tests
        session = self._session(self.project, self.options, self.notify)
        self._baseline(session)
        sources = session.sources()
        files = self.settings.files(self._mutable_sources(sources.own))
        trees = syntax_trees(self.project, sources, files, session.solc(sources))
        tests = self._test_contracts(session.artifacts, files)
        mutants = [
            mutant
            for file in files
            for mutant in mutants_of(
                file, trees[file], sources.texts[file], self.project.mutation.operators, tests[file]
            )
            if self.settings.matches_contract(mutant.contract)
        ]
        self._check_contract(trees)
        index = self._coverage_index()
        compiler = MutantCompiler(
            self.project, sources, session.solc(sources), session.artifacts, self.settings.seconds or _COMPILE_SECONDS
        )
        self.notify(f"{len(mutants)} mutants of {len(files)} {'file' if len(files) == 1 else 'files'}")
        results = self._run_mutants(mutants, index, compiler, session)
        return MutationResult(results, sources.texts, monotonic() - begin, len(mutants) - len(results))

    def _tell_coverage(self, line: str) -> None:
        if line.startswith("Compiling"):  # other lines have been printed
            self.notify(f"{line}, for coverage")

    def _session(self, project: Project, options: Options, notify: Callable[[str], None]) -> SuiteSession:
        session = SuiteSession(
            project, self.wanted, options._replace(verbosity=0, shows_logs=False, records_traces=False), notify
        )
        session.prepare()
        return session

    def _mutable_sources(self, names: Sequence[str] | frozenset[str]) -> list[str]:
        """Return the sources that may be mutated: those in `src` that are no tests, mocks or scripts."""
        project = self.project
        excluded = tuple(f"{folder}/" for folder in (project.test, project.script) if folder != project.src)
        return sorted(
            name
            for name in names
            if name.startswith(f"{project.src}/") or project.src in ("", ".")
            if not name.startswith(excluded) and not name.endswith((".t.sol", ".s.sol"))
            if _TEST_FOLDERS.isdisjoint(name.split("/")[1:-1])
        )

    def _test_contracts(self, artifacts: Artifacts, files: Sequence[str]) -> dict[str, list[str]]:
        """Return the contracts of each source that forge runs as tests, or that such contracts inherit."""
        found: dict[str, list[str]] = {file: [] for file in files}
        for location in artifacts.locations:
            if location.file in found and has_tests(artifacts.load(location)):
                found[location.file].append(location.name)
                self.notify(f"{location.file}:{location.name} is not mutated, because it contains tests")
        return found

    def _check_contract(self, trees: Mapping[str, Mapping[str, Any]]) -> None:
        """Raise InvalidInput if no contract of the sources matches."""
        pattern = self.settings.contract
        contracts = [node for tree in trees.values() for node in tree["nodes"] if "contractKind" in node]
        if pattern and not any(self.settings.matches_contract(node["name"]) for node in contracts):
            raise InvalidInput(f"no contract of the mutated sources matches --mutate-contract '{pattern}'")

    def _baseline(self, session: SuiteSession) -> None:
        """Run the tests without a change. Raises BaselineFailed unless all pass, and at least one does."""
        suites = list(session.run())
        failed = [(suite, test) for suite in suites for test in suite.tests if test.status is CaseStatus.FAILURE]
        if failed:
            suite, test = failed[0]
            more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
            raise BaselineFailed(
                f"{suite.name}.{test.signature} fails without a change{more}: mutation tests need passing tests; "
                "exclude it with --no-match-test"
            )
        self.durations = {
            (suite.file, suite.contract, test.signature): test.duration
            for suite in suites
            for test in suite.tests
            if test.status is CaseStatus.SUCCESS
        }
        if not suites:
            filters = self.wanted.text()
            raise BaselineFailed(f"no test matches {filters}" if filters else "the project has no tests")
        if not self.durations:
            raise BaselineFailed("all tests were skipped: mutation tests need at least one that passes")

    def _coverage_index(self) -> CoverageIndex:
        """Run the tests to learn which code each covers; all tests cover all code that cannot be compiled for it."""
        for ir_minimum in (False, True):
            compiler = coverage_settings(self.project.compiler, ir_minimum=ir_minimum)
            options = self.options._replace(report="coverage-by-test")
            try:
                session = self._session(replace(self.project, compiler=compiler), options, self._tell_coverage)
            except CompileError:
                continue
            index = CoverageIndex(code_spans(KnownCode(session.artifacts)))
            for suite in session.run():
                names = [
                    test for file, contract, test in self.durations if (file, contract) == (suite.file, suite.contract)
                ]
                index.add(suite.file, suite.contract, names, suite.collected)
            index.untraced |= self.durations.keys() - index.by_test.keys()
            return index
        self.notify("the sources do not compile for coverage: each mutant runs all tests")
        return CoverageIndex({}, untraced=set(self.durations))

    # --- the mutants ------------------------------------------------------------------------------------------------

    def _run_mutants(
        self, mutants: Sequence[Mutant], index: CoverageIndex, compiler: MutantCompiler, session: SuiteSession
    ) -> list[MutantResult]:
        """Return the results in the order of the mutants; not all after an interruption."""
        found: dict[int, MutantResult] = {}
        keys: dict[int, str] = {}
        job = session.job()
        reason = self._uncacheable(job.fork_url)
        if reason:
            self.notify(f"results are not cached: {reason}")
        cache = None if reason else MutationCache.of(self.project, compiler, job)
        todo: dict[int, tuple[Mutant, Sequence[Suite], float]] = {}
        for number, mutant in enumerate(mutants):
            tests = self._tests(mutant, index)
            suites = self._suites(session.suites, tests)
            if cache is not None and suites:
                keys[number] = cache.key(mutant, suites)
                known = cache.get(keys[number], mutant)
                if known is not None:
                    found[number] = known
                    continue
            todo[number] = mutant, suites, self.settings.seconds or self._seconds(tests)
        try:
            for number, result in self._results(todo, MutantDrive(compiler, job, session.artifacts)):
                found[number] = result
                self.progress(len(found), len(mutants))
        except KeyboardInterrupt:
            pass
        finally:
            if cache is not None:
                cache.put({keys[number]: result for number, result in found.items() if number in keys})
        return [found[number] for number in sorted(found)]

    def _results(
        self, todo: Mapping[int, tuple[Mutant, Sequence[Suite], float]], drive: MutantDrive
    ) -> Iterator[tuple[int, MutantResult]]:
        """Yield the number and the result of each mutant as it ends."""
        numbers = [*todo]
        with open_executor(self.settings.jobs) as executor:
            work: Work[tuple[Mutant, Sequence[Suite], float], MutantResult] = Work.of(_unused, drive)
            try:
                for at, result in completed(executor, work, todo.values(), _lost):
                    yield numbers[at], result
            finally:
                drive.close()

    def _uncacheable(self, fork_url: str | None) -> str:
        """Return the setting by which results depend on data whose changes are not noticed; empty if there is none."""
        project, options = self.project, self.options
        if fork_url is not None and (project.fork_block_number is None or is_local(fork_url)):
            return "the tests start on a fork without fork_block_number, or of a node on this machine"
        if any(isinstance(row, str) or row.function for row in (*project.precompiles, *options.precompiles)):
            return "a precompile is a Python function"
        if isinstance(options.bundle, Path):
            return "--bundle names a file"
        return "" if project.fuzz.input_file is None else "--fuzz-input-file names a file"

    def _tests(self, mutant: Mutant, index: CoverageIndex) -> set[TestName]:
        tests = index.tests(mutant.file, mutant.enclosing_spans)
        if mutant.is_constant and not tests:
            return set(self.durations)
        return tests & self.durations.keys()

    def _suites(self, suites: Sequence[Suite], tests: set[TestName]) -> list[Suite]:
        """Return the suites with these tests only, the fastest first."""
        found = []
        for suite in suites:
            chosen = [test for test in suite.tests if (suite.file, suite.contract, test.signature) in tests]
            if chosen:
                chosen.sort(key=lambda test: self.durations[suite.file, suite.contract, test.signature])
                found.append(suite._replace(tests=tuple(chosen)))
        return found

    def _seconds(self, tests: set[TestName]) -> float:
        return max(_MIN_SECONDS, _FACTOR * sum(self.durations[test] for test in tests))


def _unused(item: tuple[Mutant, Sequence[Suite], float]) -> MutantResult:
    """Stand for the function of a worker, which each mutant has for itself."""
    raise NotImplementedError(item)


def _lost(item: tuple[Mutant, Sequence[Suite], float], error: JobLost) -> MutantResult:
    """Return the result of a mutant that ended several workers."""
    return MutantResult(item[0], MutantStatus.TIMED_OUT, str(error), is_stable=False)


def has_tests(artifact: ContractArtifact) -> bool:
    """Return True for a contract with tests and, as forge requires, without constructor arguments."""
    constructor = next((entry for entry in artifact.abi if entry.get("type") == "constructor"), {})
    return not constructor.get("inputs") and bool(tests_of(artifact, ""))


def _check_permissions(project: Project) -> None:
    """Raise InvalidInput if tests can run programs or change sources: mutants may do so, too."""
    if project.ffi:
        raise InvalidInput(
            "mutation tests cannot run with ffi = true, because a mutant could run programs; set ffi = false"
        )
    root = project.root.resolve()
    folders = [root / name for name in (project.src, project.test, project.script, *project.libs)]
    for access, path in project.fs_permissions:
        place = (root / path).resolve()
        if "write" in access and any(place.is_relative_to(one) or one.is_relative_to(place) for one in folders):
            raise InvalidInput(
                f"fs_permissions lets tests write to {path}, which contains sources: mutation tests need another folder"
            )
