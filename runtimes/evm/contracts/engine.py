"""The interface between the EVM actor and the engines: single frames, and frames with all nested calls.

An engine runs one frame: one piece of code in the context of one contract. Storage, blocks, logs and balances are
synchronous calls of the `Host` (EVMC's names). Only calls and creations leave the frame: the engine returns their
`SubcallInputs`, and `resume` continues with the outcome. So no engine frame is on the native stack while another actor
runs, and the machine alone manages rollback, events, depth and re-entrancy. Engine and host share one `GasBudget`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final, NamedTuple, Protocol

from bridge.ethereum.addresses import EthAddress
from bridge.gas import GasBudget
from hypervisor.errors import HypervisorError, OutOfGas
from hypervisor.exit_codes import ExitCode
from hypervisor.tracing import Tracer
from runtimes.evm.contracts.code import Code
from runtimes.evm.contracts.gas_table import OperandPrices
from runtimes.evm.contracts.opcodes import Opcode


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


_FAULTS: Final = {
    Status.STACK_UNDERFLOW: "InsufficientStack",
    Status.STACK_OVERFLOW: "FullStack",
    Status.BAD_JUMPDEST: "InvalidJumpDestination",
}


def fault_name(code: int) -> str:
    """Return the name in traces of what has ended a frame, which is py-evm's name of some errors."""
    if code == ExitCode.SYS_OUT_OF_GAS:
        return OutOfGas.__name__
    return _FAULTS.get(Status(code), Status(code).name)


class CallKind(Enum):
    """The call opcodes; CALLCODE exists only under Ethereum's rules."""

    CALL = "CALL"
    CALLCODE = "CALLCODE"
    STATICCALL = "STATICCALL"
    DELEGATECALL = "DELEGATECALL"


class EngineRules(Protocol):
    """The rules that an engine needs."""

    @property
    def name(self) -> str:
        """A name that identifies the set of rules."""

    @property
    def family(self) -> str:
        """`filecoin` or `ethereum`, which differ in the opcodes that leave a frame."""

    @property
    def operands(self) -> OperandPrices:
        """Dynamic gas of exponents and divisions."""

    def copy_gas(self, size: int) -> int:
        """Return the gas for copying `size` bytes within memory."""

    @property
    def opcodes(self) -> Mapping[int, Opcode]:
        """All opcodes with their static gas prices."""

    @property
    def creation_returns(self) -> bool:
        """True if CREATE sets the return data, empty unless it reverts; otherwise it checks the balance first."""


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
    """The outcome of a call or creation. `output` becomes the return data; `created` is the new contract, if any.

    `exit_code` is that of a call, if it is known.
    """

    success: bool
    output: bytes = b""
    created: EthAddress | None = None
    exit_code: int = 0


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


@dataclass(slots=True, unsafe_hash=True)
class TxContext:
    """Constants of a message and its block. Epoch and seconds; prices in attoFIL per gas."""

    gas_price: Final[int]
    coinbase: Final[EthAddress]
    number: Final[int]
    timestamp: Final[int]
    gas_limit: Final[int]
    chain_id: Final[int]
    base_fee: Final[int]


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
    def steps(self) -> Tracer | None:
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


class EthereumHost(Protocol):
    """The environment of a frame of a session under Ethereum's rules."""

    def execute(self, opcode: int, operands: Sequence[int], memory: bytes = b"") -> tuple[int, bytes]:
        """Execute an instruction, and charge its price; return the word that it pushes, and what it writes to memory.

        The first operand is the top of the stack. What it reads or writes begins at the start of `memory`. Raises
        OutOfGas.
        """


class Engine(Protocol):
    """Executes one frame."""

    def start(self, frame: Frame, host: Host) -> Step:
        """Run until the frame ends or makes a call."""

    def resume(self, outcome: SubcallOutcome) -> Step:
        """Continue with the outcome of the last call or creation."""


EngineFactory = Callable[[], Engine]

U32_MAX: Final = (1 << 32) - 1
"""Maximum memory offset, size and end."""
