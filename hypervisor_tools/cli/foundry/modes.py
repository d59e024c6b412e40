"""Modes of `hypervisor test`: mutation tests, symbolic tests, and the debugger, flame graphs and growth of one test."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import typer
from typer.core import TyperOption

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.commands import FAILED, INTERRUPTED
from hypervisor_tools.cli.options import parsed_numbers

if TYPE_CHECKING:
    from pathlib import Path

    from hypervisor_tools.debugger.session import Session
    from hypervisor_tools.laboratory.compare.growth import GrowthPoint
    from hypervisor_tools.soltest.execution.discovery import SuiteFilter
    from hypervisor_tools.soltest.execution.job import Options
    from hypervisor_tools.soltest.project.project import Project
    from hypervisor_tools.soltest.project.test_settings import SymbolicSettings
    from hypervisor_tools.soltest.run.session import SuiteSession
    from hypervisor_tools.soltest.run.staged_test import StagedTest

_META: Final = "mutation"
_PANEL: Final = "Mutation tests"
_ALL: Final = ""
"""Value of --mutate without a path."""
_OPTIONS: Final[Sequence[tuple[str, str, type, str]]] = (
    ("--mutate-path", "GLOB", str, "Mutate the sources that match."),
    ("--mutate-contract", "RE", str, "Mutate the contracts whose name matches."),
    ("--mutation-jobs", "N", int, "Mutants tested in parallel; 0 uses all cores (default: --workers)."),
    (
        "--mutation-timeout",
        "SECONDS",
        float,
        "Time limit per mutant (default: 10 times its tests' duration, at least 20 s).",
    ),
    ("--mutation-min-score", "PERCENT", float, "Exit with status 1 if the score is lower."),
)

_RANGES: Final = {"--mutation-jobs": (0, 1024), "--mutation-timeout": (0.1, 86_400), "--mutation-min-score": (0, 100)}


def mutation_options() -> list[TyperOption]:
    """Return the options of mutation tests, whose values `mutation_options_of` collects."""

    def keep(context: Any, parameter: Any, value: Any) -> Any:
        if value not in (None, ()):
            context.meta.setdefault(_META, {})[parameter.opts[0]] = value
        return value

    first = TyperOption(
        param_decls=["--mutate"], callback=keep, expose_value=False, type=str, multiple=True, default=None,
        metavar="[PATH...]", rich_help_panel=_PANEL, show_default=False,
        help="Mutation tests: change the sources and list the changes that no test detects (docs/mutation-tests.md).",
    )  # fmt: skip
    return [first] + [
        TyperOption(
            param_decls=[name], callback=keep, expose_value=False, type=kind, default=None, metavar=metavar, help=text,
            rich_help_panel=_PANEL, show_default=False,
        )
        for name, metavar, kind, text in _OPTIONS
    ]  # fmt: skip


def with_mutated_paths(arguments: Sequence[str]) -> list[str]:
    """Repeat --mutate before each of its paths; without a path, give it the value `_ALL`."""
    found: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument != "--mutate":
            found.append(argument)
            continue
        paths = []
        while rest and not rest[0].startswith("-"):
            paths.append(rest.pop(0))
        for path in paths or [_ALL]:
            found += ["--mutate", path]
    return found


def mutation_options_of(context: Any, others: Mapping[str, bool]) -> dict[str, Any]:
    """Return the values of the mutation options, or {} without --mutate.

    `others` maps mutually exclusive options to True if set. Raises BadParameter.
    """
    given: dict[str, Any] = context.meta.get(_META, {})
    if given and "--mutate" not in given:
        raise typer.BadParameter(f"{next(iter(given))} applies to mutation tests: add --mutate")
    for name, is_set in others.items():
        if given and is_set:
            raise typer.BadParameter(f"--mutate and {name} cannot be used together: run them separately")
    paths = [path for path in given.get("--mutate", ()) if path != _ALL]
    if "--mutate-path" in given and (paths or "--mutate-contract" in given):
        other = "paths of --mutate" if paths else "--mutate-contract"
        raise typer.BadParameter(f"--mutate-path and {other} cannot be used together: pass one of them")
    for name, (low, high) in _RANGES.items():
        if not low <= given.get(name, low) <= high:
            raise typer.BadParameter(f"{name} is {given[name]:g}: expected {low:g} to {high:g}")
    return given


def run_mutation(project: Project, wanted: SuiteFilter, options: Options, given: Mapping[str, Any], form: str) -> int:
    """Run mutation tests and print the results as `form`: text, json or none. Return the exit status."""
    from hypervisor_tools.soltest.mutate.results import mutation_json, mutation_lines
    from hypervisor_tools.soltest.mutate.run import BaselineFailed, MutationRun
    from hypervisor_tools.soltest.project.test_settings import MutationSettings

    settings = MutationSettings(
        tuple(_relative(project.root.resolve(), path) for path in given["--mutate"] if path != _ALL),
        given.get("--mutate-path"), given.get("--mutate-contract"),
        given.get("--mutation-jobs", options.workers) or os.cpu_count() or 1,
        given.get("--mutation-timeout"), given.get("--mutation-min-score"),
    )  # fmt: skip
    notify = _ignore if form == "none" else lambda line: typer.echo(line, err=True)
    try:
        found = MutationRun(project, wanted, options, settings, notify, _progress).run()
    except BaselineFailed as error:
        typer.echo(f"error: {error}", err=True)
        return FAILED
    if form == "json":
        import orjson

        typer.echo(orjson.dumps(mutation_json(found)).decode())
    elif form == "text":
        typer.echo("\n".join(mutation_lines(found, options.verbosity)))
    score = found.score()
    if found.untested:
        return INTERRUPTED
    return FAILED if settings.min_score is not None and (score is None or score < settings.min_score) else 0


def _relative(root: Path, path: str) -> str:
    candidates = [(root / path).resolve(), Path(path).resolve()]
    found = next((each for each in candidates if each.exists() and each.is_relative_to(root)), None)
    if found is None:
        raise InvalidInput(
            f"--mutate {path}: there is no such source or folder in {root}; pass the project's folder before --mutate"
        )
    return found.relative_to(root).as_posix()


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done}/{total} mutants\x1b[K" if done < total else "\r\x1b[K")
        sys.stderr.flush()


def _ignore(_: str) -> None:
    """Discard output."""


_MAX_LENGTH = 1024


def symbolic_settings(
    fuzz: bool, lengths: tuple[str, str], loop: int, paths: int, depth: int, seconds: float
) -> SymbolicSettings:
    """Return the bounds of symbolic tests from the values of their options."""
    from hypervisor_tools.soltest.project.test_settings import SymbolicSettings

    arrays, texts = lengths
    return SymbolicSettings(
        fuzz, parsed_numbers(arrays, "--symbolic-lengths", _MAX_LENGTH),
        parsed_numbers(texts, "--symbolic-bytes", _MAX_LENGTH), loop, paths,
        invariant_depth=depth, seconds=seconds,
    )  # fmt: skip


def check_symbolic(rules: str, others: Mapping[str, bool]) -> None:
    """Raise for options that symbolic tests exclude, and if z3 is not installed."""
    from bridge.ethereum.block import ETHEREUM

    if rules != ETHEREUM:
        raise InvalidInput(f"symbolic tests run under the rules ethereum, not {rules}: remove --rules")
    for name, is_set in others.items():
        if is_set:
            raise typer.BadParameter(f"--symbolic and {name} cannot be used together: run them separately")
    if find_spec("z3") is None:
        raise InvalidInput("symbolic tests need z3: install it with `pip install z3-solver`")


Flame = Literal["flamegraph", "flamechart"]


def check_single(session: SuiteSession, option: str) -> None:
    """Raise InvalidInput unless a prepared session has exactly one test that is not an invariant test."""
    from hypervisor_tools.soltest.execution.results import CaseKind

    found = [f"{suite.contract}.{test.name}" for suite in session.suites for test in suite.tests]
    if len(found) != 1:
        names = f" ({', '.join(found[:5])}, ...)" if found else ""
        raise InvalidInput(
            f"{option} needs exactly one test, but {len(found)} match{names}: select it with --match-contract and "
            "--match-test, as 'test_a\\(' if names have a common prefix"
        )
    if session.suites[0].tests[0].kind is CaseKind.INVARIANT:
        raise InvalidInput(f"{option} does not support invariant tests, such as {found[0]}")


@contextmanager
def _stage_test(session: SuiteSession, *, fails: bool) -> Iterator[StagedTest]:
    from hypervisor_tools.soltest.run.staged_test import staged_test

    (suite,) = session.suites
    (test,) = suite.tests
    with staged_test(session.job(), session.artifacts, suite, test, fails=fails) as staged:
        yield staged


@contextmanager
def _open_debugger(session: SuiteSession) -> Iterator[Session]:
    """Open the debugger after `setUp` of the session's only test. Raises InvalidInput unless there is exactly one."""
    from hypervisor_tools.debugger.breakpoints import SourceLines
    from hypervisor_tools.debugger.session import Session
    from hypervisor_tools.debugger.subjects import Subject

    check_single(session, "--debug")
    project = session.project
    with _stage_test(session, fails=True) as staged:
        subject = Subject(f"the test {staged.name}", staged.executor.machine, staged.run, staged.root)
        yield Session(subject, SourceLines([project.root / project.out]))


