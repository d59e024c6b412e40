"""Encoder for the WASM of compiled regions, and the offsets of data shared with the interpreter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from runtimes.wasmtime.encoding import encode_signed, u32, vector

GAS: Final = 0
PC: Final = 8
TOP: Final = 12
BASE: Final = 16
LIMIT: Final = 20
MEMORY: Final = 24
MEMORY_SIZE: Final = 28
CALLDATA: Final = 32
CALLDATA_SIZE: Final = 36
RETURN_SIZE: Final = 40
ADDRESS: Final = 44
CALLER: Final = 48
VALUE: Final = 52
JUMP: Final = 56
JUMPS_END: Final = 60
CONTRACT: Final = 64

I32, I64, V128, EMPTY = 0x7F, 0x7E, 0x7B, 0x40

BLOCK, LOOP, IF = b"\x02\x40", b"\x03\x40", b"\x04\x40"
ELSE, END, RETURN = b"\x05", b"\x0b", b"\x0f"
SELECT: Final = b"\x1b"
I32_EQZ, I32_LT_U = b"\x45", b"\x49"
I32_ADD, I32_SUB, I32_OR = b"\x6a", b"\x6b", b"\x72"
I64_EQZ, I64_EQ, I64_NE, I64_LT_S, I64_LT_U, I64_GT_U, I64_GE_U = (
    b"\x50", b"\x51", b"\x52", b"\x53", b"\x54", b"\x56", b"\x5a",
)  # fmt: skip
I64_ADD, I64_SUB, I64_MUL, I64_DIV_U, I64_REM_U = b"\x7c", b"\x7d", b"\x7e", b"\x80", b"\x82"
I64_AND, I64_OR, I64_XOR, I64_SHL, I64_SHR_U = b"\x83", b"\x84", b"\x85", b"\x86", b"\x88"
WRAP, EXTEND_U = b"\xa7", b"\xad"
ADD128, SUB128, MUL_WIDE_U = b"\xfc\x13", b"\xfc\x14", b"\xfc\x16"
SPLAT_I64: Final = b"\xfd\x12"
SET_LANE_1: Final = b"\xfd\x1e\x01"
REVERSE: Final = b"\xfd\x0d" + bytes(range(15, -1, -1))
"""An `i8x16.shuffle` that reverses the bytes of a vector. Both of its operands must be that vector."""


def i32(number: int) -> bytes:
    """Encode i32.const. An unsigned number of 2^31 or more is reinterpreted as signed."""
    return b"\x41" + encode_signed(number - (1 << 32) if number >> 31 == 1 else number)


def i64(number: int) -> bytes:
    """Encode i64.const. An unsigned number of 2^63 or more is reinterpreted as signed."""
    return b"\x42" + encode_signed(number - (1 << 64) if number >> 63 == 1 else number)


def get(local: int) -> bytes:
    """Encode local.get."""
    return b"\x20" + u32(local)


def put(local: int) -> bytes:
    """Encode local.set."""
    return b"\x21" + u32(local)


def tee(local: int) -> bytes:
    """Encode local.tee."""
    return b"\x22" + u32(local)


def call(function: int) -> bytes:
    """Encode call."""
    return b"\x10" + u32(function)


def branch(depth: int) -> bytes:
    """Encode br."""
    return b"\x0c" + u32(depth)


def branch_table(depths: list[int], default: int) -> bytes:
    """Encode br_table."""
    return b"\x0e" + u32(len(depths)) + b"".join(map(u32, depths)) + u32(default)


def load_i32(offset: int) -> bytes:
    """Encode i32.load."""
    return b"\x28\x00" + u32(offset)


def load_i64(offset: int) -> bytes:
    """Encode i64.load."""
    return b"\x29\x00" + u32(offset)


def load_i64_32(offset: int) -> bytes:
    """Encode i64.load32_u."""
    return b"\x35\x00" + u32(offset)


def store_i32(offset: int) -> bytes:
    """Encode i32.store."""
    return b"\x36\x00" + u32(offset)


def store_i64(offset: int) -> bytes:
    """Encode i64.store."""
    return b"\x37\x00" + u32(offset)


def store_byte(offset: int) -> bytes:
    """Encode i64.store8."""
    return b"\x3c\x00" + u32(offset)


def load_v128(offset: int) -> bytes:
    """Encode v128.load."""
    return b"\xfd\x00\x00" + u32(offset)


def store_v128(offset: int) -> bytes:
    """Encode v128.store."""
    return b"\xfd\x0b\x00" + u32(offset)


def lane_i64(lane: int) -> bytes:
    """Encode i64x2.extract_lane."""
    return b"\xfd\x1d" + bytes((lane,))


def function_type(params: Iterable[int], results: Iterable[int]) -> bytes:
    """Encode a function type."""
    return b"\x60" + vector(bytes((kind,)) for kind in params) + vector(bytes((kind,)) for kind in results)


def body(groups: Iterable[tuple[int, int]], code: bytes) -> bytes:
    """Encode a function body: its locals as (count, type) pairs and its instructions. Appends the final `end`."""
    content = vector(u32(count) + bytes((kind,)) for count, kind in groups if count) + code + END
    return u32(len(content)) + content
