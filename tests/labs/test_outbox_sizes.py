"""An outbox with a million entries: posting and delivering cost the documented amounts (lab `async`)."""

import time

import pytest

from fvm_hypervisor.laboratory.profiles import outbox
from fvm_hypervisor.laboratory.profiles.outbox import OUTBOX, POST, deliver, handling_gas, post_params
from hypervisor.machine.machine import Hypervisor
from hypervisor.messages.address import Address
from hypervisor.messages.message import Message
from hypervisor.types import METHOD_SEND, ChainEpoch, TokenAmount
from localnet import Network
from store.cid import DAG_CBOR, cid_of
from store.codec import encode, link
from store.trees.amt import Amt
from tests.labs.test_outbox import Spent

MILLION = 1_000_000
PRICE = 100


def filled(machine: Hypervisor, sender: Address, count: int) -> None:
    """Add N equal entries to the outbox with their funds, as after as many posts."""
    poster = machine.state_tree.lookup_id(sender)
    state = machine.state_tree.get_actor(OUTBOX)
    assert poster is not None
    assert state is not None
    entry = outbox.OutboxEntry(
        outbox.MESSAGE, poster, sender.to_bytes(), METHOD_SEND, b"", 0, MILLION, PRICE,
        machine.context.epoch, machine.context.epoch + 50_000, 9, MILLION,
    )  # fmt: skip
    block = entry.encode()
    cid = cid_of(block, DAG_CBOR)
    machine.store.put(cid, block)
    queue = Amt(machine.store)
    for number in range(1, count + 1):
        queue.set(number, link(cid))
    head = encode([count + 1, 1, link(queue.flush())])
    machine.store.put(cid_of(head, DAG_CBOR), head)
    full = state.with_head(cid_of(head, DAG_CBOR)).with_balance(TokenAmount(count * entry.escrow))
    machine.state_tree.set_actor(OUTBOX, full)


@pytest.mark.oracle
def test_a_million_messages_hold_up_no_epoch() -> None:
    with Network(rules="lab:async") as network:
        network.mine()
        machine, alice = network.machine, network.accounts[0].native
        machine.advance(base_fee=TokenAmount(PRICE))
        filled(machine, alice, MILLION)
        params = post_params(alice, METHOD_SEND, gas=MILLION, expiry=machine.context.epoch + 9)
        post = Message(Address.id(OUTBOX), alice, value=TokenAmount(10**15), method=POST, params=params)
        posted = machine.apply_implicit(post)
        assert posted.exit_code == 0
        assert posted.gas_used < 11_000_000
        machine.advance(epoch=ChainEpoch(machine.context.epoch + 1))
        started = time.process_time()
        machine.tracer = spent = Spent()
        deliver(machine)
        assert time.process_time() - started < 5
        assert 0 < sum(spent.most.values()) < handling_gas(0), spent.most
