"""Cheatcodes that watch single instructions: safe memory ranges and debug recordings.

Memory accesses are checked by forge's rules (`vm.expectSafeMemory`): an instruction that writes must stay within one
range; one that reads may also access memory that already exists. A call that needs it begins again, and runs on the
plain engine, which reports each instruction before it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress
from bridge.evm_steps import CodeBorrowed, EvmFault, EvmFrame, EvmStep, forward_step
from hypervisor.errors import OutOfGas
from hypervisor.tracing import (
    CallEnded,
    CallStarted,
    Detail,
    RuntimeEvent,
    TraceEvent,
    Tracer,
)  # fmt: skip
from hypervisor_tools.soltest.cheatcodes.context import Context
from hypervisor_tools.soltest.cheatcodes.failures import CheatcodeFailure
from hypervisor_tools.soltest.cheatcodes.state import (
    MAX_STEP_MEMORY,
    MAX_STEPS,
    VM_ADDRESS,
    DebugRecording,
    DebugStep,
    State,
)
from hypervisor_tools.soltest.cheatcodes.table import cheatcode, selector
from runtimes.evm import OPCODE_NUMBERS, FrameStopped
from runtimes.evm.revm import CannotObserve

Range = tuple[int, int]
"""First byte, and the byte after the last."""
SCRATCH: Final[Range] = (0, 0x60)
"""Memory that solc's code may always write: scratch space and the free memory pointer."""

_MAX_OFFSET: Final = (1 << 64) - 1
_WORD: Final = 32
_MLOAD, _MSTORE, _MSTORE8, _CALL = (OPCODE_NUMBERS[name] for name in ("MLOAD", "MSTORE", "MSTORE8", "CALL"))
_CALLCODE: Final = 0xF2
_WRITES: Final = {OPCODE_NUMBERS[name]: at for name, at in {
    "CALLDATACOPY": (0, 2), "CODECOPY": (0, 2), "RETURNDATACOPY": (0, 2), "EXTCODECOPY": (1, 3), "CALL": (5, 6),
    "STATICCALL": (4, 5), "DELEGATECALL": (4, 5),
}.items()} | {_CALLCODE: (5, 6)}  # fmt: skip
"""Stack positions, from 0 at the top, of offset and size of written memory."""
_MEMORY_READS: Final = {OPCODE_NUMBERS[name]: at for name, at in {
    "KECCAK256": (0, 1), "LOG0": (0, 1), "LOG1": (0, 1), "LOG2": (0, 1), "LOG3": (0, 1), "LOG4": (0, 1),
    "CREATE": (1, 2), "CREATE2": (1, 2), "RETURN": (0, 1), "REVERT": (0, 1),
}.items()}  # fmt: skip
"""Stack positions, from 0 at the top, of offset and size of read memory."""
_STOP: Final = selector("stopExpectSafeMemory()")


def check_memory(ranges: Sequence[Range], step: EvmStep) -> None:
    """Raise FrameStopped with forge's message if the instruction leaves all ranges."""
    stack, opcode = step.stack[::-1], step.opcode
    operands = _WRITES.get(opcode) or _MEMORY_READS.get(opcode)
    if operands is not None and len(stack) > operands[1]:
        offset, size = (min(stack[position], _MAX_OFFSET) for position in operands)
        last = offset + max(0, size - 1)
        grows = max(offset, offset + size - 1) >= len(step.memory)
        if not _fits(ranges, offset, last) and (opcode in _WRITES or grows) and not _stops(step, stack):
            raise _violation(ranges, offset, size)
    elif opcode in (_MLOAD, _MSTORE, _MSTORE8) and stack:
        offset, size = min(stack[0], _MAX_OFFSET), 1 if opcode == _MSTORE8 else _WORD
        is_allocated = opcode == _MLOAD and offset < len(step.memory)
        if not is_allocated and not _fits(ranges, offset, offset + size - 1) and not _stores_stop(opcode, stack):
            raise _violation(ranges, offset, size)


def _fits(ranges: Sequence[Range], first: int, last: int) -> bool:
    return any(start <= first and last < end for start, end in ranges)


def _stores_stop(opcode: int, stack: Sequence[int]) -> bool:
    """Return True if the instruction stores the selector of `stopExpectSafeMemory`, as before a call of it."""
    return opcode == _MSTORE and len(stack) > 1 and stack[1].to_bytes(_WORD, "big").startswith(_STOP)


