"""Malformed, hostile and refused modules.

- Malformed and hostile modules: each a sentence, none a crash, a hang or a heap of memory.
- Modules that the rules reject although they are valid: one sentence for each.
"""

import time
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.errors import InvalidModule
from hypervisor.machine.machine import Hypervisor
from hypervisor.machine.registry import RuntimeServices
from runtimes.wasm.module.encode import instrument
from runtimes.wasm.module.parser import (
    MAGIC,
    MAX_NAME_LENGTH,
    BinaryReader,
    FunctionType,
    Section,
    function_label,
    function_names,
    parse_module,
)
from runtimes.wasm.runtime import WasmRuntime
from runtimes.wasm.syscalls.abi import SYSCALL_REVISIONS
from runtimes.wasm.validate import MAX_INSPECTED, MAX_INSPECTED_OF_FUNCTION, ModuleFacts, validate_module
from runtimes.wasmtime.encoding import encode_signed, name, section, u32, vector
from runtimes.wasmtime.engine import guest_engine
from store.cid import RAW, cid_of
from tests.conftest import bundle_file, with_data
from tests.patience import slowness
from tests.runtimes.wasm.guests import bundle_modules, guest, install_and_call, wasm

SMALL = wasm(
    """(module (import "vm" "exit" (func $exit (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1) (table 2 funcref) (elem (i32.const 0) $f) (global (mut i32) (i32.const 7))
    (func $f (export "invoke") (param i32) (result i32) (local i64 i32)
        (block (loop (br_if 1 (local.get 0)) (drop (memory.grow (local.get 0))) (br_table 0 1 (local.get 2))))
        (drop (call $exit (i32.const 16) (i32.const 0) (i32.const 0) (i32.const 0)))
        (call $f (global.get 0)))
    (data (i32.const 8) "state"))"""
)


def prepare(data: bytes) -> bytes:
    """Process a module as before compilation."""
    module = parse_module(data)
    validate_module(module)
    guest_engine().validate(data)
    instrumented = instrument(module)
    guest_engine().validate(instrumented)
    return instrumented


def test_the_small_module_itself_is_accepted() -> None:
    assert prepare(SMALL)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a WASM module"),
        (b"\0asm", "not a WASM module"),
        (b"\0asm\x02\0\0\0", "not a WASM module"),
        (b"\x7fELF" + bytes(60), "not a WASM module"),
        (MAGIC + b"\x01", "unexpected end"),
        (MAGIC + b"\x01\x80", "unexpected end"),
        (MAGIC + b"\x01\xff\xff\xff\xff\xff\x01", "longer than 5 bytes"),
        (MAGIC + b"\x01\xff\xff\xff\xff\x7f", "does not fit in 32 bits"),
        (MAGIC + b"\x01\xff\xff\xff\xff\x0f", "4294967295 bytes expected"),
        (MAGIC + section(99, b""), "section 99 is unknown"),
        (MAGIC + section(Section.TYPE, b"\0") * 2, "duplicated"),
        (MAGIC + section(Section.MEMORY, b"\0") + section(Section.TYPE, b"\0"), "out of order"),
        (MAGIC + section(Section.TYPE, b"\xff\xff\xff\xff\x0f"), "4294967295 elements announced"),
        (MAGIC + section(Section.TYPE, b"\0\0"), "left over"),
        (MAGIC + section(Section.TYPE, b"\x01\x5f\0"), "not a function type"),
        (MAGIC + section(Section.TYPE, b"\x01\x60\x01\x6f\0"), "has a value type that consensus does not allow"),
        (MAGIC + section(Section.TYPE, b"\x01\x60\0\x02\x7f\x7f"), "several"),
        (MAGIC + section(Section.IMPORT, b"\x01\x01\xff\x01a\0\0"), "not UTF-8"),
        (MAGIC + section(Section.IMPORT, b"\x01\x01a\x01b\x04\0"), "unknown kind 4"),
        (MAGIC + section(Section.FUNCTION, b"\x01\0"), "1 functions are declared and 0 have code"),
        (MAGIC + section(Section.MEMORY, b"\x01\x03\x01\x02"), "shared memory, 64-bit memory"),
        (MAGIC + section(Section.MEMORY, b"\x01\x04\x01"), "shared memory, 64-bit memory"),
        (MAGIC + section(Section.TABLE, b"\x01\x6f\0\0"), "function references"),
        (MAGIC + section(Section.EXPORT, b"\x01\x01a\0\x05"), "does not exist"),
        (MAGIC + section(Section.GLOBAL, b"\x01\x70\0\xd0\x6f\x0b"), "one constant instruction"),
        (MAGIC + section(Section.GLOBAL, b"\x01\x7f\0\x41\x80\x80\x80\x80\x80\x80\0\x0b"), "longer than 5 bytes"),
        (MAGIC + section(Section.ELEMENT, b"\x01\x04\x41\0\x0b\0"), "holds expressions"),
        (MAGIC + section(Section.DATA, b"\x01\x02\x01\x41\0\x0b\0"), "other than the first"),
    ],
)
def test_broken_module_is_refused_with_a_reason(data: bytes, words: str) -> None:
    with pytest.raises(InvalidModule, match=words):
        parse_module(data)


