"""The instructions that consensus allows: their immediates, effect on the stack height, and price.

Each row of `_ROWS` describes a range of opcodes; the tables that the passes index are derived from it. Two-byte
instructions (prefix 0xFC) get codes from 0xE0 on, which no one-byte instruction uses. Everything else is rejected:
references made in code, SIMD, threads, tail calls, exceptions. Prices: ref-fvm fvm/src/gas/price_list.rs
`WasmGasPrices`, in milligas.
"""

from enum import IntEnum
from typing import NamedTuple

PAGE_BYTES = 65_536
_TABLE_ENTRY = 8


class WasmPrices(NamedTuple):
    """Prices of code under a price list, in milligas: per instruction, and per byte of memory that is filled or copied.

    They are compiled into a module, so other prices need another instrumented module.
    """

    instruction: int = 4_000
    memory_byte: int = 400


NETWORK_PRICES = WasmPrices()
"""The prices of all network versions so far."""

PREFIX = 0xFC
PREFIXED_BASE = 0xE0


class Shape(IntEnum):
    """The kind of immediates after an opcode. The passes inspect shapes from BLOCK on individually ("marks")."""

    PLAIN = 0
    INDEX = 1
    MEMORY = 2
    LONG_CONST = 3
    FLOAT = 4
    DOUBLE = 5
    ZERO = 6
    PREFIX = 7
    BLOCK = 8
    LABEL = 9
    BR_TABLE = 10
    CALL = 11
    CALL_INDIRECT = 12
    MARK = 13
    GLOBAL = 14
    ILLEGAL = 255


UNREACHABLE, NOP, BLOCK, LOOP, IF, ELSE, END = 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x0B
BR, BR_IF, BR_TABLE, RETURN, CALL, CALL_INDIRECT, DROP, SELECT = 0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0x11, 0x1A, 0x1B
LOCAL_GET, LOCAL_TEE, GLOBAL_GET, GLOBAL_SET = 0x20, 0x22, 0x23, 0x24
I32_CONST, I64_CONST, MEMORY_GROW = 0x41, 0x42, 0x40
MEMORY_INIT, DATA_DROP, MEMORY_COPY, MEMORY_FILL = 0xE8, 0xE9, 0xEA, 0xEB
TABLE_INIT, ELEM_DROP, TABLE_COPY, TABLE_GROW, TABLE_SIZE, TABLE_FILL = 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1

