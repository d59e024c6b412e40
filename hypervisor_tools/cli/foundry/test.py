"""`hypervisor test`: run a Foundry project's Solidity tests.

Annotations are not postponed: typer would evaluate them, and so make all options, three times.
"""

from dataclasses import replace
from enum import StrEnum
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.foundry.settings import check_folders, command_line_settings, with_consent
from hypervisor_tools.cli.options import (
    CORES,
    EVM,
    MAX_SLOTS,
    OWN_ENGINE,
    Engines,
    Precompiles,
    in_panel,
    parse_precompiles,
    parse_rules_name,
    parsed_numbers,
    path_or_name,
)

if TYPE_CHECKING:
    from hypervisor_tools.laboratory.sides import Side
    from hypervisor_tools.soltest.project.project import Project

_filter_option, _fuzz_option = in_panel("Filters"), in_panel("Fuzz and invariant tests")
_report_option, _watch_option, _symbolic_option = (
    in_panel("Reports"),
    in_panel("Watch mode"),
    in_panel("Symbolic tests"),
)


class CoverageKind(StrEnum):
    """Formats of the coverage report."""

    SUMMARY = "summary"
    LCOV = "lcov"
    DEBUG = "debug"
    BYTECODE = "bytecode"


def _filter(name: str, short: str, what: str) -> typer.models.OptionInfo:
    selected = {
        "test": "tests whose name matches",
        "contract": "contracts whose name matches",
        "path": "files that match",
    }
    effect = f"{'Skip' if name.startswith('no-') else 'Run only'} {selected[name.rpartition('-')[2]]}."
    option: typer.models.OptionInfo = _filter_option(f"--{name}", f"--{short}", metavar=what, help=effect)
    return option


