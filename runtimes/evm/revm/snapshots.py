"""Snapshots of the state within calls with an observer.

The guest has a copy of what it holds (`guests/revm/src/snapshots.rs`), which it restores as long as the state tree is
the same. Before the changes of calls are written to the tree, and before the guest forgets its state, the snapshots
that are in use become images of the tree, which can be restored at any time.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress
from hypervisor.state.state_tree import TreeImage
from runtimes.evm.revm.guest import list_message
from runtimes.evm.revm.observation import CannotObserve
from runtimes.evm.revm.protocol import COUNT, Command, Operation

if TYPE_CHECKING:
    from hypervisor.machine.machine_state import MachineState
    from runtimes.evm.revm.held import HeldState


@dataclass(eq=False)
class Snapshot:
    """A state: an image of the tree, and what the call has beside it (`Operations.warmth`)."""

    image: TreeImage
    """The tree; without the guest's changes as long as it has a copy."""
    warmth: bytes = b""
    copy: int | None = None
    """Number of the guest's copy; None if it has none."""
    writes: int = -1
    """Number of writes of the tree when it was taken."""


class Snapshots:
    """The snapshots of a guest's state."""

    def __init__(self, machine: MachineState, held: HeldState) -> None:
        self._machine, self._held = machine, held
        self._copies: weakref.WeakValueDictionary[int, Snapshot] = weakref.WeakValueDictionary()
        """Those in use of which the guest has a copy."""
        self._dropped: list[int] = []
        """Numbers of copies that are no longer in use."""

    def take(self, operate: Callable[[int, EthAddress, bytes], bytes]) -> Snapshot:
        """Take a snapshot of the state of a call, with its operation."""
        dropped = list_message([COUNT.pack_values(number) for number in self._dropped])
        (number,) = COUNT.read(operate(Operation.SNAPSHOT, ZERO_ADDRESS, dropped))
        self._dropped.clear()
        tree = self._machine.state_tree
        with tree.without_held():
            taken = Snapshot(tree.image(), copy=number, writes=tree.writes)
        self._copies[number] = taken
        weakref.finalize(taken, self._dropped.append, number)
        return taken

    def copy_of(self, snapshot: Snapshot) -> int | None:
        """Return the number of the copy that the guest may restore."""
        is_same = snapshot.copy in self._copies and snapshot.writes == self._machine.state_tree.writes
        return snapshot.copy if is_same else None

    def forget(self) -> None:
        """Forget the copies of a guest that has failed."""
        self._copies.clear()

    def write_all(self) -> None:
        """Make images of all copies. Raises GuestFailure."""
        for number in sorted(self._copies):
            self.write(self._copies[number])

    def write(self, snapshot: Snapshot) -> None:
        """Make an image of a snapshot, if the guest has a copy. Raises GuestFailure, CannotObserve for a lost one."""
        if snapshot.copy is None:
            return
        held, tree = self._held, self._machine.state_tree
        if held.guest is None or snapshot.copy not in self._copies:
            raise CannotObserve("the snapshot was lost with the memory of the EVM engine, which has failed")
        held.guest.call(Command.READ_SNAPSHOT, COUNT.pack_values(snapshot.copy))
        data = held.guest.output()
        end = COUNT.size + COUNT.read(data).count
        engines, is_current = (tree.engine, tree.held), held.is_current
        tree.engine = tree.held = None
        mark = tree.begin()
        try:
            if snapshot.writes != tree.writes:
                tree.restore_image(snapshot.image)
                held.forget_actors()
            held.write_running(data[COUNT.size : end])
            snapshot.image, snapshot.warmth = tree.image(), data[end:]
            del self._copies[snapshot.copy]
            snapshot.copy = None
        finally:
            tree.rollback(mark)
            tree.engine, tree.held = engines
            held.forget_actors()
            if is_current:
                held.note_written()