# first opcode, last opcode, shape, values popped, values pushed, price in instructions
_ROWS: tuple[tuple[int, int, Shape, int, int, int], ...] = (
    (UNREACHABLE, UNREACHABLE, Shape.MARK, 0, 0, 0),
    (NOP, NOP, Shape.PLAIN, 0, 0, 0),
    (BLOCK, LOOP, Shape.BLOCK, 0, 0, 0),
    (IF, IF, Shape.BLOCK, 1, 0, 1),
    (ELSE, ELSE, Shape.MARK, 0, 0, 0),
    (END, END, Shape.MARK, 0, 0, 0),
    (BR, BR_IF, Shape.LABEL, 0, 0, 1),
    (BR_TABLE, BR_TABLE, Shape.BR_TABLE, 0, 0, 1),
    (RETURN, RETURN, Shape.MARK, 0, 0, 0),
    (CALL, CALL, Shape.CALL, 0, 0, 1),
    (CALL_INDIRECT, CALL_INDIRECT, Shape.CALL_INDIRECT, 0, 0, 1),
    (DROP, DROP, Shape.PLAIN, 1, 0, 0),
    (SELECT, SELECT, Shape.PLAIN, 3, 1, 1),
    (LOCAL_GET, LOCAL_GET, Shape.INDEX, 0, 1, 1),
    (0x21, 0x21, Shape.INDEX, 1, 0, 1),  # local.set
    (LOCAL_TEE, LOCAL_TEE, Shape.INDEX, 1, 1, 1),
    (GLOBAL_GET, GLOBAL_GET, Shape.GLOBAL, 0, 1, 1),
    (GLOBAL_SET, GLOBAL_SET, Shape.GLOBAL, 1, 0, 1),
    (0x25, 0x25, Shape.INDEX, 1, 1, 1),  # table.get
    (0x26, 0x26, Shape.INDEX, 2, 0, 1),  # table.set
    (0x28, 0x35, Shape.MEMORY, 1, 1, 1),  # loads
    (0x36, 0x3E, Shape.MEMORY, 2, 0, 1),  # stores
    (0x3F, 0x3F, Shape.ZERO, 0, 1, 1),  # memory.size
    (MEMORY_GROW, MEMORY_GROW, Shape.MARK, 1, 1, 1),
    (I32_CONST, I32_CONST, Shape.INDEX, 0, 1, 1),
    (I64_CONST, I64_CONST, Shape.LONG_CONST, 0, 1, 1),
    (0x43, 0x43, Shape.FLOAT, 0, 1, 1),
    (0x44, 0x44, Shape.DOUBLE, 0, 1, 1),
    (0x45, 0x45, Shape.PLAIN, 1, 1, 1),  # i32.eqz
    (0x46, 0x4F, Shape.PLAIN, 2, 1, 1),  # i32 comparisons
    (0x50, 0x50, Shape.PLAIN, 1, 1, 1),  # i64.eqz
    (0x51, 0x66, Shape.PLAIN, 2, 1, 1),  # i64, f32, f64 comparisons
    (0x67, 0x69, Shape.PLAIN, 1, 1, 1),  # i32 clz, ctz, popcnt
    (0x6A, 0x78, Shape.PLAIN, 2, 1, 1),  # i32 arithmetic
    (0x79, 0x7B, Shape.PLAIN, 1, 1, 1),  # i64 clz, ctz, popcnt
    (0x7C, 0x8A, Shape.PLAIN, 2, 1, 1),  # i64 arithmetic
    (0x8B, 0x91, Shape.PLAIN, 1, 1, 1),  # f32 of one operand
    (0x92, 0x98, Shape.PLAIN, 2, 1, 1),  # f32 of two
    (0x99, 0x9F, Shape.PLAIN, 1, 1, 1),  # f64 of one operand
    (0xA0, 0xA6, Shape.PLAIN, 2, 1, 1),  # f64 of two
    (0xA7, 0xC4, Shape.PLAIN, 1, 1, 1),  # conversions, reinterpretations, sign extensions
    (0xE0, 0xE7, Shape.PLAIN, 1, 1, 1),  # saturating conversions
    (MEMORY_INIT, MEMORY_INIT, Shape.MARK, 3, 0, 1),
    (DATA_DROP, DATA_DROP, Shape.PLAIN, 0, 0, 1),
    (MEMORY_COPY, MEMORY_COPY, Shape.MARK, 3, 0, 1),
    (MEMORY_FILL, MEMORY_FILL, Shape.MARK, 3, 0, 1),
    (TABLE_INIT, TABLE_INIT, Shape.MARK, 3, 0, 1),
    (ELEM_DROP, ELEM_DROP, Shape.PLAIN, 0, 0, 1),
    (TABLE_COPY, TABLE_COPY, Shape.MARK, 3, 0, 1),
    (TABLE_GROW, TABLE_GROW, Shape.MARK, 2, 1, 1),
    (TABLE_SIZE, TABLE_SIZE, Shape.PLAIN, 0, 1, 1),
    (TABLE_FILL, TABLE_FILL, Shape.MARK, 3, 0, 1),
)

LINEAR_BYTES = {
    MEMORY_GROW: PAGE_BYTES,
    MEMORY_INIT: 1,
    MEMORY_COPY: 1,
    MEMORY_FILL: 1,
    TABLE_INIT: _TABLE_ENTRY,
    TABLE_COPY: _TABLE_ENTRY,
    TABLE_GROW: _TABLE_ENTRY,
    TABLE_FILL: _TABLE_ENTRY,
}
"""Bytes of memory charged per unit of the instruction's last operand (pages, bytes, elements), in addition to its
price."""

PREFIXED_OPERANDS = (0,) * 8 + (2, 1, 2, 1, 2, 1, 2, 1, 1, 1)
"""Number of indices after each two-byte instruction, by its second byte."""

SHAPE = bytearray([Shape.ILLEGAL]) * 256
POPS = bytearray(256)
PUSHES = bytearray(256)
PRICE = [0] * 256
"""Price in instructions: 1, or 0 for free ones."""
NET = [0] * 256
"""Values pushed minus values popped, for instructions that are not marks."""

for _first, _last, _shape, _pops, _pushes, _price in _ROWS:
    for _code in range(_first, _last + 1):
        SHAPE[_code] = _shape if _code < PREFIXED_BASE else Shape.ILLEGAL
        POPS[_code], PUSHES[_code], PRICE[_code] = _pops, _pushes, _price
        NET[_code] = _pushes - _pops
SHAPE[PREFIX] = Shape.PREFIX

PREFIXED_IS_MARK = bytes(PREFIXED_BASE + _second in LINEAR_BYTES for _second in range(len(PREFIXED_OPERANDS)))
