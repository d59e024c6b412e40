"""Interfaces of the message and the machine for the kernel's operations.

The identity of a message, as an object for weak references.

Implemented by `hypervisor.machine.call_manager.CallManager` and `hypervisor.machine.machine_state.MachineState`.
"""

from __future__ import annotations

from typing import Protocol

from hypervisor.bundles.manifest import Manifest
from hypervisor.context import Externs, MachineContext
from hypervisor.gas import GasTracker, PriceList
from hypervisor.kernel.blocks import ScannedBlocks
from hypervisor.kernel.call import Backtrace, Call, CallResult, CodeTraits, LentCode, MemoryBudget
from hypervisor.messages.address import Address
from hypervisor.messages.events import StampedEvent
from hypervisor.proofs.verifier import ProofVerifier
from hypervisor.state.state_tree import ActorState, StateTree
from hypervisor.state.undo_map import Journal
from hypervisor.threads import ShortExecutions
from hypervisor.tracing import Tracer
from hypervisor.types import ActorID, TokenAmount
from store.blocks.memory import BufferedStore
from store.cid import Cid


class MessageIdentity:
    """An empty object with the lifetime of the message's `CallManager`."""


class Machine(Protocol):
    """The machine as seen by invocations. Its context may change within a message (`Hypervisor.advance`)."""

    @property
    def context(self) -> MachineContext:
        """The epoch, and the rules of its network version."""

    @property
    def manifest(self) -> Manifest:
        """The built-in actors."""

    @property
    def store(self) -> BufferedStore:
        """The blockstore."""

    @property
    def blocks(self) -> ScannedBlocks:
        """Cache of scanned blocks."""

    @property
    def externs(self) -> Externs:
        """Chain data."""

    @property
    def proofs(self) -> ProofVerifier:
        """Verifier of storage proofs."""

    @property
    def actor_debugging(self) -> bool:
        """True if actors log."""

    @property
    def short(self) -> ShortExecutions | None:
        """Limit of the executions; None permits all of them."""

    def traits(self, code: Cid) -> CodeTraits:
        """Return the properties of actors with a code."""

    def log_actor(self, actor: ActorID, text: str) -> None:
        """Log a message of an actor."""

    def installed_module(self, code: Cid) -> bytes | None:
        """Return the module installed under a code CID; None for any other block."""

    def has_installed(self, code: Cid) -> bool:
        """Return True if a module is installed under a code CID."""


class Calls(Protocol):
    """A message during its execution: the state shared by its invocations."""

    identity: MessageIdentity
    lent_code: LentCode | None
    tree: StateTree
    prices: PriceList
    gas: GasTracker
    journal: Journal
    memory: MemoryBudget
    tracer: Tracer | None
    backtrace: Backtrace
    events: list[StampedEvent]
    actors_created: int
    depth: int

    @property
    def machine(self) -> Machine:
        """The machine that executes the message."""

    def send(self, call: Call) -> CallResult:
        """Make a call. Raises SyscallError, OutOfGas and Fatal."""

    @property
    def call_stack(self) -> list[tuple[ActorID, bool]] | None:
        """Active actors, outermost first, each with whether its `upgrade` runs; None if actors cannot upgrade."""

    def upgrade(self, call: Call, actor: ActorID, code: Cid) -> CallResult:
        """Replace an actor's code and run its `upgrade`. Raises SyscallError, OutOfGas and Fatal."""

    def install(self, code: Cid) -> None:
        """Validate and compile a stored module. Raises SyscallError."""

    def get_actor(self, actor: ActorID) -> ActorState | None:
        """Look up an actor, charging for the access."""

    def set_actor(self, actor: ActorID, state: ActorState) -> None:
        """Update or create an actor, charging for the access."""

    def delete_actor(self, actor: ActorID) -> None:
        """Delete an actor from the state."""

    def create_actor(self, actor: ActorID, code: Cid, delegated: Address | None) -> None:
        """Create an actor with the ID that the init actor chose."""

    def transfer(self, from_: ActorID, to: ActorID, value: TokenAmount) -> None:
        """Transfer attoFIL. Raises SyscallError."""

    def add_event(self, event: StampedEvent) -> None:
        """Record an actor's event, which is discarded if the call fails."""
