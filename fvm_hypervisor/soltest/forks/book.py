"""What a test knows of its forks: which there are, which is active, and the state of those that are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fvm_hypervisor.soltest.forks.tipsets import PendingTipset
from hypervisor.context import MachineContext
from hypervisor.journal import Journal
from hypervisor.state_tree import ActorState
from hypervisor.types import ActorID
from localnet.fork.forking import ForkPoint
from localnet.fork.remote_chain import RemoteBlock
from localnet.fork.remote_transactions import ReadTransaction

Pending = tuple[ReadTransaction, ...] | PendingTipset
"""What a fork executes before it is first used, under either set of rules."""


@dataclass(frozen=True, slots=True)
class ForkPlace:
    """Where a fork begins: after a block of a node's network; under Filecoin's rules `point` is that tipset."""

    url: str
    number: int
    point: ForkPoint | None = None

    def __deepcopy__(self, _memo: object) -> ForkPlace:
        """Itself: nothing of it ever changes."""
        return self


@dataclass(frozen=True, slots=True)
class NetworkFork:
    """A fork of a node's network: `place` is where it begins, in `ForkBook.places`."""

    url: str
    place: int
    chain_id: int
    block: RemoteBlock

    def __deepcopy__(self, _memo: object) -> NetworkFork:
        """Itself: nothing of it ever changes."""
        return self


@dataclass(frozen=True, slots=True)
class LeftState:
    """A fork that was left: its actors as they were written, what the message says of them besides, and the block.

    `entries` are of the journal of one message, and say nothing to another.
    """

    actors: Mapping[ActorID, ActorState | None]
    entries: Mapping[Any, Any]
    message: Journal
    context: MachineContext | None = None
    randomness: bytes | None = None

    def __deepcopy__(self, _memo: object) -> LeftState:
        """Itself: nothing of it ever changes."""
        return self


@dataclass(frozen=True, slots=True)
class ForkChange:
    """What the book and the block were before a change of forks, in which nothing else is written: to undo it.

    `number` is the change's own: the state tree says which one was the last, so it goes back with the call.
    """

    number: int
    forks: tuple[NetworkFork, ...]
    left: Mapping[int, LeftState]
    pending: Mapping[int, Pending]
    first: LeftState | None
    context: MachineContext
    randomness: bytes | None
    hashes: Mapping[int, bytes]

    def __deepcopy__(self, _memo: object) -> ForkChange:
        """Itself: nothing of it ever changes."""
        return self


@dataclass(slots=True)
class ForkBook:
    """The forks by their numbers.

    A place is a state at which a fork begins: each `createFork` and `rollFork` makes one, so that two forks of one
    block share nothing that a test writes.
    """

    forks: list[NetworkFork] = field(default_factory=list)
    places: list[ForkPlace] = field(default_factory=list)
    left: dict[int, LeftState] = field(default_factory=dict)
    pending: dict[int, Pending] = field(default_factory=dict)
    """What a fork executes before it is first used: the transactions of its block that come before the wanted one."""
    first: LeftState | None = None
    """What was created in the message that has selected a fork for the first time: every fork begins with it."""
    changes: list[ForkChange] = field(default_factory=list)
    """Those that a call which fails may take back, the oldest first."""
    last_change: int = 0
    """The number of the latest change that was ever made."""
    first_actor: int | None = None
    """Under Filecoin's rules, where the test asks for forks: the ID from which on actors are the running message's."""

    def place(self, url: str, number: int, point: ForkPoint | None = None) -> int:
        """A new place."""
        self.places.append(ForkPlace(url, number, point))
        return len(self.places) - 1

    def note_change(self, context: MachineContext, randomness: bytes | None, hashes: Mapping[int, bytes]) -> int:
        """Keep what is, before a change; the change's number."""
        self.last_change += 1
        self.changes.append(
            ForkChange(
                self.last_change, tuple(self.forks), dict(self.left), dict(self.pending), self.first, context,
                randomness, hashes,
            )
        )  # fmt: skip
        return self.last_change

    def undo_after(self, last: int) -> ForkChange | None:
        """Undo the changes after a number; the oldest of them. Forks that were made meanwhile stay, as in forge."""
        undone = None
        while self.changes and self.changes[-1].number > last:
            undone = self.changes.pop()
            known = len(undone.forks)
            self.forks[:known] = undone.forks
            for now, before in ((self.left, undone.left), (self.pending, undone.pending)):
                self._bring_back(now, before, known)
            self.first = undone.first
        return undone

    @staticmethod
    def _bring_back(now: dict[int, Any], before: Mapping[int, Any], known: int) -> None:
        newer = {number: value for number, value in now.items() if number >= known}
        now.clear()
        now.update(before)
        now.update(newer)
