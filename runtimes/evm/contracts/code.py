"""EVM bytecode with its jump destinations, and a bounded cache of analysed code by CID."""

from functools import cached_property
from typing import Final

from hypervisor.threads import BoundedCache
from store.cid import Cid

EMPTY_CODE_HASH: Final = bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")
_JUMPDEST = 0x5B
_PUSH1, _PUSH32 = 0x60, 0x7F


class Code:
    """Bytecode, analysed on first use: not every engine needs the analysis."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @cached_property
    def _analysis(self) -> tuple[frozenset[int], int]:
        return _analyse(self.data)

    @property
    def jump_destinations(self) -> frozenset[int]:
        return self._analysis[0]

    @cached_property
    def instructions(self) -> int:
        """Number of instructions."""
        return self._analysis[1]


def _analyse(data: bytes) -> tuple[frozenset[int], int]:
    """Return the JUMPDEST positions outside of push data, and the number of instructions."""
    destinations, instructions, position, end = [], 0, 0, len(data)
    while position < end:
        opcode = data[position]
        if opcode == _JUMPDEST:
            destinations.append(position)
        elif _PUSH1 <= opcode <= _PUSH32:
            position += opcode - _PUSH1 + 1
        position += 1
        instructions += 1
    return frozenset(destinations), instructions


class CodeCache:
    """An LRU cache of analysed deployed code, shared by all threads of a machine.

    Init code is not cached, because it runs once.
    """

    def __init__(self, max_bytes: int = 16 << 20) -> None:
        self._recent: BoundedCache[Cid, Code] = BoundedCache(max_bytes, "evm_codes")

    def cached(self, cid: Cid) -> Code | None:
        """Return the cached analysis of the block `cid`, or None."""
        return self._recent.get(cid)

    def get(self, cid: Cid, data: bytes) -> Code:
        """Return the analysis of `data`, the content of the block `cid`."""
        return self._recent.get(cid) or self._recent.setdefault(cid, Code(data), len(data))


CODE_TOO_LONG: Final = "max code size exceeded"


def code_too_long(size: int, limit: int, reason: str = CODE_TOO_LONG) -> str:
    """Return the error for code above the limit, in go-ethereum's words (core/vm/evm.go)."""
    return f"{reason}: code size {size} limit {limit}"
