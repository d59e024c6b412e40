"""Selection of the part of a code that becomes a region: the blocks reachable from a hot jumpdest, up to a limit.

A jumpdest is a valid jump destination (a JUMPDEST outside of push data). A block begins at a jumpdest, after an
instruction that is left to the interpreter, or where the previous block falls through. It ends before the next
jumpdest, with a jump, or before an instruction that is left to the interpreter. A conditional jump does not end it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

MAX_REGION_SIZE: Final = 16 << 10
"""Maximum estimated size of a region in bytes of WASM: about 15 milliseconds of compilation."""
_BLOCKS_PER_REGION: Final = 4
"""A block is at most this fraction of the limit of a region."""
_BLOCK_SIZE: Final = 60
"""Estimated size of a block without its instructions."""
_USUAL_SIZE: Final = 15
"""Estimated size of an instruction that is not in `_SIZES`, including its words on the stack at the block's end."""
_SIZES: Final = {
    **dict.fromkeys((0x01, 0x03), 76),
    **dict.fromkeys((0x05, 0x07, 0x0B, 0x1A, 0x1B, 0x1C, 0x1D), 75),
    **dict.fromkeys((0x04, 0x06), 155),
    **dict.fromkeys((0x08, 0x09), 110),
    **dict.fromkeys((0x10, 0x11, 0x12, 0x13, 0x14), 45),
    **dict.fromkeys((0x30, 0x33, 0x34), 37),
    **dict.fromkeys((0x02, 0x16, 0x17, 0x18, 0x19), 30),
    0x5B: 75,
    0x15: 20,
    0x35: 180,
    0x51: 240,
    0x52: 260,
    0x53: 190,
    0x56: 60,
    0x57: 75,
}
"""Estimated WASM bytes per opcode, for operands that are not constants."""

JUMP, JUMPI, JUMPDEST = 0x56, 0x57, 0x5B
PUSH0, PUSH32, DUP1, DUP16, SWAP1, SWAP16 = 0x5F, 0x7F, 0x80, 0x8F, 0x90, 0x9F

_OPERANDS: Final = {
    **dict.fromkeys((0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0B), (2, 1)),
    **dict.fromkeys((0x10, 0x11, 0x12, 0x13, 0x14, 0x16, 0x17, 0x18, 0x1A, 0x1B, 0x1C, 0x1D), (2, 1)),
    **dict.fromkeys((0x08, 0x09), (3, 1)),
    **dict.fromkeys((0x15, 0x19, 0x35, 0x51), (1, 1)),
    **dict.fromkeys((0x30, 0x33, 0x34, 0x36, 0x38, 0x3D, 0x59), (0, 1)),
    **dict.fromkeys((0x52, 0x53), (2, 0)),
    0x50: (1, 0),
    JUMP: (1, 0),
    JUMPI: (2, 0),
    JUMPDEST: (0, 0),
    **dict.fromkeys(range(PUSH0, PUSH32 + 1), (0, 1)),
    **{DUP1 + depth: (depth + 1, depth + 2) for depth in range(16)},
    **{SWAP1 + depth: (depth + 2, depth + 2) for depth in range(16)},
}
"""Words popped and pushed by the opcodes that a region executes itself."""
_RESUMES: Final = frozenset({
    0x0A, 0x20, 0x37, 0x39, 0x3E, 0x41, 0x42, 0x43, 0x45, 0x46, 0x54, 0x55, 0x5A, 0x5E, *range(0xA0, 0xA5),
    0xF0, 0xF1, 0xF2, 0xF4, 0xF5, 0xFA,
})  # fmt: skip
"""Opcodes left to the interpreter, after which execution may enter a region again.

The interpreter looks for a region after such an opcode (`back!` in guests/frames/src/interpreter.rs), or when the frame
continues after a call.
"""


@dataclass(frozen=True, slots=True)
class RegionInstruction:
    """One instruction; `value` is the operand of a push, `price` its static gas."""

    pc: int
    opcode: int
    value: int
    price: int

    @property
    def operands(self) -> tuple[int, int]:
        """Words popped and words pushed."""
        return _OPERANDS[self.opcode]


