"""Sets of rules: how a message is checked, what it pays, and in which gas. Filecoin's are the machine's own.

Others register under the entry-point group `hypervisor.rules`: a name, and what makes an executor for a machine. What
such rules must know of an epoch beyond `MachineContext` travels in its field `block`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Protocol

from hypervisor.errors import InvalidInput

if TYPE_CHECKING:
    from hypervisor.executor import ApplyResult
    from hypervisor.machine import Hypervisor
    from hypervisor.message import Message

ENTRY_POINT_GROUP = "hypervisor.rules"
FILECOIN = "filecoin"


class MessageExecutor(Protocol):
    """Applies messages to a machine's state; see `hypervisor.executor.Executor` for the default."""

    def apply(self, message: Message, raw_length: int, implicit: bool = False) -> ApplyResult:
        """Apply one message."""


ExecutorFactory = Callable[["Hypervisor"], MessageExecutor]


@lru_cache
def executor_factory(rules: str) -> ExecutorFactory:
    """What makes the executor of a set of rules; InvalidInput names those that are installed."""
    if rules == FILECOIN:
        from hypervisor.executor import Executor

        return Executor
    for entry_point in entry_points(group=ENTRY_POINT_GROUP, name=rules):
        factory: ExecutorFactory = entry_point.load()
        return factory
    known = [FILECOIN, *sorted(entry_points(group=ENTRY_POINT_GROUP).names)]
    raise InvalidInput(f"rules '{rules}' are not known: choose one of {', '.join(known)}")
