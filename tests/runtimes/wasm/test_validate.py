"""Modules that the rules reject although they are valid: one sentence for each."""

import pytest

from hypervisor.errors import InvalidModule
from hypervisor.machine.machine import Hypervisor
from runtimes.wasm.module.parser import FunctionType, parse_module
from runtimes.wasm.syscalls.abi import SYSCALL_REVISIONS
from runtimes.wasm.validate import ModuleFacts, validate_module
from tests.conftest import bundle_file, with_data
from tests.runtimes.wasm.guests import bundle_modules, wasm

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
