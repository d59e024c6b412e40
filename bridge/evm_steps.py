"""Instructions of EVM engines as trace events, and their EIP-3155 form.

Between a call's `CallStarted` and `CallEnded`, a contract's frame is a sequence of steps, each followed by its costs,
or by the fault that ended the frame. Gas is the engine's: Ethereum's under its rules, the derived budget under
Filecoin's.

A line of EIP-3155 has pc, op, gas and gasCost (hex), memSize (bytes), stack (hex, top last), depth (1 for the first
frame), refund and opName; a failing instruction also has `error`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from bridge.ethereum.addresses import EthAddress
from hypervisor.tracing import BeforeCall, CallEnded, CallNode, CallStarted, Detail, RuntimeEvent, TraceEvent, Tracer


@dataclass(frozen=True, slots=True)
class CodeBorrowed(BeforeCall):
    """The following call runs the code of `address` in the contract's own context, because of `opcode`."""

    address: EthAddress
    opcode: str


@dataclass(frozen=True, slots=True)
class EvmFrame(RuntimeEvent):
    """A frame begins: its code and the contract's address. Emitted between a call's start and end."""

    address: EthAddress
    code: bytes


@dataclass(frozen=True, slots=True)
class CodeDeployed(RuntimeEvent):
    """The innermost frame, a creation, has stored its contract's code."""

    code: bytes


@dataclass(frozen=True, slots=True)
class SelfDestructed(RuntimeEvent):
    """The innermost frame ended with SELFDESTRUCT: `address` had a `balance` in attoFIL (wei) for `beneficiary`.

    Emitted under Ethereum's rules. Under Filecoin's the payment is a call.
    """

    address: EthAddress
    beneficiary: EthAddress
    balance: int


@dataclass(frozen=True, slots=True)
class SlotWritten(RuntimeEvent):
    """The innermost frame has changed a storage slot of its contract.

    `refund` is the change of the refund counter in gas; it may be negative.
    """

    slot: int
    before: int
    after: int
    refund: int = 0


@dataclass(frozen=True, slots=True)
class StateGasUsed(RuntimeEvent):
    """The innermost call succeeded and used `amount` of state gas (EIP-8037), a part of its gas.

    Nested calls are included, and what they return is subtracted, so the amount may be negative.
    """

    amount: int


@dataclass(frozen=True, slots=True)
class PrecompileRefusal(RuntimeEvent):
    """A Filecoin precompile rejected its input before making a call."""

    address: EthAddress
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class FundsMissing(RuntimeEvent):
    """The innermost frame called or created with more value than its balance; no call was made.

    `address` is the callee or the contract to create, `data` the calldata or init code, `gas` the gas that the call
    would have received; `value` and `balance` are in attoFIL (wei).
    """

    address: EthAddress
    data: bytes
    value: int
    balance: int
    creates: bool = False
    gas: int = 0


@dataclass(frozen=True, slots=True)
class CreationCollision(RuntimeEvent):
    """The innermost frame tried to create a contract at an address that already has one; the init code did not run.

    `data` is the init code, `value` is in attoFIL (wei), `gas` is the gas that the creation would have received.
    `creates` is always True, as in `FundsMissing`.
    """

    address: EthAddress
    data: bytes
    value: int
    gas: int
    creates: bool = True


@dataclass(frozen=True, slots=True)
class ParametersTooLarge(RuntimeEvent):
    """The innermost frame called with more data than the parameters of a call may have; no call was made.

    `data` is the calldata, `value` is in attoFIL, `reason` names the limit. `creates` is always False, as in
    `FundsMissing`.
    """

    address: EthAddress
    data: bytes
    value: int
    reason: str
    creates: bool = False
    gas: int = 0


@dataclass(slots=True, unsafe_hash=True)
class EvmStep(RuntimeEvent):
    """An instruction is about to run. The top of the stack is last; `refund` is the transaction's refund counter."""

    pc: Final[int]
    opcode: Final[int]
    name: Final[str]
    gas: Final[int]
    stack: Final[tuple[int, ...]]
    memory: Final[bytes]
    return_data: Final[bytes]
    refund: Final[int]


@dataclass(slots=True, unsafe_hash=True)
class EvmCost(RuntimeEvent):
    """A part of the cost of the frame's last step; gas passed to a call is included, as in geth."""

    gas: Final[int]


@dataclass(frozen=True, slots=True)
class EvmFault(RuntimeEvent):
    """The frame's last step failed, which ends the frame."""

    reason: str


def forward_step(tracer: Tracer, event: RuntimeEvent) -> None:
    """Give a tracer an instruction, or only its program counter if it needs no more."""
    if tracer.detail is not Detail.COUNTERS:
        tracer.step(event)
    elif isinstance(event, EvmStep):
        tracer.visit(event.pc)


def evm_frame(call: CallNode) -> EvmFrame | None:
    """Return the frame of a recorded call; None if it ran no contract code."""
    return next((item for item in call.items if isinstance(item, EvmFrame)), None)


def runs_no_code(call: CallNode, step: EvmStep) -> bool:
    """Return True for the STOP that stands for a call without code, of which geth knows no instruction."""
    if step.opcode or step.pc:
        return False
    frame = evm_frame(call)
    return frame is not None and not frame.code


class Instruction(NamedTuple):
    """An executed instruction: call depth from 1, total gas charged, and the failure's reason (empty on success)."""

    step: EvmStep
    depth: int
    cost: int = 0
    fault: str = ""


def instructions(events: Iterable[TraceEvent]) -> Iterator[Instruction]:
    """Yield the executed instructions of a trace event stream, in order."""
    depth = 0
    last: Instruction | None = None
    for event in events:
        match event:
            case EvmCost() if last is not None:
                last = last._replace(cost=last.cost + event.gas)
            case EvmFault() if last is not None:
                last = last._replace(fault=last.fault or event.reason)
            case EvmStep() | CallStarted() | CallEnded():
                if last is not None:
                    yield last
                last = Instruction(event, depth) if isinstance(event, EvmStep) else None
                depth += isinstance(event, CallStarted) - isinstance(event, CallEnded)
            case _:
                pass
    if last is not None:
        yield last


def line(instruction: Instruction) -> dict[str, Any]:
    """Return an instruction in EIP-3155 format."""
    step = instruction.step
    fields = {
        "pc": step.pc,
        "op": step.opcode,
        "gas": hex(step.gas),
        "gasCost": hex(instruction.cost),
        "memSize": len(step.memory),
        "stack": [hex(word) for word in step.stack],
        "depth": instruction.depth,
        "returnData": "0x" + step.return_data.hex(),
        "refund": step.refund,
        "opName": step.name,
    }
    return {**fields, "error": instruction.fault} if instruction.fault else fields


def summary(state_root: bytes, output: bytes, gas_used: int, passed: bool, fork: str, error: str) -> dict[str, Any]:
    """Build the EIP-3155 summary, which is the last line of a trace."""
    fields = {
        "stateRoot": "0x" + state_root.hex(),
        "output": "0x" + output.hex(),
        "gasUsed": hex(gas_used),
        "pass": passed,
        "fork": fork,
    }
    return {**fields, "error": error} if error else fields
