"""Verdicts that the comparison with halmos reports as different."""

import pytest

from tests.soltests.halmos import DIFFERENCES, Result, different

KNOWN = next(iter(DIFFERENCES))


@pytest.mark.parametrize(
    ("name", "halmos", "here", "is_finding"),
    [
        ("check_a", "PASS", "PASS", False),
        ("check_a", "PASS", "FAIL", True),
        ("check_a", "FAIL", "PASS", True),
        ("check_a", "PASS", "NOT DECIDED: the time limit", True),
        ("check_a", "FAIL", "NOT DECIDED: the time limit", True),
        ("check_a", "NOT DECIDED", "NOT DECIDED: the time limit", False),
        (KNOWN, "FAIL", "NOT DECIDED: an invented signature", False),
        (KNOWN, "FAIL", "PASS", True),
        (KNOWN, "PASS", "NOT DECIDED: an invented signature", True),
    ],
)
def test_another_verdict_is_a_finding_unless_it_is_known(name: str, halmos: str, here: str, is_finding: bool) -> None:
    test = ("simple", ("test/A.t.sol", "ATest", name))
    found = [*different({test: {"halmos": Result(halmos, 1.0), "here": Result(here, 1.0)}})]
    assert found == ([f"simple ATest.{name}: {halmos} by halmos, {here} here"] if is_finding else [])