def ends_behind_the_code() -> set[int]:
    """Return the offsets at which the small module may end: after its code section, and after every later one."""
    reader, ends, code_seen = BinaryReader(SMALL, len(MAGIC)), set(), False
    while not reader.done:
        code_seen |= reader.byte() == Section.CODE
        reader.take(reader.u32())
        if code_seen:
            ends.add(reader.position)
    return ends


@pytest.mark.parametrize("length", sorted(set(range(8, len(SMALL))) - ends_behind_the_code()))
def test_a_module_cut_short_anywhere_is_refused(length: int) -> None:
    with pytest.raises(InvalidModule):
        prepare(SMALL[:length])


def function_module(locals_: bytes, code: bytes) -> bytes:
    body = locals_ + code
    return (
        MAGIC
        + section(Section.TYPE, b"\x01\x60\0\0")
        + section(Section.FUNCTION, b"\x01\0")
        + section(Section.MEMORY, b"\x01\0\x01")
        + section(Section.EXPORT, b"\x01\x06memory\x02\0")
        + section(Section.CODE, b"\x01" + u32(len(body)) + body)
    )


def test_the_frame_of_the_hostile_functions_is_sound() -> None:
    assert prepare(function_module(b"\0", b"\x0b"))


@pytest.mark.parametrize(
    ("locals_", "code"),
    [
        (b"\x01\xff\xff\xff\xff\x0f\x7f", b"\x0b"),  # four billion locals
        (b"\xff\xff\xff\xff\x0f", b"\x0b"),  # four billion groups of locals
        (b"\x02\xff\xff\xff\xff\x0f\x7f\xff\xff\xff\xff\x0f\x7f", b"\x0b"),
        (b"\x01\x01\x6f", b"\x0b"),  # a local that is a reference to something of the host
        (b"\0", b"\x0b\x0b"),  # an end too many
        (b"\0", b"\x02\x40\x0b"),  # an end too few
        (b"\0", b"\x0c\x05\x0b"),  # a branch out of the function
        (b"\0", b"\x41\0\x0e\xff\xff\xff\xff\x0f\x0b"),  # a table of four billion labels
        (b"\0", b"\x10\x07\x0b"),  # a call of nobody
        (b"\0", b"\x41\x0b"),  # an operand that swallows the end
        (b"\0", b"\x06\x40\x0b\x0b"),  # try
        (b"\0", b"\x12\0\x0b"),  # return_call
        (b"\0", b"\xd0\x70\x1a\x0b"),  # ref.null
        (b"\0", b"\x41\0\x25\0\x1a\x0b"),  # table.get without a table
        (b"\0", b"\x41\0\x41\0\x41\0\x1c\x01\x7f\x1a\x0b"),  # select with a type
        (b"\0", b"\xfd\x0c" + bytes(16) + b"\x1a\x0b"),  # v128.const
        (b"\0", b"\xfe\x03\0\x0b"),  # atomic.fence
        (b"\0", b"\xfc\x10\0\x1a\x0b"),  # table.size without a table
        (b"\0", b"\xfc\x7f\x0b"),  # nothing at all
        (b"\0", b"\x02\0\x0b\x0b"),  # a block with a type of its own
        (b"\0", b"\x02\x70\0\x0b\x0b"),  # a block that results in a reference
        (b"\0", b"\x41\0\x11\0\x01\x0b"),  # an indirect call through a second table
    ],
)
def test_a_hostile_function_is_refused(locals_: bytes, code: bytes) -> None:
    with pytest.raises(InvalidModule):
        prepare(function_module(locals_, code))


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1_000, 50_000])
def test_blocks_within_blocks_are_instrumented_without_recursion(depth: int) -> None:
    started = time.monotonic()
    with suppress(InvalidModule):  # wasmtime may find it too deep; what counts is that neither of us falls over
        prepare(function_module(b"\0", b"\x02\x40" * depth + b"\x0b" * depth + b"\x0b"))
    assert time.monotonic() - started < 10 * slowness()


