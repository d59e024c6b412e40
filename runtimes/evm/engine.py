"""The seam between the EVM actor and whatever executes bytecode.

An engine runs one frame: one piece of code in the name of one contract. Storage, blocks, logs and balances are
synchronous calls of the `Host` (EVMC's names); only calls and creations leave the frame, as an `Ask` that the engine
returns and that is answered by `resume`. So no engine frame is on the native stack while another actor runs, and
rollback, events, depth and re-entrancy have one owner, the machine. Gas is a `GasBudget` that engine and host share.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final, NamedTuple, Protocol

from bridge.addresses import EthAddress
from bridge.gas import GasBudget
from hypervisor.errors import HypervisorError
from hypervisor.tracing import StepTracer
from runtimes.evm.code import Code
from runtimes.evm.gas_table import GasTable
from runtimes.evm.opcodes import Opcode


class Status(IntEnum):
    """How a frame ends. The numbers are the exit codes of the official EVM actor."""

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
    """The call opcodes; CALLCODE exists under Ethereum's rules only."""

    CALL = "CALL"
    CALLCODE = "CALLCODE"
    STATICCALL = "STATICCALL"
    DELEGATECALL = "DELEGATECALL"


class TreeMode(Enum):
    """How a frame may run with all that it calls (`runtimes.evm.tree_engine`)."""

    WHOLE = "whole"
    """As a whole, or not at all."""
    WAITING = "waiting"
    """It waits where something stands between frames that answers a call."""
    SEEN = "seen"
    """It waits at each call that it makes: a tracer or an interceptor wants to see them."""


class TreeRules(Protocol):
    """What an engine that runs whole trees (`runtimes.evm.tree_engine`) must know of a set of rules besides."""

    @property
    def precompiles(self) -> Mapping[EthAddress, str]:
        """The functions at fixed addresses."""

    @property
    def delegations(self) -> bool:
        """Whether accounts lend themselves code (EIP-7702)."""

    @property
    def bounded_modexp(self) -> bool:
        """Whether the inputs of the MODEXP precompile have a length limit (EIP-7823)."""


class EngineRules(Protocol):
    """What an engine must know of a set of rules."""

    @property
    def name(self) -> str:
        """Different for every two sets that differ."""

    @property
    def family(self) -> str:
        """`filecoin` or `ethereum`: where the opcodes that leave a frame differ."""

    @property
    def gas(self) -> GasTable:
        """What opcodes cost beyond their flat prices."""

    def copy_gas(self, size: int) -> int:
        """What copying N bytes within memory costs."""

    @property
    def opcodes(self) -> Mapping[int, Opcode]:
        """Every opcode with its flat price."""

    @property
    def creation_returns(self) -> bool:
        """Whether a creation clears the return data and leaves a refusal's; if not, it looks at the balance first."""

    @property
    def tree(self) -> TreeRules | None:
        """What a whole tree of calls needs to know; None where each frame runs by itself."""


class Frame(NamedTuple):
    """What a frame starts from. `value` is in attoFIL (wei); `static` forbids every change of state."""

    rules: EngineRules
    code: Code
    calldata: bytes
    caller: EthAddress
    address: EthAddress
    value: int
    static: bool


@dataclass(frozen=True, slots=True)
class CallAsk:
    """A call opcode. `gas` is the operand as it stands, in the machine's gas; `value` is 0 where there is none."""

    kind: CallKind
    gas: int
    address: EthAddress
    value: int
    data: bytes


@dataclass(frozen=True, slots=True)
class CreateAsk:
    """CREATE, or CREATE2 where `salt` is given. The creator has the balance for `value`."""

    value: int
    init_code: bytes
    salt: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of an Ask. `output` becomes the return data; `created` is the new contract, where there is one."""

    success: bool
    output: bytes = b""
    created: EthAddress | None = None


class FrameOutcome(NamedTuple):
    """The end of a frame: returned data for SUCCESS, revert data for REVERT, else empty."""

    status: Status
    data: bytes = b""


class FrameStopped(HypervisorError):
    """Who listens to a frame's instructions (`Host.steps`) ends the frame as if it had reverted with these bytes."""

    def __init__(self, output: bytes) -> None:
        super().__init__("a listener has stopped the frame")
        self.output = output


