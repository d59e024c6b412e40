"""What the kernel asks of the message that it serves, and of the machine: as much of both as its operations need.

`hypervisor.call_manager.CallManager` and `hypervisor.machine_state.MachineState` are what stands there.
"""

from typing import Protocol

from hypervisor.address import Address
from hypervisor.backtrace import Backtrace
from hypervisor.blocks import ScannedBlocks
from hypervisor.call import Call, CallResult, LentCode
from hypervisor.context import MachineContext
from hypervisor.events import StampedEvent
from hypervisor.externs import Externs
from hypervisor.gas import GasTracker
from hypervisor.journal import Journal
from hypervisor.manifest import Manifest
from hypervisor.memory import MemoryBudget
from hypervisor.message_identity import MessageIdentity
from hypervisor.prices import PriceList
from hypervisor.proofs import ProofVerifier
from hypervisor.state_tree import ActorState, StateTree
from hypervisor.tracing import Tracer
from hypervisor.types import ActorID, TokenAmount
from store.buffered import BufferedStore
from store.cid import Cid


class Machine(Protocol):
    """What invocations may know of the machine. Its context may change within a message (`Hypervisor.advance`)."""

    @property
    def context(self) -> MachineContext:
        """The epoch, and the rules of its network version."""

    @property
    def manifest(self) -> Manifest:
        """The built-in actors."""

    @property
    def store(self) -> BufferedStore:
        """Where blocks are."""

    @property
    def blocks(self) -> ScannedBlocks:
        """Blocks whose links are known."""

    @property
    def externs(self) -> Externs:
        """The chain around the machine."""

    @property
    def proofs(self) -> ProofVerifier:
        """What verifies proofs of storage."""

    @property
    def actor_debugging(self) -> bool:
        """Whether actors log."""

    def log_actor(self, actor: ActorID, text: str) -> None:
        """Write a line of an actor's log."""

    def installed_module(self, code: Cid) -> bytes | None:
        """The module that is installed under a code; None for any other block."""

    def has_installed(self, code: Cid) -> bool:
        """Whether a module is installed under a code."""


class Calls(Protocol):
    """A message while it is executed: what its invocations share."""

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
        """The machine that executes it."""

    def send(self, call: Call) -> CallResult:
        """Make a call. Raises SyscallError, OutOfGas, Fatal."""

    @property
    def call_stack(self) -> list[tuple[ActorID, bool]] | None:
        """The actors at work, outermost first, and whether their `upgrade` is; None where no actor upgrades itself."""

    def upgrade(self, call: Call, actor: ActorID, code: Cid) -> CallResult:
        """Give an actor other code and run its `upgrade`. Raises SyscallError, OutOfGas, Fatal."""

    def install(self, code: Cid) -> None:
        """Check and compile a module that the store has. Raises SyscallError."""

    def get_actor(self, actor: ActorID) -> ActorState | None:
        """Look an actor up, at its price."""

    def set_actor(self, actor: ActorID, state: ActorState) -> None:
        """Change or create an actor, at its price."""

    def delete_actor(self, actor: ActorID) -> None:
        """Take an actor out of the state."""

    def create_actor(self, actor: ActorID, code: Cid, delegated: Address | None) -> None:
        """Give code to an ID that the init actor chose."""

    def transfer(self, from_: ActorID, to: ActorID, value: TokenAmount) -> None:
        """Move money. Raises SyscallError."""

    def add_event(self, event: StampedEvent) -> None:
        """Keep an actor's event, unless the call that it is of fails."""