@pytest.mark.slow
def test_a_large_straight_function_takes_time_by_its_length_only() -> None:
    started = time.monotonic()
    prepare(function_module(b"\0", b"\x41\x00\x1a" * 300_000 + b"\x0b"))
    assert time.monotonic() - started < 10 * slowness()


def many_functions(count: int, body: bytes = b"\x00\x0b") -> bytes:
    """A valid module of empty functions, or of others that take and return nothing."""
    parts = {
        Section.TYPE: u32(1) + b"\x60\x00\x00",
        Section.FUNCTION: u32(count) + bytes(count),
        Section.CODE: u32(count) + (u32(len(body)) + body) * count,
    }
    return MAGIC + b"".join(section(number, payload) for number, payload in parts.items())


def test_module_of_million_functions_is_refused_early() -> None:
    """The network's bound (wasmparser's MAX_WASM_FUNCTIONS), and ours."""
    hostile = many_functions(1_000_000)
    began = time.perf_counter()
    with pytest.raises(InvalidModule, match=r"^the module has 1,000,000 functions, the limit is 20,000$"):
        parse_module(hostile)
    assert time.perf_counter() - began < 0.1 * slowness()
    with pytest.raises(InvalidModule, match="20,001 functions"):
        parse_module(many_functions(20_001))
    assert len(parse_module(many_functions(20_000)).bodies) == 20_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "item", "words"),
    [
        (Section.TYPE, b"\x60\x00\x00", "types"),
        (Section.IMPORT, b"\x01a\x01b\x02\x00\x00", "imports"),
        (Section.TABLE, b"\x70\x00\x00", "tables"),
        (Section.GLOBAL, b"\x7f\x00\x41\x00\x0b", "globals"),
        (Section.EXPORT, b"\x01a\x02\x00", "exports"),
        (Section.ELEMENT, b"\x00\x41\x00\x0b\x00", "element segments"),
        (Section.DATA, b"\x00\x41\x00\x0b\x00", "data segments"),
    ],
)
def test_section_item_count_is_limited(number: Section, item: bytes, words: str) -> None:
    parse_module(MAGIC + section(number, u32(100_000) + item * 100_000))
    with pytest.raises(InvalidModule, match=rf"100,001 {words}, the limit is 100,000"):
        parse_module(MAGIC + section(number, u32(100_001) + item * 100_001))


def test_code_and_local_variables_are_bounded() -> None:
    """50,000 local variables are the network's bound."""
    four_mib = 4 << 20
    with pytest.raises(InvalidModule, match=r"bytes of code, the limit is 4,194,304"):
        parse_module(many_functions(1, b"\x00" + b"\x01" * four_mib + b"\x0b"))
    parse_module(many_functions(1, u32(1) + u32(50_000) + b"\x7f\x0b"))
    for body in (u32(1) + u32(50_001) + b"\x7f\x0b", u32(2) + (u32(25_001) + b"\x7f") * 2 + b"\x0b"):
        with pytest.raises(InvalidModule, match=r"more than 50,000 local variables"):
            parse_module(many_functions(1, body))
    with pytest.raises(InvalidModule, match=r"50,001 groups of local variables"):
        parse_module(many_functions(1, u32(50_001) + b"\x00\x7f" * 50_001 + b"\x0b"))


