"""An actor's state as a `Storage`: read and committed from Python, as the actor itself does with syscalls.

For development and tests; on the network, only an actor changes its state. Source: `Storage` of the VM Interpreter
document; ref-fvm kernel/default.rs `root`, `set_root`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from hypervisor.address import Address
from hypervisor.errors import InvalidInput
from hypervisor.state_tree import ActorState, StateTree
from hypervisor.types import ActorID
from store.blockstore import Blockstore, HeadMoved
from store.cid import Cid, show


class StateHolder(Protocol):
    """An object that provides the actors' states: a machine."""

    @property
    def state_tree(self) -> StateTree:
        """The current state tree."""

    @property
    def store(self) -> Blockstore:
        """The blocks of the actors' states."""


@dataclass(frozen=True, slots=True)
class ActorHead:
    """The root of an actor's state. Commits are stored in the machine's buffer until it is flushed."""

    machine: StateHolder
    actor: ActorID

    @classmethod
    def of(cls, machine: StateHolder, address: Address) -> ActorHead:
        """Return the head of the actor at an address. Raises InvalidInput if there is no actor."""
        actor = machine.state_tree.lookup_id(address)
        if actor is None or machine.state_tree.get_actor(actor) is None:
            raise InvalidInput(f"no actor has the address {address}; only actors have a state")
        return cls(machine, actor)

    def read(self) -> Cid:
        return self._state().head

    def check(self, old: Cid | None) -> None:
        """Raise HeadMoved if the root is not `old`."""
        found = self.read()
        if found != old:
            expected = "none" if old is None else show(old)
            raise HeadMoved(f"the state of f0{self.actor}: expected {expected}, found {show(found)}")

    def move(self, old: Cid | None, new: Cid, kept: Iterable[tuple[Cid, bytes]]) -> None:
        """Store the blocks and set the root."""
        self.check(old)
        self.machine.store.put_many(kept)
        self.machine.state_tree.set_actor(self.actor, replace(self._state(), head=new))

    def _state(self) -> ActorState:
        state = self.machine.state_tree.get_actor(self.actor)
        if state is None:
            raise InvalidInput(f"actor f0{self.actor} was deleted, including its state")
        return state
