"""Tipsets: contents, effects of an epoch, and reverts."""

import math
from pathlib import Path

import pytest

from hypervisor.context import ExternError
from hypervisor.errors import InvalidInput
from hypervisor.messages.address import Address, Protocol
from hypervisor.messages.message import Message, Receipt, Signature, SignatureType, SignedMessage
from hypervisor.types import CRON_ACTOR, REWARD_ACTOR, ChainEpoch, Gas, TokenAmount
from localnet import Network, TransactionRefused
from localnet.chain.externs import ChainExterns
from localnet.errors import UnknownBlock, UnknownTransaction
from localnet.ledger.blocks import put_receipts, tipset_key
from localnet.ledger.records import NullRound
from store.blocks.memory import MemoryStore
from store.blockstore import StoreCorrupt, get_object
from store.codec import unlink
from tests.localnet.conftest import ARTIFACTS, START, Clock


def test_tipset_header_names_parent_with_its_state_and_receipts(network: Network) -> None:
    network.send(network.accounts[1], 5)
    parent = network.head
    network.mine()
    tipset, header = network.head, get_object(network.machine.store, network.head.block)
    assert tipset.key == tipset_key([tipset.block])
    assert [unlink(cid) for cid in header[5]] == [parent.block]
    assert unlink(header[8]) == parent.state == tipset.before
    assert unlink(header[9]) == parent.receipts
    assert (header[7], header[12]) == (tipset.height, tipset.timestamp)


def test_the_chains_blocks_hold_messages_and_receipts(network: Network) -> None:
    receipt = network.send(network.accounts[1], 5)
    store, tipset = network.machine.store, receipt.tipset
    header = get_object(store, tipset.block)
    _, signed = get_object(store, unlink(header[10]))
    message = unlink(get_object(store, unlink(signed))[2][2][0])
    assert SignedMessage.from_cbor(store.get(message)) == receipt.candidate.message
    found: Receipt = receipt.execution.receipt
    assert tipset.receipts == put_receipts(MemoryStore(), [found])
    assert get_object(store, tipset.receipts)[2][2][0][2] == found.gas_used


def test_cron_and_the_block_reward_run_each_epoch(official: Network) -> None:
    # A fifth of the epoch's reward for one win; nobody mines here, so the reward actor burns it.
    before = official.balance(Address.id(REWARD_ACTOR)), official.balance(Address.id(99))
    official.mine()
    paid = before[0] - official.balance(Address.id(REWARD_ACTOR))
    assert 7 * 10**18 < paid < 8 * 10**18
    assert official.balance(Address.id(99)) - before[1] == paid


def test_a_null_round_has_cron_and_no_block(official: Network) -> None:
    height, parent = official.block_number, official.head
    official.mine(null_rounds=3)
    assert official.block_number == height + 4
    assert official.head.parent == height
    for null in range(height + 1, height + 4):
        with pytest.raises(UnknownBlock, match="is a null round"):
            official.block(null)
        assert official.chain.index.tipset_before(null) == parent
    assert official.machine.externs.tipset_cid(ChainEpoch(height + 2)) == parent.key


@pytest.mark.parametrize("counts", [(-1, 0), (1, -1)])
def test_negative_block_and_null_round_counts_are_refused(network: Network, counts: tuple[int, int]) -> None:
    head = network.head
    with pytest.raises(InvalidInput, match="expected a whole number, 0 to 10000000"):
        network.mine(counts[0], null_rounds=counts[1])
    assert network.mine(0) == network.head == head


def test_a_null_rounds_ticket_is_that_of_the_tipset_after_it(network: Network) -> None:
    height = network.block_number
    network.mine(null_rounds=2)
    externs = network.machine.externs
    tickets = {externs.chain_randomness(ChainEpoch(height + step)) for step in (1, 2, 3)}
    assert len(tickets) == 1
    assert externs.chain_randomness(ChainEpoch(height)) not in tickets
    beacons = {externs.beacon_randomness(ChainEpoch(height + step)) for step in range(4)}
    assert len(beacons) == 4


