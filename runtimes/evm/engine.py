"""The interface between the EVM actor and the engines: single frames, and frames with all nested calls.

An engine runs one frame: one piece of code in the context of one contract. Storage, blocks, logs and balances are
synchronous calls of the `Host` (EVMC's names). Only calls and creations leave the frame: the engine returns their
`SubcallInputs`, and `resume` continues with the outcome. So no engine frame is on the native stack while another actor
runs, and the machine alone manages rollback, events, depth and re-entrancy. Engine and host share one `GasBudget`.

Engines may also run a frame with all nested calls, its tree: they buffer the changes of a whole call tree and
write them at the end, so their host calls have no side effects. A tree that reaches an address the engine does not
support (`leaves_tree`) is discarded without effect, and its first frame runs separately. With an interceptor between
frames (`TreeMode`), the first frame waits instead, and the tree's changes so far are written.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final, NamedTuple, Protocol

from bridge.ethereum.addresses import EthAddress
from bridge.gas import GasBudget
from hypervisor.errors import HypervisorError
from hypervisor.messages.events import StampedEvent
from hypervisor.tracing import StepTracer
from hypervisor.types import ActorID
from runtimes.evm.code import Code
from runtimes.evm.gas_table import GasTable, StateGasMeter
from runtimes.evm.opcodes import Opcode
from store.cid import Cid


class Status(IntEnum):
    """Final status of a frame. The numbers are the exit codes of the official EVM actor."""

    SUCCESS = 0
    READ_ONLY = 25
    REVERT = 33
    INVALID_INSTRUCTION = 34
    UNDEFINED_INSTRUCTION = 35
    STACK_UNDERFLOW = 36
    STACK_OVERFLOW = 37
    ILLEGAL_MEMORY_ACCESS = 38
    BAD_JUMPDEST = 39


class CallKind(Enum):
    """The call opcodes; CALLCODE exists only under Ethereum's rules."""

    CALL = "CALL"
    CALLCODE = "CALLCODE"
    STATICCALL = "STATICCALL"
    DELEGATECALL = "DELEGATECALL"


class TreeMode(Enum):
    """Modes of running a frame together with all nested calls."""

    WHOLE = "whole"
    """The whole tree runs in the engine, or the frame runs on its own."""
    WAITING = "waiting"
    """The engine pauses at a call that is handled between frames."""
    OBSERVED = "observed"
    """The engine pauses at every call, for a tracer or an interceptor."""


class TreeRules(Protocol):
    """Additional rules for an engine that runs whole call trees."""

    @property
    def precompiles(self) -> Mapping[EthAddress, str]:
        """Precompiles by address."""

    @property
    def delegations(self) -> bool:
        """True if accounts can delegate to code (EIP-7702)."""

    @property
    def bounded_modexp(self) -> bool:
        """True if the inputs of the MODEXP precompile have a length limit (EIP-7823)."""

    @property
    def repriced_modexp(self) -> bool:
        """True if the MODEXP precompile has the price of EIP-2565 or later."""

    @property
    def clears_empty(self) -> bool:
        """True if empty accounts do not exist (EIP-161)."""

    @property
    def keeps_64th(self) -> bool:
        """True if a caller keeps 1/64 of its gas (EIP-150)."""

    @property
    def pays_for_creation(self) -> bool:
        """True if a creation fails if its code cannot be paid for (EIP-2)."""

    @property
    def reserves_0xef(self) -> bool:
        """True if new code may not begin with the byte 0xEF (EIP-3541)."""

    @property
    def destroys_new_only(self) -> bool:
        """True if SELFDESTRUCT only removes contracts of the same transaction (EIP-6780)."""

    @property
    def transfer_logs(self) -> bool:
        """True if a transfer of value emits a log (EIP-7708)."""

    @property
    def burns_balance(self) -> bool:
        """True if SELFDESTRUCT burns the balance of a removed contract, False if its account keeps it (EIP-8246)."""


class EngineRules(Protocol):
    """The rules that an engine needs."""

    @property
    def name(self) -> str:
        """A name that identifies the set of rules."""

    @property
    def family(self) -> str:
        """`filecoin` or `ethereum`, which differ in the opcodes that leave a frame."""

    @property
    def gas(self) -> GasTable:
        """Dynamic gas prices of opcodes."""

    def copy_gas(self, size: int) -> int:
        """Return the gas for copying `size` bytes within memory."""

    @property
    def opcodes(self) -> Mapping[int, Opcode]:
        """All opcodes with their static gas prices."""

    @property
    def creation_returns(self) -> bool:
        """True if CREATE sets the return data, empty unless it reverts; otherwise it checks the balance first."""

    @property
    def tree(self) -> TreeRules | None:
        """The rules for whole call trees; None if each frame runs on its own."""


class Frame(NamedTuple):
    """The input of a frame. `value` is in attoFIL (wei); `static` forbids state changes."""

    rules: EngineRules
    code: Code
    calldata: bytes
    caller: EthAddress
    address: EthAddress
    value: int
    static: bool


@dataclass(frozen=True, slots=True)
class CallInputs:
    """A call opcode. `gas` is the operand as given, in the machine's gas; `value` is 0 for kinds without one."""

    kind: CallKind
    gas: int
    address: EthAddress
    value: int
    data: bytes


@dataclass(frozen=True, slots=True)
class CreateInputs:
    """CREATE, or CREATE2 if `salt` is given. The creator's balance covers `value`."""

    value: int
    init_code: bytes
    salt: int | None


