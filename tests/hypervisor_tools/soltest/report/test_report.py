"""Reports of Solidity tests as text and JSON.

The JSON equals that of `forge test --json -vvvv` of forge 1.7.1, field by field.
"""

import gzip
import json
import re
from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress
from hypervisor_tools.soltest.execution.results import CaseKind, CaseStatus, CounterExample, SuiteResult, TestResult
from hypervisor_tools.soltest.report.report import exact_duration, json_report, summary_lines
from tests.hypervisor_tools.soltest.report.conftest import Runs
from tests.hypervisor_tools.soltest.report.golden import HERE


def test_summary_repeats_tests_that_failed_or_are_not_decided() -> None:
    statuses = {"check_a()": CaseStatus.UNDECIDED, "check_b()": CaseStatus.FAILURE, "check_c()": CaseStatus.SUCCESS}
    tests = [TestResult(name, CaseKind.SYMBOLIC, status, "why") for name, status in statuses.items()]
    lines = list(summary_lines([SuiteResult("test/A.t.sol", "A", tests)], 1.0, "checks"))
    assert any("`hypervisor test --symbolic --rerun`" in line for line in lines)
    undecided = lines.index("Tests that are not decided:")
    assert lines[undecided + 2] == "[NOT DECIDED: why] check_a() (paths: 0)"
    assert lines[lines.index("Failing tests:") + 2] == "[FAIL: why] check_b() (paths: 0)"
    assert not any("check_c" in line for line in lines)


FUZZ = "testFuzz_sets(uint256)"
OWN = {"seed", "trace", "stack"}
"""Fields that forge does not have."""
DURATION = re.compile(r"(\d+s )?(\d+ms )?(\d+µs )?\d+ns|\d+(s|ms|µs)( \d+(ms|µs))*")


def of_forge() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress((HERE / "forge" / "results.json.gz").read_bytes()))
    return found


@pytest.fixture
def ours(runs: Runs) -> dict[str, Any]:
    return json_report(runs("default", 4, records=True), 4)


def normalized(suites: dict[str, Any]) -> dict[str, Any]:
    """Return the suites without what differs from run to run, and without fields of one side only.

    Durations are measured. The inputs of a fuzz test are random, and its gas depends on their zero bytes: only the
    difference between `gas` and `stipend` of its first case is comparable. Calls of an invariant test are random, too.
    """
    found = {}
    for name, suite in suites.items():
        tests = {}
        for signature, test in suite["test_results"].items():
            tests[signature] = {key: value for key, value in test.items() if key not in OWN | {"duration"}}
            if not signature.startswith("test_"):
                tests[signature]["traces"] = [(kind, len(arena["arena"])) for kind, arena in test["traces"]]
            if signature == FUZZ:
                first = test["kind"]["Fuzz"]["first_case"]
                gas = {"first_case": first["gas"] - first["stipend"]}
                tests[signature]["kind"] = {"Fuzz": {**test["kind"]["Fuzz"], **gas}}
        found[name] = {**suite, "duration": "", "test_results": tests}
    return found


@pytest.mark.slow
def test_each_field_equals_that_of_forge(ours: dict[str, Any]) -> None:
    theirs = of_forge()
    assert normalized(ours) == normalized(theirs)
    assert list(ours) == list(theirs)
    for name, suite in theirs.items():
        assert list(ours[name]) == list(suite)
        assert list(ours[name]["test_results"]) == list(suite["test_results"])
        for signature, test in suite["test_results"].items():
            fields = [key for key in ours[name]["test_results"][signature] if key not in OWN]
            assert fields == list(test)


def test_durations_have_forges_form(ours: dict[str, Any]) -> None:
    for suites in (ours, of_forge()):
        for suite in suites.values():
            assert DURATION.fullmatch(suite["duration"])
            assert all(DURATION.fullmatch(test["duration"]) for test in suite["test_results"].values())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.024370728, "24ms 370µs 728ns"), (3725.000001, "1h 2m 5s 1µs"), (2 * 86400, "2days")],
)
def test_durations_list_all_their_units(seconds: float, text: str) -> None:
    assert exact_duration(seconds) == text


@pytest.mark.slow
def test_logs_are_shown_from_verbosity_two_on(runs: Runs) -> None:
    def shown(verbosity: int) -> tuple[Any, Any]:
        test = json_report(runs("default", 4), verbosity)["test/Proxy.t.sol:ProxyTest"]["test_results"]
        return test["test_precompiles()"]["logs"], test["test_precompiles()"]["decoded_logs"]

    assert shown(1) == ([], [])
    logs, lines = shown(2)
    assert (len(logs), lines) == (2, ["answer: 42"])


def as_test(result: TestResult) -> dict[str, Any]:
    """Return the JSON object of one test."""
    (test,) = json_report([SuiteResult("test/A.t.sol", "A", [result])])["test/A.t.sol:A"]["test_results"].values()
    found: dict[str, Any] = test
    return found


def test_counterexamples_have_forges_form() -> None:
    nothing = dict.fromkeys(("warp", "roll", "sender", "addr", "contract_name", "func_name", "signature"))
    data, sender, callee = (
        bytes.fromhex("1003e2d2") + (12345).to_bytes(32, "big"),
        "0xFcA4" + "9" * 36,
        f"0x{'56' * 20}",
    )
    values = {"calldata": f"0x{data.hex()}", "args": "12345 [1.234e4]", "raw_args": "12345"}
    single = CounterExample(data, "12345 [1.234e4]", raw_arguments="12345")
    fuzz = TestResult("t(uint256)", CaseKind.FUZZ, CaseStatus.FAILURE, "big", counterexample=(single,))
    assert as_test(fuzz)["counterexample"] == {"Single": nothing | values}
    call = CounterExample(data, "12345 [1.234e4]", sender, "test/A.t.sol:T", callee, "add(uint256)", "12345")
    sequence = TestResult(
        "invariant_i()", CaseKind.INVARIANT, CaseStatus.FAILURE, "over", counterexample=(call,), shrunk_from=4
    )  # fmt: skip
    named = {"contract_name": "test/A.t.sol:T", "func_name": "add", "signature": "add(uint256)"}
    called = nothing | values | named | {"sender": sender.lower(), "addr": callee}
    assert as_test(sequence)["counterexample"] == {"Sequence": [4, [called]]}


def test_labels_and_gas_snapshots_are_listed_by_key() -> None:
    labels = ((EthAddress(bytes(18) + b"\xab\xcd"), "bcd"), (EthAddress(bytes(19) + b"\x12"), "twelve"))
    result = TestResult(
        "t()", CaseKind.UNIT, CaseStatus.SUCCESS, labels=labels, measured=(("B", "z", 1), ("A", "k", 7), ("B", "y", 2))
    )  # fmt: skip
    test = as_test(result)
    assert list(test["labeled_addresses"].items()) == [(f"0x{'0' * 38}12", "twelve"), (f"0x{'0' * 36}abcd", "bcd")]
    assert test["gas_snapshots"] == {"A": {"k": "7"}, "B": {"y": "2", "z": "1"}}
