"""A call from outside, of which nothing is kept: it says what a transaction would do, and writes nothing.

Expected: what the same call does as a transaction.
"""

from __future__ import annotations

from typing import Any

import pytest

from bridge.ethereum_execution import Question
from bridge.params import CreateReturn
from bridge.transactions import DYNAMIC_FEE, Transaction
from runtimes.evm.ethereum.accounts import Accounts
from runtimes.evm.ethereum.executor import EthereumExecutor
from tests.runtimes.evm.assembler import assemble, deployer
from tests.runtimes.evm.test_fast_trees import CONTRACT, SENDER, machine

GAS = 1_000_000
WRITES = "7 1 SSTORE 1 SLOAD 0 MSTORE 9 32 0 LOG1 32 0 RETURN"


class Deaf:
    """A tracer."""

    def event(self, event: Any, /) -> None:
        """Nothing is listened to."""


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Accounts]:
    """Whose changes were written."""
    seen: list[Accounts] = []
    write_back = Accounts.write_back

    def watched(accounts: Accounts) -> None:
        seen.append(accounts)
        write_back(accounts)

    monkeypatch.setattr(Accounts, "write_back", watched)
    return seen


@pytest.mark.parametrize("evm", ["py-evm", "fast"])
def test_a_question_has_the_transactions_answer_and_writes_nothing(written: list[Accounts], evm: str) -> None:
    with machine(WRITES, evm=evm) as made:
        executor = EthereumExecutor(made)
        written.clear()
        with made.trial():
            asked = executor.ask(Question(SENDER, CONTRACT, GAS))
        assert not written
        done = executor.apply_transaction(Transaction(DYNAMIC_FEE, None, 0, CONTRACT, 0, b"", GAS, 0, 0), SENDER)
        assert written
    assert (asked.exit_code, asked.gas_used, asked.return_data) == (done.exit_code, done.gas_used, done.output)
    assert asked.events == done.events
    assert len(asked.events) == 1


def test_whoever_traces_a_question_sees_what_it_writes(written: list[Accounts]) -> None:
    with machine(WRITES) as made:
        made.tracer = Deaf()
        written.clear()
        with made.trial():
            EthereumExecutor(made).ask(Question(SENDER, CONTRACT, GAS))
            assert len(written) == 1


def test_code_that_a_question_creates_can_be_read(written: list[Accounts]) -> None:
    with machine("") as made, made.trial():
        written.clear()
        asked = EthereumExecutor(made).ask(Question(SENDER, None, GAS, data=deployer(assemble(WRITES))))
        created = CreateReturn.decode(asked.return_data).actor
        assert made.state_tree.get_actor(created) is not None
        assert len(written) == 1
