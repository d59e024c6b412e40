"""EVM bytecode with its jump destinations, and a bounded cache of analyses by the code's CID."""

from dataclasses import dataclass
from typing import Final

from hypervisor.recent import Recent
from store.cid import Cid

EMPTY_CODE_HASH: Final = bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")
_JUMPDEST = 0x5B
_PUSH1, _PUSH32 = 0x60, 0x7F


@dataclass(frozen=True, slots=True)
class Code:
    """Bytecode, the positions at which a jump may land, and how many instructions it is from end to end."""

    data: bytes
    jump_destinations: frozenset[int]
    instructions: int


def analyse(data: bytes) -> Code:
    """Find the JUMPDEST bytes that are no push data."""
    destinations, instructions, position, end = [], 0, 0, len(data)
    while position < end:
        opcode = data[position]
        if opcode == _JUMPDEST:
            destinations.append(position)
        elif _PUSH1 <= opcode <= _PUSH32:
            position += opcode - _PUSH1 + 1
        position += 1
        instructions += 1
    return Code(data, frozenset(destinations), instructions)


class CodeCache:
    """Analyses of deployed code, the least recently used dropped first. Init code does not go in: it runs once.

    One cache serves every thread of a machine.
    """

    def __init__(self, max_bytes: int = 16 << 20) -> None:
        self._recent: Recent[Cid, Code] = Recent(max_bytes)

    def get(self, cid: Cid, data: bytes) -> Code:
        """The analysis of `data`, the content of the block `cid`."""
        return self._recent.get(cid) or self._recent.keep(cid, analyse(data), len(data))
