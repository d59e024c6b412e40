"""Watchers of a network, notified of applied and reverted blocks and of new pending transactions.

A watcher is called on the network's thread after the event, and must not raise. A network without watchers does no
extra work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from hypervisor.errors import HypervisorError

if TYPE_CHECKING:
    from localnet.ledger.candidates import Candidate
    from localnet.ledger.records import Tipset


class Preempted(HypervisorError):
    """Raised to stop background work while a request waits; the work is restarted later."""


class Background(Protocol):
    """Runs work on the network's thread while no request waits."""

    def later(self, work: Callable[[], None]) -> None:
        """Queue work to run after requests, in order. It may only raise Preempted."""

    def should_yield(self) -> bool:
        """Return True if the current work is to raise Preempted."""


class InlineBackground:
    """A `Background` without requests: work runs immediately."""

    def later(self, work: Callable[[], None]) -> None:
        """Run the work immediately."""
        work()

    def should_yield(self) -> bool:
        """Return False: no request can wait."""
        return False


class Watcher(Protocol):
    """A watcher, called when the network changes."""

    def applied(self, tipset: Tipset) -> None:
        """Handle a new head, a committed tipset."""

    def reverted(self, tipsets: Iterator[Tipset], head: Tipset) -> None:
        """Handle a reorganisation to a head below these tipsets, newest first; readable during the call only."""

    def accepted(self, candidate: Candidate) -> None:
        """Handle a transaction that was accepted and waits for a block."""
