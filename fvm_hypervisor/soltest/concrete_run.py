"""Concrete runs of a symbolic test's counterexample. This module does not import z3."""

from __future__ import annotations

from collections import deque
from contextlib import suppress

from bridge.ethereum.addresses import EthAddress
from fvm_hypervisor.soltest.cheatcodes.state import Mock
from fvm_hypervisor.soltest.created_values import SVM, CreatedValues
from fvm_hypervisor.soltest.execution.executor import TestExecutor
from hypervisor.errors import InvalidInput
from hypervisor.messages.address import Address
from hypervisor.types import EAM_NAMESPACE
from localnet.state.controls import set_code, set_storage


def set_created_values(executor: TestExecutor, values: CreatedValues) -> None:
    """Give a machine the values that a test has created: answers as mocked calls, and words of symbolic storage."""
    words: dict[EthAddress, dict[int, int]] = {}
    for address, slot, word in values.storage:
        words.setdefault(address, {})[slot] = word
    for address, slots in words.items():
        with suppress(InvalidInput):  # an account without code, which has no storage to read
            set_storage(executor.machine, Address.delegated(EAM_NAMESPACE, address), slots)
    if values.answers:
        set_code(executor.machine, Address.delegated(EAM_NAMESPACE, SVM), b"\0")
        executor.cheatcodes.state.mocks[SVM] = [
            Mock(calldata, None, deque(answers), reverts=False) for calldata, answers in values.by_calldata().items()
        ]
