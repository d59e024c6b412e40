"""Block producers and rewards."""

import signal
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from hypervisor.bundles.genesis import REWARD_FUNDS
from hypervisor.errors import InvalidInput
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, Receipt, Signature, SignatureType, SignedMessage
from hypervisor.types import BURNT_FUNDS_ACTOR, REWARD_ACTOR, ChainEpoch, Gas, MethodNumber, TokenAmount
from hypervisor.versions.network_versions import NV27, NV28, NV29, BaseFee
from localnet import Account, Network
from localnet.chain.mempool import Mempool
from localnet.chain.supply import Supply, supply_of
from localnet.ledger.blocks import NO_PRODUCER, BlockHeader, block_hash, put_messages, put_receipts, tipset_key
from localnet.replay import sources
from localnet.replay.sources import read_past_tipset
from localnet.replay.tipset_execution import MAX_NULL_ROUNDS, null_epochs
from localnet.rules.facts import by_premium, next_base_fee, percentile_premium
from store.blocks.memory import MemoryStore
from store.blockstore import get_object, put_object
from store.cid import Cid, cid_of, parse_cid, show
from store.codec import link, unlink
from store.trees.amt import Amt
from tests.conftest import data_file, kinds
from tests.localnet.conftest import ARTIFACTS, BUNDLE, Clock
from tests.patience import ENDLESS, alarm_clock
from tests.runtimes.evm.assembler import assemble


@pytest.mark.slow
def test_only_a_miner_produces_blocks_and_it_is_paid(tmp_path: Path) -> None:
    with Network(tmp_path, clock=Clock()) as network:
        counter = network.deploy(ARTIFACTS / "Counter.json")
        for other in (counter.address, network.accounts[0].native, Address.id(1)):
            with pytest.raises(InvalidInput, match="only a storage miner produces blocks"):
                network.set_producer(other)
        miner = network.create_miner(sectors=1)
        network.set_producer(miner.address)
        before = network.balance(miner.address)
        network.mine()
        # A fifth of the epoch's reward of about 36 FIL for one win (actors.md 6).
        assert 7 * 10**18 < network.balance(miner.address) - before < 8 * 10**18
    with Network(tmp_path, clock=Clock()) as network:
        assert network.producer == miner.address
        network.set_producer(NO_PRODUCER)
        before = network.balance(miner.address)
        network.mine()
        assert network.balance(miner.address) == before


def test_producer_is_named_by_miner_address_or_actor_id() -> None:
    with Network(clock=Clock()) as network:
        miner = network.create_miner(sectors=0)
        for named in (miner, miner.address, miner.id, str(miner.address)):
            network.set_producer(NO_PRODUCER)
            network.set_producer(named)
            assert network.producer == miner.address
        for wrong, words in ((5, "only a storage miner produces blocks"), (True, "cannot be"), (-1, "cannot be")):
            with pytest.raises(InvalidInput, match=words):
                network.set_producer(wrong)


@pytest.mark.parametrize("kind", kinds())
def test_producer_gets_fifth_of_epoch_reward_and_all_tips(kind: str) -> None:
    with Network(bundle=None if kind == "own" else data_file(BUNDLE), clock=Clock()) as network:
        miner = network.create_miner(sectors=0)
        network.set_producer(miner.address)
        network.mine()
        reward = network.machine.state_tree.get_actor(REWARD_ACTOR)
        assert reward is not None
        of_the_epoch = int.from_bytes(get_object(network.machine.store, reward.head)[4][1:], "big")
        before = network.balance(miner.address)
        network.send_native(network.accounts[1].native, value=1, gas_limit=10_000_000)
        # By hand, actors.md 6: five blocks are expected of an epoch; the tip is gas limit times premium.
        assert network.balance(miner.address) - before == of_the_epoch // 5 + 10_000_000 * network.rules.fees.premium


def test_snapshot_restores_next_block_producer() -> None:
    with Network(clock=Clock()) as network:
        miner = network.create_miner(sectors=0)
        network.set_producer(miner.address)
        snapshot = network.snapshot()
        network.set_producer(NO_PRODUCER)
        network.mine()
        assert network.revert(snapshot)
        assert network.producer == miner.address


