"""The debugger for editors: a client of the Debug Adapter Protocol over standard streams and a port."""

import base64
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from hypervisor_tools.debugger import adapter
from hypervisor_tools.debugger.adapter import Adapter
from tests.hypervisor_tools.debugger.dap_client import DapClient
from tests.hypervisor_tools.debugger.stage import OUT, PROJECT, WORDS, Stage

pytestmark = pytest.mark.slow

LONGEST = 60.0
HYPERVISOR = Path(sys.executable).with_name("hypervisor")
SOURCE = PROJECT / "src" / "Teller.sol"


@pytest.fixture
def launch(chain: tuple[Path, Stage]) -> dict[str, object]:
    folder, stage = chain
    return {"what": f"0x{stage.failed.hex()}", "state": str(folder), "artifacts": [str(OUT)]}


@pytest.fixture
def client() -> Iterator[DapClient]:
    """Start a client over standard streams; the program ends after disconnecting."""
    program = subprocess.Popen([HYPERVISOR, "step", "--dap"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    yield DapClient(cast(BinaryIO, program.stdout), cast(BinaryIO, program.stdin))
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.close()
    try:
        assert program.wait(LONGEST) == 0
    finally:
        program.kill()
        program.stdout.close()


def test_editor_debugs_solidity_call_to_failing_native_actor(
    client: DapClient, launch: dict[str, object], chain: tuple[Path, Stage]
) -> None:
    _, stage = chain
    client.launch(**launch)
    found = client.request("setBreakpoints", source={"path": str(SOURCE)}, breakpoints=[{"line": 26}])
    assert [each["verified"] for each in found["breakpoints"]] == [True]
    client.request("setExceptionBreakpoints", filters=["exit"])
    client.request("configurationDone")
    assert client.event("stopped")["description"] == "the message begins"
    assert client.request("threads")["threads"] == [{"id": 1, "name": "message"}]

    client.request("continue", threadId=1)
    assert client.event("stopped")["reason"] == "breakpoint"
    (frame,) = client.request("stackTrace", threadId=1)["stackFrames"]
    assert (frame["line"], frame["source"]["path"]) == (26, str(SOURCE))
    assert "DELEGATECALL" not in client.scope(0, "Stack")["pc"]["value"]
    assert client.scope(0, "Storage") == {"0x0": {"name": "0x0", "value": "0x1", "variablesReference": 0}}

    client.request("continue", threadId=1)
    assert client.event("stopped")["description"].endswith("exit any")
    native, contract = client.request("stackTrace", threadId=1)["stackFrames"]
    assert "Fail" in native["name"]
    assert WORDS in native["name"]
    assert contract["line"] == 26
    assert client.scope(0, "State")["count"]["value"] == "1000"
    assert client.scope(1, "Stack")["pc"]["value"].endswith("DELEGATECALL")
    offset = int(client.scope(0, "Syscall")["now"]["value"].partition("offset=")[2].partition(",")[0])
    word = client.scope(1, "Memory")["0x40"]
    found = client.request("readMemory", memoryReference=word["memoryReference"], count=32)
    assert (found["address"], base64.b64decode(found["data"]).hex()) == ("0x40", word["value"][2:])
    before = client.response("readMemory", memoryReference="0:0", offset=-1, count=1)
    assert "memory offset -1 is out of range" in before["message"]
    memory = client.request("readMemory", memoryReference=f"0:{offset}", count=len(WORDS))
    assert base64.b64decode(memory["data"]) == WORDS.encode()
    assert f"f0{stage.counter}" in client.request("evaluate", expression="where")["result"]

    client.request("stepBack", threadId=1)
    client.event("stopped")
    assert "emit_event" in client.request("stackTrace", threadId=1)["stackFrames"][0]["name"]
    client.request("setExceptionBreakpoints", filters=[])
    client.request("stepOut", threadId=1)
    client.event("stopped")
    client.request("next", threadId=1, granularity="instruction")
    client.event("stopped")
    assert client.request("stackTrace", threadId=1)["totalFrames"] == 1
    client.request("reverseContinue", threadId=1)
    assert client.event("stopped")["reason"] == "breakpoint"
    client.request("setBreakpoints", source={"path": str(SOURCE)}, breakpoints=[])

    client.request("continue", threadId=1)
    assert "exit 33" in client.event("stopped")["description"]
    client.request("stepBack", threadId=1)
    client.event("stopped")
    assert client.request("stackTrace", threadId=1)["stackFrames"][0]["line"] == 19
    client.request("continue", threadId=1)
    client.event("stopped")
    client.request("continue", threadId=1)
    assert client.event("exited") == {"exitCode": 33}
    client.event("terminated")
    client.request("disconnect")


@pytest.mark.parametrize(
    ("command", "arguments", "problem"),
    [
        ("stackTrace", {}, "no message is being debugged: send a launch request first"),
        ("launch", {}, 'the launch configuration needs "what"'),
        ("launch", {"what": 5}, "expected a string"),
        ("launch", {"what": "0x12", "state": "/nowhere"}, "there is no folder"),
        ("launch", {"what": "0x12", "artifacts": "out"}, "expected a list"),
        ("setBreakpoints", {}, "does not follow the Debug Adapter Protocol"),
        ("dance", {}, "is not supported by this adapter"),
    ],
)
def test_unanswerable_request_is_refused_and_session_continues(
    client: DapClient, command: str, arguments: dict[str, object], problem: str
) -> None:
    response = client.response(command, **arguments)
    assert not response["success"]
    assert problem in response["message"]
    assert client.request("initialize")["supportsStepBack"]


def test_editor_disconnect_mid_step_leaves_no_lock(chain: tuple[Path, Stage], launch: dict[str, object]) -> None:
    _, stage = chain
    program = subprocess.Popen([HYPERVISOR, "step", "--listen", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert program.stdout is not None
        port = int(program.stdout.readline().rpartition(":")[2])
        spin = {
            **launch,
            "what": f"0x{stage.teller.address.hex()}",
            "function": "spin(uint256)",
            "arguments": ["90000"],
        }
        for given in (spin, launch):  # the second one opens the same folder: the first has left no lock
            with socket.create_connection(("127.0.0.1", port)) as connection:
                client = DapClient(connection.makefile("rb"), cast(BinaryIO, connection.makefile("wb")))
                client.launch(**given)
                client.request("setFunctionBreakpoints", breakpoints=[{"name": "pc 999999"}])
                client.request("configurationDone")
                client.event("stopped")
                client.request("continue", threadId=1)  # a minute, with each instruction looked at
        assert program.poll() is None
    finally:
        program.kill()
        program.wait()
        assert program.stdout is not None
        program.stdout.close()


def test_invalid_framing_ends_the_session_with_an_error_message(client: DapClient) -> None:
    client._writer.write(b"Content-Length: x\r\n\r\n")
    client._writer.flush()
    assert "expected a number" in client.event("output")["output"]
    assert client.read() is None


def test_invalid_frame_is_refused_and_session_continues(client: DapClient, launch: dict[str, object]) -> None:
    client.launch(**launch)
    client.request("configurationDone")
    client.event("stopped")
    for frame, problem in ((999, "there is no frame 999: expected 0 to 0"), (-1, "there is no frame -1")):
        response = client.response("evaluate", expression="list", frameId=frame)
        assert (response["success"], problem in response["message"]) == (False, True)
    for command, arguments in (
        ("evaluate", {"expression": "list", "frameId": float("inf")}),  # JSON has it as 1e999
        ("scopes", {"frameId": float("inf")}),
        ("stackTrace", {"levels": float("inf")}),
    ):
        assert "does not follow the Debug Adapter Protocol" in client.response(command, **arguments)["message"]
    assert "begins" in client.request("evaluate", expression="where", frameId=0)["result"]


def nested(depth: int) -> bytes:
    data = b"[" * depth
    return b"Content-Length: %d\r\n\r\n%s" % (len(data), data)


def test_deeply_nested_message_ends_session_with_error_text(client: DapClient) -> None:
    client._writer.write(nested(200_000))
    client._writer.flush()
    assert "nested too deep" in client.event("output")["output"]
    assert client.read() is None


def test_adapter_error_ends_only_one_session(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next editor is served; Ctrl-C ends the server."""
    served: list[str] = []

    def serve(_: Adapter) -> None:
        served.append("editor")
        raise LookupError("a defect") if len(served) == 1 else KeyboardInterrupt

    monkeypatch.setattr(Adapter, "serve", serve)
    real = socket.create_server
    connections: list[socket.socket] = []

    def create_server(address: tuple[str, int]) -> socket.socket:
        server = real(address)
        connections.extend(socket.create_connection(server.getsockname()) for _ in range(2))
        return server

    monkeypatch.setattr(socket, "create_server", create_server)
    adapter.serve_port(0, lambda _: pytest.fail("no message is being debugged: send a launch request first"))
    for each in connections:
        each.close()
    assert served == ["editor", "editor"]
    assert "a defect" in capsys.readouterr().err


def test_editor_breakpoints_keep_launch_breakpoints(client: DapClient, launch: dict[str, object]) -> None:
    """Editors send all three breakpoint requests before the message starts, often empty ones."""
    client.launch(**launch, breakpoints=["exit any"])
    client.request("setBreakpoints", source={"path": str(SOURCE)}, breakpoints=[])
    client.request("setFunctionBreakpoints", breakpoints=[{"name": "syscall vm::exit"}])
    client.request("setFunctionBreakpoints", breakpoints=[])
    client.request("setExceptionBreakpoints", filters=[])
    client.request("configurationDone")
    client.event("stopped")
    client.request("continue", threadId=1)
    assert client.event("stopped")["description"].endswith("exit any")


@pytest.mark.parametrize("first", [b"POST / HTTP/1.1", b"X-Header: y", b"Content-Length" + b" " * 2000])
def test_http_post_of_web_page_is_not_an_adapter_request(client: DapClient, first: bytes) -> None:
    """A page's POST has Content-Length among its headers, and a body chosen by the page."""
    body = b'{"type": "request", "seq": 1, "command": "initialize"}'
    client._writer.write(b"%s\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s" % (first, len(body), body))
    client._writer.flush()
    assert "unexpected header line" in client.event("output")["output"]
    assert client.read() is None


def test_pause_stops_running_program_and_is_not_remembered(
    client: DapClient, launch: dict[str, object], chain: tuple[Path, Stage]
) -> None:
    _, stage = chain
    spin = {**launch, "what": f"0x{stage.teller.address.hex()}", "function": "spin(uint256)", "arguments": ["90000"]}
    client.launch(**spin)
    client.request("setFunctionBreakpoints", breakpoints=[{"name": "pc 999999"}])
    client.request("configurationDone")
    client.event("stopped")
    client.request("pause", threadId=1)  # nothing runs
    client.request("continue", threadId=1)  # a minute, with each instruction looked at
    client.request("pause", threadId=1)
    assert client.event("stopped")["reason"] == "pause"
    client.request("setFunctionBreakpoints", breakpoints=[])
    client.request("pause", threadId=1)
    client.request("continue", threadId=1)
    assert "the message has ended: exit 0" in client.event("stopped")["description"]


def test_pause_right_after_a_request_is_for_that_one(client: DapClient, launch: dict[str, object]) -> None:
    """Both are sent together, so the pause may be read before the request starts: the message stops or ends."""
    client.launch(**launch)
    client.request("configurationDone")
    client.event("stopped")
    for command in ("stepBack", "next"):
        client.send(command, threadId=1)
        client.request("pause", threadId=1)
        client.event("stopped")
    client.request("continue", threadId=1)
    assert "exit 33" in client.event("stopped")["description"]