def run_tests(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="Project folder, or a file or folder of its tests.")] = Path(),
    match_test: Annotated[str | None, _filter("match-test", "mt", "RE")] = None,
    no_match_test: Annotated[str | None, _filter("no-match-test", "nmt", "RE")] = None,
    match_contract: Annotated[str | None, _filter("match-contract", "mc", "RE")] = None,
    no_match_contract: Annotated[str | None, _filter("no-match-contract", "nmc", "RE")] = None,
    match_path: Annotated[str | None, _filter("match-path", "mp", "GLOB")] = None,
    no_match_path: Annotated[str | None, _filter("no-match-path", "nmp", "GLOB")] = None,
    rerun: Annotated[
        bool, _filter_option("--rerun", help="Run the tests that failed in the last run, or all.")
    ] = False,
    root: Annotated[Path | None, typer.Option(metavar="DIR", help="Project folder that contains PATH.")] = None,
    verbosity: Annotated[
        int,
        typer.Option(
            "--verbosity", "-v", count=True, help="Verbosity: -vv logs, -vvv traces of failed tests, up to -vvvvv."
        ),
    ] = 0,
    suppress_successful_traces: Annotated[
        bool,
        typer.Option(
            "--suppress-successful-traces",
            "-s",
            envvar="FORGE_SUPPRESS_SUCCESSFUL_TRACES",
            help="Print traces of failed tests only, at every verbosity.",
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing. The exit status shows the result.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    junit: Annotated[bool, typer.Option("--junit", help="Print JUnit XML.")] = False,
    summary: Annotated[bool, typer.Option("--summary", help="Print a summary table of suites.")] = False,
    detailed: Annotated[bool, typer.Option("--detailed", help="Print a summary table with files and times.")] = False,
    show_progress: Annotated[
        bool, typer.Option("--show-progress", help="Print a progress line per suite, and results at the end.")
    ] = False,
    allow_failure: Annotated[
        bool,
        typer.Option("--allow-failure", envvar="FORGE_ALLOW_FAILURE", help="Exit with status 0 even if tests fail."),
    ] = False,
    allow_test_fail: Annotated[
        bool,
        typer.Option(
            "--allow-test-fail",
            help="Run testFail* as tests that must fail, as forge did before 1.0 (default: they fail).",
        ),
    ] = False,
    rules: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Rules for gas and accounting: ethereum, filecoin, or installed ones. Built-in actors "
            "exist under all rules.",
            callback=parse_rules_name,
        ),
    ] = "ethereum",
    network: Annotated[str | None, typer.Option(metavar="nvN", help="Network version.")] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Run each test under two hard forks, or two network versions or drafts (.toml), and explain the "
            "differences (docs/impact.md).",
        ),
    ] = None,
    evm: Annotated[Engines, EVM] = OWN_ENGINE,
    bundle: Annotated[
        str | None, typer.Option(metavar="CAR|vN", help="Bundle of built-in actors (default: this project's own).")
    ] = None,
    use: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION|PATH", help="Solidity compiler: a version, an npm package's folder, or a program."
        ),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="Profile of foundry.toml (default: FOUNDRY_PROFILE).")
    ] = None,
    fuzz_runs: Annotated[
        int | None, _fuzz_option(min=1, max=(1 << 32) - 1, help="Number of runs per fuzz test.")
    ] = None,
    fuzz_seed: Annotated[
        str | None, _fuzz_option(metavar="NUMBER", help="Seed of the random inputs, to repeat a run.")
    ] = None,
    fuzz_timeout: Annotated[
        int | None, _fuzz_option(min=0, metavar="SECONDS", help="Time limit per fuzz test; at the limit it passes.")
    ] = None,
    fuzz_input_file: Annotated[
        Path | None, _fuzz_option(metavar="FILE", help="File of a stored failure that fuzz tests run first.")
    ] = None,
    invariant_runs: Annotated[int | None, _fuzz_option(min=1, help="Number of runs per invariant test.")] = None,
    invariant_depth: Annotated[
        int | None, _fuzz_option(min=1, help="Number of calls per run of an invariant test.")
    ] = None,
    decode_internal: Annotated[
        bool, typer.Option("--decode-internal", help="Show internal functions and their arguments in traces.")
    ] = False,
    flamegraph: Annotated[
        bool, _report_option("--flamegraph", help="Write a flame graph of the selected test's gas to cache/.")
    ] = False,
    flamechart: Annotated[
        bool, _report_option("--flamechart", help="Write a flame chart, in order of calls, to cache/.")
    ] = False,
    gas_growth: Annotated[
        str | None,
        _report_option(
            metavar="N[,N]",
            help="Print the selected test's gas while the contracts of setUp have N more slots (docs/gas.md).",
        ),
    ] = None,
    brutalize: Annotated[
        bool,
        typer.Option(
            "--brutalize",
            help="Compile the sources in src with dirty bits and memory, which correct inline assembly tolerates.",
        ),
    ] = False,
    symbolic: Annotated[
        bool,
        _symbolic_option(
            "--symbolic",
            help="Run check_* and prove_* for all inputs, invariant* and statefulFuzz* up to --symbolic-invariant-depth"
            " (docs/symbolic-tests.md).",
        ),
    ] = False,
    symbolic_fuzz: Annotated[
        bool, _symbolic_option("--symbolic-fuzz", help="Like --symbolic, with fuzz tests too.")
    ] = False,
    symbolic_lengths: Annotated[
        str, _symbolic_option(metavar="N[,N]", help="Lengths of arrays in arguments.")
    ] = "0,1,2",
    symbolic_bytes: Annotated[str, _symbolic_option(metavar="N[,N]", help="Lengths of bytes and strings.")] = "0,32,65",
    symbolic_loop: Annotated[
        int, _symbolic_option(min=1, max=65_536, help="Maximum symbolic iterations of a loop.")
    ] = 8,
    symbolic_paths: Annotated[
        int, _symbolic_option(min=1, max=1_000_000, help="Maximum number of paths per test.")
    ] = 10_000,
    symbolic_timeout: Annotated[
        float, _symbolic_option(min=0.1, max=86_400, help="Time limit per symbolic test in seconds of processor time.")
    ] = 120.0,
    symbolic_invariant_depth: Annotated[
        int, _symbolic_option(min=1, max=1000, help="Maximum number of calls of an invariant test's sequences.")
    ] = 10,
    write_tests: Annotated[
        Path | None,
        _report_option(metavar="DIR", help="Write counterexamples as unit tests."),
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Open the selected test in the debugger (docs/debugger.md).")
    ] = False,
    dap: Annotated[
        bool,
        typer.Option("--dap", help="With --debug: serve the Debug Adapter Protocol on standard input and output."),
    ] = False,
    command: Annotated[
        list[str] | None,
        typer.Option(
            "--command", "-x", metavar="COMMAND", help="With --debug: debugger command to run first; repeatable."
        ),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=86_400, help="Time limit per test in seconds.")] = 300.0,
    ffi: Annotated[bool, typer.Option("--ffi", help="Allow tests to run programs.")] = False,
    real_filecoin: Annotated[
        bool, typer.Option("--real-filecoin", help="Ignore code that tests etch at Filecoin's precompiles.")
    ] = False,
    precompile: Precompiles = None,
    gas_snapshot_check: Annotated[
        Literal["true", "false"] | None, typer.Option(help="Compare measured gas with snapshots/.")
    ] = None,
    gas_snapshot_emit: Annotated[
        Literal["true", "false"] | None, typer.Option(help="Write measured gas to snapshots/.")
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            "-j",
            "--threads",
            "--jobs",
            min=0,
            help="Number of processes; 0 uses all cores.",
            show_default="the number of cores",
        ),
    ] = CORES,
    lists: Annotated[bool, typer.Option("--list", "-l", help="Print the tests without running them.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop after the first failing suite.")] = False,
    gas_report: Annotated[
        bool,
        _report_option(
            "--gas-report",
            envvar="FORGE_GAS_REPORT",
            help="Print gas per contract and function, as forge does (implies --isolate).",
        ),
    ] = False,
    coverage: Annotated[
        bool, _report_option("--coverage", help="Print coverage of lines, statements, branches and functions.")
    ] = False,
    ir_minimum: Annotated[
        bool,
        _report_option(
            "--ir-minimum", help='Compile coverage through the IR, for sources with "stack too deep" errors.'
        ),
    ] = False,
    report: Annotated[list[CoverageKind] | None, _report_option(help="Coverage format; repeatable.")] = None,
    report_file: Annotated[
        Path | None, _report_option(metavar="FILE", help="Output file of lcov (default: lcov.info).")
    ] = None,
    no_match_coverage: Annotated[
        str | None,
        _report_option("--no-match-coverage", "--nmco", metavar="RE", help="Sources to exclude from coverage."),
    ] = None,
    lcov: Annotated[Path | None, _report_option(metavar="FILE", help="Also write the coverage to a file.")] = None,
    snapshot: Annotated[
        Literal["write", "check", "diff"] | None,
        _report_option(help="Write, check or compare .gas-snapshot, as `forge snapshot` does."),
    ] = None,
    snap: Annotated[Path | None, _report_option(metavar="FILE", help="Snapshot file (default: .gas-snapshot).")] = None,
    tolerance: Annotated[
        float,
        _report_option(min=0, metavar="PERCENT", help="Tolerance of --snapshot check and of --compare, in percent."),
    ] = 0.0,
    watch: Annotated[
        bool, _watch_option("--watch", "-w", help="Rerun the affected tests when a source changes.")
    ] = False,
    run_all: Annotated[bool, _watch_option("--run-all", help="With --watch: rerun all tests.")] = False,
    rerun_failed: Annotated[
        bool, _watch_option("--rerun-failed", help="With --watch: rerun the failed tests.")
    ] = False,
) -> None:
    """Run a Foundry project's tests, with Filecoin's precompiles and built-in actors.

    Exit status: 0 if all tests passed or none was found; 1 if a test failed or was not decided, the sources do not
    compile, or with --compare if an outcome differs; 2 if the tests cannot be run, e.g. for invalid options, an
    invalid foundry.toml or a missing compiler; 130 after Ctrl-C, with the results so far. With --mutate: 0, or 1 if the
    score is below --mutation-min-score or a test fails without a change.

    Example: hypervisor test --match-contract Counter -vvv
    """
    from hypervisor.installation import OFFICIAL_EVM, check_output, exists
    from hypervisor_tools.cli.foundry.modes import check_symbolic, mutation_options_of, run_mutation, symbolic_settings
    from hypervisor_tools.cli.foundry.runs import Reports, SuiteRuns
    from hypervisor_tools.soltest.execution.discovery import SuiteFilter
    from hypervisor_tools.soltest.execution.job import Options
    from hypervisor_tools.soltest.fuzz.stored_failures import failed_names
    from hypervisor_tools.soltest.project.globs import in_project
    from hypervisor_tools.soltest.project.project import find_root, load_project
    from hypervisor_tools.soltest.report.gas import SEED

    sides = None
    if compare is not None:
        from hypervisor_tools.laboratory.sides import rules_pair

        sides = rules_pair(compare, "--compare")
        rules = _compared_rules(context, rules, sides, network)
    if isnan(timeout):  # passes each comparison of the range
        raise typer.BadParameter(f"--timeout {timeout} is not a number of seconds")
    if evm == OFFICIAL_EVM:
        from localnet.rules.parts import rules_named

        if not rules_named(rules).features.has_official_evm:
            raise InvalidInput(
                f"the rules '{rules}' need this project's own EVM: choose another --evm, or --rules filecoin"
            )
    number = _number(network) if network else None
    kinds = set(report or ()) | ({CoverageKind.SUMMARY} if coverage or (lcov and not report) else set())
    if CoverageKind.LCOV in kinds:
        lcov = lcov or report_file or Path("lcov.info")
    collected = _report(gas_report, bool(kinds) or lcov is not None)
    if ir_minimum and collected != "coverage":
        raise typer.BadParameter("--ir-minimum applies to coverage: add --coverage, --lcov or --report")
    _check_together({
        "--json": as_json, "--junit": junit, "--quiet": quiet, "--show-progress": show_progress and not quiet,
    })  # fmt: skip
    if dap and (command or not debug):
        raise typer.BadParameter("--dap serves an editor: pass it with --debug and without --command")
    if compare is not None:
        others = {
            "--list": lists, "--debug": debug, "--watch": watch, "--symbolic": symbolic or symbolic_fuzz,
            "--coverage": collected == "coverage", "--gas-report": gas_report, "--snapshot": snapshot is not None,
            "--flamegraph": flamegraph or flamechart, "--brutalize": brutalize,
        }  # fmt: skip
        for other in (name for name, is_set in others.items() if is_set):
            _check_together({"--compare": True, other: True}, "run them separately")
    if watch and (as_json or junit or quiet or lists):
        raise typer.BadParameter("--watch prints text results only: omit --json, --junit, --quiet and --list")
    _check_snapshot(snapshot, snap, tolerance if compare is None else 0)
    if (flamegraph or flamechart) and (lists or debug or watch or (flamegraph and flamechart)):
        raise typer.BadParameter(
            "--flamegraph and --flamechart draw a single run: pass one of them, without --list, --debug or --watch"
        )
    if gas_growth is not None and (rules == "ethereum" or lists or debug or watch or compare is not None):
        raise typer.BadParameter(
            "--gas-growth measures a test under Filecoin's rules: pass --rules filecoin, without --list, --debug, "
            "--watch and --compare"
        )
    check_output(lcov, "the coverage")
    bounds = symbolic_settings(
        symbolic_fuzz, (symbolic_lengths, symbolic_bytes), symbolic_loop, symbolic_paths, symbolic_invariant_depth,
        min(symbolic_timeout, timeout),
    )  # fmt: skip
    if symbolic or symbolic_fuzz:
        check_symbolic(rules, {
            "--coverage": collected == "coverage", "--gas-report": gas_report, "--debug": debug,
            "--snapshot": snapshot is not None, "--flamegraph": flamegraph or flamechart,
        })  # fmt: skip
    if brutalize:
        _check_together({
            "--brutalize": True, "--coverage": collected == "coverage", "--debug": debug,
            "--snapshot": snapshot is not None, "--flamegraph": flamegraph, "--flamechart": flamechart,
        }, "run them separately")  # fmt: skip
    mutation = mutation_options_of(context, {
        "--brutalize": brutalize,
        "--list": lists, "--debug": debug, "--watch": watch, "--symbolic": symbolic or symbolic_fuzz, "--junit": junit,
        "--compare": compare is not None, "--snapshot": snapshot is not None,
        "--coverage": collected == "coverage", "--gas-report": gas_report,
        "--flamegraph": flamegraph or flamechart,
    })  # fmt: skip
    named = None if root is None else _root(root)
    resolved = path.resolve() if named is None else (named / path).resolve()
    if not exists(resolved):
        raise InvalidInput(f"there is no file or folder {resolved}")
    home = named or find_root(resolved if resolved.is_dir() else resolved.parent)
    settings, seed = command_line_settings(context), _seed(fuzz_seed)
    check_folders(context, home)

    def load() -> "Project":
        project = load_project(home, profile, settings)
        project = with_consent(context, project, ffi=ffi)
        default = SEED if snapshot and project.fuzz.seed is None else None
        project = _with_options(
            project, (fuzz_runs, default if seed is None else seed), (invariant_runs, invariant_depth)
        )
        check, emit = gas_snapshot_check, gas_snapshot_emit
        if collected == "coverage":
            from hypervisor_tools.soltest.report.coverage import coverage_settings

            compiler = coverage_settings(project.compiler, ir_minimum=ir_minimum)
            project = replace(project, compiler=compiler)
        return replace(
            project,
            allow_test_fail=allow_test_fail,
            symbolic=bounds,
            isolate=_isolates(project, rules, gas_report=gas_report, is_plain=symbolic or symbolic_fuzz or debug),
            dynamic_test_linking=project.dynamic_test_linking
            and not (symbolic or symbolic_fuzz or debug)
            and compare is None,
            fuzz=replace(
                project.fuzz,
                timeout=project.fuzz.timeout if fuzz_timeout is None else fuzz_timeout,
                input_file=None if fuzz_input_file is None else str(_file(fuzz_input_file)),
            ),
            gas_snapshot_check=project.gas_snapshot_check if check is None else check == "true",
            gas_snapshot_emit=project.gas_snapshot_emit if emit is None else emit == "true",
        )

    project = load()
    if "fork_block_number" in settings and project.eth_rpc_url is None:
        raise InvalidInput("--fork-block-number needs a node: pass --fork-url, or set eth_rpc_url in foundry.toml")
    verbosity = max(verbosity or project.verbosity, 3 if gas_report else 0)
    match = project.match
    failed = failed_names(project) if rerun else None
    wanted = SuiteFilter(
        test=match_test or failed or match.get("match_test"),
        no_test=no_match_test or match.get("no_match_test"),
        contract=match_contract or match.get("match_contract"),
        no_contract=no_match_contract or match.get("no_match_contract"),
        path=in_project(match_path or match.get("match_path"), project.root),
        no_path=in_project(no_match_path or match.get("no_match_path"), project.root),
        inside=None if resolved == home else resolved.relative_to(home).as_posix(),
        symbolic="fuzz" if symbolic_fuzz else "checks" if symbolic else "",
        is_rerun=failed is not None and not match_test,
    )
    options = Options(
        rules, evm, None if bundle is None else path_or_name(bundle), use, timeout, workers or CORES, verbosity,
        real_filecoin, shows_logs=verbosity >= 2 or junit, report=collected, hides_passed=suppress_successful_traces,
        precompiles=parse_precompiles(precompile), network=number, decodes_internal=decode_internal,
        records_logs=as_json, records_traces=as_json and not collected, brutalizes=brutalize,
    )  # fmt: skip
    reports = Reports(
        form="json" if as_json else "junit" if junit else "none" if quiet else "text",
        summary=summary or detailed, detailed=detailed, at_end=show_progress or project.shows_progress,
        allow_failure=allow_failure, fail_fast=fail_fast, lcov=lcov, kinds=kinds,
        no_match_coverage=no_match_coverage or match.get("no_match_coverage"),
        flame="flamegraph" if flamegraph else "flamechart" if flamechart else None,
        growth=() if gas_growth is None else tuple(sorted(parsed_numbers(gas_growth, "--gas-growth", MAX_SLOTS))),
        write_tests=write_tests, snapshot=snapshot, snap=snap or home / ".gas-snapshot", tolerance=tolerance,
    )  # fmt: skip
    if mutation and gas_growth is not None:
        raise typer.BadParameter("--gas-growth measures one test: pass it without --mutate")
    if mutation:
        raise typer.Exit(run_mutation(project, wanted, options, mutation, reports.form))
    runs = SuiteRuns(project, wanted, options, reports)
    if lists:
        runs.print_list()
    elif debug:
        runs.debug(command or [], dap=dap)
    elif watch:
        runs.watch(load, run_all=run_all, failed_first=rerun_failed)
    elif sides is not None:
        raise typer.Exit(runs.compare(sides))
    else:
        raise typer.Exit(runs.once())


