"""Reads of a chain's index: cached entries, and concurrent reads."""

import random
import sqlite3
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import DYNAMIC_FEE, SignedTransaction, Transaction
from bridge.filecoin.messages import from_signed_message
from bridge.filecoin.method_numbers import method_number
from hypervisor.errors import InvalidInput
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import DATACAP_ACTOR, INIT_ACTOR, POWER_ACTOR, ChainEpoch, TokenAmount, decode_bigint
from hypervisor.versions.overlay import Overlay
from localnet import Account, GenesisOptions, Network
from localnet.chain.chain import Chain
from localnet.chain.logs import TipsetSearch, message_with_nonce
from localnet.ledger import candidates, index
from localnet.ledger.address_index import FILE, AddressIndex, emitter_key, message_key, topic_key
from localnet.ledger.blocks import NO_PRODUCER
from localnet.ledger.genesis import NetworkRecord
from localnet.ledger.index import ChainIndex, tipset_entries
from localnet.ledger.records import Execution, NullRound, Tipset, TransactionReceipt, decode_height
from localnet.ledger.upgrades import Upgrade, Upgrades
from localnet.rpc.node import Node
from store.blockstore import StoreCorrupt, StoreError, get_object
from store.cid import CBOR, cid_of
from store.codec import decode, encode, link
from tests.conftest import data_file, kinds
from tests.localnet.conftest import ARTIFACTS, BUNDLE, Clock
from tests.localnet.rpc.conftest import Client
from tests.runtimes.evm.assembler import assemble, deployer


@pytest.mark.slow
def test_threads_read_heights_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server reads receipts on the event loop's thread, and the rest on the network's."""
    with Network() as network:
        network.mine(20)
        monkeypatch.setattr(index, "MAX_DECODED", 15_000)  # some of the twenty
        chain, heights = ChainIndex(network.machine.base), list(range(21))
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            with ThreadPoolExecutor(4) as threads:
                reads = [threads.submit(lambda: [chain.tipset(n).height for n in heights * 100]) for _ in range(4)]
                assert [read.result() for read in reads] == [heights * 100] * 4
        finally:
            sys.setswitchinterval(interval)


@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_cached_head_equals_the_stored_one(rules: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Network(rules=rules) as network:
        sender = network.accounts[0]
        logger = network.send(None, 0, deployer(assemble("7 0 0 LOG1 0 0 LOG0"))).contract_address
        network.automine = False
        hashes = [network.submit(sender.sign(transfer(network, nonce, logger)).raw()) for nonce in range(1, 4)]
        network.mine()
        stored = [stored_index(network).receipt(each) for each in hashes]
        assert [each is not None and each.first_event for each in stored] == [0, 2, 4]
        monkeypatch.delattr(Execution, "decode")
        monkeypatch.delattr(Tipset, "from_fields")
        assert [network.chain.index.receipt(each) for each in hashes] == stored


def test_height_that_is_built_again_has_its_new_receipts() -> None:
    with Network(rules="ethereum") as network:
        sender, snapshot = network.accounts[0], network.snapshot()
        first, second = (sender.sign(transfer(network, 0, b"\x11" * 20, value)).raw() for value in (1, 2))
        before = network.submit(first)
        found = network.chain.index.receipt(before)
        network.revert(snapshot)
        after = network.submit(second)
        assert found is not None
        tipset_entries(found.tipset, [found.execution], index=network.chain.index)  # not committed
        assert network.chain.index.receipt(before) is None
        assert network.chain.index.receipt(after) == stored_index(network).receipt(after)


@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_cached_first_retained_state_is_the_stored_one(rules: str) -> None:
    """The chain's index caches `retained`, the indices of queries share it, and it equals the stored entry."""
    with Network(rules=rules, keep_states=2) as network:
        query = network.chain.view(network.chain.point()).index
        heights = []

        def check() -> None:
            heights.append(query.retained)
            assert query.retained == network.chain.index.retained == stored_index(network).retained

        check()
        snapshot = network.snapshot()
        for _ in range(4):
            network.mine()
        check()
        network.revert(snapshot)
        check()
        network.mine(5)
        check()
        network.reset()
        check()
        assert heights[1] > heights[0] == 0
        assert heights[3] > heights[2] == 0
        assert heights[4] == 0


def stored_index(network: Network) -> ChainIndex:
    """Return another index over the same store, without cached entries."""
    found = ChainIndex(network.machine.base)
    found.chain_ids = network.chain.index.chain_ids
    return found


def transfer(network: Network, nonce: int, to: bytes | None, value: int = 0) -> Transaction:
    receiver = None if to is None else EthAddress(to)
    return Transaction(DYNAMIC_FEE, network.chain_id, nonce, receiver, value, b"", 10_000_000, 2 * 10**9, 10**5)


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
        return address in (receipt.candidate.sender, receipt.candidate.to, receipt.contract_address)

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


@pytest.mark.slow
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


def test_a_tipset_comes_back(network: Network) -> None:
    network.send(network.accounts[1], 5)
    found = decode_height(network.head.encode())
    assert isinstance(found, Tipset)
    assert found == network.head


