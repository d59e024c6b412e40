"""Order of a client's pipelined requests, while estimates run beside the chain's thread."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
import websockets.sync.client
from _pytest.monkeypatch import MonkeyPatch

from localnet import Network
from localnet.fork.node_client import NodeClient
from localnet.rpc.node import Node
from localnet.rpc.request_order import RequestOrder
from localnet.rpc.server.dispatch import Dispatcher
from localnet.rpc.server.server import Server
from localnet.rpc.socket_methods import SocketSession
from tests.localnet.rpc.asking import ALICE, BOB, NOBODY
from tests.localnet.rpc.executing import request_object, running


@pytest.fixture(params=["filecoin", "ethereum"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Network(rules=request.param) as network:
        network.set_code(bytes.fromhex(NOBODY[2:]), code())
        with running(Server(network, 0)) as server:
            yield server


def code() -> bytes:
    """Return code: CALLDATASIZE, PUSH1 9, JUMPI; set slot 0 to 1, STOP; at 9, REVERT unless slot 0 is set; STOP."""
    return bytes.fromhex("36600957" + "60015f5500" + "5b" + "5f54601357" + "5f5ffd" + "00" + "5b00")


def exchange(server: Server, requests: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Return the responses to pipelined requests in the order of the requests."""
    with websockets.sync.client.connect(server.url.replace("http", "ws")) as client:
        for number, (method, *params) in enumerate(requests):
            client.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
        responses = [json.loads(client.recv(60)) for _ in requests]
    return sorted(responses, key=lambda answer: int(answer["id"]))


def test_send_sees_effects_of_previous_send(server: Server) -> None:
    """The second one's estimate would fail on the state before the first one."""
    sets = ("eth_sendTransaction", {"from": ALICE, "to": NOBODY})
    needs = ("eth_sendTransaction", {"from": BOB, "to": NOBODY, "data": "0x01"})
    assert all("result" in result for result in exchange(server, [sets, needs]))


def test_nonces_are_in_the_order_of_the_requests(server: Server) -> None:
    estimated = ("eth_sendTransaction", {"from": ALICE, "to": BOB})
    given = ("eth_sendTransaction", {"from": ALICE, "to": BOB, "gas": hex(10**7)})
    results = exchange(server, [estimated, given, estimated, given])
    with NodeClient(server.url) as client:
        sent = [client.request("eth_getTransactionByHash", result["result"]) for result in results]
    assert [int(one["nonce"], 16) for one in sent] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "query",
    [("eth_getBalance", ALICE, "latest"), ("eth_call", {"to": NOBODY, "data": "0x"}), ("eth_nothing",)],
    ids=["pauses", "other thread", "none"],
)
def test_batch_with_a_change_precedes_later_messages(
    server: Server, monkeypatch: MonkeyPatch, query: tuple[Any, ...]
) -> None:
    monkeypatch.setattr("localnet.rpc.server.dispatch._BATCH_SLICE", 0.0)
    send = ("eth_sendTransaction", {"from": ALICE, "to": BOB, "gas": hex(10**7)})
    batch = [request_object(*request) for request in [query] * 20 + [send]]
    with websockets.sync.client.connect(server.url.replace("http", "ws")) as client:
        client.send(json.dumps(batch))
        for _ in range(3):
            client.send(json.dumps(request_object(*send)))
        responses = [json.loads(client.recv(60)) for _ in range(4)]
    (batched,) = (response for response in responses if isinstance(response, list))
    with NodeClient(server.url) as node:
        assert node.request("eth_getTransactionByHash", batched[-1]["result"])["nonce"] == "0x0"


def test_message_that_arrives_as_a_batch_ends_starts_after_those_that_wait() -> None:
    started: list[Any] = []

    async def exchange_messages(network: Network) -> None:
        node, order, end = Node(network), RequestOrder(), asyncio.get_running_loop().create_future()

        async def on_chain(change: Any) -> Any:
            started.append(change.args[1][1])
            if len(started) == 1:
                await end
            return change()

        dispatcher = Dispatcher(node, on_chain)

        def receive(message: Any) -> asyncio.Future[bytes]:
            session = SocketSession(node, cast(Any, None), order)
            return asyncio.ensure_future(dispatcher.dispatch(json.dumps(message).encode(), session))

        def change(value: str) -> dict[str, Any]:
            return request_object("anvil_setBalance", ALICE, value)

        messages = [receive([change("0x1")])]
        await asyncio.sleep(0)
        messages.append(receive(change("0x2")))
        await asyncio.sleep(0)
        end.set_result(None)
        for value in range(3, 12):  # one message per turn of the event loop
            messages.append(receive(change(hex(value))))
            await asyncio.sleep(0)
        await asyncio.gather(*messages)

    with Network() as network:
        asyncio.run(exchange_messages(network))
    assert started == [hex(value) for value in range(1, 12)]


def test_batch_with_a_subscription_precedes_later_messages(server: Server) -> None:
    batch = [request_object("eth_call", {"to": NOBODY, "data": "0x"})] * 50 + [
        request_object("eth_subscribe", "newHeads")
    ]
    with websockets.sync.client.connect(server.url.replace("http", "ws")) as client:
        client.send(json.dumps(batch))
        client.send(json.dumps(request_object("evm_mine")))
        received = [json.loads(client.recv(60)) for _ in range(3)]
    assert [one["params"]["result"]["number"] for one in received if "method" in one] == ["0x1"]


@pytest.mark.parametrize("server", ["filecoin"], indirect=True)
def test_batch_that_waits_for_a_block_does_not_delay_the_message_that_mines_it(server: Server) -> None:
    with websockets.sync.client.connect(server.url.replace("http", "ws")) as client, NodeClient(server.url) as node:
        node.request("evm_setAutomine", False)
        sent = node.request("eth_sendTransaction", {"from": ALICE, "to": BOB, "gas": hex(10**7)})
        cid = node.request("Filecoin.EthGetMessageCidByTransactionHash", sent)
        waits = request_object("Filecoin.StateWaitMsg", cid, 0, -1, True)
        client.send(json.dumps([request_object("evm_setIntervalMining", 0), waits]))
        client.send(json.dumps(request_object("evm_mine")))
        responses = [json.loads(client.recv(60)) for _ in range(2)]
    (batched,) = (response for response in responses if isinstance(response, list))
    assert batched[1]["result"]["Message"] == cid


def test_mined_block_includes_transactions_requested_before_it(server: Server) -> None:
    requests = [("evm_setAutomine", False), ("eth_sendTransaction", {"from": ALICE, "to": BOB}), ("evm_mine",)]
    responses = exchange(server, requests)
    assert responses[1]["result"] == "0x" + server.network.head.transactions[0].hex()


def test_concurrent_sends_of_one_account_get_distinct_nonces(server: Server) -> None:
    """Each is estimated after the previous ones."""

    def send(_: int) -> str:
        with NodeClient(server.url) as client:
            sent: str = client.request("eth_sendTransaction", {"from": ALICE, "to": BOB})
            return sent

    with ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(send, range(8)))
    with NodeClient(server.url) as client:
        nonces = {int(client.request("eth_getTransactionByHash", one)["nonce"], 16) for one in sent}
    assert nonces == set(range(8))
