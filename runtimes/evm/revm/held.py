"""State of the machine that a session's guest holds.

The guest reads accounts, slots and code once. It holds what transactions write until the state tree is read; then all
changes are written together (`writes`). What it holds is void when anything else has changed the tree: each state that
begins anew has another `generation`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bridge.ethereum.addresses import EthAddress
from bridge.ethereum.execution import HeldAccount
from hypervisor.errors import Fatal
from hypervisor.state.state_tree import StateTree, TreeImage
from hypervisor.state.undo_map import Journal
from hypervisor.types import ActorID
from runtimes.evm.revm.accounts import Accounts, ContractCache, ContractStates
from runtimes.evm.revm.guest import MAX_REUSED_MEMORY, Guest, GuestFailure, list_message
from runtimes.evm.revm.observation import CannotObserve
from runtimes.evm.revm.protocol import (
    CHAIN_TIME,
    COUNT,
    HELD_ACCOUNT,
    SLOT_REQUEST,
    SNAPSHOT_TIME,
    ChainTime,
    CheatRequest,
    Command,
)
from runtimes.evm.revm.transactions import block_of

if TYPE_CHECKING:
    from hypervisor.machine.machine_state import MachineState

_MAX_MEMORY: Final = 256 << 20
"""Bytes of a guest's memory above which it is not used for another transaction."""
_GENERATION: Final = 1 << 32

_idle: list[Guest] = []
"""Guests that no session uses."""
_MAX_IDLE: Final = 4


def _return(guest: Guest) -> None:
    """Keep the guest of a session that has ended, for the next one."""
    if len(_idle) < _MAX_IDLE and guest.memory_bytes <= MAX_REUSED_MEMORY and not guest.is_full:
        _idle.append(guest)
    else:
        guest.close()


