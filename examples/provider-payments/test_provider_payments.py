"""A contract that pays a storage provider per epoch, on anyone's call, and refunds the remainder to the client."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.ethereum.addresses import checksummed
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import invoke_params
from examples.conftest import Refused, actor_id
from localnet import Contract, Miner, Network

HERE = Path(__file__).parent
FIL = 10**18


@pytest.fixture(scope="module")
def miner(chain: Network) -> Miner:
    return chain.create_miner(sectors=0)


@pytest.fixture
def payments(network: Network, miner: Miner) -> Contract:
    return network.deploy(HERE / "ProviderPayments.json")


@pytest.mark.slow
def test_provider_is_paid_rate_per_epoch(network: Network, payments: Contract, miner: Miner) -> None:
    opened = payments.send("open", miner.id, FIL, value=100 * FIL)
    before = network.balance(miner.address)
    network.mine(9)
    paid = payments.send("pay", 0, sender=network.accounts[5])  # a stranger
    epochs = paid.block_number - opened.block_number
    assert epochs == 10
    assert network.balance(miner.address) - before == epochs * FIL
    assert network.balance(payments) == 90 * FIL
    assert payments.call("due", 0) <= FIL
    (event,) = payments.events(paid)
    assert (event.event, event.arguments["amount"]) == ("Paid", 10 * FIL)


@pytest.mark.slow
def test_the_money_runs_out_and_no_more_is_owed(network: Network, payments: Contract, miner: Miner) -> None:
    payments.send("open", miner.id, FIL, value=3 * FIL)
    network.mine(50)
    before = network.balance(miner.address)
    payments.send("pay", 0)
    assert network.balance(miner.address) - before == 3 * FIL
    network.mine(5)
    assert payments.call("due", 0) == 0


def test_the_client_leaves_with_the_rest(network: Network, payments: Contract, miner: Miner) -> None:
    client = network.accounts[2]
    payments.send("open", miner.id, FIL, value=100 * FIL, sender=client)
    network.mine()  # the next block's gas is estimated at this one: without anything due it would not suffice
    miner_before, client_before = network.balance(miner.address), network.balance(client)
    closed = payments.send("close", 0, sender=client)
    due = network.balance(miner.address) - miner_before
    assert due == 2 * FIL
    assert network.balance(client) - client_before == 100 * FIL - due - closed.execution.paid
    assert network.balance(payments) == 0


def test_a_native_account_can_be_the_client(network: Network, payments: Contract, miner: Miner) -> None:
    native = network.accounts[3]
    call = payments.interface.encode_call("open", miner.id, FIL)
    network.send_native(payments.address, INVOKE_EVM, invoke_params(call), value=10 * FIL, sender=native)
    leave = payments.interface.encode_call("close", 0)
    before = network.balance(native.native)
    receipt = network.send_native(payments.address, INVOKE_EVM, invoke_params(leave), sender=native)
    assert network.balance(native.native) == before + 9 * FIL - receipt.execution.paid


def test_only_client_can_close_plan(network: Network, payments: Contract, miner: Miner, refused: Refused) -> None:
    payments.send("open", miner.id, FIL, value=100 * FIL)
    thief = network.accounts[4]
    refusal = refused(payments, "close", 0, sender=thief)
    assert refusal.reason == f"NotTheClient({checksummed(thief.address)})"
    payments.send("close", 0)
    assert refused(payments, "close", 0).reason.startswith("NotTheClient")  # nobody is the client of a closed plan


def test_only_miners_are_paid(network: Network, payments: Contract, refused: Refused) -> None:
    account = actor_id(network, network.accounts[1].native)
    for stranger in (account, 99, 999_999):
        refusal = refused(payments, "open", stranger, FIL, value=FIL)
        assert refusal.reason == f"NotAProvider({stranger}, 16)"
        assert refusal.exits == [("evm", 33), ("storagepower", 16)]
    assert network.balance(payments) == 0


@pytest.mark.parametrize(("price", "value"), [(FIL, FIL - 1), (0, FIL)])
def test_a_plan_needs_a_price_and_funds_for_one_epoch(
    payments: Contract, miner: Miner, refused: Refused, price: int, value: int
) -> None:
    refusal = refused(payments, "open", miner.id, price, value=value)
    assert refusal.reason == f"TooLittle({value}, {price})"


def test_nothing_is_paid_twice(network: Network, payments: Contract, miner: Miner, refused: Refused) -> None:
    payments.send("open", miner.id, FIL, value=FIL)
    network.mine()
    payments.send("pay", 0)
    before = network.balance(miner.address)
    assert refused(payments, "pay", 0).reason == "NothingDue(0)"
    assert network.balance(miner.address) == before