def test_loading_state_resets_block_producer() -> None:
    """The miner's ID may belong to a user's actor in that state, which must not take part in the system's messages."""
    with Network(clock=Clock()) as other, Network(clock=Clock()) as network:
        miner = network.create_miner(sectors=0)
        network.set_producer(miner.address)
        network.mine()
        network.load_state(other.dump_state())
        assert network.producer == NO_PRODUCER


class Rung(BaseException):
    """Exception raised by the alarm, like KeyboardInterrupt, at any instruction of the main thread."""


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
def test_interrupt_mid_block_leaves_chain_unchanged(evm: str) -> None:
    def ring(_signal: int, _frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise Rung

    code = ENDLESS + b"\xfe"  # unlike that of other tests, so that its block takes 30 ms: no compiled region exists yet
    init_code = bytes((0x60, len(code), 0x80, 0x60, 9, 0x3D, 0x39, 0x3D, 0xF3)) + code
    with Network(clock=Clock(), evm=evm) as network:
        contract = network.send(None, 0, init_code).contract_address
        network.automine = False
        sender = network.accounts[0]
        network.submit(sender.sign(transfer(network, network.accounts[1].address, 10**9)).raw())
        network.submit(sender.sign(transfer(network, contract, 9 * 10**9)).raw())
        head, root = network.head, network.machine.root
        with alarm_clock(ring), pytest.raises(Rung):  # noqa: PT012  # the alarm rings in the second statement
            # The alarm repeats: a signal just before the main thread starts to wait for the execution does not end that
            # wait.
            signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
            network.mine()
        assert (network.head, network.machine.root) == (head, root)
        network.mempool = Mempool()
        network.automine = True
        assert network.send(network.accounts[1].address, 1).block_number == head.height + 1


def transfer(network: Network, to: EthAddress | None, gas: int) -> Transaction:
    """Return the next transaction of the first account."""
    fee = 2 * network.base_fee + network.rules.fees.premium
    nonce = network.pending_nonce(network.accounts[0].delegated)
    return Transaction(DYNAMIC_FEE, network.chain_id, nonce, to, 1, b"", gas, fee, network.rules.fees.premium)


@pytest.mark.parametrize("rules", ["filecoin", "ethereum"])
def test_tx_of_sender_turned_contract_mines_no_endless_blocks(rules: str) -> None:
    with Network(rules=rules) as network:
        sender, other, to = network.accounts[:3]
        network.send(to, 1, sender=sender)
        network.automine = False
        stuck = network.submit(_raw(network, sender, to))
        network.set_code(sender, assemble("STOP"))
        network.automine = True
        before = network.block_number
        with alarm_clock(_without_end):
            signal.setitimer(signal.ITIMER_REAL, 60)
            (taken,) = network.submit_together([_raw(network, other, to)])
        assert isinstance(taken, bytes)
        assert network.receipt(taken).succeeded
        assert network.block_number == before + 1
        assert network.find_receipt(stuck) is None


def test_block_leaves_transactions_in_pool_whose_turn_has_not_come() -> None:
    """Source: go-ethereum miner/worker.go, commitTransactions, which skips a transaction that it cannot apply."""
    with Network(rules="ethereum") as network:
        network.automine = False
        poor, rich = network.accounts[:2]
        fee = TokenAmount(10**10)
        sent = [
            network.submit(
                account.sign(Transaction(2, network.chain_id, nonce, rich.address, value, b"", 21_000, fee, 1)).raw()
            )
            for account, nonce, value in ((poor, 0, 0), (rich, 1, 0), (rich, 0, 0))
        ]
        network.set_balance(poor.address, TokenAmount(1))
        waiting = [found for found in map(network.mempool.get, sent) if found is not None]
        tipset = network.chain.produce(waiting, network.head.timestamp + 1)
        assert network.chain.building is not None
        assert (tipset.transactions, network.chain.building.refused) == ((sent[2],), [])
        assert network.chain.produce(waiting, network.head.timestamp + 1).transactions == (sent[1],)


def test_no_block_is_made_for_a_message_that_its_predecessor_leaves_without_funds() -> None:
    with Network() as network:
        sender, to = network.accounts[:2]
        part = network.balance(sender.address) * 2 // 3
        network.automine = False
        first = network.submit(_raw(network, sender, to, value=part))
        network.automine = True
        second = network.submit(_raw(network, sender, to, value=part))
        assert (network.block_number, network.head.transactions) == (1, (first,))
        assert network.find_receipt(second) is None


@pytest.mark.parametrize("automine", [False, True])
def test_zero_fee_transaction_of_key_without_state_is_mined_at_base_fee_zero(automine: bool) -> None:
    """Source: go-ethereum core/state_transition.go, preCheck: a missing account has nonce 0 and balance 0."""
    with Network(rules="ethereum") as network:
        network.automine = automine
        network.set_next_base_fee(TokenAmount(0))
        free = Transaction(2, network.chain_id, 0, network.accounts[0].address, 0, b"", 21_000, 0, 0)
        sent = network.submit(Account.from_key(b"\x11" * 32).sign(free).raw())
        assert (network.find_receipt(sent) is not None) == automine
        network.mine()
        assert network.find_receipt(sent) is not None


def test_oversized_pending_transaction_is_dropped_with_warning(caplog: pytest.LogCaptureFixture) -> None:
    with Network(rules="ethereum") as network:
        sender, other, to = network.accounts[:3]
        network.automine = False
        large = network.submit(_raw(network, sender, to, gas=10_000_000))
        network.set_block_gas_limit(1_000_000)
        network.automine = True
        small = network.submit(_raw(network, other, to, gas=21_000))
        assert network.receipt(small).succeeded
        with caplog.at_level("WARNING"):
            network.submit(_raw(network, sender, to, gas=21_000))
        assert f"transaction 0x{large.hex()} is dropped: exceeds block gas limit" in caplog.text
        assert network.waiting(large) is None


def _without_end(_: int, __: FrameType | None) -> None:
    raise TimeoutError("blocks without end")


def _raw(network: Network, sender: Account, to: Account, gas: int = 10_000_000, value: int = 0) -> bytes:
    """Return the sender's next transaction."""
    nonce = network.pending_nonce(sender.delegated)
    transaction = Transaction(DYNAMIC_FEE, network.chain_id, nonce, to.address, value, b"", gas, 10**11, 10**5)
    return sender.sign(transaction).raw()


def test_the_empty_list_is_the_one_that_every_lotus_genesis_has() -> None:
    # CBOR [0, 0, [h'00', [], []]]: the older AMT's root does not name its width.
    store = MemoryStore()
    root = put_receipts(store, [])
    assert store.get(root).hex() == "830000834100" + "80" + "80"
    assert show(root) == "bafy2bzacedswlcz5ddgqnyo3sak3jmhmkxashisnlpq6ujgyhe4mlobzpnhs6"


def test_a_list_holds_its_values_eight_to_a_node() -> None:
    store = MemoryStore()
    receipts = [Receipt(0, b"", Gas(number)) for number in range(9)]
    height, count, (bitmap, links, values) = get_object(store, put_receipts(store, receipts))
    assert (height, count, bitmap, values) == (1, 9, b"\x03", [])
    first = get_object(store, unlink(links[0]))
    assert first == [b"\xff", [], [[0, b"", number, None] for number in range(8)]]


def test_a_blocks_messages_are_two_lists() -> None:
    store = MemoryStore()
    message = Message(Address.id(1), Address.id(2))
    bare = SignedMessage(message, Signature(SignatureType.BLS, bytes(96)))
    signed = SignedMessage(message, Signature(SignatureType.SECP256K1, bytes(65)))
    lists = get_object(store, put_messages(store, [signed, bare]))
    of_bls, of_others = (unlink(get_object(store, unlink(found))[2][2][0]) for found in lists)
    # Of a message with a BLS signature the chain holds the message, whose CID the network knows it by.
    assert (of_bls, of_others) == (message.cid(), signed.cid())
    assert store.get(of_bls) == message.to_cbor()
    assert store.get(of_others) == signed.to_cbor()
    assert get_object(store, put_messages(store, [])) == [link(put_receipts(store, []))] * 2


def test_a_header_is_a_tuple_of_sixteen() -> None:
    parent, root = cid_of(b"parent"), cid_of(b"root")
    header = BlockHeader(NO_PRODUCER, ChainEpoch(7), (parent,), root, root, root, 1_700_000_000, TokenAmount(100))
    fields = get_object(store := MemoryStore(), header.put(store))
    assert len(fields) == 16
    miner, ticket, election, beacon, proofs, parents, weight, height, *_ = fields
    assert (miner, election, proofs, height, weight) == (b"\x00\x00", [1, b""], [], 7, b"\x00\x07")
    assert [unlink(cid) for cid in parents] == [parent]
    assert len(ticket[0]) == 32
    assert beacon[0][0] == 7
    assert fields[12] == 1_700_000_000
    assert fields[15] == b"\x00\x64"


def test_tipset_key_is_cid_of_block_cids_as_byte_string() -> None:
    blocks = [cid_of(b"one"), cid_of(b"two")]
    key = tipset_key(blocks)
    assert key == cid_of(b"\x58\x4c" + blocks[0] + blocks[1])
    assert block_hash(key) == parse_cid(show(key))[-32:]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 64, 65])