Ask = CallAsk | CreateAsk
Step = FrameOutcome | CallAsk | CreateAsk


@dataclass(frozen=True, slots=True)
class TxContext:
    """What does not change within a message. Epoch and seconds; prices in attoFIL for one gas."""

    gas_price: int
    coinbase: EthAddress
    number: int
    timestamp: int
    gas_limit: int
    chain_id: int
    base_fee: int


class Host(Protocol):
    """What a frame may ask of the world while it runs.

    Any method may charge gas and may raise what ends the invocation as a whole: ActorExit, OutOfGas or Fatal. An
    engine lets those pass. Methods that change state are not called in a static frame.
    """

    gas: GasBudget

    @property
    def message(self) -> object:
        """The same object for every frame of a message."""

    @property
    def steps(self) -> StepTracer | None:
        """Who wants every instruction."""

    def get_refund(self) -> int:
        """The refund counter, for traces."""

    def get_storage(self, key: int) -> int:
        """The word in a slot, 0 if none was written."""

    def set_storage(self, key: int, value: int) -> None:
        """Write a slot; 0 removes it."""

    def get_transient_storage(self, key: int) -> int:
        """The word in a slot that lives for the message."""

    def set_transient_storage(self, key: int, value: int) -> None:
        """Write a slot that lives for the message."""

    def get_balance(self, address: EthAddress) -> int:
        """The balance behind an address, 0 where nothing is."""

    def get_self_balance(self) -> int:
        """The running contract's balance."""

    def get_code_size(self, address: EthAddress) -> int:
        """The length of the code behind an address."""

    def get_code_hash(self, address: EthAddress) -> bytes:
        """Its keccak-256; 32 zero bytes where nothing is."""

    def copy_code(self, address: EthAddress) -> bytes:
        """The code itself."""

    def get_tx_context(self) -> TxContext:
        """Block and message."""

    def get_origin(self) -> EthAddress:
        """The sender of the message. Apart from the context because looking it up has a price."""

    def get_prev_randao(self) -> bytes:
        """32 bytes of randomness. Apart from the context because drawing them has a price."""

    def get_gas_left(self) -> int:
        """What the GAS opcode answers: gas left, in the machine's own unit."""

    def get_block_hash(self, number: int) -> bytes:
        """The 32-byte hash of one of the last 256 blocks, zeros for any other number."""

    def keccak256(self, data: bytes) -> bytes:
        """The hash, at the machine's price."""

    def emit_log(self, topics: Sequence[bytes], data: bytes) -> None:
        """Emit a log of up to four 32-byte topics."""

    def selfdestruct(self, beneficiary: EthAddress) -> None:
        """Pay out and mark the contract as destroyed; the frame ends after it."""

    def grow_memory(self, size: int) -> int:
        """Allow the frame `size` bytes of memory in all, at the machine's price; the answer may be more generous."""

    def tree_mode(self) -> TreeMode | None:
        """How an engine that is able to may run the frame with all that it calls; None where it runs by itself."""


class BlobHost(Host, Protocol):
    """The host of a frame whose rules have blobs."""

    def get_blob_hash(self, index: int) -> bytes:
        """The versioned hash of one of the transaction's blobs, 32 zero bytes after the last."""

    def get_blob_base_fee(self) -> int:
        """The price of blob gas in the block."""


class Engine(Protocol):
    """Runs one frame."""

    def start(self, frame: Frame, host: Host) -> Step:
        """Run until the frame ends or asks."""

    def resume(self, answer: Answer) -> Step:
        """Go on after the ask."""


EngineFactory = Callable[[], Engine]

U32_MAX: Final = (1 << 32) - 1
"""Memory offsets, sizes and ends above this are illegal."""
