"""`hypervisor test --debug`: one test in the debugger, forwards and backwards, over lines and native calls."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fvm_hypervisor.cli.main import app


def debug(project: Path, match: str, *commands: str, status: int = 0, more: tuple[str, ...] = ()) -> str:
    given = [part for command in commands for part in ("-x", command)]
    arguments = ["test", str(project), "--debug", "--match-test", match, "--fuzz-seed", "1", *more, *given]
    done = CliRunner().invoke(app, arguments, input="")
    assert done.exit_code == status, done.output
    return done.stdout if status == 0 else " ".join(done.stderr.split())


def test_a_test_is_stepped_through_forwards_and_back(project: Path) -> None:
    text = debug(project, "test_broken", "step", "continue", "back", "gas")
    assert "the test test/Counter.t.sol:CounterTest.test_broken" in text
    assert "->   15         counter.add(2);" in text
    assert "ends: exit 33 EVM_CONTRACT_REVERTED" in text
    # forge 1.7.1: [FAIL: not four] test_broken() (gas: 12906)
    assert "the message has ended: exit 33 EVM_CONTRACT_REVERTED, the contract reverted, gas 12,906" in text
    assert "the message has used 12,906.000 of" in text


def test_native_calls_are_in_the_same_view(project: Path) -> None:
    text = debug(project, "test_named", "break call f07", "continue", "where")
    stack = text.split("(step) where")[-1]
    assert "f07" in stack
    assert "Named.sol" in stack
    assert "CounterTest" in stack


def test_a_fuzz_test_begins_with_the_input_that_makes_it_fail(project: Path) -> None:
    text = debug(project, "testFuzz_broken", "continue")
    assert "the message has ended: exit 33" in text
    assert "testFuzz_broken(more=999)" in text  # the smallest value that is too much


@pytest.mark.parametrize(
    ("match", "words"),
    [
        ("test", "--debug is for one test, and 4 fit"),
        ("nothing", "--debug is for one test, and 0 fit"),
        ("testFuzz_fine", "passes in 256 runs: there is no input to debug it with"),
        ("invariant", "is an invariant test, which makes many"),
    ],
)
def test_impossible_debug_target_is_reported(project: Path, match: str, words: str) -> None:
    assert words in debug(project, match, status=2)
