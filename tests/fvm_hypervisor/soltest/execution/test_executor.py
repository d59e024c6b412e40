"""State of Solidity tests: changes made for one deployment are reverted after it."""

from collections.abc import Callable

import pytest

from bridge.ethereum.addresses import EthAddress
from fvm_hypervisor.soltest.cheatcodes.hooks.interceptor import Cheatcodes
from fvm_hypervisor.soltest.cheatcodes.state import DEFAULT_SENDER, BlockValues, State
from fvm_hypervisor.soltest.execution.executor import ExecutorSettings, TestExecutor
from hypervisor.installation import FILECOIN
from hypervisor.tracing import CallTrees

CODE_OF_24577_BYTES = bytes.fromhex("6160015ff3")
"""Init code that returns one byte more than EIP-170 allows."""
CREATES_ONE = bytes.fromhex("646160015ff35f526005601b5ff05f5260205ff3")
"""Code that creates it and returns its address, or 0 on failure."""


def test_only_deployed_test_contract_may_exceed_code_limit() -> None:
    executor = TestExecutor(ExecutorSettings(rules=FILECOIN), Cheatcodes())
    usual = executor.machine.context
    for init_code in (CODE_OF_24577_BYTES, bytes.fromhex("5f5ffd")):  # one that is created, and one that reverts
        executor.deploy(init_code, DEFAULT_SENDER)
        assert executor.machine.context == usual
    copied = bytes([0x60, len(CREATES_ONE), 0x80, 0x60, 0x0A, 0x5F, 0x39, 0x5F, 0xF3, 0x00]) + CREATES_ONE
    creator, _ = executor.deploy(copied, DEFAULT_SENDER)
    assert isinstance(creator, bytes)
    outcome = executor.call(DEFAULT_SENDER, EthAddress(creator), b"")
    assert (outcome.success, int.from_bytes(outcome.output, "big")) == (True, 0)


def test_test_contracts_have_any_size() -> None:
    executor = TestExecutor(ExecutorSettings(evm="fast", code_limit=24576), Cheatcodes())
    made, outcome = executor.deploy(CODE_OF_24577_BYTES, DEFAULT_SENDER)
    assert (made, outcome.success, executor.nonce(DEFAULT_SENDER)) == (executor.accounts()[-1], True, 2)
    made, outcome = executor.deploy(CREATES_ONE, DEFAULT_SENDER)
    assert made is not None
    assert dict(executor.contracts())[made] == bytes(32)  # the inner contract has the limit
    made, outcome = executor.deploy(bytes.fromhex("5f5ffd"), DEFAULT_SENDER)
    assert (made, outcome.success, executor.nonce(DEFAULT_SENDER)) == (None, False, 4)
    executor.machine.close()


@pytest.mark.parametrize("change", [
    lambda state: state.labels.update({DEFAULT_SENDER: "sender"}),
    lambda state: state.persistent.clear(),
    lambda state: state.mocks.setdefault(DEFAULT_SENDER, []),
    lambda state: setattr(state, "has_failed", True),
    lambda state: setattr(state, "block", BlockValues(gas_price=7)),
    lambda state: state.forks.changes.append(None),
    lambda state: None,
])  # fmt: skip
def test_restored_snapshot_has_no_later_state_of_cheatcodes(change: Callable[[State], None]) -> None:
    executor = TestExecutor(ExecutorSettings(), Cheatcodes())
    here = executor.snapshot()
    for _ in range(2):
        change(executor.cheatcodes.state)
        executor.restore(here)
        assert executor.cheatcodes.state == State()


def test_traced_sender_without_account_has_its_own_address() -> None:
    sender, executor = EthAddress(b"\xa7" * 20), TestExecutor(ExecutorSettings(evm="fast"), Cheatcodes())
    contract, _ = executor.deploy(bytes.fromhex("60015ff3"), DEFAULT_SENDER)
    assert contract is not None
    executor.machine.tracer = trees = CallTrees()
    assert executor.call(sender, contract, b"").success
    assert executor.address_of(trees.roots[0].start.from_) == sender