def test_machine_runs_messages_after_a_refused_module(machine: Hypervisor) -> None:
    for data in (SMALL[:50], b"\0asm", MAGIC):
        with pytest.raises(InvalidModule):
            machine.install(data)
    assert machine.install(SMALL)


ARITHMETIC = bytes(range(0x46, 0x50)) + bytes(range(0x6A, 0x79))
"""Opcodes with two i32 operands and one i32 result."""


def changed_code(random: Random) -> bytes:
    """Return the small module with one byte of its code changed; most other changes would make it invalid."""
    body = parse_module(SMALL).bodies[0]
    changed = bytearray(SMALL)
    position = random.randrange(body.code_at, body.end)
    changed[position] = random.choice(ARITHMETIC) if changed[position] in ARITHMETIC else random.randrange(8)
    return bytes(changed)


@pytest.mark.slow
def test_changed_code_is_refused_or_ends_with_an_exit_code(machine: Hypervisor) -> None:
    """Exit codes 0 to 15 are the system's; a guest may end with these of them, and with any later one."""
    random, executed, drawn = Random(18), 0, 0
    while executed < 200:
        changed = changed_code(random)
        drawn += 1
        with suppress(InvalidModule):
            prepare(changed)
            executed += 1
            exit_code = install_and_call(machine, changed, gas_limit=1_000_000).exit_code
            assert exit_code in (0, 4, 5, 7, 9, 10, 11) or exit_code >= 16
    assert drawn < 2000


@pytest.mark.slow
@given(st.integers(0, (1 << 32) - 1))
def test_unsigned_numbers_come_back(number: int) -> None:
    assert BinaryReader(u32(number)).u32() == number


@pytest.mark.parametrize(
    ("number", "encoded"),
    [
        # examples of the specification's and of DWARF's texts
        (0, "00"), (2, "02"), (127, "ff00"), (128, "8001"), (-1, "7f"), (-64, "40"), (-65, "bf7f"), (-127, "817f"),
        (-128, "807f"), (-129, "ff7e"), (-123456, "c0bb78"), (624485, "e58e26"),
    ],
)  # fmt: skip
def test_signed_numbers_are_written_as_the_books_say(number: int, encoded: str) -> None:
    assert encode_signed(number).hex() == encoded


INSPECTED = {
    "nested blocks": (2, b"\x02\x40", b"\x0b"),
    "blocks": (2, b"\x02\x40\x0b", b""),
    "returns": (1, b"\x0f", b""),
    "branches": (1, b"\x0c\x00", b""),
    "globals": (1, b"\x23\x00\x1a", b""),
    "labels": (100, b"\x41\0\x0e\x63" + bytes(100), b""),
}


