"""A function's instructions in the form that both instrumentation passes read.

Most instructions only change the stack height and cost their price; they are stored as one byte each in `ops`. The few
that the passes must inspect (control flow, calls, linearly priced ones) are `marks`, with operands and offsets. Globals
are listed separately because their indices shift. wasmtime has validated the code before.
"""

from dataclasses import dataclass

from hypervisor.errors import InvalidModule
from runtimes.wasm.module.opcodes import (
    I32_CONST,
    MEMORY_GROW,
    PREFIXED_BASE,
    PREFIXED_IS_MARK,
    PREFIXED_OPERANDS,
    SHAPE,
    Shape,
)
from runtimes.wasm.module.parser import MAX_CODE_BYTES, VALUE_TYPES

EMPTY_BLOCK = 0x40

Mark = tuple[int, int, int, int, tuple[int, ...]]
"""Instruction index, opcode, offset in the module, offset after it, operands.

Operands: for blocks the number of results (0 or 1), for branches the labels (br_table: the default last), for calls
the index of the function or type, for linearly priced instructions the preceding constant, if any.
"""


@dataclass(frozen=True, slots=True)
class Instructions:
    """A decoded function: opcodes, marks, and (offset, end, opcode, index) of each global.get and global.set."""

    ops: bytearray
    marks: list[Mark]
    globals: list[tuple[int, int, int, int]]


def decode(code: bytes, position: int, end: int, limit: int = MAX_CODE_BYTES) -> Instructions:
    """Decode the instructions of one function; raises InvalidModule for one that consensus does not allow.

    Stops after more than `limit` marks or globals.
    """
    result = Instructions(bytearray(), [], [])
    try:
        position = _decode(code, position, end, result, limit)
        if len(result.marks) > limit or len(result.globals) > limit:
            return result
    except IndexError:
        position = -1
    if position != end:
        raise InvalidModule("a function's code ends unexpectedly")
    return result


def _decode(code: bytes, position: int, end: int, result: Instructions, limit: int) -> int:
    # Hot loop over every byte of every module: local variables instead of attributes, frequent shapes first.
    ops, marks, shapes = result.ops, result.marks, SHAPE
    push, mark = ops.append, marks.append
    while position < end:
        start = position
        op = code[position]
        shape = shapes[op]
        position += 1
        if shape == 1:  # INDEX
            push(op)
            while code[position] > 127:
                position += 1
            position += 1
        elif shape == 0:  # PLAIN
            push(op)
        elif shape == 2:  # MEMORY
            push(op)
            while code[position] > 127:
                position += 1
            position += 1
            while code[position] > 127:
                position += 1
            position += 1
        elif shape == Shape.LABEL or shape == Shape.CALL:
            operand, position = _u32(code, position)
            mark((len(ops), op, start, position, (operand,)))
            push(op)
            if len(marks) > limit:
                return position
        elif shape == Shape.GLOBAL:
            push(op)
            operand, position = _u32(code, position)
            result.globals.append((start, position, op, operand))
            if len(result.globals) > limit:
                return position
        elif shape == Shape.LONG_CONST:
            push(op)
            while code[position] > 127:
                position += 1
            position += 1
        else:
            op, position, operands = _rare(code, position, op, shape, ops)
            if operands is not None:
                mark((len(ops), op, start, position, operands))
                if len(marks) > limit:
                    return position
            push(op)
    return position


def _rare(code: bytes, position: int, op: int, shape: int, ops: bytearray) -> tuple[int, int, tuple[int, ...] | None]:
    """Decode an instruction of a rare shape: return its code, the offset after it, and its operands if it is a mark."""
    if shape == Shape.MARK:
        if op != MEMORY_GROW:
            return op, position, ()
        return op, position + 1, _constant_before(code, position - 1, ops)
    if shape == Shape.BLOCK:
        kind = code[position]
        if kind != EMPTY_BLOCK and kind not in VALUE_TYPES:
            raise InvalidModule(f"WASM module, offset {position}: a block may only have one result or none")
        return op, position + 1, (0 if kind == EMPTY_BLOCK else 1,)
    if shape == Shape.BR_TABLE:
        count, position = _u32(code, position)
        labels = []
        for _ in range(count + 1):
            label, position = _u32(code, position)
            labels.append(label)
        return op, position, tuple(labels)
    if shape == Shape.CALL_INDIRECT:
        type_index, position = _u32(code, position)
        table, position = _u32(code, position)
        if table != 0:
            raise InvalidModule(f"WASM module, offset {position}: an indirect call uses a table other than the first")
        return op, position, (type_index,)
    if shape == Shape.PREFIX:
        return _read_prefixed(code, position, ops)
    if shape in (Shape.FLOAT, Shape.DOUBLE, Shape.ZERO):
        return op, position + {Shape.FLOAT: 4, Shape.DOUBLE: 8, Shape.ZERO: 1}[Shape(shape)], None
    raise InvalidModule(f"WASM module, offset {position - 1}: instruction 0x{op:02x} is not allowed by consensus")


def _read_prefixed(code: bytes, position: int, ops: bytearray) -> tuple[int, int, tuple[int, ...] | None]:
    start = position - 1
    second, position = _u32(code, position)
    if second >= len(PREFIXED_OPERANDS):
        raise InvalidModule(f"WASM module, offset {start}: instruction 0xfc {second} is not allowed by consensus")
    for _ in range(PREFIXED_OPERANDS[second]):
        _, position = _u32(code, position)
    operands = _constant_before(code, start, ops) if PREFIXED_IS_MARK[second] else None
    return PREFIXED_BASE + second, position, operands


def _constant_before(code: bytes, position: int, ops: bytearray) -> tuple[int, ...]:
    """Return the value of an i32.const directly before `position`, or an empty tuple."""
    if not ops or ops[-1] != I32_CONST:
        return ()
    start = position - 1
    while code[start - 1] > 127:  # every byte of the number but its last has the top bit set
        start -= 1
    value = shift = 0
    for byte in code[start:position]:
        value |= (byte & 0x7F) << shift
        shift += 7
    return (value - (1 << shift) if code[position - 1] & 0x40 else value,)


def _u32(code: bytes, position: int) -> tuple[int, int]:
    byte = code[position]
    position += 1
    if byte < 128:
        return byte, position
    value, shift = byte & 0x7F, 7
    while byte > 127:
        byte = code[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
    return value, position