def _root(folder: Path) -> Path:
    from hypervisor_tools.soltest.project.consent import CONFIG_FILE

    if not (folder / CONFIG_FILE).is_file():
        raise InvalidInput(f"there is no {CONFIG_FILE} in {folder}: --root names the folder of a Foundry project")
    return folder.resolve()


def _file(path: Path) -> Path:
    from hypervisor_tools.soltest.fuzz.stored_failures import read_input

    if not path.is_file():
        raise InvalidInput(f"there is no file {path}: --fuzz-input-file names a stored failure")
    read_input(path)  # a damaged file would be skipped by the tests
    return path.resolve()


def _check_together(options: dict[str, bool], remedy: str = "choose one output format") -> None:
    names = [name for name, is_set in options.items() if is_set]
    if len(names) > 1:
        raise typer.BadParameter(f"{names[0]} and {names[1]} cannot be used together: {remedy}")


def _check_snapshot(snapshot: str | None, snap: Path | None, tolerance: float) -> None:
    if snap is not None and snapshot is None:
        raise typer.BadParameter("--snap names the file of --snapshot: add --snapshot write, check or diff")
    if tolerance and snapshot != "check":
        raise typer.BadParameter("--tolerance applies to --snapshot check and --compare: add one of them")


def _compared_rules(context: typer.Context, rules: str, sides: "tuple[Side, Side]", network: str | None) -> str:
    """Return the name of the rules of both sides. Raises BadParameter for options that name others."""
    from bridge.ethereum.block import ETHEREUM

    if network is not None:
        raise typer.BadParameter("--compare names both network versions: remove --network")
    source = context.get_parameter_source("rules")
    is_chosen = source is not None and source.name != "DEFAULT"
    if not sides[0].hardfork:
        if is_chosen and rules == ETHEREUM:
            raise typer.BadParameter("--compare of network versions runs under Filecoin's rules: remove --rules")
        return rules if is_chosen else "filecoin"
    if rules != ETHEREUM:
        raise typer.BadParameter(f"--compare of hard forks runs under Ethereum's rules, not {rules}: remove --rules")
    return rules


