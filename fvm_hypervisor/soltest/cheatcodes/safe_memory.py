"""Check of memory accesses against safe ranges (`vm.expectSafeMemory`), by forge's rules.

An instruction that writes must stay within one range; one that reads may also access memory that already exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bridge.evm_steps import EvmStep
from fvm_hypervisor.soltest.cheatcodes.state import VM_ADDRESS
from fvm_hypervisor.soltest.cheatcodes.table import selector
from runtimes.evm import OPCODE_NUMBERS, FrameStopped

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
