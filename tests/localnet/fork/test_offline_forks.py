"""Forks with `--offline`: what a fork has read is in the cache, and everything else is refused by name.

Expected values of Ethereum forks are the fixed responses of a stub node; those of Filecoin forks are read from the
forked network itself.
"""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from localnet import Network
from localnet.fork import response_cache
from localnet.fork.forking import ForkSource
from localnet.fork.node_client import OFFLINE, NodeError, UnfitNode
from localnet.fork.remote_chain import RemoteChain
from localnet.fork.response_cache import ResponseCache
from localnet.rpc.node import Node
from localnet.rpc.server.server import serving
from store.blocks.memory import RemoteUnavailable
from tests.hypervisor_tools.soltest.forks.test_hostile_nodes import BLOCK, SOUND, node
from tests.localnet.conftest import ARTIFACTS, Clock
from tests.localnet.rpc.conftest import Client, Failed

COUNTER = ARTIFACTS / "Counter.json"
SOMEBODY = "0x" + "12" * 20
WORD = "0x" + "00" * 31 + "2a"
ANSWERS = {**SOUND, "eth_getStorageAt": WORD, "eth_getBalance": "0x7b"}


@pytest.fixture(autouse=True)
def cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def offline(url: str, block: int | None = None) -> ForkSource:
    return ForkSource(url, block, options=OFFLINE)


def read(source: ForkSource, *requests: tuple[str, ...], path: str | Path = ":memory:") -> list[Any]:
    """Return the responses of a fork under Ethereum's rules."""
    with Network(path, rules="ethereum", fork=source) as network:
        rpc = Client(Node(network))
        try:
            return [rpc(*request) for request in requests]
        finally:
            rpc.node.close()


SLOT = ("eth_getStorageAt", SOMEBODY, "0x3", "latest")
BALANCE = ("eth_getBalance", SOMEBODY, "latest")


@pytest.mark.slow
@pytest.mark.parametrize("block", [None, 7])
def test_a_second_fork_sends_no_request(block: int | None) -> None:
    requests: list[str] = []
    with node(ANSWERS, requests) as url:
        assert read(ForkSource(url, block, caches=True), SLOT, BALANCE) == [WORD, "0x7b"]
        before = len(requests)
        assert read(offline(url, block), SLOT, BALANCE) == [WORD, "0x7b"]
        assert len(requests) == before
    assert read(offline(url, block), SLOT, BALANCE) == [WORD, "0x7b"], "the node has stopped"


@pytest.mark.slow
def test_an_uncached_slot_and_account_are_named() -> None:
    with node(ANSWERS) as url:
        read(ForkSource(url, caches=True), SLOT)
    with pytest.raises(Failed) as failed:
        read(offline(url), ("eth_getStorageAt", SOMEBODY, "0x4", "latest"))
    assert f"slot 0x4 of account {SOMEBODY} at block 7 of chain 1 of {url} is not in the cache" in str(failed.value)
    assert "run once without --offline" in str(failed.value)
    other = "0x" + "34" * 20
    with pytest.raises(Failed, match=f"account {other} at block 7 of chain 1"):
        read(offline(url), ("eth_getBalance", other, "latest"))


@pytest.mark.slow
def test_an_uncached_block_and_node_are_named() -> None:
    with node(ANSWERS) as url:
        read(ForkSource(url, 7, caches=True), SLOT)
    with pytest.raises(UnfitNode, match=r'eth_getBlockByNumber \["0x6", false\] of http.* is not in the cache'):
        Network(rules="ethereum", fork=offline(url, 6))
    with pytest.raises(UnfitNode, match=r"eth_chainId of http://127\.0\.0\.1:9 is not in the cache"):
        Network(rules="ethereum", fork=offline("http://127.0.0.1:9", 6))


@pytest.mark.slow
def test_a_folder_brings_its_own_responses(tmp_path: Path, cache_folder: Path) -> None:
    """Responses of a local node are stored in the folder of the chain only."""
    with node(ANSWERS) as url:
        read(ForkSource(url), SLOT, path=tmp_path / "chain")
    assert not list(cache_folder.rglob("*.sqlite"))
    assert read(offline(url), SLOT, path=tmp_path / "chain") == [WORD]


@pytest.mark.slow
def test_a_folder_and_the_users_cache_share_responses(tmp_path: Path) -> None:
    requests: list[str] = []
    with node(ANSWERS, requests) as url:
        read(ForkSource(url, caches=True), SLOT)
        read(ForkSource(url, caches=True), SLOT, path=tmp_path / "chain")
        assert requests.count("eth_getStorageAt") == 1
    with node({**ANSWERS, "eth_getBlockByNumber": {**BLOCK, "hash": "0x" + "33" * 32}}, requests) as url:
        read(ForkSource(url, caches=True), SLOT, path=tmp_path / "other")
        read(ForkSource(url, caches=True), SLOT)
        assert requests.count("eth_getStorageAt") == 2, "a block of another hash"


