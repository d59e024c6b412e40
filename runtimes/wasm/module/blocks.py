"""The basic blocks of a module's code, for coverage."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from runtimes.wasm.module.instrumentation import Instructions, decode
from runtimes.wasm.module.opcodes import BR, BR_IF, BR_TABLE, ELSE, END, IF, LOOP, RETURN, UNREACHABLE
from runtimes.wasm.module.parser import parse_module

_BEGINS = frozenset((LOOP, IF, ELSE, END, BR_IF))
_ENDS = frozenset((BR, BR_TABLE, RETURN, UNREACHABLE))


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """Instructions that run one after the other: offsets in the module, and the index of their function."""

    function: int
    start: int
    end: int


def block_spans(code: Instructions, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the blocks of a function's code, in order; none is empty or unreachable."""
    begin: int | None = start
    for _, op, at, after, _ in code.marks:
        begins = op in _BEGINS
        if not begins and op not in _ENDS:
            continue
        if begin is not None and (at > begin or op not in (ELSE, END)):
            yield begin, at if op in (ELSE, END) else after
        begin = after if begins and after < end else None


@lru_cache(16)
def code_blocks(wasm: bytes) -> tuple[CodeBlock, ...]:
    """Return the blocks of a valid module, in the order in which profiled code numbers them."""
    module = parse_module(wasm)
    imported = len(module.function_type_indices()) - len(module.functions)
    return tuple(
        CodeBlock(imported + index, *span)
        for index, body in enumerate(module.bodies)
        for span in block_spans(decode(wasm, body.code_at, body.end), body.code_at, body.end)
    )
