"""An actor's state as a `Storage`: read, put and committed from Python, as the actor itself does by its syscalls.

For development and tests: on the network only an actor changes its state. Rules: the VM Interpreter document's
`Storage`; ref-fvm kernel/default.rs `root`, `set_root`.
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
    """What holds the actors' states: a machine."""

    @property
    def state_tree(self) -> StateTree:
        """The actors, as they are now."""

    @property
    def store(self) -> Blockstore:
        """The blocks of their states."""


@dataclass(frozen=True, slots=True)
class ActorHead:
    """The root of an actor's state. What is committed lies in the machine's buffer until the machine is flushed."""

    machine: StateHolder
    actor: ActorID

    @classmethod
    def of(cls, machine: StateHolder, address: Address) -> ActorHead:
        """That of the actor behind an address; InvalidInput if there is none."""
        actor = machine.state_tree.lookup_id(address)
        if actor is None or machine.state_tree.get_actor(actor) is None:
            raise InvalidInput(f"no actor has the address {address}: only an actor has a state")
        return cls(machine, actor)

    def read(self) -> Cid:
        """The root now."""
        return self._state().head

    def check(self, old: Cid | None) -> None:
        """HeadMoved if it is not `old`."""
        found = self.read()
        if found != old:
            expected = "none" if old is None else show(old)
            raise HeadMoved(f"the state of f0{self.actor}: expected {expected}, found {show(found)}")

    def move(self, old: Cid | None, new: Cid, kept: Iterable[tuple[Cid, bytes]]) -> None:
        """Keep the blocks and set the root."""
        self.check(old)
        self.machine.store.put_many(kept)
        self.machine.state_tree.set_actor(self.actor, replace(self._state(), head=new))

    def _state(self) -> ActorState:
        state = self.machine.state_tree.get_actor(self.actor)
        if state is None:
            raise InvalidInput(f"the actor f0{self.actor} is gone, and its state with it")
        return state