def test_the_future_and_the_time_before_genesis_have_no_answers(network: Network) -> None:
    externs, head = network.machine.externs, network.block_number
    with pytest.raises(ExternError, match=f"epoch {head + 1} is in the future"):
        externs.chain_randomness(ChainEpoch(head + 1))
    with pytest.raises(ExternError, match="no tipset at or before epoch -1"):
        externs.tipset_cid(ChainEpoch(-1))
    with pytest.raises(ExternError, match="the chain has no tipset yet"):
        ChainExterns().tipset_cid(ChainEpoch(0))


def test_an_index_with_holes_is_a_damaged_store(network: Network) -> None:
    receipt = network.send(network.accounts[1], 5)
    height = receipt.block_number.to_bytes(8, "big")
    index, flush = network.chain.index, network.machine.flush
    flush((), {b"x" + height + bytes(4): None})
    with pytest.raises(StoreCorrupt, match=f"no execution 0 of height {receipt.block_number}"):
        network.receipt(receipt.hash)
    flush((), {b"h" + height: NullRound(0, 9).encode()})
    with pytest.raises(StoreCorrupt, match=f"no tipset at height {receipt.block_number}"):
        index.tipset(receipt.block_number)
    flush((), {b"h" + height: None})
    with pytest.raises(StoreCorrupt, match=f"no entry for height {receipt.block_number}"):
        index.at(receipt.block_number)


class TestGoingBack:
    """Snapshots and reverts."""

    def test_revert_drops_state_receipts_and_blocks_of_other_branch(self, either: Network) -> None:
        counter = either.deploy(ARTIFACTS / "Counter.json")
        snapshot, head, root = either.snapshot(), either.head, either.machine.root
        gone = [counter.send("increment") for _ in range(3)]
        assert either.revert(snapshot)
        assert (either.head, either.machine.root, counter.call("number")) == (head, root, 0)
        for receipt in gone:
            with pytest.raises(UnknownTransaction):
                either.receipt(receipt.hash)
            assert either.chain.index.by_hash(receipt.tipset.hash) is None
        assert either.nonce(either.accounts[0]) == 1

    def test_chain_continues_on_new_branch_after_revert(self, network: Network) -> None:
        snapshot = network.snapshot()
        other = network.send(network.accounts[1], 5)
        network.mine(5)
        network.revert(snapshot)
        receipt = network.send(network.accounts[1], 6)
        assert receipt.block_number == other.block_number
        assert network.receipt(receipt.hash).execution.candidate.bare.value == 6
        assert network.block(receipt.block_number) == receipt.tipset
        assert network.chain.index.by_hash(other.tipset.hash) is None
        with pytest.raises(UnknownTransaction):
            network.receipt(other.hash)
        with pytest.raises(UnknownBlock):
            network.block(receipt.block_number + 1)

    def test_a_null_round_hides_the_block_that_was_there(self, network: Network) -> None:
        snapshot, height = network.snapshot(), network.block_number
        network.mine(3)
        hidden = network.block(height + 2)
        network.revert(snapshot)
        network.mine(null_rounds=2)
        with pytest.raises(UnknownBlock, match="null round"):
            network.block(height + 2)
        assert network.chain.index.by_hash(hidden.hash) is None

    def test_a_snapshot_is_used_up_with_those_after_it(self, network: Network) -> None:
        first, second = network.snapshot(), network.snapshot()
        assert network.revert(first)
        assert not network.revert(second)
        assert not network.revert(first)
        assert not network.revert(0)
        assert network.snapshot() not in (first, second)  # as in anvil and in EDR's tests of evm_revert

    def test_revert_undoes_manual_state_changes(self, network: Network) -> None:
        account = network.accounts[1]
        snapshot, before = network.snapshot(), network.balance(account)
        network.set_balance(account, 5)
        network.increase_time(1000)
        assert network.revert(snapshot)
        assert network.balance(account) == before
        network.mine()
        assert network.head.timestamp < START + 1000


