"""Traces of implicit messages that have receipts (FIP-0107), if a lab executes further messages between them."""

from pathlib import Path

import pytest

from fvm_hypervisor.laboratory.profiles.outbox import OUTBOX, POST, post_params
from hypervisor.messages.address import Address
from hypervisor.types import METHOD_SEND
from localnet import Network
from localnet.ledger.records import Tipset
from localnet.rpc.node import Node
from store.cid import show
from tests.fvm_hypervisor.laboratory.drafts.test_opening import EPOCH, opened, written
from tests.labs.test_outbox import MILLION
from tests.localnet.rpc.conftest import Client

RULE = '[rules]\nreceipts = "all"\n'
CRON, REWARD = ("f03", 2), ("f02", 2)


def delivering_tipset(network: Network) -> Tipset:
    """Return a tipset after a null round, at whose cron the outbox delivers a message."""
    network.mine(EPOCH + 1 - network.block_number)
    sender, receiver = network.accounts[0], network.accounts[1].native
    before = network.balance(receiver)
    params = post_params(receiver, METHOD_SEND, value=5, gas=10 * MILLION, expiry=network.block_number + 20)
    network.send_native(Address.id(OUTBOX), POST, params, value=10**16, sender=sender, gas_limit=1_000_000_000)
    tipset = network.mine(null_rounds=1)
    assert network.balance(receiver) == before + 5
    return tipset


@pytest.mark.slow
def test_deliveries_do_not_shift_the_traces_of_rewards_and_cron(tmp_path: Path) -> None:
    with opened(written(tmp_path, RULE), rules="lab:async") as network:
        tipset, client = delivering_tipset(network), Client(Node(network))
        receipts = network.chain.index.implicit_receipts(tipset)
        traces = [client("hypervisor_trace", f"0x{receipt.hash.hex()}")["calls"] for receipt in receipts]
        replays = [
            client("Filecoin.StateReplay", [], {"/": show(receipt.execution.message.cid())}) for receipt in receipts
        ]
        computed = client("Filecoin.StateCompute", tipset.height, None, [{"/": show(tipset.block)}])["Trace"]
    assert [[(call["to"], call["method"]) for call in calls] for calls in traces] == [[CRON], [REWARD], [CRON]]
    called = ["t03", "t02", "t03"]
    assert [each["ExecutionTrace"]["Msg"]["To"] for each in replays] == called
    assert [each["ExecutionTrace"]["Msg"]["To"] for each in computed] == called
    assert [each["Msg"]["Nonce"] for each in computed] == [tipset.height - 1, tipset.height, tipset.height]
