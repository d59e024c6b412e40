"""JSON-RPC 2.0: errors, batches, notifications, limits."""

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
import websockets.sync.client
from _pytest.monkeypatch import MonkeyPatch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from localnet import Account, Network
from localnet.chain.execution import apply
from localnet.fork.node_client import NodeClient
from localnet.rpc.errors import from_exception
from localnet.rpc.method_table import method_table
from localnet.rpc.node import Node, NodeLimits
from localnet.rpc.server.dispatch import Dispatcher
from localnet.rpc.server.server import Server
from localnet.rpc.socket_methods import RequestOrder, SocketSession
from store.blockstore import StoreFull, StoreReadOnly
from tests.conftest import samples
from tests.localnet.conftest import Clock
from tests.localnet.rpc.asking import ALICE, BOB, NOBODY
from tests.localnet.rpc.conftest import Client, Failed, refusal
from tests.localnet.rpc.executing import request_object, running

CHAIN_ID = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}


def error_of(response: Any) -> tuple[int, Any]:
    """Return code and ID of an error response."""
    assert set(response) == {"jsonrpc", "id", "error"}
    return response["error"]["code"], response["id"]


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b'{"jsonrpc": "2.0"', b"\xff\xfe", b'"\xed\xa0\x80"', b"[1,"])
def test_invalid_json_is_a_parse_error(rpc: Client, body: bytes) -> None:
    assert error_of(rpc.send(body)) == (-32700, None)


@pytest.mark.parametrize(
    "request_",
    [
        1, "text", None, True, {}, {"id": 1}, {"jsonrpc": "1.0", "id": 1, "method": "eth_chainId"},
        {"jsonrpc": "2.0", "id": 1}, {"jsonrpc": "2.0", "id": 1, "method": 5},
        {"jsonrpc": "2.0", "id": 1, "method": None},
    ],
)  # fmt: skip
def test_non_request_json_is_an_invalid_request(rpc: Client, request_: Any) -> None:
    code, request_id = error_of(rpc.send(json.dumps(request_).encode()))
    assert code == -32600
    assert request_id == (request_.get("id") if isinstance(request_, dict) else None)


@pytest.mark.parametrize("request_id", [{}, [], True])
def test_an_id_is_a_string_a_number_or_null(rpc: Client, request_id: Any) -> None:
    assert error_of(rpc.send(json.dumps({**CHAIN_ID, "id": request_id}).encode())) == (-32600, None)


@pytest.mark.parametrize("request_id", [0, -5, 1.5, "abc", "", None, 2**53, 2**64 + 1, -(2**63) - 1, 10**300 + 1])
def test_the_id_comes_back(rpc: Client, request_id: Any) -> None:
    request = {**CHAIN_ID, "id": request_id}
    expected = {"jsonrpc": "2.0", "id": request_id, "result": "0x1df5e76"}
    assert rpc.send(json.dumps(request).encode()) == expected
    assert rpc.send(json.dumps([5, {**request, "id": 2.5}, request]).encode())[2] == expected
    assert error_of(rpc.send(json.dumps({**request, "method": "eth_nothing"}).encode())) == (-32601, request_id)


def test_an_unknown_method_does_not_exist(rpc: Client) -> None:
    with refusal(-32601, "does not exist"):
        rpc("eth_nothing")


@pytest.mark.parametrize("params", [{"owner": "0x"}, "text", 5])
def test_parameters_are_a_list(rpc: Client, params: Any) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBalance", "params": params}
    assert error_of(rpc.send(json.dumps(body).encode())) == (-32602, 1)


def test_missing_and_superfluous_parameters_are_named(rpc: Client) -> None:
    with refusal(-32602, r"requires parameter 1 \(owner\)"):
        rpc("eth_getBalance")
    with pytest.raises(Failed, match="takes at most 0 parameters, not 1"):
        rpc("eth_chainId", 1)


