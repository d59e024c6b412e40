"""Tests end alike on each engine."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor_tools.soltest.cheatcodes.table import selector
from hypervisor_tools.soltest.execution.results import CaseStatus, TestResult
from hypervisor_tools.soltest.project.project import CompilerSettings, Project
from store.keccak import keccak

Run = Callable[..., dict[str, dict[str, TestResult]]]


def test_two_engines_use_gas_of_each_and_log_once(run_contracts: Run) -> None:
    """Memory and a log before the first call; the second test's tree was left before."""
    cheats = {
        name: f"63{selector(f'{name}()').hex()}60e01b5f525f5f60045f5f737109709ecfa91a80626ff3989d68f67f5b1dd12d5af150"
        for name in ("recordLogs", "getRecordedLogs")
    }
    one_log = ["6001610400525f5fa0", cheats["getRecordedLogs"], "602060205f3e5f51600114", "@good", "57", "5f5ffd"]
    suite = {"setUp()": [cheats["recordLogs"], "00"]} | {
        name: [*one_log, "good:", "00"] for name in ("testOne()", "testTwo()", "testThree()")
    }
    ends = {
        evm: {name: (test.status, test.gas) for name, test in run_contracts({"Logs": suite}, evm=evm)["Logs"].items()}
        for evm in ("py-evm", "fast")
    }
    assert {status for status, _ in ends["fast"].values()} == {CaseStatus.SUCCESS}
    assert ends["py-evm"] == ends["fast"]


VM = "737109709ecfa91a80626ff3989d68f67f5b1dd12d"
LOG = f"6004355f527f{keccak(b'log_uint(uint256)').hex()}60205fa1"
"""Code that logs the first argument; the topic is DSTest's."""


def asking(cheatcode: str, word: str) -> str:
    """Return code that calls a cheatcode with the word on the stack, and leaves the success flag."""
    return f"63{selector(cheatcode).hex()}60e01b5f52{word}6004525f5f60245f5f{VM}5af1"


@pytest.mark.slow
@pytest.mark.parametrize("shows_logs", [False, True])
def test_unwatched_test_has_same_outcome_on_both_engines(run_contracts: Run, shows_logs: bool) -> None:
    """The fast engine runs such a test as one tree; py-evm stops at every step. The last two leave the tree."""
    suite = {
        "testFuzz_store(uint128)": ["6004355f55", "00"],
        "testFuzz_log(uint128)": [LOG, "00"],
        "testFuzz_revert(uint128)": [LOG, "5f5ffd"],
        "testFuzz_halt(uint128)": [LOG, "fe"],
        "testFuzz_assume(uint128)": [
            asking("assume(bool)", "600435600116"), "@good", "57", "3d5f5f3e3d5ffd", "good:", LOG, "00",
        ],
        "testFuzz_warp(uint128)": [
            asking("warp(uint256)", "600435"), "4260043514", "@good", "57", "5f5ffd", "good:", "00",
        ],
    }  # fmt: skip
    ends = [
        {
            name: (test.status, test.reason, test.gas, test.gases, test.rejects, test.logs, test.counterexample)
            for name, test in run_contracts({"Whole": suite}, evm=evm, shows_logs=shows_logs)["Whole"].items()
        }
        for evm in ("py-evm", "fast")
    ]
    assert ends[0] == ends[1]
    status = {name.partition("(")[0]: end[0] for name, end in ends[0].items()}
    failing = {"testFuzz_revert", "testFuzz_halt"}
    assert {name for name, end in status.items() if end is CaseStatus.FAILURE} == failing


@pytest.mark.parametrize("fork", ["osaka", "cancun"])
@pytest.mark.parametrize("evm", ["py-evm", "fast"])
def test_refund_of_an_expected_revert_counts(run_contracts: Run, tmp_path: Path, fork: str, evm: str) -> None:
    """Rule: forge's. Sessions, trees and frames have it alike: a restored slot gives 2,800 (EIP-3529)."""
    suites = {
        name: {
            "setUp()": ["60015f55", "00"],
            "test()": [
                "6001600955",  # a refund is at most a fifth of the gas
                f"63{selector('expectRevert()').hex()}60e01b5f525f5f60045f5f{VM}5af150",
                f"63{keccak(b'fail()')[:4].hex()}60e01b5f525f5f60045f5f305af150", "00",
            ],
            "fail()": ["60025f55", f"{word}5f55", "5f5ffd"],
        }
        for name, word in (("Restores", "6001"), ("Changes", "6003"))
    }  # fmt: skip
    project = Project(tmp_path, compiler=CompilerSettings(evm_version=fork))
    ends = [found["test()"] for found in run_contracts(suites, evm=evm, project=project).values()]
    assert [test.status for test in ends] == [CaseStatus.SUCCESS, CaseStatus.SUCCESS]
    assert ends[0].gas == ends[1].gas - 2_800
