"""Mutants of a module: copies with one changed instruction, for mutation tests of native actors.

The operators are those of mutation tests of source code, on instructions: comparisons, arithmetic, constants that an
operator uses, and calls that are left out. A changed constant differs in its lowest bit. 32-bit arithmetic with a
constant is mostly that of addresses, and stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from runtimes.wasm.module.blocks import block_spans
from runtimes.wasm.module.instrumentation import decode
from runtimes.wasm.module.opcodes import (
    CALL,
    DROP,
    I32_CONST,
    I64_CONST,
    MEMORY_GROW,
    PREFIXED_OPERANDS,
    SHAPE,
    Shape,
)
from runtimes.wasm.module.parser import (
    F32,
    F64,
    I32,
    I64,
    MAGIC,
    BinaryReader,
    FunctionType,
    Section,
    parse_module,
)
from runtimes.wasmtime.encoding import section, u32, vector

_COMPARISONS: Final = {"eq": "ne", "ne": "eq", "lt_s": "le_s", "lt_u": "le_u", "gt_s": "ge_s", "gt_u": "ge_u"}
_COMPARISONS_BACK: Final = {"le_s": "lt_s", "le_u": "lt_u", "ge_s": "gt_s", "ge_u": "gt_u"}
_ARITHMETIC: Final = {
    "add": "sub", "sub": "add", "mul": "add", "div_s": "mul", "div_u": "mul", "rem_s": "div_s", "rem_u": "div_u",
    "and": "or", "or": "and", "xor": "or", "shl": "shr_u", "shr_s": "shl", "shr_u": "shl",
}  # fmt: skip
_COMPARE: Final = ["eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u"]
_COMPUTE: Final = ["add", "sub", "mul", "div_s", "div_u", "rem_s", "rem_u", "and", "or", "xor", "shl", "shr_s", "shr_u"]
_NAMES: Final = {
    first + index: f"{kind}.{name}"
    for kind, first, names in (
        ("i32", 0x46, _COMPARE), ("i64", 0x51, _COMPARE), ("i32", 0x6A, _COMPUTE), ("i64", 0x7C, _COMPUTE),
    )
    for index, name in enumerate(names)
}  # fmt: skip
_CODES: Final = {name: code for code, name in _NAMES.items()}
_CHANGES: Final = _COMPARISONS | _COMPARISONS_BACK | _ARITHMETIC
_ZEROS: Final = {I32: b"\x41\x00", I64: b"\x42\x00", F32: b"\x43" + bytes(4), F64: b"\x44" + bytes(8)}
_NUMBERS: Final = {
    Shape.INDEX: 1, Shape.LABEL: 1, Shape.CALL: 1, Shape.GLOBAL: 1, Shape.LONG_CONST: 1, Shape.MEMORY: 2,
    Shape.CALL_INDIRECT: 2,
}  # fmt: skip
_BYTES: Final = {Shape.FLOAT: 4, Shape.DOUBLE: 8, Shape.ZERO: 1, Shape.BLOCK: 1}
_MAX_LEB: Final = 10


@dataclass(frozen=True, slots=True)
class CodeMutant:
    """A change of the instruction at an offset of a module; `function` is an index, `end` the offset after it."""

    function: int
    offset: int
    end: int
    code: bytes
    text: str
    """The change, for example `i64.lt_u -> i64.le_u`."""
    callee: int | None = None
    """The function whose call is left out."""


def module_mutants(wasm: bytes) -> Iterator[CodeMutant]:
    """Yield the mutants of a valid module by offset, without those of unreachable code."""
    module = parse_module(wasm)
    signatures = [module.types[index] for index in module.function_type_indices()]
    imported = len(signatures) - len(module.functions)
    for index, body in enumerate(module.bodies):
        function, before = imported + index, (0, 0, 0)
        reachable = block_spans(decode(wasm, body.code_at, body.end), body.code_at, body.end)
        start, end = next(reachable, (0, 0))
        for offset, op, after in _instructions(wasm, body.code_at, body.end):
            while offset >= end > 0:
                start, end = next(reachable, (0, 0))
            if start <= offset < end:
                if op in _NAMES:
                    yield from _operator(wasm, function, before, (offset, op, after))
                elif op == CALL:
                    callee = BinaryReader(wasm, offset + 1, after).u32()
                    removed = _without_call(signatures[callee])
                    if removed is not None:
                        yield CodeMutant(function, offset, after, removed, f"call of {callee} removed", callee)
            before = offset, op, after


def _operator(
    wasm: bytes, function: int, before: tuple[int, int, int], this: tuple[int, int, int]
) -> Iterator[CodeMutant]:
    """Yield the changes of an operator, and of a constant directly before it, its last operand."""
    (at, kind, _), (offset, op, after) = before, this
    if kind == I32_CONST and op >= _CODES["i32.add"]:
        return
    if kind in (I32_CONST, I64_CONST):
        changed = bytes((wasm[at + 1] ^ 1,))
        yield CodeMutant(function, at + 1, at + 2, changed, f"operand of {_NAMES[op]} changed by 1")
    name, _, operator = _NAMES[op].partition(".")
    other = f"{name}.{_CHANGES[operator]}"
    yield CodeMutant(function, offset, after, bytes((_CODES[other],)), f"{_NAMES[op]} -> {other}")


def _without_call(callee: FunctionType) -> bytes | None:
    """Return code with the effect of a call on the stack only; None if its result is no number."""
    zeros = [_ZEROS.get(kind) for kind in callee.results]
    found = [zero for zero in zeros if zero is not None]
    return bytes((DROP,)) * len(callee.params) + b"".join(found) if len(found) == len(zeros) else None


def _instructions(wasm: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield offset, opcode and offset after each instruction of a valid function."""
    reader = BinaryReader(wasm, start, end)
    while not reader.done:
        offset, op = reader.position, reader.byte()
        shape = Shape(SHAPE[op])
        if shape is Shape.PREFIX:
            for _ in range(PREFIXED_OPERANDS[reader.u32()]):
                reader.u32()
        elif shape is Shape.BR_TABLE:
            for _ in range(reader.u32() + 1):
                reader.u32()
        else:
            for _ in range(_NUMBERS.get(shape, 0)):
                reader.skip_leb(_MAX_LEB)
            reader.take(_BYTES.get(shape, 1 if op == MEMORY_GROW else 0))
        yield offset, op, reader.position


def mutated(wasm: bytes, mutant: CodeMutant) -> bytes:
    """Return the module with a mutant's change."""
    reader, pieces = BinaryReader(wasm, len(MAGIC)), [MAGIC]
    while not reader.done:
        number, size = reader.byte(), reader.u32()
        payload = BinaryReader(wasm, reader.position, reader.position + size)
        pieces.append(section(number, _changed(payload, mutant) if number == Section.CODE else payload.take(size)))
        reader.take(size)
    return b"".join(pieces)


def _changed(code: BinaryReader, mutant: CodeMutant) -> bytes:
    bodies = []
    for _ in range(code.u32()):
        size = code.u32()
        start, text = code.position, code.take(size)
        if start <= mutant.offset < start + size:
            text = text[: mutant.offset - start] + mutant.code + text[mutant.end - start :]
        bodies.append(u32(len(text)) + text)
    return vector(bodies)
