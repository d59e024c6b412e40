"""With `isolate` each test and the gas report equal forge's, including every unit of gas.

Expected values are the output of forge (`golden.json.xz`); `make clients` compares them with forge again. The cost of a
test's calls does not grow with their number, in executed lines.
"""

import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from hypervisor import threads
from hypervisor.errors import InvalidInput
from hypervisor_tools.soltest.cheatcodes import Cheatcodes
from hypervisor_tools.soltest.cheatcodes.context import Settings
from hypervisor_tools.soltest.compile.artifact import Artifacts
from hypervisor_tools.soltest.execution.discovery import SuiteFilter, find_suites
from hypervisor_tools.soltest.execution.executor import ExecutorSettings, TestExecutor
from hypervisor_tools.soltest.execution.job import Job, Options
from hypervisor_tools.soltest.execution.results import TestResult
from hypervisor_tools.soltest.project.project import CompilerSettings, FuzzSettings, Project
from hypervisor_tools.soltest.report.collecting import SuiteCoverage, merge
from hypervisor_tools.soltest.report.gas import gas_json, report_data
from hypervisor_tools.soltest.run.session import SuiteSession
from runtimes.evm.blocks.alloc import AllocAccount, install_alloc
from tests.hypervisor_tools.soltest.here import run_suite, written
from tests.hypervisor_tools.soltest.isolation.golden import GOLDEN, HERE
from tests.runtimes.evm.assembler import assemble
from tests.runtimes.evm.revm.test_session_calls import CALLEE, CONTRACT, SENDER

_FORGES: Any = GOLDEN["forge"]
_LOGS_OF_1_8: Mapping[str, list[str]] = {
    "test_dieSame()": ["code 0", "b 3"],  # foundry#15385
    "test_fees()": ["g 11", "f 9", "g 11", "f 9"],  # foundry#14493
}
"""Logs that differ between forge 1.7.1, which made the golden results, and 1.8."""


def run(
    folder: Path, contract: str, evm: str, isolate: bool = True, report: list[SuiteCoverage] | None = None,
    tests: str | None = None, rules: str = "ethereum", version: str = "prague",
) -> Mapping[str, TestResult]:  # fmt: skip
    """Return the results by signature; data for a gas report is stored in `report`."""
    shutil.copytree(HERE / "contracts", folder / "test")
    places = written(folder, GOLDEN["artifacts"])
    (folder / "foundry.toml").write_text("[profile.default]\n", encoding="utf-8")
    project = Project(
        folder, isolate=isolate, compiler=CompilerSettings(evm_version=version), fuzz=FuzzSettings(runs=16, seed=1)
    )
    artifacts = Artifacts(folder, places, {})
    suites, _ = find_suites(artifacts, ["test/Isolated.t.sol"], SuiteFilter(contract=f"^{contract}$", test=tests))
    options = Options(rules=rules, evm=evm, shows_logs=True, report="" if report is None else "gas")
    job = Job(project, places, {}, options, seed=1)
    return {test.signature: test for test in run_suite(job, artifacts, suites[0], report)}


@pytest.mark.slow
@pytest.mark.parametrize("evm", ["py-evm", "fast"])
@pytest.mark.parametrize("contract", ["ExchangedTest", "IsolatedTest", "PlainTest"])
def test_tests_end_as_in_forge_with_its_gas(contract: str, evm: str, tmp_path: Path) -> None:
    found = run(tmp_path, contract, evm)
    ours = {
        name: {
            "status": test.status.value, "reason": test.reason or "", "logs": list(test.logs),
            "gas": 0 if name.startswith("testFuzz") else test.gas,
        }
        for name, test in found.items()
    }  # fmt: skip
    later = {name: {"logs": logs} for name, logs in _LOGS_OF_1_8.items()}
    assert ours == {name: end | later.get(name, {}) for name, end in _FORGES[contract].items()}


@pytest.mark.slow
def test_isolated_calls_cost_the_same_on_both_engines_under_amsterdam(tmp_path: Path) -> None:
    plain, fast = (run(tmp_path / evm, "IsolatedTest", evm, version="amsterdam") for evm in ("py-evm", "fast"))
    assert {name: (test.status, test.gas, test.logs) for name, test in fast.items()} == {
        name: (test.status, test.gas, test.logs) for name, test in plain.items()
    }


