"""`hypervisor test`: a Foundry project's Solidity tests on this machine."""

from __future__ import annotations

import sys
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from devtools.cli.exit_status import INTERRUPTED
from devtools.cli.options import EVM, OWN_ENGINE, Engines, checked_rules
from devtools.cli.vectors import CORES

if TYPE_CHECKING:
    from devtools.soltest.project import Project
    from devtools.soltest.results import SuiteResult
    from devtools.soltest.session import SuiteSession

_FILTERS = "Which tests"
_FUZZ = "Fuzz and invariant tests"
_REPORTS = "Reports"


def _filter(name: str, short: str, what: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        f"--{name}", f"--{short}", metavar=what, rich_help_panel=_FILTERS, show_default=False
    )
    return option


def run_tests(
    path: Annotated[Path, typer.Argument(help="The project, or a file or folder of its tests.")] = Path(),
    match_test: Annotated[str | None, _filter("match-test", "mt", "RE")] = None,
    no_match_test: Annotated[str | None, _filter("no-match-test", "nmt", "RE")] = None,
    match_contract: Annotated[str | None, _filter("match-contract", "mc", "RE")] = None,
    no_match_contract: Annotated[str | None, _filter("no-match-contract", "nmc", "RE")] = None,
    match_path: Annotated[str | None, _filter("match-path", "mp", "GLOB")] = None,
    no_match_path: Annotated[str | None, _filter("no-match-path", "nmp", "GLOB")] = None,
    verbosity: Annotated[
        int, typer.Option("--verbosity", "-v", count=True, help="-vv logs, -vvv traces of failures, up to -vvvvv.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    rules: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Whose gas and accounting: ethereum, filecoin or others that are installed; actors are there in all.",
            callback=checked_rules,
        ),
    ] = "ethereum",
    network: Annotated[
        str | None, typer.Option(metavar="nvN[,nvN]", help="The network version; several are compared.")
    ] = None,
    evm: Annotated[Engines, EVM] = OWN_ENGINE,
    bundle: Annotated[str | None, typer.Option(metavar="CAR|vN", help="Built-in actors (default: our own).")] = None,
    use: Annotated[
        str | None, typer.Option(metavar="VERSION|PATH", help="The solc to compile with: npm's, or a program.")
    ] = None,
    solc_from_project: Annotated[
        bool,
        typer.Option("--solc-from-project", help="Run the compiler that lies in the project: its node_modules/solc."),
    ] = False,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="The profile of foundry.toml (default: FOUNDRY_PROFILE).")
    ] = None,
    fuzz_runs: Annotated[int | None, typer.Option(min=1, rich_help_panel=_FUZZ)] = None,
    fuzz_seed: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Repeats a run.", rich_help_panel=_FUZZ)
    ] = None,
    invariant_runs: Annotated[int | None, typer.Option(min=1, rich_help_panel=_FUZZ)] = None,
    invariant_depth: Annotated[int | None, typer.Option(min=1, rich_help_panel=_FUZZ)] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that one test may take.")] = 300.0,
    ffi: Annotated[bool, typer.Option("--ffi", help="Let tests run programs.")] = False,
    real_filecoin: Annotated[
        bool, typer.Option("--real-filecoin", help="Leave out what tests etch at Filecoin's precompiles.")
    ] = False,
    code_size_limit: Annotated[
        int | None, typer.Option(min=0, metavar="BYTES", help="The longest code of a contract that a test deploys.")
    ] = None,
    gas_snapshot_check: Annotated[
        Literal["true", "false"] | None, typer.Option(help="Compare measured gas with snapshots/.", show_default=False)
    ] = None,
    gas_snapshot_emit: Annotated[
        Literal["true", "false"] | None, typer.Option(help="Write measured gas to snapshots/.", show_default=False)
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            "--workers", "-j", "--threads", min=1, help="Processes to use.", show_default="the number of cores"
        ),
    ] = CORES,
    lists: Annotated[bool, typer.Option("--list", "-l", help="Print the tests without running them.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="End behind the first suite that fails.")] = False,
    gas_report: Annotated[
        bool,
        typer.Option("--gas-report", help="Gas by contract and function, native actors too.", rich_help_panel=_REPORTS),
    ] = False,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Lines, statements, branches, functions.", rich_help_panel=_REPORTS)
    ] = False,
    lcov: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the coverage to a file, too.", rich_help_panel=_REPORTS),
    ] = None,
) -> None:
    """Run a Foundry project's tests; calls of Filecoin's precompiles and actors are executed.

    Exit status: 0 if every test passed (or no test was found), 1 if one failed or the sources do not compile; with
    several network versions also where a test has another result in one of them. 2 for what cannot be run at all:
    options, foundry.toml, a compiler that is not there. 130 after Ctrl-C, with the results so far and the
    tests that ran.

    Example: hypervisor test --match-contract Counter -vvv
    """
    from devtools.cli.progress import running_line
    from devtools.soltest.discovery import SuiteFilter
    from devtools.soltest.project import find_root, load_project
    from devtools.soltest.session import Options, SuiteSession
    from hypervisor.errors import InvalidInput
    from hypervisor.opening import OFFICIAL_EVM
    from hypervisor.user_files import check_output
    from localnet.rules.installed import rules_named

    if not isfinite(timeout):
        raise typer.BadParameter(f"--timeout {timeout} is not a number of seconds")
    if evm == OFFICIAL_EVM and not rules_named(rules).features.has_official_evm:
        raise InvalidInput(
            f"the rules '{rules}' need this project's own EVM: choose another --evm, or --rules filecoin"
        )
    numbers = [_number(word) for word in network.split(",")] if network else [None]
    collected = _report(gas_report, coverage or lcov is not None, len(numbers))
    check_output(lcov, "the coverage")
    place = path.resolve()
    if not place.exists():
        raise InvalidInput(f"there is no file or folder {place}")
    root = find_root(place if place.is_dir() else place.parent)
    project = load_project(root, profile)
    match = project.match
    wanted = SuiteFilter(
        test=match_test or match.get("match_test"),
        no_test=no_match_test or match.get("no_match_test"),
        contract=match_contract or match.get("match_contract"),
        no_contract=no_match_contract or match.get("no_match_contract"),
        path=match_path or match.get("match_path"),
        no_path=no_match_path or match.get("no_match_path"),
        inside=None if place == root else place.relative_to(root).as_posix(),
    )
    fuzz = (fuzz_runs, _seed(fuzz_seed))
    project = _with_options(project, fuzz, (invariant_runs, invariant_depth), ffi, code_size_limit)
    shows_logs = verbosity >= 2 or as_json
    project = replace(
        project,
        gas_snapshot_check=project.gas_snapshot_check if gas_snapshot_check is None else gas_snapshot_check == "true",
        gas_snapshot_emit=project.gas_snapshot_emit if gas_snapshot_emit is None else gas_snapshot_emit == "true",
    )
    options = Options(
        rules, evm, bundle, use, solc_from_project, timeout, workers, verbosity, real_filecoin, shows_logs, collected
    )
    session = SuiteSession(project, wanted, options, lambda line: typer.echo(line, err=True), running_line())
    session.prepare()
    if lists:
        _list(session, as_json)
        return
    if len(numbers) > 1:
        raise typer.Exit(_compare(session, [number for number in numbers if number is not None], as_json))
    raise typer.Exit(_run(session, numbers[0], as_json, lcov, fail_fast))


