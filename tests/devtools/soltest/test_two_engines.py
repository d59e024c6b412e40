"""`--evm both`: tests end as on each engine alone, whose words are what is expected."""

from __future__ import annotations

from collections.abc import Callable

from devtools.soltest.results import Status, TestResult
from devtools.soltest.stage import selector

Run = Callable[..., dict[str, dict[str, TestResult]]]


def test_two_engines_side_by_side_use_the_gas_of_each_and_log_once(run_contracts: Run) -> None:
    """Memory and a log before the first call; the second test's tree is one that was left before."""
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
        for evm in ("py-evm", "fast", "both")
    }
    assert {status for status, _ in ends["both"].values()} == {Status.SUCCESS}
    assert ends["both"] == ends["py-evm"] == ends["fast"]
