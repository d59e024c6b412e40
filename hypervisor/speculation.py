"""A message executed before its turn: what it read of the state, what it did, and whether that still holds.

Between two messages of a block nothing is handed on but the state. So a message that was executed on a state in which
everything that it read is as it is now does now what it did there: same receipt, same gas, same changes. What it read
are actors, each as a whole, and addresses that it looked up; blocks need no look, they are named by what they hold and
an actor opens those alone that its state leads to. Money that is credited without a look at what is there (the fees of
every message, at the burnt funds and the reward actor) is an addition, whatever the balance.

`hypervisor.parallel` has worker processes execute messages so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from hypervisor.address import Address, Protocol
from hypervisor.errors import Fatal
from hypervisor.events import EventEntry, StampedEvent
from hypervisor.executor import ApplyResult
from hypervisor.externs import ExternError, Externs
from hypervisor.gas_outputs import GasOutputs
from hypervisor.message import Receipt
from hypervisor.state_tree import ActorState, StateTree
from hypervisor.types import INIT_ACTOR, ActorID, ChainEpoch, Gas, TokenAmount
from store.cid import Cid

PackedActor = tuple[bytes, bytes, int, int, bytes | None]
"""An actor's fields, as the processes of a block hand them on."""

_FIELDS: Final = ("code", "state", "nonce", "balance", "delegated address")


class RecordingTree(StateTree):
    """A state tree that knows what a message reads and writes; only for a process that keeps nothing of it."""

    def __init__(self, tree: StateTree) -> None:
        """Take over what a tree knows: the other one is to be used no more."""
        self._become(tree)
        self.is_blurred = False
        """Whether the message cannot be taken over: it has looked at what it had credited, or has taken that back, so
        that it is no addition, or the chain around the machine had no answer for it here."""
        self._is_silent = False
        self._reads: dict[ActorID, ActorState | None] = {}
        """Actors as the message found them; also those that it wrote."""
        self._lookups: dict[Address, ActorID | None] = {}
        self._written: set[ActorID] = set()
        self._credits: dict[ActorID, int] = {}
        self._changed: set[ActorID] = set()
        """Actors that messages before this one have written here."""

    def start(self) -> None:
        """Begin with a message."""
        self.is_blurred = self._is_silent = False
        self._changed |= self._written
        self._changed.update(self._credits)
        self._reads, self._lookups, self._credits = {}, {}, {}
        self._written = set()

    def effects(self) -> PackedEffects:
        """What the message has read and done since `start`."""
        reads, changed = self._reads, self._changed
        writes: list[tuple[int, PackedActor | None]] = []
        for actor in sorted(self._written):
            state = super().get_actor(actor)
            if state != reads[actor]:
                writes.append((actor, packed_actor(state)))
        return (
            [(actor, packed_actor(state), actor in changed) for actor, state in reads.items()],
            [(address.to_bytes(), actor) for address, actor in self._lookups.items()],
            INIT_ACTOR in changed,
            writes,
            list(self._credits.items()),
        )

    # --- what a message does with the tree --------------------------------------------------------------------

    def get_actor(self, actor: ActorID) -> ActorState | None:
        """The actor's state, None where there is none."""
        state = super().get_actor(actor)
        if actor not in self._reads and not self._is_silent:
            self._reads[actor] = state
            if actor in self._credits:
                self.is_blurred = True
        return state

    def existing(self, actor: ActorID) -> ActorState:
        """The state of an actor that must be there. Raises Fatal where it is not."""
        state = self.get_actor(actor)
        if state is None:
            raise Fatal(f"actor f0{actor} is missing")
        return state

    def set_actor(self, actor: ActorID, state: ActorState) -> None:
        """Write an actor."""
        self.get_actor(actor)
        self._written.add(actor)
        super().set_actor(actor, state)

    def delete_actor(self, actor: ActorID) -> None:
        """Take an actor out of the tree."""
        self.get_actor(actor)
        self._written.add(actor)
        super().delete_actor(actor)

    def credit(self, actor: ActorID, amount: int) -> bool:
        """Add to an actor's balance: where the message has not looked at the actor it need not know it."""
        if actor in self._reads:
            self._written.add(actor)
            return super().credit(actor, amount)
        self._is_silent = True
        try:
            is_there = super().credit(actor, amount)
        finally:
            self._is_silent = False
        if is_there:
            self._credits[actor] = self._credits.get(actor, 0) + amount
        else:
            self._reads[actor] = None
        return is_there

    def lookup_id(self, address: Address) -> ActorID | None:
        """The ID behind an address, None if no actor has it."""
        if address.protocol is Protocol.ID or self._is_silent:
            return super().lookup_id(address)
        self._is_silent = True
        try:
            found = super().lookup_id(address)
        finally:
            self._is_silent = False
        if INIT_ACTOR not in self._reads:  # else what it holds is compared, and all addresses with it
            self._lookups[address] = found
        return found

    def rollback(self, mark: tuple[int, int]) -> None:
        """Undo everything since the mark and close the transaction."""
        if self._credits:
            self.is_blurred = True
        super().rollback(mark)


class WatchedExterns:
    """The chain around a machine, for a process that keeps nothing: where it has no answer, the message is blurred.

    A guest gets an error for that, which it may deal with. The chain of the other process may have the answer: it asks
    other nodes, which this one does not.
    """

    def __init__(self, externs: Externs, tree: RecordingTree) -> None:
        self._externs, self._tree = externs, tree

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        """See `hypervisor.externs.Externs`."""
        with self._watching():
            return self._externs.chain_randomness(epoch)

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        """See `hypervisor.externs.Externs`."""
        with self._watching():
            return self._externs.beacon_randomness(epoch)

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        """See `hypervisor.externs.Externs`."""
        with self._watching():
            return self._externs.tipset_cid(epoch)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        try:
            yield
        except ExternError:
            self._tree.is_blurred = True
            raise


