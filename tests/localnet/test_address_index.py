"""The address index: equal to a scan of the whole chain, and verified against it."""

import random
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from bridge.ethereum.addresses import EthAddress
from localnet import Network
from localnet.chain.finding import TipsetSearch, message_with_nonce
from localnet.ledger.address_index import FILE, AddressIndex
from localnet.ledger.address_keys import emitter_key, message_key, topic_key
from localnet.ledger.index import ChainIndex
from localnet.ledger.records import Tipset, TransactionReceipt
from store.blockstore import StoreCorrupt, StoreError
from tests.localnet.conftest import ARTIFACTS, Clock

SEED = 23


@pytest.fixture
def addresses() -> Iterator[AddressIndex]:
    made = AddressIndex()
    yield made
    made.close()


def taken_in(addresses: AddressIndex, network: Network) -> AddressIndex:
    while addresses.follow(network.chain.index, limit=3):
        pass
    return addresses


def tipsets(index: ChainIndex) -> list[Tipset]:
    return [found for height in range(index.head + 1) if isinstance(found := index.at(height), Tipset)]


def concerned(index: ChainIndex, address: EthAddress) -> list[int]:
    """Return the heights of the messages of an address by a scan, newest first."""

    def has(receipt: TransactionReceipt) -> bool:
        return address in (receipt.execution.sender, receipt.execution.to, receipt.contract_address)

    return [each.height for each in reversed(tipsets(index)) if any(map(has, index.receipts(each)))]


def named(search: TipsetSearch, height: int = 10**6) -> list[int]:
    return [tipset.height for tipset in search.back(height)]


@pytest.mark.slow
def test_address_index_matches_full_chain_scan_after_reverts(network: Network, addresses: AddressIndex) -> None:
    draw, index = random.Random(SEED), network.chain.index
    inbox = network.deploy(ARTIFACTS / "Inbox.json")
    parties = [account.address for account in network.accounts[:4]]
    snapshots = [network.snapshot()]
    for _ in range(60):
        match draw.randrange(8):
            case 0:
                network.mine(null_rounds=draw.randrange(3))
            case 1:
                network.revert(snapshots.pop(draw.randrange(len(snapshots)))) if snapshots else None
                snapshots.clear()
            case 2:
                snapshots.append(network.snapshot())
            case 3:
                inbox.send("greet", "hello")
            case 4:
                taken_in(addresses, network)
            case _:
                network.send(draw.choice(parties), 1, sender=draw.choice(parties))
        for address in parties:
            expected = concerned(index, address)
            search = TipsetSearch(index, addresses, (message_key(address),))
            assert [height for height in named(search) if height in expected] == expected
            assert search.ended
            upwards = [tipset.height for tipset in TipsetSearch(index, addresses, (message_key(address),)).forward(0)]
            assert [height for height in upwards if height in expected] == expected[::-1]


def test_address_index_finds_events_topics_and_nonces_exactly(network: Network, addresses: AddressIndex) -> None:
    inbox = network.deploy(ARTIFACTS / "Inbox.json")
    network.mine(null_rounds=2)
    receipt = inbox.send("greet", "hello")
    network.mine()
    index = network.chain.index
    taken_in(addresses, network)
    (emitted,) = receipt.logs
    for key in (emitter_key(inbox.address), topic_key(emitted.log.topics[0])):
        assert named(TipsetSearch(index, addresses, (key,))) == [receipt.block_number]
    assert named(TipsetSearch(index, addresses, (topic_key(bytes(32)),))) == []
    found = message_with_nonce(index, addresses, network.accounts[0].address, 1, network.block_number)
    assert found is not None
    assert found.hash == receipt.hash
    assert message_with_nonce(index, addresses, network.accounts[0].address, 99, network.block_number) is None


def test_unindexed_tipsets_are_found_without_index(network: Network, addresses: AddressIndex) -> None:
    target = network.accounts[3].address
    first = network.send(target, 1).block_number
    taken_in(addresses, network)
    second = network.send(target, 1).block_number
    assert named(TipsetSearch(network.chain.index, addresses, (message_key(target),))) == [second, first]


def test_search_without_index_limits_scanned_tipsets(network: Network) -> None:
    for _ in range(6):
        network.mine()
    search = TipsetSearch(network.chain.index, None, (), limit=4)
    assert (named(search), search.reached, search.ended) == ([6, 5, 4, 3], 3, False)
    search = TipsetSearch(network.chain.index, None, (), limit=7)
    assert (named(search), search.reached, search.ended) == ([6, 5, 4, 3, 2, 1, 0], 0, True)


def test_rebuilt_chain_invalidates_address_index_entries(network: Network, addresses: AddressIndex) -> None:
    target, snapshot = network.accounts[3].address, network.snapshot()
    network.send(target, 1)
    taken_in(addresses, network)
    network.revert(snapshot)
    network.mine()
    index = network.chain.index
    assert addresses.top_on(index) == 0
    taken_in(addresses, network)
    assert addresses.top_on(index) == 1
    assert concerned(index, target) == []


def test_address_index_persists_and_rebuilds_when_corrupt(tmp_path: Path) -> None:
    file = tmp_path / "chain" / FILE
    with Network(tmp_path / "chain", clock=Clock()) as network:
        sent = network.send(network.accounts[3].address, 1)
        addresses = taken_in(AddressIndex(file), network)
        addresses.close()
        addresses = AddressIndex(file)
        assert addresses.top_on(network.chain.index) == sent.block_number
        addresses.close()
        for damage in (b"no database", file.read_bytes()[:4096] + b"\xff" * 8192):
            file.write_bytes(damage)
            addresses = AddressIndex(file)
            assert addresses.top_on(network.chain.index) is None
            taken_in(addresses, network)
            assert addresses.top_on(network.chain.index) == sent.block_number
            addresses.close()
        with closing(sqlite3.connect(file)) as database:
            database.execute("PRAGMA user_version = 99")
        addresses = AddressIndex(file)  # of a later program
        assert addresses.top_on(network.chain.index) is None
        addresses.close()
    with Network(tmp_path / "chain") as network:
        assert network.block_number == 1


@pytest.mark.slow
def test_corrupt_address_index_is_reported_with_remedy(tmp_path: Path, network: Network) -> None:
    file, target = tmp_path / FILE, network.accounts[3].address
    for _ in range(300):
        network.send(target, 1)
    taken_in(AddressIndex(file), network).close()
    data = file.read_bytes()
    file.write_bytes(data[:8192] + bytes(4096) + data[12288:])  # the root of the table of places
    addresses = AddressIndex(file)
    with pytest.raises(StoreCorrupt, match="remove"):
        named(TipsetSearch(network.chain.index, addresses, (message_key(target),)))
    addresses.close()


def test_unwritable_index_path_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot be opened \(.*\): make its folder writable, or remove the file"):
        AddressIndex(tmp_path / "nowhere" / FILE)


@pytest.mark.slow
def test_threads_that_read_at_once_get_their_own_heights() -> None:
    """Each key has a hundred heights of its own."""
    index = AddressIndex()
    rows = [(key, 1_000 * key + height) for key in range(50) for height in range(100)]
    index._database.executemany("INSERT INTO places VALUES (?, ?)", rows)

    def heights(turn: int) -> bool:
        key = turn % 50
        return list(index.back((key,), 10**6)) == [1_000 * key + height for height in reversed(range(100))]

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(heights, range(2_000)))
    index.close()
