"""`hypervisor node` and `hypervisor trace` as processes."""

import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.rpc_client import rpc_request
from localnet.fork.node_client import NodeError
from tests import command
from tests.command import Program
from tests.web_server import Handler, serving

ARTIFACTS = Path(__file__).resolve().parents[3] / "examples" / "solidity" / "artifacts"
ALICE = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
START = 60.0
NO_HASH = "0x" + "12" * 32
NO_MESSAGE = "bafy2bzaceastk5qjmpnaqeeq6whogrlcymyurzyq6jawkntdzwedaznw7amvy"
"""A valid message CID that belongs to no transaction."""


@contextmanager
def running(ready: Path, *arguments: str, files: int | None = None) -> Iterator[tuple[str, Program]]:
    """Run a node on a free port and yield its URL and process; `files` limits its open files."""
    process = Program(["node", "--port", "0", "--ready-file", ready, *arguments], files=files)
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


def terminated(process: Program) -> tuple[str, str]:
    process.terminate()
    return process.communicate(timeout=START)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return command.run_program(*arguments, timeout=START)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_node_prints_accounts_and_stops_on_signal(tmp_path: Path, number: int) -> None:
    ready = tmp_path / "ready"
    with running(ready) as (url, process):
        assert rpc_request(url, "eth_chainId") == "0x1df5e76"
        assert rpc_request(url, "eth_getBalance", ALICE, "latest") == hex(10_000 * 10**18)
        process.send_signal(number)
        output, errors = process.communicate(timeout=START)
        assert (process.returncode, errors) == (0, "")
    assert "(0) 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 (10000 FIL)  f1" in output  # as anvil writes it
    assert "(0) 0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80" in output
    assert f"Listening on {url} (chain id 31415926, block 0)" in output
    assert not ready.exists()