@dataclass(frozen=True, slots=True)
class SubcallOutcome:
    """The outcome of a call or creation. `output` becomes the return data; `created` is the new contract, if any."""

    success: bool
    output: bytes = b""
    created: EthAddress | None = None


class FrameOutcome(NamedTuple):
    """The end of a frame: return data for SUCCESS, revert data for REVERT, else empty."""

    status: Status
    data: bytes = b""


class FrameStopped(HypervisorError):
    """Raised by a frame's step tracer (`Host.steps`) to end the frame as if it had reverted with these bytes."""

    def __init__(self, output: bytes) -> None:
        super().__init__("a listener has stopped the frame")
        self.output = output


SubcallInputs = CallInputs | CreateInputs
Step = FrameOutcome | CallInputs | CreateInputs


@dataclass(init=False, slots=True, unsafe_hash=True)
class TxContext:
    """Constants of a message and its block. Epoch and seconds; prices in attoFIL per gas."""

    gas_price: Final[int]
    coinbase: Final[EthAddress]
    number: Final[int]
    timestamp: Final[int]
    gas_limit: Final[int]
    chain_id: Final[int]
    base_fee: Final[int]

    def __init__(
        self,
        gas_price: int,
        coinbase: EthAddress,
        number: int,
        timestamp: int,
        gas_limit: int,
        chain_id: int,
        base_fee: int,
    ) -> None:
        self.gas_price = gas_price
        self.coinbase = coinbase
        self.number = number
        self.timestamp = timestamp
        self.gas_limit = gas_limit
        self.chain_id = chain_id
        self.base_fee = base_fee


class Host(Protocol):
    """The environment of a running frame.

    Every method may charge gas and may raise an error that ends the invocation: ActorExit, OutOfGas or Fatal. An
    engine must not catch these. Methods that change state are not called in a static frame.
    """

    gas: GasBudget

    @property
    def message(self) -> object:
        """An object that is the same for every frame of a message."""

    @property
    def steps(self) -> StepTracer | None:
        """The tracer that receives every instruction, or None."""

    def get_refund(self) -> int:
        """Return the refund counter, for traces."""

    def get_storage(self, key: int) -> int:
        """Return the word in a slot, 0 if none was written."""

    def set_storage(self, key: int, value: int) -> None:
        """Write a slot; 0 removes it."""

    def get_transient_storage(self, key: int) -> int:
        """Return the word in a transient slot."""

    def set_transient_storage(self, key: int, value: int) -> None:
        """Write a transient slot."""

    def get_balance(self, address: EthAddress) -> int:
        """Return the balance of an address, 0 if there is no account."""

    def get_self_balance(self) -> int:
        """Return the running contract's balance."""

    def get_code_size(self, address: EthAddress) -> int:
        """Return the size of the code at an address."""

    def get_code_hash(self, address: EthAddress) -> bytes:
        """Return the Keccak-256 of the code at an address; 32 zero bytes if there is no account."""

    def copy_code(self, address: EthAddress) -> bytes:
        """Return the code at an address."""

    def get_tx_context(self) -> TxContext:
        """Return the constants of the block and the message."""

    def get_origin(self) -> EthAddress:
        """Return the message's sender. Not part of the context, because the lookup has a price."""

    def get_prev_randao(self) -> bytes:
        """Return 32 bytes of randomness. Not part of the context, because drawing them has a price."""

    def get_gas_left(self) -> int:
        """Return the result of the GAS opcode: remaining gas in the machine's unit."""

    def get_block_hash(self, number: int) -> bytes:
        """Return the 32-byte hash of one of the last 256 blocks, zeros for any other number."""

    def keccak256(self, data: bytes) -> bytes:
        """Return the hash, at the machine's price."""

    def emit_log(self, topics: Sequence[bytes], data: bytes) -> None:
        """Emit a log with up to four 32-byte topics."""

    def selfdestruct(self, beneficiary: EthAddress) -> None:
        """Transfer the balance and mark the contract as destroyed; the frame ends afterwards."""

    def grow_memory(self, size: int) -> int:
        """Allow the frame `size` bytes of memory in total, at the machine's price; may return a larger limit."""

    def tree_mode(self) -> TreeMode | None:
        """Return how the frame may run with all nested calls; None if it must run on its own."""


class BlobHost(Host, Protocol):
    """The host of a frame under rules with blobs."""

    def get_blob_hash(self, index: int) -> bytes:
        """Return the versioned hash of one of the transaction's blobs, 32 zero bytes after the last."""

    def get_blob_base_fee(self) -> int:
        """Return the block's blob base fee."""

    def get_slot_number(self) -> int:
        """Return the slot number of the block (EIP-7843)."""


class Engine(Protocol):
    """Executes one frame."""

    def start(self, frame: Frame, host: Host) -> Step:
        """Run until the frame ends or makes a call."""

    def resume(self, outcome: SubcallOutcome) -> Step:
        """Continue with the outcome of the last call or creation."""


EngineFactory = Callable[[], Engine]

U32_MAX: Final = (1 << 32) - 1
"""Maximum memory offset, size and end."""


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


class TreeHost(Host, Protocol):
    """The host of a frame whose `tree_mode` is not None: its contract is `actor` at `address`."""

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

    def report_log(self, event: StampedEvent) -> None:
        """Report a log that will be rolled back."""

    def note_memory(self, size: int) -> None:
        """Record the memory in bytes that the frame has already paid for."""
