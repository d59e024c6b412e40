"""Test runs of `hypervisor test`: results, reports, snapshots and watch mode."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import typer

from hypervisor.errors import HypervisorError, InvalidInput
from hypervisor_tools.cli.commands import INTERRUPTED
from hypervisor_tools.cli.foundry.modes import Flame, check_single, draw_test, grow_test
from hypervisor_tools.cli.options import running_line
from hypervisor_tools.soltest.execution.discovery import Suite, SuiteFilter
from hypervisor_tools.soltest.execution.job import Options
from hypervisor_tools.soltest.execution.results import CaseStatus, SuiteResult
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.report import report
from hypervisor_tools.soltest.report.report import json_report
from hypervisor_tools.soltest.run.session import SuiteSession

if TYPE_CHECKING:
    from hypervisor_tools.laboratory.sides import Side
    from hypervisor_tools.soltest.compile.compiler import ResidentCompiler


class Reports(NamedTuple):
    """Outputs of a run: printed reports and written files."""

    form: Literal["text", "json", "junit", "none"] = "text"
    summary: bool = False
    detailed: bool = False
    at_end: bool = False
    """True if results follow the last suite, with a line per suite before."""
    allow_failure: bool = False
    fail_fast: bool = False
    lcov: Path | None = None
    kinds: Collection[str] = ()
    """Coverage reports: `summary`, `debug`, `bytecode`."""
    no_match_coverage: str | None = None
    flame: Flame | None = None
    """Gas flame graph of a single test."""
    growth: Sequence[int] = ()
    """Numbers of slots for which the gas of a single test is measured."""
    write_tests: Path | None = None
    """Folder for counterexamples of symbolic tests."""
    snapshot: Literal["write", "check", "diff"] | None = None
    snap: Path = Path(".gas-snapshot")
    tolerance: float = 0.0


@dataclass(slots=True)
class SuiteRuns:
    """The test runs of a project with their options and output."""

    project: Project
    wanted: SuiteFilter
    options: Options
    reports: Reports
    resident: ResidentCompiler | None = None
    """Compiler process that the runs share."""

    def _prepare(self, wanted: SuiteFilter | None = None) -> SuiteSession:
        notify = _ignore if self.reports.form == "none" else lambda line: typer.echo(line, err=True)
        session = SuiteSession(self.project, wanted or self.wanted, self.options, notify, running_line(), self.resident)
        session.prepare()
        return session

    def print_list(self) -> None:
        """Print the names of the tests by file and contract, as forge does."""
        files: dict[str, dict[str, list[str]]] = {}
        for suite in sorted(self._prepare().suites, key=lambda suite: (suite.file, suite.contract)):
            files.setdefault(suite.file, {})[suite.contract] = [test.name for test in suite.tests]
        if self.reports.form == "json":
            typer.echo(_json(files))
            return
        for file, contracts in files.items():
            typer.echo(file)
            for contract, names in contracts.items():
                typer.echo("\n    ".join([f"  {contract}", *names]) + "\n")

    def debug(self, commands: Sequence[str], *, dap: bool) -> None:
        """Open the one selected test in the debugger: in the terminal, or in an editor if `dap`."""
        from hypervisor_tools.cli.foundry.modes import debug_test, serve_test

        if dap:
            serve_test(self._prepare)
        else:
            debug_test(self._prepare(), commands)

    def once(self, wanted: SuiteFilter | None = None) -> int:
        """Run and print; the exit status."""
        session, reports = self._prepare(wanted), self.reports
        if reports.flame is not None:
            check_single(session, f"--{reports.flame}")
        if reports.growth:
            check_single(session, "--gas-growth")
        begin = perf_counter()
        suites: list[SuiteResult] = []
        is_interrupted = False
        try:
            for suite in session.run():
                suites.append(suite)
                self._show_suite(suite, is_first=len(suites) == 1)
                if reports.fail_fast and suite.count(CaseStatus.FAILURE):
                    break
        except KeyboardInterrupt:  # print the results so far
            is_interrupted = True
        self._show_all(session, suites, perf_counter() - begin)
        left = _names(session.suites) - _names(suites) if is_interrupted else set()
        _store_failures(session.project, suites, [signature for _, _, signature in left])
        if left:
            typer.echo(f"interrupted: {len(left)} tests have not been run", err=True)
        if is_interrupted:
            return INTERRUPTED
        if reports.write_tests is not None:
            from hypervisor_tools.soltest.report.counterexample_tests import write_tests

            for file in write_tests(suites, session.project.root.resolve(), reports.write_tests.resolve()):
                typer.echo(f"Saved to {file}", err=reports.form != "text")
        if self.options.report == "coverage":
            self._print_coverage(session, suites)
        is_same = self._store_gas_snapshots(suites)
        has_failed = any(suite.count(CaseStatus.FAILURE) + suite.count(CaseStatus.UNDECIDED) for suite in suites)
        if reports.snapshot and (reports.allow_failure or not has_failed):
            is_same = self._snapshot(suites) and is_same
        if reports.flame is not None:  # last, because an error here ends the command
            typer.echo(f"Saved to {draw_test(session, reports.flame)}", err=reports.form != "text")
        if reports.growth:
            from hypervisor_tools.laboratory.compare.growth import growth_lines

            points = grow_test(session, reports.growth)
            typer.echo("\n".join(("", *growth_lines(points))), err=reports.form != "text")
            has_failed = has_failed or any(point.failure for point in points)
        return int((has_failed and not reports.allow_failure) or not is_same)

    def _show_suite(self, suite: SuiteResult, *, is_first: bool) -> None:
        if self.reports.form == "json" and self.options.report != "gas":  # as in forge, print only the report then
            member = _json(json_report([suite], self.options.verbosity))[1:-1]
            typer.echo(f"{'{' if is_first else ','}{member}")
        if self.reports.form != "text":
            return
        if self.reports.at_end:
            typer.echo(f"{suite.name}\n  ↪ {report.verdict(suite)}")
        else:
            typer.echo("\n".join(report.suite_lines(suite, self.options.verbosity)))

    def _show_all(self, session: SuiteSession, suites: list[SuiteResult], seconds: float) -> None:
        reports = self.reports
        if self.options.report == "gas":
            self._print_gas(suites)
        if reports.form == "json":
            if self.options.report != "gas":
                typer.echo("}" if suites else "{}")
        elif reports.form == "junit":
            from hypervisor_tools.soltest.report.report import junit

            typer.echo(junit(suites, seconds, self.options.verbosity))
        elif not suites and reports.form == "text":
            _report_no_tests(session)
        elif reports.form == "text":
            if reports.at_end:
                for suite in sorted(suites, key=lambda suite: suite.name):
                    typer.echo("\n".join(report.suite_lines(suite, self.options.verbosity)))
            if reports.summary:
                typer.echo("\n".join(report.summary_table(suites, detailed=reports.detailed)))
            typer.echo("\n".join(report.summary_lines(suites, seconds, session.wanted.symbolic)))

    def _store_gas_snapshots(self, suites: list[SuiteResult]) -> bool:
        """Compare and write gas snapshots taken by tests; return True if none differs.

        Filecoin's gas is not compared.
        """
        from bridge.ethereum.block import ETHEREUM
        from hypervisor_tools.soltest.report.gas import differences, measurements, write

        project = self.project
        if self.options.rules != ETHEREUM:
            return True
        found, folder = measurements(suites), project.root / project.snapshots
        lines = list(differences(found, folder)) if project.gas_snapshot_check else []
        if lines:
            typer.echo("\n".join([*lines, "\nError: Snapshots differ from previous run"]), err=True)
        elif project.gas_snapshot_emit:
            write(found, folder, project.root)
        return not lines

    def _snapshot(self, suites: list[SuiteResult]) -> bool:
        """Write or compare the gas snapshot of all tests; return False if a checked value differs."""
        from hypervisor_tools.soltest.report.gas import difference_lines, entries_of, mismatches, read_entries, text_of

        entries, file = entries_of(suites), self.reports.snap
        if self.reports.snapshot == "write":
            try:
                file.write_text(text_of(entries), encoding="utf-8")
            except OSError as error:
                raise InvalidInput(f"the gas snapshot {file} cannot be written: {error.strerror}") from None
            return True
        before = read_entries(file)
        if self.reports.snapshot == "diff":
            typer.echo("\n".join(difference_lines(entries, before)), err=self.reports.form != "text")
            return True
        lines = list(mismatches(entries, before, self.reports.tolerance))
        for line in lines:
            typer.echo(line, err=True)
        return not lines

    def _print_gas(self, suites: list[SuiteResult]) -> None:
        from hypervisor_tools.soltest.report import gas
        from hypervisor_tools.soltest.report.collecting import merge

        by_name = sorted(suites, key=lambda suite: suite.name)
        project = self.project
        for name in sorted(set(project.gas_reports) & set(project.gas_reports_ignore)):
            sys.stderr.write(f"Warning: {name} is listed in both 'gas_reports' and 'gas_reports_ignore'.\n")
        found = gas.report_data(merge(part for suite in by_name for part in suite.collected), project)
        if self.reports.form == "json":
            typer.echo(_json(gas.gas_json(found)))
        elif self.reports.form == "text":
            typer.echo("\n".join(gas.gas_lines(found)))
            if project.dynamic_test_linking and any(use.deployment_gas is None for use in found.values()):
                note = "Contracts that tests load by name have no deployment cost; --no-dynamic-test-linking shows it."
                typer.echo(note, err=True)

    def _print_coverage(self, session: SuiteSession, suites: list[SuiteResult]) -> None:
        """Print the coverage report; with --json, as another JSON object on its own line."""
        from hypervisor_tools.soltest.report import coverage
        from hypervisor_tools.soltest.report.collecting import merge

        reports, is_json = self.reports, self.reports.form == "json"
        found = merge(part for suite in suites for part in suite.collected)
        files = coverage.without(session.coverage(found), reports.no_match_coverage)
        if reports.lcov is not None:
            reports.lcov.write_text(coverage.lcov(files), encoding="utf-8")
        if "summary" in reports.kinds and is_json:
            typer.echo(_json(coverage.coverage_json(files)))
        elif "summary" in reports.kinds:
            typer.echo("\n".join(["", *coverage.coverage_lines(files)]))
        if "debug" in reports.kinds:
            typer.echo("\n".join(coverage.item_lines(files, session.project.root)))
        if "bytecode" in reports.kinds:
            from hypervisor_tools.soltest.report.coverage import write_listings

            write_listings(session.project.root, session.artifacts, found)
        for suite in suites:
            for name in (name for part in suite.collected for name in part.cut):
                sys.stderr.write(f"counted in part, since it is long: {suite.contract}.{name}\n")

    def compare(self, sides: tuple[Side, Side]) -> int:
        """Run under two sets of rules, print the tests that differ, and return 1 if an outcome does."""
        from hypervisor_tools.laboratory.compare.impact_report import impact_json, impact_junit, impact_lines
        from hypervisor_tools.laboratory.compare.project_tests import compare_suites, with_same_inputs

        self.project = with_same_inputs(self.project, sides)
        begin, session = perf_counter(), self._prepare()
        try:
            found, suites = compare_suites(session, sides, self.reports.tolerance)
        except KeyboardInterrupt:
            typer.echo("interrupted: no tests are compared, since not all have been run with both rules", err=True)
            return INTERRUPTED
        if self.reports.form == "json":
            typer.echo(_json(impact_json(found)))
        elif self.reports.form == "junit":
            typer.echo(impact_junit(found, suites, perf_counter() - begin))
        elif self.reports.form == "text" and found.tests:
            typer.echo("\n".join(impact_lines(found, in_full=self.options.verbosity >= 3)))
        elif self.reports.form == "text":
            _report_no_tests(session)
        return int(found.has_other_outcomes)

    def watch(self, load: Callable[[], Project], *, run_all: bool = False, failed_first: bool = False) -> None:
        """Run the tests, and run affected tests again after each change, until Ctrl-C. `load` reloads the project.

        A changed test file runs its own tests, any other source runs all. With `failed_first`, failed tests run until
        none fails, then all.
        """
        from hypervisor_tools.soltest.compile.compiler import ResidentCompiler

        with closing(ResidentCompiler()) as self.resident:
            self._watch(load, run_all=run_all, failed_first=failed_first)

    def _watch(self, load: Callable[[], Project], *, run_all: bool, failed_first: bool) -> None:
        from hypervisor_tools.soltest.project.sources import file_states, wait_for_change

        wanted = self.wanted
        while True:
            seen = file_states(self.project)
            try:
                status = self.once(wanted)
                if failed_first and not status and wanted is not self.wanted:
                    self.once()
            except HypervisorError as error:  # the sources are being edited; wait for the next change
                typer.echo(f"error: {error}", err=True)
            typer.echo("\nWaiting for a change; Ctrl-C ends.", err=True)
            files = wait_for_change(self.project, seen)
            try:
                self.project = load()
            except HypervisorError as error:
                typer.echo(f"error: {error}", err=True)
            wanted = self.wanted if run_all else self._affected_suites(files, failed_first=failed_first)

    def _affected_suites(self, files: Sequence[str], *, failed_first: bool) -> SuiteFilter:
        from hypervisor_tools.soltest.fuzz.stored_failures import failed_names

        failed = failed_names(self.project) if failed_first else None
        if failed is not None:
            return self.wanted._replace(test=failed)
        (last, *others) = files
        if others or not last.endswith(".t.sol") or not Path(last).is_file():
            return self.wanted
        return self.wanted._replace(path=Path(last).relative_to(self.project.root).as_posix())


def _ignore(_: str) -> None:
    """Discard output."""


def _names(suites: Iterable[Suite | SuiteResult]) -> set[tuple[str, str, str]]:
    """Return file, contract and signature of all tests of suites."""
    return {(suite.file, suite.contract, test.signature) for suite in suites for test in suite.tests}


def _store_failures(project: Project, suites: list[SuiteResult], left: Collection[str]) -> None:
    """Store failures for the next run, and print which were replayed and which corpus files are damaged.

    `left` are the signatures of tests that have not been run.
    """
    from hypervisor_tools.soltest.fuzz.stored_failures import failure_file, write_failures

    for suite in suites:
        for test in suite.tests:
            sys.stderr.writelines(f"Warning: {notice}\n" for notice in test.notices)
            if test.is_replayed:
                file = failure_file(project, test.kind, suite.contract, test.signature)
                sys.stderr.write(
                    f'Warning: Replayed invariant failure from "{file}" file.\n'
                    "Remove the file to ignore the failure and to search for others.\n"
                )
    write_failures(project, suites, left)


def _report_no_tests(session: SuiteSession) -> None:
    wanted = session.wanted
    names = "check_*, prove_*, invariant* and statefulFuzz*"
    kind, text = f"symbolic tests ({names})" if wanted.symbolic else "tests", wanted.text()
    hint = ""
    if wanted.test and not wanted.is_rerun:
        near = get_close_matches(wanted.test, session.excluded_tests(), 1)
        hint = f"; did you mean `{near[0]}`?" if near else "; a pattern is compared with signatures: test_a(uint256)"
    if session.has_symbolic_tests:
        hint = "; to run check_* and prove_* tests, add --symbolic"
    sys.stderr.write(f"no {kind} found in the project{f' by {text}' if text else ''}{hint}\n")


def _json(found: Any) -> str:
    import orjson

    return orjson.dumps(found).decode()