@dataclass(slots=True)
class RegionBlock:
    """A sequence of instructions. Execution continues at the position `after` it if `falls_through` is True."""

    start: int
    instructions: list[RegionInstruction]
    after: int
    falls_through: bool
    size: int = _BLOCK_SIZE
    """Estimated size in bytes of WASM."""
    min_stack: int = 0
    """Words that must be on the stack."""
    max_growth: int = 0
    """Words by which the stack may grow."""

    def __post_init__(self) -> None:
        height = lowest = highest = 0
        for instruction in self.instructions:
            taken, put = instruction.operands
            lowest = min(lowest, height - taken)
            height += put - taken
            highest = max(highest, height)
        self.min_stack, self.max_growth = -lowest, highest


@dataclass(slots=True)
class Region:
    """Blocks in order of position. `entries` are the positions at which the interpreter may enter."""

    blocks: list[RegionBlock]
    jumpdests: frozenset[int]
    """All jumpdests of the code, also outside of the region."""
    entries: list[int] = field(default_factory=list)


def jumpdests_of(code: bytes) -> frozenset[int]:
    """Return the valid jump destinations."""
    found, pc, size = [], 0, len(code)
    while pc < size:
        opcode = code[pc]
        if opcode == JUMPDEST:
            found.append(pc)
        elif PUSH0 < opcode <= PUSH32:
            pc += opcode - PUSH0
        pc += 1
    return frozenset(found)


def choose(code: bytes, roots: Iterable[int], prices: Mapping[int, int], limit: int = MAX_REGION_SIZE) -> Region:
    """Return the region reachable from `roots`, of at most `limit` bytes of WASM by estimate.

    It may be entered at the roots. `prices` maps the opcodes of the fork to their static gas.
    """
    jumpdests = jumpdests_of(code)
    found: dict[int, RegionBlock] = {}
    waiting, left = deque(roots), limit
    entered = {0, *waiting} | jumpdests
    while waiting and left > 0:
        start = waiting.popleft()
        if start in found or start >= len(code):
            continue
        block = _decode(code, start, prices, jumpdests, limit // _BLOCKS_PER_REGION)
        left -= block.size
        if left < 0 and found:
            break
        found[start] = block
        waiting.extend(_successors(code, block, jumpdests))
    blocks = [found[start] for start in sorted(found)]
    blocks = [block for block in blocks if block.instructions]
    resumed = {
        block.after + 1
        for block in found.values()
        if not block.falls_through and _continues(block) and block.after < len(code) and code[block.after] in _RESUMES
    }
    entries = [block.start for block in blocks if block.start in entered or block.start in resumed]
    return Region(blocks, jumpdests, entries)


def _decode(code: bytes, start: int, prices: Mapping[int, int], jumpdests: frozenset[int], limit: int) -> RegionBlock:
    instructions: list[RegionInstruction] = []
    pc, bytes_of_wasm = start, _BLOCK_SIZE
    while pc < len(code):
        opcode = code[pc]
        is_large = bytes_of_wasm >= limit
        if opcode not in _OPERANDS or opcode not in prices or (instructions and pc in jumpdests) or is_large:
            falls_through = bool(instructions) and (pc in jumpdests or is_large)
            return RegionBlock(start, instructions, pc, falls_through, bytes_of_wasm)
        size = opcode - PUSH0 if PUSH0 <= opcode <= PUSH32 else 0
        data = code[pc + 1 : pc + 1 + size]
        value = int.from_bytes(data, "big") << 8 * (size - len(data))
        instructions.append(RegionInstruction(pc, opcode, value, prices[opcode]))
        bytes_of_wasm += _SIZES.get(opcode, _USUAL_SIZE)
        pc += 1 + size
        if opcode == JUMP:
            break
    return RegionBlock(start, instructions, pc, False, bytes_of_wasm)


def _successors(code: bytes, block: RegionBlock, jumpdests: frozenset[int]) -> list[int]:
    """Return possible successors: the next block, pushed jumpdests, and the position after an interpreted opcode."""
    positions = [each.value for each in block.instructions if PUSH0 < each.opcode <= PUSH32 and each.value in jumpdests]
    if block.falls_through:
        positions.insert(0, block.after)
    elif block.after < len(code) and code[block.after] in _RESUMES and _continues(block):
        positions.insert(0, block.after + 1)
    return positions


def _continues(block: RegionBlock) -> bool:
    return not block.instructions or block.instructions[-1].opcode != JUMP
