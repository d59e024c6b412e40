"""Sources of messages: each source yields cases, and each case can be executed under any rules.

A `CaseJob` is the part of a source that one process executes. It is small enough to be sent to another process, and
`cases` opens it. A case is executed from its own state, once per side, so cases are independent.

Sources are message vectors (`fvm_hypervisor.laboratory.jobs`) and tipsets in a chain's folder
(`fvm_hypervisor.laboratory.chain_source`). `fvm_hypervisor.laboratory.jobs` detects the kind of a path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from fvm_hypervisor.laboratory.sides import Side
from hypervisor.errors import InvalidInput
from hypervisor.exit_codes import exit_meaning
from hypervisor.machine import Hypervisor
from hypervisor.message import Receipt
from hypervisor.tracing import Tracer
from store.blockstore import BlockNotFound


@dataclass(frozen=True, slots=True)
class MessageOutcome:
    """Outcome of a message: its receipt, or the reason why it has none."""

    label: str
    receipt: Receipt | None = None
    refused: str = ""
    fatal: str = ""
    lacks_block: bool = False
    """True if execution stopped because a block is missing, and not because of the message."""

    @property
    def end(self) -> str:
        if self.receipt is None or self.fatal:
            return self.fatal or self.refused
        return f"exit {exit_meaning(self.receipt.exit_code)}"


class Run(Protocol):
    """A case on one side: a machine at the state before its messages, which `steps` executes one by one."""

    @property
    def machine(self) -> Hypervisor:
        """The machine; each step changes its state."""

    def steps(self) -> Iterator[MessageOutcome]:
        """Execute message by message."""


class RecordedCase(Protocol):
    """A case: consecutive messages on their own initial state."""

    @property
    def name(self) -> str:
        """Name of the case in reports."""

    def begin(self, side: Side, tracer: Tracer | None) -> Run:
        """Start a run of the case on one side. Raises InvalidInput if it cannot run there."""


class CaseJob(Protocol):
    """A job: a part of a source."""

    def cases(self) -> Iterable[RecordedCase]:
        """Yield the cases. Raises InvalidInput."""


def fatal_outcome(label: str, error: BaseException, receipt: Receipt | None = None) -> MessageOutcome:
    """Return the outcome of a message whose execution ended with a fatal error."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, BlockNotFound):
        cause = cause.__cause__
    return MessageOutcome(label, receipt, fatal=f"fatal: {error}", lacks_block=cause is not None)


def bad_case(name: str, problem: object) -> InvalidInput:
    """Return the error for a case that cannot be executed as recorded, such as one with missing blocks."""
    return InvalidInput(f"{name} cannot be executed as it was recorded: {problem}")