def test_a_notification_has_no_answer(rpc: Client) -> None:
    assert rpc.send(b'{"jsonrpc":"2.0","method":"eth_chainId"}') is None
    assert rpc.send(b'{"jsonrpc":"2.0","method":"eth_nothing"}') is None
    assert rpc.send(b'{"jsonrpc":"2.0","method":"evm_mine"}') is None
    assert rpc("eth_blockNumber") != "0x0"


class TestBatches:
    """Batch requests."""

    def test_batch_responses_are_ordered_and_may_mix_errors(self, rpc: Client) -> None:
        batch = [CHAIN_ID, {**CHAIN_ID, "method": "eth_nothing", "id": 2}, 5, {**CHAIN_ID, "id": "three"}]
        responses = rpc.send(json.dumps(batch).encode())
        assert [result["id"] for result in responses] == [1, 2, None, "three"]
        assert [result.get("error", {}).get("code") for result in responses] == [None, -32601, -32600, None]

    def test_an_empty_batch_is_invalid(self, rpc: Client) -> None:
        assert error_of(rpc.send(b"[]")) == (-32600, None)

    def test_notifications_have_no_place_in_the_answer(self, rpc: Client) -> None:
        notification = {"jsonrpc": "2.0", "method": "eth_chainId"}
        assert rpc.send(json.dumps([notification, notification]).encode()) is None
        assert len(rpc.send(json.dumps([notification, CHAIN_ID]).encode())) == 1

    def test_batch_request_sees_effects_of_earlier_requests(self, rpc: Client) -> None:
        mine, number = {**CHAIN_ID, "method": "evm_mine"}, {**CHAIN_ID, "method": "eth_blockNumber"}
        responses = rpc.send(json.dumps([number, mine, number]).encode())
        assert int(responses[2]["result"], 16) == int(responses[0]["result"], 16) + 1

    def test_a_batch_over_the_limit_is_refused_as_a_whole(self, narrow_rpc: Client) -> None:
        assert len(narrow_rpc.send(json.dumps([CHAIN_ID] * 3).encode())) == 3
        response = narrow_rpc.send(json.dumps([CHAIN_ID] * 4).encode())
        assert error_of(response) == (-32600, None)
        assert "batch of 4 requests, at most 3: send smaller batches" in response["error"]["message"]

    def test_filecoins_rules_allow_batches_of_100(self, rpc: Client) -> None:
        """The default of Forest since 0.38 (ChainSafe/forest#7697)."""
        assert len(rpc.send(json.dumps([CHAIN_ID] * 100).encode())) == 100
        assert (
            "batch of 101 requests, at most 100" in rpc.send(json.dumps([CHAIN_ID] * 101).encode())["error"]["message"]
        )

    def test_an_answer_over_the_limit_is_replaced_by_an_error(self, narrow_rpc: Client) -> None:
        request = {**CHAIN_ID, "method": "eth_getBlockByNumber", "params": ["latest", False]}
        responses = narrow_rpc.send(json.dumps([request] * 3).encode())
        assert "result" in responses[0]
        assert error_of(responses[2]) == (-32000, 1)

    def test_concurrent_batches_share_response_size_limit(self, network: Network, monkeypatch: MonkeyPatch) -> None:
        monkeypatch.setattr(
            "localnet.rpc.server.dispatch._BATCH_SLICE", float("inf")
        )  # pauses would change the turns of the batches
        request = {**CHAIN_ID, "method": "eth_getBlockByNumber", "params": ["latest", False]}
        one = len(asyncio.run(Dispatcher(Node(network), _later).dispatch(json.dumps(request).encode())))
        dispatcher = Dispatcher(Node(network, NodeLimits(held=4 * one)), _later)
        body = json.dumps([request, request, {**CHAIN_ID, "method": "evm_mine"}]).encode()
        height = network.head.height

        async def both() -> tuple[bytes, bytes]:
            return await asyncio.gather(dispatcher.dispatch(body), dispatcher.dispatch(body))

        first, second = map(json.loads, asyncio.run(both()))
        refused = [result["error"] for result in [*first, *second] if "error" in result]
        assert [error["code"] for error in refused] == [-32000]
        assert f"exceed {4 * one} bytes: try again later" in refused[0]["message"]
        assert network.head.height == height + 1, "what is to be asked again was not done"
        assert all("result" in result for result in json.loads(asyncio.run(dispatcher.dispatch(body)))), "room again"


