"""Encoding of a region's stack and of its operations on words.

The stack has words in locals and words in the stack's memory. Between blocks all words are in memory as in the
interpreter. Within a block they are read at their first use, and changed ones are written back where the block ends or
is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runtimes.evm.regions import wasm
from runtimes.evm.regions.blocks import Region, RegionInstruction
from runtimes.evm.regions.words import Limb, Limbs, WordEmitter, constant, constant_value, size

LENGTHEN, OPERATE, MULTIPLY, REACH, REGION = range(5)
"""Function indices of a region's module, imported ones first."""
RUNNING, TOP, PC, MEMORY, FROM, UNDO, BASE, LIMIT, AT = range(9)
GAS, ROOM, SIZE, UNDO_GAS, LEFT = range(9, 14)
VECTOR: Final = 14
TEMPORARY: Final = 15
"""Indices of locals: the parameter, eight of 32 bits, five of 64, a vector, then those of words."""
WORD: Final = 32


@dataclass(slots=True, eq=False)
class Value:
    """A word: its limbs, once known or in locals, and its position on the stack, in words relative to the top."""

    limbs: Limbs | None = None
    index: int | None = None


class RegionStack:
    """Encodes stack access and exits from the region."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._numbers = {block.start: number for number, block in enumerate(region.blocks)}
        self._words = WordEmitter(TEMPORARY, MULTIPLY)
        self._code = self._words.code
        self._stack: list[Value] = []
        self._bottom = 0
        """Number of words from the top at the block's beginning down to the first value in `_stack`."""
        self._number = 0
        """Number of the current block."""
        self._rest = 0
        """Static gas already charged for the current instruction and those after it."""

    def _load_memory_bounds(self) -> None:
        """Load the address and size of memory; `ROOM` is the first offset at which no whole word fits."""
        code = self._code
        code += wasm.get(RUNNING) + wasm.load_i32(wasm.MEMORY) + wasm.put(MEMORY)
        code += wasm.get(RUNNING) + wasm.load_i64_32(wasm.MEMORY_SIZE) + wasm.put(SIZE)
        # the size is a multiple of 32: zero, or at least 32
        code += wasm.get(SIZE) + wasm.i64(31) + wasm.I64_SUB + wasm.i64(0)
        code += wasm.get(SIZE) + wasm.i64(0) + wasm.I64_NE + wasm.SELECT + wasm.put(ROOM)

    # --- exits ------------------------------------------------------------------------------------------------

    def _to_exit(self, nested: int) -> bytes:
        """Return a branch from this block to the region's end; `nested` is the number of inner labels."""
        return wasm.branch(len(self._region.blocks) - self._number + 1 + nested)

    def _leave(self, pc: int, nested: int) -> None:
        """End the region: the interpreter continues at `pc`, with the stack as written."""
        self._code += wasm.i32(pc) + wasm.put(PC) + self._to_exit(nested)

    def _leave_here(self, pc: int, stack: list[Value], gas: int, nested: int) -> None:
        """End the region before the instruction at `pc`: write the stack and refund `gas`."""
        self._write(stack, remember=False)
        self._move_top(len(stack))
        if gas:
            self._code += wasm.get(GAS) + wasm.i64(gas) + wasm.I64_ADD + wasm.put(GAS)
        self._leave(pc, nested)

    def _go_to(self, index: int, nested: int) -> None:
        """Continue at a jumpdest, with the stack as written."""
        number = self._numbers.get(index)
        if number is None:
            self._leave(index, nested)
        elif number > self._number:
            self._code += wasm.branch(number - self._number - 1 + nested)
        else:
            self._code += wasm.i32(index) + wasm.put(PC)
            self._code += wasm.branch(len(self._region.blocks) - self._number + nested)

    # --- the stack --------------------------------------------------------------------------------------------

    def _move_top(self, height: int) -> None:
        by = height - self._bottom
        if by:
            self._code += wasm.get(TOP) + wasm.i32(WORD * by) + wasm.I32_ADD + wasm.put(TOP)

    def _address(self, index: int) -> int:
        """Push a base address for `index` on WASM's stack; return the offset from it."""
        if index >= 0:
            self._code += wasm.get(TOP)
            return WORD * index
        self._code += wasm.get(TOP) + wasm.i32(WORD * index) + wasm.I32_ADD
        return 0

    def _limbs(self, value: Value, remember: bool = True) -> Limbs:
        """Return a word's limbs, reading them from the stack's memory if needed."""
        if value.limbs is not None:
            return value.limbs
        assert value.index is not None, "a word must be in locals or on the stack"
        offset = self._address(value.index)
        self._code += wasm.put(AT)
        limbs = self._read(offset)
        if remember:
            value.limbs = limbs
        return limbs

    def _read(self, offset: int = 0) -> Limbs:
        """Read the word at `offset` from the address in `AT` into new locals."""
        read: list[Limb] = []
        for limb in range(4):
            self._code += wasm.get(AT) + wasm.load_i64(offset + 8 * limb)
            read.append(self._words.pop())
        return read[0], read[1], read[2], read[3]

    def _store(self, limbs: Limbs, index: int) -> None:
        offset = self._address(index)
        self._code += wasm.put(AT)
        for number, limb in enumerate(limbs):
            self._code += wasm.get(AT)
            self._words.push(limb)
            self._code += wasm.store_i64(offset + 8 * number)

    def _write(self, stack: list[Value], remember: bool = True) -> None:
        """Write the stack to its memory. Without `remember`, this is one of several paths and no state is updated."""
        changed = [(value, index) for index, value in enumerate(stack, -self._bottom) if value.index != index]
        limbs = [self._limbs(value, remember) for value, _ in changed]
        for (_, index), word in zip(changed, limbs, strict=True):
            self._store(word, index)

    def _claim(self, index: int, others: list[Value]) -> None:
        """Prepare to overwrite a position of the stack: read all values that still refer to it."""
        for value in (*self._stack, *others):
            if value.index == index:
                self._limbs(value)
                value.index = None

    def _push(self, limbs: Limbs) -> None:
        self._stack.append(Value(limbs))

    def _pop(self) -> Limbs:
        return self._limbs(self._stack.pop())


