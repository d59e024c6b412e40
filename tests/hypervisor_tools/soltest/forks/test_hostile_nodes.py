"""Nodes with malformed responses: the test fails, naming the node, the method and the value, within limits."""

import json
import sqlite3
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any, Final

import pytest

from hypervisor_tools.soltest.execution.results import TestResult
from hypervisor_tools.soltest.forks import remotes
from localnet import Network
from localnet.fork.forking import ForkSource
from localnet.fork.node_client import NodeError, RequestOptions
from localnet.fork.remote_chain import MAX_CODE_BYTES, RemoteChain, is_local
from localnet.fork.response_cache import ResponseCache, cache_file
from tests.hypervisor_tools.soltest.forks.chains import COUNTER
from tests.hypervisor_tools.soltest.forks.running import run
from tests.web_server import Handler, serving

BLOCK: Final = {
    "number": "0x7", "hash": "0x" + "11" * 32, "timestamp": "0x5", "gasLimit": "0x1c9c380", "baseFeePerGas": "0x1",
    "miner": "0x" + "00" * 20, "mixHash": "0x" + "22" * 32,
}  # fmt: skip
SOUND: Final[Mapping[str, Any]] = {
    "eth_chainId": "0x1", "eth_blockNumber": "0x7", "eth_getBlockByNumber": BLOCK, "eth_getBalance": "0x0",
    "eth_getTransactionCount": "0x1", "eth_getCode": "0x60005460005260206000f3", "eth_getStorageAt": "0x" + "00" * 32,
}  # fmt: skip


def node(answers: Mapping[str, Any], asked: list[str] | None = None) -> AbstractContextManager[str]:
    """Serve a node with fixed responses by method; a number is a status, an Event a wait."""

    class Node(Handler):
        def do_POST(self) -> None:
            method = json.loads(self.posted())["method"]
            if asked is not None:
                asked.append(method)
            result = answers[method]
            if isinstance(result, Event):
                result.wait()
                result = None
            if isinstance(result, int):
                self.answer(b"elsewhere", result)
                return
            said = result if isinstance(result, dict) and "error" in result else {"result": result}
            self.answer(json.dumps({"jsonrpc": "2.0", "id": 1, **said}).encode())

    return serving(Node)


_CODE: Final = bytes.fromhex("60005460005260206000f3")
"""Code that returns slot 0."""
_WRONG: Final[list[tuple[str, Any, str]]] = [
    ("eth_chainId", "one", "eth_chainId: 'one'"),
    ("eth_chainId", "0x" + "f" * 64, "number of 64 bits"),
    ("eth_blockNumber", None, "eth_blockNumber: None"),
    ("eth_blockNumber", 302, "302"),
    ("eth_getBlockByNumber", [], "expected an object"),
    ("eth_getBlockByNumber", {**BLOCK, "number": "0x8"}, "returned block 8 instead of 7"),
    ("eth_getBlockByNumber", {**BLOCK, "hash": "0x11"}, "expected 32 bytes, found 1"),
    ("eth_getBlockByNumber", {"number": "0x7"}, "hash"),
    ("eth_getBlockByNumber", None, "failed to get block number: 7; latest block number: 7"),
    ("eth_getBalance", "-0x1", "eth_getBalance: '-0x1'"),
    ("eth_getBalance", {"a": 1}, "eth_getBalance: {'a': 1}"),
    ("eth_getTransactionCount", "0x1" + "0" * 16, "number of 64 bits"),
    ("eth_getCode", "0x1", "expected 0x and pairs of hex digits"),
    ("eth_getCode", "0x" + "00" * (MAX_CODE_BYTES + 1), f"expected at most {MAX_CODE_BYTES} bytes"),
    ("eth_getStorageAt", "0x" + "00" * 33, "eth_getStorageAt: "),
    ("eth_getStorageAt", {"error": {"code": -32000, "message": "missing trie node 12"}}, "use an archive node"),
]


@pytest.mark.parametrize(("method", "answer", "words"), _WRONG)
def test_a_wrong_answer_is_named(method: str, answer: Any, words: str, tmp_path: Path) -> None:
    with node({**SOUND, method: answer}) as url:
        found = _word(tmp_path, url)
    assert found.status.value == "Failure"
    assert words in (found.reason or ""), found.reason


def test_sound_answers_are_taken(tmp_path: Path) -> None:
    with node(SOUND) as url:
        found = _word(tmp_path, url)
    assert found.reason is None


@pytest.mark.slow
def test_a_node_that_hangs_has_its_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    patient = RequestOptions(timeout=0.3)
    monkeypatch.setattr(remotes, "FORK_REQUESTS", patient)
    hangs, begin = Event(), monotonic()
    try:
        with node({**SOUND, "eth_getStorageAt": hangs}) as url:
            found = _word(tmp_path, url)
            hangs.set()
    finally:
        hangs.set()
    assert "did not respond to eth_getStorageAt within 0.3 s" in (found.reason or "")
    assert monotonic() - begin < 15


def test_a_token_in_a_url_is_not_shown() -> None:
    with RemoteChain("http://me:secret@127.0.0.1:9/") as chain, pytest.raises(NodeError, match=r"at http://\*\*\*@127"):
        chain.block()


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:1", True),
        ("http://127.0.0.1", True),
        ("http://[::1]:8", True),
        ("https://node.example", False),
    ],
)
def test_a_local_node_is_known(url: str, local: bool) -> None:
    assert is_local(url) is local