def test_a_null_round_comes_back() -> None:
    assert decode_height(NullRound(3, 9).encode()) == NullRound(3, 9)


def test_an_execution_comes_back_with_events_of_both_kinds(network: Network) -> None:
    inbox = network.deploy(ARTIFACTS / "Inbox.json")
    execution = inbox.send("greet", "hello", value=1).execution
    assert execution.events
    assert Execution.decode(execution.encode(7, 9), network.chain_id) == (execution, 7, 9)


def test_log_index_counts_events_without_a_logs_shape(network: Network) -> None:
    inbox = network.deploy(ARTIFACTS / "Inbox.json")
    execution = inbox.send("greet", "hello").execution
    event = execution.events[0]
    native = event._replace(entries=(event.entries[0]._replace(key="$type", codec=CBOR),))
    mixed = replace(execution, events=(native, event, native, event))
    (log,) = execution.logs()
    assert mixed.indexed_logs() == [(1, log), (3, log)]
    assert mixed.logs() == [log, log]


def test_a_creation_has_no_receiver(network: Network) -> None:
    counter = network.deploy(ARTIFACTS / "Counter.json")
    execution = network.chain.index.receipt_at(network.head, 0).execution
    assert execution.candidate.to is None
    assert Execution.decode(execution.encode(0, 0), network.chain_id)[0].candidate.to is None
    assert network.chain.index.receipt_at(network.head, 0).contract_address == counter.address


def test_the_networks_record_comes_back() -> None:
    upgrades = Upgrades(25, (Upgrade(ChainEpoch(7), 27), Upgrade(ChainEpoch(9), 28, cid_of(b"actors"))))
    record = NetworkRecord("localnet", TokenAmount(2 * 10**26), upgrades, "official", cid_of(b"first"))
    assert NetworkRecord.decode(record.encode()) == record


@pytest.mark.parametrize(
    "data", [b"", b"\x80", encode([3, "localnet"]), encode([3, "localnet", 5, 28, [], "", b"", "", ""]), b"\xff"]
)
def test_a_record_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        NetworkRecord.decode(data)


def test_record_round_trips_overlay_and_keeps_format_without_it() -> None:
    plain = NetworkRecord("localnet", TokenAmount(1), Upgrades(28), "fast", cid_of(b"first"))
    with_one = replace(plain, overlay=Overlay("dearer", 28, None, (("syscall", 1),)))
    assert NetworkRecord.decode(with_one.encode()) == with_one
    assert decode(plain.encode())[0] == 3
    assert decode(with_one.encode())[0] == 4


@pytest.mark.parametrize(
    ("version", "fields"),
    [
        (1, ["localnet", b""]),
        (2, ["localnet", b"", 28, [], "fast", link(cid_of(b"first"))]),
        (5, []),
    ],
)
def test_record_of_other_format_names_both_and_a_remedy(version: int, fields: list[Any]) -> None:
    said = (
        f"record format {version}, this program reads 3 and 4: continue with the release that wrote it, or name another"
    )
    with pytest.raises(InvalidInput, match=said) as refused:
        NetworkRecord.decode(encode([version, *fields]))
    assert "--load-state" in str(refused.value)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Record the hash of each message whose transaction is decoded."""
    seen: list[bytes] = []
    plain = from_signed_message

    def noted(message: Any, chain_id: int) -> SignedTransaction:
        seen.append(message.cid())
        return plain(message, chain_id)

    monkeypatch.setattr(candidates, "from_signed_message", noted)
    return seen


def test_trace_uses_transactions_as_they_were_sent(read: list[bytes]) -> None:
    with Network(rules="ethereum") as network:
        network.automine = False
        for account in network.accounts[:3]:
            network.submit(account.sign(candidates_transfer(network)).raw())
        network.mine()
        last = network.head.transactions[-1]
        Client(Node(network))("debug_traceTransaction", f"0x{last.hex()}", None)
        assert not read


def test_candidate_of_receipt_is_sent_transaction() -> None:
    with Network(rules="ethereum") as network:
        signed = network.accounts[0].sign(candidates_transfer(network))
        receipt = network.receipt(network.submit(signed.raw()))
        assert receipt.candidate.transaction == signed
        unsigned = network.send_native("f099", sender=network.accounts[0])
        assert unsigned.candidate.transaction is None


def candidates_transfer(network: Network) -> Any:
    from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction

    fee = 2 * network.base_fee
    return Transaction(DYNAMIC_FEE, network.chain_id, 0, network.accounts[5].address, 1, b"", 21_000, fee, 0)


FIL = 10**18
NEWCOMER = Account.from_key(bytes(31) + b"\x07")


@pytest.mark.slow
@pytest.mark.parametrize("kind", kinds())
def test_network_starts_with_requested_genesis(kind: str, tmp_path: Path) -> None:
    genesis = GenesisOptions(
        "testbed",
        balances={NEWCOMER.native: TokenAmount(3 * FIL), NEWCOMER.delegated: TokenAmount(4 * FIL)},
        verified={NEWCOMER.native: 4096},
        miners=[2] if kind == "own" else [0],
    )
    bundle = None if kind == "own" else data_file(BUNDLE)
    with Network(
        tmp_path, bundle=bundle, network=28, chain_id=314, genesis=genesis, account_count=2, clock=Clock()
    ) as network:
        assert (network.chain_id, network.version, network.chain.record.name) == (314, 28, "testbed")
        init = network.machine.state_tree.get_actor(INIT_ACTOR)
        assert init is not None
        assert get_object(network.machine.store, init.head)[2] == "testbed"
        assert (network.balance(NEWCOMER.native), network.balance(NEWCOMER.delegated)) == (3 * FIL, 4 * FIL)
        assert network.chain.record.vested == (4 * 10_000 + 7) * FIL
        assert datacap(network, NEWCOMER.native) == 4096 * FIL
        assert miners(network) == 1
        head = network.head
    with Network(tmp_path, clock=Clock()) as network:
        assert (network.head, network.chain_id, network.chain.record.name) == (head, 314, "testbed")
    with Network(tmp_path, genesis=genesis, clock=Clock()) as network:
        assert (network.head, miners(network)) == (head, 1)
    with pytest.raises(InvalidInput, match="network is 'testbed', not 'another'"):
        Network(tmp_path, genesis=GenesisOptions("another"), clock=Clock())


def test_the_miners_have_power() -> None:
    with Network(genesis=GenesisOptions(miners=[1, 3]), clock=Clock()) as network:
        result = network.machine.call(
            Message(Address.id(POWER_ACTOR), NO_PRODUCER, method=method_number("NetworkRawPower"))
        )
        assert decode_bigint(decode(result.return_data)) == 4 * 2048


@pytest.mark.slow
def test_existing_folder_is_not_subject_to_the_limit_of_sectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older programs had no limit. Callers pass the same options whenever they open a folder."""
    genesis = GenesisOptions(miners=[2])
    with Network(tmp_path, genesis=genesis, clock=Clock()) as network:
        head = network.head
    monkeypatch.setattr("localnet.opening.MAX_SECTORS", 1)
    with Network(tmp_path, genesis=genesis, clock=Clock()) as network:
        assert (network.head, miners(network)) == (head, 1)
    with pytest.raises(InvalidInput, match="2 cannot be a miner's number of sectors"):
        Network(genesis=genesis)