FRAME_OPCODES: Final = {
    0x30: wasm.ADDRESS,
    0x33: wasm.CALLER,
    0x34: wasm.VALUE,
    0x36: wasm.CALLDATA_SIZE,
    0x3D: wasm.RETURN_SIZE,
}


class RegionOperations(RegionStack):
    """Encodes all instructions except jumps."""

    def __init__(self, region: Region, code_size: int, prices_divisions: bool) -> None:
        super().__init__(region)
        self._code_size, self._prices_divisions = code_size, prices_divisions

    # --- memory, calldata, the frame --------------------------------------------------------------------------

    def _memory(self, instruction: RegionInstruction) -> None:
        before, code = list(self._stack), self._code
        start = self._pop()
        value = self._stack.pop() if instruction.opcode != 0x51 else None
        if value is not None:
            self._limbs(value)
        length = 1 if instruction.opcode == 0x53 else WORD
        upper = [limb for limb in start[1:] if limb != 0]
        self._words.push(start[0])
        code += wasm.get(SIZE if length == 1 else ROOM) + wasm.I64_GE_U
        if upper:
            self._words.push_nonzero(start[1:])
            code += wasm.i64(0) + wasm.I64_NE + wasm.I32_OR
        code += wasm.IF
        code += wasm.get(RUNNING)
        self._words.push(start[0])
        if upper:
            code += wasm.i64(-1)
            self._words.push_nonzero(start[1:])
            code += wasm.I64_EQZ + wasm.SELECT
        own, later = instruction.price, self._rest - instruction.price
        code += wasm.i64(length) + wasm.get(GAS) + wasm.i64(later) + wasm.I64_ADD + wasm.i64(later)
        code += wasm.call(REACH) + wasm.tee(LEFT) + wasm.i64(0) + wasm.I64_LT_S + wasm.IF
        code += wasm.get(RUNNING) + wasm.load_i64(wasm.GAS) + wasm.put(GAS)
        self._leave_here(instruction.pc, before, own, 2)
        code += wasm.END
        code += wasm.get(LEFT) + wasm.put(GAS)
        self._load_memory_bounds()
        code += wasm.END
        code += wasm.get(MEMORY)
        self._words.push(start[0])
        code += wasm.WRAP + wasm.I32_ADD
        if value is None:
            self._push(self._read_reversed())
        elif length == 1:
            self._words.push(self._limbs(value)[0])
            code += wasm.store_byte(0)
        else:
            self._write_reversed(self._limbs(value))

    def _read_reversed(self) -> Limbs:
        """Read the big-endian word at the address on WASM's stack."""
        code = self._code
        code += wasm.put(AT)
        limbs: list[Limb] = []
        for offset in (16, 0):
            code += wasm.get(AT) + wasm.load_v128(offset) + wasm.tee(VECTOR) + wasm.get(VECTOR) + wasm.REVERSE
            code += wasm.tee(VECTOR) + wasm.lane_i64(0)
            limbs.append(self._words.pop())
            code += wasm.get(VECTOR) + wasm.lane_i64(1)
            limbs.append(self._words.pop())
        return limbs[0], limbs[1], limbs[2], limbs[3]

    def _write_reversed(self, limbs: Limbs) -> None:
        """Write a word in big-endian order to the address on WASM's stack."""
        code = self._code
        code += wasm.put(AT)
        for offset, (low, high) in ((16, limbs[:2]), (0, limbs[2:])):
            code += wasm.get(AT)
            self._words.push(low)
            code += wasm.SPLAT_I64
            self._words.push(high)
            code += wasm.SET_LANE_1 + wasm.tee(VECTOR) + wasm.get(VECTOR) + wasm.REVERSE + wasm.store_v128(offset)

    def _calldata(self, instruction: RegionInstruction) -> None:
        """Read a word that lies wholly within the calldata; the interpreter handles other cases."""
        before, code = list(self._stack), self._code
        start = self._pop()
        self._words.push(start[0])
        code += wasm.i64(WORD - 1) + wasm.I64_ADD
        code += wasm.get(RUNNING) + wasm.load_i64_32(wasm.CALLDATA_SIZE) + wasm.I64_GE_U
        # a start near 2^64 has wrapped around
        self._words.push(start[0])
        code += wasm.i64(32) + wasm.I64_SHR_U
        for limb in start[1:]:
            if limb != 0:
                self._words.push(limb)
                code += wasm.I64_OR
        code += wasm.i64(0) + wasm.I64_NE + wasm.I32_OR
        code += wasm.IF
        self._leave_here(instruction.pc, before, self._rest, 1)
        code += wasm.END
        code += wasm.get(RUNNING) + wasm.load_i32(wasm.CALLDATA)
        self._words.push(start[0])
        code += wasm.WRAP + wasm.I32_ADD
        self._push(self._read_reversed())

    def _push_frame_value(self, instruction: RegionInstruction) -> None:
        opcode, code = instruction.opcode, self._code
        if opcode == 0x38:
            self._push(constant(self._code_size))
        elif opcode == 0x59:
            code += wasm.get(SIZE)
            self._push((self._words.pop(), 0, 0, 0))
        elif opcode in (0x36, 0x3D):
            code += wasm.get(RUNNING) + wasm.load_i64_32(FRAME_OPCODES[opcode])
            self._push((self._words.pop(), 0, 0, 0))
        else:
            code += wasm.get(RUNNING) + wasm.load_i32(FRAME_OPCODES[opcode]) + wasm.put(AT)
            self._push(self._read())

    # --- arithmetic -------------------------------------------------------------------------------------------

    def _arithmetic(self, instruction: RegionInstruction) -> None:
        opcode, stack, words = instruction.opcode, self._stack, self._words
        if opcode in (0x15, 0x19):
            self._push(words.is_zero(self._pop()) if opcode == 0x15 else words.inverse(self._pop()))
            return
        made: Limbs | None = None
        if opcode not in (0x08, 0x09):
            a, b = self._limbs(stack[-1]), self._limbs(stack[-2])
            made = self._encode_binary(opcode, a, b)
        if made is not None:
            del stack[-2:]
            self._push(made)
        elif opcode in (0x04, 0x06):
            self._divide(instruction)
        else:
            self._operate(instruction)

    def _encode_binary(self, opcode: int, a: Limbs, b: Limbs) -> Limbs | None:
        """Encode an opcode of two words, the upper one first; return None if it needs a function call."""
        words = self._words
        match opcode:
            case 0x01:
                return words.add(a, b)
            case 0x02:
                return words.multiply(a, b)
            case 0x03:
                return words.subtract(a, b)
            case 0x10:
                return words.less(a, b)
            case 0x11:
                return words.less(b, a)
            case 0x12:
                return words.less(a, b, is_signed=True)
            case 0x13:
                return words.less(b, a, is_signed=True)
            case 0x14:
                return words.equal(a, b)
            case 0x16:
                return words.and_(a, b)
            case 0x17:
                return words.or_(a, b)
            case 0x18:
                return words.xor(a, b)
        return self._encode_with_constant(opcode, a, b)

    def _encode_with_constant(self, opcode: int, a: Limbs, b: Limbs) -> Limbs | None:
        words = self._words
        number, divisor = constant_value(a), constant_value(b)
        if number is not None:
            match opcode:
                case 0x1B:
                    return words.shift_left(b, min(number, 256))
                case 0x1C:
                    return words.shift_right(b, min(number, 256))
        if opcode in (0x04, 0x06) and divisor is not None and (size(a) <= 1 or not self._prices_divisions):
            if divisor == 0:
                return constant(0)
            if divisor & (divisor - 1) == 0:
                bits = divisor.bit_length() - 1
                return words.shift_right(a, bits) if opcode == 0x04 else words.and_(a, constant(divisor - 1))
        return None

    def _divide(self, instruction: RegionInstruction) -> None:
        """Encode a quotient or remainder: of machine words if both operands fit, else by a function call."""
        opcode, before = instruction.opcode, list(self._stack)
        stack, words, code = self._stack, self._words, self._code
        a, b = self._limbs(stack[-1]), self._limbs(stack[-2])
        operation = wasm.I64_DIV_U if opcode == 0x04 else wasm.I64_REM_U
        if size(a) <= 1 and size(b) <= 1 and isinstance(b[0], int):
            words.push(a[0])
            words.push(b[0])
            code += operation
            del stack[-2:]
            self._push((words.pop(), 0, 0, 0))
            return
        upper, lower = stack.pop(), stack.pop()
        index = len(stack) - self._bottom
        for at in (index, index + 1):
            self._claim(at, [upper, lower])
        result = words.local(), words.local(), words.local(), words.local()
        words.push_nonzero((*a[1:], *b[1:]))
        code += wasm.i64(0) + wasm.I64_NE
        words.push(b[0])
        code += wasm.I64_EQZ + wasm.I32_OR + wasm.IF
        self._store(b, index)
        self._store(a, index + 1)
        self._call_operate(instruction, index + 1, before, 2)
        offset = self._address(index)
        code += wasm.put(AT)
        for number, local in enumerate(result):
            code += wasm.get(AT) + wasm.load_i64(offset + 8 * number) + wasm.put(local)
        code += wasm.ELSE
        words.push(a[0])
        words.push(b[0])
        code += operation + wasm.put(result[0])
        for local in result[1:]:
            code += wasm.i64(0) + wasm.put(local)
        code += wasm.END
        self._push(((result[0],), (result[1],), (result[2],), (result[3],)))

    def _operate(self, instruction: RegionInstruction) -> None:
        """Call the interpreter's module for an operation, with the operands in the stack's memory."""
        count, before = instruction.operands[0], list(self._stack)
        operands = [self._stack.pop() for _ in range(count)]
        lowest = len(self._stack) - self._bottom
        words = [self._limbs(value) for value in operands]
        for depth in range(count):
            self._claim(lowest + depth, operands)
        for depth, limbs in enumerate(reversed(words)):
            self._store(limbs, lowest + depth)
        self._call_operate(instruction, lowest + count - 1, before, 1)
        self._stack.append(Value(index=lowest))

    def _call_operate(self, instruction: RegionInstruction, index: int, before: list[Value], nested: int) -> None:
        """Call `operate`; without gas for the operands the interpreter continues here, with the stack `before`."""
        code = self._code
        operands = wasm.i32(instruction.opcode) + wasm.get(TOP) + wasm.i32(WORD * index) + wasm.I32_ADD
        if not self._prices_divisions:
            code += operands + wasm.call(OPERATE)
            return
        code += wasm.get(RUNNING) + operands + wasm.get(GAS) + wasm.call(OPERATE)
        code += wasm.tee(LEFT) + wasm.i64(0) + wasm.I64_LT_S + wasm.IF
        self._leave_here(instruction.pc, before, self._rest, nested)
        code += wasm.END + wasm.get(LEFT) + wasm.put(GAS)
