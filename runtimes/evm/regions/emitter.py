"""Encodes a region as a WASM module: one function that runs blocks on the interpreter's stack and memory.

Between blocks, words are in the stack's memory as in the interpreter; within a block they are in locals, and changed
ones are written back at its end. A block charges its static gas at its beginning and refunds the unexecuted part if it
is left early. Exceptional cases (out of gas, stack underflow or overflow, memory that cannot be allocated, an invalid
jump) are left to the interpreter, which continues at the instruction concerned.
"""

from __future__ import annotations

from typing import Final

from runtimes.evm.regions import wasm
from runtimes.evm.regions.blocks import (
    DUP1,
    JUMP,
    JUMPDEST,
    JUMPI,
    PUSH0,
    PUSH32,
    SWAP1,
    Region,
    RegionBlock,
    RegionInstruction,
)
from runtimes.evm.regions.operations import (
    BASE,
    FRAME_OPCODES,
    FROM,
    GAS,
    LENGTHEN,
    LIMIT,
    PC,
    REGION,
    RUNNING,
    TEMPORARY,
    TOP,
    UNDO,
    UNDO_GAS,
    WORD,
    RegionOperations,
    Value,
)
from runtimes.evm.regions.words import constant, constant_value, multiplication
from runtimes.wasmtime.encoding import name, section, u32, vector

ENTRY: Final = "region"

_NO_POSITION: Final = 0xFFFF_FFFF
_MAX_OFFSET: Final = 0xFFFF_0000
"""Highest memory offset at which a region extends memory itself."""
_GAS_OF_NOTHING: Final = -1
_TABLE_BASE: Final = 32
_TABLE_PER_TARGET: Final = 16
"""Maximum length of a table of positions: this constant, and entries per target."""
_MAX_BYTES: Final = 1 << 17
"""Maximum size of a region in bytes: about 0.1 seconds of compilation. Typical regions have a tenth of that."""


class RegionTooLarge(Exception):
    """Raised if a region's WASM exceeds the limit: such code is crafted to slow down compilers."""


def operation_name(prices_divisions: bool) -> str:
    """Return the name of the guest's function for operations on words."""
    return "operate_priced" if prices_divisions else "operate"


def emit(region: Region, code_size: int, prices_divisions: bool = False) -> bytes:
    """Return the module. Raises RegionTooLarge.

    If `prices_divisions`, the price of a division depends on its operands, also on constant ones.
    """
    function, locals_count = _Emitter(region, code_size, prices_divisions).function()
    product, product_locals = multiplication(8)
    i32, i64 = wasm.I32, wasm.I64
    types = [
        wasm.function_type((i32,), ()),
        wasm.function_type((i32, i64), (i32,)),
        wasm.function_type((i32, i32, i32, i64), (i64,)) if prices_divisions else wasm.function_type((i32, i32), ()),
        wasm.function_type((i64,) * 8, (i64,) * 4),
        wasm.function_type((i32, i64, i64, i64, i64), (i64,)),
    ]
    imports = [
        name("evm") + name("memory") + b"\x02\x00\x01",
        name("evm") + name("lengthen") + b"\x00\x01",
        name("evm") + name(operation_name(prices_divisions)) + b"\x00\x02",
    ]
    bodies = [
        wasm.body([(product_locals, i64)], product),
        wasm.body([(1, i64)], _reach()),
        wasm.body([(8, i32), (5, i64), (1, wasm.V128), (locals_count, i64)], function),
    ]
    return b"".join((
        b"\0asm\1\0\0\0",
        section(1, vector(types)),
        section(2, vector(imports)),
        section(3, vector((b"\x03", b"\x04", b"\x00"))),
        section(7, vector([name(ENTRY) + b"\x00" + u32(REGION)])),
        section(10, vector(bodies)),
    ))  # fmt: skip


def _reach() -> bytes:
    """Encode the function (running, start, size, gas, cost) -> gas, which extends memory and charges for it and `cost`.

    The result is -1 if that fails; `running` then has the remaining gas, with this instruction's static gas charged.
    """
    running, start, length, gas, cost, left = range(6)
    return b"".join((
        wasm.get(running), wasm.get(gas), wasm.store_i64(wasm.GAS),
        wasm.get(start), wasm.i64(_MAX_OFFSET), wasm.I64_GT_U,
        wasm.IF, wasm.i64(_GAS_OF_NOTHING), wasm.RETURN, wasm.END,
        wasm.get(running), wasm.get(start), wasm.get(length), wasm.I64_ADD, wasm.call(LENGTHEN), wasm.I32_EQZ,
        wasm.IF, wasm.i64(_GAS_OF_NOTHING), wasm.RETURN, wasm.END,
        wasm.get(running), wasm.load_i64(wasm.GAS), wasm.tee(left), wasm.get(cost), wasm.I64_LT_U,
        wasm.IF, wasm.i64(_GAS_OF_NOTHING), wasm.RETURN, wasm.END,
        wasm.get(left), wasm.get(cost), wasm.I64_SUB,
    ))  # fmt: skip