@pytest.mark.slow
@pytest.mark.parametrize("ends_at", [0, 1, 3])
def test_unfinished_genesis_miners_are_created_by_next_process(
    ends_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genesis, produce, left = GenesisOptions(miners=[0, 0]), Chain.produce, ends_at
    with Network(genesis=genesis, clock=Clock()) as whole:
        wanted = whole.head

    def ends(chain: Chain, *given: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise SystemExit("killed")
        return produce(chain, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Chain, "produce", ends)
        with pytest.raises(SystemExit):
            Network(tmp_path, genesis=genesis, clock=Clock())
    with pytest.raises(InvalidInput, match="1 accounts cannot own 2 miners"):
        Network(tmp_path, account_count=1, clock=Clock())
    with Network(tmp_path, clock=Clock()) as network:
        assert (network.head, miners(network)) == (wanted, 2)
    with Network(tmp_path, genesis=genesis, clock=Clock()) as network:
        assert (network.head, miners(network)) == (wanted, 2)


@pytest.mark.parametrize(
    ("genesis", "words"),
    [
        (GenesisOptions(balances={NEWCOMER.native: TokenAmount(-1)}), "cannot have"),
        (GenesisOptions(balances={NEWCOMER.native: TokenAmount(1 << 127)}), "cannot have"),
        (GenesisOptions(balances={Address.id(200): TokenAmount(1)}), "cannot be an account"),
        (GenesisOptions(verified={NEWCOMER.native: 255}), "DataCap is frozen on this network of nv29"),
        (GenesisOptions(""), "'' cannot be a network's name"),
        (GenesisOptions("n" * 101), "expected 1 to 100 letters"),
        (GenesisOptions("\ud800"), "cannot be a network's name"),
        (GenesisOptions(miners=[0, 0, 0]), "2 accounts cannot own 3 miners"),
    ],
)
def test_invalid_genesis_options_are_rejected(genesis: GenesisOptions, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Network(genesis=genesis, account_count=2, clock=Clock())


def test_less_datacap_than_a_client_may_have_is_refused() -> None:
    with pytest.raises(InvalidInput, match="the verified registry rejected the grant"):
        Network(network=28, genesis=GenesisOptions(verified={NEWCOMER.native: 255}), account_count=2, clock=Clock())


def datacap(network: Network, holder: Address) -> int:
    """Return the balance in units of the token."""
    ask = Message(
        Address.id(DATACAP_ACTOR), NO_PRODUCER, method=method_number("Balance"), params=encode(holder.to_bytes())
    )
    return decode_bigint(decode(network.machine.call(ask).return_data))


def miners(network: Network) -> int:
    result = network.machine.call(Message(Address.id(POWER_ACTOR), NO_PRODUCER, method=method_number("MinerCount")))
    count: int = decode(result.return_data)
    return count
