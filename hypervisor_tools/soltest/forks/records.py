"""Forks of a test: all forks, the active one, and the saved states of the others.

A node's name is an alias of `rpc_endpoints` or a URL; `${NAME}` is an environment variable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from hypervisor.context import MachineContext
from hypervisor.errors import InvalidInput
from hypervisor.state.state_tree import ActorState
from hypervisor.types import ActorID
from localnet.fork.urls import redacted_url
from runtimes.evm.revm import NO_WARMTH

if TYPE_CHECKING:
    from hypervisor_tools.soltest.forks.tipsets import PendingTipset
    from localnet.fork.forking import ForkPoint
    from localnet.fork.remote_chain import RemoteBlock
    from localnet.fork.remote_history import ReadTransaction

_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")


def endpoint_url(name: str, endpoints: Mapping[str, str], environment: Mapping[str, str]) -> str:
    """Return the URL of a name. Raises InvalidInput."""
    url = endpoints.get(name, name)

    def value(found: re.Match[str]) -> str:
        known = environment.get(found[1])
        if known is None:
            raise InvalidInput(f"environment variable `{found[1]}` not found")
        return known

    url = _VARIABLE.sub(value, url)
    if not url.startswith(("http://", "https://")):
        raise InvalidInput(f"invalid rpc url: {redacted_url(name)}")
    return url


Pending: TypeAlias = "tuple[ReadTransaction, ...] | PendingTipset"
"""Work to execute before a fork is first used, under either set of rules."""


class ForkBase(NamedTuple):
    """Initial state of a fork: the state after a block of a node. Under Filecoin's rules, `point` is that tipset."""

    url: str
    number: int
    point: ForkPoint | None = None


class NetworkFork(NamedTuple):
    """A fork of a node's network. `base` is its index in `ForkRecords.bases`."""

    url: str
    base: int
    chain_id: int
    block: RemoteBlock


class SavedForkState(NamedTuple):
    """Saved state of an inactive fork: its actors and the block."""

    actors: Mapping[ActorID, ActorState | None]
    context: MachineContext | None = None
    randomness: bytes | None = None
    warmth: bytes = NO_WARMTH
    """State of a session's call that the state tree lacks (`ObservedCall.warmth`)."""


class ForkChange(NamedTuple):
    """Undo record of a change of forks: the fork records and the block before it.

    `number` identifies the change. The state tree stores the number of the latest change, which reverts with the call.
    """

    number: int
    forks: tuple[NetworkFork, ...]
    left: Mapping[int, SavedForkState]
    pending: Mapping[int, Pending]
    first: SavedForkState | None
    context: MachineContext
    randomness: bytes | None
    hashes: Mapping[int, bytes]


@dataclass(slots=True)
class ForkRecords:
    """The forks of a test by number, with what is needed to select, change and undo them.

    A base is an initial state of a fork. Each `createFork` and `rollFork` makes a new one, so that two forks of one
    block share nothing that a test writes.
    """

    forks: list[NetworkFork] = field(default_factory=list)
    bases: list[ForkBase] = field(default_factory=list)
    left: dict[int, SavedForkState] = field(default_factory=dict)
    pending: dict[int, Pending] = field(default_factory=dict)
    """Earlier transactions of the block, to execute before a fork is first used."""
    first: SavedForkState | None = None
    """Accounts created in the message before it first selected a fork; every fork begins with them."""
    changes: list[ForkChange] = field(default_factory=list)
    """Changes that a failed call may revert, oldest first."""
    last_change: int = 0
    """Number of the latest change, including reverted ones."""
    first_actor: int | None = None
    """First actor ID of the running message, under Filecoin's rules, if the test uses forks."""

    def base(self, url: str, number: int, point: ForkPoint | None = None) -> int:
        """Add a base, and return its index."""
        self.bases.append(ForkBase(url, number, point))
        return len(self.bases) - 1

    def record_change(self, context: MachineContext, randomness: bytes | None, hashes: Mapping[int, bytes]) -> int:
        """Record the current values before a change, and return the change's number."""
        self.last_change += 1
        self.changes.append(
            ForkChange(
                self.last_change, tuple(self.forks), dict(self.left), dict(self.pending), self.first, context,
                randomness, hashes,
            )
        )  # fmt: skip
        return self.last_change

    def undo_after(self, last: int) -> ForkChange | None:
        """Undo the changes after a number, and return the oldest of them. New forks remain, as in forge."""
        undone = None
        while self.changes and self.changes[-1].number > last:
            undone = self.changes.pop()
            known = len(undone.forks)
            self.forks[:known] = undone.forks
            for now, before in ((self.left, undone.left), (self.pending, undone.pending)):
                self._restore_entries(now, before, known)
            self.first = undone.first
        return undone

    @staticmethod
    def _restore_entries(now: dict[int, Any], before: Mapping[int, Any], known: int) -> None:
        newer = {number: value for number, value in now.items() if number >= known}
        now.clear()
        now.update(before)
        now.update(newer)
