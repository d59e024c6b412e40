"""Instrumentation of modules.

- Stack costs of calls. The expected heights are those of the reference's own small programs.
- The two passes together, against the plain ones and on the official bundles.
"""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wasmtime import Engine, Func, Global, Instance, Memory, Store, Trap, WasmtimeError
from wasmtime import Module as WasmtimeModule

from hypervisor.errors import InvalidModule
from hypervisor.machine.machine import Hypervisor
from runtimes.wasm.module import instrumentation
from runtimes.wasm.module.encode import GAS_EXPORT, instrument
from runtimes.wasm.module.instrumentation import charges, decode, stack_cost
from runtimes.wasm.module.parser import parse_module
from tests.conftest import bundle_file, data_file, samples, with_data
from tests.runtimes.wasm.guests import bundle_modules, install_and_call, wasm
from tests.runtimes.wasm.plain_passes import (
    Meter,
    disassemble,
    metered,
    network_form,
    read_back,
    with_branches_for_returns,
)


def costs(data: bytes) -> list[int]:
    module = parse_module(data)
    signatures = [module.types[index] for index in module.function_type_indices()]
    defined = signatures[len(module.imported_functions) :]
    return [
        stack_cost(decode(data, body.code_at, body.end), body.local_groups, len(kind.results), module.types, signatures)
        for kind, body in zip(defined, module.bodies, strict=True)
    ]


FRAME = 2


@pytest.mark.parametrize(
    ("functions", "height"),
    [
        ("(func (i32.const 1) (i32.const 2) (i32.const 3) drop drop drop)", 3),
        ("(func (result i32) (i32.const 0) return)", 1),
        ("(memory 0) (func (result i32) unreachable memory.grow)", 0),
        # the reference's program leaves the last three values, which text form would refuse
        (
            "(func (i32.const 0) (i32.const 1) drop drop unreachable (i32.const 0) (i32.const 1) (i32.const 2)"
            " drop drop drop)",
            2,
        ),
        ("(func block (result i32) block (result i32) (i32.const 99) br 1 end end drop)", 1),
        (
            "(func (i32.const 7) (i32.const 1) if (result i32) (i32.const 42) else (i32.const 99) end (i32.const 97)"
            " drop drop drop)",
            3,
        ),
        (
            "(table 1 1 funcref) (elem (i32.const 0) func 1)"
            "(func (call_indirect (i32.const 0)) (call_indirect (i32.const 0))) (func (drop (i64.const 42)))",
            1,
        ),
    ],
)
def test_the_greatest_height_of_the_reference_programs(functions: str, height: int) -> None:
    assert costs(wasm(f"(module {functions})"))[0] == FRAME + height


def test_groups_of_locals_count_and_not_locals() -> None:
    assert costs(wasm("(module (func (local i32 i32 i32 i64 i32)))")) == [FRAME + 3]


def test_parameters_do_not_count() -> None:
    assert costs(wasm("(module (func (param i32 i64 f64)))")) == [FRAME]


@pytest.mark.slow
@pytest.mark.parametrize("bundle", ["v12-testing-fake-proofs", "v16-testing-fake-proofs"])
def test_the_deepest_function_of_official_actors_costs_36(bundle: str) -> None:
    # counted by an independent reading of the reference
    assert max(max(costs(data)) for data in bundle_modules(data_file(f"bundles/{bundle}.car"))) == 36


@pytest.mark.parametrize(
    ("body", "height"),
    [
        # what the first branch left is still there in the second: 1 + two operands
        ("(if (result i32) (local.get 0) (then (i32.const 1)) (else (i32.add (i32.const 2) (i32.const 3)))) drop", 3),
        # a first branch that cannot be left hides the second one
        ("(if (local.get 0) (then unreachable) (else (drop (i32.add (i32.const 2) (i32.const 3)))))", 1),
        # but not what follows both
        ("(if (local.get 0) (then unreachable) (else)) (drop (i32.add (i32.const 2) (i32.const 3)))", 2),
    ],
)
def test_else_does_not_reset_tracked_stack_height(body: str, height: int) -> None:
    assert costs(wasm(f"(module (func (param i32) {body}))")) == [FRAME + height]