def _report(gas: bool, coverage: bool, versions: int) -> str:
    if gas and coverage:
        raise typer.BadParameter("--gas-report and --coverage are two runs: coverage slows tests down")
    if versions > 1 and (gas or coverage):
        raise typer.BadParameter("--gas-report and --coverage are of one network version: --network names several")
    return "gas" if gas else "coverage" if coverage else ""


def _list(session: SuiteSession, as_json: bool) -> None:
    """Print the names of the tests by file and contract, as forge does."""
    files: dict[str, dict[str, list[str]]] = {}
    for suite in sorted(session.suites, key=lambda suite: (suite.file, suite.contract)):
        files.setdefault(suite.file, {})[suite.contract] = [test.name for test in suite.tests]
    if as_json:
        typer.echo(_json(files))
        return
    for file, contracts in files.items():
        typer.echo(file)
        for contract, names in contracts.items():
            typer.echo("\n    ".join([f"  {contract}", *names]) + "\n")


def _run(session: SuiteSession, network: int | None, as_json: bool, lcov: Path | None, fail_fast: bool) -> int:
    """Run and print; the exit status."""
    from time import perf_counter

    from devtools.soltest import report
    from devtools.soltest.results import CaseStatus

    begin = perf_counter()
    suites: list[SuiteResult] = []
    is_interrupted = False
    try:
        for suite in session.run(network):
            suites.append(suite)
            if not as_json:
                typer.echo("\n".join(report.suite_lines(suite, session.options.verbosity)))
            if fail_fast and suite.count(CaseStatus.FAILURE):
                break
    except KeyboardInterrupt:  # the results so far are printed
        is_interrupted = True
    if as_json:
        typer.echo(_json(report.as_json(suites)))
    elif not suites:
        sys.stderr.write(f"no tests found in the project{_with_filter(session)}\n")
    else:
        typer.echo("\n".join(report.summary_lines(suites, perf_counter() - begin)))
    if is_interrupted:
        return INTERRUPTED
    if session.options.report:
        _print_reports(session, suites, as_json, lcov)
    is_same = _keep_snapshots(session, suites)
    return int(any(suite.count(CaseStatus.FAILURE) for suite in suites) or not is_same)


