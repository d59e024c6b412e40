"""Modes of `hypervisor test` for a single test: the debugger, and gas flame graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from fvm_hypervisor.debugger.session import Session
    from fvm_hypervisor.soltest.session import SuiteSession
    from fvm_hypervisor.soltest.staged_test import StagedTest

Flame = Literal["flamegraph", "flamechart"]


def check_single(session: SuiteSession, option: str) -> None:
    """Raise InvalidInput unless a prepared session has exactly one test that is not an invariant test."""
    from fvm_hypervisor.soltest.results import CaseKind
    from hypervisor.errors import InvalidInput

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
    from fvm_hypervisor.soltest.staged_test import staged_test

    (suite,) = session.suites
    (test,) = suite.tests
    with staged_test(session.job(), session.artifacts, suite, test, fails=fails) as staged:
        yield staged


@contextmanager
def _open_debugger(session: SuiteSession) -> Iterator[Session]:
    """Open the debugger after `setUp` of the session's only test. Raises InvalidInput unless there is exactly one."""
    from fvm_hypervisor.debugger.session import Session
    from fvm_hypervisor.debugger.sources import SourceLines
    from fvm_hypervisor.debugger.subjects import Subject

    check_single(session, "--debug")
    project = session.project
    with _stage_test(session, fails=True) as staged:
        subject = Subject(f"the test {staged.name}", staged.executor.machine, staged.run, staged.root)
        yield Session(subject, SourceLines([project.root / project.out]))


def debug_test(session: SuiteSession, commands: Sequence[str] = ()) -> None:
    """Debug the only test of a prepared session in the terminal. Raises InvalidInput unless there is exactly one."""
    from fvm_hypervisor.debugger.commands import run_prompt

    with _open_debugger(session) as debugged:
        run_prompt(debugged, commands)


def serve_test(prepare: Callable[[], SuiteSession]) -> None:
    """Debug the only test of a session in an editor, over the Debug Adapter Protocol on standard input and output.

    `prepare` compiles and selects the test when the editor launches it. Its output goes to standard error.
    """
    from fvm_hypervisor.cli.step import add_breakpoints
    from fvm_hypervisor.debugger.adapter import serve_streams

    @contextmanager
    def launch(arguments: Mapping[str, Any]) -> Iterator[Session]:
        with _open_debugger(prepare()) as debugged:
            add_breakpoints(debugged, arguments)
            yield debugged

    serve_streams(launch)


def draw_test(session: SuiteSession, flame: Flame) -> Path:
    """Write the flame graph of a prepared session's only test and return its path. Raises InvalidInput."""
    from fvm_hypervisor.soltest.gas_flames import write_flame
    from fvm_hypervisor.soltest.serving import viewer_of

    (suite,) = session.suites
    (test,) = suite.tests
    project = session.project
    file = project.root / project.cache / f"{flame}_{suite.contract}_{test.name}.svg"
    with _stage_test(session, fails=False) as staged:
        viewer = viewer_of(session.job(), session.artifacts)
        write_flame(staged, viewer, project.root, file, chart=flame == "flamechart")
    return file
