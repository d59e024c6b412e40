"""Rights by token and limits of clients. Expected errors are Lotus' (go-jsonrpc auth/auth.go)."""

import asyncio
import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from websockets.sync.client import connect

from hypervisor.errors import InvalidInput
from localnet import Network
from localnet.rpc.method_table import method_table
from localnet.rpc.node import NodeLimits
from localnet.rpc.server.access import ClientLimits, Clients
from localnet.rpc.server.server import Server
from localnet.rpc.tokens import Right, Tokens, right_for
from tests.localnet.rpc.asking import ALICE, BOB, NOBODY

WRITER, ADMIN = "writer-0123456789abcdef", "admin-0123456789abcdef"
SPINS = {NOBODY: {"code": "0x5b5f56"}}


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    file = tmp_path / "tokens"
    file.write_text(f"# of a team\n{WRITER} write carol\n{ADMIN} admin ops # rotates\n")
    return file


@contextmanager
def served(**options: Any) -> Iterator[str]:
    with Network(rules="ethereum") as network:
        server = Server(network, 0, NodeLimits(query=1, trace=1), **options)
        ready = Event()
        thread = Thread(target=server.run, args=(ready.set,))
        thread.start()
        assert ready.wait(60)
        try:
            yield server.url
        finally:
            server.stop()
            thread.join()


def post(url: str, body: Any, token: str = "", **headers: str) -> Any:
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"} | headers)
    with urlopen(request) as response:
        return json.loads(response.read())


def call(method: str, *params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


SEND = call("eth_sendTransaction", {"from": ALICE, "to": BOB, "value": "0x1"})


def test_tokens_have_rights(tokens: Path) -> None:
    with served(tokens=Tokens(tokens)) as url:
        assert post(url, call("eth_blockNumber"))["result"] == "0x0"
        for body in (SEND, [SEND, SEND]):
            found = post(url, body)
            for each in found if isinstance(found, list) else [found]:
                assert each["error"]["message"].startswith(
                    "missing permission to invoke 'eth_sendTransaction' (need 'write')"
                )
        assert "result" in post(url, SEND, WRITER)
        assert "need 'admin'" in post(url, call("evm_mine"), WRITER)["error"]["message"]
        assert "result" in post(url, call("evm_mine"), ADMIN)
        with pytest.raises(HTTPError, match="401"):
            post(url, call("eth_blockNumber"), "unknown-0123456789abcdef")
        assert post(url, call("Filecoin.AuthVerify", WRITER))["result"] == ["read", "write", "sign"]
        new = base64.b64decode(post(url, call("Filecoin.AuthNew", ["read", "write"]), ADMIN)["result"]).decode()
        assert "result" in post(url, SEND, new)
        with connect(f"{url.replace('http', 'ws')}/?token={WRITER}") as socket:
            socket.send(json.dumps(SEND))
            assert "result" in json.loads(socket.recv())
    assert Tokens(tokens).find(new) == (Right.WRITE, "auth-3")


def test_methods_that_control_the_node_need_an_administrator() -> None:
    for method in method_table().values():
        if method.handler.__module__.startswith("localnet.rpc.dev.") and not method.reads:
            assert right_for(method.name) is Right.ADMIN, method.name
        if method.name.startswith("eth_send") or "Push" in method.name:
            assert right_for(method.name) is not Right.READ, method.name


@pytest.mark.parametrize("line", ["short read a", f"{WRITER} owner a", f"{WRITER} read"])
def test_wrong_line_of_the_file_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "tokens").write_text(f"\n{line}\n")
    with pytest.raises(InvalidInput, match="line 2: expected TOKEN RIGHT NAME"):
        Tokens(tmp_path / "tokens")


def test_requests_per_second_are_limited_by_client() -> None:
    with served(client_limits=ClientLimits(rate=2), trusts_forwarded=True) as url:
        found = [post(url, call("eth_chainId"), **{"X-Forwarded-For": "9.9.9.9, 10.0.0.1"}) for _ in range(4)]
        assert found[-1]["error"]["message"] == "more than 2 requests per second: send fewer"
        assert "result" in post(url, call("eth_chainId"), **{"X-Forwarded-For": "10.0.0.2"})


@pytest.mark.slow
def test_batch_and_queries_are_limited_by_client() -> None:
    spin = call("debug_traceCall", {"to": NOBODY}, "latest", {"stateOverrides": SPINS, "disableStack": True})
    with served(client_limits=ClientLimits(queries=1, batch=1.5)) as url:
        began = monotonic()
        found = post(url, [spin] * 20)
        assert monotonic() - began < 10
        assert found[-1]["error"]["message"].startswith("the batch has taken 1.5 s")


def test_queries_of_a_client_wait_for_each_other() -> None:
    clients = Clients(limits=ClientLimits(queries=1))
    first, other = clients.find("10.0.0.1", ()), clients.find("10.0.0.2", ())
    assert first is clients.find("10.0.0.1", ()) is not other

    async def order() -> list[str]:
        done: list[str] = []

        async def query(name: str, address: str) -> None:
            client = clients.find(address, ())
            assert client is not None
            assert client.queries is not None
            async with client.queries:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                done.append(name)

        await asyncio.gather(query("a", "10.0.0.1"), query("b", "10.0.0.1"), query("c", "10.0.0.2"))
        return done

    assert asyncio.run(order()) == ["a", "c", "b"]