def test_isolation_can_be_disabled(tmp_path: Path) -> None:
    found = run(tmp_path, "IsolatedTest", "fast", isolate=False, tests=r"test_(transient|nothing|inOne)\(")
    assert found["test_transient()"].reason == "transient"
    assert found["test_nothing()"].gas == _FORGES["IsolatedTest"]["test_nothing()"]["gas"]
    assert found["test_inOne()"].gas < _FORGES["IsolatedTest"]["test_inOne()"]["gas"] - 21_000


@pytest.mark.slow
def test_gas_report_equals_that_of_forge(tmp_path: Path) -> None:
    collected: list[SuiteCoverage] = []
    for number, contract in enumerate(("ExchangedTest", "IsolatedTest", "PlainTest")):
        run(tmp_path / str(number), contract, "fast", report=collected, tests="test_")
    names = ("min", "mean", "median", "max", "calls")
    ours = {
        row["contract"]: {name: [found[key] for key in names] for name, found in row["functions"].items()}
        for row in gas_json(report_data(merge(collected), Project(tmp_path)))
    }
    assert ours == GOLDEN["gas"]


@pytest.mark.parametrize("test", ["test_set", "test_transient"])
def test_under_filecoins_rules_it_is_refused_with_the_remedy(test: str, tmp_path: Path) -> None:
    found = run(tmp_path, "IsolatedTest", "fast", rules="filecoin", tests=f"{test}\\(")
    assert "isolate = false" in (found["setUp()"].reason or "")
    session = SuiteSession(Project(tmp_path, isolate=True), SuiteFilter(), Options(rules="filecoin"))
    with pytest.raises(InvalidInput, match="omit --isolate"):
        session.prepare()


PROJECT = Path(threads.__file__).parents[1]
COUNTED = tuple(f"{PROJECT / package}/" for package in ("runtimes", "hypervisor", "hypervisor_tools"))
CALL = f"{{0}} 0 MSTORE 0 0 32 0 0 0x{CALLEE.hex()} GAS CALL POP"
LOOK = f"0 0 32 0 0x{CALLEE.hex()} GAS STATICCALL POP"
OWN = "{0} {0} SSTORE"
STORES = "0 CALLDATALOAD SLOAD POP 7 0 CALLDATALOAD SSTORE"
"""Code that writes 7 to the slot named by the first word."""
READS = "0 CALLDATALOAD SLOAD POP"


def lines_of(action: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> int:
    """Return the number of this project's lines that an action executes, on all threads that it starts and this one."""
    count, before = 0, sys.gettrace()
    ours: dict[CodeType, bool] = {}

    def line(_: FrameType, event: str, __: Any) -> Any:
        nonlocal count
        count += event == "line"
        return line

    def call(frame: FrameType, _: str, __: Any) -> Any:
        code = frame.f_code
        if code not in ours:
            ours[code] = code.co_filename.startswith(COUNTED) and code.co_filename != threads.__file__
        return line if ours[code] else None

    plain = threads._run_jobs

    def live(jobs: Any) -> None:
        sys.settrace(call)
        plain(jobs)

    with monkeypatch.context() as patched:
        patched.setattr(threads, "_run_jobs", live)  # its threads are not started by `threading`
        threading.settrace(call)
        sys.settrace(call)
        try:
            action()
        finally:
            sys.settrace(before)
            threading.settrace(None)
    return count


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "callee"), [(CALL, STORES), (f"{CALL} {LOOK} {OWN}", READS)], ids=["each writes", "between static calls"]
)
def test_call_cost_does_not_grow_with_preceding_calls(steps: str, callee: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    for count in (1, 10, 40, 70):  # the first run creates what is created once
        made = TestExecutor(ExecutorSettings(evm="py-evm"), Cheatcodes(Settings(isolates=True)))
        code = " ".join(steps.format(number) for number in range(1, count + 1))
        install_alloc(made.machine, {
            CONTRACT: AllocAccount(0, 1, assemble(code)), CALLEE: AllocAccount(0, 1, assemble(callee)),
        })  # fmt: skip
        counts.append(lines_of(partial(made.call, SENDER, CONTRACT, b""), monkeypatch))
        made.close()
    _, first, second, third = counts
    assert second - first > 30
    assert third - second <= 1.02 * (second - first), counts
