"""`hypervisor test --debug`: one test under the debugger of `hypervisor step`, over Solidity and native actors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devtools.soltest.session import SuiteSession


def debug_test(session: SuiteSession, commands: Sequence[str] = ()) -> None:
    """Converse about the one test that a prepared session has. Raises InvalidInput where it has another number."""
    from devtools.debugger.session import Session
    from devtools.debugger.sources import SourceLines
    from devtools.debugger.subjects import Subject
    from devtools.debugger.terminal import converse
    from devtools.soltest.staged_test import staged_test
    from hypervisor.errors import InvalidInput

    found = [(suite, test) for suite in session.suites for test in suite.tests]
    if len(found) != 1:
        names = ", ".join(f"{suite.contract}.{test.name}" for suite, test in found[:5])
        raise InvalidInput(
            f"--debug is for one test, and {len(found)} fit{f' ({names}, ...)' if found else ''}: name it by "
            "--match-test, as 'test_a\\(' if another one begins alike, and --match-contract"
        )
    (suite, test) = found[0]
    project = session.project
    with staged_test(session.job(), session.artifacts, suite, test) as staged:
        subject = Subject(f"the test {staged.name}", staged.world.machine, staged.run, staged.root)
        converse(Session(subject, SourceLines([project.root / project.out])), commands)
