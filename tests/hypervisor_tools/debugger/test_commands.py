"""`hypervisor step` as a program: through a pseudo-terminal, and with commands as lines of the input."""

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hypervisor.versions.features import with_features
from hypervisor_tools.debugger import commands
from localnet import Network
from localnet.rpc.server.server import serving
from tests import command
from tests.hypervisor_tools.debugger.stage import OUT, Stage

LONGEST = 60.0
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r")


class Screen:
    """A program on a pseudo-terminal."""

    def __init__(self, arguments: list[str]) -> None:
        self._terminal, inner = pty.openpty()
        self.program = subprocess.Popen(
            [Path(sys.executable).parent / "hypervisor", *arguments],
            stdin=inner, stdout=inner, stderr=inner, close_fds=True,
            env={**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", "COLUMNS": "300", "LINES": "200"},
        )  # fmt: skip
        os.close(inner)
        self.text = ""

    def wait_for(self, text: str) -> str:
        """Return the output up to and including `text`, and drop it from the buffer."""
        deadline = time.monotonic() + LONGEST
        while text not in self.text:
            ready, _, _ = select.select([self._terminal], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"waited for {text!r}: {self.text}"
            try:
                data = os.read(self._terminal, 65_536)
            except OSError:  # the program has ended
                data = b""
            assert data, f"ended before {text!r}: {self.text}"
            self.text += _CONTROL.sub("", data.decode("utf-8", "replace"))
        before, _, self.text = self.text.partition(text)
        return before + text

    def type(self, line: str) -> None:
        os.write(self._terminal, line.encode() + b"\n")

    def close(self) -> None:
        if self.program.poll() is None:
            self.program.kill()
        self.program.wait()
        os.close(self._terminal)


@pytest.fixture
def screen(chain: tuple[Path, Stage]) -> Iterator[Screen]:
    folder, stage = chain
    made = Screen(["step", f"0x{stage.failed.hex()}", "--state", str(folder), "--artifacts", str(OUT)])
    yield made
    made.close()


@pytest.mark.slow
def test_terminal_debugs_solidity_call_to_failing_native_actor(screen: Screen, chain: tuple[Path, Stage]) -> None:
    _, stage = chain
    screen.wait_for("the message begins")
    screen.wait_for("(step)")
    screen.type("break exit any")
    screen.wait_for("breakpoint 1: exit any")
    screen.type("continue")
    screen.wait_for(f"f0{stage.counter} counter Fail(exit_code=33")
    screen.wait_for('"refused on purpose"')
    screen.type("where")
    screen.wait_for("src/Teller.sol:26")
    screen.type("state")
    screen.wait_for('"count": 1000')
    screen.type("back")
    screen.wait_for("back: ")
    screen.wait_for("event::emit_event")
    screen.type("stack")
    screen.wait_for("error: frame 0 is not at a contract's instruction")
    screen.type("quit")
    assert screen.program.wait(LONGEST) == 0


@pytest.mark.slow
def test_commands_are_lines_of_the_input_without_a_terminal(chain: tuple[Path, Stage]) -> None:
    folder, stage = chain
    done = command.run_program(
        "step", f"0x{stage.failed.hex()}", "--state", folder, "--artifacts", OUT, "--break", "line Teller.sol:17",
        "-x", "continue", "-x", "out", "-x", "nonsense", "-x", "step", timeout=LONGEST,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "breakpoint 1: line Teller.sol:17" in done.stdout
    assert "ends: exit 33 EVM_CONTRACT_REVERTED" in done.stdout
    assert "there is no command 'nonsense'" in done.stdout
    assert "the message has ended: exit 33" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "missing argument: pass a transaction's hash"),
        (["0x12", "--state", "CHAIN"], "'0x12' is not a transaction's hash or a message's CID; pass 0x and 64 hex"),
        (["1", "--state", "CHAIN"], "'1' is an epoch, not a transaction's hash or a message's CID; pass 0x and"),
        (["0x" + "12" * 32, "--state", "CHAIN"], "is not on this chain"),
        (["0x" + "12" * 32, "--state", "/nowhere"], "there is no folder"),
        (["f0100", "f()"], "needs the folder of a chain: pass --state"),
        (["0x" + "12" * 32, "--state", "CHAIN", "--break", "exit"], "exit needs a value"),
        (["0x" + "12" * 32, "--dap"], 'launch configuration has "what"'),
        (["--listen", "0", "--from", "f0100"], "--from cannot be used while serving an editor"),
        (["--dap", "--rpc", "http://127.0.0.1:1"], 'launch configuration has "rpcUrl"'),
        (["--dap", "--value", "1"], 'launch configuration has "value"'),
        (["--dap", "-x", "where"], "its console takes commands"),
        (["--dap", "--listen", "0"], "--dap serves it on standard input"),
    ],
)
def test_bad_input_is_one_sentence(chain: tuple[Path, Stage], arguments: list[str], problem: str) -> None:
    folder, stage = chain
    given = [str(folder) if each == "CHAIN" else each for each in arguments]
    if "--break" in given:  # of a transaction that is there
        given[0] = f"0x{stage.failed.hex()}"
    done = command.run_program("step", *given, timeout=LONGEST)
    assert done.returncode == (1 if "is not on this chain" in done.stderr else 2)
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


def test_prompt_works_without_the_extra_and_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "prompt_toolkit", None)  # as if it were not installed
    monkeypatch.setattr("builtins.input", lambda prompt: f"{prompt}next")
    assert commands._reader()() == "(step) next"
    assert "pip install 'fvm-hypervisor[debugger]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [("step", "0x" + "11" * 32, "--rpc-url"), ("replay", "--from", "1", "--to", "1", "--fork-url")]
)
@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"rules": "ethereum"}, "has the rules 'ethereum'"),
        ({"overlay": with_features(["upgrade-actor"])}, "has the overlay 'upgrade-actor'"),
    ],
)
def test_node_with_other_rules_is_refused(arguments: tuple[str, ...], settings: dict[str, Any], problem: str) -> None:
    with Network(**settings) as network:
        network.mine()
        with serving(network) as url:
            done = command.run(*arguments, url)
    assert done.exit_code == 2
    assert problem in done.stderr
