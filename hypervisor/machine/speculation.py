"""Speculative execution of a message: its reads and its effects.

Messages of a block share nothing but the state. If everything that a message read is unchanged, executing it again
would give the same receipt, gas and changes. Reads are whole actors and looked-up addresses. Blocks need no check,
since their CIDs identify their content, and an actor opens only blocks reachable from its state. Credits to an actor
that was not read (fees, to the burnt funds and the reward actor) commute with other changes of the balance.

Used by `hypervisor.machine.parallel`, whose worker processes execute messages speculatively.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hypervisor.context import ExternError, Externs
from hypervisor.errors import Fatal
from hypervisor.gas import GasOutputs
from hypervisor.machine.executor import ApplyResult, BlockGas
from hypervisor.messages.address import Address, Protocol
from hypervisor.messages.events import EventEntry, StampedEvent, events_tree
from hypervisor.messages.message import Receipt
from hypervisor.state.state_tree import ActorState, StateTree, TreeMark
from hypervisor.types import INIT_ACTOR, ActorID, ChainEpoch, Gas, TokenAmount
from store.cid import Cid

PackedActor = tuple[bytes, bytes, int, int, bytes | None]
"""Fields of an actor, for transfer between processes."""


class RecordingTree(StateTree):
    """A state tree that records a message's reads and writes, for processes that commit nothing."""

    def __init__(self, tree: StateTree) -> None:
        """Take over the contents of a tree, which must not be used afterwards."""
        self._become(tree)
        self.must_reexecute = False
        """True if the main process must execute the message again.

        Either it read or rolled back a credit, which therefore does not commute, or chain data was not available here.
        """
        self._is_paused = False
        self._reads: dict[ActorID, ActorState | None] = {}
        """Actors as first read by the message; includes those that it wrote."""
        self._lookups: dict[Address, ActorID | None] = {}
        self._written: set[ActorID] = set()
        self._credits: dict[ActorID, int] = {}
        self._changed: set[ActorID] = set()
        """Actors written by previous messages in this process."""

    def start(self) -> None:
        self.must_reexecute = self._is_paused = False
        self._changed |= self._written
        self._changed.update(self._credits)
        self._reads, self._lookups, self._credits = {}, {}, {}
        self._written = set()

    def effects(self) -> PackedEffects:
        """Return the reads and writes of the message since `start`."""
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

    # --- operations of a message ------------------------------------------------------------------------------

    def get_actor(self, actor: ActorID) -> ActorState | None:
        state = super().get_actor(actor)
        if actor not in self._reads and not self._is_paused:
            self._reads[actor] = state
            if actor in self._credits:
                self.must_reexecute = True
        return state

    def existing(self, actor: ActorID) -> ActorState:
        state = self.get_actor(actor)
        if state is None:
            raise Fatal(f"actor f0{actor} is missing")
        return state

    def set_actor(self, actor: ActorID, state: ActorState) -> None:
        self.get_actor(actor)
        self._written.add(actor)
        super().set_actor(actor, state)

    def set_actors(self, states: Mapping[ActorID, ActorState]) -> None:
        for actor, state in states.items():
            self.set_actor(actor, state)

    def delete_actor(self, actor: ActorID) -> None:
        self.get_actor(actor)
        self._written.add(actor)
        super().delete_actor(actor)

    def credit(self, actor: ActorID, amount: int) -> bool:
        """Add to an actor's balance, without recording a read of the actor."""
        if actor in self._reads:
            self._written.add(actor)
            return super().credit(actor, amount)
        self._is_paused = True
        try:
            is_there = super().credit(actor, amount)
        finally:
            self._is_paused = False
        if is_there:
            self._credits[actor] = self._credits.get(actor, 0) + amount
        else:
            self._reads[actor] = None
        return is_there

    def lookup_id(self, address: Address) -> ActorID | None:
        if address.protocol is Protocol.ID or self._is_paused:
            return super().lookup_id(address)
        self._is_paused = True
        try:
            found = super().lookup_id(address)
        finally:
            self._is_paused = False
        if INIT_ACTOR not in self._reads:  # otherwise the init actor's state, with all addresses, is compared
            self._lookups[address] = found
        return found

    def rollback(self, mark: TreeMark) -> None:
        if self._credits:
            self.must_reexecute = True
        super().rollback(mark)