def test_unreachable_code_unsupported_by_reference_is_refused() -> None:
    # 2 is the height at entry; each add takes two from what is no longer above the block's beginning
    with pytest.raises(InvalidModule, match="unreachable code"):
        costs(wasm("(module (func (result i32) (i32.const 1) unreachable i32.add i32.add i32.add))"))


# down costs 4 (no locals; four values at most: 2 + local.get, i32.const), invoke 3: 3 + 4 * 511 = 2047
RECURSION = """(module (memory (export "memory") 1)
    (func $down (param i32) (if (local.get 0) (then (call $down (i32.sub (local.get 0) (i32.const 1))))))
    (func (export "invoke") (param i32) (result i32) (call $down (i32.const {depth})) (i32.const 0)))"""


def test_511_calls_of_cost_4_pass_and_512_trap(machine: Hypervisor) -> None:
    assert install_and_call(machine, wasm(RECURSION.format(depth=510))).exit_code == 0
    assert install_and_call(machine, wasm(RECURSION.format(depth=511))).exit_code == 4


def test_calls_through_the_table_are_counted_too(machine: Hypervisor) -> None:
    endless = """(module (memory (export "memory") 1) (table 1 funcref) (elem (i32.const 0) $f) (type $t (func))
        (func $f (call_indirect (type $t) (i32.const 0)))
        (func (export "invoke") (param i32) (result i32) (call $f) (i32.const 0)))"""
    result = install_and_call(machine, wasm(endless))
    assert result.exit_code == 4
    assert result.gas_used < 300_000


FIXTURE = """(module (func (result i32) (local i32)
    (block
        (local.set 0 (i32.const 1)) (local.set 0 (i32.const 2))
        (local.get 0) (local.get 0) (local.tee 0) (i32.add) (local.set 0)
        (br_if 0 (i32.const 1))
        (local.set 0 (i32.add (local.get 0) (local.tee 0 (local.get 0)))))
    (local.get 0)))"""


def charges_of(text: str) -> list[tuple[int, int]]:
    """Return the charges of the first function as (instruction index, milligas)."""
    data = wasm(text)
    module = parse_module(data)
    body = module.bodies[0]
    found = charges(decode(data, body.code_at, body.end), body.code_at, len(module.imported_functions))
    return [(len(disassemble(data[body.code_at : offset])), price) for offset, price, _ in found.blocks]


def test_the_published_fixture_with_a_price_of_one() -> None:
    prices = dict.fromkeys(range(256), 1)
    module = parse_module(wasm(FIXTURE))
    body = module.bodies[0]
    plain = Meter(prices).run(disassemble(module.data[body.code_at : body.end]))
    assert plain == [(0, 13), (12, 5)]


def test_the_fixture_with_the_networks_prices() -> None:
    # the same, but `block` is free
    assert charges_of(FIXTURE) == [(0, 12 * 4000), (12, 5 * 4000)]