class TestTime:
    """Block times by the clock and by hand."""

    def test_block_time_exceeds_parent_with_stopped_clock(self, network: Network) -> None:
        first = network.mine().timestamp
        assert network.mine().timestamp == first + 1

    def test_time_travel_moves_the_clock(self, network: Network) -> None:
        assert network.increase_time(3600) == 3600
        assert network.mine().timestamp == START + 3600
        assert network.increase_time(400) == 4000
        assert network.mine().timestamp == START + 4000
        with pytest.raises(InvalidInput, match="does not run backwards"):
            network.increase_time(-1)

    def test_time_increase_starts_from_head_ahead_of_clock(self, network: Network) -> None:
        # What waits for a delay since the head's time, as a timelock does, can be done after that delay.
        head = [network.mine() for _ in range(10)][-1]
        network.increase_time(3600)
        assert network.mine().timestamp >= head.timestamp + 3600

    def test_next_block_time_can_be_set_and_clock_continues_from_it(self, network: Network) -> None:
        network.set_next_timestamp(START + 99_999)
        assert network.mine().timestamp == START + 99_999
        assert network.mine().timestamp == START + 100_000
        with pytest.raises(InvalidInput, match="is not after the head's"):
            network.set_next_timestamp(START)

    def test_time_ends_with_the_year_9999(self, network: Network) -> None:
        with pytest.raises(InvalidInput, match="is after the year 9999"):
            network.increase_time(1 << 64)
        with pytest.raises(InvalidInput, match="is after the year 9999"):
            network.set_next_timestamp(253_402_300_800)
        network.set_next_timestamp(253_402_300_799)
        assert network.mine().timestamp == 253_402_300_799
        with pytest.raises(InvalidInput, match="timestamp 253402300800 is after the year 9999"):
            network.mine()

    def test_a_clock_that_steps_back_shifts_no_later_blocks(self) -> None:
        clock = Clock()
        with Network(clock=clock) as network:
            clock.now += 10
            assert network.mine().timestamp == START + 10
            clock.now -= 3600
            assert [network.mine().timestamp for _ in range(2)] == [START + 11, START + 12]
            clock.now += 3620
            assert network.mine().timestamp == START + 30

    def test_blocks_within_a_second_take_the_clocks_time_again(self) -> None:
        clock = Clock()
        with Network(clock=clock) as network:
            assert [network.mine().timestamp for _ in range(5)][-1] == START + 5
            clock.now += 60
            assert network.mine().timestamp == START + 60

    def test_snapshot_remembers_time_offset_from_head(self, network: Network) -> None:
        head = network.mine(10)
        network.increase_time(3600)
        snapshot = network.snapshot()
        assert network.mine().timestamp == head.timestamp + 3600
        assert network.revert(snapshot)
        assert network.mine().timestamp == head.timestamp + 3600

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 253_402_300_800.0])
    def test_a_clock_that_gives_no_time_is_refused(self, value: float) -> None:
        with pytest.raises(InvalidInput, match=r"the clock gives .*: expected Unix seconds from 0 to 253402300799"):
            Network(clock=lambda: value)
        clock = Clock()
        with Network(clock=clock) as network:
            clock.now = value
            with pytest.raises(InvalidInput, match="the clock gives"):
                network.mine()
            clock.now = START + 7
            assert network.mine().timestamp == START + 7

    def test_a_contract_sees_epoch_and_time_of_its_block(self, network: Network) -> None:
        # Init code that stores NUMBER and TIMESTAMP: 43 5f 55 42 60 01 55, and returns nothing.
        network.set_next_timestamp(START + 777)
        receipt = network.send(None, 0, bytes.fromhex("435f5542600155"))
        from localnet.state.controls import storage_of

        address = network.address(receipt.contract_address or b"")
        target = Address.delegated(10, address)
        assert int.from_bytes(storage_of(network.machine, target, 0), "big") == receipt.block_number
        assert int.from_bytes(storage_of(network.machine, target, 1), "big") == START + 777


