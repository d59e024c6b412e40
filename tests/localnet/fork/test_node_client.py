"""The node client: invalid URLs, and servers that do not speak JSON-RPC."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from email.message import Message
from socket import SHUT_RDWR, create_server, socket
from threading import Barrier, BrokenBarrierError, Event, Thread
from time import monotonic, sleep

import pytest

from hypervisor.errors import InvalidInput
from hypervisor_tools.cli.rpc_client import rpc_request
from localnet.fork import node_client
from localnet.fork.node_client import NodeClient, NodeError, RequestOptions, headers
from localnet.fork.urls import redacted_url
from tests.command import run
from tests.patience import slowness
from tests.web_server import Handler, serving


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8545", "ftp://there", "http://", "http://[::1", "http://h:99999", "http://h:port", "http://a b"],
)
def test_invalid_node_url_is_named(url: str) -> None:
    with pytest.raises(InvalidInput, match=f"^'{re.escape(url)}' is not a URL of a node"):
        NodeClient(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://me:secret@node.example/rpc?a=b@c", "http://***@node.example/***"),
        ("https://me@[::1]:1/rpc", "https://***@[::1]:1/***"),
        ("http://node.example/@/rpc", "http://node.example/***"),
        ("http://me:p@ss@node.example", "http://***@node.example"),
        ("http://me:p/ss@node.example", "http://me/***"),
        ("https://eth.example/v2/TOKEN", "https://eth.example/***"),
        ("https://eth.example:8545?key=TOKEN", "https://eth.example:8545/***"),
        ("https://eth.example#TOKEN", "https://eth.example/***"),
        ("eth.example:8545/v2/TOKEN", "eth.example:8545/***"),
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("http://127.0.0.1:8545/", "http://127.0.0.1:8545/"),
        ("", ""),
    ],
)
def test_users_passwords_and_tokens_are_not_shown(url: str, shown: str) -> None:
    assert redacted_url(url) == shown


def test_errors_show_no_password() -> None:
    with NodeClient("http://me:secret@127.0.0.1:1/") as client, pytest.raises(NodeError, match=r"at http://\*\*\*@127"):
        client.request("eth_chainId")
    with pytest.raises(InvalidInput, match=r"^'ftp://\*\*\*@there' is not a URL"):
        NodeClient("ftp://me:secret@there")


@contextmanager
def constant_server(status: int, body: bytes) -> Iterator[str]:
    """Serve the same response to every request, and close the connection without announcing it."""

    class Closing(Handler):
        def do_POST(self) -> None:
            self.posted()
            self.close_connection = True
            self.answer(body, status)

    with serving(Closing) as url:
        yield url


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (
            403,
            b'{"error": "refused: use --allow-host"}',
            r'returned HTTP 403 Forbidden: \{"error": "refused: use --allow-host"\}$',
        ),
        (403, b"go away", "returned HTTP 403 Forbidden: go away$"),
        (
            501,
            b"<!DOCTYPE HTML>\n<html>no</html>",
            "returned HTTP 501 Not Implemented: markup instead of JSON; check the URL$",
        ),
        (429, b"", r"returned HTTP 429 Too Many Requests: without a body$"),
        (200, b"hello", "no node responds at"),
        (200, b"[" * 5_000 + b"]" * 5_000, "no node responds at"),
        (200, b"[1]", "returned a response that is not JSON-RPC"),
        (200, b'{"error": 5}', "returned a response that is not JSON-RPC"),
        (200, b'{"jsonrpc": "2.0", "id": 2, "result": "0x1"}', r"the response to another request \(id 2, not 1\)"),
        (200, b'{"jsonrpc": "2.0", "id": "1", "result": "0x1"}', r"another request \(id '1', not 1\)"),
        (200, b'{"jsonrpc": "2.0", "id": null, "result": "0x1"}', r"another request \(id None, not 1\)"),
        (200, b'{"jsonrpc": "2.0", "id": 2, "error": {"code": -1, "message": "no"}}', "another request"),
        (200, b'{"jsonrpc": "2.0", "id": null, "error": {"code": -1, "message": "no"}}', "returned an error: no$"),
        (500, b'{"jsonrpc": "2.0", "error": {"code": -1, "message": "too deep"}}', "returned an error: too deep$"),
    ],
)
def test_unexpected_node_response_is_quoted(status: int, body: bytes, words: str) -> None:
    limit = sys.getrecursionlimit()
    with constant_server(status, body) as url, NodeClient(url) as client, pytest.raises(NodeError, match=words):
        client.request("eth_chainId")
    assert sys.getrecursionlimit() == limit, "it is the process's"


@pytest.mark.parametrize(("status", "answered"), [(403, True), (404, True), (429, False), (503, False)])
def test_a_gateway_that_hands_a_method_not_on_has_answered(status: int, answered: bool) -> None:
    """A fork of a public node requests the node's labs; an overloaded node's response says nothing about them."""
    with constant_server(status, b"not allowed") as url, NodeClient(url) as client, pytest.raises(NodeError) as refused:
        client.request("hypervisor_rules")
    assert refused.value.answered is answered


def test_idle_closed_connection_is_reopened() -> None:
    with constant_server(200, b'{"result": 7}') as url, NodeClient(url) as client:
        assert [client.request("eth_chainId") for _ in range(3)] == [7, 7, 7]


@contextmanager
def pairing_server() -> Iterator[str]:
    """Serve a request only after another one has arrived on another connection."""
    both = Barrier(2)

    class Waiting(Handler):
        def do_POST(self) -> None:
            if b"silent" in self.posted():
                sleep(2)
            else:
                with suppress(BrokenBarrierError):
                    both.wait(20)
            with suppress(OSError):
                self.answer(b'{"result": 7}')

    with serving(Waiting) as url:
        yield url


def test_one_threads_question_waits_for_no_other_threads() -> None:
    """On a fork, a call that fetches a block would otherwise delay the chain."""
    with pairing_server() as url, NodeClient(url) as client, ThreadPoolExecutor(2) as pool:
        started = monotonic()
        assert list(pool.map(client.request, ["one", "other"])) == [7, 7]
        assert monotonic() - started < 16


@pytest.mark.slow
def test_timed_out_request_leaves_other_threads_connection_open() -> None:
    with (
        pairing_server() as url,
        NodeClient(url, options=RequestOptions(timeout=0.2)) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        silent = pool.submit(client.request, "silent")
        connection = client._connection
        connection.connect()
        assert isinstance(silent.exception(5), NodeError)
        assert connection.sock is not None
        connection.close()


def test_commands_read_answers_as_deep_as_calls_go() -> None:
    limit = sys.getrecursionlimit()
    try:
        with constant_server(200, b'{"result": ' + b'{"calls": [' * 1_050 + b"]}" * 1_050 + b"}") as url:
            assert rpc_request(url, "hypervisor_trace")
    finally:
        sys.setrecursionlimit(limit)


@contextmanager
def slow_server(seconds: float) -> Iterator[str]:
    """Serve a byte of a header from time to time."""
    ended = Event()

    def serve(listening: socket) -> None:
        with suppress(OSError):
            accepted, _ = listening.accept()
            with accepted:
                accepted.sendall(b"HTTP/1.1 200 OK\r\nx: ")
                while not ended.wait(seconds):
                    accepted.sendall(b"x")

    with create_server(("127.0.0.1", 0)) as listening:
        thread = Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            ended.set()
            thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0.05, 60.0], ids=["dripping", "silent"])
def test_a_request_has_one_deadline_for_its_whole_answer(pause: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_client, "_WAIT_INTERVAL", 0.02)
    reports, began = list[float](), monotonic()
    with (
        slow_server(pause) as url,
        NodeClient(url, options=RequestOptions(timeout=0.5), on_wait=reports.append) as client,
        pytest.raises(NodeError, match=rf"{url} did not respond to eth_chainId within 0\.5 s: check that the node"),
    ):
        client.request("eth_chainId")
    assert 0.5 <= monotonic() - began < 5 * slowness()
    assert reports == sorted(reports)
    assert reports


@pytest.mark.slow
def test_fork_of_silent_server_reports_waiting_and_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_client, "_WAIT_INTERVAL", 0.1)
    with slow_server(60) as url:
        result = run("node", "--fork-url", url, "--port", "0", "--timeout", "500")
    assert result.exit_code == 2
    assert f"waiting for {url} for 0 s" in result.stderr
    assert re.search(r"did not respond to Filecoin\.\w+ within 0\.5 s: check that", " ".join(result.stderr.split()))


@contextmanager
def refusing_server(
    refusals: Sequence[tuple[int, bytes, Mapping[str, str]]], seen: list[tuple[float, Message]]
) -> Iterator[str]:
    """Refuse requests with these responses in turn, then respond with 7."""
    left = iter(refusals)

    class ErrorReportingGroup(Handler):
        def do_POST(self) -> None:
            seen.append((monotonic(), self.headers))
            self.posted()
            status, body, headers = next(left, (200, b'{"jsonrpc": "2.0", "id": 1, "result": 7}', {}))
            if not status:
                self.close_connection = True
                self.connection.shutdown(SHUT_RDWR)
                return
            self.answer(body, status, headers)

    with serving(ErrorReportingGroup) as url:
        yield url


_RATE_ERROR = b'{"jsonrpc": "2.0", "id": 1, "error": {"code": %d, "message": "%s"}}'
_ONE_RETRY = RequestOptions(timeout=20, retries=1, backoff=0.05)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (429, b""),
        (429, _RATE_ERROR % (-32005, b"project ID request rate exceeded")),
        (503, b"overloaded"),
        (502, b"bad gateway"),
        (200, _RATE_ERROR % (429, b"Your app has exceeded its compute units per second capacity")),
        (200, _RATE_ERROR % (-32007, b"15/second request limit reached")),
        (200, _RATE_ERROR % (-32005, b"Too Many Requests")),
        (0, b""),
    ],
)
def test_a_request_that_is_refused_for_now_is_sent_again(status: int, body: bytes) -> None:
    seen: list[tuple[float, Message]] = []
    with refusing_server([(status, body, {})], seen) as url, NodeClient(url, options=_ONE_RETRY) as client:
        assert client.request("eth_chainId") == 7
    assert len(seen) == 2
    assert seen[1][0] - seen[0][0] >= 0.05


@pytest.mark.parametrize(
    ("status", "body"),
    [(401, b"no"), (500, b"broken"), (200, _RATE_ERROR % (-32005, b"block range exceeds the limit of 2880"))],
)
def test_other_refusals_are_final(status: int, body: bytes) -> None:
    seen: list[tuple[float, Message]] = []
    with (
        refusing_server([(status, body, {})], seen) as url,
        NodeClient(url, options=_ONE_RETRY) as client,
        pytest.raises(NodeError),
    ):
        client.request("eth_getLogs")
    assert len(seen) == 1


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("headers", "target"),
    [
        ({"location": "https://mainnet.example/v3/SECRET"}, r"to https://mainnet\.example/\*\*\*"),
        ({"location": "/login?token=SECRET"}, r"to http://127\.0\.0\.1:\d+/\*\*\*"),
        ({"location": "//there.example\x1b[2J"}, "to an invalid URL"),
        ({"location": "http://there.example\x1b2J\r\n\tsecond"}, r"to http://there\.example\\x1b2Jsecond"),
        ({"location": f"http://{'a' * 400}/"}, rf"to http://{'a' * 293}\.\.\. \(408 characters\)"),
        ({}, "to no URL"),
    ],
)
def test_redirect_is_an_error_that_names_its_target(status: int, headers: dict[str, str], target: str) -> None:
    """The body is a valid response, which a server other than a node may send, too."""
    body, seen = b'{"jsonrpc": "2.0", "id": 1, "result": "0x1"}', list[tuple[float, Message]]()
    with (
        refusing_server([(status, body, headers)], seen) as url,
        NodeClient(url, options=_ONE_RETRY) as client,
        pytest.raises(
            NodeError, match=rf"^{re.escape(url)} redirects {target} \(HTTP {status}\): .* pass the final URL"
        ),
    ):
        client.request("eth_chainId")
    assert len(seen) == 1


def test_last_refusal_reports_retry_count() -> None:
    seen: list[tuple[float, Message]] = []
    options = RequestOptions(retries=2, backoff=0)
    with (
        refusing_server([(429, b"slow down", {})] * 5, seen) as url,
        NodeClient(url, options=options) as client,
        pytest.raises(NodeError, match=r"returned HTTP 429 Too Many Requests: slow down \(after 2 retries\)$"),
    ):
        client.request("eth_chainId")
    assert len(seen) == 3


@pytest.mark.slow
def test_client_honors_retry_after_of_node() -> None:
    seen: list[tuple[float, Message]] = []
    options = RequestOptions(retries=1, backoff=30)
    with refusing_server([(429, b"", {"retry-after": "1"})], seen) as url, NodeClient(url, options=options) as client:
        assert client.request("eth_chainId") == 7
    assert 1 <= seen[1][0] - seen[0][0] < 1 + 10 * slowness()


@pytest.mark.slow
def test_requests_are_throttled_after_rate_limit_refusal() -> None:
    """170 compute units per second allow ten requests."""
    seen: list[tuple[float, Message]] = []
    options = RequestOptions(retries=1, backoff=0, compute_units=170)
    results = [*[(200, b'{"result": 7}', dict[str, str]())] * 3, (429, b"", {})]
    with refusing_server(results, seen) as url, NodeClient(url, options=options) as client:
        for _ in range(6):
            client.request("eth_chainId")
    times = [at for at, _ in seen]
    assert times[2] - times[0] < 0.1 * slowness()
    assert times[-1] - times[4] >= 0.19


def test_headers_are_sent_with_each_request() -> None:
    seen: list[tuple[float, Message]] = []
    options = RequestOptions(headers=headers(["Authorization: Bearer a:b", "x-client:me"]))
    with refusing_server([], seen) as url, NodeClient(url, options=options) as client:
        client.request("eth_chainId")
    ((_, sent),) = seen
    assert (sent["authorization"], sent["x-client"], sent["content-type"]) == ("Bearer a:b", "me", "application/json")


@pytest.mark.parametrize("text", ["no colon", ": value", "a b: c", "x: a\nb: c", "Host: other", "content-length: 3"])
def test_invalid_header_is_rejected(text: str) -> None:
    with pytest.raises(InvalidInput, match="header"):
        headers([text])
