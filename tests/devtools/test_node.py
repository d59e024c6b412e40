"""`hypervisor node` and `hypervisor trace`, as programs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devtools.cli.rpc_client import NodeError, ask
from hypervisor.errors import InvalidInput

HYPERVISOR = Path(sys.executable).with_name("hypervisor")
ARTIFACTS = Path(__file__).resolve().parent.parent.parent / "examples" / "solidity" / "artifacts"
ALICE = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
START = 60.0


@contextmanager
def running(ready: Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A node on a free port: its URL and the process, which is stopped at the end."""
    command = [str(HYPERVISOR), "node", "--port", "0", "--ready-file", str(ready), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + START
        while not ready.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "the node is not ready"
            time.sleep(0.01)
        yield ready.read_text().strip(), process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=START)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run([HYPERVISOR, *arguments], capture_output=True, text=True, check=False, timeout=START)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_node_prints_its_accounts_serves_and_ends_when_told_to(tmp_path: Path, number: int) -> None:
    ready = tmp_path / "ready"
    with running(ready) as (url, process):
        assert ask(url, "eth_chainId") == "0x1df5e76"
        assert ask(url, "eth_getBalance", ALICE, "latest") == hex(10_000 * 10**18)
        process.send_signal(number)
        output, errors = process.communicate(timeout=START)
        assert (process.returncode, errors) == (0, "")
    assert ALICE in output
    assert "key 0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80" in output
    assert f"Listening on {url} (chain id 31415926, block 0)" in output
    assert not ready.exists()


def test_a_folder_is_gone_on_with_and_traced(tmp_path: Path) -> None:
    state, inbox = tmp_path / "chain", ARTIFACTS / "Inbox.json"
    bytecode = json.loads(inbox.read_text(encoding="utf-8"))["bytecode"]
    with running(tmp_path / "ready", "--state", str(state), "--silent") as (url, process):
        sent = ask(url, "eth_sendTransaction", {"from": ALICE, "data": bytecode})
        receipt = ask(url, "eth_getTransactionReceipt", sent)
        shown = run("trace", sent, "--rpc", url)
        assert shown.returncode == 0, shown.stderr
        assert "eam CreateExternal(" in shown.stdout
        process.terminate()
        assert process.communicate(timeout=START)[0] == ""
    with running(tmp_path / "ready", "--state", str(state)) as (url, _):
        assert ask(url, "eth_getTransactionReceipt", sent) == receipt
        locked = run("trace", sent, "--state", state)
        assert (locked.returncode, "is open in another process" in locked.stderr) == (1, True)
        data = "0xead710c4" + f"{32:064x}{2:064x}" + "6869".ljust(64, "0")  # greet("hi")
        call = ask(url, "eth_sendTransaction", {"from": ALICE, "to": receipt["contractAddress"], "data": data})
    offline = run("trace", call, "--state", state, "--abi", inbox)
    assert offline.returncode == 0, offline.stderr
    assert 'Inbox greet(text="hi")' in offline.stdout
    assert "event Greeted(" in offline.stdout
    tree = json.loads(run("trace", call, "--state", state, "--json").stdout)
    assert (tree["transactionHash"], tree["reproduced"], len(tree["calls"])) == (call, True, 1)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--bundle", "absent.car"], 1, "bundle absent.car cannot be read"),
        (["--network", "newest"], 1, "'newest' is no network version"),
        (["--network", "nv99"], 1, "nv99 is not known"),
        (["--evm", "fast"], 2, "fast"),
        (["--port", "70000"], 2, "65535"),
        (["--evm", "official"], 1, "the state's bundle has no EVM actor of its own"),
        (["--state", "file"], 1, "file is a file"),
    ],
)
def test_a_node_that_cannot_start_says_why(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    (tmp_path / "file").touch()
    done = subprocess.run(
        [HYPERVISOR, "node", "--port", "0", *arguments],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=START,
    )  # fmt: skip
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["0x12", "--rpc", "nowhere"], "'nowhere' is no URL of a node"),
        (["0x12", "--rpc", "http://127.0.0.1:1"], "no node answers at http://127.0.0.1:1"),
        (["0x12", "--state", "absent"], "there is no folder absent"),
    ],
)
def test_a_trace_that_cannot_be_had_says_why(arguments: list[str], words: str) -> None:
    done = run("trace", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_of_the_node_is_told(tmp_path: Path) -> None:
    with running(tmp_path / "ready") as (url, _):
        with pytest.raises(NodeError, match="does not exist"):
            ask(url, "eth_nothing")
        done = run("trace", "0x" + "11" * 32, "--rpc", url)
        assert (done.returncode, "is not on this chain" in done.stderr) == (1, True)
    with pytest.raises(InvalidInput, match="is no URL"):
        ask("ftp://localhost", "eth_chainId")