def test_a_list_is_the_array_of_its_values_without_the_width(count: int) -> None:
    receipts = [Receipt(0, bytes([number]), Gas(number)) for number in range(count)]
    store = MemoryStore()
    width, *root = get_object(store, Amt.from_values(store, [receipt.fields() for receipt in receipts]).flush())
    assert width == 3
    assert put_receipts(MemoryStore(), receipts) == put_object(store, root)


def test_epochs_between_tipset_and_parent_are_null_rounds() -> None:
    assert list(null_epochs(7, 10)) == [8, 9]
    assert list(null_epochs(7, 8)) == []
    assert len(list(null_epochs(0, MAX_NULL_ROUNDS + 1))) == MAX_NULL_ROUNDS


@pytest.mark.parametrize(
    ("height", "words"),
    [
        ((1 << 63) - 1, "null rounds lie before epoch 9,223|null rounds lie before epoch 9223372036854775807"),
        (MAX_NULL_ROUNDS + 9, "100,001 null rounds lie before epoch 100009, at most 100,000 are executed"),
        (7, "the tipset of epoch 7 has a parent at epoch 7: expected an earlier one"),
    ],
)
def test_header_of_invalid_height_is_refused_with_message(
    height: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {b"child": SimpleNamespace(height=height, parents=b"parent"), b"parent": SimpleNamespace(height=7)}
    monkeypatch.setattr(sources, "read_tipset", lambda _store, cids: found[cids])
    source: Any = SimpleNamespace(store=None, version_at=lambda _headers: 29, null_time=lambda _parent, _epoch: 0)
    with pytest.raises(InvalidInput, match=words):
        read_past_tipset(source, b"child")  # type: ignore[arg-type]  # a stand-in


LIMIT = 10_000_000_000


def offer(gas_limit: int, fee_cap: int = 0, premium: int = 0) -> Message:
    fees = TokenAmount(fee_cap), TokenAmount(premium)
    return Message(Address.id(1), Address.id(2), 0, TokenAmount(0), MethodNumber(0), b"", Gas(gas_limit), *fees)


@pytest.mark.parametrize(
    ("premiums", "expected"),
    [
        ([(123, 5_999_999_999), (100, 2_000_000_000)], 0),
        ([(123, 5_999_999_999), (100, 2_000_000_001)], 100),
        ([(123, 7_999_999_999), (100, 2_000_000_001)], 100),
        ([(123, 8_000_000_000), (100, 2_000_000_000)], 123),
        ([], 0),
    ],
)
def test_percentile_premium_is_met_by_80_percent_of_block_gas(premiums: list[tuple[int, int]], expected: int) -> None:
    assert percentile_premium(premiums) == expected
    assert percentile_premium(premiums[::-1]) == expected


@pytest.mark.parametrize(
    ("fee", "premium", "expected"),
    [
        (100, 13, 100), (100, 14, 101), (100, 26, 113), (801, 0, 700), (801, 100, 800), (801, 201, 901),
        (808, 0, 707), (808, 203, 909),
    ],
)  # fmt: skip
def test_the_next_base_fee_by_premium(fee: int, premium: int, expected: int) -> None:
    assert by_premium(fee, premium) == expected


def test_a_premium_counts_as_far_as_the_fee_cap_allows() -> None:
    for fee_cap, premium in ((110, 10), (50, 0)):
        assert next_base_fee(BaseFee.PREMIUM, 100, [offer(8_000_000_000, fee_cap, 1_000)]) == by_premium(100, premium)


@pytest.mark.parametrize(
    # Cases of lotus chain/store/basefee_test.go: base fee, gas limits used, blocks, next base fee.
    ("fee", "used", "blocks", "expected"),
    [
        (100_000_000, 0, 1, 87_500_000),
        (100_000_000, 0, 5, 87_500_000),
        (100_000_000, LIMIT // 2, 1, 100_000_000),
        (100_000_000, LIMIT, 2, 100_000_000),
        (100_000_000, LIMIT * 2, 2, 112_500_000),
        (100_000_000, LIMIT * 15 // 10, 2, 106_250_000),
    ],
)
def test_base_fee_before_nv28_follows_block_fullness(fee: int, used: int, blocks: int, expected: int) -> None:
    assert next_base_fee(BaseFee.FULLNESS, fee, [offer(used)], blocks) == expected


def test_the_fee_never_falls_below_the_minimum() -> None:
    assert next_base_fee(BaseFee.FULLNESS, 100, []) == 100
    assert next_base_fee(BaseFee.PREMIUM, 100, []) == 100


def test_the_rule_changes_with_network_version_28() -> None:
    """FIP-0115 is part of network version 28."""
    assert [row.base_fee for row in (NV27, NV28, NV29)] == [BaseFee.FULLNESS, BaseFee.PREMIUM, BaseFee.PREMIUM]


FIL = 10**18
FUNDS = TokenAmount(200_000 * FIL)


def _supply(machine: Hypervisor) -> int:
    """Return the circulating supply that an actor would read, in attoFIL."""
    supply = machine.context.circulating_supply
    return supply() if callable(supply) else supply


@pytest.mark.parametrize("kind", kinds())
def test_supply_counts_rewards_burnt_fees_and_pledges(kind: str) -> None:
    with Network(bundle=None if kind == "own" else data_file(BUNDLE), clock=Clock()) as network:
        assert _supply(network.machine) == FUNDS
        network.mine(3)
        supply = supply_of(network.machine.state_tree, FUNDS)
        # Rewards of blocks without a producer are burnt. These blocks have no tips.
        assert supply.mined == supply.burnt == REWARD_FUNDS - network.balance(Address.id(REWARD_ACTOR))
        assert (3 * 7 * FIL < supply.mined < 3 * 8 * FIL, supply.circulating) == (True, FUNDS)
        miner = network.create_miner(sectors=1 if kind == "own" else 0)
        network.set_producer(miner.address)
        network.mine(2)
        supply = supply_of(network.machine.state_tree, FUNDS)
        state = get_object(network.machine.store, _head(network, miner.address))
        deposit = int.from_bytes(state[2][1:], "big")
        assert supply.locked == miner.pledge() + deposit > 7 * FIL  # of two rewards three quarters are locked
        assert supply.burnt == network.balance(Address.id(BURNT_FUNDS_ACTOR))
        assert supply.disbursed == 0
        assert supply.circulating == FUNDS + supply.mined - supply.burnt - supply.locked


def test_supply_is_constant_within_an_epoch() -> None:
    with Network(clock=Clock()) as network:
        network.send(network.accounts[1], 5)
        before = supply_of(network.machine.state_tree, FUNDS).circulating
        assert _supply(network.machine) < FUNDS  # the gas is burnt
        network.mine()
        assert _supply(network.chain.machine_before(network.head)) == before


def test_reverted_chain_has_the_earlier_supply() -> None:
    with Network(clock=Clock()) as network:
        network.send(network.accounts[1], 5)
        snapshot, before = network.snapshot(), supply_of(network.machine.state_tree, FUNDS).circulating
        network.send(network.accounts[1], 5)
        after = _supply(network.machine)
        assert network.revert(snapshot)
        assert _supply(network.machine) == before > after


def test_circulating_supply_is_never_negative() -> None:
    parts = [TokenAmount(number) for number in (1, 2, 3, 4, 5)]
    assert Supply(*parts).circulating == 0


def _head(network: Network, address: Address) -> Cid:
    actor = network.machine.actor(address)
    assert actor is not None
    return actor.head
