"""Random sequences of calls to an escrow keep the sums of both runtimes; on a flawed escrow one breaks them."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from bridge.bindings import storageminer
from localnet import Artifact, CallFailed, Contract, Miner, Network
from localnet.testing import NetworkStateMachine, calls

HERE = Path(__file__).parent
ESCROW = Artifact.load(HERE / "Escrow.json").interface
CLIENTS = 2

client = st.integers(0, CLIENTS - 1)
amount = st.integers(1, 5)


class EscrowMachine(NetworkStateMachine):
    """Deposits, transfers and payments, and a model of what each client holds."""

    def __init__(self, network: Network, miner: Miner, escrow: Contract) -> None:
        super().__init__(network)
        self.miner, self.escrow = miner, escrow
        self.clients = network.accounts[:CLIENTS]
        self.paid = 0
        self.available = self.reported()

    def reported(self) -> int:
        """Return the miner's available balance, from the native actor."""
        return int(self.network.ask(self.miner.address, storageminer.get_available_balance()))

    @rule(sender=client, value=amount)
    def deposit(self, sender: int, value: int) -> None:
        self.escrow.send("deposit", value=value, sender=self.clients[sender])

    @rule(sender=client, to=client, value=amount)
    def transfer(self, sender: int, to: int, value: int) -> None:
        try:
            self.escrow.send("transfer", self.clients[to].address, value, sender=self.clients[sender])
        except CallFailed:
            assert value > self.escrow.call("held", self.clients[sender].address)

    @rule(sender=client, value=amount)
    def pay(self, sender: int, value: int) -> None:
        try:
            self.escrow.send("pay", value, sender=self.clients[sender])
        except CallFailed:
            assert value > self.escrow.call("held", self.clients[sender].address)
        else:
            self.paid += value

    @rule(call=calls(ESCROW))
    def any_call_of_a_stranger(self, call: tuple[Any, ...]) -> None:
        with suppress(CallFailed):
            self.escrow.send(*call, sender=self.network.accounts[CLIENTS])

    @invariant()
    def contract_holds_what_clients_hold(self) -> None:
        held = [self.escrow.call("held", each.address) for each in self.clients]
        assert sum(held) == self.network.balance(self.escrow)

    @invariant()
    def actor_has_what_was_paid(self) -> None:
        assert self.reported() - self.available == self.paid


@pytest.fixture(scope="module")
def miner(chain: Network) -> Miner:
    return chain.create_miner(sectors=0)


@pytest.mark.slow
def test_escrow_keeps_both_sums(network: Network, miner: Miner) -> None:
    escrow = network.deploy(HERE / "Escrow.json", miner.id)
    EscrowMachine.run_as_test(network, miner, escrow, settings=settings(max_examples=20, stateful_step_count=15))


@pytest.mark.slow
def test_flaw_is_found_with_the_shortest_sequence(network: Network, miner: Miner) -> None:
    escrow = network.deploy(HERE / "FlawedEscrow.json", miner.id)
    chosen = settings(max_examples=200, stateful_step_count=10, phases=(Phase.generate, Phase.shrink))
    with pytest.raises(AssertionError) as failed:
        seed(0)(EscrowMachine).run_as_test(network, miner, escrow, settings=chosen)
    first, second = re.findall(r"state\.(\w+\(.+\))", "\n".join(failed.value.__notes__))
    (sender,) = re.findall(r"deposit\(sender=([01]), value=1\)", first)
    assert second == f"transfer(sender={sender}, to={sender}, value=1)"
