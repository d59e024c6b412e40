"""Symbolic and concrete runs of one function of a compiled contract."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path as Folder
from typing import Any

import z3

from hypervisor_tools.soltest.cheatcodes import Cheatcodes
from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.execution.discovery import TestFunction, tests_of
from hypervisor_tools.soltest.execution.executor import ExecutorSnapshot, TestExecutor
from hypervisor_tools.soltest.execution.job import Job
from hypervisor_tools.soltest.execution.results import TestResult, is_invariant
from hypervisor_tools.soltest.execution.stage import SuiteStage
from hypervisor_tools.soltest.project.project import Project
from hypervisor_tools.soltest.project.test_settings import SymbolicSettings
from hypervisor_tools.soltest.run.serving import executor_settings_of, settings_of
from hypervisor_tools.soltest.symbolic.invariants import SymbolicInvariantRun
from hypervisor_tools.soltest.symbolic.path import Path
from hypervisor_tools.soltest.symbolic.run import Explorer, StartState, SymbolicRun
from hypervisor_tools.soltest.symbolic.solver import Solver
from hypervisor_tools.soltest.symbolic.words import values
from store.keccak import keccak
from tests.hypervisor_tools.soltest.contracts import artifact
from tests.hypervisor_tools.soltest.here import written

SETTINGS = SymbolicSettings(fuzz=True, seconds=240, query_seconds=120)


@dataclass(slots=True)
class Staged:
    """A test contract after `setUp`."""

    stage: SuiteStage
    project: Project
    tests: list[TestFunction]
    ready: ExecutorSnapshot

    def run(self, name: str, settings: SymbolicSettings = SETTINGS) -> TestResult:
        """Run a symbolic test."""
        runner = SymbolicInvariantRun if is_invariant(name) else SymbolicRun
        return runner(self.stage, self._test(name), replace(self.project, symbolic=settings), self.ready).run()

    def explore(self, name: str) -> tuple[Any, list[Path], Explorer]:
        """Return the calldata of a test with the first shape, and the paths that end."""
        project = replace(self.project, symbolic=SETTINGS)
        start, explorer = StartState(self.stage, self.ready, project), Explorer(SETTINGS)
        run = SymbolicRun(self.stage, self._test(name), project, self.ready)
        path, calldata = run._start(start, Solver(20, 60), ())
        return calldata, list(explorer.run(path)), explorer

    def call(self, data: bytes) -> tuple[bool, bytes]:
        """Return success and output of a concrete call."""
        self.stage.executor.restore(self.ready)
        outcome = self.stage.call(data, commit=False)
        self.stage.executor.restore(self.ready)
        return outcome.success, outcome.output

    def _test(self, name: str) -> TestFunction:
        return next(test for test in self.tests if test.name == name)


@contextmanager
def staged(
    folder: Folder, functions: dict[str, Sequence[str]], evm_version: str = "osaka", *, assertions_revert: bool = True
) -> Iterator[Staged]:
    """Deploy a contract of function bodies (`contracts.runtime`), and call its `setUp`."""
    name = "test/T.t.sol:T"
    artifacts = {name: artifact(functions)}
    with staged_artifacts(folder, artifacts, name, evm_version, assertions_revert=assertions_revert) as found:
        yield found


@contextmanager
def staged_artifacts(
    folder: Folder,
    artifacts: Mapping[str, Mapping[str, Any]],
    name: str,
    evm_version: str,
    *,
    assertions_revert: bool = True,
) -> Iterator[Staged]:
    """Deploy one of these contracts, named `SOURCE:NAME`, and call its `setUp`."""
    folder.mkdir(parents=True, exist_ok=True)
    places = written(folder, artifacts)
    found, project = Artifacts(folder, places, {}), Project(folder, assertions_revert=assertions_revert)
    project = replace(project, compiler=project.compiler._replace(evm_version=evm_version))
    job = Job(project, places, {})
    executor = TestExecutor(executor_settings_of(job), Cheatcodes(settings_of(job, found)))
    try:
        stage = SuiteStage(executor, found, found.get(*name.split(":")))
        stage.prepare_symbolic()
        yield Staged(stage, project, tests_of(stage.artifact, "fuzz"), executor.snapshot())
    finally:
        executor.close()


def outcomes(calldata: Any, paths: Sequence[Path], data: bytes) -> list[tuple[bool, bytes]]:
    """Return the outcomes of the paths that a concrete input reaches; hashes get their real values."""
    return [found for path in paths if (found := _outcome(calldata, path, data)) is not None]


def _outcome(calldata: Any, path: Path, data: bytes) -> tuple[bool, bytes] | None:
    solver = z3.Solver()
    words = {byte[0] for byte in calldata if isinstance(byte, tuple)}
    for word in words:
        at = next(place for place, byte in enumerate(calldata) if isinstance(byte, tuple) and byte[0] is word)
        solver.add(word == int.from_bytes(data[at : at + 32], "big"))
    for hashed in path.hashes.symbolic:
        assert solver.check() == z3.sat
        known = solver.model().eval(hashed.data, model_completion=True).as_long().to_bytes(hashed.size, "big")
        solver.add(hashed.hash == int.from_bytes(keccak(known), "big"))
    solver.add(*path.constraints)
    if solver.check() != z3.sat:
        return None
    assert path.ended is not None
    return path.ended[0], values(path.ended[1], solver.model())
