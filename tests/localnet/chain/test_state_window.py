"""State retention in memory: newest blocks, snapshots, and the whole history."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from hypervisor.errors import InvalidInput
from localnet import Network, opening
from localnet.chain.state_window import DEFAULT_STATES
from localnet.ledger.records import Tipset
from localnet.rpc.errors import RpcError
from localnet.rpc.filecoin.chain import chain_read_obj
from localnet.rpc.node import Node, NodeReader, NodeView, ReorganisedDuringQuery
from store.blocks.bounded import BoundedStore
from store.blocks.memory import RemoteStore
from store.blockstore import BlockNotFound
from store.cid import cid_of
from store.links import reachable
from tests.conftest import samples
from tests.localnet.conftest import ARTIFACTS
from tests.store.test_bounded import settle as drop_unheld

FIL = 10**18


@pytest.fixture(params=["filecoin", "ethereum"])
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    with Network(rules=request.param, keep_states=8, clock=lambda: 1_700_000_000) as opened:
        yield opened


def pay(network: Network, times: int) -> None:
    """Pay 1 FIL to the second account in each of several blocks."""
    for _ in range(times):
        network.send(network.accounts[1].address, value=FIL)


def settle(network: Network) -> BoundedStore:
    """Let the store drop expired states."""
    store = network.machine.base
    if isinstance(store, RemoteStore):  # under Ethereum's rules
        store = store.local
    assert isinstance(store, BoundedStore)
    drop_unheld(store)
    return store


@pytest.mark.slow
def test_states_of_old_blocks_are_dropped_and_receipts_stay(network: Network) -> None:
    pay(network, 30)
    settle(network)
    oldest, account = network.chain.index.retained, network.accounts[1]
    assert 30 - 8 <= oldest <= 30 - 7
    for height in range(oldest, 31):
        assert network.chain.machine_at(network.block(height)).balance(account.delegated) == (10_000 + height) * FIL
        assert network.trace(network.block(height).transactions[0]).as_json()["reproduced"]
    for height in range(1, oldest):
        with pytest.raises(InvalidInput, match=rf"block {height} was collected: .* from block {oldest} on \(a node"):
            network.chain.machine_at(network.block(height))
    for height in range(1, oldest - 1):  # the oldest block that is kept begins with the state before it
        with pytest.raises(BlockNotFound):
            network.machine.store.get(network.block(height).state)
    for height in range(1, 31):
        (sent,) = network.block(height).transactions
        assert network.receipt(sent).succeeded
        assert network.chain.index.by_hash(network.block(height).hash) == network.block(height)
    with pytest.raises(InvalidInput, match="block 5 was collected"):
        network.trace(network.block(5).transactions[0])
    with pytest.raises(InvalidInput, match="block 5 was collected"):
        network.go_back(network.block(5))


@pytest.mark.slow
def test_store_holds_exactly_blocks_reachable_from_kept_states(network: Network) -> None:
    inbox = network.deploy(ARTIFACTS / "Inbox.json")
    for number in range(40):
        inbox.send("greet", f"number {number}")
        if number % 7 == 0:
            network.set_balance(network.accounts[2].address, number)
    store, retained = settle(network), network.chain.index.retained
    tipsets = [network.block(height) for height in (0, *range(retained, network.block_number + 1))]
    states = {state for tipset in tipsets for state in (tipset.before, tipset.state)}
    assert set(store._states.blocks) == reachable(store, states)


@pytest.mark.slow
@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_pruned_network_answers_as_full_archive_network(rules: str, tmp_path: Path) -> None:
    """The comparison network is in a folder: blocks, states, receipts, logs, and reverts."""
    seen: list[list[Any]] = []
    for path in (":memory:", tmp_path / "folder"):
        options: dict[str, Any] = {"keep_states": 8} if path == ":memory:" else {}
        with Network(path, rules=rules, clock=lambda: 1_700_000_000, **options) as network:
            inbox, found = network.deploy(ARTIFACTS / "Inbox.json"), list[Any]()
            for number in range(40):
                snapshot = network.snapshot()
                found.append(inbox.send("greet", f"number {number}").logs)
                network.set_balance(network.accounts[3].address, number)
                network.mine(1, null_rounds=number % 3)
                if number % 4 == 3:
                    assert network.revert(snapshot)
            tipsets = [network.chain.index.at(height) for height in range(network.block_number + 1)]
            found += [*tipsets, network.balance(network.accounts[3].address), network.machine.root]
            found += [network.chain.index.logs(tipset) for tipset in tipsets if isinstance(tipset, Tipset)]
            seen.append(found)
    assert seen[0] == seen[1]


@pytest.mark.slow
def test_a_snapshot_keeps_its_state_however_long(network: Network) -> None:
    pay(network, 3)
    network.set_balance(network.accounts[2].address, 5)
    snapshot = network.snapshot()
    network.set_balance(network.accounts[2].address, 6)
    pay(network, 40)
    settle(network)
    assert network.revert(snapshot)
    assert (network.block_number, network.chain.index.retained) == (3, 3)
    assert network.balance(network.accounts[2].address) == 5
    assert network.balance(network.accounts[1].address) == 10_003 * FIL
    assert network.trace(network.head.transactions[0]).as_json()["reproduced"]
    pay(network, 40)
    settle(network)
    assert network.balance(network.accounts[1].address) == 10_043 * FIL
    with pytest.raises(InvalidInput, match="block 3 was collected"):
        network.chain.machine_at(network.block(3))


@pytest.mark.slow
def test_block_of_pruned_state_is_not_found_with_reason(network: Network) -> None:
    pay(network, 3)
    node, old = Node(network), network.head.state
    assert chain_read_obj(node, old)
    with pytest.raises(RpcError, match=r"^blockstore get: ipld: could not find bafy2bza\w+$"):
        chain_read_obj(node, cid_of(b"nothing"))
    pay(network, 20)
    settle(network)
    with pytest.raises(RpcError, match=r"could not find bafy2bza\w+ \(states are kept from block \d+ on: .*--keep-st"):
        chain_read_obj(node, old)


@pytest.mark.slow
def test_genesis_state_remains_for_reset(network: Network) -> None:
    """anvil_reset needs the first state."""
    network.set_balance(network.accounts[2].address, 5)
    pay(network, 30)
    settle(network)
    assert network.chain.machine_at(network.block(0)).balance(network.accounts[2].delegated) == 5
    network.go_back(network.block(0))
    assert (network.block_number, network.chain.index.retained) == (0, 0)
    assert network.balance(network.accounts[1].address) == 10_000 * FIL
    network.set_balance(network.accounts[2].address, 6)
    pay(network, 30)
    network.go_back(network.block(0))
    assert network.balance(network.accounts[2].address) == 6
    with_one = len(settle(network))
    pay(network, 1)
    assert with_one < len(settle(network)) < with_one + 20


@pytest.mark.slow
def test_oldest_snapshot_is_deleted_above_the_limit(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localnet.chain.block_production.MAX_SNAPSHOTS", 2)
    first, second, _ = (network.snapshot() for _ in range(3))
    assert [network.revert(first), network.revert(second)] == [False, True]


def test_used_snapshots_retain_no_state(network: Network) -> None:
    pay(network, 20)
    before = len(settle(network))
    for _ in range(3):
        snapshot = network.snapshot()
        network.snapshot()
        pay(network, 30)
        network.snapshot()
        assert network.revert(snapshot)
    pay(network, 20)
    assert len(settle(network)) < before + 60


@pytest.mark.slow
def test_rollback_within_state_window_keeps_older_states(network: Network) -> None:
    pay(network, 20)
    network.go_back(network.block(17))
    network.set_balance(network.accounts[2].address, 5)
    settle(network)
    oldest = network.chain.index.retained
    assert [network.chain.machine_at(network.block(h)).balance(network.accounts[1].delegated) // FIL - 10_000
            for h in range(oldest, 18)] == [*range(oldest, 18)]  # fmt: skip
    pay(network, 1)
    assert network.balance(network.accounts[1].address) == 10_018 * FIL


def test_anvil_state_count_is_default_unless_set(tmp_path: Path) -> None:
    """The values are anvil's (storage.rs): 500 in memory and 3,600 on disk."""
    assert DEFAULT_STATES == 4_100
    with pytest.raises(InvalidInput, match="retained states is 0: expected at least 1"):
        Network(keep_states=0)
    with pytest.raises(InvalidInput, match=r"to networks in memory: .* `hypervisor gc --states N`"):
        Network(tmp_path, keep_states=5)
    with Network(keep_states=1) as network:
        pay(network, 5)
        settle(network)
        assert network.chain.index.retained == 5
        assert network.trace(network.head.transactions[0]).as_json()["reproduced"]