def test_the_default_label_of_br_table_is_no_branch_target() -> None:
    text = """(module (func (param i32)
        (block (block (br_table {labels} (local.get 0))) (drop (i32.const 1))) (drop (i32.const 2))))"""
    # If a listed label may jump over `i32.const 1`, that instruction is charged separately. If the default label does,
    # ref-fvm treats the instruction as unconditional and charges for it at the beginning.
    listed, default = charges_of(text.format(labels="1 0")), charges_of(text.format(labels="0 1"))
    assert listed == [(0, 12000), (5, 4000)]
    assert default == [(0, 16000)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bundle", "by_actor"),
    [
        # counted by an independent reading of the reference
        ("v10-mainnet", {4: 1, 6: 3, 7: 1, 10: 2}),
        ("v12-testing-fake-proofs", 6),
        ("v13-testing-fake-proofs", 7),
        ("v15-testing-fake-proofs", 8),
        ("v16-testing-fake-proofs", 30),
        ("v17-testing-fake-proofs", 20),
        ("v18-mainnet", 19),
    ],
)
def test_missing_branch_target_changes_the_counted_functions(
    bundle: str, by_actor: dict[int, int] | int, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_the_network = instrumentation._targets

    def with_default(op: int, labels: tuple[int, ...], innermost: int) -> list[int]:
        return [innermost - label for label in labels] if op == 0x0E else as_the_network(op, labels, innermost)

    changed: dict[int, int] = {}
    for place, data in enumerate(bundle_modules(data_file(f"bundles/{bundle}.car"))):
        module = parse_module(data)
        imported = len(module.imported_functions)
        for body in module.bodies:
            code = decode(data, body.code_at, body.end)
            if all(op != 0x0E for op in code.ops):
                continue
            monkeypatch.setattr(instrumentation, "_targets", as_the_network)
            network = charges(code, body.code_at, imported)
            monkeypatch.setattr(instrumentation, "_targets", with_default)
            if network != charges(code, body.code_at, imported):
                changed[place] = changed.get(place, 0) + 1
    assert (changed if isinstance(by_actor, dict) else sum(changed.values())) == by_actor


def test_a_negative_constant_operand_is_refused() -> None:
    with pytest.raises(ValueError, match="negative constant operand"):
        charges_of("(module (memory 1) (func (drop (memory.grow (i32.const -1)))))")


# Small actors of both eras; a whole bundle takes the plain passes half a minute.
PLAIN_SAMPLES = [("v10-mainnet", 0), ("v10-mainnet", 15), ("v18-mainnet", 0), ("v18-mainnet", 12)]
BUNDLES = ["v10-mainnet", "v18-mainnet", "v18-devnet", "v17-testing-fake-proofs"]


def assert_equals_the_plain_passes(module_bytes: bytes) -> None:
    module = parse_module(module_bytes)
    expected, callees = metered(module)
    result = parse_module(instrument(module))
    assert read_back(module, result) == [with_branches_for_returns(code) for code in expected]
    defined = len(module.imported_functions) + len(module.bodies)
    thunks = {callee: defined + place for place, callee in enumerate(callees)}
    for before, after in zip(module.exports, result.exports, strict=False):
        moved = thunks.get(before.index, before.index) if before.kind == 0 else before.index + (before.kind == 3)
        assert (after.name, after.index) == (before.name, moved)
    for segment, rewritten in zip(module.elements, result.elements, strict=True):
        assert rewritten.functions == tuple(thunks.get(index, index) for index in segment.functions)


@pytest.mark.slow
@pytest.mark.parametrize(("bundle", "place"), with_data(*PLAIN_SAMPLES) or [("own", 0)])
def test_official_actors_come_out_as_the_plain_passes_write_them(bundle: str, place: int) -> None:
    modules = list(bundle_modules(bundle_file(f"bundles/{bundle}.car")))
    assert_equals_the_plain_passes(modules[place])


@pytest.mark.parametrize("bundle", with_data(*BUNDLES) or ["own"])
@pytest.mark.oracle
def test_instrumented_official_modules_are_valid_wasm(bundle: str) -> None:
    engine = Engine()
    modules = list(bundle_modules(bundle_file(f"bundles/{bundle}.car")))
    assert len(modules) == 16
    for module in modules:
        WasmtimeModule.validate(engine, instrument(parse_module(module)))


HAND_MADE = [
    # a dynamically priced instruction beside a constant one; a block's charge at the same place
    """(module (memory (export "memory") 1) (func (export "invoke") (param i32) (result i32) (local i64 i64 f32)
        (memory.fill (i32.const 0) (i32.const 1) (local.get 0))
        (memory.copy (i32.const 0) (i32.const 1) (i32.const 64))
        (drop (memory.grow (local.get 0)))
        (if (local.get 0) (then (memory.fill (i32.const 0) (i32.const 0) (local.get 0))))
        (memory.grow (i32.const 3))))""",
    # globals of the module's own, exported ones too, and calls in both directions
    """(module (memory (export "memory") 1)
        (global $a (export "a") (mut i32) (i32.const 5)) (global $b i64 (i64.const -1))
        (table 4 funcref) (elem (i32.const 1) $down $up) (type $t (func (param i32) (result i32)))
        (func $down (param i32) (result i32) (global.set $a (i32.sub (local.get 0) (i32.const 1))) (global.get $a))
        (func $up (param i32) (result i32) (local i64) (local.set 1 (global.get $b)) (call $down (local.get 0)))
        (func (export "invoke") (param i32) (result i32)
            (call $up (call_indirect (type $t) (local.get 0) (i32.const 1)))))""",
    # every way to leave a block, with code that cannot be reached
    """(module (memory (export "memory") 1) (func (export "invoke") (param i32) (result i32)
        (block $out (loop $again
            (br_if $again (i32.eqz (local.get 0)))
            (block $x (block $y (br_table $x $y $out $again (local.get 0)) (drop (i32.add)) (unreachable)))
            (br_if $out (local.get 0))
            (return (i32.const 1)) (drop (f64.add (f64.const 1) (f64.const 2)))))
        (if (result i32) (local.get 0) (then (br 0 (i32.const 3)) (drop (select))) (else (i32.const 4)))))""",
    # numbers of every size
    """(module (memory (export "memory") 1) (func (export "invoke") (param i32) (result i32)
        (drop (i64.const -9223372036854775808)) (drop (i32.const -2147483648)) (drop (f32.const nan))
        (i64.store offset=65528 (i32.const 0) (i64.const 128)) (drop (i32.trunc_sat_f64_u (f64.const 1e300)))
        (i32.extend8_s (i32.const 255))))""",
]


@pytest.mark.parametrize("text", HAND_MADE)
def test_instrumented_handwritten_modules_match_plain_passes(text: str) -> None:
    module = wasm(text)
    assert_equals_the_plain_passes(module)
    WasmtimeModule.validate(Engine(), instrument(parse_module(module)))


@st.composite
def statement(draw: st.DrawFn, depth: int, labels: tuple[bool, ...]) -> str:
    """A statement that leaves nothing on the stack. `labels` says of each open block, the innermost first and the
    function last, whether a branch to it takes nothing along."""
    expression = draw(st.sampled_from(EXPRESSIONS))
    kinds = ["drop", "set", "br_if", "br", "table", "return", "trap", "fill", "call", "indirect"]
    if depth:
        kinds += ["block", "loop", "if", "else", "value"] * 3
    kind = draw(st.sampled_from(kinds))
    targets = st.sampled_from([number for number, is_free in enumerate(labels) if is_free])
    label = draw(targets)
    if kind in ("block", "loop", "if", "else", "value"):
        within = statement(depth - 1, (kind != "value", *labels))
        inner, other = (" ".join(draw(st.lists(within, max_size=size))) for size in (3, 2))
        return {
            "block": f"(block {inner})",
            "loop": f"(loop {inner})",
            "if": f"(if {expression} (then {inner}))",
            "else": f"(if {expression} (then {inner}) (else {other}))",
            "value": f"(drop (if (result i32) {expression} (then {inner} {expression}) (else {other} (i32.const 9))))",
        }[kind]
    table = " ".join(map(str, draw(st.lists(targets, min_size=1, max_size=4))))
    return {
        "drop": f"(drop {expression})",
        "set": f"(local.set 0 {expression})",
        "br_if": f"(br_if {label} {expression})",
        "br": f"(br {label})",
        "table": f"(br_table {table} {label} {expression})",
        "return": "(return)",
        "trap": "unreachable",
        "fill": f"(memory.fill (i32.const 0) (i32.const 1) {expression})",
        "call": f"(local.set 0 (call $f {expression}))",
        "indirect": f"(drop (call_indirect (type $t) {expression} (i32.const 0)))",
    }[kind]


EXPRESSIONS = (
    "(i32.const 3)",
    "(local.get 0)",
    "(i32.add (local.get 0) (i32.mul (i32.const 2) (global.get 0)))",
    "(select (i32.const 1) (local.tee 0 (i32.const 2)) (local.get 0))",
    "(memory.grow (i32.const 1))",
    "(memory.grow (local.get 0))",
    "(i32.load (local.get 0))",
)


@pytest.mark.slow
@settings(max_examples=samples(150))
@given(st.lists(statement(3, (True,)), min_size=1, max_size=6))
def test_instrumented_code_of_any_structure_matches_plain_passes(statements: list[str]) -> None:
    module = wasm(f"""(module (type $t (func (param i32) (result i32))) (table 1 funcref) (elem (i32.const 0) $f)
        (memory (export "memory") 1) (global (mut i32) (i32.const 0))
        (func $f (param i32) (result i32) (local i64 i32) (local.get 0))
        (func (export "run") (param i32) {" ".join(statements)}))""")
    WasmtimeModule.validate(Engine(), module)
    try:
        instrumented = instrument(parse_module(module))
    except InvalidModule:
        with pytest.raises(AssertionError):  # the reference cannot follow this one either
            metered(parse_module(module))
        return
    assert_equals_the_plain_passes(module)
    WasmtimeModule.validate(Engine(), instrumented)


REFERENCES = """(module (type $t (func (param i32) (result i32))) (table $t 2 10 funcref) (memory (export "memory") 1)
    (global $f funcref (ref.func $fall)) (global $none funcref (ref.null func)) (elem (i32.const 0) $counted)
    (global $started (mut i32) (i32.const 0)) (func $s (global.set $started (i32.const 7))) (start $s)
    (func $fall (type $t) (local funcref i64)
        (local.set 1 (global.get $f))
        (if (i32.eqz (local.get 0)) (then (return (global.get $started))))
        (table.set $t (i32.const 1) (local.get 1))
        (call_indirect (type $t) (i32.sub (local.get 0) (i32.const 1))
            (i32.eqz (i32.rem_u (local.get 0) (i32.const 3)))))
    (func $counted (type $t) (drop (table.grow $t (global.get $none) (i32.and (local.get 0) (i32.const 1))))
        (table.fill $t (i32.const 1) (global.get $f) (i32.sub (table.size $t) (i32.const 1)))
        (if (i32.eqz (local.get 0)) (then (return (i32.const 3))))
        (call_indirect (type $t) (i32.sub (local.get 0) (i32.const 1)) (i32.const 1)))
    (func (export "run") (type $t) (call $fall (local.get 0))))"""


def test_instrumented_references_tables_and_start_match_plain() -> None:
    assert_equals_the_plain_passes(wasm(REFERENCES))


@pytest.mark.slow
def test_call_through_global_funcref_skips_stack_and_gas_count() -> None:
    seen = assert_runs_as_the_network_form(wasm(REFERENCES), [10**12, 10**15, *range(0, 1_500_000, 91_000)])
    assert {0, 3} <= seen
    assert any("unreachable" in str(outcome) for outcome in seen)


# --- run against the network's form ------------------------------------------------------------------------------

ENGINE = Engine()


@dataclass(frozen=True)
class Ran:
    """Return the effects of one call: its result or the trap's message, the counter, and the memory."""

    outcome: object
    counter: int
    memory: bytes


def ran(module: bytes, gas: int, argument: int) -> Ran:
    store = Store(ENGINE)
    store.set_limits(memory_size=1 << 20)
    exports = Instance(store, WasmtimeModule(ENGINE, module), []).exports(store)
    counter, function, memory = exports[GAS_EXPORT], exports["run"], exports["memory"]
    assert isinstance(counter, Global)
    assert isinstance(function, Func)
    assert isinstance(memory, Memory)
    counter.set_value(store, gas)
    try:
        outcome: object = function(store, argument)
    except Trap as trap:
        outcome = str(trap).splitlines()[-1]
    except WasmtimeError as error:
        outcome = str(error).splitlines()[-1]
    return Ran(outcome, counter.value(store), bytes(memory.read(store)))


def assert_runs_as_the_network_form(module: bytes, limits: list[int]) -> set[object]:
    """Run with each gas limit and some arguments; the outcomes that were seen."""
    parsed = parse_module(module)
    ours, theirs = instrument(parsed), network_form(parsed)
    seen = set()
    for gas in limits:
        for argument in (0, 1, 9, 400, 0xFFFF_FFFF - (1 << 32)):
            result = ran(ours, gas, argument)
            assert result == ran(theirs, gas, argument)
            seen.add(result.outcome)
    return seen


# Falls `local 0` calls deep, through the table and directly; every way to leave a function is taken.
FALL = """(module (type $t (func (param i32) (result i32))) (table 3 funcref) (elem (i32.const 1) $direct $through)
    (memory (export "memory") 1) (global $g (mut i32) (i32.const 0))
    (func $direct (type $t) (local i64 i32 f64)
        (i32.store (i32.const 8) (local.get 0))
        (if (i32.eqz (local.get 0)) (then (return (i32.const 7))))
        (global.set $g (i32.add (global.get $g) (i32.const 1)))
        (block $b (result i32)
            (br_if 1 (i32.const 9) (i32.eq (local.get 0) (i32.const 5000)))
            (br_table $b 1 $b (i32.add (i32.const 1) (call $through (i32.sub (local.get 0) (i32.const 1))))
                (i32.and (local.get 0) (i32.const 3)))))
    (func $through (type $t)
        (if (i32.eqz (local.get 0)) (then (return (i32.const 11))))
        (call_indirect (type $t) (i32.sub (local.get 0) (i32.const 1)) (i32.const 1)))
    (func (export "run") (type $t) (call $direct (local.get 0))))"""


@pytest.mark.slow
def test_calls_run_as_in_the_network_form_until_stack_or_gas_end() -> None:
    module = wasm(FALL)
    limits = [10**12, *range(0, 3_000_000, 49_000)]
    seen = assert_runs_as_the_network_form(module, limits)
    assert len({outcome for outcome in seen if isinstance(outcome, int)}) >= 3
    assert any("unreachable" in str(outcome) for outcome in seen)


@pytest.mark.slow
@settings(max_examples=samples(40))
@given(st.lists(statement(3, (True,)), min_size=1, max_size=6), st.integers(0, 600_000))
def test_any_structure_of_code_runs_as_in_the_network_form(statements: list[str], gas: int) -> None:
    module = wasm(f"""(module (type $t (func (param i32) (result i32))) (table 1 funcref) (elem (i32.const 0) $f)
        (memory (export "memory") 1) (global (mut i32) (i32.const 0))
        (func $f (param i32) (result i32) (local i64 i32)
            (if (i32.le_u (local.get 0) (i32.const 1)) (then (return (local.get 0))))
            (i32.add (call $f (i32.shr_u (local.get 0) (i32.const 1))) (i32.const 1)))
        (func (export "run") (param i32) {" ".join(statements)}))""")
    try:
        metered(parse_module(module))
    except AssertionError:  # code that the reference cannot follow
        with pytest.raises(InvalidModule):
            instrument(parse_module(module))
        return
    assert_runs_as_the_network_form(module, [gas, 10**10])


def run_metered(text: str, gas: int, argument: int = 0) -> tuple[int, int]:
    """The result of the exported function `f` and the milligas that it took, in a plain wasmtime."""
    engine = Engine()
    store = Store(engine)
    instance = Instance(store, WasmtimeModule(engine, instrument(parse_module(wasm(text)))), [])
    exports = instance.exports(store)
    counter = exports[GAS_EXPORT]
    assert isinstance(counter, Global)
    counter.set_value(store, gas)
    function = exports["f"]
    assert isinstance(function, Func)
    result = function(store, argument)
    return result, gas - counter.value(store)


def test_guest_gas_matches_manual_count() -> None:
    text = """(module (memory (export "memory") 1) (func $twice (param i32) (result i32)
            (i32.mul (local.get 0) (i32.const 2)))
        (func (export "f") (param i32) (result i32)
            (block (br_if 0 (local.get 0)) (drop (memory.grow (i32.const 2)))) (call $twice (i32.const 21))))"""
    # thunk of f: 4 + 52; the first block: local.get, br_if = 8; then const, counted call = 56; in twice: 3 * 4
    common = 56 + 8 + 56 + 12
    assert run_metered(text, 10**12, 1) == (42, common * 1000)
    # between: const, memory.grow and two pages
    assert run_metered(text, 10**12, 0) == (42, (common + 8) * 1000 + 2 * 26_214_400)


def test_a_dynamic_operand_is_paid_for_as_an_unsigned_number() -> None:
    text = """(module (memory (export "memory") 1) (func (export "f") (param i32) (result i32)
        (memory.grow (local.get 0))))"""
    assert run_metered(text, 10**18, -1) == (-1, (56 + 8) * 1000 + 0xFFFF_FFFF * 26_214_400)


def test_a_guest_that_runs_out_traps_with_a_negative_counter() -> None:
    text = (
        '(module (memory (export "memory") 1) (func (export "f") (param i32) (result i32) (loop (br 0)) (i32.const 0)))'
    )
    with pytest.raises(Trap, match="unreachable"):
        run_metered(text, 1_000_000)