PackedEffects = tuple[
    list[tuple[int, PackedActor | None, bool]],
    list[tuple[bytes, int | None]],
    bool,
    list[tuple[int, PackedActor | None]],
    list[tuple[int, int]],
]
"""What a message read (actors, addresses) and did (actors written, money credited), as values that `marshal` takes.

With each actor that it read, and with all addresses, whether messages before it had changed what it was in the process
that executed them; else it was what the block began with.
"""


@dataclass(frozen=True, slots=True)
class Conflict:
    """What keeps a message from being taken over: what it read first that is otherwise now.

    `fields` are those of the actor that differ: code, state, nonce, balance; `address` is what leads elsewhere now.
    Where the states of an actor of one code differ, `heads` are the one that was read and the one of now.
    """

    message: int
    actor: ActorID | None = None
    fields: tuple[str, ...] = ()
    address: Address | None = None
    code: Cid | None = None
    heads: tuple[Cid, ...] = ()

    def __str__(self) -> str:
        if self.address is not None:
            return f"message {self.message}: {self.address} leads elsewhere"
        return f"message {self.message}: f0{self.actor} ({', '.join(self.fields)})"

    def record(self) -> dict[str, Any]:
        """The conflict as one JSON object of the command line's contract."""
        if self.address is not None:
            return {"message": self.message, "address": str(self.address)}
        return {"message": self.message, "actor": f"f0{self.actor}", "fields": list(self.fields)}


def conflict_of(message: int, tree: StateTree, begun: Cid, effects: PackedEffects) -> Conflict | None:
    """The first thing that a message of a block read and that is otherwise in the tree; None: it can be taken over.

    `begun` is the root that the tree had been flushed to last when the block began: what nobody has written since is
    not looked at.
    """
    reads, lookups, have_changed, _, credited = effects
    written = tree.written_since(begun)
    for actor, before, has_changed in reads:
        if has_changed or written is None or actor in written:
            now = packed_actor(tree.get_actor(ActorID(actor)))
            if now != before:
                return _conflict_at(message, ActorID(actor), before, now)
    if have_changed or written is None or INIT_ACTOR in written:
        for address, found in lookups:
            if tree.lookup_id(Address.from_bytes(address)) != found:
                return Conflict(message, address=Address.from_bytes(address))
    for actor, _ in credited:
        if tree.get_actor(ActorID(actor)) is None:
            return Conflict(message, ActorID(actor), ("existence",))
    return None


def _conflict_at(message: int, actor: ActorID, before: PackedActor | None, now: PackedActor | None) -> Conflict:
    if before is None or now is None:
        return Conflict(message, actor, ("existence",))
    fields = tuple(name for name, one, other in zip(_FIELDS, before, now, strict=True) if one != other)
    (code, head, *_), (other_code, other_head, *_) = before, now
    if code != other_code or head == other_head:
        return Conflict(message, actor, fields)
    return Conflict(message, actor, fields, code=Cid(code), heads=(Cid(head), Cid(other_head)))


def take_over(tree: StateTree, effects: PackedEffects) -> None:
    """Write into the tree what a message did that has no conflict with it."""
    *_, writes, credited = effects
    for actor, packed in writes:
        if packed is None:
            tree.delete_actor(ActorID(actor))
        else:
            tree.set_actor(ActorID(actor), _actor(packed))
    for actor, amount in credited:
        tree.credit(ActorID(actor), amount)


def packed_actor(state: ActorState | None) -> PackedActor | None:
    """An actor as a tuple of plain values."""
    if state is None:
        return None
    delegated = state.delegated_address
    return state.code, state.head, state.nonce, state.balance, None if delegated is None else delegated.to_bytes()


def _actor(packed: PackedActor) -> ActorState:
    code, head, nonce, balance, delegated = packed
    address = None if delegated is None else Address.from_bytes(delegated)
    return ActorState(Cid(code), Cid(head), nonce, TokenAmount(balance), address)


# --- results ----------------------------------------------------------------------------------------------------------

PackedResult = tuple[Any, ...]
"""A result as values that `marshal` takes."""


def packed_result(result: ApplyResult) -> PackedResult:
    """A result that is not fatal, as a tuple."""
    receipt, gas = result.receipt, result.gas
    return (
        int(receipt.exit_code),
        receipt.return_data,
        receipt.gas_used,
        receipt.events_root,
        (
            gas.base_fee_burn,
            gas.over_estimation_burn,
            gas.miner_penalty,
            gas.miner_tip,
            gas.refund,
            gas.gas_refund,
            gas.gas_burned,
        ),
        [(event.emitter, _packed_entries(event.entries)) for event in result.events],
        result.message,
        result.reason,
    )


def _packed_entries(entries: Iterable[EventEntry]) -> list[tuple[int, str, int, bytes]]:
    return [(int(flags), key, codec, value) for flags, key, codec, value in entries]


def unpacked_result(packed: PackedResult) -> ApplyResult:
    """The result of a tuple."""
    exit_code, data, used, root, gas, events, message, reason = packed
    return ApplyResult(
        Receipt(exit_code, data, Gas(used), None if root is None else Cid(root)),
        GasOutputs(*gas),
        tuple(
            StampedEvent(ActorID(emitter), tuple(EventEntry(*entry) for entry in entries))
            for emitter, entries in events
        ),
        message,
        reason,
    )
