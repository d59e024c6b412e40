"""The mempool: selection of pending messages for a block."""

import time
from contextlib import nullcontext
from dataclasses import replace
from random import Random

import pytest

from bridge.ethereum.addresses import EthAddress, masked_id
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message, Signature, SignatureType, SignedMessage
from hypervisor.types import ActorID, Gas, TokenAmount
from localnet import Network, TransactionRefused
from localnet.chain.mempool import Mempool
from localnet.ledger.candidates import IMPERSONATED, Candidate
from tests.conftest import bundle_file, with_data
from tests.localnet.conftest import Clock
from tests.runtimes.evm.assembler import assemble, deployer


def candidate(sender: int, nonce: int, premium: int, limit: int = 10, cap: int = 100) -> Candidate:
    message = Message(
        Address.id(ActorID(1)), Address.id(ActorID(sender)), nonce, gas_limit=Gas(limit),
        gas_fee_cap=TokenAmount(cap), gas_premium=TokenAmount(premium),
    )  # fmt: skip
    signed = SignedMessage(message, Signature(SignatureType.DELEGATED, b""))
    name = sender.to_bytes(16, "big") + nonce.to_bytes(16, "big")
    return Candidate(name, IMPERSONATED, signed, EthAddress(bytes(20)), None)


def plainly(mempool: Mempool, base_fee: int, room: int) -> list[Candidate]:
    """Select repeatedly the highest-paying of the senders' next messages; on a tie, the first one (as geth 1.17.10)."""
    came = {one.hash: place for place, one in enumerate(mempool)}
    queues: dict[Address, list[Candidate]] = {}
    for one in mempool:
        queues.setdefault(one.bare.from_, []).append(one)
    for queue in queues.values():
        queue.sort(key=lambda one: one.bare.nonce)
    chosen: list[Candidate] = []
    while heads := [queue for queue in queues.values() if queue and queue[0].bare.gas_fee_cap >= base_fee]:
        if mempool.first_come:
            queue = min(heads, key=lambda queue: came[queue[0].hash])
        else:
            tips = {one.hash: min(one.bare.gas_premium, one.bare.gas_fee_cap - base_fee) for one in mempool}
            queue = min(heads, key=lambda queue: (-tips[queue[0].hash], came[queue[0].hash]))
        one = queue.pop(0)
        if one.bare.gas_limit > room:
            queue.clear()
            continue
        room -= one.bare.gas_limit
        chosen.append(one)
    return chosen


def test_block_takes_highest_paying_executable_transactions() -> None:
    random = Random(5)
    for _ in range(200):
        mempool = Mempool()
        mempool.first_come = random.random() < 0.5
        waiting = [(sender, nonce) for sender in range(6) for nonce in range(random.randrange(5))]
        random.shuffle(waiting)
        for sender, nonce in waiting:
            fees = random.randrange(4), random.choice((5, 10, 40)), random.choice((50, 61, 100))
            mempool.add(candidate(sender, nonce, *fees), 0)
        room = random.randrange(20, 300)
        assert mempool.select(lambda _: 0, 60, room) == plainly(mempool, 60, room)


def test_executed_transactions_leave_the_mempool() -> None:
    """A block may have executed transactions that this mempool never had."""
    mempool = Mempool()
    first, second, other = candidate(1, 0, 5), candidate(1, 1, 5), candidate(2, 0, 5)
    for one in (first, second, other):
        mempool.add(one, 0)
    mempool.drop_executed([first.hash, candidate(3, 0, 5).hash])
    assert [*mempool] == [second, other]
    assert mempool.pending_nonce(first.bare.from_, 0) == 0
    assert mempool.ready_of(first.bare.from_, 1) == [second]
    mempool.drop_executed([second.hash, other.hash])
    assert [*mempool] == []


