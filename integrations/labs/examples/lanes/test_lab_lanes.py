"""Users flood a network, to a contract and to native actors; with the lab `lanes` a miner's message lands at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.bindings import storageminer
from bridge.ethereum.addresses import to_filecoin
from bridge.filecoin.method_numbers import INVOKE_EVM
from bridge.filecoin.parameters import invoke_params
from hypervisor import Address, Message, TokenAmount
from hypervisor.types import METHOD_SEND, Gas, MethodNumber
from localnet import Network

COUNTER = Path(__file__).parents[4] / "examples" / "solidity" / "artifacts" / "Counter.json"
BLOCK = 10_000_000_000
GAS = Gas(BLOCK // 20)
MESSAGES = 60
"""Three blocks of gas."""


def blocks_waited(rules: str, sender: int = 0) -> int:
    """Return the number of blocks a message to a miner waits during the flood; the first account owns the miner."""
    with Network(rules=rules) as network:
        counter = network.deploy(COUNTER)
        miner = network.create_miner(sectors=1)
        alice, bob = network.accounts[1:3]
        network.automine = False

        def send(to: Address, sender: Address, nonce: int, method: int, params: bytes, premium: int) -> bytes:
            message = Message(
                to, sender, nonce, method=MethodNumber(method), params=params, gas_limit=GAS,
                gas_fee_cap=TokenAmount(10**6), gas_premium=TokenAmount(premium),
            )  # fmt: skip
            return network.submit_unsigned(message)

        increment = invoke_params(counter.interface.encode_call("increment"))
        for nonce in range(MESSAGES // 2):
            send(to_filecoin(counter.address), alice.native, nonce, INVOKE_EVM, increment, 10_000)
            send(alice.native, bob.native, nonce, METHOD_SEND, b"", 10_000)
        account = network.accounts[sender].native
        state = network.machine.actor(account)
        call = storageminer.development_only_prove_deadline()
        sent = send(miner.address, account, state.nonce if state else 0, call.method, call.params, 100)
        first = network.block_number
        while network.mempool.get(sent) is not None:
            network.mine()
        receipt = network.receipt(sent)
        assert receipt is not None
        return int(receipt.block_number - first - 1)


def test_the_miners_message_is_in_the_next_block() -> None:
    assert blocks_waited("lab:lanes") == 0


@pytest.mark.slow
def test_transaction_without_lanes_waits_for_end_of_flood() -> None:
    assert blocks_waited("filecoin") == 3


@pytest.mark.parametrize("shares", ["10/40/50", "5/5/90"])
def test_a_strangers_message_to_the_miner_is_a_users(shares: str) -> None:
    assert blocks_waited(f"lab:lanes={shares}", sender=3) > 0
