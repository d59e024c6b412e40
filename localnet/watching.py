"""Being told what happens on a network: blocks that come and go, transactions that begin to wait.

A watcher is called on the thread that the network belongs to, after the fact, and must not raise. Without watchers
nothing is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from localnet.execution import Candidate
from localnet.records import Tipset

Later = Callable[[Callable[[], None]], None]
"""Lets work be done on the network's thread once nobody waits for that, in the order in which it was given."""


def at_once(work: Callable[[], None]) -> None:
    """Where nobody waits: work is done now. See `Later`."""
    work()


class Watcher(Protocol):
    """Who is told."""

    def applied(self, tipset: Tipset) -> None:
        """A tipset is the new head, and committed."""

    def reverted(self, tipsets: Iterator[Tipset], head: Tipset) -> None:
        """The chain goes back to a head behind these tipsets, newest first; they can be read during the call only."""

    def waits(self, candidate: Candidate) -> None:
        """A transaction has been taken, and waits for a block."""
