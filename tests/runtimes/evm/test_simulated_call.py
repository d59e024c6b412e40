"""Simulated calls: the result of the transaction without any write.

Expected: the result of the same call as a transaction.
"""

from typing import Final

import pytest

from bridge.ethereum.addresses import to_filecoin
from bridge.ethereum.execution import SimulatedCall
from bridge.ethereum.transactions import DYNAMIC_FEE, Transaction
from bridge.filecoin.evm_state import EvmState
from bridge.filecoin.parameters import CreateReturn
from hypervisor.machine.machine import Hypervisor
from runtimes.evm.ethereum.executor import EthereumExecutor
from store.cid import Cid
from tests.hypervisor.world import IgnoringTracer
from tests.runtimes.evm.assembler import assemble, deployer
from tests.runtimes.evm.machines import create
from tests.runtimes.evm.test_fast_trees import CONTRACT, SENDER, machine

GAS = 1_000_000
WRITES = "7 1 SSTORE 1 SLOAD 0 MSTORE 9 32 0 LOG1 32 0 RETURN"


def head(made: Hypervisor) -> Cid:
    """Return the contract's state as currently written."""
    actor = made.actor(to_filecoin(CONTRACT))
    assert actor is not None
    return actor.head


LOGS: Final = "0 0 LOG0 0 0 RETURN"
REFUNDED: Final = "1 1 SSTORE 0 1 SSTORE " + WRITES
CREATES: Final = f"{create(assemble(LOGS))} 0 MSTORE 32 0 LOG0 32 0 RETURN"
"""Creates a contract whose init code emits a log, and logs its address."""
LONG: Final = " ".join(f"1 {slot} SSTORE" for slot in range(8, 16)) + f" {REFUNDED}"
"""Uses more gas than a first call without kernel may."""


@pytest.mark.parametrize("evm", ["py-evm", "fast", "both"])
@pytest.mark.parametrize(("program", "logs"), [(WRITES, 1), (REFUNDED, 1), (CREATES, 2), (LONG, 1)])
def test_simulation_matches_transaction_and_writes_nothing(program: str, logs: int, evm: str) -> None:
    with machine(program, evm=evm) as made:
        executor, before = EthereumExecutor(made), head(made)
        with made.trial():
            asked = executor.simulate(SimulatedCall(SENDER, CONTRACT, GAS))
            assert head(made) == before
        done = executor.apply_transaction(Transaction(DYNAMIC_FEE, None, 0, CONTRACT, 0, b"", GAS, 0, 0), SENDER)
        assert head(made) != before
    assert (asked.exit_code, asked.gas_used, asked.return_data) == (done.exit_code, done.gas_used, done.output)
    assert asked.events == done.events
    assert len(asked.events) == logs


def test_a_question_that_is_traced_writes_for_the_tracer_to_see() -> None:
    with machine(WRITES) as made:
        made.tracer, before = IgnoringTracer(), head(made)
        with made.trial():
            EthereumExecutor(made).simulate(SimulatedCall(SENDER, CONTRACT, GAS))
            assert head(made) != before


def test_code_that_a_question_creates_can_be_read() -> None:
    with machine("") as made, made.trial():
        asked = EthereumExecutor(made).simulate(SimulatedCall(SENDER, None, GAS, data=deployer(assemble(WRITES))))
        created = CreateReturn.decode(asked.return_data).actor
        actor = made.state_tree.get_actor(created)
        assert actor is not None
        state = EvmState.decode(made.store.get(actor.head))
        assert made.store.get(state.bytecode) == assemble(WRITES)