@pytest.mark.parametrize(("marks", "opening", "closing"), INSPECTED.values(), ids=INSPECTED)
def test_function_with_much_control_flow_is_not_installed(marks: int, opening: bytes, closing: bytes) -> None:
    """Instrumenting and compiling a million nested blocks takes a gigabyte."""
    for count in (MAX_INSPECTED_OF_FUNCTION // marks + 1, 200_000 // marks):
        module = inspected_module(b"\0" + opening * count + closing * count + b"\x0b")
        with pytest.raises(InvalidModule, match="a function has more than 10,000 instructions of control flow"):
            Hypervisor.open().install(module)


@pytest.mark.slow
def test_module_with_much_control_flow_is_not_installed() -> None:
    functions = MAX_INSPECTED // MAX_INSPECTED_OF_FUNCTION + 1
    module = inspected_module(b"\0" + b"\x0f" * (MAX_INSPECTED_OF_FUNCTION - 1) + b"\x0b", functions)
    with pytest.raises(InvalidModule, match="the module has more than 350,000 instructions of control flow"):
        Hypervisor.open().install(module)


def test_module_of_any_control_flow_is_executed() -> None:
    """The network executes it, so the limit is that of an installation only."""
    module = inspected_module(b"\0" + b"\x0f" * (MAX_INSPECTED_OF_FUNCTION + 1) + b"\x0b")
    WasmRuntime(RuntimeServices({"module_cache": "off"})).prepare({cid_of(module, RAW): module})


def inspected_module(body: bytes, functions: int = 1) -> bytes:
    """A valid module with a global and functions, which take and return nothing."""
    return (
        MAGIC
        + section(Section.TYPE, b"\x01\x60\0\0")
        + section(Section.FUNCTION, u32(functions) + bytes(functions))
        + section(Section.MEMORY, b"\x01\0\x01")
        + section(Section.GLOBAL, b"\x01\x7f\0\x41\0\x0b")
        + section(Section.EXPORT, b"\x01\x06memory\x02\0")
        + section(Section.CODE, u32(functions) + (u32(len(body)) + body) * functions)
    )


MODULE = guest("(call $outer) (i32.const 0)", fields="(func $outer (call $inner)) (func $inner unreachable)")
UNNAMED = MODULE[: MODULE.index(b"\x04name") - 2]  # the section's number and size stand before its name


def named(*names: tuple[int, str]) -> bytes:
    """The module with a section of names of our own."""
    functions = vector(u32(index) + name(text) for index, text in names)
    return UNNAMED + section(0, name("name") + section(1, functions))


def test_a_trap_names_the_functions_that_the_guest_was_in(machine: Hypervisor) -> None:
    result = install_and_call(machine, MODULE)
    assert result.exit_code == 4
    assert result.message == "unreachable instruction executed in inner, called by outer, invoke"


def test_a_guest_without_names_has_numbers_and_exports(machine: Hypervisor) -> None:
    assert install_and_call(machine, UNNAMED).message == (
        "unreachable instruction executed in function 1, called by function 0, invoke"
    )


def test_a_start_function_that_traps_is_named(machine: Hypervisor) -> None:
    module = guest("(i32.const 0)", fields="(func $begin unreachable) (start $begin)")
    assert install_and_call(machine, module).message == (
        "the actor cannot be instantiated: unreachable instruction executed in begin"
    )


def test_import_is_not_a_frame_and_later_functions_keep_index(machine: Hypervisor) -> None:
    module = guest("(call $fails) (i32.const 0)", "gas.available", fields="(func $fails unreachable)")
    assert install_and_call(machine, module).message.startswith("unreachable instruction executed in fails, called by ")


def test_rust_hash_is_stripped_and_unsafe_names_are_sanitized() -> None:
    found = function_names(named((0, "tip_jar::tip::h0123456789abcdef"), (1, "a\nb"), (2, "x" * 500)))
    assert found[0] == "tip_jar::tip"
    assert found[1] == "a?b"
    assert len(found[2]) == MAX_NAME_LENGTH + 3
    assert function_label(found, 7) == "function 7"


@pytest.mark.parametrize(
    ("mangled", "plain"),
    [
        ("_ZN12fvm_ipld_amt4node11CollapsedAt17h0123456789abcdefE", "fvm_ipld_amt::node::CollapsedAt"),
        ("_ZN76_$LT$fvm_shared..econ..TokenAmount$u20$as$u20$serde_core..ser..Serialize$GT$9serialize17h0123456789abcdefE",
         "<fvm_shared::econ::TokenAmount as serde_core::ser::Serialize>::serialize"),
        ("_ZN3cid9x17hE", "_ZN3cid9x17hE"),
        ("_ZN99999999999999xE", "_ZN99999999999999xE"),
        ("_ZNE", ""),
        ("plain", "plain"),
    ],
)  # fmt: skip
def test_legacy_rust_names_are_demangled_and_others_kept(mangled: str, plain: str) -> None:
    assert function_names(named((0, mangled)))[0] == plain


@pytest.mark.parametrize(
    "wasm",
    [UNNAMED, UNNAMED + section(0, name("name") + b"\x01\x05\xff\xff"), UNNAMED + b"\x00\x7f", UNNAMED + b"\x00",
     UNNAMED + section(0, name("name") + section(1, vector([u32(0) + b"\x01\xff"]))), b""],
    ids=["none", "cut", "longer than the module", "no size", "not text", "no module"],
)  # fmt: skip
def test_names_that_cannot_be_read_are_none(wasm: bytes) -> None:
    assert function_names(wasm) in ({}, {2: "invoke"})


MEMORY = '(memory (export "memory") 1)'
INVOKE = '(func (export "invoke") (param i32) (result i32) (i32.const 0))'


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (f"{MEMORY} {INVOKE} (func $s (param i32)) (start $s)", "start function"),
        (f'{MEMORY} (global (export "\\00start") i32 (i32.const 0)) {INVOKE}', "reserved for"),
        (f"{MEMORY} (global externref (ref.null extern)) {INVOKE}", "a value type that consensus does not allow"),
        (f"{MEMORY} (table 1 funcref) (func (drop (ref.is_null (table.get 0 (i32.const 0))))) {INVOKE}", "not allowed"),
        (f'(import "env" "abort" (func)) {MEMORY} {INVOKE}', "env.abort is not a syscall"),
        (f'(import "gas" "gas_counter" (global (mut i64))) {MEMORY} {INVOKE}', "gas.gas_counter is not a function"),
        (f'(import "vm" "exit" (func (param i32))) {MEMORY} {INVOKE}', "vm.exit has another signature"),
        (f'(import "vm" "exit" (func (param i32 i32 i32 i64) (result i32))) {MEMORY} {INVOKE}', "another signature"),
        (f'(import "actor" "upgrade_actor" (func)) {MEMORY} {INVOKE}', "of the feature upgrade-actor"),
        (f'(import "env" "memory" (memory 1)) {INVOKE}', "env.memory is not a function"),
        (INVOKE, "0 memories"),
        (f"(memory 1) {INVOKE}", "does not export its memory"),
        (f'(memory 1) (global (export "memory") i32 (i32.const 0)) {INVOKE}', "does not export its memory"),
        (f"{MEMORY} (memory 1) {INVOKE}", "2 memories"),
        (f'(memory (export "memory") 8193) {INVOKE}', "8193 initial pages"),
        (f"{MEMORY} (table 20001 funcref) {INVOKE}", "20001 elements"),
        (f"{MEMORY} (table 1 funcref) (table 1 funcref) {INVOKE}", "2 tables"),
        (f"{MEMORY} (table 1 externref) {INVOKE}", "function references"),
        (MEMORY, "no code"),
        (f'{MEMORY} (func (export "invoke") (result i32) (i32.const 0))', "does not take one i32"),
        (f'{MEMORY} (func (export "invoke") (param i64) (result i32) (i32.const 0))', "does not take one i32"),
        (f'{MEMORY} (global (export "\\00gas") i32 (i32.const 0)) {INVOKE}', "reserved for the gas counter"),
        (f"{MEMORY} (global i32 (i32.add (i32.const 1) (i32.const 2))) {INVOKE}", "one constant instruction"),
        (f'{MEMORY} (data (i32.add (i32.const 1) (i32.const 2)) "x") {INVOKE}', "one constant instruction"),
        (f"{MEMORY} (table 1 funcref) (elem (i32.const 0) funcref (ref.null func)) {INVOKE}", "holds expressions"),
        (f"{MEMORY} (func (result i32 i32) (i32.const 1) (i32.const 2)) {INVOKE}", "several results"),
        (f"{MEMORY} (func (param externref)) {INVOKE}", "a value type that consensus does not allow"),
        (f"{MEMORY} (func (drop (ref.null func))) {INVOKE}", "not allowed by consensus"),
        (f"{MEMORY} (func (drop (v128.const i64x2 0 0))) {INVOKE}", "SIMD"),
        (f"{MEMORY} (func $f (return_call $f)) {INVOKE}", "tail call"),
        (f"{MEMORY} (tag) (func (throw 0)) {INVOKE}", "section 13 is unknown"),
        (f'(memory (export "memory") 1 1 shared) {INVOKE}', "shared"),
        (f'(memory (export "memory") i64 1) {INVOKE}', "64-bit"),
        (f"{MEMORY} (func (drop (i64.add128 (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0))) drop) {INVOKE}",
         "wide arithmetic"),
        (f"{MEMORY} (func (drop (i32.add (i64.const 0) (i32.const 0)))) {INVOKE}", "type mismatch"),
    ],
)  # fmt: skip
def test_invalid_module_is_rejected_with_reason(machine: Hypervisor, fields: str, words: str) -> None:
    with pytest.raises(InvalidModule, match=words):
        machine.install(wasm(f"(module {fields})"))