def _report(gas: bool, coverage: bool) -> str:
    if gas and coverage:
        raise typer.BadParameter(
            "--gas-report and --coverage cannot be used together (coverage changes gas): run them separately"
        )
    return "gas" if gas else "coverage" if coverage else ""


def _number(word: str) -> int:
    from hypervisor.installation import parse_version
    from hypervisor.versions.network_versions import network_version

    number = parse_version(word.strip())
    if number is None:
        raise typer.BadParameter(
            f"'{word:.40}' is not a network version: expected for example nv29 (to compare two: --compare)"
        )
    return network_version(number).number


def _seed(text: str | None) -> int | None:
    try:
        return None if text is None else int(text, 0)
    except ValueError:
        raise typer.BadParameter(f"--fuzz-seed '{text}' is not a number") from None


def _isolates(project: "Project", rules: str, *, gas_report: bool, is_plain: bool) -> bool | None:
    """Return True if each call of a test is a transaction; None for the default of the rules.

    A mode that `is_plain` executes a test as one transaction by default.
    """
    from bridge.ethereum.block import ETHEREUM

    if gas_report and rules == ETHEREUM:
        return True
    return False if is_plain and project.isolate is None else project.isolate


def _with_options(
    project: "Project", fuzz: tuple[int | None, int | None], invariant: tuple[int | None, int | None]
) -> "Project":
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
    )
