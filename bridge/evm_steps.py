"""What an EVM engine tells a tracer that wants every instruction. Traces of every format are made of these events.

Between a call's `CallStarted` and its `CallEnded` a contract's frame is a row of steps, each with the costs that are
known after it, or with the fault that ended the frame. Gas is the engine's: Ethereum's under its rules, the derived
budget under Filecoin's.
"""

from dataclasses import dataclass

from bridge.addresses import EthAddress
from hypervisor.tracing import RuntimeEvent


@dataclass(frozen=True, slots=True)
class CodeBorrowed(RuntimeEvent):
    """The call that follows runs the code at an address in the contract's own name, by an opcode (its name)."""

    address: EthAddress
    opcode: str


@dataclass(frozen=True, slots=True)
class EvmFrame(RuntimeEvent):
    """A frame begins: the code that it runs, and the contract in whose name. Between a call's start and its end."""

    address: EthAddress
    code: bytes


@dataclass(frozen=True, slots=True)
class CodeDeployed(RuntimeEvent):
    """The innermost frame, a creation, has stored its contract's code."""

    code: bytes


@dataclass(frozen=True, slots=True)
class SlotWritten(RuntimeEvent):
    """The innermost frame has changed a storage slot of its contract."""

    slot: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class PrecompileRefusal(RuntimeEvent):
    """One of Filecoin's precompiles refuses what the innermost frame asks, before any call is made."""

    address: EthAddress
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class FundsMissing(RuntimeEvent):
    """The innermost frame calls, or `creates`, with more value than it has: refused before any call is made.

    `address` is who would be called or created, `data` calldata or init code; value and balance in attoFIL (wei).
    """

    address: EthAddress
    data: bytes
    value: int
    balance: int
    creates: bool = False


@dataclass(frozen=True, slots=True)
class EvmStep(RuntimeEvent):
    """An instruction is about to run. The stack's top is last; `refund` is the counter of the whole transaction."""

    pc: int
    opcode: int
    name: str
    gas: int
    stack: tuple[int, ...]
    memory: bytes
    return_data: bytes
    refund: int


@dataclass(frozen=True, slots=True)
class EvmCost(RuntimeEvent):
    """A part of the cost of the last step of this frame; gas handed to a call counts, as geth shows it."""

    gas: int


@dataclass(frozen=True, slots=True)
class EvmFault(RuntimeEvent):
    """The last step of this frame failed, and the frame with it."""

    reason: str