@pytest.mark.slow
@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_a_transaction_takes_less_than_a_kilobyte_once_it_is_old(rules: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remainder of a block with one transaction is measured by the sizes of pages and directory records."""
    monkeypatch.setattr(opening, "BoundedStore", partial(BoundedStore, recent=0))
    with Network(rules=rules, keep_states=8) as network:
        sizes = []
        for count in (100, 400):
            while network.block_number < count:
                network.send(bytes([network.block_number % 250]) * 20, value=network.block_number * 7919)
            kept = settle(network)._permanent
            sizes.append(sum(map(sys.getsizeof, kept._pages)) + sum(len(each) for each in kept._buckets if each))
        assert sizes[1] - sizes[0] < 300 * 1_000


@pytest.mark.slow
def test_chain_view_tracks_retained_states() -> None:
    with Network(keep_states=4) as network:
        pay(network, 20)
        node = Node(network)
        view = network.chain.view(node.point)
        pay(network, 20)
        view.go_to(network.chain.point())
        assert view.machine_at(network.block(39)).balance(network.accounts[1].delegated) == 10_039 * FIL
        with pytest.raises(InvalidInput, match="block 20 was collected"):
            view.machine_at(network.block(20))


def test_query_with_dropped_state_is_to_be_retried() -> None:
    with Network(rules="ethereum", keep_states=2) as network:
        pay(network, 3)
        node = Node(network)
        view = NodeView(node)

        def read_what_goes(reader: NodeReader) -> bytes:
            pay(network, 4)
            settle(network)
            return reader.network.machine.base.get(reader.network.head.state)

        with pytest.raises(ReorganisedDuringQuery) as raised:
            view.run(read_what_goes)
        assert isinstance(raised.value.__cause__, BlockNotFound)
        node.published = network.chain.point()
        assert view.run(lambda reader: reader.network.head.height) == 7


@pytest.mark.slow
@pytest.mark.sampled
def test_questions_are_answered_while_the_chain_lets_states_go() -> None:
    """A state dropped during a query is neither a result nor a failure: the query is repeated at a newer head."""
    with Network(rules="ethereum", keep_states=2) as network:
        pay(network, 3)
        node, target = Node(network), network.accounts[1].delegated
        node.published = network.chain.point()  # as a node does before its first query: `point` is for one thread
        view, results, failed, ended = NodeView(node), list[int](), list[Exception](), Event()

        def ask() -> None:
            while not ended.is_set():
                try:
                    results.append(view.run(lambda reader: reader.network.machine.balance(target)))
                except ReorganisedDuringQuery:  # a node asks again
                    continue
                except Exception as error:
                    failed.append(error)
                    raise

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        asking = Thread(target=ask)
        asking.start()
        try:
            for _ in range(samples(200)):
                pay(network, 1)
                node.published = network.chain.point()
        finally:
            ended.set()
            asking.join()
            sys.setswitchinterval(interval)
        assert failed == []
        assert results == sorted(results)
        assert all(result % FIL == 0 for result in results)