class WatchedExterns:
    """Chain data for a speculating process; marks the message for re-execution if data is not available.

    A guest gets an error in this case, which it may handle. The main process may have the data, because it can query
    other nodes, which this process does not.
    """

    def __init__(self, externs: Externs, tree: RecordingTree) -> None:
        self._externs, self._tree = externs, tree

    def chain_randomness(self, epoch: ChainEpoch) -> bytes:
        """Return the chain randomness; see `hypervisor.context.Externs`."""
        with self._watching():
            return self._externs.chain_randomness(epoch)

    def beacon_randomness(self, epoch: ChainEpoch) -> bytes:
        """Return the beacon randomness; see `hypervisor.context.Externs`."""
        with self._watching():
            return self._externs.beacon_randomness(epoch)

    def tipset_cid(self, epoch: ChainEpoch) -> Cid:
        """Return the tipset CID; see `hypervisor.context.Externs`."""
        with self._watching():
            return self._externs.tipset_cid(epoch)

    def state_root(self, epoch: ChainEpoch) -> Cid:
        """Return the state root; see `hypervisor.context.Externs`."""
        with self._watching():
            return self._externs.state_root(epoch)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        try:
            yield
        except ExternError:
            self._tree.must_reexecute = True
            raise


PackedEffects = tuple[
    list[tuple[int, PackedActor | None, bool]],
    list[tuple[bytes, int | None]],
    bool,
    list[tuple[int, PackedActor | None]],
    list[tuple[int, int]],
]
"""Reads (actors, addresses) and effects (actors written, credits) of a message, in types that `marshal` supports.

Each actor read, and the addresses as a whole, have a flag that is true if previous messages in the same process had
changed them; otherwise the value is that at the start of the block.
"""


def apply_effects(tree: StateTree, effects: PackedEffects) -> None:
    """Apply the effects of a message without conflicts to the tree."""
    *_, writes, credited = effects
    for actor, packed in writes:
        if packed is None:
            tree.delete_actor(ActorID(actor))
        else:
            tree.set_actor(ActorID(actor), _actor(packed))
    for actor, amount in credited:
        tree.credit(ActorID(actor), amount)


def packed_actor(state: ActorState | None) -> PackedActor | None:
    """Convert an actor to a tuple of plain values."""
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
"""A result in types that `marshal` supports."""


def packed_result(result: ApplyResult) -> PackedResult:
    """Convert a result that is not fatal to a tuple."""
    receipt, gas = result.receipt, result.gas
    return (
        int(receipt.exit_code),
        receipt.return_data,
        receipt.gas_used,
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
        result.block_gas,
        result.return_codec,
    )


def _packed_entries(entries: Iterable[EventEntry]) -> list[tuple[int, str, int, bytes]]:
    return [(int(flags), key, codec, value) for flags, key, codec, value in entries]


def unpacked_result(packed: PackedResult) -> ApplyResult:
    """Convert a tuple to a result."""
    exit_code, data, used, gas, emitted, message, reason, block_gas, codec = packed
    events = tuple(
        StampedEvent(ActorID(emitter), tuple(EventEntry(*entry) for entry in entries)) for emitter, entries in emitted
    )
    root, event_blocks = events_tree(events) if events else (None, ())
    return ApplyResult(
        Receipt(exit_code, data, Gas(used), root),
        GasOutputs(*gas),
        events,
        message,
        reason,
        block_gas=None if block_gas is None else BlockGas(*block_gas),
        return_codec=codec,
        event_blocks=event_blocks,
    )