def _keep_snapshots(session: SuiteSession, suites: list[SuiteResult]) -> bool:
    """Compare and write what tests have measured; whether nothing differs. Gas of Filecoin's is not forge's."""
    from bridge.ethereum_block import ETHEREUM
    from devtools.soltest.gas_snapshots import differences, measured, write

    project = session.project
    if session.options.rules != ETHEREUM:
        return True
    found, folder = measured(suites), project.root / project.snapshots
    lines = list(differences(found, folder)) if project.gas_snapshot_check else []
    if lines:
        typer.echo("\n".join([*lines, "\nError: Snapshots differ from previous run"]), err=True)
    elif project.gas_snapshot_emit:
        write(found, folder, project.root)
    return not lines


def _with_filter(session: SuiteSession) -> str:
    words = session.wanted.text()
    hint = "; a test's name is that of its signature, test_a(uint256)" if session.wanted.test else ""
    return f" by {words}{hint}" if words else ""


def _print_reports(session: SuiteSession, suites: list[SuiteResult], as_json: bool, lcov: Path | None) -> None:
    """Print the report; with --json as one more object, on a line of its own."""
    from devtools.soltest import coverage, gas_report
    from devtools.soltest.collecting import merge

    if session.options.report == "gas":
        found = merge(part for suite in suites for part in suite.collected)
        typer.echo(_json(gas_report.gas_json(found)) if as_json else "\n".join(gas_report.gas_lines(found)))
        return
    files = session.coverage(suites)
    if lcov is not None:
        lcov.write_text(coverage.lcov(files), encoding="utf-8")
    typer.echo(_json(coverage.coverage_json(files)) if as_json else "\n".join(["", *coverage.coverage_lines(files)]))
    for suite in suites:
        for name in (name for part in suite.collected for name in part.cut):
            sys.stderr.write(f"counted in part, since it is long: {suite.contract}.{name}\n")


def _compare(session: SuiteSession, numbers: list[int], as_json: bool) -> int:
    """Run under each network version and print what differs; the exit status."""
    from devtools.soltest import report
    from devtools.soltest.compare import column, compare_lines, differences
    from devtools.soltest.results import CaseStatus

    found = {f"nv{number}": list(session.run(number)) for number in numbers}
    columns = {name: column(suites) for name, suites in found.items()}
    if as_json:
        typer.echo(_json({name: report.as_json(suites) for name, suites in found.items()}))
    else:
        typer.echo("\n".join(compare_lines(columns, session.options.verbosity)))
    failed = any(suite.count(CaseStatus.FAILURE) for suites in found.values() for suite in suites)
    return int(failed or bool(differences(columns)))


def _json(found: object) -> str:
    import orjson

    return orjson.dumps(found).decode()


def _number(word: str) -> int:
    from hypervisor.network_versions import network_version

    digits = word.strip().removeprefix("nv")
    if not digits.isdecimal():
        raise typer.BadParameter(f"'{word}' is not a network version: expected nv29 or the like")
    return network_version(int(digits)).number


def _seed(text: str | None) -> int | None:
    try:
        return None if text is None else int(text, 0)
    except ValueError:
        raise typer.BadParameter(f"--fuzz-seed '{text}' is not a number") from None


def _with_options(
    project: Project, fuzz: tuple[int | None, int | None], invariant: tuple[int | None, int | None], ffi: bool,
    code_size_limit: int | None,
) -> Project:  # fmt: skip
    """The project with what the command line says in its place."""
    runs, seed = fuzz
    sequences, depth = invariant
    return replace(
        project,
        fuzz=replace(project.fuzz, runs=runs or project.fuzz.runs, seed=project.fuzz.seed if seed is None else seed),
        invariant=replace(
            project.invariant,
            runs=sequences or project.invariant.runs,
            depth=depth or project.invariant.depth,
        ),
        ffi=ffi or project.ffi,
        code_size_limit=project.code_size_limit if code_size_limit is None else code_size_limit,
    )
