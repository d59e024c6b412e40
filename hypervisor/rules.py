"""Sets of rules: how a message is checked, what it pays, and in which gas. Filecoin's are the machine's own.

Others register under the entry-point group `hypervisor.rules`: a name, and what makes an executor for a machine. What
such rules must know of an epoch beyond `MachineContext` travels in its field `block`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Protocol

from hypervisor.context import FILECOIN
from hypervisor.errors import InvalidInput
from hypervisor.executor import ApplyResult, Executor
from hypervisor.machine_state import MachineState
from hypervisor.message import Message

ENTRY_POINT_GROUP = "hypervisor.rules"


class MessageExecutor(Protocol):
    """Applies messages to a machine's state; see `hypervisor.executor.Executor` for the default."""

    def apply(self, message: Message, raw_length: int, implicit: bool = False) -> ApplyResult:
        """Apply one message."""


ExecutorFactory = Callable[[MachineState], MessageExecutor]


@lru_cache
def executor_factory(rules: str) -> ExecutorFactory:
    """What makes the executor of a set of rules; InvalidInput names those that are installed."""
    if rules == FILECOIN:
        return Executor
    for entry_point in entry_points(group=ENTRY_POINT_GROUP, name=rules):
        factory: ExecutorFactory = entry_point.load()
        return factory
    known = [FILECOIN, *sorted(entry_points(group=ENTRY_POINT_GROUP).names)]
    raise InvalidInput(f"rules '{rules}' are not known: choose one of {', '.join(known)}")