def debug_test(session: SuiteSession, commands: Sequence[str] = ()) -> None:
    """Debug the only test of a prepared session in the terminal. Raises InvalidInput unless there is exactly one."""
    from hypervisor_tools.debugger.commands import run_prompt

    with _open_debugger(session) as debugged:
        run_prompt(debugged, commands)


def serve_test(prepare: Callable[[], SuiteSession]) -> None:
    """Debug the only test of a session in an editor, over the Debug Adapter Protocol on standard input and output.

    `prepare` compiles and selects the test when the editor launches it. Its output goes to standard error.
    """
    from hypervisor_tools.cli.step import add_breakpoints
    from hypervisor_tools.debugger.adapter import serve_streams

    @contextmanager
    def launch(arguments: Mapping[str, Any]) -> Iterator[Session]:
        with _open_debugger(prepare()) as debugged:
            add_breakpoints(debugged, arguments)
            yield debugged

    serve_streams(launch)


def draw_test(session: SuiteSession, flame: Flame) -> Path:
    """Write the flame graph of a prepared session's only test and return its path. Raises InvalidInput."""
    from hypervisor_tools.soltest.run.serving import viewer_of
    from hypervisor_tools.soltest.run.staged_test import write_flame

    (suite,) = session.suites
    (test,) = suite.tests
    project = session.project
    file = project.root / project.cache / f"{flame}_{suite.contract}_{test.name}.svg"
    with _stage_test(session, fails=False) as staged:
        viewer = viewer_of(session.job(), session.artifacts)
        write_flame(staged, viewer, project.root, file, chart=flame == "flamechart")
    return file


def grow_test(session: SuiteSession, sizes: Sequence[int]) -> Sequence[GrowthPoint]:
    """Measure a prepared session's only test while each contract that `setUp` has created has more slots."""
    from hypervisor_tools.laboratory.compare.growth import GrowthPoint, mapping_entries, total_costs
    from hypervisor_tools.laboratory.compare.tally import CostTracer
    from localnet.state.controls import set_storage

    points = []
    with _stage_test(session, fails=False) as staged:
        executor, stage = staged.executor, staged.stage
        for slots in sizes:
            executor.restore(staged.ready)
            entries, tracer = mapping_entries(slots), CostTracer()
            for address, _ in executor.contracts(stage.first_actor):
                if address != stage.address:
                    set_storage(executor.machine, address, entries)
            with executor.machine.traced(tracer):
                outcome = stage.call(staged.calldata)
            failure = "" if outcome.success else stage.reason(outcome)
            points.append(GrowthPoint(slots, outcome.gas_used, failure, total_costs(tracer, executor.machine)))
    return points
