"""Watchers of a network, notified of applied and reverted blocks and of new pending transactions.

A watcher is called on the network's thread after the event, and must not raise. A network without watchers does no
extra work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from hypervisor.errors import HypervisorError
from localnet.ledger.candidates import Candidate
from localnet.ledger.records import Tipset


class Preempted(HypervisorError):
    """Work in the background stops because a request waits; it is done again from its beginning."""


class Background(Protocol):
    """Does work on the network's thread while no request waits."""

    def later(self, work: Callable[[], None]) -> None:
        """Do work after the requests, in the order in which it was given. It may raise Preempted, and nothing else."""

    def should_yield(self) -> bool:
        """Return True if the current work is to raise Preempted."""


class InlineBackground:
    """A `Background` where no requests come: work is done at once."""

    def later(self, work: Callable[[], None]) -> None:
        """Do it."""
        work()

    def should_yield(self) -> bool:
        """Never."""
        return False


class Watcher(Protocol):
    """Is called when the network changes."""

    def applied(self, tipset: Tipset) -> None:
        """Handle a new head, a committed tipset."""

    def reverted(self, tipsets: Iterator[Tipset], head: Tipset) -> None:
        """Handle a reorg to a head below these tipsets, newest first; they can be read during the call only."""

    def waits(self, candidate: Candidate) -> None:
        """Handle a transaction that was accepted and waits for a block."""