def is_worn(guest: Guest) -> bool:
    """Return True if a guest has too much memory beside its snapshots, or too many regions, for another transaction.

    One with a campaign, which would end with it, forgets its state, and may then grow by as much again.
    """
    if guest.has_campaign:
        return guest.memory_bytes > guest.memory_before + _MAX_MEMORY + guest.copied
    return guest.memory_bytes > _MAX_MEMORY + guest.copied or guest.is_full


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
    """The snapshots of a guest's state.

    The guest has copies of what it holds (`guests/revm/src/snapshots.rs`), which it restores as long as the state tree
    is the same. Before the changes of calls are written to the tree, and before the guest forgets its state, the
    snapshots that are in use become images of the tree, which can be restored at any time.
    """

    def __init__(self, machine: MachineState, held: HeldState) -> None:
        self._machine, self._held = machine, held
        self._copies: weakref.WeakValueDictionary[int, Snapshot] = weakref.WeakValueDictionary()
        """Those in use of which the guest has a copy."""
        self._dropped: list[int] = []
        """Numbers of copies that are no longer in use."""
        self.last = 0
        """Number of the last copy that was noted."""

    def note(self, *numbers: int) -> list[Snapshot]:
        """Return the snapshots that the guest has copied, before the tree changes."""
        tree = self._machine.state_tree
        with tree.without_held():
            image, writes = tree.image(), tree.writes
        taken = [Snapshot(image, copy=number, writes=writes) for number in numbers]
        for number, each in zip(numbers, taken, strict=True):
            self._copies[number] = each
            weakref.finalize(each, self._dropped.append, number)
        return taken

    def note_taken(self, guest: Guest) -> list[tuple[Snapshot, ChainTime]]:
        """Return the snapshots that cheatcodes have taken since the last time, and when they have taken them."""
        data = self._ask(guest, self.last)
        found = [*SNAPSHOT_TIME.read_all(data, 0, len(data) // SNAPSHOT_TIME.size)]
        times = [CHAIN_TIME.read(each.time) for each in found]
        return [*zip(self.note(*(each.copy for each in found)), times, strict=True)] if found else []

    def begin(self, guest: Guest) -> None:
        """Begin with another guest."""
        self._ask(guest, Guest.last_snapshot)

    def _ask(self, guest: Guest, last: int) -> bytes:
        """Return what the guest says of its new copies; later ones have larger numbers than `last`."""
        guest.call(Command.CHEATS, COUNT.pack_values(CheatRequest.SNAPSHOTS) + COUNT.pack_values(last))
        data = guest.output()
        self.last = guest.snapshots
        return data

    def forget_unused(self, guest: Guest) -> None:
        """Let the guest forget the copies that are no longer in use."""
        if self._dropped:
            dropped = [*self._dropped]
            del self._dropped[: len(dropped)]
            numbers = list_message(map(COUNT.pack_values, dropped))
            guest.call(Command.CHEATS, COUNT.pack_values(CheatRequest.FORGET_SNAPSHOTS) + numbers)

    def copy_of(self, snapshot: Snapshot) -> int | None:
        """Return the number of the copy that the guest may restore."""
        is_same = snapshot.copy in self._copies and snapshot.writes == self._machine.state_tree.writes
        return snapshot.copy if is_same else None

    def forget(self) -> None:
        """Forget the copies of a guest that has failed."""
        self._copies.clear()
        self._dropped = []  # of another guest

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
            if not is_current or snapshot.writes != tree.writes:
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


class HeldState:
    """The guest of a machine's session, and the changes that it holds (`hypervisor.state.state_tree.StateEngine`)."""

    def __init__(self, machine: MachineState, write: Callable[[StateTree, bytes, int], None]) -> None:
        """`write` writes drained changes and burnt attoFIL to a tree."""
        self._machine, self._write = machine, write
        self.snapshots = Snapshots(machine, self)
        self.guest: Guest | None = None
        self._end: weakref.finalize[Any, Any] | None = None
        self._tree: StateTree | None = None
        self._writes = -1
        """Number of writes of the tree whose state the guest holds; -1 for a state that is not the tree's."""
        self._generation = self._kept = 0
        """Number of times that the state was begun anew, and of undoable transactions since then."""
        self._burnt = 0
        """AttoFIL that transactions have burnt since changes were written."""
        self.known = ContractCache()
        self.contracts: ContractStates
        self.absent = 0
        """Number of accounts that the guest has asked for and that this state does not have."""
        self.actors: dict[EthAddress, ActorID] = {}
        self.addresses: dict[ActorID, EthAddress] = {}
        """Actors by address, and addresses by actor, of this state: an actor keeps its address."""

    @property
    def is_current(self) -> bool:
        """True if the guest holds the state of the machine's tree."""
        tree = self._machine.state_tree
        return self.guest is not None and tree is self._tree and tree.writes == self._writes

    # --- beginning and end ------------------------------------------------------------------------------------

    def open(self) -> Guest:
        """Return the guest, which may hold nothing yet."""
        if self.guest is None:
            if _idle:
                self.guest = _idle.pop()
                self.guest.call(Command.FORGET_CODE)
            else:
                self.guest = Guest()
            self.snapshots.begin(self.guest)
            self.guest.release = weakref.WeakMethod(self.release)
            self._end = weakref.finalize(self, _return, self.guest)
        return self.guest

    def begin(self) -> None:
        """Hold the state of the machine's tree, and nothing of it yet. Raises GuestFailure."""
        guest, tree = self.open(), self._machine.state_tree
        tree.settle()
        self.snapshots.write_all()
        self.drop()
        self.absent = 0
        guest.call(Command.ABANDON)
        guest.call(Command.RESET)
        if self._tree is not None:
            self._tree.engine = None
        tree.engine = self
        self.contracts = ContractStates(self._machine, self.known)
        self._tree = tree
        self.note_written()
        self.forget_actors()
        self.note_exchanged()

    def trim(self) -> None:
        """Bound what is known of contracts; called between blocks."""
        self.known.trim()

    def drop(self) -> None:
        """Forget the changes that the guest holds: its state is not the tree's any more."""
        self._burnt, self._writes = 0, -1
        if self._tree is not None:
            self._tree.held = None

    def leave(self) -> None:
        """Drop the state after a call in which the kernel has changed the tree."""
        self._tree = None
        self.drop()

    def release(self) -> None:
        """Close the guest; the next transaction begins with another one."""
        if self.guest is not None and self._end is not None:
            self._end.detach()
            self.guest.close()
        self.guest = None
        self.snapshots.forget()
        self.drop()

    def close_after(self, failure: GuestFailure) -> None:
        """Close the guest after a failure. Raises Fatal if it held changes, which are lost."""
        has_changes = self._tree is not None and self._tree.held is not None
        self.release()
        if has_changes:
            raise Fatal(f"the EVM engine failed, and the block's earlier transactions are lost: {failure}") from failure

    # --- transactions -----------------------------------------------------------------------------------------

    def keep(self, guest: Guest, burnt: int, is_undoable: bool) -> bool:
        """Keep the changes of a transaction that has ended; return True if there are any."""
        tree, before = self._machine.state_tree, (self._burnt, self._kept)
        held = tree.held
        try:
            self._burnt, self._kept = self._burnt + burnt, self._kept + 1 if is_undoable else 0
            tree.held = self
            return bool(guest.call(Command.KEEP))
        except BaseException:
            (self._burnt, self._kept), tree.held = before, held
            raise

    def abandon(self, guest: Guest) -> None:
        """Give up the transaction in execution, and take note of those that the guest kept before an interrupt."""
        try:
            self.note_kept(guest.call(Command.ABANDON) - self._kept)
        except GuestFailure as failure:
            self.close_after(failure)

    def note_kept(self, number: int) -> None:
        """Take note of calls that the guest has kept."""
        if number:
            self._kept += number
            self._machine.state_tree.held = self

    def note_written(self) -> None:
        """Note that the guest holds the state of the tree, as it is now."""
        self._writes = self._machine.state_tree.writes

    def note_exchanged(self) -> None:
        """Note that the guest cannot undo what it has kept."""
        self._generation, self._kept = self._generation + 1, 0

    def forget_actors(self) -> None:
        """Look up the actors of addresses again."""
        self.actors.clear()
        self.addresses.clear()

    # --- the tree's engine ------------------------------------------------------------------------------------

    def mark(self) -> int:
        """Return the number of transactions that `undo` can leave; -1 for a state that is not the tree's."""
        return self._generation * _GENERATION + self._kept if self.is_current else -1

    def undo(self, mark: int) -> None:
        """Undo the transactions since a mark of this state."""
        generation, kept = divmod(mark, _GENERATION)
        if self.guest is None or self._tree is None:
            return
        if generation != self._generation:
            if not self.is_current:
                self.drop()
                return
            kept = 0  # it began after the mark, and nothing had been written since the mark
        if kept != self._kept:
            try:
                self.guest.call(Command.UNDO, COUNT.pack_values(kept))
            except GuestFailure:
                self.release()
                return
            self._kept = kept
        if self._writes != self._tree.writes:  # an actor may get another number
            self.forget_actors()
        self._burnt, self._writes = 0, self._tree.writes

    def settle(self) -> None:
        """Write the changes that the guest holds to the tree, with what was burnt.

        Raises Fatal and the store's errors; the changes are then still held.
        """
        guest, tree, burnt = self.guest, self._tree, self._burnt
        assert guest is not None
        assert tree is not None
        tree.held = None
        mark = tree.begin()
        try:
            self.snapshots.write_all()
            guest.call(Command.DRAIN)
            self._write(tree, guest.output(), burnt)
        except BaseException as error:
            tree.rollback(mark)
            tree.held, self._burnt = self, burnt  # the rollback has reset both
            if isinstance(error, GuestFailure):
                self.close_after(error)
            raise
        tree.commit()
        self._burnt, self._writes = 0, tree.writes
        try:
            guest.call(Command.DRAINED)
        except GuestFailure:
            self.release()

    def write_running(self, changes: bytes) -> None:
        """Write the changes of a running call, and what is held, to the tree (`exchanges`)."""
        self._write(self._machine.state_tree, changes, self._burnt)
        self.forget_actors()

    # --- reading ----------------------------------------------------------------------------------------------

    def account(self, address: EthAddress) -> HeldAccount | None:
        """Return an account, with zeros if there is none; None if the guest does not hold it."""
        guest = self.guest
        if guest is None or not self.is_current:
            return None
        try:
            if not guest.call(Command.READ, address):
                return None
        except GuestFailure as failure:
            self.close_after(failure)
            return None
        data = guest.output()
        held = HELD_ACCOUNT.read(data)
        return HeldAccount(int.from_bytes(held.balance, "big"), held.nonce, data[HELD_ACCOUNT.size :])

    def read(self, address: EthAddress) -> HeldAccount:
        """Return an account as the guest holds it, else as in the state tree; zeros if there is none."""
        held, machine = self.account(address), self._machine
        if held is not None:
            return held
        with machine.state_tree.without_held():
            return Accounts(machine, Journal(), block_of(machine).filecoin_addresses).account(address)

    def word(self, address: EthAddress, slot: int) -> int | None:
        """Return a slot's word; None if the guest does not hold it."""
        guest, request = self.guest, SLOT_REQUEST.pack(address, slot.to_bytes(32, "big"))
        if guest is None or not self.is_current or not guest.call(Command.PEEK, request):
            return None
        return int.from_bytes(guest.output(), "big")
