"""The optional second protocol of an engine: run a frame with all that it calls.

Such an engine (`TreeEngine`) keeps what a whole tree of calls changes to itself and writes it at the end, so nothing
is asked of the host meanwhile that could change anything. A tree that meets what the engine does not know
(`leaves_tree`) is left, and its first frame runs by itself (`runtimes.evm.engine.Engine`): nothing has happened then.
Where something stands between frames (`TreeMode`) the first frame waits instead, and what the tree has done until
then is written.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeGuard

from bridge.addresses import EthAddress
from hypervisor.events import StampedEvent
from hypervisor.types import ActorID
from runtimes.evm.code import CodeCache
from runtimes.evm.engine import Engine, EngineRules, Frame, FrameOutcome, Host, TxContext
from store.cid import Cid

if TYPE_CHECKING:
    from hypervisor.runtime import Runtime


class AccountView(NamedTuple):
    """An account as a tree begins with it. `storage`: the root of its slots before the message."""

    balance: int
    nonce: int
    code: Cid
    code_hash: bytes
    storage: Cid
    was_created: bool


class TreeAccounts(Protocol):
    """The accounts of one message, as a tree looks at them and writes what it has changed. Slots are named by their 32
    bytes, little-endian, where they come in numbers.
    """

    def find(self, address: EthAddress) -> ActorID | None:
        """The actor behind an address, if it exists."""

    def existing(self, address: EthAddress) -> ActorID:
        """The actor behind an address that has one. Raises Fatal."""

    def view(self, actor: ActorID) -> AccountView | None:
        """What an account holds; None for an actor that is neither a contract nor an account."""

    def balance(self, actor: ActorID | None) -> int:
        """The balance, 0 where there is no actor."""

    def code(self, actor: ActorID | None) -> bytes:
        """An account's code."""

    def code_size_and_delegate(self, cid: Cid) -> tuple[int, EthAddress | None]:
        """The size of code, and whose code it lends, where that is all it does."""

    def is_warm(self, address: EthAddress) -> bool:
        """Whether the message has looked at an address."""

    def knows_slots(self, actor: ActorID | None, address: EthAddress) -> bool:
        """Whether the message has touched slots of an account."""

    def slot_state(self, actor: ActorID | None, address: EthAddress, slot: int) -> tuple[int, int, bool]:
        """A slot's word before the message, its word now, and whether it is warm; nothing is touched."""

    def load_transient(self, actor: ActorID, slot: int) -> int:
        """A slot that lives for the message."""

    def add_refund(self, amount: int) -> None:
        """Count a refund, which may be negative."""

    def create_account(self, address: EthAddress) -> ActorID:
        """A new, empty account at an address that has none."""

    def warm(self, address: EthAddress) -> bool:
        """Note that an address was looked at; whether it was before."""

    def touch(self, address: EthAddress) -> None:
        """Note that an account was part of a call: it goes if it is empty in the end."""

    def create(self, actor: ActorID) -> None:
        """Make the actor a contract of this message."""

    def set_nonce(self, actor: ActorID, nonce: int) -> None:
        """Set a nonce."""

    def add_balance(self, actor: ActorID, amount: int) -> None:
        """Change a balance."""

    def set_code(self, actor: ActorID, code: bytes) -> None:
        """Set a contract's code."""

    def destroy(self, actor: ActorID) -> None:
        """Mark a contract as destroyed."""

    def store_all(self, actor: ActorID, words: Iterable[tuple[bytes, int]]) -> None:
        """Write slots."""

    def store_all_transient(self, actor: ActorID, words: Iterable[tuple[bytes, int]]) -> None:
        """Write slots that live for the message."""


class TreeHost(Protocol):
    """What a tree may look at: the world of its first frame's contract, `actor` at `address`."""

    actor: ActorID
    address: EthAddress
    depth_left: int
    """How many more calls may nest."""
    code_limit: int | None
    """The longest code that may be created; None: any."""

    @property
    def accounts(self) -> TreeAccounts:
        """The message's accounts."""

    @property
    def message(self) -> object:
        """The same object for every frame of a message."""

    @property
    def memory_used(self) -> int:
        """Bytes of memory that the frames below hold."""

    @property
    def is_stopped(self) -> bool:
        """Whether an interrupt has taken the gas away."""

    def leaves_tree(self, address: EthAddress) -> bool:
        """Whether an engine cannot know what is at an address: it has to leave the tree there."""

    def is_watched(self, address: EthAddress) -> bool:
        """Whether something answers calls of an address in its place."""

    def run_precompile(self, address: EthAddress, data: bytes, limit: int) -> tuple[bytes, int] | None:
        """What the function at an address answers, and the gas that it uses; None where it fails within `limit`."""

    def get_tx_context(self) -> TxContext:
        """Block and message."""

    def emit(self, events: Iterable[StampedEvent]) -> None:
        """Emit logs."""

    @property
    def listens(self) -> bool:
        """Whether logs that will not be kept are reported (`report_log`)."""

    def report_log(self, event: StampedEvent) -> None:
        """Report a log that will not be kept."""


class TreeFrameHost(Host, TreeHost, Protocol):
    """The host of a frame whose `tree_mode` is not None."""

    def note_memory(self, size: int) -> None:
        """Take note of memory that the frame has paid for itself, in bytes."""


class TreeEngine(Engine, Protocol):
    """Runs one frame, or a message's first frame with all that it calls."""

    def run_tree(self, frame: Frame, host: TreeHost, gas: int, found: AccountView) -> tuple[FrameOutcome, int] | None:
        """Run a message's first frame on this thread; how it ends, and the gas that it used of `gas`.

        `found` is the frame's account. None where it is too long for that, fails, or is left: nothing has happened.
        """


class TreeRuntime(Protocol):
    """A runtime of contracts that may have such an engine."""

    @property
    def codes(self) -> CodeCache:
        """Analysed code."""

    def tree_engine(self, rules: EngineRules) -> TreeEngine | None:
        """An engine for a message's first frame, where the runtime's engine is one."""


_KINDS: dict[type, bool] = {}


def offers_trees(runtime: "Runtime") -> "TypeGuard[TreeRuntime]":
    """Whether a runtime is a `TreeRuntime`, by its class: a protocol's `isinstance` takes as long as a small call."""
    kind = type(runtime)
    known = _KINDS.get(kind)
    if known is None:
        known = _KINDS[kind] = hasattr(kind, "tree_engine")
    return known