def test_a_syscall_of_a_feature_has_one_signature() -> None:
    module = parse_module(wasm(f'(module (import "actor" "upgrade_actor" (func)) {MEMORY} {INVOKE})'))
    with pytest.raises(InvalidModule, match=r"actor\.upgrade_actor has another signature"):
        validate_module(module)


def test_a_table_of_20000_elements_and_8192_pages_are_accepted(machine: Hypervisor) -> None:
    assert machine.install(wasm(f'(module (memory (export "memory") 8192) (table 20000 funcref) {INVOKE})'))


def test_a_table_is_paid_for_if_it_is_exported_as_table() -> None:
    named = f'(module {MEMORY} (table (export "table") 5 funcref) {INVOKE})'
    other = f'(module {MEMORY} (table (export "__indirect_function_table") 5 funcref) {INVOKE})'
    assert validate_module(parse_module(wasm(named))) == ModuleFacts(1, 5, True, True)
    assert validate_module(parse_module(wasm(other))) == ModuleFacts(1, 5, False, True)


@pytest.mark.parametrize(
    ("bundle", "revision"),
    with_data(
        ("v10-mainnet", "v3"),
        ("v12-testing-fake-proofs", "v4"),
        ("v14-testing-fake-proofs", "v4"),
        ("v16-testing-fake-proofs", "v4"),
        ("v18-mainnet", "v4"),
    )
    or [("own", "v4")],
)
def test_official_actor_imports_match_syscall_signatures(bundle: str, revision: str) -> None:
    syscalls = SYSCALL_REVISIONS[revision]
    for data in bundle_modules(bundle_file(f"bundles/{bundle}.car")):
        module = parse_module(data)
        validate_module(module)
        for item in module.imports:
            syscall = syscalls[item.module, item.name]
            assert module.types[item.type_index] == FunctionType(syscall.wasm_params, syscall.wasm_results)


