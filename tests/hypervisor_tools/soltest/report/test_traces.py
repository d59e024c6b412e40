"""Traces of proxies, libraries, factories and reverts equal forge's text. Expected: forge 1.7.1."""

import re

import pytest

from hypervisor_tools.soltest.execution.results import CaseKind
from hypervisor_tools.soltest.report.report import lines_of
from tests.hypervisor_tools.soltest.report.conftest import Runs
from tests.hypervisor_tools.soltest.report.golden import forge


def sections(text: str) -> dict[str, str]:
    """Return the output of each test, without its backtrace."""
    body = re.sub(r"^(Suite result|Ran |Failing tests|Encountered).*$", "", text, flags=re.MULTILINE)
    parts = re.findall(r"^\[(?:PASS|FAIL|SKIP).*?(?=^\[(?:PASS|FAIL|SKIP)|\Z)", body, re.MULTILINE | re.DOTALL)
    found: dict[str, str] = {}
    for part in parts:
        name = re.search(r"(\w+\([\w,]*\)) \((?:gas|runs)", part)
        assert name is not None
        found.setdefault(name[1], re.split(r"\nBacktrace:|\nTip:", part)[0].rstrip())
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("profile", "verbosity", "file"),
    [("default", 4, "traces.txt"), ("default", 5, "slots.txt"), ("ir", 4, "traces-ir.txt")],
)
def test_traces_equal_those_of_forge(runs: Runs, profile: str, verbosity: int, file: str) -> None:
    theirs = sections(forge(file))
    compared = 0
    for suite in runs(profile, verbosity):
        for test in suite.tests:
            if test.kind is CaseKind.UNIT:
                ours = sections("\n".join(lines_of(test, verbosity)))[test.signature]
                assert ours == theirs[test.signature]
                compared += 1
    assert compared == 7


@pytest.mark.slow
def test_the_last_run_of_a_test_with_several_is_shown(runs: Runs) -> None:
    """Inputs are random, so only the calls are compared."""

    def calls(text: str) -> list[str]:
        lines = re.findall(r"(\w+::\w+|\[Stop\]|\[Return\])", text.partition("Traces:")[2])
        return [str(line) for line in lines]

    theirs = sections(forge("traces.txt"))
    tests = {test.signature: test for suite in runs("default", 4) for test in suite.tests}
    for name in ("testFuzz_sets(uint256)", "invariant_small()"):
        ours = calls("\n".join(lines_of(tests[name], 4)))
        assert ours == calls(theirs[name])
        assert len(ours) > 5