async def _later(work: Callable[[], Any]) -> Any:
    await asyncio.sleep(0)
    return work()


PARAMS = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10) | st.sampled_from(["latest", "0x", "0x1", "0x" + "11" * 20, "0x" + "11" * 32, "é"]),  # noqa: E501  # a list of cases
    lambda items: st.lists(items, max_size=2) | st.dictionaries(st.sampled_from(["from", "to", "data", "value", "topics", "address", "fromBlock", "blockHash", "gas"]), items, max_size=3),  # noqa: E501  # a list of cases
    max_leaves=4,
)  # fmt: skip
CHANGING = {"evm_mine", "anvil_mine", "hypervisor_mineAfterNullRounds", "evm_snapshot", "evm_revert"}


NAMES = sorted({row.name for row in method_table().values()} - CHANGING)


@given(name=st.sampled_from(NAMES), params=st.lists(PARAMS, max_size=4))
@settings(max_examples=samples(1600), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_params_cause_no_internal_error(rpc: Client, name: str, params: list[Any]) -> None:
    response = rpc.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": name, "params": params}).encode())
    error = response.get("error", {"code": None, "message": ""})
    if method_table()[name].on_socket:
        assert (error["code"], "use a WebSocket" in error["message"]) == (-32601, True)
        return
    assert error["code"] in (None, -32602, -32000, -32001, -32003, -32004, -32005, 1, 3, 4, 11), error
    assert "internal error" not in error["message"]


def test_unexpected_exception_is_internal_error_without_details() -> None:
    error = from_exception(RuntimeError("a secret"))
    assert (error.code, error.message) == (-32603, "internal error: RuntimeError")


def test_a_method_that_breaks_is_answered_and_the_next_one_too(
    rpc: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("localnet.network.Network.mine", broken)
    with refusal(-32603, "internal error"):
        rpc("evm_mine")
    assert "evm_mine failed" in caplog.text
    assert rpc("eth_chainId") == "0x1df5e76"


FULL = "no space left for the store in chain"


def test_full_disk_is_reported_in_one_line_without_traceback(
    rpc: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise StoreFull("no space left for the store in chain")

    with monkeypatch.context() as broken:
        broken.setattr(rpc.node.network.machine.base, "commit", refuse)
        with pytest.raises(Failed, match=f"-32000: {FULL}$") as failed:
            rpc("evm_mine")
    assert failed.value.code == -32000
    (record,) = caplog.records
    assert (record.getMessage(), record.exc_info) == (f"evm_mine failed: {FULL}", None)
    rpc("evm_mine")


def test_restart_is_not_the_remedy_for_a_store_opened_for_reading(rpc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise StoreReadOnly("chain was opened for reading")

    monkeypatch.setattr(rpc.node.network.machine.base, "commit", refuse)
    with pytest.raises(Failed, match=r"-32000: chain was opened for reading$"):
        rpc("evm_mine")


def test_a_result_that_json_cannot_hold_is_an_internal_error(rpc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localnet.network.Network.increase_time", lambda *_: 1 << 70)
    with refusal(-32603, "internal error: the result is not valid JSON"):
        rpc("evm_increaseTime", 1)


def test_every_rpc_method_has_a_summary() -> None:
    for name, method in method_table().items():
        assert method.summary.endswith("."), name


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
            started.append(change.keywords["amount"])
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
    assert started == list(range(1, 12))


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


@pytest.mark.slow
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


STRANGER = Account.from_key(bytes(31) + b"\x07")


def raw(network: Network, sender: Account, nonce: int, to: Account, value: int = 1, cap: int = 10**9) -> str:
    transaction = Transaction(DYNAMIC_FEE, network.chain_id, nonce, to.address, value, b"", 10_000_000, cap, 10**5)
    return "0x" + sender.sign(transaction).raw().hex()


def batch(rpc: Client, *requests: tuple[str, list[Any]]) -> list[Any]:
    """Return results, or codes of errors."""
    body = [
        {"jsonrpc": "2.0", "id": at, "method": name, "params": params} for at, (name, params) in enumerate(requests)
    ]
    responses = rpc.send(json.dumps(body).encode())
    assert [result["id"] for result in responses] == list(range(len(requests)))
    return [result["result"] if "result" in result else result["error"]["code"] for result in responses]


def sends(raws: list[str]) -> list[tuple[str, list[Any]]]:
    return [("eth_sendRawTransaction", [each]) for each in raws]


def test_batched_transactions_share_one_block(rpc: Client) -> None:
    network = rpc.node.network
    alice, bob = network.accounts[:2]
    height = network.block_number
    hashes = batch(rpc, *sends([raw(network, alice, network.nonce(alice) + n, bob) for n in range(5)]))
    assert network.block_number == height + 1
    assert ["0x" + transaction.hex() for transaction in network.head.transactions] == hashes
    assert {rpc("eth_getTransactionReceipt", each)["status"] for each in hashes} == {"0x1"}


def test_receipt_is_available_to_next_request_of_batch(rpc: Client) -> None:
    network = rpc.node.network
    alice, bob = network.accounts[:2]
    raws = [raw(network, alice, network.nonce(alice) + n, bob) for n in range(2)]
    first, _, nonce, _, _ = batch(
        rpc,
        *sends(raws),
        ("eth_getTransactionCount", ["0x" + alice.address.hex(), "latest"]),
        *sends([raw(network, alice, network.nonce(alice) + 2, bob), "0x00"]),
    )
    assert rpc("eth_getTransactionReceipt", first)["status"] == "0x1"
    assert int(nonce, 16) == network.nonce(alice) - 1


CASES: dict[str, Callable[[Network], list[str]]] = {
    "money that only the one before it gives": lambda network: [
        raw(network, network.accounts[0], 0, STRANGER, 10**18),
        raw(network, STRANGER, 0, network.accounts[1], 5),
        raw(network, network.accounts[0], 1, network.accounts[1]),
    ],
    "bad ones in the middle": lambda network: [
        raw(network, network.accounts[0], 0, STRANGER),
        "0x02",
        raw(network, network.accounts[0], 0, STRANGER, 2),
        raw(network, network.accounts[0], 1, STRANGER, 10**30),
        raw(network, network.accounts[0], 1, STRANGER, cap=1),
        raw(network, network.accounts[0], 1, STRANGER),
    ],
    "nonces the other way round": lambda network: [
        raw(network, network.accounts[0], nonce, STRANGER) for nonce in (2, 1, 0)
    ],
    "the same twice": lambda network: [raw(network, network.accounts[0], 0, STRANGER)] * 2,
    "a gap": lambda network: [raw(network, network.accounts[0], nonce, STRANGER) for nonce in (0, 2)],
    "funds for one of two": lambda network: [
        raw(network, network.accounts[0], 0, STRANGER, 9_999 * 10**18),
        raw(network, network.accounts[0], 1, STRANGER, 9_999 * 10**18),
    ],
}


@pytest.mark.parametrize("case", CASES)
def test_batch_results_equal_separate_requests(case: str) -> None:
    with Network(clock=Clock()) as together, Network(clock=Clock()) as alone:
        raws = CASES[case](together)
        one, other = Client(Node(together)), Client(Node(alone))
        assert batch(one, *sends(raws)) == [batch(other, send)[0] for send in sends(raws)]
        for account in (*alone.accounts[:2], STRANGER):
            assert together.nonce(account) == alone.nonce(account)
        assert together.balance(STRANGER) > 0
        assert len(together.mempool) == len(alone.mempool)


def test_message_breaking_the_machine_affects_no_other_message(rpc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    network = rpc.node.network
    alice, bob, carol = network.accounts[:3]
    broken = raw(network, bob, network.nonce(bob), carol, 13)

    def breaking(rules: Any, machine: Any, candidate: Any) -> Any:
        if candidate.bare.value == 13:
            raise OSError("disk error")
        return apply(rules, machine, candidate)

    monkeypatch.setattr("localnet.chain.execution.apply", breaking)
    raws = [
        raw(network, alice, network.nonce(alice), carol),
        broken,
        raw(network, alice, network.nonce(alice) + 1, carol),
    ]
    first, failed, last = batch(rpc, *sends(raws))
    assert failed == -32603
    assert [rpc("eth_getTransactionReceipt", each)["status"] for each in (first, last)] == ["0x1", "0x1"]
    assert len(network.mempool) == 0
    assert network.automine


def test_failing_epoch_ends_the_shared_block(rpc: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    network = rpc.node.network
    alice, bob = network.accounts[:2]

    def breaking(*_: Any) -> Any:
        raise OSError("disk error")

    for part in ("end_block", "start_block"):  # behind the messages, and before them
        monkeypatch.setattr(type(network.rules.blocks), part, breaking)
        raws = [raw(network, alice, network.nonce(alice) + n, bob) for n in range(2)]
        assert batch(rpc, *sends(raws)) == [-32603] * 2
        assert len(network.mempool) == 0  # their client has no hashes
        monkeypatch.undo()
    assert network.automine
    assert batch(rpc, *sends([raw(network, alice, network.nonce(alice) + n, bob) for n in range(2)]))


def test_batched_transactions_wait_without_automine(rpc: Client) -> None:
    network = rpc.node.network
    network.automine = False
    alice, bob = network.accounts[:2]
    hashes = batch(rpc, *sends([raw(network, alice, network.nonce(alice) + n, bob) for n in range(3)]))
    assert len(network.mempool) == 3
    assert [rpc("eth_getTransactionReceipt", each) for each in hashes] == [None] * 3


def asks(network: Network, *senders: int, **fields: str) -> list[tuple[str, list[Any]]]:
    """Return an eth_sendTransaction from each of these accounts."""
    to = "0x" + network.accounts[9].address.hex()
    return [
        ("eth_sendTransaction", [{"from": "0x" + network.accounts[sender].address.hex(), "to": to, **fields}])
        for sender in senders
    ]


@pytest.mark.parametrize("senders", [range(10), [0] * 10, [1, 2, 1, 1, 2]], ids=["ten", "one", "two"])
def test_node_signed_transactions_share_one_block(rpc: Client, senders: list[int]) -> None:
    """Transactions of ten accounts with gas limits share one block, as in anvil."""
    network = rpc.node.network
    height = network.block_number
    hashes = batch(rpc, *asks(network, *senders, gas="0x989680"))
    assert network.block_number == height + 1
    assert {"0x" + transaction.hex() for transaction in network.head.transactions} == {*hashes}
    assert len({*hashes}) == len(senders)
    assert {rpc("eth_getTransactionReceipt", each)["status"] for each in hashes} == {"0x1"}


def test_transaction_without_gas_limit_sees_prior_ones(rpc: Client) -> None:
    network = rpc.node.network
    height = network.block_number
    batch(rpc, *asks(network, 0, 1, gas="0x989680"), *asks(network, 0, 1), *asks(network, 0, 1, gas="0x989680"))
    assert network.block_number == height + 4


def test_raw_and_unsigned_sends_share_block_and_fail_separately(rpc: Client) -> None:
    network = rpc.node.network
    height = network.block_number
    alice, bob = network.accounts[:2]
    wrong = asks(network, 2, gas="0x989680", chainId="0x1")
    gas = {"gas": "0x989680"}
    results = batch(
        rpc, *sends([raw(network, alice, 0, bob)]), *asks(network, 0, **gas), *wrong, *asks(network, 1, **gas)
    )
    blocks = [network.receipt(bytes.fromhex(results[at][2:])).tipset.height for at in (0, 1, 3)]
    assert isinstance(results[2], int)
    assert blocks == [height + 1, height + 1, height + 2]  # after a refusal it is asked again on what those before did
