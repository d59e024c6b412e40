"""Mutants of native code."""

import pytest
from wasmtime import Engine, Module, wat2wasm

from runtimes.wasm import module_mutants, mutated
from runtimes.wasm.module.parser import export_names

FUNCTION = """(module (import "vm" "exit" (func $exit (param i32 i32) (result i32)))
  (func $nothing (param i64))
  (func (export "invoke") (param i32) (result i32)
    {}
    (i32.const 0)
    (return)
    (drop (i64.add (i64.const 1) (i64.const 2)))))"""


@pytest.mark.parametrize(
    ("code", "texts"),
    [
        (
            "(if (i64.lt_u (i64.const 5) (i64.const 6)) (then))",
            ["operand of i64.lt_u changed by 1", "i64.lt_u -> i64.le_u"],
        ),
        ("(drop (i64.mul (i64.const 5) (i64.extend_i32_u (local.get 0))))", ["i64.mul -> i64.add"]),
        ("(drop (i32.add (local.get 0) (i32.const 8)))", []),
        ("(drop (call $exit (i32.const 1) (local.get 0)))", ["call of 0 removed"]),
        ("(call $nothing (i64.const 1))", ["call of 1 removed"]),
    ],
    ids=["comparison", "arithmetic", "address", "result", "no result"],
)  # fmt: skip
def test_each_operator_of_reachable_code_has_its_mutants(code: str, texts: list[str]) -> None:
    wasm, engine = bytes(wat2wasm(FUNCTION.format(code))), Engine()
    found = [*module_mutants(wasm)]
    assert [mutant.text for mutant in found] == texts
    changed = {mutated(wasm, mutant) for mutant in found}
    assert len(changed - {wasm}) == len(found)
    for module in changed:
        Module.validate(engine, module)
        assert [*export_names(module)] == ["invoke"]


def test_a_removed_call_leaves_zero_as_its_result() -> None:
    wasm = bytes(wat2wasm(FUNCTION.format("(drop (call $exit (i32.const 1) (local.get 0)))")))
    (mutant,) = module_mutants(wasm)
    assert (wasm[mutant.offset : mutant.end], mutant.code) == (
        b"\x10\x00",
        b"\x1a\x1a\x41\x00",
    )  # drop drop i32.const 0