class _Emitter(RegionOperations):
    """Encodes blocks and the jumps between them."""

    def function(self) -> tuple[bytes, int]:
        """Return the region's instructions, and the number of temporary locals."""
        blocks = self._region.blocks
        code = self._code
        first, last = blocks[0].start, blocks[-1].start
        count = len(blocks)
        span = last - first + 1
        for local, address in (
            (TOP, wasm.TOP),
            (PC, wasm.PC),
            (BASE, wasm.BASE),
            (LIMIT, wasm.LIMIT),
        ):
            code += wasm.get(RUNNING) + wasm.load_i32(address) + wasm.put(local)
        code += wasm.get(RUNNING) + wasm.load_i64(wasm.GAS) + wasm.put(GAS)
        self._load_memory_bounds()
        # positions where only the interpreter may enter are dispatched above those of jump destinations
        code += wasm.get(PC) + wasm.i32(span) + wasm.I32_ADD + wasm.put(PC)
        code += wasm.BLOCK + wasm.LOOP + wasm.BLOCK + wasm.BLOCK * count
        jumps = [(block.start, number) for number, block in enumerate(blocks) if block.start in self._region.jumpdests]
        entries = [(entry + span, self._numbers[entry]) for entry in self._region.entries]
        self._dispatch(jumps + entries, 0)
        for number, block in enumerate(blocks):
            code += wasm.END
            self._number = number
            self._block(block)
        code += wasm.END
        # a jump to a destination outside the region: restore the state before it
        code += wasm.get(TOP) + wasm.get(UNDO) + wasm.I32_ADD + wasm.put(TOP)
        code += wasm.get(GAS) + wasm.get(UNDO_GAS) + wasm.I64_ADD + wasm.put(GAS)
        code += wasm.get(FROM) + wasm.put(PC) + wasm.branch(1)
        code += wasm.END + wasm.END
        code += wasm.get(RUNNING) + wasm.get(GAS) + wasm.store_i64(wasm.GAS)
        code += wasm.get(RUNNING) + wasm.get(PC) + wasm.store_i32(wasm.PC)
        code += wasm.get(RUNNING) + wasm.get(TOP) + wasm.store_i32(wasm.TOP)
        return bytes(code), self._words.peak - TEMPORARY

    def _dispatch(self, targets: list[tuple[int, int]], nesting: int) -> None:
        """Branch to the block that starts at `PC`, or past all blocks if there is none.

        `targets` are positions with the numbers of their blocks, in order of position; `nesting` is the number of
        enclosing ifs. Adjacent positions share a table. Comparisons select the table, because one table for all
        positions of a large contract would be larger than the region.
        """
        code, count = self._code, len(self._region.blocks)
        first, last = targets[0][0], targets[-1][0]
        if last - first <= _TABLE_BASE + _TABLE_PER_TARGET * len(targets):
            table = [count + nesting] * (last - first + 1)
            for position, number in targets:
                table[position - first] = number + nesting
            code += wasm.get(PC) + wasm.i32(first) + wasm.I32_SUB + wasm.branch_table(table, count + nesting)
            return
        half = len(targets) // 2
        code += wasm.get(PC) + wasm.i32(targets[half][0]) + wasm.I32_LT_U + wasm.IF
        self._dispatch(targets[:half], nesting + 1)
        code += wasm.ELSE
        self._dispatch(targets[half:], nesting + 1)
        code += wasm.END

    # --- blocks -----------------------------------------------------------------------------------------------

    def _block(self, block: RegionBlock) -> None:
        self._words.next = self._words.first
        self._bottom = block.min_stack
        self._stack = [Value(index=index) for index in range(-block.min_stack, 0)]
        self._check_stack(block)
        parts = _parts(block)
        for number, part in enumerate(parts):
            self._charge(part)
            for instruction in part:
                self._instruction(instruction)
                self._rest -= instruction.price
                if len(self._code) > _MAX_BYTES:
                    raise RegionTooLarge
            if part[-1].opcode == JUMP:
                return
            if number + 1 == len(parts):
                self._write(self._stack)
                self._move_top(len(self._stack))
                if not (block.falls_through and self._numbers.get(block.after) == self._number + 1):
                    self._leave(block.after, 0)

    def _check_stack(self, block: RegionBlock) -> None:
        code = self._code
        checks = 0
        if block.min_stack:
            code += wasm.get(TOP) + wasm.get(BASE) + wasm.I32_SUB + wasm.i32(WORD * block.min_stack) + wasm.I32_LT_U
            checks += 1
        if block.max_growth:
            code += wasm.get(LIMIT) + wasm.get(TOP) + wasm.I32_SUB + wasm.i32(WORD * block.max_growth) + wasm.I32_LT_U
            checks += 1
        if checks == 2:
            code += wasm.I32_OR
        if checks:
            code += wasm.IF
            self._leave(block.start, 1)
            code += wasm.END

    def _charge(self, part: list[RegionInstruction]) -> None:
        """Charge the static gas of instructions that are executed together."""
        price = self._rest = sum(instruction.price for instruction in part)
        if not price:
            return
        code = self._code
        code += wasm.get(GAS) + wasm.i64(price) + wasm.I64_LT_U + wasm.IF
        self._leave_here(part[0].pc, self._stack, 0, 1)
        code += wasm.END
        code += wasm.get(GAS) + wasm.i64(price) + wasm.I64_SUB + wasm.put(GAS)

    def _instruction(self, instruction: RegionInstruction) -> None:
        opcode, stack = instruction.opcode, self._stack
        if PUSH0 <= opcode <= PUSH32:
            self._push(constant(instruction.value))
        elif DUP1 <= opcode < SWAP1:
            stack.append(stack[DUP1 - 1 - opcode])
        elif opcode >= SWAP1:
            other = SWAP1 - 2 - opcode
            stack[-1], stack[other] = stack[other], stack[-1]
        elif opcode == 0x50:
            stack.pop()
        elif opcode == JUMPDEST:
            self._record(instruction.pc)
        elif opcode == JUMP:
            self._jump(instruction)
        elif opcode == JUMPI:
            self._jump_if(instruction)
        elif opcode in (0x51, 0x52, 0x53):
            self._memory(instruction)
        elif opcode == 0x35:
            self._calldata(instruction)
        elif opcode in FRAME_OPCODES or opcode in (0x38, 0x59):
            self._push_frame_value(instruction)
        else:
            self._arithmetic(instruction)

    # --- jumps ------------------------------------------------------------------------------------------------

    def _record(self, destination: int) -> None:
        """Record an executed jump destination, if the log of the guest has space: its position, and the contract."""
        code, entry = self._code, FROM  # which is in use only between blocks
        code += wasm.get(RUNNING) + wasm.load_i32(wasm.JUMP) + wasm.tee(entry)
        code += wasm.get(RUNNING) + wasm.load_i32(wasm.JUMPS_END) + wasm.I32_LT_U + wasm.IF
        code += wasm.get(entry) + wasm.i32(destination) + wasm.store_i32(0)
        code += wasm.get(entry) + wasm.get(RUNNING) + wasm.load_i32(wasm.CONTRACT) + wasm.store_i32(4)
        code += wasm.get(RUNNING) + wasm.get(entry) + wasm.i32(8) + wasm.I32_ADD + wasm.store_i32(wasm.JUMP)
        code += wasm.END

    def _jump(self, instruction: RegionInstruction) -> None:
        destination = constant_value(self._limbs(self._stack[-1]))
        if destination is not None and destination not in self._region.jumpdests:
            self._leave_here(instruction.pc, self._stack, self._rest, 0)
        elif destination is not None:
            self._stack.pop()
            self._write(self._stack)
            self._move_top(len(self._stack))
            self._go_to(destination, 0)
        else:
            limbs, code = self._limbs(self._stack[-1]), self._code
            self._write(self._stack)
            self._move_top(len(self._stack) - 1)
            code += wasm.i32(instruction.pc) + wasm.put(FROM) + wasm.i32(WORD) + wasm.put(UNDO)
            code += wasm.i64(self._rest) + wasm.put(UNDO_GAS)
            self._words.push(limbs[0])
            code += wasm.WRAP + wasm.i32(_NO_POSITION)
            # later positions are outside this region: they would be dispatched as entries
            self._words.push(limbs[0])
            code += wasm.i64(self._region.blocks[-1].start) + wasm.I64_GT_U + wasm.EXTEND_U
            for limb in limbs[1:]:
                if limb != 0:
                    self._words.push(limb)
                    code += wasm.I64_OR
            code += wasm.I64_EQZ + wasm.SELECT + wasm.put(PC)
            code += wasm.branch(len(self._region.blocks) - self._number)

    def _jump_if(self, instruction: RegionInstruction) -> None:
        code = self._code
        before = list(self._stack)
        destination = constant_value(self._limbs(self._stack.pop()))
        condition = self._pop()
        known_condition = constant_value(condition)
        if known_condition == 0:
            return
        leaves = destination is None or destination not in self._region.jumpdests
        if known_condition is None:
            self._words.push_nonzero(condition)
            code += wasm.i64(0) + wasm.I64_NE + wasm.IF
        else:
            code += wasm.BLOCK
        if leaves:
            self._leave_here(instruction.pc, before, self._rest, 1)
        else:
            assert destination is not None
            self._write(self._stack, remember=False)
            # the code that follows runs if the jump is not taken: only this path moves the top
            self._move_top(len(self._stack))
            self._go_to(destination, 1)
        code += wasm.END


def _parts(block: RegionBlock) -> list[list[RegionInstruction]]:
    """Return a block's instructions, split after conditional jumps; each part is charged when it is reached."""
    parts: list[list[RegionInstruction]] = [[]]
    for instruction in block.instructions:
        parts[-1].append(instruction)
        if instruction.opcode == JUMPI and instruction is not block.instructions[-1]:
            parts.append([])
    return parts
