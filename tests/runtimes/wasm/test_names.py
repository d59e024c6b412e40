"""The names of functions, and where a guest trapped in their words."""

import pytest

from hypervisor.machine.machine import Hypervisor
from runtimes.wasm.names import MAX_NAME_LENGTH, function_label, function_names
from runtimes.wasmtime.encoding import name, section, u32, vector
from tests.runtimes.wasm.guests import guest, install_and_call

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