@pytest.mark.slow
def test_ready_file_of_killed_node_is_removed_at_next_start(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with running(ready, "--silent") as (_, process):
        process.kill()
        process.wait(timeout=START)
    assert ready.exists()
    failed = run("node", "--ready-file", ready, "--bundle", tmp_path / "absent.car")
    assert failed.returncode == 2, failed.stderr
    assert not ready.exists()


@pytest.mark.slow
def test_allowed_host_and_origin_may_send_requests(tmp_path: Path) -> None:
    named = ("--allow-host", "node.example", "--allow-origin", "https://app.example")
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"})
    with running(tmp_path / "ready", *named) as (url, _), closing(HTTPConnection(urlsplit(url).netloc)) as connection:
        for headers, status in (
            ({"Host": "node.example"}, 200), ({"Host": "other.example"}, 403),
            ({"Origin": "https://app.example"}, 200), ({"Origin": "https://other.example"}, 403),
        ):  # fmt: skip
            connection.request("POST", "/", body, headers)
            response = connection.getresponse()
            response.read()
            assert response.status == status, headers


@pytest.mark.slow
def test_node_reopens_folder_and_traces_its_transactions(tmp_path: Path) -> None:
    state, inbox = tmp_path / "chain", ARTIFACTS / "Inbox.json"
    bytecode = json.loads(inbox.read_text(encoding="utf-8"))["bytecode"]
    with running(tmp_path / "ready", "--state", str(state), "--silent") as (url, process):
        sent = rpc_request(url, "eth_sendTransaction", {"from": ALICE, "data": bytecode})
        receipt = rpc_request(url, "eth_getTransactionReceipt", sent)
        shown = run("trace", sent, "--rpc", url)
        assert shown.returncode == 0, shown.stderr
        assert "eam CreateExternal(" in shown.stdout
        assert re.search(r"gas [0-9,]+ \([a-z ]+ [0-9]+%, ", shown.stdout)
        message = rpc_request(url, "Filecoin.EthGetMessageCidByTransactionHash", sent)["/"]
        by_cid = run("trace", message, "--rpc", url)
        assert (by_cid.returncode, by_cid.stdout) == (0, shown.stdout), by_cid.stderr
        unknown = run("trace", NO_MESSAGE, "--rpc", url)
        assert (unknown.returncode, f"no message has the CID {NO_MESSAGE}" in unknown.stderr) == (1, True)
        behind = run("trace", "1", "--rpc", url)
        assert behind.returncode == 0, behind.stderr
        for expected in (r"^wasm f02 reward AwardBlockReward\(miner=f00, ", r"^wasm f03 cron EpochTick\(\)"):
            assert re.search(expected, behind.stdout, re.MULTILINE), behind.stdout
        assert terminated(process)[0] == ""
    with running(tmp_path / "ready", "--state", str(state)) as (url, process):
        assert rpc_request(url, "eth_getTransactionReceipt", sent) == receipt
        beside = run("trace", sent, "--state", state)  # a folder that a node has open is read, not written
        assert (beside.returncode, "eam CreateExternal(" in beside.stdout) == (0, True), beside.stderr
        collected = run("gc", state)
        assert (collected.returncode, "pass its URL instead of the folder (--rpc-url URL)" in collected.stderr) == (
            1,
            True,
        )
        data = "0xead710c4" + f"{32:064x}{2:064x}" + "6869".ljust(64, "0")  # greet("hi")
        call = rpc_request(url, "eth_sendTransaction", {"from": ALICE, "to": receipt["contractAddress"], "data": data})
        told = terminated(process)[0].splitlines()[-1]
        assert told.startswith(f"block 2  {call}  {ALICE} -> {receipt['contractAddress']}  ok  gas ")
    other = run("node", "--state", state, "--network", "nv27")
    assert other.returncode == 2
    assert other.stderr.startswith("error: the folder's state has network version 29")
    assert run("trace", "1", "--state", state).stdout == behind.stdout
    assert run("trace", message, "--state", state).stdout == shown.stdout
    unknown = run("trace", NO_MESSAGE, "--state", state)
    assert (unknown.returncode, f"no message has the CID {NO_MESSAGE}" in unknown.stderr) == (1, True)
    offline = run("trace", call, "--state", state, "--abi", inbox)
    assert offline.returncode == 0, offline.stderr
    (line,) = [line for line in offline.stdout.splitlines() if 'Inbox greet(text="hi")' in line]
    assert re.search(r"value 0  exit 0  gas [0-9,]+$", line)
    (event,) = [line for line in offline.stdout.splitlines() if "event Greeted(" in line]
    assert event.endswith(f'from={ALICE}, value=0, text="hi", greetings=1)')  # longer than a terminal is wide
    flame = tmp_path / "flame.html"
    tree = json.loads(run("trace", call, "--state", state, "--abi", inbox, "--json", "--flame", flame).stdout)
    assert (tree["transactionHash"], tree["reproduced"], len(tree["calls"])) == (call, True, 1)
    assert (tree["why"], tree["calls"][0]["decoded"]["arguments"]) == (None, '(text="hi")')
    assert "Inbox.greet(text=&quot;hi&quot;)" in flame.read_text(encoding="utf-8")


@pytest.mark.slow
def test_node_upgrades_after_planned_epoch_and_reopens_without_option(tmp_path: Path) -> None:
    """CLZ (EIP-7939) is an instruction of contracts from nv28 on."""
    options = ["--network", "nv27", "--state", str(tmp_path / "chain")]
    clz = {"data": "0x60011e5f5260205ffd"}  # PUSH1 1, CLZ, and revert with the word
    with running(tmp_path / "ready", *options, "--upgrade", "nv28@2") as (url, _):
        for _ in range(3):
            with pytest.raises(NodeError, match="UNDEFINED_INSTRUCTION"):
                rpc_request(url, "eth_call", clz)
            rpc_request(url, "hardhat_mine", "0x1")
        with pytest.raises(NodeError, match="CONTRACT_REVERTED"):
            rpc_request(url, "eth_call", clz)
    with running(tmp_path / "again", *options) as (url, _), pytest.raises(NodeError, match="CONTRACT_REVERTED"):
        rpc_request(url, "eth_call", clz)


@pytest.mark.slow
def test_silent_node_logs_nothing_for_non_http_request(tmp_path: Path) -> None:
    with running(tmp_path / "ready", "--silent") as (url, process):
        port = urlsplit(url).port
        assert port is not None
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
        assert rpc_request(url, "eth_chainId") == "0x1df5e76"
        assert terminated(process) == ("", "")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--bundle", "absent.car"], 2, "bundle absent.car cannot be read"),
        (["--network", "newest"], 2, "'newest' is not a network version"),
        (["--network", "optimism"], 2, "use --rules ethereum"),
        (["--network", "nv99"], 2, "nv99 is not known"),
        (["--upgrade", "nv28"], 2, "'nv28' is not an upgrade: expected nv29@1000"),
        (["--upgrade", "nv28@1="], 2, "'nv28@1=' is not an upgrade"),
        (["--swa", "0x12"], 2, "0x12"),
        (["--ramp", "-1"], 2, "-1 epochs cannot be the ramp of streams: expected a whole number, 0 to 2^62 - 1"),
        (["--network", "nv28", "--timelock", "5"], 2, "need network version nv29, this network has nv28"),
        (["--network", "nv28", "--upgrade", "nv29@9", "--sra", "f04242"], 2, "no actor has the address f04242"),
        (["--upgrade", "nv28@soon"], 2, "'nv28@soon' is not an upgrade"),
        (["--upgrade", "28@5"], 2, "nv28 is not an upgrade of nv29"),
        (["--network", "nv27", "--upgrade", "nv28@5=absent.car"], 2, "bundle absent.car cannot be read"),
        (["--evm", "geth"], 2, "geth"),
        (["--port", "70000"], 2, "65535"),
        (["--evm", "official"], 2, "an official `bundle`, such as `--bundle v18` after `hypervisor bundle fetch v18`"),
        (["--state", "file"], 2, "file is a file"),
    ],
)
def test_node_startup_failure_reports_reason(tmp_path: Path, arguments: list[str], code: int, words: str) -> None:
    (tmp_path / "file").touch()
    done = command.run_program("node", "--port", "0", *arguments, folder=tmp_path, timeout=START)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["0x12"], 2, "'0x12' is not a transaction hash: expected 0x and 64 hex digits, or the CID of"),
        ([NO_HASH, "--rpc", "nowhere"], 2, "'nowhere' is not a URL of a node"),
        ([NO_HASH, "--rpc", "http://127.0.0.1:1"], 1, "no node responds at http://127.0.0.1:1"),
        ([NO_HASH, "--state", "absent"], 2, "there is no folder absent"),
        ([NO_HASH, "--abi", "absent.json"], 2, "error: the artifact absent.json cannot be read: No such file"),
    ],
)
def test_unavailable_trace_reports_reason(arguments: list[str], code: int, words: str) -> None:
    done = run("trace", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_folder_without_chain_is_refused_and_left_unchanged(tmp_path: Path) -> None:
    from hypervisor import Hypervisor

    empty, machine = tmp_path / "empty", tmp_path / "machine"
    empty.mkdir()
    with Hypervisor.open(machine) as opened:
        root = opened.root
    for folder in (empty, machine):
        done = run("trace", "0x" + "11" * 32, "--state", folder)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)
        assert str(folder) in done.stderr
    assert "contains no chain" in done.stderr
    assert list(empty.iterdir()) == []
    with Hypervisor.open(machine) as opened:
        assert (opened.root, opened.base.index(b"head")) == (root, None)


@pytest.mark.parametrize("answer", [b"[]", b"5", b"{}", b'{"error": "no"}', b'{"error": {}}'])
def test_non_json_rpc_server_is_reported(answer: bytes) -> None:
    class Odd(Handler):
        def do_POST(self) -> None:
            self.posted()
            self.answer(answer)

    with serving(Odd) as url, pytest.raises(NodeError, match="returned a response that is not JSON-RPC"):
        rpc_request(url, "eth_chainId")


@pytest.mark.slow
def test_node_error_is_reported(tmp_path: Path) -> None:
    with running(tmp_path / "ready") as (url, _):
        with pytest.raises(NodeError, match="does not exist"):
            rpc_request(url, "eth_nothing")
        done = run("trace", "0x" + "11" * 32, "--rpc", url)
        assert (done.returncode, "is not on this chain" in done.stderr) == (1, True)
    with pytest.raises(InvalidInput, match="is not a URL"):
        rpc_request("ftp://localhost", "eth_chainId")