class TestWaiting:
    """The mempool with manual mining."""

    def test_send_reports_pending_transaction(self, network: Network) -> None:
        network.automine = False
        with pytest.raises(UnknownTransaction, match="is pending"):
            network.send(network.accounts[1], 5)
        (waiting,) = network.mempool
        network.mine()
        assert network.receipt(waiting.hash).succeeded

    def test_a_gap_waits_until_it_is_filled(self, network: Network) -> None:
        late = network.submit(_transfer(network, 1))
        assert len(network.mempool) == 1
        first = network.submit(_transfer(network, 0))
        assert network.receipt(first).block_number + 1 == network.receipt(late).block_number

    def test_the_dearest_premium_goes_first(self, network: Network) -> None:
        network.automine = False
        cheap = network.submit(_transfer(network, 0, premium=100_000))
        dear = network.submit(_transfer(network, 0, premium=300_000, sender=2))
        network.mine()
        assert network.head.transactions == (dear, cheap)

    def test_a_replacement_pays_more_than_a_tenth_more(self, network: Network) -> None:
        network.automine = False
        first = network.submit(_transfer(network, 0, premium=100_000))
        with pytest.raises(TransactionRefused, match="already known"):
            network.submit(_transfer(network, 0, premium=100_000))
        with pytest.raises(TransactionRefused, match="underpriced: the premium must be at least 110001, not 110000"):
            network.submit(_transfer(network, 0, premium=110_000))
        second = network.submit(_transfer(network, 0, premium=110_001))
        network.mine()
        assert network.head.transactions == (second,)
        assert network.mempool.get(first) is None

    def test_a_block_takes_no_more_than_its_gas_limit(self, network: Network) -> None:
        network.automine = False
        for nonce in range(3):
            network.submit(_transfer(network, nonce, gas=4_000_000_000))
        network.mine()
        assert len(network.head.transactions) == 2
        network.mine()
        assert len(network.head.transactions) == 1

    def test_transaction_that_became_unaffordable_is_not_included(self, network: Network) -> None:
        network.automine = False
        most = 9_999 * 10**18
        first, second = (network.submit(_transfer(network, nonce, value=most)) for nonce in range(2))
        network.mine()
        assert network.head.transactions == (first,)
        assert network.mempool.get(second) is not None

    def test_unexecutable_pending_transaction_makes_no_block(self, network: Network) -> None:
        most = 9_999 * 10**18
        late = network.submit(_transfer(network, 1, value=most))
        first = network.submit(_transfer(network, 0, value=most))
        assert network.head.transactions == (first,)
        assert network.mempool.get(late) is not None

    def test_a_fee_cap_below_the_base_fee_stays_out(self, network: Network) -> None:
        from dataclasses import replace

        network.automine = False
        sent = network.submit(_transfer(network, 0))
        network.chain.head = replace(network.head, next_base_fee=TokenAmount(1_000_001))
        waiting = network.mempool.get(sent)
        assert waiting is not None
        assert network.chain.produce([waiting], network.head.timestamp + 1).transactions == ()

    @pytest.mark.slow
    def test_messages_with_bls_signatures_go_first(self, network: Network) -> None:
        from py_ecc.bls.ciphersuites import G2Basic

        network.automine = False
        other = network.submit(_transfer(network, 0, premium=300_000))
        key = Address(Protocol.BLS, bytes(G2Basic.SkToPk(7)))
        network.set_balance(key, 10**18)
        message = Message(network.accounts[1].native, key, gas_limit=Gas(5_000_000), gas_fee_cap=TokenAmount(10**6))
        signature = Signature(SignatureType.BLS, bytes(G2Basic.Sign(7, message.cid())))
        sent = network.submit_native(SignedMessage(message, signature))
        assert sent == message.cid()[-32:]
        network.mine()
        assert network.head.transactions == (sent, other)
        assert network.receipt(sent).succeeded
        assert network.machine.store.get(message.cid()) == message.to_cbor()
        assert network.trace(other).reproduced

    def test_so_many_may_wait_and_no_more(self, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("localnet.chain.mempool.MAX_PENDING", 2)
        network.automine = False
        for nonce in range(2):
            network.submit(_transfer(network, nonce))
        with pytest.raises(TransactionRefused, match="txpool is full"):
            network.submit(_transfer(network, 2))


def _transfer(
    network: Network, nonce: int, *, premium: int = 100_000, sender: int = 0, value: int = 1, gas: int = 5_000_000
) -> bytes:
    from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction

    receiver = network.accounts[9].address
    transaction = Transaction(DYNAMIC_FEE, network.chain_id, nonce, receiver, value, b"", gas, 1_000_000, premium)
    return network.accounts[sender].sign(transaction).raw()


def test_mid_tipset_failure_leaves_chain_unchanged(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    head, root = network.head, network.machine.root

    def broken(*_: object) -> None:
        raise RuntimeError("the machine broke")

    monkeypatch.setattr(type(network.chain.rules.blocks), "end_block", broken)
    with pytest.raises(RuntimeError, match="the machine broke"):
        network.send(network.accounts[1], 5, gas_limit=5_000_000)
    monkeypatch.undo()
    assert (network.head, network.machine.root) == (head, root)
    assert len(network.mempool) == 0
    assert network.machine.context.epoch == head.height
    assert network.send(network.accounts[1], 5).block_number == head.height + 1


def test_cron_that_fails_stops_the_tipset(official: Network) -> None:
    # On the network such a tipset is invalid: here it must not pass in silence.
    from dataclasses import replace

    from hypervisor.errors import Fatal

    tree = official.machine.state_tree
    cron = tree.get_actor(CRON_ACTOR)
    assert cron is not None
    mark = tree.begin()
    tree.set_actor(CRON_ACTOR, replace(cron, code=official.machine.manifest.code("storageminer")))
    try:
        with pytest.raises(Fatal, match="f03 exited with"):
            official.chain.next_block(
                official.machine, official.head, ChainEpoch(official.block_number + 2), START
            ).begin()
    finally:
        tree.rollback(mark)


class TestFolders:
    """A network's folder."""

    @pytest.mark.slow
    def test_reopened_network_restores_chain_and_state(self, tmp_path: Path) -> None:
        folder = tmp_path / "chain"
        with Network(folder, clock=Clock()) as network:
            counter = network.deploy(ARTIFACTS / "Counter.json")
            receipt = counter.send("increment")
            network.mine(null_rounds=2)
            network.set_balance(network.accounts[7], 77)
            expected = network.head, network.machine.root
        with Network(folder, clock=Clock()) as network:
            assert (network.head, network.machine.root) == expected
            assert network.machine.context.epoch == network.head.height
            assert network.receipt(receipt.hash) == receipt
            assert network.contract(counter.address, ARTIFACTS / "Counter.json").call("number") == 1
            assert network.balance(network.accounts[7]) == 77
            assert network.mine().height == expected[0].height + 1

    @pytest.mark.slow
    def test_reverted_blocks_stay_reverted_after_reopening(self, tmp_path: Path) -> None:
        with Network(tmp_path / "chain", clock=Clock()) as network:
            before, snapshot = network.head, network.snapshot()
            network.set_balance(network.accounts[7], 77)
            network.mine(3)
            network.revert(snapshot)
        with Network(tmp_path / "chain", clock=Clock()) as network:
            assert network.head == before
            assert network.head.state == network.machine.root

    @pytest.mark.slow
    def test_a_folder_of_another_network_version_is_refused(self, tmp_path: Path) -> None:
        Network(tmp_path / "chain", network=27).close()
        with pytest.raises(InvalidInput, match="has network version 27, not 28: omit the network version"):
            Network(tmp_path / "chain", network=28)
        for version in (None, 27):
            with Network(tmp_path / "chain", network=version) as network:
                assert network.machine.context.network.number == 27

    @pytest.mark.slow
    def test_a_folder_that_was_left_before_its_first_tipset_gets_it(self, tmp_path: Path) -> None:
        # A process may be killed between the genesis state and the first tipset.
        from hypervisor import Hypervisor
        from localnet.accounts import accounts
        from localnet.ledger.genesis import DEFAULT_BALANCE, network_genesis

        Hypervisor.open(tmp_path / "chain", genesis=network_genesis(accounts(), DEFAULT_BALANCE)[0]).close()
        with Network(tmp_path / "chain") as network:
            assert network.block_number == 0
            assert network.send(network.accounts[1], 1).succeeded

    def test_the_same_messages_make_the_same_chain(self) -> None:
        def run() -> bytes:
            with Network(clock=Clock()) as network:
                network.deploy(ARTIFACTS / "Counter.json").send("increment")
                network.mine(null_rounds=1)
                return network.head.hash

        assert run() == run()
