"""`hypervisor test --debug`: one test in the debugger, forwards and backwards, over lines and native calls."""

import subprocess
import sys
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from tests.command import run
from tests.hypervisor_tools.debugger.dap_client import DapClient

HYPERVISOR = Path(sys.executable).with_name("hypervisor")
LINE = 15
"""Line of `counter.add(2)` in test_broken."""


def debug(project: Path, match: str, *commands: str, status: int = 0, more: tuple[str, ...] = ()) -> str:
    given = [part for command in commands for part in ("-x", command)]
    arguments = ["test", str(project), "--debug", "--match-test", match, "--fuzz-seed", "1", *more, *given]
    done = run(*arguments, input="")
    assert done.exit_code == status, done.output
    return done.stdout if status == 0 else " ".join(done.stderr.split())


@pytest.mark.slow
def test_a_test_is_stepped_through_forwards_and_back(project: Path) -> None:
    text = debug(project, "test_broken", "step", "continue", "back", "gas")
    assert "the test test/Counter.t.sol:CounterTest.test_broken" in text
    assert "->   15         counter.add(2);" in text
    assert "ends: exit 33 EVM_CONTRACT_REVERTED" in text
    # forge 1.7.1: [FAIL: not four] test_broken() (gas: 12906)
    assert "the message has ended: exit 33 EVM_CONTRACT_REVERTED, the contract reverted, gas 12,906" in text
    assert "the message has used 12,906.000 of" in text


@pytest.mark.slow
def test_native_calls_are_in_the_same_view(project: Path) -> None:
    text = debug(project, "test_named", "break call f07", "continue", "where")
    stack = text.split("(step) where")[-1]
    assert "f07" in stack
    assert "Named.sol" in stack
    assert "CounterTest" in stack


@pytest.mark.slow
def test_a_fuzz_test_begins_with_the_input_that_makes_it_fail(project: Path) -> None:
    text = debug(project, "testFuzz_broken", "continue")
    assert "the message has ended: exit 33" in text
    assert "testFuzz_broken(more=999)" in text  # the smallest value that is too much


@pytest.mark.parametrize(
    ("match", "words"),
    [
        ("test", "--debug needs exactly one test, but 4 match"),
        ("nothing", "--debug needs exactly one test, but 0 match"),
        ("testFuzz_fine", "passes in 256 runs: there is no input to debug it with"),
        ("invariant", "does not support invariant tests"),
    ],
)
def test_impossible_debug_target_is_reported(project: Path, match: str, words: str) -> None:
    assert words in debug(project, match, status=2)


@pytest.mark.slow
def test_an_editor_debugs_a_test(project: Path) -> None:
    command: list[str | Path] = [
        HYPERVISOR,
        "test",
        project,
        "--debug",
        "--dap",
        "--match-test",
        "test_broken",
        "--fuzz-seed",
        "1",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        client = DapClient(cast(BinaryIO, program.stdout), cast(BinaryIO, program.stdin))
        client.launch(breakpoints=["exit 33"])
        source = {"path": str(project / "test" / "Counter.t.sol")}
        found = client.request("setBreakpoints", source=source, breakpoints=[{"line": LINE}])
        assert [each["verified"] for each in found["breakpoints"]] == [True]
        client.request("configurationDone")
        client.event("stopped")
        client.request("continue", threadId=1)
        assert client.event("stopped")["reason"] == "breakpoint"
        assert client.request("stackTrace", threadId=1)["stackFrames"][0]["line"] == LINE
        client.request("continue", threadId=1)
        assert "exit 33" in client.event("stopped")["description"]
        client.request("disconnect")
        assert program.wait(60) == 0


@pytest.mark.slow
def test_an_editor_is_told_which_tests_were_selected(project: Path) -> None:
    command: list[str | Path] = [HYPERVISOR, "test", project, "--debug", "--dap", "--match-test", "nothing"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        client = DapClient(cast(BinaryIO, program.stdout), cast(BinaryIO, program.stdin))
        client.request("initialize", adapterID="hypervisor")
        response = client.response("launch")
        assert not response["success"]
        assert "0 match" in response["message"]
        client.request("disconnect")


@pytest.mark.parametrize("more", [("--command", "step"), ()])
def test_the_debug_adapter_takes_no_commands_and_needs_debug(project: Path, more: tuple[str, ...]) -> None:
    debug_option = ("--debug",) if more else ()
    done = run("test", str(project), "--dap", *debug_option, *more)
    assert done.exit_code == 2
    assert "pass it with --debug and without --command" in " ".join(done.stderr.replace("│", "").split())
