"""Tracer that wraps a message's own, to check safe memory, and to record instructions and the slots of mappings.

It is active only while a test needs it, since engines are slow if they report every instruction.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Protocol

from bridge.ethereum.addresses import ZERO_ADDRESS, EthAddress
from bridge.evm_steps import CodeBorrowed, EvmFault, EvmFrame, EvmStep
from fvm_hypervisor.soltest.cheatcodes.failures import CheatcodeFailure
from fvm_hypervisor.soltest.cheatcodes.safe_memory import check_memory
from fvm_hypervisor.soltest.cheatcodes.state import DebugRecording, DebugStep, MappingSlots, State
from hypervisor.errors import OutOfGas
from hypervisor.machine.call_manager import CallManager
from hypervisor.tracing import CounterTracer, PausingTracer, RuntimeEvent, StepTracer, TraceEvent, Tracer
from runtimes.evm import OPCODE_NUMBERS
from store.keccak import keccak


class StateOwner(Protocol):
    """An owner of a test's state, which is replaced after each test."""

    state: State


class StepWatch:
    """The wrapping tracer; `calls` is the message's call manager, whose tracer it replaces."""

    def __init__(self, cheats: StateOwner, calls: CallManager) -> None:
        self._cheats = cheats
        self._calls = calls
        self.before: Tracer = calls.tracer or _NullTracer()
        self._contracts: dict[int, EthAddress] = {}
        """Address whose code the frame at each depth runs."""
        self._storages: dict[int, EthAddress] = {}
        """Address whose storage the frame at each depth uses."""
        self._last: dict[int, int] = {}
        """Index of the last recorded instruction at each depth."""
        self._borrowed: EthAddress | None = None

    def record_running_frame(self, contract: EthAddress, depth: int) -> None:
        """Record the contract of a frame that was running before this tracer, unless it is known."""
        self._contracts.setdefault(depth, contract)
        self._storages.setdefault(depth, contract)

    def event(self, event: TraceEvent, /) -> None:
        """Record whose code a frame runs, and forward the event."""
        if isinstance(event, CodeBorrowed):
            self._borrowed = event.address
        elif isinstance(event, EvmFrame):
            self._contracts[self._calls.depth] = self._borrowed or event.address
            self._storages[self._calls.depth] = event.address
            self._last.pop(self._calls.depth, None)
            self._borrowed = None
        self.before.event(event)

    def step(self, event: RuntimeEvent, /) -> None:
        """Record and check an instruction, and forward it to the wrapped tracer if it accepts steps."""
        before = self.before
        if isinstance(before, CounterTracer):
            if isinstance(event, EvmStep):
                before.visit(event.pc)
        elif isinstance(before, StepTracer):
            before.step(event)
        state = self._cheats.state
        if state.mappings is not None and isinstance(event, EvmStep) and event.opcode == _KECCAK256:
            self._note_hash(state.mappings, event)
        if state.steps is not None:
            self._record(state.steps, event)
        if state.safe_memory and isinstance(event, EvmStep):
            ranges = state.safe_memory.get(self._calls.depth)
            if ranges is not None:
                check_memory(ranges, event)

    def _note_hash(self, mappings: dict[EthAddress, MappingSlots], event: EvmStep) -> None:
        """Record a hash that may be a mapping's slot, with its key and the mapping's slot."""
        if len(event.stack) < 2 or event.stack[-2] != 2 * _WORD or event.stack[-1] > len(event.memory):
            return
        start = event.stack[-1]
        data = event.memory[start : start + 2 * _WORD].ljust(2 * _WORD, b"\0")
        slots = mappings.setdefault(self._storages.get(self._calls.depth, ZERO_ADDRESS), MappingSlots())
        slots.hashes[int.from_bytes(keccak(data), "big")] = data[:_WORD], int.from_bytes(data[_WORD:], "big")

    def _record(self, recording: DebugRecording, event: RuntimeEvent) -> None:
        depth, steps = self._calls.depth, recording.steps
        last = self._last.get(depth, len(steps))
        if isinstance(event, EvmFault) and event.reason == OutOfGas.__name__ and last < len(steps):
            steps[last] = replace(steps[last], out_of_gas=True)
        if isinstance(event, EvmStep) and not recording.is_cut:
            if event.opcode == _SSTORE and event.gas <= _STIPEND:
                self._last.pop(depth, None)  # forge does not report it as out of gas
            else:
                self._last[depth] = len(steps)
            stack = tuple(reversed(event.stack[max(0, len(event.stack) - _INPUTS.get(event.opcode, 0)) :]))
            contract = self._contracts.get(depth, ZERO_ADDRESS)
            recording.add(DebugStep(stack, _memory_read(event), event.opcode, depth, False, contract))


def watch(cheats: StateOwner, calls: CallManager, caller: EthAddress, depth: int) -> None:
    """Start to trace a message's instructions. Raises CheatcodeFailure in the debugger, which traces them itself."""
    if isinstance(calls.tracer, StepWatch):
        return
    if isinstance(calls.tracer, PausingTracer):
        raise CheatcodeFailure("instructions cannot be traced in the debugger: remove --debug")
    calls.tracer = watcher = StepWatch(cheats, calls)
    watcher.record_running_frame(caller, depth)


def unwatch(cheats: StateOwner, calls: CallManager) -> None:
    """Stop tracing unless a cheatcode still needs it."""
    if isinstance(calls.tracer, StepWatch) and not cheats.state.watches_steps:
        calls.tracer = calls.tracer.before


class _NullTracer:
    """The tracer of a message that had none; running calls report their ends to it."""

    def event(self, _: TraceEvent, /) -> None:
        pass


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
_CALLCODE: Final = 0xF2
_INPUTS: Final = _inputs()
_READS: Final = {OPCODE_NUMBERS[name]: at for at, names in {
    (1, 2): "KECCAK256 RETURN REVERT LOG0 LOG1 LOG2 LOG3 LOG4",
    (2, 3): "CREATE CREATE2 MCOPY",
    (3, 4): "DELEGATECALL STATICCALL",
    (4, 5): "CALL",
}.items() for name in names.split()} | {_CALLCODE: (4, 5)}  # fmt: skip
"""Stack positions, from 1 at the top, of offset and size of the memory that an opcode reads."""
_WORD: Final = 32
_KECCAK256: Final = OPCODE_NUMBERS["KECCAK256"]
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