def _stops(step: EvmStep, stack: Sequence[int]) -> bool:
    """Return True if the instruction calls `stopExpectSafeMemory`."""
    at = stack[3] if step.opcode == _CALL else 0
    is_vm = step.opcode == _CALL and stack[1].to_bytes(_WORD, "big")[12:] == VM_ADDRESS
    return is_vm and step.memory[at : at + len(_STOP)] == _STOP


def _violation(ranges: Sequence[Range], offset: int, size: int) -> FrameStopped:
    safe = " U ".join(f"[0x{start:02X}, 0x{end:02X})" for start, end in ranges)
    text = f"memory write at offset 0x{offset:02X} of size 0x{size:02X} not allowed; safe range: {safe}"
    return FrameStopped(text.encode())


class StateOwner(Protocol):
    """An owner of a test's state, which is replaced after each test."""

    state: State


class NeedsSteps(CannotObserve):  # not an error: the call begins again with a `StepWatch`
    """Raised if a cheatcode watches instructions of a call that has begun without."""


class StepWatch(Tracer):
    """The wrapping tracer of one call, which must see each instruction before it runs."""

    detail = Detail.STEPS

    def __init__(self, cheats: StateOwner, before: Tracer | None) -> None:
        self._cheats = cheats
        self.before = before or Tracer()
        self._depth = 0
        self._contracts: dict[int, EthAddress] = {}
        """Address whose code the frame at each depth runs."""
        self._last: dict[int, int] = {}
        """Index of the last recorded instruction at each depth."""
        self._borrowed: EthAddress | None = None

    def event(self, event: TraceEvent, /) -> None:
        """Record whose code a frame runs, and forward the event."""
        if isinstance(event, CallStarted):
            self._depth += 1
        elif isinstance(event, CallEnded):
            self._depth -= 1
        elif isinstance(event, CodeBorrowed):
            self._borrowed = event.address
        elif isinstance(event, EvmFrame):
            self._contracts[self._depth] = self._borrowed or event.address
            self._last.pop(self._depth, None)
            self._borrowed = None
        self.before.event(event)

    def step(self, event: RuntimeEvent, /) -> None:
        """Record and check an instruction, and forward it to the wrapped tracer if it accepts steps."""
        forward_step(self.before, event)
        state = self._cheats.state
        if state.steps is not None:
            self._record(state.steps, event)
        if state.safe_memory and isinstance(event, EvmStep):
            ranges = state.safe_memory.get(self._depth)
            if ranges is not None:
                check_memory(ranges, event)

    def _record(self, recording: DebugRecording, event: RuntimeEvent) -> None:
        depth, steps = self._depth, recording.steps
        last = self._last.get(depth, len(steps))
        if isinstance(event, EvmFault) and event.reason == OutOfGas.__name__ and last < len(steps):
            steps[last] = steps[last]._replace(out_of_gas=True)
        if isinstance(event, EvmStep) and not recording.is_cut:
            if event.opcode == _SSTORE and event.gas <= _STIPEND:
                self._last.pop(depth, None)  # forge does not report it as out of gas
            else:
                self._last[depth] = len(steps)
            stack = tuple(reversed(event.stack[max(0, len(event.stack) - _INPUTS.get(event.opcode, 0)) :]))
            contract = self._contracts.get(depth, ZERO_ADDRESS)
            recording.add(DebugStep(stack, _memory_read(event), event.opcode, depth, False, contract))


def _require_steps(context: Context, what: str) -> None:
    """Raise NeedsSteps if the call has no `StepWatch`, and CheatcodeFailure in the debugger, which traces it itself."""
    context.require_ethereum(what)
    tracer = context.machine.tracer
    if tracer is not None and tracer.detail is Detail.PAUSES:
        raise CheatcodeFailure("instructions cannot be traced in the debugger: remove --debug")
    if context.state.hooks is not None:
        raise CheatcodeFailure(f"{what} does not go together with storage hooks")
    if not isinstance(tracer, StepWatch):
        raise NeedsSteps