def test_remote_node_responses_are_cached_on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    requests: list[str] = []
    with node(SOUND, requests) as url:
        for _ in range(2):
            with RemoteChain(url, caches=True) as chain:
                state = chain.state(7)
                account = state.account(_counter())
                assert account is not None
                assert (account.nonce, account.code, state.word(_counter(), 3)) == (1, _CODE, 0)
    assert [requests.count(method) for method in ("eth_getCode", "eth_getStorageAt", "eth_getBlockByNumber")] == [
        1,
        1,
        2,
    ]
    (file,) = (tmp_path / "cache").rglob("*.sqlite")
    assert file.parent.name == "1"


@pytest.mark.slow
def test_threads_that_keep_answers_at_once_lose_none(tmp_path: Path) -> None:
    """An account's three requests are sent concurrently."""
    cache = ResponseCache(tmp_path / "answers.sqlite")

    def use(number: int) -> str | None:
        cache.put("block", f"question {number}", f"answer {number}")
        return cache.get("block", f"question {number // 2}")

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(use, range(2_000)))
    assert {result for number, result in enumerate(found) if result not in (None, f"answer {number // 2}")} == set()
    assert all(cache.get("block", f"question {number}") == f"answer {number}" for number in range(2_000))
    cache.close()


def test_another_nodes_answers_are_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Both nodes name the same chain, block and hash; the first one lies."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with node({**SOUND, "eth_getStorageAt": "0x" + "ff" * 32}) as liar, RemoteChain(liar, caches=True) as chain:
        assert chain.state(7).word(_counter(), 3) == (1 << 256) - 1
    with node(SOUND) as honest, RemoteChain(honest, caches=True) as chain:
        assert chain.state(7).word(_counter(), 3) == 0


def test_a_block_of_another_hash_has_answers_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    results = {**SOUND, "eth_getStorageAt": "0x01"}
    with node(results) as url:
        with RemoteChain(url, caches=True) as chain:
            assert chain.state(7).word(_counter(), 3) == 1
        results |= {"eth_getStorageAt": "0x02", "eth_getBlockByNumber": {**BLOCK, "hash": "0x" + "33" * 32}}
        with RemoteChain(url, caches=True) as chain:
            assert chain.state(7).word(_counter(), 3) == 2


def test_a_file_of_answers_is_named_without_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    named = cache_file(1, "https://me:secret@node.example/v1")
    assert named == cache_file(1, "https://you:other@node.example/v1")
    assert named != cache_file(1, "https://node.example/v2")
    assert "secret" not in str(named)


class _Connection(sqlite3.Connection):
    """A connection that counts the open ones."""

    open_ones = 0

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        _Connection.open_ones += 1

    def close(self) -> None:
        super().close()
        _Connection.open_ones -= 1


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> type[_Connection]:
    """Count the connections to cache files."""
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=_Connection))
    monkeypatch.setattr(_Connection, "open_ones", 0)
    return _Connection


@pytest.mark.slow
def test_a_chain_has_one_file_open_for_all_its_blocks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, connections: type[_Connection]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    results = dict(SOUND)
    with node(results) as url, RemoteChain(url, caches=True) as chain:
        for number in range(1, 8):
            results["eth_getBlockByNumber"] = {**BLOCK, "number": hex(number)}
            chain.state(number).account(_counter())
        chain.state()
        chain.state()
        assert connections.open_ones == 1
    assert connections.open_ones == 0


def test_an_invalid_cache_file_is_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, connections: type[_Connection]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with node(SOUND) as url:
        with RemoteChain(url, caches=True) as chain:
            chain.state(7).account(_counter())
        (file,) = (tmp_path / "cache").rglob("*.sqlite")
        file.write_bytes(b"not a base" * 1000)
        with RemoteChain(url, caches=True) as again:
            account = again.state(7).account(_counter())
            assert connections.open_ones == 1
    assert connections.open_ones == 0
    assert account is not None
    assert account.code == _CODE


def test_a_second_run_needs_no_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with node(SOUND) as url:
        assert _word(tmp_path / "online", url, rpc_cache="all").reason is None
    assert _word(tmp_path / "offline", url, forks_offline=True).reason is None
    found = _word(tmp_path / "other", "http://127.0.0.1:9", forks_offline=True)
    assert "eth_chainId of http://127.0.0.1:9 is not in the cache, and --offline prevents a request" in str(
        found.reason
    )


@pytest.mark.slow
def test_tests_read_what_a_network_has_cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with (
        node(SOUND) as url,
        Network(rules="ethereum", fork=ForkSource(url, caches=True), account_count=1) as network,
    ):
        address = network.address(COUNTER)
        assert network.nonce(address) == 1
    missing = _word(tmp_path / "missing", url, forks_offline=True)
    assert f"slot 0x0 of account {COUNTER.lower()} at block 7 of chain 1 of {url} is not in the cache" in str(
        missing.reason
    )
    with node(SOUND) as url, RemoteChain(url, caches=True) as chain:
        chain.state(chain.block_number()).word(_counter(), 0)
        chain.state(7).account(_counter())
    assert _word(tmp_path / "found", url, forks_offline=True).reason is None


def _counter() -> Any:
    return bytes.fromhex(COUNTER[2:])


def _word(folder: Path, url: str, **job: Any) -> TestResult:
    folder.mkdir(exist_ok=True)
    return run(folder, "^HostileFork$", {"HOSTILE_URL": url}, **job)["HostileFork"]["test_word()"]