@pytest.mark.slow
def test_many_senders_cost_no_more_than_many_messages() -> None:
    """A scan of all senders for each message took 11 seconds."""
    mempool = Mempool()
    for sender in range(5_000):
        mempool.add(candidate(sender, 0, sender), 0)
    start = time.process_time()
    assert len(mempool.select(lambda _: 0, 60, 10**9)) == 5_000
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("cap", "premium", "takes"),
    [
        (1100, 110, "geth"),
        (1099, 110, ""),
        (1100, 109, ""),
        (500, 200, "lotus"),
        (1000, 111, "lotus"),
        (1100, 111, "both"),
    ],
)
def test_replacement_raises_both_fees_in_geth_and_the_premium_in_lotus(cap: int, premium: int, takes: str) -> None:
    """Measured on geth 1.17.10; for Lotus, chain/messagepool/messagepool.go `ComputeRBF`."""
    for node, mempool in (("geth", Mempool(is_geth=True)), ("lotus", Mempool())):
        mempool.add(candidate(1, 0, 100, cap=1000), 0)
        other = replace(candidate(1, 0, premium, cap=cap), hash=bytes(32))
        with nullcontext() if takes in (node, "both") else pytest.raises(TransactionRefused, match="underpriced"):
            mempool.add(other, 0)


def test_unpayable_transaction_is_refused_or_leaves_the_pool() -> None:
    """Measured on geth 1.17.10, whose refusal says `overshot`."""
    with Network(rules="ethereum", clock=Clock()) as network:
        sender, receiver = network.accounts[0], network.accounts[1]
        network.automine = False
        value = network.balance(sender) * 2 // 3
        first = Transaction(DYNAMIC_FEE, network.chain_id, 0, receiver.address, value, b"", 21_000, 10**10, 10**9)
        network.submit(sender.sign(first).raw())
        with pytest.raises(TransactionRefused, match=r"insufficient funds .* and 1 pending ones may cost"):
            network.submit(sender.sign(replace(first, nonce=1)).raw())
        network.submit(sender.sign(replace(first, max_fee=2 * 10**10, max_priority_fee=2 * 10**9)).raw())
        network.set_balance(sender, value)
        network.mine()
        assert network.nonce(sender) == 0
        assert network.mempool.is_empty()


def test_batch_reports_the_transaction_that_an_earlier_one_makes_unpayable() -> None:
    with Network(rules="ethereum", clock=Clock()) as network:
        sender, receiver = network.accounts[0], network.accounts[1]
        value = network.balance(sender) * 2 // 3
        raws = [
            sender.sign(
                Transaction(DYNAMIC_FEE, network.chain_id, nonce, receiver.address, value, b"", 21_000, 10**10, 10**9)
            ).raw()
            for nonce in range(2)
        ]
        first, second = network.submit_together(raws)
        assert isinstance(first, bytes)
        assert "insufficient funds" in str(second)
        assert network.mempool.is_empty()


PAY = deployer(assemble("0 0 0 0 CALLVALUE 0 CALLDATALOAD GAS CALL 0 MSTORE RETURNDATASIZE 32 MSTORE 64 0 RETURN"))
"""Code that sends the value to the address in the first word; returns CALL's result and the return data size."""


@pytest.mark.parametrize(
    ("rules", "evm"),
    [
        *(("filecoin", evm) for evm in ("fast", "py-evm", *with_data("official"))),
        ("ethereum", "fast"),
        ("ethereum", "py-evm"),
    ],
)
def test_payment_to_missing_actor_succeeds_but_value_stays(rules: str, evm: str) -> None:
    """It holds under both rules, since tests under Ethereum's rules must not expect a revert that the network lacks."""
    bundle = bundle_file("bundles/v18-devnet.car") if evm == "official" else None
    with Network(bundle=bundle, evm=evm, rules=rules, clock=Clock()) as network:
        payer = network.send(None, 0, PAY).contract_address
        assert payer is not None
        nobody, somebody = (bytes(12) + masked_id(number) for number in (99_999, 100))
        held = network.balance("f0100")
        for value in (0, 7):
            assert network.call(payer, nobody, value=value) == (1).to_bytes(32, "big") + bytes(32)
        assert network.send(payer, 7, nobody, sender=network.accounts[1]).succeeded
        assert network.balance(payer) == 7
        assert network.send(payer, 5, somebody, sender=network.accounts[1]).succeeded
        assert (network.balance(payer), network.balance("f0100")) == (7, held + 5)