def test_a_module_may_not_mix_two_revisions(machine: Hypervisor) -> None:
    mixed = """(module (import "rand" "get_chain_randomness" (func (param i32 i64 i64 i32 i32) (result i32)))
        (import "crypto" "verify_bls_aggregate" (func (param i32 i32 i32 i32 i32 i32) (result i32)))"""
    with pytest.raises(InvalidModule, match=r"rand\.get_chain_randomness"):
        machine.install(wasm(f"{mixed} {MEMORY} {INVOKE})"))


def test_the_features_of_consensus_are_accepted(machine: Hypervisor) -> None:
    body = """(func (local $r funcref) (drop (i32.extend8_s (i32.const 1))) (drop (i32.trunc_sat_f64_u (f64.const 1)))
        (memory.copy (i32.const 0) (i32.const 1) (i32.const 2)) (memory.fill (i32.const 0) (i32.const 1) (i32.const 2))
        (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1)) (data.drop $d)
        (table.copy (i32.const 0) (i32.const 1) (i32.const 1)) (table.init $e (i32.const 0) (i32.const 0) (i32.const 1))
        (elem.drop $e) (local.set $r (table.get 0 (i32.const 0))) (table.set 0 (i32.const 1) (local.get $r))
        (drop (table.grow 0 (global.get $h) (i32.const 1))) (table.fill 0 (i32.const 0) (local.get $r) (table.size 0)))
        (global $h funcref (ref.func 0)) (elem declare func 0) (func (param funcref) (result funcref) (local.get 0))
        (func $s) (start $s)"""
    fields = f'(table 3 funcref) (elem $e func 0) (data $d "x") (global (export "g") (mut i64) (i64.const 5)) {body}'
    assert machine.install(wasm(f"(module {MEMORY} {fields} {INVOKE})"))