def _inputs() -> dict[int, int]:
    """Return the number of stack words that each opcode reads (the Yellow Paper's delta)."""
    rows = """
        0 STOP ADDRESS ORIGIN CALLER CALLVALUE CALLDATASIZE CODESIZE GASPRICE RETURNDATASIZE COINBASE TIMESTAMP NUMBER
        0 PREVRANDAO GASLIMIT CHAINID SELFBALANCE BASEFEE PC MSIZE GAS JUMPDEST PUSH0 INVALID
        1 ISZERO NOT BALANCE CALLDATALOAD EXTCODESIZE EXTCODEHASH BLOCKHASH POP MLOAD SLOAD JUMP TLOAD SELFDESTRUCT CLZ
        2 ADD MUL SUB DIV SDIV MOD SMOD EXP SIGNEXTEND LT GT SLT SGT EQ AND OR XOR BYTE SHL SHR SAR KECCAK256 MSTORE
        2 MSTORE8 SSTORE JUMPI TSTORE LOG0 RETURN REVERT
        3 ADDMOD MULMOD CALLDATACOPY CODECOPY RETURNDATACOPY MCOPY LOG1 CREATE
        4 EXTCODECOPY LOG2 CREATE2
        5 LOG3
        6 LOG4 DELEGATECALL STATICCALL
        7 CALL
    """
    found = {_BLOBHASH: 1, _CALLCODE: 7}
    for row in rows.split("\n"):
        count, *names = row.split() or ["0"]
        found |= {OPCODE_NUMBERS[name]: int(count) for name in names}
    found |= {0x80 + number: number + 1 for number in range(16)}
    return found | {0x90 + number: number + 2 for number in range(16)}


_BLOBHASH: Final = 0x49
_INPUTS: Final = _inputs()
_READS: Final = {OPCODE_NUMBERS[name]: at for at, names in {
    (1, 2): "KECCAK256 RETURN REVERT LOG0 LOG1 LOG2 LOG3 LOG4",
    (2, 3): "CREATE CREATE2 MCOPY",
    (3, 4): "DELEGATECALL STATICCALL",
    (4, 5): "CALL",
}.items() for name in names.split()} | {_CALLCODE: (4, 5)}  # fmt: skip
"""Stack positions, from 1 at the top, of offset and size of the memory that an opcode reads."""
_SSTORE: Final = OPCODE_NUMBERS["SSTORE"]
_STIPEND: Final = 2300
"""Maximum gas at which SSTORE fails: a call's stipend (EIP-2200)."""
_MAX_PADDED: Final = 1 << 20


def _memory_read(step: EvmStep) -> bytes:
    """Return the memory that an instruction reads, padded with zeros beyond its end up to a limit."""
    stack = step.stack
    if step.opcode == OPCODE_NUMBERS["MLOAD"]:
        offset, size = (stack[-1] if stack else 0), _WORD
    else:
        at = _READS.get(step.opcode)
        if at is None or len(stack) < at[1]:
            return b""
        offset, size = stack[-at[0]], stack[-at[1]]
    return step.memory[offset : offset + size].ljust(min(size, _MAX_PADDED), b"\0")


# --- memory ---------------------------------------------------------------------------------------------------------


def _expect_safe(context: Context, start: int, end: int, depth: int) -> None:
    _require_steps(context, "tracing of instructions")
    if start >= end:
        raise CheatcodeFailure(f"memory range start ({start}) is greater than end ({end})")
    context.state.safe_memory.setdefault(depth, [SCRATCH]).append((start, end))


@cheatcode("expectSafeMemory(uint64,uint64)")
def _safe_memory(context: Context, start: int, end: int) -> None:
    _expect_safe(context, start, end, context.depth)


@cheatcode("expectSafeMemoryCall(uint64,uint64)")
def _safe_memory_call(context: Context, start: int, end: int) -> None:
    _expect_safe(context, start, end, context.depth + 1)


@cheatcode("stopExpectSafeMemory()")
def _stop_safe_memory(context: Context) -> None:
    context.state.safe_memory.pop(context.depth, None)


# --- debug recordings -----------------------------------------------------------------------------------------------


@cheatcode("startDebugTraceRecording()")
def _start_steps(context: Context) -> None:
    _require_steps(context, "recording of instructions")
    if context.state.steps is not None:
        raise CheatcodeFailure("debug trace recording was already started")
    context.state.steps = DebugRecording()


@cheatcode("stopAndReturnDebugTraceRecording()", returns="(uint256[],bytes,uint8,uint64,bool,address)[]")
def _stop_steps(context: Context) -> Sequence[Any]:
    recording, context.state.steps = context.state.steps, None
    if recording is None:
        raise CheatcodeFailure("nothing recorded")
    if recording.is_cut:
        raise CheatcodeFailure(
            f"the recording exceeds {MAX_STEPS} instructions or {MAX_STEP_MEMORY >> 20} MiB of memory: "
            "record a shorter part of the test"
        )
    return [
        (list(step.stack), step.memory, step.opcode, step.depth, step.out_of_gas, step.contract)
        for step in recording.steps
    ]