def damage(cache_folder: Path, method: str) -> Path:
    """Change one hex digit of the stored responses to a method."""
    (file,) = cache_folder.rglob("*.sqlite")
    with sqlite3.connect(file) as base:
        changed = base.execute(
            "UPDATE responses SET response = replace(response, '2a', '2b') WHERE request LIKE ?", (f"{method}%",)
        )
        assert changed.rowcount
    base.close()
    return file


@pytest.mark.slow
def test_a_damaged_entry_is_read_again_or_named(cache_folder: Path) -> None:
    requests: list[str] = []
    with node(ANSWERS, requests) as url:
        read(ForkSource(url, caches=True), SLOT)
        file = damage(cache_folder, "eth_getStorageAt")
        with pytest.raises(Failed, match=rf"slot 0x3 of account .* is damaged in the cache file {file}"):
            read(offline(url), SLOT)
        assert read(ForkSource(url, caches=True), SLOT) == [WORD]
        assert requests.count("eth_getStorageAt") == 2
    assert read(offline(url), SLOT) == [WORD]


@pytest.mark.slow
def test_a_damaged_file_is_replaced_or_named(cache_folder: Path) -> None:
    with node(ANSWERS) as url:
        read(ForkSource(url, caches=True), SLOT)
        (file,) = cache_folder.rglob("*.sqlite")
        file.write_bytes(b"not a database " * 1000)
        with pytest.raises(UnfitNode, match=rf"is damaged in the cache file {file}"):
            read(offline(url), SLOT)
        read(ForkSource(url, caches=True), SLOT)
    assert read(offline(url), SLOT) == [WORD]


def test_a_full_file_drops_its_oldest_entries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(response_cache, "MAX_FILE_BYTES", 1 << 20)
    file = tmp_path / "responses.sqlite"
    cache = ResponseCache(file)
    for number in range(300):
        cache.put("block", str(number), f"{number:010000}")
    assert file.stat().st_size <= 1 << 20
    assert cache.get("block", "299") == f"{299:010000}"
    assert cache.get("block", "0") is None
    cache.close()


def test_the_least_recently_used_files_are_deleted(monkeypatch: pytest.MonkeyPatch, cache_folder: Path) -> None:
    monkeypatch.setattr(response_cache, "MAX_FOLDER_BYTES", 200_000)
    files = [response_cache.cache_file(1, f"http://node.example/{number}") for number in range(5)]
    for file in files:
        cache = ResponseCache(file)
        for number in range(8):
            cache.put("block", str(number), "7" * 10_000)
        cache.close()
    left = set(cache_folder.rglob("*.sqlite"))
    assert files[-1] in left
    assert files[0] not in left
    assert sum(file.stat().st_size for file in left) <= 300_000, "the limit, and the file that was opened last"


@pytest.mark.slow
def test_offline_changes_no_file(cache_folder: Path) -> None:
    with node(ANSWERS) as url:
        read(ForkSource(url, caches=True), SLOT)
    (file,) = cache_folder.rglob("*.sqlite")
    before = file.read_bytes(), file.stat().st_mtime_ns
    read(offline(url), SLOT)
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [None, 3])
def test_a_fork_under_filecoins_rules_needs_no_node_the_second_time(epoch: int | None) -> None:
    with Network(clock=Clock()) as there:
        counter = there.deploy(COUNTER)
        counter.send("increment")
        there.send(there.accounts[1], 5)
        with serving(there) as url, Network(fork=ForkSource(url, epoch, caches=True), clock=Clock()) as online:
            assert online.contract(counter.address, COUNTER).call("number") == 1
            root = online.machine.root
            online.contract(counter.address, COUNTER).send("increment")
        with Network(fork=offline(url, epoch), clock=Clock()) as network:
            assert network.machine.root == root == there.machine.root
            assert network.contract(counter.address, COUNTER).call("number") == 1
            network.contract(counter.address, COUNTER).send("increment")
            assert network.contract(counter.address, COUNTER).call("number") == 2
        with pytest.raises(UnfitNode, match=r"the tipset at epoch 2 of .* is not in the cache"):
            Network(fork=offline(url, 2))


@pytest.mark.slow
def test_an_uncached_block_of_state_is_named() -> None:
    with Network(clock=Clock()) as there:
        counter = there.deploy(COUNTER)
        with serving(there) as url, Network(fork=ForkSource(url, caches=True), clock=Clock()):
            pass
        with Network(fork=offline(url), clock=Clock()) as network, pytest.raises(RemoteUnavailable) as failed:
            network.contract(counter.address, COUNTER).call("number")
    assert "block bafy2bz" in str(failed.value)
    assert "is not in the cache, and --offline prevents a request: run once without --offline" in str(failed.value)


def test_a_client_sends_nothing_offline() -> None:
    requests: list[str] = []
    with (
        node(ANSWERS, requests) as url,
        RemoteChain(url, options=OFFLINE) as chain,
        pytest.raises(NodeError, match="--offline prevents a request"),
    ):
        chain.client.request("eth_call", {})
    assert requests == []
