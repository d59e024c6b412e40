"""WebSockets over a real socket, with another library as client."""

import json
import random
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from localnet import Network
from localnet.rpc.node import NodeLimits
from localnet.rpc.server.clients import Access
from localnet.rpc.server.server import serving
from tests.localnet.rpc.asking import ALICE, BOB, INBOX, calldata
from tests.patience import slowness

BODY = 100_000
LIMITS = NodeLimits(
    body=BODY, connections=12, subscriptions=2500, subscriptions_per_client=1_000, unsent=4 << 20, requests_per_client=4
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Network() as network, serving(network, limits=LIMITS) as found:
        yield found


_PATIENCE = 300  # seconds until a node counts as hanging, on a machine of any speed


class Client:
    """A connection: requests with their responses, and the notifications in between."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.notices: list[dict[str, Any]] = []
        self._next = 0

    def send(self, method: str, *params: Any) -> int:
        self._next += 1
        body = {"jsonrpc": "2.0", "id": self._next, "method": method, "params": params}
        self.socket.send(json.dumps(body))
        return self._next

    def response(self) -> Any:
        """Return the next response, and store notifications that arrive before it."""
        while True:
            message = json.loads(self.socket.recv(timeout=_PATIENCE))
            if isinstance(message, list) or "id" in message:
                return message
            self.notices.append(message)

    def __call__(self, method: str, *params: Any) -> Any:
        """Return the result of a method."""
        self.send(method, *params)
        return self.response()["result"]

    def error(self, method: str, *params: Any) -> dict[str, Any]:
        """Return the error of a method."""
        self.send(method, *params)
        error: dict[str, Any] = self.response()["error"]
        return error

    def notice(self) -> Any:
        """Return the next notification."""
        if not self.notices:
            message = json.loads(self.socket.recv(timeout=_PATIENCE))
            assert "id" not in message
            return message
        return self.notices.pop(0)

    def told(self, subscription: str) -> Any:
        """Return the next notification of a subscription."""
        notice = self.notice()
        assert (notice["jsonrpc"], notice["method"]) == ("2.0", "eth_subscription")
        assert notice["params"]["subscription"] == subscription
        return notice["params"]["result"]

    def sent(self, channel: int) -> Any:
        """Return the next message of a channel."""
        notice = self.notice()
        assert (notice["method"], notice["params"][0]) == ("xrpc.ch.val", channel)
        return notice["params"][1]

    def quiet(self) -> bool:
        """Return True if no notification has arrived."""
        self("eth_chainId")
        return not self.notices


def socket_url(url: str, path: str = "/") -> str:
    return url.replace("http", "ws", 1) + path


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with connect(socket_url(url)) as opened:
        yield Client(opened)


@pytest.fixture
def other(url: str) -> Iterator[Client]:
    with connect(socket_url(url)) as opened:
        yield Client(opened)


def pay(client: Client, to: str = BOB) -> str:
    sent: str = client("eth_sendTransaction", {"from": ALICE, "to": to, "value": "0x1"})
    return sent


class TestRequests:
    """Requests as over HTTP."""

    @pytest.mark.parametrize("path", ["/", "/rpc/v0", "/rpc/v1"])
    def test_requests_are_answered_at_common_node_paths(self, url: str, path: str) -> None:
        with connect(socket_url(url, path)) as opened:
            assert Client(opened)("eth_chainId") == "0x1df5e76"

    def test_nothing_is_served_elsewhere(self, url: str) -> None:
        with pytest.raises(InvalidStatus) as refused, connect(socket_url(url, "/elsewhere")):
            pass
        assert refused.value.response.status_code == 404

    def test_text_and_binary_messages_and_batches(self, client: Client) -> None:
        one = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}
        client.socket.send(json.dumps([one, {**one, "id": 2, "method": "eth_nothing"}]).encode())
        responses = client.response()
        assert [result["id"] for result in responses] == [1, 2]

    @pytest.mark.parametrize(("text", "code"), [("", -32700), ("{", -32700), ("[]", -32600), ("5", -32600)])
    def test_invalid_request_gets_error_and_next_one_is_answered(self, client: Client, text: str, code: int) -> None:
        client.socket.send(text)
        assert client.response()["error"]["code"] == code
        assert client("eth_chainId") == "0x1df5e76"

    def test_many_requests_in_flight_are_all_answered(self, client: Client) -> None:
        ids = {client.send("eth_getBalance", ALICE) for _ in range(200)}
        assert {client.response()["id"] for _ in range(200)} == ids

    def test_a_subscription_needs_a_socket(self, url: str) -> None:
        connection = HTTPConnection(urlsplit(url).netloc, timeout=_PATIENCE)
        for method, params in (("eth_subscribe", ["newHeads"]), ("Filecoin.ChainNotify", [])):
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            connection.request("POST", "/", json.dumps(body))
            error = json.loads(connection.getresponse().read())["error"]
            assert error["code"] == -32601
            assert "not supported" in error["message"]
        connection.close()


class TestWhoMayAsk:
    """Access control, which equals that of HTTP."""

    @pytest.mark.parametrize("origin", ["http://localhost:3000", "chrome-extension://abc", "https://[::1]:1"])
    def test_pages_of_this_machine_and_extensions_may_connect(self, url: str, origin: str) -> None:
        with connect(socket_url(url), origin=Origin(origin)) as opened:
            assert Client(opened)("eth_chainId") == "0x1df5e76"

    @pytest.mark.parametrize("headers", [{"Origin": "https://example.com"}, {"Origin": "null"}])
    def test_foreign_origin_is_refused_and_pointed_to_option(self, url: str, headers: dict[str, str]) -> None:
        with pytest.raises(InvalidStatus) as refused, connect(socket_url(url), additional_headers=headers):
            pass
        assert refused.value.response.status_code == 403
        assert b"--allow-origin" in (refused.value.response.body or b"")

    def test_another_host_is_refused(self, url: str) -> None:
        port = urlsplit(url).port
        with (
            socket.create_connection(("127.0.0.1", port or 0)) as raw,
            pytest.raises(InvalidStatus) as refused,
            connect(f"ws://node.example:{port}/", sock=raw),
        ):
            pass
        assert refused.value.response.status_code == 403
        assert b"--allow-host" in (refused.value.response.body or b"")

    @pytest.mark.slow
    def test_an_origin_that_the_user_names_may(self) -> None:
        access = Access(origins=("https://app.example",))
        with (
            Network() as network,
            serving(network, access=access) as url,
            connect(socket_url(url), origin=Origin("https://app.example")) as opened,
        ):
            assert Client(opened)("eth_chainId") == "0x1df5e76"


class TestSubscriptions:
    """eth_subscribe."""

    def test_new_heads_are_blocks(self, client: Client) -> None:
        subscription = client("eth_subscribe", "newHeads")
        sent = pay(client)
        head = client.told(subscription)
        assert head == client("eth_getBlockByNumber", "latest", True)
        assert head["transactions"][0]["hash"] == sent

    def test_subscription_reports_blocks_mined_by_other_client(self, client: Client, other: Client) -> None:
        subscription = client("eth_subscribe", "newHeads")
        other("anvil_mine", 3)
        heights = [int(client.told(subscription)["number"], 16) for _ in range(3)]
        assert heights == list(range(heights[0], heights[0] + 3))

    def test_ended_subscription_gets_no_notifications(self, client: Client) -> None:
        subscription = client("eth_subscribe", "newHeads")
        assert client("eth_unsubscribe", subscription) is True
        assert client("eth_unsubscribe", subscription) is False
        client("evm_mine")
        assert client.quiet()

    def test_a_subscription_belongs_to_its_connection(self, client: Client, other: Client) -> None:
        subscription = client("eth_subscribe", "newHeads")
        assert other("eth_unsubscribe", subscription) is False

    def test_pending_transactions_as_hashes_and_whole(self, client: Client) -> None:
        hashes, whole = (
            client("eth_subscribe", "newPendingTransactions"),
            client("eth_subscribe", "newPendingTransactions", True),
        )
        sent = pay(client)
        assert client.told(hashes) == sent
        told = client.told(whole)
        assert (told["hash"], told["blockHash"], told["from"]) == (sent, None, ALICE)

    def test_syncing_subscription_sends_false(self, client: Client) -> None:
        """Source: go-ethereum, eth/downloader/api.go; reth does the same."""
        assert client.told(client("eth_subscribe", "syncing")) is False
        client("evm_mine")
        assert client.quiet()

    def test_receipts_of_a_block_are_one_list(self, client: Client) -> None:
        """Source: go-ethereum, eth/filters/api.go, `TransactionReceipts`."""
        client("evm_setAutomine", False)
        sent = [pay(client), pay(client)]
        everything = client("eth_subscribe", "transactionReceipts")
        second = client("eth_subscribe", "transactionReceipts", {"transactionHashes": sent[1:]})
        neither = client("eth_subscribe", "transactionReceipts", {"transactionHashes": ["0x" + "11" * 32]})
        client("evm_mine")
        receipts = [client("eth_getTransactionReceipt", hash_) for hash_ in sent]
        assert client.told(everything) == receipts
        assert client.told(second) == receipts[1:]
        client("evm_setAutomine", True)
        client("evm_mine")
        assert client("eth_unsubscribe", neither) is True
        assert client.quiet()

    def test_logs_by_address_and_topic(self, client: Client) -> None:
        inbox = deployed(client)
        everything, elsewhere = client("eth_subscribe", "logs"), client("eth_subscribe", "logs", {"address": BOB})
        here = client("eth_subscribe", "logs", {"address": inbox, "fromBlock": "latest"})
        greet(client, inbox)
        block = client("eth_blockNumber")
        (log,) = client("eth_getLogs", {"fromBlock": block, "toBlock": block})
        assert client.told(everything) == log
        assert client.told(here) == log
        by_topic = client("eth_subscribe", "logs", {"topics": [log["topics"][0]]})
        client("eth_unsubscribe", everything)
        client("eth_unsubscribe", here)
        greet(client, inbox)
        assert client.told(by_topic)["topics"] == log["topics"]
        assert client("eth_unsubscribe", elsewhere) is True
        assert client.quiet()

    def test_a_chain_that_goes_back_takes_its_logs_with_it(self, client: Client) -> None:
        inbox = deployed(client)
        snapshot = client("evm_snapshot")
        subscription = client("eth_subscribe", "logs")
        greet(client, inbox, "one")
        greet(client, inbox, "two")
        told = [client.told(subscription) for _ in range(2)]
        client("evm_revert", snapshot)
        assert [client.told(subscription) for _ in range(2)] == [{**log, "removed": True} for log in told[::-1]]
        greet(client, inbox, "three")
        assert client.told(subscription)["removed"] is False

    @pytest.mark.parametrize(
        "params",
        [
            [], ["nothing"], [5], ["logs", 5], ["logs", {"blockHash": "0x" + "11" * 32}], ["logs", {"topics": 1}],
            ["newPendingTransactions", "yes"], ["transactionReceipts", {"transactionHashes": ["0x" + "11" * 32] * 201}],
        ],
    )  # fmt: skip
    def test_invalid_subscription_is_refused(self, client: Client, params: list[Any]) -> None:
        assert client.error("eth_subscribe", *params)["code"] == -32602

    @pytest.mark.slow
    def test_thousands_of_subscriptions_up_to_the_limits(self, url: str) -> None:
        with connect(socket_url(url)) as one, connect(socket_url(url)) as two, connect(socket_url(url)) as three:
            clients = [Client(one), Client(two), Client(three)]
            for opened in clients[:2]:
                for first in range(0, 999, 100):
                    batch = [subscribe_request(number) for number in range(first, min(first + 100, 999))]
                    opened.socket.send(json.dumps(batch))
                    opened.response()
                opened("eth_subscribe", "syncing")
                assert "1000 subscriptions on a connection" in opened.error("eth_subscribe", "newHeads")["message"]
            for number in range(501):
                clients[2].send("eth_subscribe", "syncing")
                response = clients[2].response()
                if number < 500:
                    assert "result" in response
            assert response["error"]["code"] == -32000
            assert "2500 subscriptions at a time" in response["error"]["message"]
            clients[0]("evm_mine")
            for opened in clients[:2]:
                ids = {opened.notice()["params"]["subscription"] for _ in range(999)}
                assert len(ids) == 999
        with connect(socket_url(url)) as again:  # their places are free once they have gone
            eventually(lambda: "result" in answer_to(Client(again), "eth_subscribe", "syncing"))


class TestChannels:
    """Channels of go-jsonrpc, which notify lotus clients of tipsets."""

    def test_chain_notify_sends_current_head_then_new_heads(self, client: Client) -> None:
        channel = client("Filecoin.ChainNotify")
        (current,) = client.sent(channel)
        assert current["Type"] == "current"
        assert current["Val"] == client("Filecoin.ChainHead")
        client("evm_mine")
        (applied,) = client.sent(channel)
        assert (applied["Type"], applied["Val"]["Height"]) == ("apply", current["Val"]["Height"] + 1)
        assert applied["Val"]["Blocks"][0]["Parents"] == current["Val"]["Cids"]

    def test_channel_id_response_precedes_channel_messages(self, client: Client) -> None:
        request = client.send("Filecoin.ChainNotify")
        assert json.loads(client.socket.recv(timeout=_PATIENCE))["id"] == request

    def test_chain_notify_reports_reverts_newest_first(self, client: Client) -> None:
        snapshot = client("evm_snapshot")
        channel = client("Filecoin.ChainNotify")
        client.sent(channel)
        client("anvil_mine", 2)
        applied = [client.sent(channel)[0]["Val"] for _ in range(2)]
        client("evm_revert", snapshot)
        reverted = [client.sent(channel)[0] for _ in range(2)]
        assert [change["Type"] for change in reverted] == ["revert", "revert"]
        assert [change["Val"] for change in reverted] == applied[::-1]

    def test_a_channel_is_cancelled_by_the_id_of_its_request(self, client: Client) -> None:
        request = client.send("Filecoin.ChainNotify")
        channel = client.response()["result"]
        client.sent(channel)
        client.socket.send(json.dumps({"jsonrpc": "2.0", "method": "xrpc.cancel", "params": [request]}))
        assert client.notice() == {"jsonrpc": "2.0", "method": "xrpc.ch.close", "params": [channel]}
        client("evm_mine")
        assert client.quiet()

    def test_channels_of_a_connection_have_numbers_of_their_own(self, client: Client) -> None:
        assert client("Filecoin.ChainNotify") != client("Filecoin.MpoolSub")

    def test_messages_that_wait_and_then_have_a_block(self, client: Client) -> None:
        channel = client("Filecoin.MpoolSub")
        pay(client)
        added, removed = client.sent(channel), client.sent(channel)
        assert (added["Type"], removed["Type"]) == (0, 1)
        assert added["Message"] == removed["Message"]
        assert added["Message"]["Message"]["Method"] == 3844450837

    def test_channel_of_actor_events_sends_past_new_and_reverted_events(self, client: Client) -> None:
        """Source: lotus node/impl/full/actor_events.go `SubscribeActorEventsRaw`."""
        inbox, head = deployed(client), int(client("eth_blockNumber"), 16)
        greet(client, inbox)
        (past,) = client("Filecoin.GetActorEventsRaw", {"fromHeight": head + 1})
        channel = client("Filecoin.SubscribeActorEventsRaw", {"fromHeight": head + 1})
        later = client("Filecoin.SubscribeActorEventsRaw")
        assert client.sent(channel) == past
        snapshot = client("evm_snapshot")
        greet(client, inbox)
        (new,) = client("Filecoin.GetActorEventsRaw", {"fromHeight": head + 2})
        assert client.sent(channel) == client.sent(later) == new
        client("evm_revert", snapshot)
        assert client.sent(channel) == client.sent(later) == {**new, "reverted": True}
        assert client.quiet()

    def test_channel_of_actor_events_ends_with_its_last_height(self, client: Client) -> None:
        inbox, head = deployed(client), int(client("eth_blockNumber"), 16)
        channel = client("Filecoin.SubscribeActorEventsRaw", {"addresses": ["t01"], "toHeight": head + 2})
        greet(client, inbox)
        client("evm_mine")
        assert client.notice() == {"jsonrpc": "2.0", "method": "xrpc.ch.close", "params": [channel]}
        over = client("Filecoin.SubscribeActorEventsRaw", {"fromHeight": head, "toHeight": head + 1})
        assert client.sent(over)["height"] == head + 1
        assert client.notice()["params"] == [over]
        greet(client, inbox)
        assert client.quiet()

    @pytest.mark.slow
    def test_a_chain_that_goes_back_too_far_ends_the_connection(self, client: Client, other: Client) -> None:
        snapshot = other("evm_snapshot")
        other("anvil_mine", 1_001)
        channel = client("Filecoin.ChainNotify")
        client.sent(channel)
        other("evm_revert", snapshot)
        assert "went back more than 1000" in closed_with(client, 1008)


class TestLimits:
    """Limits against hostile clients."""

    def test_a_message_over_the_limit_closes_with_1009(self, client: Client) -> None:
        with suppress(ConnectionClosed):
            client.socket.send(b" " * (BODY + 1))
        closed_with(client, 1009)

    def test_fragments_over_the_limit_close_with_1009(self, client: Client) -> None:
        with suppress(ConnectionClosed):  # already while it sends
            # The last fragment is the one too many: what comes after a close resets the connection, its code is lost
            client.socket.send([*[b" " * (BODY // 4)] * 4, b" "])
        closed_with(client, 1009)

    @pytest.mark.parametrize(
        ("frame", "code"),
        [
            (b"\x83\x80\x00\x00\x00\x00", 1002),  # an opcode that is none
            (b"\xf1\x80\x00\x00\x00\x00", 1002),  # reserved bits
            (b"\x81\x01x", 1002),  # not masked
            (b"\x89\xfe\x00\x7e\x00\x00\x00\x00" + bytes(126), 1002),  # a ping of more than 125 bytes
            (b"\x80\x80\x00\x00\x00\x00", 1002),  # a continuation of nothing
            (b"\x81\x82\x00\x00\x00\x00\xff\xfe", 1007),  # a text that is no UTF-8
            (b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1009),  # 2^63 - 1 bytes
        ],
    )
    def test_malformed_frames_close_with_their_code(self, url: str, frame: bytes, code: int) -> None:
        with raw_socket(url) as raw:
            raw.sendall(frame)
            assert close_code(raw) == code
        with connect(socket_url(url)) as opened:
            assert Client(opened)("eth_chainId") == "0x1df5e76"

    @pytest.mark.slow
    def test_random_bytes_after_handshake_leave_node_serving_others(self, url: str) -> None:
        chosen = random.Random(20)
        for _ in range(100):
            with raw_socket(url) as raw:
                raw.sendall(chosen.randbytes(chosen.randrange(1, 40)))
        with connect(socket_url(url)) as opened:
            assert Client(opened)("eth_chainId") == "0x1df5e76"

    @pytest.mark.slow
    def test_a_client_that_does_not_read_is_disconnected_with_1008(
        self, url: str, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The client is given up while blocks are still made: on a slow machine the rest of them takes seconds.
        monkeypatch.setattr("localnet.rpc.server.websocket._CLOSE_DELAY", 60.0)
        with raw_socket(url, receive_buffer=4096) as raw:
            for number in range(50):
                raw.sendall(masked(json.dumps(subscribe_request(number)).encode()))
            eventually(lambda: subscribed(raw, 50))
            client("anvil_mine", 200)
            assert close_code(raw) == 1008
        assert client("eth_chainId") == "0x1df5e76"

    @pytest.mark.slow
    def test_a_client_that_reads_slowly_but_does_gets_everything(self, client: Client, other: Client) -> None:
        subscription = client("eth_subscribe", "newHeads")
        for _ in range(20):
            other("anvil_mine", 2)
            time.sleep(0.01)
        heights = [int(client.told(subscription)["number"], 16) for _ in range(40)]
        assert heights == list(range(heights[0], heights[0] + 40))

    def test_connections_have_a_limit(self, url: str) -> None:
        with ExitStack() as opened:
            for _ in range(LIMITS.connections):
                opened.enter_context(connect(socket_url(url)))
            with pytest.raises(InvalidStatus) as refused, connect(socket_url(url)):
                pass
            assert refused.value.response.status_code == 503
        eventually(lambda: can_connect(url))

    @pytest.mark.slow
    def test_a_client_that_answers_no_ping_is_disconnected_with_1011(self) -> None:
        with Network() as network, serving(network, limits=NodeLimits(ping=0.2)) as url, raw_socket(url) as raw:
            assert close_code(raw) == 1011

    @pytest.mark.slow
    def test_half_open_connection_frees_its_slot_after_two_pings(self) -> None:
        limits = NodeLimits(ping=0.2, connections=1)
        with Network() as network, serving(network, limits=limits) as url, raw_socket(url):
            assert not can_connect(url)
            eventually(lambda: can_connect(url))


class TestStopping:
    """The end of the node."""

    @pytest.mark.slow
    def test_websocket_clients_are_closed_with_1001(self) -> None:
        with Network() as network, ExitStack() as opened:
            with serving(network) as url:
                client = Client(opened.enter_context(connect(socket_url(url))))
                client("eth_subscribe", "newHeads")
            assert "stopping" in closed_with(client, 1001)
            assert not network.chain.watchers

    @pytest.mark.slow
    def test_a_client_that_does_not_read_does_not_hold_the_node_up(self) -> None:
        many = b"[%s]" % b",".join([b'{"jsonrpc":"2.0","id":1,"method":"eth_accounts"}'] * 1000)
        with Network() as network:
            with serving(network) as url:
                raw = raw_socket(url, receive_buffer=4096)
                for _ in range(20):  # some 12 MB of answers: more than the sockets take
                    raw.sendall(masked(many))
                time.sleep(1)
                start = time.perf_counter()
            assert time.perf_counter() - start < 8 * slowness()
            raw.close()

    @pytest.mark.slow
    def test_network_without_subscriptions_has_no_watchers(self) -> None:
        with Network() as network, serving(network) as url:
            with connect(socket_url(url)) as opened:
                client = Client(opened)
                own = list(network.chain.watchers)  # the node's view of the chain
                subscription = client("eth_subscribe", "newHeads")
                assert len(network.chain.watchers) == len(own) + 1
                client("eth_unsubscribe", subscription)
                assert network.chain.watchers == own
                client("eth_subscribe", "newHeads")
            eventually(lambda: network.chain.watchers == own)


# --- helpers ------------------------------------------------------------------------------------------------------


def deployed(client: Client) -> str:
    sent = client("eth_sendTransaction", {"from": ALICE, "data": "0x" + INBOX.bytecode.hex()})
    address: str = client("eth_getTransactionReceipt", sent)["contractAddress"]
    return address


def greet(client: Client, inbox: str, words: str = "hi") -> None:
    client("eth_sendTransaction", {"from": ALICE, "to": inbox, "data": calldata(INBOX, "greet", words)})


def subscribe_request(number: int) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": "eth_subscribe", "params": ["newHeads"]}


def answer_to(client: Client, method: str, *params: Any) -> dict[str, Any]:
    client.send(method, *params)
    response: dict[str, Any] = client.response()
    return response


def closed_with(client: Client, code: int) -> str:
    """Return the close reason sent by the server."""
    with pytest.raises(ConnectionClosed) as closed:
        _read_on(client.socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code
    return closed.value.rcvd.reason


def _read_on(opened: ClientConnection) -> None:
    while True:
        opened.recv(timeout=_PATIENCE)


def can_connect(url: str) -> bool:
    try:
        with connect(socket_url(url)):
            return True
    except InvalidStatus:
        return False


def eventually(condition: Any) -> None:
    """Wait until a condition holds, for at most ten seconds."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def raw_socket(url: str, receive_buffer: int | None = None) -> socket.socket:
    """Open a socket after its handshake, without a library that answers pings."""
    raw = socket.socket()
    if receive_buffer is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    raw.settimeout(30)
    address = urlsplit(url)
    raw.connect((address.hostname, address.port))
    raw.sendall(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += raw.recv(1)
    assert head.startswith(b"HTTP/1.1 101")
    return raw


def masked(payload: bytes) -> bytes:
    """Return a client's text frame with a mask of zeros."""
    size = len(payload)
    head = bytes([0x81, 0x80 | size]) if size < 126 else b"\x81\xfe" + struct.pack("!H", size)
    return head + bytes(4) + payload


def frame(raw: socket.socket) -> tuple[int, bytes]:
    """Return opcode and payload of the server's next frame."""
    first, size = _exactly(raw, 2)
    if size == 126:
        (size,) = struct.unpack("!H", _exactly(raw, 2))
    elif size == 127:
        (size,) = struct.unpack("!Q", _exactly(raw, 8))
    return first & 0x0F, _exactly(raw, size)


def _exactly(raw: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = raw.recv(size - len(data))
        assert part, "the connection ended without a close frame"
        data += part
    return data


def subscribed(raw: socket.socket, count: int) -> bool:
    """Read the responses to `count` subscriptions."""
    return all("result" in json.loads(frame(raw)[1]) for _ in range(count))


def close_code(raw: socket.socket) -> int:
    """Return the code of the close frame; earlier frames are ignored."""
    while True:
        opcode, payload = frame(raw)
        if opcode == 8:
            (code,) = struct.unpack("!H", payload[:2])
            return int(code)
