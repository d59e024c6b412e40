"""Syscalls of blocks, as a guest meets them."""

from __future__ import annotations

import struct

import pytest

from hypervisor.machine import Hypervisor
from store.cid import DAG_CBOR, EMPTY_ARRAY_CID, cid_of
from tests.runtimes.wasm.guests import (
    BUFFER_TOO_SMALL,
    ILLEGAL_ARGUMENT,
    ILLEGAL_CID,
    ILLEGAL_CODEC,
    INVALID_HANDLE,
    LIMIT_EXCEEDED,
    NOT_FOUND,
    OK,
    SERIALIZATION,
    answer,
    data,
)


def test_blocks_are_made_linked_opened_and_read(machine: Hypervisor) -> None:
    content = b"\x83\x01\x02\x03"
    cid = cid_of(content, DAG_CBOR)
    before = """(drop (call $block_create (i32.const 0) (i64.const 0x71) (i32.const 100) (i32.const 4)))
        (drop (call $block_link (i32.const 4) (i32.const 1) (i64.const 0xb220) (i32.const 32) (i32.const 200)
            (i32.const 100)))
        (drop (call $block_open (i32.const 8) (i32.const 200)))
        (drop (call $block_stat (i32.const 24) (i32.load (i32.const 16))))"""
    names = ("ipld.block_link", "ipld.block_open", "ipld.block_stat", "ipld.block_read")
    read = "(call $block_read (i32.const 36) (i32.const 2) (i32.const 1) (i32.const 40) (i32.const 2))"
    shown = answer(machine, read, *names, before=before, fields=data(100, content), show=(0, 48))
    created, linked, codec, handle, size, codec_again, size_again, left = struct.unpack("<IIQIIQIi", shown[1][:40])
    assert shown[0] == OK
    assert (created, linked, codec, handle, size, codec_again, size_again) == (1, len(cid), 0x71, 2, 4, 0x71, 4)
    assert (left, shown[1][40:44]) == (1, b"\x01\x02\0\0")
    assert machine.store.get(cid) == content


@pytest.mark.parametrize(
    ("offset", "length", "left"),
    [(0, 4, 0), (0, 10, -6), (2, 1, 1), (4, 0, 0), (9, 0, -5)],
)
def test_block_read_returns_remaining_bytes(machine: Hypervisor, offset: int, length: int, left: int) -> None:
    read = f"(call $block_read (i32.const 0) (i32.const 1) (i32.const {offset}) (i32.const 8) (i32.const {length}))"
    before = "(drop (call $block_create (i32.const 0) (i64.const 0x55) (i32.const 100) (i32.const 4)))"
    shown = answer(machine, read, "ipld.block_read", before=before, fields=data(100, b"abcd"), show=(0, 4))
    assert shown == (OK, struct.pack("<i", left))


@pytest.mark.parametrize(
    ("syscall", "expected"),
    [
        ("block_open (i32.const 0) (i32.const 100)", NOT_FOUND),  # a real CID, out of reach
        ("block_open (i32.const 0) (i32.const 50)", ILLEGAL_ARGUMENT),  # no CID
        ("block_open (i32.const 0) (i32.const 65536)", ILLEGAL_ARGUMENT),
        ("block_open (i32.const 0) (i32.const 65535)", ILLEGAL_ARGUMENT),
        ("block_create (i32.const 0) (i64.const 0x70) (i32.const 0) (i32.const 0)", ILLEGAL_CODEC),
        ("block_create (i32.const 0) (i64.const 0x55) (i32.const 0) (i32.const 65537)", ILLEGAL_ARGUMENT),
        ("block_create (i32.const 0) (i64.const 0x55) (i32.const 65536) (i32.const 0)", OK),
        ("block_create (i32.const 0) (i64.const 0x55) (i32.const 65537) (i32.const 0)", ILLEGAL_ARGUMENT),
        ("block_create (i32.const 0) (i64.const 0x55) (i32.const -1) (i32.const -1)", ILLEGAL_ARGUMENT),
        ("block_create (i32.const 0) (i64.const 0x71) (i32.const 200) (i32.const 2)", SERIALIZATION),  # not DAG-CBOR
        ("block_stat (i32.const 0) (i32.const 9)", INVALID_HANDLE),
        ("block_stat (i32.const 0) (i32.const 0)", INVALID_HANDLE),
        ("block_stat (i32.const 0) (i32.const -1)", INVALID_HANDLE),
        ("block_read (i32.const 0) (i32.const 9) (i32.const 0) (i32.const 0) (i32.const 1)", INVALID_HANDLE),
        ("block_read (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 65000) (i32.const 999)", ILLEGAL_ARGUMENT),
        ("block_read (i32.const 0) (i32.const 1) (i32.const 0x7fffffff) (i32.const 8) (i32.const 1)", ILLEGAL_ARGUMENT),
        ("block_link (i32.const 0) (i32.const 1) (i64.const 0xb220) (i32.const 32) (i32.const 8) (i32.const 37)",
         BUFFER_TOO_SMALL),
        ("block_link (i32.const 0) (i32.const 1) (i64.const 0x12) (i32.const 32) (i32.const 8) (i32.const 99)",
         ILLEGAL_CID),
        ("block_link (i32.const 0) (i32.const 1) (i64.const 0xb220) (i32.const 31) (i32.const 8) (i32.const 99)",
         ILLEGAL_CID),
        ("block_link (i32.const 0) (i32.const 7) (i64.const 0xb220) (i32.const 32) (i32.const 8) (i32.const 99)",
         INVALID_HANDLE),
        ("block_link (i32.const 0) (i32.const 7) (i64.const 0xb220) (i32.const 32) (i32.const 65500) (i32.const 99)",
         ILLEGAL_ARGUMENT),
    ],
)  # fmt: skip
def test_blocks_refuse(machine: Hypervisor, syscall: str, expected: int) -> None:
    before = "(drop (call $block_create (i32.const 0) (i64.const 0x55) (i32.const 300) (i32.const 4)))"
    fields = data(100, EMPTY_ARRAY_CID) + data(200, b"\x82\x01")
    names = ("ipld.block_open", "ipld.block_stat", "ipld.block_read", "ipld.block_link")
    assert answer(machine, f"(call ${syscall})", *names, before=before, fields=fields)[0] == expected


def test_a_block_of_more_than_1_mib_is_refused(machine: Hypervisor) -> None:
    before = "(drop (memory.grow (i32.const 17)))"
    create = "(call $block_create (i32.const 0) (i64.const 0x55) (i32.const 0) (i32.const {size}))"
    assert answer(machine, create.format(size=1 << 20), before=before)[0] == OK
    assert answer(machine, create.format(size=(1 << 20) + 1), before=before)[0] == LIMIT_EXCEEDED
