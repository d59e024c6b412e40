"""A region's stack during encoding: words in locals, words in the stack's memory, and exits.

Between blocks all words are in memory as in the interpreter. Within a block they are read at their first use, and
changed ones are written back where the block ends or is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runtimes.evm.fast.regions import shared, wasm
from runtimes.evm.fast.regions.blocks import Region
from runtimes.evm.fast.regions.words import Limb, Limbs, WordEmitter

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
        code += wasm.get(RUNNING) + wasm.load_i32(shared.MEMORY) + wasm.put(MEMORY)
        code += wasm.get(RUNNING) + wasm.load_i64_32(shared.MEMORY_SIZE) + wasm.put(SIZE)
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
