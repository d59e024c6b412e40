"""Errors about numbers on the command line state the value, the limits and the remedy."""

from __future__ import annotations

import pytest

from tests.command import run


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["wallet", "list", "--count", "0"], "0 is out of range (1 to 1000); pass a larger number"),
        (["wallet", "list", "--count", "1001"], "1001 is out of range (1 to 1000); pass a smaller number"),
        (["wallet", "list", "--count", str(1 << 70)], f"{1 << 70} is out of range (1 to 1000); pass a smaller number"),
        (["wallet", "list", "--count", "few"], "'few' is not a whole number; expected 1 to 1000"),
        (["wallet", "list", "--count", "1.5"], "'1.5' is not a whole number; expected 1 to 1000"),
        (["node", "--query-time", "0"], "0 is out of range (0.001 or more); pass a larger number"),
        (["node", "--query-time", "long"], "'long' is not a number; expected 0.001 or more"),
        (["node", "--query-time", "nan"], "'nan' is not a number; expected 0.001 or more"),
        (["gc", "DIR", "--seconds", "nan"], "'nan' is not a number; expected 0 or more"),
        (["balance", "f01", "--timeout", "nan"], "'nan' is not a number; expected 0.001 to 86400"),
        (["deploy", "C", "--timeout", "-nan"], "'nan' is not a number; expected 0 or more"),
        (["node", "--port", "-1"], "-1 is out of range (0 to 65535); pass a larger number"),
    ],
)
def test_number_out_of_range_is_reported_with_its_limits(arguments: list[str], text: str) -> None:
    done = run(*arguments, env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"Invalid value for '{arguments[-2]}'" in done.stderr
    assert text in done.stderr


def test_other_usage_errors_are_unchanged() -> None:
    done = run("wallet", "new", "--absent")
    assert done.exit_code == 2
    assert "No such option" in done.stderr
