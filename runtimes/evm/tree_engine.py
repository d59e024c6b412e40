"""An optional second protocol of engines: run a frame with all nested calls.

Such an engine (`TreeEngine`) buffers the changes of a whole call tree and writes them at the end, so its host calls
have no side effects. A tree that reaches an address the engine does not support (`leaves_tree`) is discarded without
effect, and its first frame runs separately (`runtimes.evm.engine.Engine`). With an interceptor between frames
(`TreeMode`), the first frame waits instead, and the tree's changes so far are written.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeGuard

from bridge.ethereum.addresses import EthAddress
from hypervisor.messages.events import StampedEvent
from hypervisor.threads import ShortExecutions
from hypervisor.types import ActorID
from runtimes.evm.code import CodeCache
from runtimes.evm.engine import Engine, EngineRules, Frame, FrameOutcome, Host, TxContext
from runtimes.evm.state_gas import StateGasMeter
from store.cid import Cid

if TYPE_CHECKING:
    from hypervisor.machine.registry import Runtime


class AccountView(NamedTuple):
    """An account at a tree's start. `storage` is the root of its slots before the message."""

    balance: int
    nonce: int
    code: Cid
    code_hash: bytes
    storage: Cid
    was_created: bool


class TreeAccounts(Protocol):
    """The accounts of one message, as read and written by a tree.

    Slots passed in bulk are named by their 32 bytes, little-endian.
    """

    def find(self, address: EthAddress) -> ActorID | None:
        """Return the actor at an address, or None."""

    def existing(self, address: EthAddress) -> ActorID:
        """Return the actor at an address. Raises Fatal if there is none."""

    def view(self, actor: ActorID) -> AccountView | None:
        """Return the contents of an account; None for an actor that is neither a contract nor an account."""

    def balance(self, actor: ActorID | None) -> int:
        """Return the balance, 0 without an actor."""

    def code(self, actor: ActorID | None) -> bytes:
        """Return an account's code."""

    def code_size_and_delegate(self, cid: Cid) -> tuple[int, EthAddress | None]:
        """Return the size of a code, and the address it delegates to, if any."""

    def is_warm(self, address: EthAddress) -> bool:
        """Return True if an address is warm."""

    def has_touched_slots(self, actor: ActorID | None, address: EthAddress) -> bool:
        """Return True if the message has touched slots of an account."""

    def slot_state(self, actor: ActorID | None, address: EthAddress, slot: int) -> tuple[int, int, bool]:
        """Return a slot's original word, current word, and whether it is warm, without touching it."""

    def absent_bits(self, actor: ActorID, slot: int) -> int:
        """Return n such that every slot that equals `slot` above its lowest n bits is zero in the state.

        0 if nothing is known about other slots.
        """

    def load_transient(self, actor: ActorID, slot: int) -> int:
        """Return the word in a transient slot."""

    def add_refund(self, amount: int) -> None:
        """Add to the refund counter; `amount` may be negative."""

    def create_account(self, address: EthAddress) -> ActorID:
        """Create an empty account at an address that has none."""

    def warm(self, address: EthAddress) -> bool:
        """Warm an address; return True if it was warm before."""

    def touch(self, address: EthAddress) -> None:
        """Mark an account for removal at the end if it is empty."""

    def record_lasting_touch(self) -> None:
        """Mark the precompile that stays touched after a rollback."""

    def create(self, actor: ActorID) -> None:
        """Turn the actor into a contract created by this message."""

    def set_nonce(self, actor: ActorID, nonce: int) -> None:
        """Set a nonce."""

    def add_balance(self, actor: ActorID, amount: int) -> None:
        """Change a balance."""

    def set_code(self, actor: ActorID, code: bytes) -> None:
        """Set a contract's code."""

    def was_destroyed(self, actor: ActorID) -> bool:
        """Return True if a contract is marked as destroyed."""

    def destroy(self, actor: ActorID) -> None:
        """Mark a contract as destroyed."""

    def store_all(self, actor: ActorID, words: Iterable[tuple[bytes, int]]) -> None:
        """Write slots."""

    def store_all_transient(self, actor: ActorID, words: Iterable[tuple[bytes, int]]) -> None:
        """Write transient slots."""


class TreeHost(Protocol):
    """The read access of a tree, in the context of its first frame's contract: `actor` at `address`."""

    actor: ActorID
    address: EthAddress
    depth_left: int
    """Number of further nested calls allowed."""
    keeps_changes: bool
    """False for the first frame of a call whose changes are discarded: only the refund and the logs are written."""
    meter: StateGasMeter | None
    """The meter of state gas, if the fork has it."""
    code_limits: tuple[int | None, int | None]
    """Maximum sizes of created code and of init code in bytes; None for no limit."""
    short: ShortExecutions | None
    """The limit of a short execution, checked when a missing value is supplied; None for other executions."""

    @property
    def accounts(self) -> TreeAccounts:
        """The message's accounts."""

    @property
    def message(self) -> object:
        """An object that is the same for every frame of a message."""

    @property
    def memory_used(self) -> int:
        """Bytes of memory held by the frames of this call stack."""

    @property
    def is_stopped(self) -> bool:
        """True if an interrupt has taken the gas away."""

    def leaves_tree(self, address: EthAddress) -> bool:
        """Return True if an engine cannot handle an address and must give up the tree there."""

    def is_watched(self, address: EthAddress) -> bool:
        """Return True if an interceptor handles calls of an address."""

    def run_precompile(self, address: EthAddress, data: bytes, limit: int) -> tuple[bytes, int] | None:
        """Run the precompile at an address; return its output and gas, or None if it fails within `limit`."""

    def get_tx_context(self) -> TxContext:
        """Return the constants of block and message."""

    def emit(self, events: Iterable[StampedEvent]) -> None:
        """Emit logs."""

    @property
    def listens(self) -> bool:
        """True if logs of failed frames are reported (`report_log`)."""

    def report_log(self, event: StampedEvent) -> None:
        """Report a log that will be rolled back."""


class TreeFrameHost(Host, TreeHost, Protocol):
    """The host of a frame whose `tree_mode` is not None."""

    def note_memory(self, size: int) -> None:
        """Record the memory in bytes that the frame has already paid for."""


class TreeEngine(Engine, Protocol):
    """Runs one frame, or a message's first frame with all nested calls."""

    def run_tree(self, frame: Frame, host: TreeHost, gas: int, found: AccountView) -> tuple[FrameOutcome, int] | None:
        """Run a message's first frame on this thread; return its result and the gas used, at most `gas`.

        `found` is the frame's account. Returns None, without effect, if the frame is too long, fails, or is discarded.
        """


class TreeRuntime(Protocol):
    """A runtime of contracts that may have a tree engine."""

    @property
    def codes(self) -> CodeCache:
        """The cache of analysed code."""

    def tree_engine(self, rules: EngineRules) -> TreeEngine | None:
        """Return an engine for a message's first frame, or None if the runtime's engine does not support it."""


_KINDS: dict[type, bool] = {}


def offers_trees(runtime: "Runtime") -> "TypeGuard[TreeRuntime]":
    """Check for a `TreeRuntime` by class: `isinstance` with a protocol takes as long as a small call."""
    kind = type(runtime)
    known = _KINDS.get(kind)
    if known is None:
        known = _KINDS[kind] = hasattr(kind, "tree_engine")
    return known
