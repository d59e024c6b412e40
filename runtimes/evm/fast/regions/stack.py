"""The stack of a region while it is written: what is in locals, what lies in the stack's memory, and the ways out.

Between blocks all words lie in memory, as the interpreter has them; within a block they are read when they are first
used, and what has changed is written back where the block ends or is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runtimes.evm.fast.regions import shared, wasm
from runtimes.evm.fast.regions.blocks import Region
from runtimes.evm.fast.regions.words import Limb, Limbs, WordEmitter

LENGTHEN, OPERATE, MULTIPLY, REACH, REGION = range(5)
"""The functions of a region's module, the imported ones first."""
RUNNING, TOP, PC, MEMORY, FROM, UNDO, BASE, LIMIT, AT = range(9)
GAS, ROOM, SIZE, UNDO_GAS, LEFT = range(9, 14)
VECTOR: Final = 14
TEMPORARY: Final = 15
"""The locals: the parameter, eight of 32 bits, five of 64, a vector, then those of words."""
WORD: Final = 32


@dataclass(slots=True, eq=False)
class Value:
    """A word: its limbs, once they are known or in locals, and where it lies on the stack, in words from the top."""

    limbs: Limbs | None = None
    place: int | None = None


class RegionStack:
    """Writes what reads and writes the stack, and what leaves the region."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._numbers = {block.start: number for number, block in enumerate(region.blocks)}
        self._words = WordEmitter(TEMPORARY, MULTIPLY)
        self._code = self._words.code
        self._stack: list[Value] = []
        self._bottom = 0
        """Words from the top at the block's beginning down to the stack's first value here."""
        self._number = 0
        """The block at hand."""
        self._rest = 0
        """Flat prices that are taken already, of the instruction at hand and those after it."""

    def _look_at_memory(self) -> None:
        """Where memory is and how long; `ROOM` is the first place at which no word begins that it holds."""
        code = self._code
        code += wasm.get(RUNNING) + wasm.load_i32(shared.MEMORY) + wasm.put(MEMORY)
        code += wasm.get(RUNNING) + wasm.load_i64_32(shared.MEMORY_SIZE) + wasm.put(SIZE)
        # memory is a whole number of words: none, or at least one
        code += wasm.get(SIZE) + wasm.i64(31) + wasm.I64_SUB + wasm.i64(0)
        code += wasm.get(SIZE) + wasm.i64(0) + wasm.I64_NE + wasm.SELECT + wasm.put(ROOM)

    # --- ways out ---------------------------------------------------------------------------------------------

    def _to_exit(self, nested: int) -> bytes:
        """A branch to the region's end from this block, `nested` labels within it."""
        return wasm.branch(len(self._region.blocks) - self._number + 1 + nested)

    def _leave(self, pc: int, nested: int) -> None:
        """End the region: the interpreter goes on at `pc`, with the stack as it is written."""
        self._code += wasm.i32(pc) + wasm.put(PC) + self._to_exit(nested)

    def _leave_here(self, pc: int, stack: list[Value], gas: int, nested: int) -> None:
        """The same before the instruction at `pc`: a stack that is written now, gas that is given back."""
        self._write(stack, remember=False)
        self._move_top(len(stack))
        if gas:
            self._code += wasm.get(GAS) + wasm.i64(gas) + wasm.I64_ADD + wasm.put(GAS)
        self._leave(pc, nested)

    def _go_to(self, place: int, nested: int) -> None:
        """Go on at a landing, with the stack as it is written."""
        number = self._numbers.get(place)
        if number is None:
            self._leave(place, nested)
        elif number > self._number:
            self._code += wasm.branch(number - self._number - 1 + nested)
        else:
            self._code += wasm.i32(place) + wasm.put(PC)
            self._code += wasm.branch(len(self._region.blocks) - self._number + nested)

    # --- the stack --------------------------------------------------------------------------------------------

    def _move_top(self, height: int) -> None:
        by = height - self._bottom
        if by:
            self._code += wasm.get(TOP) + wasm.i32(WORD * by) + wasm.I32_ADD + wasm.put(TOP)

    def _address(self, place: int) -> int:
        """Put the address from which `place` is reached on WASM's stack; the offset from there."""
        if place >= 0:
            self._code += wasm.get(TOP)
            return WORD * place
        self._code += wasm.get(TOP) + wasm.i32(WORD * place) + wasm.I32_ADD
        return 0

    def _limbs(self, value: Value, remember: bool = True) -> Limbs:
        """A word's limbs; it is read from the stack's memory where they are not there yet."""
        if value.limbs is not None:
            return value.limbs
        assert value.place is not None, "a word is in locals or on the stack"
        offset = self._address(value.place)
        self._code += wasm.put(AT)
        limbs = self._read(offset)
        if remember:
            value.limbs = limbs
        return limbs

    def _read(self, offset: int = 0) -> Limbs:
        """The word that lies so far after the address in `AT`, in new locals."""
        read: list[Limb] = []
        for limb in range(4):
            self._code += wasm.get(AT) + wasm.load_i64(offset + 8 * limb)
            read.append(self._words.take())
        return read[0], read[1], read[2], read[3]

    def _store(self, limbs: Limbs, place: int) -> None:
        offset = self._address(place)
        self._code += wasm.put(AT)
        for number, limb in enumerate(limbs):
            self._code += wasm.get(AT)
            self._words.push(limb)
            self._code += wasm.store_i64(offset + 8 * number)

    def _write(self, stack: list[Value], remember: bool = True) -> None:
        """Write the stack to its memory. Without `remember` this is one of several ways, and nothing is noted."""
        changed = [(value, place) for place, value in enumerate(stack, -self._bottom) if value.place != place]
        limbs = [self._limbs(value, remember) for value, _ in changed]
        for (_, place), word in zip(changed, limbs, strict=True):
            self._store(word, place)

    def _claim(self, place: int, others: list[Value]) -> None:
        """Let a place of the stack be written: what still counts on what lies there is read first."""
        for value in (*self._stack, *others):
            if value.place == place:
                self._limbs(value)
                value.place = None

    def _push(self, limbs: Limbs) -> None:
        self._stack.append(Value(limbs))

    def _pop(self) -> Limbs:
        return self._limbs(self._stack.pop())
