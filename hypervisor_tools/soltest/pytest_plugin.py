"""The pytest options `--sol-coverage` and `--actor-coverage`: coverage of the transactions and calls that tests make.

A Solidity project is compiled before the tests run, so that `out/` is current. Only networks that fixtures return are
measured. With pytest-xdist, each worker sends its counts to the main process, which writes the report.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from hypervisor_tools.soltest.report.actor_coverage import ActorVisits
    from hypervisor_tools.soltest.report.collecting import NetworkVisits
    from hypervisor_tools.soltest.report.coverage import FileCoverage
    from hypervisor_tools.soltest.run.session import SuiteSession

_VISITS: Final = pytest.StashKey["NetworkVisits"]()
_ACTORS: Final = pytest.StashKey["ActorVisits"]()
_SESSION: Final = pytest.StashKey["SuiteSession"]()
_ROWS: Final = "hypervisor_coverage"
_DEFAULT_FILE: Final = "lcov.info"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the coverage options to the group `hypervisor`."""
    group = parser.getgroup("hypervisor", "a local Filecoin network")
    group.addoption(
        "--sol-coverage",
        dest="hypervisor_sol_coverage",
        action="store_true",
        help="measure the Solidity coverage of the Foundry project, and write it to lcov.info",
    )
    group.addoption(
        "--sol-coverage-file",
        dest="hypervisor_sol_coverage_file",
        metavar="FILE",
        help="write the coverage to this file, in lcov format (implies --sol-coverage without --actor-coverage)",
    )
    group.addoption(
        "--actor-coverage",
        dest="hypervisor_actor_coverage",
        action="store_true",
        help="measure the coverage of native actors that are not built in, and write it to lcov.info",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Compile the project if its coverage is enabled.

    Raises UsageError if there is no project, if it does not compile, or if the coverage file cannot be written.
    """
    of_actors, named = config.getoption("hypervisor_actor_coverage"), config.getoption("hypervisor_sol_coverage_file")
    of_solidity = config.getoption("hypervisor_sol_coverage") or (named and not of_actors)
    is_worker = hasattr(config, "workerinput")
    if (of_actors or of_solidity) and not is_worker:
        _check_file(config)
    if of_actors:
        from hypervisor_tools.soltest.report.actor_coverage import ActorVisits

        config.stash[_ACTORS] = ActorVisits(config.invocation_params.dir)
    if of_solidity:
        from hypervisor_tools.soltest.report.collecting import NetworkVisits

        config.stash[_VISITS] = NetworkVisits()
        if not is_worker:
            config.stash[_SESSION] = _compiled_project(config.invocation_params.dir)


def _check_file(config: pytest.Config) -> None:
    """Raise UsageError unless the file that `--sol-coverage-file` names can be written."""
    from hypervisor.errors import InvalidInput
    from hypervisor.installation import check_output

    named = config.getoption("hypervisor_sol_coverage_file")
    try:
        check_output(None if named is None else config.invocation_params.dir / named, "the coverage")
    except InvalidInput as error:
        raise pytest.UsageError(f"--sol-coverage-file: {error}") from None


def _compiled_project(start: Path) -> SuiteSession:
    """Return the compiled Foundry project of a folder, without its Solidity tests and scripts. Raises UsageError."""
    from hypervisor.errors import InvalidInput
    from hypervisor_tools.soltest.compile.compiler import CompileError
    from hypervisor_tools.soltest.execution.discovery import SuiteFilter
    from hypervisor_tools.soltest.execution.job import Options
    from hypervisor_tools.soltest.project.consent import Consent, grant_of
    from hypervisor_tools.soltest.project.project import find_root, load_project
    from hypervisor_tools.soltest.project.settings import environment_settings
    from hypervisor_tools.soltest.run.session import SuiteSession

    try:
        root = find_root(start)
    except InvalidInput:
        raise pytest.UsageError(
            f"--sol-coverage: {start} is not in a Foundry project (no foundry.toml found)"
        ) from None
    try:
        project = load_project(root)
        from_environment = {setting.key for setting in environment_settings(os.environ).settings}
        consents = {Consent.SOLC} if {"solc", "solc_version"} & from_environment else set()
        consent = grant_of(root, trust=False, consents=frozenset(consents), urls=frozenset())
        project = replace(project, test=project.src, script=project.src, consent=consent)
        session = SuiteSession(project, SuiteFilter(), Options(), lambda line: print(line, file=sys.stderr))
        session.compiled()
    except (InvalidInput, CompileError) as error:
        raise pytest.UsageError(f"--sol-coverage: {error}") from None
    return session


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> Generator[None, object, object]:
    """Measure each network that a fixture returns."""
    value = yield
    if "localnet.network" in sys.modules:
        from localnet.network import Network

        if isinstance(value, Network):
            for visits in _visits(request.config):
                visits.watch(value)
    return value


def _visits(config: pytest.Config) -> list[NetworkVisits | ActorVisits]:
    found = config.stash.get(_VISITS, None), config.stash.get(_ACTORS, None)
    return [visits for visits in found if visits is not None]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send a worker's counts to the main process."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_ROWS] = [visits.rows() for visits in _visits(session.config)]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add the counts of a worker."""
    for visits, rows in zip(_visits(node.config), getattr(node, "workeroutput", {}).get(_ROWS, ()), strict=False):
        visits.add_rows(rows)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Write the coverage to its file, and print the table."""
    session, here = config.stash.get(_SESSION, None), config.invocation_params.dir
    if hasattr(config, "workerinput") or not _visits(config):
        return
    from hypervisor.errors import HypervisorError
    from hypervisor_tools.soltest.report.coverage import coverage_lines, lcov

    named = config.getoption("hypervisor_sol_coverage_file")
    file = (here if session is None else session.project.root) / _DEFAULT_FILE if named is None else here / named
    terminalreporter.section("coverage")
    try:
        files = _files(config)
        file.write_text(lcov(files), encoding="utf-8")
    except (HypervisorError, OSError) as error:
        terminalreporter.write_line(f"the coverage was not written: {error}")
        return
    for line in coverage_lines(files):
        terminalreporter.write_line(line)
    if _ACTORS in config.stash and not config.stash[_ACTORS].codes():
        terminalreporter.write_line(
            "no native actor of the project was executed: install its module on a fixture's network"
        )
    if session is not None:
        if not any(covered.hits for found in files for covered in found.items):
            terminalreporter.write_line(f"no project code was executed: deploy the artifacts in {session.project.out}/")
        if session.project.compiler.optimizer or session.project.compiler.via_ir:
            terminalreporter.write_line("the optimizer is enabled: statements that it merges are counted as missed")
    terminalreporter.write_line(f"written to {file.relative_to(here) if file.is_relative_to(here) else file}")


def _files(config: pytest.Config) -> list[FileCoverage]:
    """Return the coverage of the project's sources and of native actors. Raises InvalidInput."""
    files: list[FileCoverage] = []
    if _SESSION in config.stash:
        from hypervisor_tools.soltest.trace.known_code import KnownCode

        session = config.stash[_SESSION]
        files += session.coverage(config.stash[_VISITS].collect(KnownCode(session.artifacts)))
    if _ACTORS in config.stash:
        from hypervisor_tools.soltest.report.actor_coverage import actor_coverage

        files += actor_coverage(config.stash[_ACTORS].codes().values())
    return files
