"""Basic blocks of native code, which of them an actor has executed, and their source lines."""

from struct import pack

import pytest
from wasmtime import wat2wasm

from hypervisor.errors import InvalidInput
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.profile import cover_actors
from runtimes.wasm import SourceLine, code_blocks, source_lines
from tests.runtimes.wasm.guests import install_and_call

# Blocks: the first, then's, else's, after the if, after the br_if, and the unused function; the loop's end is empty.
CHOOSES = """(module (memory (export "memory") 1)
  (func (export "invoke") (param i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (drop (i32.const 1))) (else (drop (i32.const 2))))
    (block (br_if 0 (i32.const 1)) (unreachable))
    (i32.const 0))
  (func (drop (i32.const 3))))"""


def test_blocks_begin_at_targets_and_after_branches() -> None:
    wasm = bytes(wat2wasm(CHOOSES))
    blocks = code_blocks(wasm)
    assert [block.function for block in blocks] == [0, 0, 0, 0, 0, 0, 1]
    pieces = [wasm[block.start : block.end].hex() for block in blocks]
    assert pieces == [
        "2000450440",  # local.get 0, i32.eqz, if
        "41011a",
        "41021a",
        "024041010d00",  # block, i32.const 1, br_if 0
        "00",  # unreachable
        "4100",
        "41031a",
    ]


def test_executed_blocks_are_those_of_the_taken_branches(machine: Hypervisor) -> None:
    recorder = cover_actors(machine)
    install_and_call(machine, bytes(wat2wasm(CHOOSES)))
    assert [*recorder.blocks.values()] == [bytes([1, 1, 0, 1, 0, 1, 0])]


def custom(name: bytes, content: bytes) -> bytes:
    body = bytes([len(name)]) + name + content
    assert len(body) < 128
    return bytes([0, len(body)]) + body


def with_lines(module: bytes, rows: bytes = bytes([3, 6, 1, 2, 3, 3, 2, 1, 0, 1, 1])) -> bytes:
    """Add a line table to a module: lines 7 and 9 of src/lib.rs, at the offsets 5 and 8 of its code section.

    By hand from the DWARF standard, version 4, sections 6.2 and 7.5.
    """
    abbreviations = bytes([1, 0x11, 0, 0x1B, 0x08, 0x10, 0x17, 0, 0, 0])  # a unit with comp_dir and stmt_list
    unit = pack("<HIB", 4, 0, 4) + b"\x01/crate\0" + pack("<I", 0)
    names = b"src\0\0" + b"lib.rs\0" + bytes([1, 0, 0, 0])
    header = bytes([1, 1, 1, 0xFB, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1]) + names
    program = b"\0\x05\x02" + pack("<I", 5) + rows
    lines = pack("<HI", 4, len(header)) + header + program
    sections = {
        b".debug_abbrev": abbreviations,
        b".debug_info": pack("<I", len(unit)) + unit,
        b".debug_line": pack("<I", len(lines)) + lines,
    }
    return module + b"".join(custom(name, content) for name, content in sections.items())


def test_lines_are_at_offsets_of_the_code_section() -> None:
    module = bytes(wat2wasm(CHOOSES))
    first = module.index(bytes.fromhex("2000450440")) - 4  # before it: the number of functions, a size, no locals
    found = source_lines(with_lines(module))
    assert found == (SourceLine(first + 6, "/crate/src/lib.rs", 7), SourceLine(first + 9, "/crate/src/lib.rs", 9))


def test_lines_have_columns() -> None:
    """DW_LNS_set_column (5) with 9 before the first row: DWARF 4, section 6.2.5.2."""
    program, with_column = bytes([3, 6, 1, 2, 3]), bytes([3, 6, 5, 9, 1, 2, 3])
    module = with_lines(bytes(wat2wasm(CHOOSES)), with_column + bytes([3, 2, 1, 0, 1, 1]))
    assert program in with_lines(bytes(wat2wasm(CHOOSES)))
    assert [(line.line, line.column) for line in source_lines(module)] == [(7, 9), (9, 9)]


def test_code_without_lines_has_none() -> None:
    assert source_lines(bytes(wat2wasm(CHOOSES))) == ()


@pytest.mark.parametrize("cut", [9, 20, 40])
def test_malformed_debug_information_is_refused(cut: int) -> None:
    module = bytes(wat2wasm(CHOOSES))
    broken = module + custom(b".debug_line", bytes(range(cut))) + custom(b".debug_info", bytes(range(1, cut)))
    with pytest.raises(InvalidInput, match="debug information"):
        source_lines(broken)
